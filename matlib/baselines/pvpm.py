"""PVPM: Pose-Guided Visible Part Matching for Occluded Person ReID (Gao et al., CVPR 2020).

Two trainings in one run. First PCB with a reduction for each stripe. Then that network is frozen, and a small network
that sees only maps of the pose learns where parts are, in place of stripes, and how visible each is: with two images of
one person, the parts that fit each other, by themselves and in their differences from other parts, are taken for those
that both show. External input: the joints.

Faithful: both stages, attention and pooling, the choice of parts, its moving means, the terms, the distance of the
untrained part vectors weighted by both visibilities. Of our own:

* Convolutions with a shortcut stand for the pose network's two OSNet blocks.
* The pose is drawn from the joints, with values in 0..1 (``matlib.baselines.pose``); the original reads OpenPose's 18
  heat maps and 38 fields, with values up to 255.
* The isolate loss acts on the attention before each cell is given to one part, as the paper means it. The original
  applies it after that, where it is 0 whatever the attention is; recipe ``published`` has it so, by weight 0.
* Of the original's two distances this is the cosine's; they rank alike, but where a part attends to no cell.
* Moving means are those of the pairs of all processes.
* Under ``train.schedule=onecycle`` the second stage gets the last part of the one cycle, not a schedule of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from matlib.baselines.pose import LIMBS, heat_maps, in_pixels, part_affinity
from matlib.baselines.recipes import AFTER_PCB
from matlib.config import ModelConfig, Positive, Range, RunConfig, ShareBelowOne, Weight
from matlib.distributed import gather
from matlib.errors import MatlibError
from matlib.geometry import full_precision
from matlib.models.descriptions import PartDescriptors
from matlib.models.heads import PartHeads
from matlib.models.method import Batches, Method, Step
from matlib.models.parts import pool_parts
from matlib.models.stripes import bands

POSE_MAPS = 17 + 2 * len(LIMBS)
FINER = 4
"""So many cells of the pose's maps lie along one of the trunk's."""
MOMENTUM = 0.5
"""Of the moving means."""
PENALTY = 0.9
"""The share of the mean similarity that a part must exceed to be taken for visible by itself."""


@dataclass
class PVPMOutput:
    parts: Float[Tensor, "b k channels"]
    """Means of the trunk's cells: of stripes in the first stage's training, else under the attention."""
    logits: list[Tensor]
    attention: Float[Tensor, "b k h w"] | None = None
    """Before each cell is given to one part; None in the first stage's training, as the following."""
    visibilities: Float[Tensor, "b k"] | None = None


