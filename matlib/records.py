"""A run's record: what was run, on what, how long, and what came out. Written once, atomically, and never edited."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

import matlib
from matlib.config import RunConfig
from matlib.errors import MatlibError

RECORD = "record.json"


def write_atomically(path: Path, content: bytes) -> None:
    """All of the content under that name, or nothing. Raises MatlibError where the disk does not take it."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MatlibError(f"{path} could not be written ({error.strerror}); nothing that was finished is lost: "
                          "make room and run the same command again") from None


def write_record(folder: Path, record: dict[str, Any], name: str = RECORD) -> Path:
    path = folder / name
    write_atomically(path, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    return path


def read_record(path: Path | str) -> dict[str, Any]:
    """A record, from its file or its run's folder. Raises MatlibError where there is none, or it is damaged."""
    path = Path(path) / RECORD if Path(path).is_dir() else Path(path)
    try:
        record = json.loads(path.read_text())
        RunConfig.from_dict(record["config"])
        if not all(isinstance(record[name], dict) for name in ("metrics", "seconds")):
            raise TypeError("no record")
        return record
    except FileNotFoundError:
        raise MatlibError(f"there is no record at {path}; the run that writes it has not finished") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise MatlibError(f"{path} is not a run's record; delete it and run the training again") from None


def find_records(*folders: Path | str) -> list[dict[str, Any]]:
    """All records below the folders (``record*.json``), in the order of their paths; each knows its own ``path``.

    Hidden folders are left out: they hold runs that were set aside (``matlib.earlier``).
    """
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("record*.json"))
             if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return [read_record(path) | {"path": str(path)} for path in paths]


def provenance(processes: int, device: torch.device) -> dict[str, Any]:
    """Versions, commit, hardware and date, for the record."""
    return {
        "matlib": matlib.__version__, "commit": _commit(), "python": platform.python_version(),
        "torch": torch.__version__, "date": time.strftime("%Y-%m-%d"), "processes": processes,
        "threads": torch.get_num_threads(),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
    }


def _commit() -> str:
    """The commit of the source tree, with ``-dirty`` where matlib/ differs from it; ``unknown`` outside a checkout."""
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True,
                              check=True).stdout.strip()
    try:
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
