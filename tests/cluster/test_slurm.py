"""The build on a real SLURM: what the user reads, whatever becomes of a job, and that no work is lost or half done."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from local_slurm import NODES, Slurm, missing
from pipeline import REPOSITORY, snakemake

from matlib.runs import checkpoints, records
from matlib.runs.earlier import RESUME

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(missing()), reason=f"SLURM is not here ({', '.join(missing())}); on Debian: "
                                               "apt-get install slurm-wlm munge"),
    pytest.mark.skipif(importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
                       reason='the extra "cluster" is not installed: pip install -e ".[cluster]"'),
]
BASELINE = Path("runs/smoke/baseline/seed0")
FULL = Path("runs/smoke/full/seed0")
FILES = (records.RECORD, checkpoints.CHECKPOINT)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """Where two rows of Table 1 were trained without a cluster."""
    folder = tmp_path_factory.mktemp("local")
    done = snakemake(*(str(run / name) for run in (BASELINE, FULL) for name in FILES), folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(local, tmp_path) -> Path:
    """A place to build in: the images are there, no run is."""
    shutil.copytree(local / "data", tmp_path / "data")
    return tmp_path


class Build:
    """`make ... ON=slurm` in `folder`, at the pace of a test."""

    def __init__(self, slurm: Slurm, folder: Path, runs: tuple[Path, ...] = (BASELINE,), gpus: int = 0,
                 **environment: str) -> None:
        self.folder, self.log, self.frozen = folder, folder / "build.log", []
        command = [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", folder,
                   "--workflow-profile", REPOSITORY / "workflow/profiles/slurm/config.yaml", "--jobs", "2",
                   "--retries", "0", "--latency-wait", "5", "--slurm-init-seconds-before-status-checks", "2",
                   "--config", "profile=smoke", "on=slurm", "watch=2", f"gpus={gpus}",
                   "--", *(str(run / name) for run in runs for name in FILES)]
        path = f"{Path(sys.executable).parent}:{slurm.environment['PATH']}"
        environment = slurm.environment | {"PATH": path, "OMP_NUM_THREADS": "1"} | environment
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log, env=environment)

    def said(self) -> str:
        return self.log.read_text()

    def ends(self, seconds: float = 900) -> int:
        try:
            status = self.process.wait(timeout=seconds)
            self.thaw()
            return status
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"the build did not end:\n{self.said()}", pytrace=False)

    def until(self, condition: Callable[[], bool], seconds: float = 600) -> None:
        end = time.time() + seconds
        while not condition():
            if time.time() > end or self.process.poll() is not None:
                self.process.kill()
                pytest.fail(f"it did not come:\n{self.said()}", pytrace=False)
            time.sleep(0.05)

    def freeze(self, run: Path = BASELINE) -> None:
        """Lets the training finish an epoch, and no second one."""
        self.until((self.folder / run / RESUME).exists)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if "matlib.training" in process.cmdline() and Path(process.cwd()) == self.folder:
                    process.suspend()
                    self.frozen.append(process)
        assert not (self.folder / run / records.RECORD).exists(), "the training was faster than the test"

    def thaw(self) -> None:
        """Lets SLURM's signal reach what it ended: a SLURM without control groups loses a frozen process."""
        for process in self.frozen:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        psutil.wait_procs(self.frozen, timeout=60)


def results(folder: Path, run: Path) -> tuple:
    """All digits of a run that are no times."""
    record = records.read_record(folder / run)
    metrics = {name: value for name, value in record["metrics"]["annyville-occluded"].items() if name != "seconds"}
    return metrics, [epoch["losses"] for epoch in record["history"]]


