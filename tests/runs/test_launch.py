"""Trainings in processes of their own: what listens while they run, and how they end."""

import os
import subprocess
import sys
import time
from ipaddress import ip_address

import psutil
import pytest
from builders import write_annyville

from matlib.ablations import row_config
from matlib.distributed import in_processes
from matlib.errors import MatlibError
from matlib.runs import records
from matlib.runs.launch import command


def config(root, **changes):
    return row_config("baseline", "smoke", 0, {
        "data.dataset": "annyville-occluded", "data.root": str(root), "train.identities_per_batch": 2, **changes})


def _listening(process: psutil.Process) -> set[str]:
    """The addresses on which a process and its descendants listen."""
    addresses = set()
    for one in [process, *process.children(recursive=True)]:
        try:
            addresses |= {c.laddr.ip for c in one.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        except psutil.Error:  # it has ended
            continue
    return addresses


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("processes", [1, 2])
def test_nothing_listens_for_other_machines_while_a_training_runs(tmp_path, processes):
    write_annyville(tmp_path)
    seen = set()
    training = subprocess.Popen(command(config(tmp_path), tmp_path / "run", processes),
                                env={**os.environ, "OMP_NUM_THREADS": "1"})
    while training.poll() is None:
        seen |= _listening(psutil.Process(training.pid))
        time.sleep(0.02)
    assert training.returncode == 0
    assert records.read_record(tmp_path / "run")["run"]["processes"] == processes
    assert all(ip_address(address).is_loopback for address in seen), seen
    assert bool(seen) == (processes > 1)  # the processes of one training do talk, and were seen to


def test_of_several_processes_one_says_what_is_wrong_and_all_end(tmp_path):
    write_annyville(tmp_path)
    end = subprocess.run(command(config(tmp_path, **{"train.identities_per_batch": 7}), tmp_path / "run", 2),
                         capture_output=True, text=True, timeout=120)
    assert end.returncode == 2 and "error: " in end.stderr and "Traceback" not in end.stderr


@pytest.mark.parametrize("count", [0, -1])
def test_no_process_is_refused(count):
    with pytest.raises(MatlibError, match="--processes is 1 or more"):
        in_processes(count, print)
