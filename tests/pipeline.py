"""The smoke profile through the whole pipeline, once a test session."""

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WORK = REPOSITORY / "_build" / "test"
PIPELINE = WORK / "pipeline"


def snakemake(*arguments: str, folder: Path = PIPELINE) -> subprocess.CompletedProcess:
    """Snakemake with the smoke profile, working in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", folder,
         "--workflow-profile", REPOSITORY / "workflow/profiles/smoke", "--jobs", "2", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True)


@functools.cache
def _first_build() -> subprocess.CompletedProcess:
    shutil.rmtree(PIPELINE, ignore_errors=True)
    PIPELINE.mkdir(parents=True)
    return snakemake()


def build() -> Path:
    """The folder in which the smoke profile has gone from nothing to the built book; fails the test if it could not."""
    done = _first_build()
    if done.returncode:
        pytest.fail(f"the smoke pipeline failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}", pytrace=False)
    return PIPELINE
