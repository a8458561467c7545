"""A run that is in a folder already: whether it is the one that is wanted, and moving it out of the way if not."""

import os
from pathlib import Path

from matlib.config import RunConfig, differences
from matlib.data import load_dataset
from matlib.data.fingerprints import known_as
from matlib.errors import MatlibError
from matlib.folders import alone
from matlib.references import settled
from matlib.runs import checkpoints, records

RESUME = "resume.pt"


def check_same(config: RunConfig, images: frozenset[str], out: Path) -> None:
    """Raises MatlibError if ``out`` holds a run, finished or not, of other settings or images (``known_as``)."""
    other = _other(config, images, out)
    if other:
        raise MatlibError(f"{out} holds a run of {other}; choose another --out, or delete that folder to train it anew")


def set_aside(config: RunConfig, out: Path | str) -> Path | None:
    """Move a run of other settings or images out of the way, and say where it is now; None where there is none.

    Its files go into a hidden folder in ``out``, where no table finds its records (``records.find_records``). A state
    to resume the wanted run from stays, whosever record lies beside it. Raises MatlibError where the data or the
    earlier run cannot be read, or it is being trained.
    """
    out = Path(out)
    data = load_dataset(config.data.dataset, config.data.root, **config.data.options)
    images = known_as(data)
    if not _other(config, images, out):
        return None
    kept = "" if _unlike(config, images, out / RESUME) else RESUME
    with alone(out, "training"):
        number = 1 + sum(1 for _ in out.glob(".earlier-*"))
        moved = out / f".earlier-{number}"
        moved.mkdir()
        files = [path for path in out.iterdir() if path.is_file() and not path.name.startswith(".")]
        # What tells the run goes last.
        for path in sorted(files, key=lambda path: path.name in (records.RECORD, RESUME)):
            if path.suffix != ".ipynb" and path.name != kept:
                path.rename(moved / path.name)
    return moved


def _other(config: RunConfig, images: frozenset[str], out: Path) -> str:
    """In words, what the run in ``out`` is of that is not wanted; empty where there is none, or it is the same."""
    return _unlike(config, images, out / (records.RECORD if os.path.exists(out / records.RECORD) else RESUME))


def _unlike(config: RunConfig, images: frozenset[str], file: Path) -> str:
    """The same of a record or a state to resume from; empty where there is no such file."""
    if not os.path.exists(file):  # which no name is too long for
        return ""
    if file.name == records.RECORD:
        record = records.read_record(file)
        earlier, seen = record["config"], record.get("data", {}).get("fingerprint")
    else:
        state = checkpoints.read(file)
        earlier, seen = state["config"], settled(state.get("fingerprint") or "")
    changed = differences(config, RunConfig.from_dict(earlier))
    if changed:
        return f"another configuration ({', '.join(changed)} differ)"
    return "" if seen in images else f"other images of {config.data.dataset}"
