"""Where the time of a training step goes: the share of each part, forward and backward.

    python benchmarks/step.py [--profile laptop] [--device cpu] [--repeats 5] [--channels-last true|false]
                              [--compile inductor] [--set model.parts=6] [--json FILE]

Each part of a step on random images runs alone, from inputs that are at hand, with its backward pass; the parts take
turns, and the least of the repeats counts. On a CPU it is CPU time (others may run beside), on a GPU the clock. Shares
are of the parts' sum, which stands beside the time of a whole step: the two should be alike. `second pass` is what an
image costs in the equivariance loss beside what it costs in trunk, encoder, decoder and heads: 1 is one more forward
and backward pass of these, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from matlib import training
from matlib.ablations import row_config
from matlib.config import RunConfig, profile_names
from matlib.geometry import Keypoints, ThinPlateSpline
from matlib.losses import equivariance_loss, feature_consistency_loss
from matlib.models import MAT, build_model
from matlib.models.equation9 import consistency_options, identity_terms
from matlib.models.method import Step
from matlib.models.parts import pool_parts
from matlib.models.transformer import place
from matlib.objective import Objective
from matlib.runs.records import provenance

IDENTITIES = 80
"""Classes of the identity heads, as many as Annyville's small preset trains on."""
FIRST = ("trunk", "encoder", "decoder and heads")
SECOND = "equivariance, second pass"


class Parts:
    """One training step and its parts, each a method that does it once, forward and backward."""

    def __init__(self, config: RunConfig, device: torch.device):
        torch.manual_seed(config.seed)
        self.config = config
        self.model: MAT = training.lay_out(build_model(config.model, IDENTITIES).to(device), config.train).train()
        self.objective = Objective(self.model, config.loss, config.seed)
        self.optimizer = training._optimizer(self.model, config.train)
        people, each = config.train.identities_per_batch, config.train.images_per_identity
        self.y = torch.arange(people, device=device).repeat_interleave(each)
        self.images = torch.randn(len(self.y), 3, config.data.height, config.data.width).to(
            device, memory_format=training.memory_format(config.train))
        self.step = Step(self.images, self.y, config=config.loss)
        copies = people if config.loss.eq_images == "one_per_id" else len(self.y)
        self.chosen = self.images[:copies]
        self.spline = ThinPlateSpline.random(copies, generator=torch.Generator().manual_seed(0)).to(device)
        self.whole()  # memory is at hand, gradients and the optimiser's state are there
        with torch.no_grad():
            self.output = self.model(self.images)
            self.features_of_trunk = self.model.trunk(self.images)
            self.cells, self.position = self._encode(self.features_of_trunk)
            self.warped = self.spline.warp_images(self.chosen)

    def parts(self) -> dict[str, Callable[[], object]]:
        output = self.output
        maps = output.features, output.part_maps
        return {
            "trunk": lambda: _pass(self.model.trunk, self.images),
            "encoder": lambda: _pass(lambda x: self._encode(x)[0], self.features_of_trunk),
            "decoder and heads": lambda: _pass(self._decode, self.cells),
            "pooling, necks, identity and triplet": lambda: _pass(self._identify, *maps),
            "flow, warp and divergence": lambda: _pass(self._compare, *maps, *output.keypoints),
            "spline warp of images": lambda: self.spline.warp_images(self.chosen),
            SECOND: lambda: _pass(self._follow, *output.keypoints),
            "optimiser": self.optimizer.step,
        }

    def whole(self) -> None:
        total = self.objective(self.images, self.y)[0]["total"]
        total.backward()
        self.optimizer.step()

    def _encode(self, trunk: Tensor) -> tuple[Tensor, Tensor | float]:
        reduced = self.model.reduce(trunk)
        cells = reduced.flatten(2).transpose(1, 2)
        cells, position = place(cells, *reduced.shape[-2:], self.config.model.width, self.config.model.pos_embed)
        return self.model.encoder(cells, position), position

    def _decode(self, cells: Tensor) -> Tensor:
        queries = self.model.decoder(cells, self.position)
        features = cells.transpose(1, 2).unflatten(2, self.output.features.shape[-2:])
        maps, _ = self.model.part_branch(queries[:, :self.config.model.parts + 1], features)
        keypoints, _ = self.model._locate(features, queries)
        return maps.square().sum() + keypoints.positions.sum() + keypoints.jacobians.sum()

    def _identify(self, features: Tensor, maps: Tensor) -> Tensor:
        mean, pooled = features.float().mean(dim=(2, 3)), pool_parts(features, maps, self.config.model.part_pool)
        output = replace(self.output, global_feature=mean, global_logits=self.model.global_head(mean)[1],
                         part_features=pooled, part_logits=self.model.part_heads(pooled)[1])
        return sum(identity_terms(output, self.step).values())

    def _compare(self, features: Tensor, maps: Tensor, positions: Tensor, jacobians: Tensor) -> Tensor:
        return feature_consistency_loss(features, Keypoints(positions, jacobians), maps, self.y,
                                        **consistency_options(self.config.loss))

    def _follow(self, positions: Tensor, jacobians: Tensor) -> Tensor:
        copies = slice(len(self.chosen))
        original = Keypoints(positions[copies], jacobians[copies])
        return sum(equivariance_loss(original, self.model.locate(self.warped), self.spline))


