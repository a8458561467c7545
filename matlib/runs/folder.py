"""The folder of a finished run, as somebody names it."""

import errno
import stat
import tempfile
from pathlib import Path

from matlib.errors import MatlibError
from matlib.runs.records import RECORD

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


def run_folder(run: Path | str) -> Path:
    """The folder of that name. Raises MatlibError where there is none, also for a file of a run, and says what to name.
    """
    path = Path(run)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise MatlibError(f"there is no run at {str(path)[:200]} ({why}); name the folder of a finished run, or train "
                          "one (python -m matlib.training)") from None
    if not is_folder:
        mend = path.parent if (path.parent / RECORD).exists() else "the folder of a finished run"
        raise MatlibError(f"{str(path)[:200]} is a file, and a run is a folder; name {mend}")
    return path


def check_writable(run: Path) -> None:
    """Raises MatlibError where no record can be written beside the run's own: before the work, not after it."""
    try:
        with tempfile.TemporaryFile(dir=run):
            pass
    except OSError as error:
        mend = ("make room and give the same command again" if error.errno in _NO_ROOM
                else "name a copy of the run in a folder that you may write to")
        raise MatlibError(f"{run} cannot be written into ({error.strerror}), and what is measured of a run is kept "
                          f"beside it: {mend}") from None