class PVPM(Method):
    """Stripes, then parts from the pose; each has a reduction and an identity head, and in the end a visibility."""

    @dataclass(frozen=True)
    class Settings:
        parts: Annotated[int, Range(2, 12)] = 6
        """The choice of visible ones tries all 2^parts."""
        first_stage: ShareBelowOne = 2 / 3
        """Of the epochs, rounded down: there the stripes are trained, and in the others the pose network."""
        isolate: Weight = 0.1
        """Weight of the loss of parts that share cells; in the original without effect."""
        sigma: Positive = 2.0
        """Of the heat maps, in cells of the pose's maps."""
        limb: Positive = 2.0
        """Width of the limbs, in the same cells."""

    truth = ("joints",)
    also_reads = frozenset({"data.joints", "model.width"})
    ignores = frozenset({"loss.triplet_distance", "model.descriptor"})
    # What cannot be said: Nesterov's momentum; batches without regard of identities in the first stage; a rate of 0.02
    # for reductions and pose network, too; its steps at epochs 25 and 50, and, from 0.02 again, at 15 and 25 of the
    # second stage. One step at 40 serves both stages best.
    published = AFTER_PCB | {
        "model.neck": "none", "model.method.isolate": 0.0,
        "train.epochs": 90, "train.identities_per_batch": 8, "train.images_per_identity": 4, "train.head_lr": 2.0,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        count = self.settings.parts
        self.reductions = nn.ModuleList(_reduction(self.trunk.channels, config.width) for _ in range(count))
        self.part_heads = PartHeads(count, config.width, identities, config.neck, "per_part")
        self.learns_pose = False
        self._first = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self.pose_net = PoseNet(count)
        self.register_buffer("penalty", torch.full((count,), PENALTY))
        self.register_buffer("mean_edges", torch.zeros(count, count))

    @property
    def weights(self) -> dict[str, float]:
        return {"isolate": self.settings.isolate}

    @classmethod
    def leaves_unused(cls, config: RunConfig) -> bool:
        """True: either stage trains what the other leaves."""
        return True

    def begin_epoch(self, epoch: int, epochs: int, images: Batches) -> None:
        """Begin the second stage where it is due: all but the pose network is frozen, its statistics as well."""
        self.learns_pose = epoch >= int(self.settings.first_stage * epochs)
        for parameter in self._first:
            parameter.requires_grad_(not self.learns_pose)
        self.train(self.training)

    def train(self, mode: bool = True) -> PVPM:
        """As of any module, but what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.learns_pose:
            for module in (self.trunk, self.reductions, self.part_heads):
                module.eval()
        return self

    def forward(self, images: Float[Tensor, "b 3 height width"], joints: Float[Tensor, "b 17 3"]) -> PVPMOutput:
        """By stripes while these are trained; else, and whenever it is evaluated, by the pose."""
        features = self.trunk(images).float()
        if self.training and not self.learns_pose:
            maps = bands(*features.shape[-2:], self.settings.parts).to(features).expand(len(features), -1, -1, -1)
            parts = pool_parts(features, maps)
            return PVPMOutput(parts, self._logits(parts))
        attention, visibilities = self.pose_net(self._pose(joints, images, features))
        parts = attended_parts(features, attention)
        return PVPMOutput(parts, self._logits(parts), attention, visibilities)

    def losses(self, output: PVPMOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        """The identities' alone in the first stage. Raises MatlibError for a batch without two images of one person."""
        terms = {"identity": torch.stack([step.identity(logits) for logits in output.logits]).sum()}
        if output.visibilities is None:
            return terms
        a, b = positive_pairs(step.identities)
        similarities, edges = pair_similarities(output.parts[a], output.parts[b])
        affinity = affinity_matrix(similarities, edges, self.mean_edges)
        chosen = pseudo_visibility(affinity, self.penalty)
        likeness = likeness_within(output.parts)
        self._track(similarities.detach(), edges.detach())
        return terms | {"matching": matching_loss(affinity, chosen, likeness[a], likeness[b]),
                        "visibility": visibility_loss(output.visibilities[a], output.visibilities[b], chosen),
                        "isolate": isolate_loss(output.attention)}

    def describe(self, output: PVPMOutput) -> PartDescriptors:
        """Part distances weigh by the root of the product of both visibilities, PVPM by the product: hence the square.

        Stripes, of which no visibility is known, are all visible.
        """
        seen = output.visibilities
        return PartDescriptors(output.parts,
                               output.parts.new_ones(output.parts.shape[:2]) if seen is None else seen.square())

    def _logits(self, parts: Float[Tensor, "b k c"]) -> list[Float[Tensor, "b n"]]:
        reduced = [reduce(part) for reduce, part in zip(self.reductions, parts.unbind(1), strict=True)]
        return self.part_heads(torch.stack(reduced, dim=1))[1]

    def _pose(self, joints: Tensor, images: Tensor, features: Tensor) -> Float[Tensor, "b maps h w"]:
        image_size = tuple(images.shape[-2:])
        size = tuple(FINER * cells for cells in features.shape[-2:])
        joints = in_pixels(joints, image_size)
        return torch.cat([heat_maps(joints, image_size, size, self.settings.sigma),
                          part_affinity(joints, image_size, size, self.settings.limb)], dim=1)

    def _track(self, similarities: Float[Tensor, "n k"], edges: Float[Tensor, "n k k"]) -> None:
        """Move the means towards those of the batch, after they were used for it."""
        for buffer, values, share in ((self.penalty, similarities, PENALTY), (self.mean_edges, edges, 1.0)):
            buffer.lerp_(share * gather(values.mean(dim=0)[None]).mean(dim=0), 1 - MOMENTUM)


class PoseNet(nn.Module):
    """From maps of the pose to attention on the trunk's map, and to how visible each part is."""

    def __init__(self, parts: int, width: int = 32):
        super().__init__()
        self.body = nn.Sequential(
            _convolution(POSE_MAPS, width, 7), nn.MaxPool2d(3, stride=2, padding=1), Shortcut(width),
            _convolution(width, width, 1), nn.AvgPool2d(2), Shortcut(width), _convolution(width, width, 3))
        self.attend = nn.Sequential(nn.Conv2d(width, parts, kernel_size=1, bias=False), nn.BatchNorm2d(parts),
                                    nn.Sigmoid())
        self.see = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, parts, bias=False),
                                 nn.BatchNorm1d(parts), nn.Sigmoid())

    def forward(self, pose: Float[Tensor, "b maps height width"]
                ) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b k"]]:
        """Attention, on a map of a quarter of the pose's height and width, and visibilities; both in 0..1."""
        seen = self.body(pose)
        return self.attend(seen), self.see(seen)


