"""What a build on a cluster tells, from what SLURM and Snakemake say; tests/cluster has a real one."""

import importlib.util
import shutil
import subprocess
import sys

import cluster
import pytest
from pipeline import REPOSITORY

WAITING = cluster.Job("7", 0, "PENDING", "Priority")


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_what_a_cluster_wants_is_one_sentence(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert '".[cluster]"' in cluster.missing(name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert cluster.PARTS[name][1] in cluster.missing(name)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert cluster.missing(name) is None and cluster.missing("local") is None


def test_it_is_all_that_the_build_says():
    said = subprocess.run([sys.executable, "-S", REPOSITORY / "workflow" / "cluster.py", "slurm"],  # -S: no packages
                          capture_output=True, text=True)
    assert said.returncode == 1 and said.stdout == "" and said.stderr.startswith("error: ON=slurm needs")
    assert len(said.stderr.splitlines()) == 1


def test_a_refused_job_and_one_that_ended_are_told_apart(tmp_path):
    refused = ("SLURM sbatch failed. The error message was 'sbatch: error: too much\nsbatch: error: not available'.\n"
               "    sbatch call:\n        sbatch --parsable --wrap='x'.\n")
    assert cluster.failure(refused, []).startswith(": SLURM refused the job: too much; not available (")
    ended = "SLURM-job '12' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable"
    log = tmp_path / "12.log"
    assert cluster.failure(ended, [str(log)]).startswith(": SLURM job 12 ran out of its time")
    log.write_text("error: first\nerror: last\nStopped.\n")
    assert cluster.failure(ended, [str(log)]).endswith(f", error: last (log: {log})")
    node = "SLURM-job '9' failed due to a node failure, SLURM status is: 'NODE_FAIL'. Failed nodes"
    assert cluster.failure(node, []) == ": SLURM job 9 lost its node"
    assert cluster.failure(None, []) == ""


def test_each_reason_to_wait_is_told_once():
    watch = cluster.Watch(REPOSITORY)
    others = [cluster.Job("8", 0, "PENDING", "Priority"), cluster.Job("9", 0, "RUNNING", "None")]
    assert watch.news([WAITING, *others]) == [
        "2 jobs wait in SLURM behind jobs of a higher priority: Priority"]
    assert watch.news([WAITING]) == []
    assert watch.news([]) == watch.news([WAITING]) == []
    assert watch.news([cluster.Job("7", 0, "PENDING", "QOSLimit")]) == ["1 job waits in SLURM: QOSLimit"]


def test_a_job_that_slurm_starts_again_is_told_each_time():
    watch = cluster.Watch(REPOSITORY)
    told = [watch.news([cluster.Job("7", restarts, "RUNNING", "None")]) for restarts in (0, 1, 1, 2)]
    assert [len(lines) for lines in told] == [0, 1, 0, 1] and "job 7" in told[1][0]


def test_the_queue_is_read_by_its_columns(monkeypatch, tmp_path):
    here = tmp_path / "a build"
    reason = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"

    def line(*values):
        return "".join(str(value).ljust(width) for value, width in zip(values, cluster.FIELDS.values(), strict=True))

    lines = [line(5, 1, "PENDING", "matlib_x", reason, here), line(6, 0, "RUNNING", "matlib_x", "None", tmp_path),
             line(7, 0, "RUNNING", "shell", "None", here)]
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options:
                        subprocess.CompletedProcess(arguments, 0, stdout="\n".join(lines)))
    assert cluster.jobs(here) == [cluster.Job("5", 1, "PENDING", reason)]
    assert "drained or reserved: Nodes required" in cluster.Watch(here).news(cluster.jobs(here))[-1]


def test_where_slurm_does_not_answer_no_job_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cluster.jobs(tmp_path) == []
