"""One training on two machines: network namespaces with a cable between them, each with addresses of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matlib.runs import records

NODES = {"matlib-a": "10.213.0.1", "matlib-b": "10.213.0.2"}
PORT = 29411


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def machines() -> Iterator[None]:
    """Two namespaces; skips where they cannot be had."""
    first, second = NODES
    try:
        for name in NODES:
            _ip("netns", "add", name)
        _ip("link", "add", first, "netns", first, "type", "veth", "peer", "name", second, "netns", second)
        for name, address in NODES.items():
            _ip("-n", name, "address", "add", f"{address}/24", "dev", name)
            _ip("-n", name, "link", "set", name, "up")
            _ip("-n", name, "link", "set", "lo", "up")
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        _remove()
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', None) or error}")
    yield
    _remove()


def _remove() -> None:
    for name in NODES:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _training(root: Path, out: Path) -> list[str]:
    return ["-m", "matlib.training", "--profile", "smoke", "--row", "full", "--root", str(root), "--out", str(out),
            "--set", "train.epochs=1", "model.dropout=0", "train.optimizer=sgd", "train.lr=0.01"]


def _losses(out: Path) -> list[float]:
    return [loss for epoch in records.read_record(out)["history"] for loss in epoch["losses"].values()]


@pytest.mark.cluster
def test_two_machines_train_the_model_of_one(machines, tmp_path):
    """Dropout alone knows in which process an image is."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "matlib.annyville", "--preset", "tiny", "--protocol", "occluded", "--workers",
                    "1", "--out", str(tmp_path)], env=environment, check=True)
    subprocess.run([sys.executable, *_training(tmp_path, tmp_path / "one")], env=environment, check=True, timeout=900)
    nodes = [subprocess.Popen(
        ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank",
         str(rank), "--nproc-per-node", "1", "--master-addr", NODES["matlib-a"], "--master-port", str(PORT),
         *_training(tmp_path, tmp_path / "two")], env=environment | {"GLOO_SOCKET_IFNAME": name})
        for rank, name in enumerate(NODES)]
    try:
        assert [node.wait(timeout=900) for node in nodes] == [0, 0]
    finally:
        for node in nodes:
            node.kill()
    assert records.read_record(tmp_path / "two")["run"]["processes"] == 2
    assert _losses(tmp_path / "two") == pytest.approx(_losses(tmp_path / "one"), rel=1e-3)