def queue(slurm: Slurm) -> list[list[str]]:
    """Number and node of each job."""
    lines = subprocess.run(["squeue", "--noheader", "--format=%i %N"], env=slurm.environment, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    return [line.split() for line in lines]


def order(slurm: Slurm, *command: str) -> None:
    subprocess.run(command, env=slurm.environment, check=True)


def failures(build: Build) -> list[str]:
    return [line for line in build.said().splitlines() if line.startswith("Failed: ")]


def test_table_1_has_the_digits_of_a_local_run(slurm, local, folder):
    assert Build(slurm, folder, runs=(BASELINE, FULL)).ends() == 0
    assert [results(folder, run) for run in (BASELINE, FULL)] == [results(local, run) for run in (BASELINE, FULL)]


@pytest.mark.parametrize(("end", "said"), [
    ("cancel", "was cancelled"),
    ("time", "ran out of its time (`runtime` in workflow/profiles/slurm/config.yaml)"),
])
def test_a_job_that_is_ended_is_told_and_goes_on_from_its_last_epoch(slurm, local, folder, end, said):
    build = Build(slurm, folder)
    build.freeze()
    [[number, _]] = queue(slurm)
    order(slurm, *{"cancel": ["scancel", number],
                   "time": ["scontrol", "update", f"jobid={number}", "timelimit=1"]}[end])
    assert build.ends() != 0
    [line] = failures(build)
    assert f"SLURM job {number} {said}" in line and "give the same command again" in build.said()
    assert not any((folder / BASELINE / name).exists() for name in FILES)
    assert len(checkpoints.read(folder / BASELINE / RESUME)["history"]) == 1
    assert Build(slurm, folder).ends() == 0
    assert results(folder, BASELINE) == results(local, BASELINE)


@pytest.mark.parametrize("end", ["node", "requeue"])
def test_a_job_whose_node_is_lost_ends_well_on_another(slurm, local, folder, end):
    build = Build(slurm, folder)
    build.freeze()
    [[number, node]] = queue(slurm)
    if end == "node":
        slurm.lose(node)
    else:
        order(slurm, "scontrol", "requeue", number)
        assert slurm.wait(lambda: queue(slurm) == [[number]], 60)  # it has no node any more
        build.thaw()
    try:
        assert build.ends() == 0
    finally:
        if end == "node":
            slurm.start_node(node)
    assert f"SLURM starts job {number} again" in build.said() and not failures(build)
    assert results(folder, BASELINE) == results(local, BASELINE)


def test_an_interrupted_build_takes_its_jobs_along(slurm, local, folder):
    build = Build(slurm, folder)
    build.freeze()
    build.process.send_signal(signal.SIGINT)
    assert build.ends() != 0
    assert slurm.wait(lambda: not queue(slurm), 30)
    assert not any((folder / BASELINE / name).exists() for name in FILES)
    assert Build(slurm, folder).ends() == 0
    assert results(folder, BASELINE) == results(local, BASELINE)


def test_a_job_that_fails_says_why_where_the_build_was_started(slurm, folder):
    build = Build(slurm, folder, ACCELERATE_USE_FSDP="true")  # training refuses that before its first epoch
    assert build.ends() != 0
    [line] = failures(build)
    assert "failed, error: " in line and "ACCELERATE_USE_FSDP" in line and "Traceback" not in build.said()
    assert not any((folder / BASELINE / name).exists() for name in FILES)


def test_a_job_that_slurm_refuses_is_told(slurm, folder):
    build = Build(slurm, folder, gpus=1)
    assert build.ends() != 0
    [line] = failures(build)
    assert "SLURM refused the job: " in line and "GPUS" in line and "Traceback" not in build.said()


def test_why_jobs_wait_is_told_and_those_of_a_killed_build_are_seen(slurm, folder):
    nodes = ",".join(NODES)
    order(slurm, "scontrol", "update", f"nodename={nodes}", "state=drain", "reason=test")
    try:
        build = Build(slurm, folder)
        build.until(lambda: "1 job waits in SLURM" in build.said())
        assert build.said().count("waits in SLURM") == 1 and "drained" in build.said().lower()
        build.process.kill()
        build.process.wait()
        [[number, *_]] = queue(slurm)
        second = Build(slurm, folder)
        assert second.ends() != 0
        assert f"scancel {number}" in second.said() and "Traceback" not in second.said()
        order(slurm, "scancel", number)
    finally:
        order(slurm, "scontrol", "update", f"nodename={nodes}", "state=resume")
