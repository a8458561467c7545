"""Training from a notebook: the same command as in batch, in processes of its own, its lines shown as they come.

The kernel stays free to use the GPU, and an error in the training does not take it down.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matlib.config import RunConfig
from matlib.errors import MatlibError
from matlib.runs.records import read_record


def command(config: RunConfig, out: Path | str, processes: int = 1) -> list[str]:
    """The command that trains this configuration, with every setting of its sections written out."""
    settings = [f"{name}={value}" for name, value in config.flat.items() if "." in name]
    return [sys.executable, "-m", "matlib.training", "--processes", str(processes), "--row", config.name,
            "--profile", config.profile, "--seed", str(config.seed), "--recipe", config.recipe,
            "--out", str(out), "--set", *settings]


def run(config: RunConfig, out: Path | str, processes: int = 1) -> dict[str, Any]:
    """Train in ``processes`` processes of this machine and return the record. Raises MatlibError where it fails."""
    for line in _lines(command(config, out, processes)):
        if line.startswith(config.name):
            print(line, flush=True)
    return read_record(Path(out))


def _lines(arguments: list[str]) -> Iterator[str]:
    """The command's output, line by line; at the end MatlibError with its last error if it failed."""
    error = "it gave no reason"
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout:
            line = line.rstrip()
            if "error:" in line.lower():
                error = line.removeprefix("error: ")
            yield line
    finally:
        if process.poll() is None and sys.exc_info()[0] is not None:
            process.terminate()
        status = process.wait()
    if status:
        raise MatlibError(f"the training stopped: {error}")
