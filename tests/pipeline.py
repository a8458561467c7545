"""The smoke profile through the whole pipeline, once a test session."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WORK = REPOSITORY / "_build" / "test"
PIPELINE = WORK / "pipeline"
LOG = WORK / "pipeline.log"
WATCHED = PIPELINE / ".watched"  # which files each job has opened: tests/watch


def command(*arguments: str, folder: Path = PIPELINE) -> list[str]:
    """Snakemake with the smoke profile, working in `folder`."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(folder),
            "--workflow-profile", str(REPOSITORY / "workflow/profiles/smoke"), "--jobs", "2", *arguments]


def snakemake(*arguments: str, folder: Path = PIPELINE) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments, folder=folder), cwd=REPOSITORY, capture_output=True, text=True)


@functools.cache
def start() -> subprocess.Popen:
    """Begins the build; other tests may go on beside it."""
    shutil.rmtree(PIPELINE, ignore_errors=True)
    WATCHED.mkdir(parents=True)
    found_first = os.pathsep.join([str(REPOSITORY / "tests" / "watch"), os.environ.get("PYTHONPATH", "")])
    watched = os.environ | {"WATCHED": str(WATCHED), "PYTHONPATH": found_first.rstrip(os.pathsep)}
    with LOG.open("w") as log:
        return subprocess.Popen(command(), cwd=REPOSITORY, stdout=log, stderr=log, env=watched)


def built() -> Path:
    """The folder in which the smoke profile has gone from nothing to the built book; fails the test if it could not."""
    if start().wait():
        pytest.fail(f"the smoke pipeline failed:\n{LOG.read_text()[-5000:]}", pytrace=False)
    return PIPELINE


def stop() -> None:
    """Ends a build that nobody waits for any more."""
    if start.cache_info().currsize and start().poll() is None:
        start().kill()