class Shortcut(nn.Module):
    """Two convolutions, added to what they see."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(_convolution(width, width, 3), nn.Conv2d(width, width, 3, padding=1, bias=False),
                                  nn.BatchNorm2d(width))

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        return F.relu(x + self.body(x))


def _convolution(channels: int, width: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, size, padding=size // 2, bias=False), nn.BatchNorm2d(width),
                         nn.ReLU())


def _reduction(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, width), nn.BatchNorm1d(width), nn.ReLU())


@full_precision
def attended_parts(features: Float[Tensor, "b c h w"], attention: Float[Tensor, "b k h w"]
                   ) -> Float[Tensor, "b k c"]:
    """mean(F A_k) / (mean A_k + 1e-6) of the attention A_k of each part, of which the cells count that no other
    part attends to more.

    A part without any cell has zeros.
    """
    winner = torch.zeros_like(attention).scatter(1, attention.argmax(dim=1, keepdim=True), 1.0)
    masked = F.pad(winner * attention, (0, 0, 0, 0, 1, 0))
    return pool_parts(features, masked, "gap") / (masked[:, 1:].mean(dim=(2, 3))[..., None] + 1e-6)


@full_precision
def isolate_loss(attention: Float[Tensor, "b k h w"]) -> Float[Tensor, ""]:
    """The sum over parts i != j of their attention's cosine, the mean over the batch; 0 where no cell is shared."""
    maps = F.normalize(attention.flatten(2), dim=2)
    return (maps.sum(dim=1).square().sum(dim=1) - maps.square().sum(dim=(1, 2))).mean()


def positive_pairs(identities: Int[Tensor, "b"]) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
    """The images a < b of all pairs that show the same person. Raises MatlibError where there is none."""
    a, b = torch.triu(identities[:, None] == identities, diagonal=1).nonzero(as_tuple=True)
    if len(a) == 0:
        raise MatlibError("PVPM learns what is visible from two images of one person, and a batch has none: "
                          "set train.images_per_identity to 2 or more")
    return a, b


@full_precision
def pair_similarities(a: Float[Tensor, "n k c"], b: Float[Tensor, "n k c"]
                      ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k k"]]:
    """How like two images' parts are: s_i = cos(f_i^a, f_i^b), E_ij = cos(f_i^a - f_j^a, f_i^b - f_j^b), E_ii = 0."""
    differences = [F.normalize(parts[:, :, None] - parts[:, None], dim=3) for parts in (a, b)]
    return F.cosine_similarity(a, b, dim=2), (differences[0] * differences[1]).sum(dim=3)


def affinity_matrix(similarities: Float[Tensor, "n k"], edges: Float[Tensor, "n k k"],
                    mean_edges: Float[Tensor, "k k"]) -> Float[Tensor, "n k k"]:
    """W = diag(s) + E - the moving mean of E."""
    return torch.diag_embed(similarities) + edges - mean_edges


def selections(count: int) -> Bool[Tensor, "choices k"]:
    """All 2^k choices among k parts, none of them first."""
    return (torch.arange(2**count)[:, None] >> torch.arange(count - 1, -1, -1)) % 2 == 1


@torch.no_grad()
@full_precision
def pseudo_visibility(affinity: Float[Tensor, "n k k"], penalty: Float[Tensor, "k"]) -> Float[Tensor, "n k"]:
    """x* = argmax over x in {0, 1}^k of x'Wx - l'x, the parts taken for visible in both images; no gradient.

    All zeros where no choice is worth more than that.
    """
    choices = selections(affinity.shape[-1]).to(affinity)
    values = torch.einsum("xi,nij,xj->nx", choices, affinity, choices) - choices @ penalty
    return choices[values.argmax(dim=1)]


@full_precision
def likeness_within(parts: Float[Tensor, "b k c"]) -> Float[Tensor, "b k"]:
    """m_i: the mean cosine of a part with the other parts of its image."""
    directions = F.normalize(parts, dim=2)
    others = directions.sum(dim=1, keepdim=True) - directions
    return (directions * others).sum(dim=2) / (parts.shape[1] - 1)


@full_precision
def matching_loss(affinity: Float[Tensor, "n k k"], chosen: Float[Tensor, "n k"], likeness_a: Float[Tensor, "n k"],
                  likeness_b: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """The mean over pairs of -x'Wx + (m^a + m^b)'x / 2: chosen parts fit each other, and differ within an image."""
    fit = torch.einsum("ni,nij,nj->n", chosen, affinity, chosen)
    return ((likeness_a + likeness_b) * chosen / 2).sum(dim=1).sub(fit).mean()


@full_precision
def visibility_loss(a: Float[Tensor, "n k"], b: Float[Tensor, "n k"], chosen: Float[Tensor, "n k"]
                    ) -> Float[Tensor, ""]:
    """Binary cross-entropy of the product of two images' visibilities to the parts chosen; the mean over all."""
    return F.binary_cross_entropy(a * b, chosen)
