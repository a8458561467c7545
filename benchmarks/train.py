"""A training step of the baseline and of the full model beside torchreid's: same images, batch and trunk, in one run.

    python benchmarks/train.py [--torchreid CHECKOUT] [--batch 32] [--height 256] [--width 128] [--repeats 3]
                               [--profile paper] [--device cpu] [--json FILE]

The peer is the loop of torchreid's ImageTripletEngine on its ResNet-50 with the last stride taken out, as ours is, from
a source checkout that has what it imports (opencv, tensorboard); without `--torchreid` it is left out. Its checkout is
imported, and so executed. Each takes its turn, and the least of the repeats counts: CPU time on one thread (others may
run beside) and wall time on all; on a GPU the clock alone. Ratios are to the baseline's step: above 1 is slower.
`full, one of four` bends one image of each person for the equivariance loss, as the laptop profile does, not all.

On one thread of a busy machine, ResNet-50, 256 x 128, batch 32, torchreid's step took 1.15 times the baseline's CPU
time (1.5 times the wall time on two threads). Identity losses alone took 1.6 times, which is the encoder's six layers;
`full` 3.7 times, as trunk and encoder run twice.

`kept` is what a step holds of its forward pass for the backward one, in MiB, by the module that computes it: most of a
step's memory. `second pass` is the equivariance loss's.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from matlib import training
from matlib.ablations import row_config
from matlib.config import RunConfig, profile_names
from matlib.errors import MatlibError, command_line
from matlib.models import build_model
from matlib.objective import Objective
from matlib.runs.records import provenance

IDENTITIES = 751  # Market-1501's training people
ONE = "full, one of four"
STEPS = {"baseline": ("baseline", {}), "identity_only": ("identity_only", {}),
         "full": ("full", {"loss.eq_images": "all"}), ONE: ("full", {"loss.eq_images": "one_per_id"})}


class Ours:
    """A row's training step, as the trainer takes it from a batch that is at hand."""

    def __init__(self, config: RunConfig, images: torch.Tensor, identities: torch.Tensor):
        torch.manual_seed(0)
        model = training.lay_out(build_model(config.model, IDENTITIES).to(images.device), config.train).train()
        self.objective, self.clip = Objective(model, config.loss), config.train.clip
        self.optimizer = training._optimizer(model, config.train)
        self.images = images.to(memory_format=training.memory_format(config.train))
        self.identities = identities

    def __call__(self) -> None:
        total = self.forward()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.objective.parameters(), self.clip)
        self.optimizer.step()

    def forward(self) -> torch.Tensor:
        return self.objective(self.images, self.identities)[0]["total"]


def peer(checkout: Path, images: torch.Tensor, identities: torch.Tensor) -> Callable[[], object]:
    """torchreid's own step on the same batch. Raises MatlibError where the folder has no torchreid that imports."""
    sys.path.insert(0, str(checkout))
    try:
        triplet, resnet = (_module(name) for name in ("engine.image.triplet", "models.resnet"))
    except ImportError as error:
        raise MatlibError(f"{checkout} has no torchreid that can be imported: {error}; install what is missing, or "
                          "leave --torchreid out") from error
    torch.manual_seed(0)
    model = resnet.ResNet(IDENTITIES, "triplet", resnet.Bottleneck, [3, 4, 6, 3], last_stride=1).to(images.device)
    engine = triplet.ImageTripletEngine(
        SimpleNamespace(num_train_pids=IDENTITIES, train_loader=None, test_loader=None), model,
        torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4),
        use_gpu=images.device.type == "cuda", label_smooth=False)
    engine.set_model_mode("train")
    return lambda: engine.forward_backward({"img": images, "pid": identities})


def _module(name: str) -> object:
    """Of torchreid, whose packages have moved into ``reid``."""
    try:
        return importlib.import_module(f"torchreid.reid.{name}")
    except ModuleNotFoundError as error:
        if error.name != "torchreid.reid":
            raise
        return importlib.import_module(f"torchreid.{name}")


