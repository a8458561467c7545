"""A run's record: what was run, on what, how long, and what came out. Written once, atomically, and never edited."""

import json
import math
import os
import platform
import subprocess
import time
import uuid
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import matlib
from matlib.config import RunConfig
from matlib.errors import MatlibError, not_written
from matlib.references import settled

RECORD = "record.json"


SCHEMA = 1  # of records: those that do not say are older, and are read as well
_KINDS = {
    "config": dict, "config.name": str, "data": dict, "data.name": str, "data.fingerprint": str, "data.images": int,
    "tested": dict, "tested.name": str, "tested.fingerprint": str, "metrics": dict, "scores": dict, "history": list,
    "seconds": dict, "seconds.training": (int, float), "run": dict, "run.schema": int,
    "parameters": int, "run.processes": int,
    "run.commit": str, "run.hardware": str, "run.date": str, "run.torch": str,
}
_NEEDED = ("config", "config.name", "data", "data.name", "data.fingerprint", "metrics", "seconds")
_TESTED = ("tested.name", "tested.fingerprint")  # needed where there is a ``tested``
_NOTHING = object()
_SHARES = ("rank1", "rank3", "rank5", "rank10", "mAP", "mINP")
_COUNTS = ("queries", "gallery")


def write_atomically(path: Path, content: bytes) -> None:
    """All of the content under that name, or nothing, also where several write it. Raises MatlibError where the disk
    does not take it."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise not_written(path, error) from None


def write_record(folder: Path, record: dict[str, Any], name: str = RECORD) -> Path:
    path = folder / name
    write_atomically(path, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    return path


def read_record(path: Path | str) -> dict[str, Any]:
    """A record, from its file or its run's folder; its data are called as ``references.settled`` says.

    Raises MatlibError where there is none, or it is damaged.
    """
    path = Path(path)
    try:
        path = path / RECORD if path.is_dir() else path
        if path.exists() and not path.is_file():
            raise TypeError("it is no file")
        text = path.read_text(encoding="utf-8-sig")
        record = json.loads(text, object_pairs_hook=_fields)
        if "\\ud" in text:  # half a pair of them is a letter that no page can be written with
            json.dumps(record, ensure_ascii=False).encode()
        _check(record)
        config_of(record)
        for data in (record["data"], record.get("tested", {})):
            data |= {"fingerprint": settled(data["fingerprint"])} if data else {}
        return record
    except FileNotFoundError:
        raise MatlibError(f"there is no record at {path}; the run that writes it has not finished") from None
    except OSError as error:
        raise MatlibError(f"the record {str(path)[:200]} could not be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MatlibError) as error:
        why = str(error).partition("\n")[0][:200]
        mend = "delete it and run the training again" if path.suffix == ".json" else "name a run's folder"
        raise MatlibError(f"{path} is not a run's record; {mend} ({why})") from None


def config_of(record: dict[str, Any]) -> RunConfig:
    """A record's configuration, read once for all records that have the same. Raises MatlibError as from_dict does."""
    return _config(json.dumps(record["config"]))


@lru_cache(maxsize=4096)
def _config(text: str) -> RunConfig:
    return RunConfig.from_dict(json.loads(text))


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A part of a record. Raises ValueError for a field that stands in it twice, of which JSON would keep the last."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands in it twice")
    return fields


def _check(record: Any) -> None:
    """Raises TypeError or ValueError, with the name of the field, for what no run writes."""
    for name, kind in _KINDS.items():
        value: Any = record
        for key in name.split("."):
            value = value.get(key, _NOTHING) if isinstance(value, dict) else _NOTHING
        if value is _NOTHING and name not in _NEEDED and not (name in _TESTED and "tested" in record):
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{name} is missing or of a wrong type")
    if record.get("run", {}).get("schema", 0) > SCHEMA:
        raise ValueError("a newer version of matlib wrote it")
    for name, metrics in record["metrics"].items():
        if not isinstance(metrics, dict):
            raise TypeError(f"metrics.{name} is of a wrong type")
        for key in (key for key in (*_SHARES, *_COUNTS) if key in metrics):
            value, most = metrics[key], 1 if key in _SHARES else math.inf
            kinds = (int, float) if key in _SHARES else int
            if isinstance(value, bool) or not isinstance(value, kinds) or not (key == "queries") <= value <= most:
                raise ValueError(f"metrics.{name}.{key} is no {'share from 0 to 1' if key in _SHARES else 'count'}")
        for key, (low, high) in metrics.get("intervals", {}).items():
            if not 0 <= low <= high <= 1:
                raise ValueError(f"metrics.{name}.intervals.{key} is no interval of shares")
    check_history(record.get("history", []))
    for name in ("training", "cpu", "evaluation"):
        if not isinstance(value := record["seconds"].get(name, 0), int | float) or not 0 <= value < math.inf:
            raise ValueError(f"seconds.{name} is no time")
    if not 0 <= record["data"].get("images", 0) < 10**12:
        raise ValueError("data.images is no count")


def check_history(history: Any) -> None:
    """Raises TypeError for what is no list of epochs with their numbers."""
    if not isinstance(history, list):
        raise TypeError("history is no list of epochs")
    for place, entry in enumerate(history, start=1):
        if not isinstance(entry, dict) or entry.get("epoch") != place:
            raise TypeError(f"history has no epoch {place} where it should be")
        for name, value in entry.items():
            values = value.values() if isinstance(value, dict) else [value]
            if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
                raise TypeError(f"history's {name} is of a wrong type")


def listed(folders: Iterable[Path | str] | str | Path) -> list[Path]:
    """The folders as a list. Raises MatlibError for a name, whose letters would be taken for folders."""
    if isinstance(folders, str | Path):
        raise MatlibError(f"records is a list of folders, not {str(folders)[:200]!r}; give [{str(folders)[:200]!r}]")
    try:
        places = [Path(folder) for folder in folders]
    except TypeError:
        raise MatlibError(f"records is a list of folders, not {str(folders)[:200]}") from None
    if files := [place for place in places if os.path.isfile(place)]:
        raise MatlibError(f"records is a list of folders, and {files[0]} is a file; give the folder that it lies in")
    return places


def find_records(*folders: Path | str) -> list[dict[str, Any]]:
    """All records below the folders (``record*.json``), in the order of their paths; each knows its own ``path``.

    Hidden folders are left out: they hold runs that were set aside (``matlib.runs.earlier``).
    """
    paths = [path for folder in folders if os.path.isdir(folder) for path in sorted(Path(folder).rglob("record*.json"))
             if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return [read_record(path) | {"path": str(path)} for path in paths]


def provenance(processes: int, device: torch.device) -> dict[str, Any]:
    """Versions, commit, hardware and date, for the record."""
    return {
        "schema": SCHEMA, "matlib": matlib.__version__, "commit": _commit(), "python": platform.python_version(),
        "torch": torch.__version__, "date": time.strftime("%Y-%m-%d"), "processes": processes,
        "threads": torch.get_num_threads(),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
    }


def _commit() -> str:
    """The commit of the source tree, with ``-dirty`` where matlib/ differs from it; ``unknown`` outside a checkout
    of this project, also where another repository surrounds an installed copy."""
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True,
                              check=True).stdout.strip()
    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != Path(__file__).resolve().parents[2]:
            return "unknown"
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    names = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"CPU, {names[0] if names else platform.processor() or platform.machine()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