def _pass(function: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Forward and backward, to the parameters and to inputs that are no images."""
    leaves = [x.detach().requires_grad_(x.shape[1] != 3 or x.ndim != 4) for x in inputs]
    output = function(*leaves)
    output.backward(torch.ones_like(output))


def measure(config: RunConfig, device: torch.device, repeats: int) -> dict[str, object]:
    """Seconds and share of each part, of the whole step, and what the second pass costs."""
    step = Parts(config, device)
    pieces = step.parts() | {"whole": step.whole}
    best = dict.fromkeys(pieces, float("inf"))
    for _ in range(repeats):
        for name, piece in pieces.items():
            step.optimizer.zero_grad(set_to_none=False)
            started = _now(device)
            piece()
            best[name] = min(best[name], _now(device) - started)
    whole = best.pop("whole")
    total = sum(best.values())
    first = sum(best[name] for name in FIRST) / len(step.images)
    return {"seconds": best, "shares": {name: value / total for name, value in best.items()}, "step": whole,
            "sum": total, "second_pass": best[SECOND] / len(step.chosen) / first,
            "images": len(step.images), "copies": len(step.chosen)}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def table(found: dict[str, object]) -> str:
    lines = [f"{name:38}{1000 * found['seconds'][name]:10.1f} ms{100 * share:7.1f} %"
             for name, share in found["shares"].items()]
    return "\n".join([
        *lines, f"{'sum of the parts':38}{1000 * found['sum']:10.1f} ms",
        f"{'a whole step':38}{1000 * found['step']:10.1f} ms, {found['images'] / found['step']:.1f} images/s",
        f"second pass, an image: {found['second_pass']:.2f} of {', '.join(FIRST)}"
        f" ({found['copies']} of {found['images']} images)"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="laptop", choices=profile_names())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--channels-last", default="true", choices=("true", "false"))
    parser.add_argument("--compile", default="no", choices=("no", "inductor", "eager"))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings, as model.parts=6")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    changes = {"model.weights": "none", "train.channels_last": arguments.channels_last,
               "train.compile": arguments.compile} | dict(setting.split("=", 1) for setting in arguments.set)
    config = row_config("full", arguments.profile, 0, changes)
    device = torch.device(arguments.device)
    found = measure(config, device, arguments.repeats)
    sys.stdout.write(table(found) + "\n")
    if arguments.json:
        record = found | {"config": config.to_dict(), "run": provenance(1, device)}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
