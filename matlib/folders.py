"""What is written into: one process at a time in a folder, and a file's place tried before the work."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from matlib.errors import MatlibError


@contextmanager
def alone(out: Path, work: str, lock: Path | None = None) -> Iterator[None]:
    """Hold ``out`` for this process; the lock goes with the process, however it ends.

    work: what it does, as "training", for the message; lock: the file that is locked, ``out/.lock`` unless told
    otherwise. Raises MatlibError where another process holds it, or the folder cannot be written into.
    """
    held = FileLock(lock or out / ".lock")
    try:
        Path(held.lock_file).parent.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=0)
    except Timeout:
        raise MatlibError(f"another {work} is writing into {out}; wait for it, or choose another --out") from None
    except OSError as error:
        raise MatlibError(f"cannot write into {out} ({error.strerror or error}); choose another --out") from None
    try:
        yield
    finally:
        held.release()


def check_target(path: Path) -> None:
    """Raises MatlibError where no file can be written there: before the work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(path.stat().st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise MatlibError(
            f"{str(path)[:200]} cannot be written ({error.strerror}); name a file in a folder that can be written to"
        ) from None
