"""Runs a command so that killing the build leaves nothing behind that a second build would collide with.

    python workflow/guard.py LOCK COMMAND [ARGUMENT ...]

The command and all that it starts end within a second of the death of whoever called the guard, however that death
came (kill -9, a closed terminal), or of the command's own; and while one command runs, another with the same LOCK waits
for it to end.
"""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout


def end_with_parent() -> None:
    """From now on this process and its descendants are killed when their caller dies or this call is interrupted.

    It forks. The child returns from here, in a session of its own: a signal to the caller's whole group must not take
    the watcher and spare the watched. The original process stays in the group, and hands on the child's exit status.
    """
    caller = os.getppid()
    _adopt_orphans()
    child = os.fork()
    if child:
        _wait(child, caller)
    else:
        os.setsid()
        _adopt_orphans()
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _adopt_orphans() -> None:
    """What a killed descendant leaves behind, as a kernel its training, becomes a child of this process, not of init.

    Linux alone can do that; elsewhere such a process lives on.
    """
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _kill_descendants() -> None:
    """Returns when they are gone, so that the locks they held are free."""
    processes = psutil.Process().children(recursive=True)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _wait(child: int, caller: int) -> None:
    """Ends this process with the child's exit status, or at once when the caller is gone or a signal comes."""
    try:
        while os.getppid() == caller:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                _kill_descendants()
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
            time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    os._exit(130)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    _kill_descendants()
    os._exit(1)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Holds a lock that the system takes back when the holder dies; waits, saying so, while another has it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that holds {lock}", flush=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def main() -> int:
    lock, *command = sys.argv[1:]
    end_with_parent()
    with alone(Path(lock)):
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
