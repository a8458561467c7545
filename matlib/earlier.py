"""A run that is in a folder already: whether it is the one that is wanted, and moving it out of the way if not."""

from pathlib import Path

from matlib import checkpoints, records
from matlib.config import RunConfig, differences
from matlib.data import fingerprint, load_dataset
from matlib.errors import MatlibError
from matlib.folders import alone

RESUME = "resume.pt"


def check_same(config: RunConfig, images: str, out: Path) -> None:
    """Raises MatlibError if ``out`` holds a run, finished or not, of other settings or images (their fingerprint)."""
    other = _other(config, images, out)
    if other:
        raise MatlibError(f"{out} holds a run of {other}; choose another --out, or delete that folder to train it anew")


def set_aside(config: RunConfig, out: Path | str) -> Path | None:
    """Move a run of other settings or images out of the way, and say where it is now; None where there is none.

    Its files go into a hidden folder in ``out``, where no table finds its records (``records.find_records``). Raises
    MatlibError where the data or the earlier run cannot be read, or it is being trained.
    """
    out = Path(out)
    data = load_dataset(config.data.dataset, config.data.root, **config.data.options)
    if not _other(config, fingerprint(data), out):
        return None
    with alone(out, "training"):
        number = 1 + sum(1 for _ in out.glob(".earlier-*"))
        moved = out / f".earlier-{number}"
        moved.mkdir()
        files = [path for path in out.iterdir() if path.is_file() and not path.name.startswith(".")]
        # What tells the run goes last.
        for path in sorted(files, key=lambda path: path.name in (records.RECORD, RESUME)):
            if path.suffix != ".ipynb":
                path.rename(moved / path.name)
    return moved


def _other(config: RunConfig, images: str, out: Path) -> str:
    """In words, what the run in ``out`` is of that is not wanted; empty where there is none, or it is the same."""
    if (out / records.RECORD).exists():
        record = records.read_record(out)
        earlier, seen = record["config"], record["data"]["fingerprint"]
    elif (out / RESUME).exists():
        state = checkpoints.read(out / RESUME)
        earlier, seen = state["config"], state.get("fingerprint")
    else:
        return ""
    changed = differences(config, RunConfig.from_dict(earlier))
    if changed:
        return f"another configuration ({', '.join(changed)} differ)"
    return "" if seen == images else f"other images of {config.data.dataset}"