def measure(steps: dict[str, Callable[[], object]], device: torch.device, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of each: ``cpu`` on one thread and ``wall`` on all."""
    clocks = {"wall": (time.perf_counter, torch.get_num_threads())}
    if device.type == "cpu":
        clocks = {"cpu": (time.process_time, 1)} | clocks
    found: dict[str, dict[str, float]] = {name: {} for name in steps}
    for clock, (now, threads) in clocks.items():
        torch.set_num_threads(threads)
        for name in [*steps] * repeats:
            _wait(device)
            started = now()
            steps[name]()
            _wait(device)
            found[name][clock] = min(found[name].get(clock, float("inf")), now() - started)
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def kept(step: Ours) -> dict[str, float]:
    """MiB that the forward pass keeps, parameters left out, by the network's module; see above."""
    owner, bytes_of, seen = ["losses"], Counter(), {p.untyped_storage().data_ptr() for p in step.objective.parameters()}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            alive.append(tensor)  # else its place could be another's a moment later
            bytes_of[owner[-1]] += storage.nbytes()
        return tensor

    alive: list[torch.Tensor] = []
    with _owned(step.objective.model, owner), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        step.forward()
    return {name: count / 2**20 for name, count in bytes_of.most_common()}


@contextlib.contextmanager
def _owned(model: nn.Module, owner: list[str]) -> Iterator[None]:
    """While it lasts, the last of ``owner`` says whose forward pass runs."""
    passes: Counter[str] = Counter()

    def enter(name: str) -> None:
        passes[name] += 1
        owner.append(name if passes[name] == 1 else f"{name}, second pass")

    handles = [handle for name, module in model.named_children() for handle in (
        module.register_forward_pre_hook(lambda *_, name=name: enter(name)),
        module.register_forward_hook(lambda *_: owner.pop() and None))]
    yield
    for handle in handles:
        handle.remove()


def table(found: dict[str, dict[str, float]]) -> str:
    """A line a step: its times, and how many times the baseline's they are."""
    clocks = [*found["baseline"]]
    lines = ["".join([f"{'':20}", *(f"{clock + ', s':>10}{'ratio':>8}" for clock in clocks)])]
    for name, times in found.items():
        cells = (f"{times[clock]:10.2f}{times[clock] / found['baseline'][clock]:8.2f}" for clock in clocks)
        lines.append("".join([f"{name:20}", *cells]))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torchreid", type=Path, help="folder that holds torchreid's package torchreid/")
    parser.add_argument("--profile", default="paper", choices=profile_names())
    parser.add_argument("--batch", type=int, default=32, help="images, four of each person; default 32")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.batch < 8 or arguments.batch % 4:
        raise MatlibError(f"--batch is a multiple of 4 from 8 on, four images of each person; got {arguments.batch}")
    device = torch.device(arguments.device)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(arguments.batch, 3, arguments.height, arguments.width, generator=generator).to(device)
    identities = torch.arange(arguments.batch // 4, device=device).repeat_interleave(4)
    sizes = {"model.weights": "none", "data.height": arguments.height, "data.width": arguments.width}
    steps = {name: Ours(row_config(row, arguments.profile, 0, sizes | changes), images, identities)
             for name, (row, changes) in STEPS.items()}
    others = {"torchreid": peer(arguments.torchreid, images, identities)} if arguments.torchreid else {}
    found = measure(steps | others, device, arguments.repeats)
    memory = {row: kept(step) for row, step in steps.items()}
    sys.stdout.write(table(found) + "\n\nkept, MiB\n")
    for row, parts in memory.items():
        sys.stdout.write(f"{row:20}{sum(parts.values()):8.0f}: "
                         + ", ".join(f"{name} {size:.0f}" for name, size in parts.items()) + "\n")
    if arguments.json:
        record = {"seconds": found, "kept": memory, "batch": arguments.batch, "profile": arguments.profile,
                  "size": [arguments.height, arguments.width], "run": provenance(1, device)}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    command_line(main)
