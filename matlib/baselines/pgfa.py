"""PGFA: Pose-Guided Feature Alignment for Occluded Person Re-Identification (Miao et al., ICCV 2019).

A global vector that knows where the joints are, and stripes of which only those are compared that show a joint in both
images. External input: the joints.

Faithful: the guided vector, the stripes, the rule of visibility, the weight of the losses, the shared-region distance,
and that the stripes compared are the raw means of the trunk's cells, not the vectors that the classifiers train.
Of our own:

* On features of both signs an empty map's mean, 0, would win the maximum over joints. Joints that are not detected are
  left out of it; after a ReLU, as in the original, this changes nothing.
* The original chooses the person with the most confident points; ``joints`` has one person.
* The original draws its batches without regard of identities; here a batch is some images of each, as everywhere.
* The average precision of the paper's table is the trapezoid's (``average_precision="trapezoid"``), a little lower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from matlib.baselines.pose import detected, heat_maps, in_pixels
from matlib.baselines.recipes import AFTER_PCB
from matlib.config import Count, ModelConfig, Positive, Share, ShareBelowOne
from matlib.geometry import full_precision
from matlib.models.descriptions import PartDescriptors
from matlib.models.heads import IdentityHead
from matlib.models.method import Method, Step
from matlib.models.parts import pool_parts
from matlib.models.stripes import bands

FEWEST_JOINTS = 3
"""With fewer joints than these a pose says nothing of what is hidden."""


@dataclass
class PGFAOutput:
    global_after: Float[Tensor, "b d"]
    global_logits: Float[Tensor, "b identities"]
    stripes: Float[Tensor, "b p channels"]
    """Raw means of the trunk's cells."""
    stripes_after: Float[Tensor, "b p d"]
    stripe_logits: list[Tensor]
    visible: Bool[Tensor, "b p"]


class PGFA(Method):
    """A pose-guided global vector, p stripes, a classifier each, and the visible stripes compared."""

    @dataclass(frozen=True)
    class Settings:
        stripes: Count = 3
        """6 for Market-1501 and Partial-REID."""
        partial: Share = 0.2
        """lambda: the stripes' share of the loss; the rest is the global vector's."""
        compare: Literal["raw", "trained"] = "raw"
        """The stripes that are compared: means of the trunk's cells, as in the original, or the trained vectors."""
        dropout: ShareBelowOne = 0.0
        """Before the reduction and before the classifier; published: 0.5."""
        sigma: Positive = 1.0
        """Of the heat maps, in cells."""

    truth = ("joints",)
    also_reads = frozenset({"data.joints", "model.width"})
    ignores = frozenset({"loss.triplet_distance", "model.descriptor"})
    # Nesterov's momentum, and batches of 32 images drawn without regard of identities, cannot be said.
    published = AFTER_PCB | {
        "model.neck": "bnneck", "model.method.dropout": 0.5, "train.images_per_identity": 2,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        channels, dropout = self.trunk.channels, self.settings.dropout
        self.global_head = ReducedHead(2 * channels, config.width, identities, config.neck, dropout)
        self.stripe_heads = nn.ModuleList(ReducedHead(channels, config.width, identities, config.neck, dropout)
                                          for _ in range(self.settings.stripes))

    @property
    def weights(self) -> dict[str, float]:
        return {"identity_global": 1 - self.settings.partial, "identity_part": self.settings.partial}

    def forward(self, images: Float[Tensor, "b 3 height width"], joints: Float[Tensor, "b 17 3"]) -> PGFAOutput:
        features = self.trunk(images).float()
        size, image_size, count = tuple(features.shape[-2:]), tuple(images.shape[-2:]), self.settings.stripes
        joints = in_pixels(joints, image_size)
        found = detected(joints, image_size)
        maps = heat_maps(joints, image_size, size, self.settings.sigma)
        global_after, global_logits = self.global_head(pose_guided_feature(features, maps, found))
        stripes = pool_parts(features, bands(*size, count).to(features).expand(len(features), -1, -1, -1))
        after, logits = zip(*(head(stripe) for head, stripe in zip(self.stripe_heads, stripes.unbind(1), strict=True)))
        return PGFAOutput(global_after, global_logits, stripes, torch.stack(after, dim=1), list(logits),
                          stripe_visibility(joints[..., 1], found, image_size[0], count))

    def losses(self, output: PGFAOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        return {"identity_global": step.identity(output.global_logits),
                "identity_part": torch.stack([step.identity(logits) for logits in output.stripe_logits]).sum()}

    def describe(self, output: PGFAOutput) -> PartDescriptors:
        """Stripes, which of them are visible, and the global vector; the paper's score is 1 - distance / 2."""
        stripes = output.stripes if self.settings.compare == "raw" else output.stripes_after
        return PartDescriptors(stripes, output.visible, output.global_after)


class ReducedHead(nn.Module):
    """A reduction to d channels, then an identity head, with dropout before either classifier's input."""

    def __init__(self, channels: int, width: int, identities: int, neck: str, dropout: float):
        super().__init__()
        self.reduce = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, width))
        self.head = IdentityHead(width, identities, neck)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Float[Tensor, "b c"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b n"]]:
        """The reduced feature after the neck, and the logits."""
        after = self.head.neck(self.reduce(features))
        return after, self.head.classifier(self.dropout(after))


@full_precision
def pose_guided_feature(features: Float[Tensor, "b c h w"], maps: Float[Tensor, "b k h w"],
                        found: Bool[Tensor, "b k"] | None = None) -> Float[Tensor, "b 2*c"]:
    """[mean of F; largest over the joints of the mean of H_k F], channel by channel.

    Args:
        found: the joints that take part in the maximum; an image without any has 0 there. None: all do, whose empty
            maps then give 0, as in the original.
    """
    means = torch.einsum("bkhw,bchw->bkc", maps, features) / features[0, 0].numel()
    if found is not None:
        means = torch.where(found.any(dim=1, keepdim=True)[..., None],
                            means.masked_fill(~found[..., None], -torch.inf), 0)
    return torch.cat([features.mean(dim=(2, 3)), means.amax(dim=1)], dim=1)


def stripe_visibility(rows: Float[Tensor, "b k"], found: Bool[Tensor, "b k"], height: int, stripes: int
                      ) -> Bool[Tensor, "b p"]:
    """Which of p equal stripes of an image have a joint strictly inside; all, where fewer than 3 joints are found.

    Args:
        rows: y of the joints, in the unit of ``height``.
        found: the joints that count; in the original those of a confidence above 0.2.
    """
    edges = torch.arange(stripes + 1, device=rows.device) * (height / stripes)
    inside = (rows[:, None] > edges[:-1, None]) & (rows[:, None] < edges[1:, None])  # (b, p, k)
    few = found.sum(dim=1, keepdim=True) < FEWEST_JOINTS
    return (inside & found[:, None]).any(dim=2) | few
