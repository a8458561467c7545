"""OONet: one local feature a joint, without graphs; the first half of HOReID, which its authors published by itself.

Wang et al., "High-Order Information Matters: Learning Relation and Topology for Occluded Person Re-Identification"
(CVPR 2020), as reduced in the authors' toolbox light-reid. External input: the joints.

Faithful: the grouping of 17 joints to 13, the weights of vectors and losses, the terms, the descriptor. Of our own:

* Cells are weighed as in HOReID, by a softmax of 10 times the maps. The toolbox leaves out the factor, and recipe
  ``published`` with it, so that a vector of a joint is nearly the mean of all cells.
* The weights are the original's divided by 16, which Adam does not notice.
* The original drops the first ReLU of its ResNet-50; the trunk here is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from matlib.baselines.pose import heat_maps, in_pixels
from matlib.baselines.recipes import AFTER_STRONG_BASELINE
from matlib.config import ModelConfig, Positive, Weight
from matlib.geometry import full_precision
from matlib.models.heads import PartHeads
from matlib.models.method import Method, Step

GROUPS = ((0, 1, 2, 3, 4), *((joint,) for joint in range(5, 17)))
"""The joints of each local vector: the face's five are one, the head; then shoulders to ankles, left ones first."""

VECTORS = len(GROUPS) + 1
"""The last one is global."""

LIMB_PAIRS = tuple((left, left + 1) for left in range(1, len(GROUPS), 2))
"""Left and right, as places in ``GROUPS``."""

GLOBAL_CONFIDENCE = 16.0
"""Of the global vector in the descriptor, where those of the local ones sum to 1."""


@dataclass
class OONetOutput:
    vectors: Float[Tensor, "b 14 c"]
    """13 local ones, and the global one last."""
    after: Float[Tensor, "b 14 c"]
    """The vectors after their necks."""
    logits: list[Tensor]
    confidences: Float[Tensor, "b 14"]


class OONet(Method):
    """13 local vectors and a global one, each with an identity head whose loss the joint's confidence weighs."""

    @dataclass(frozen=True)
    class Settings:
        sharpness: Positive = 10.0
        """Factor on the heat maps before the softmax over the cells; published: 1."""
        sigma: Positive = 1.0
        """Of the heat maps, in cells."""
        margin: Weight = 0.0
        """Of the triplet's hinge; 0 is the soft margin; published: 0.3."""
        compare: Literal["sum", "concat"] = "sum"
        """What of the local vectors is compared: their weighted sum, as published, or each with its like."""

    truth = ("joints",)
    also_reads = frozenset({"data.joints"})
    ignores = frozenset({"model.descriptor"})
    weights = {"identity": 1.0, "triplet": 1.0, "symmetry": 0.125}
    # What cannot be said: Adam's own kind of weight decay, the second step at epoch 90 (here 80), the augmentation by
    # half of the image and by colour.
    published = AFTER_STRONG_BASELINE | {
        "model.method.margin": 0.3, "model.method.sharpness": 1.0, "train.images_per_identity": 6,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        self.local_heads = PartHeads(VECTORS, self.trunk.channels, identities, config.neck, "per_part")

    def forward(self, images: Float[Tensor, "b 3 height width"], joints: Float[Tensor, "b 17 3"]) -> OONetOutput:
        features = self.trunk(images).float()
        image_size = tuple(images.shape[-2:])
        maps = heat_maps(in_pixels(joints, image_size), image_size, tuple(features.shape[-2:]), self.settings.sigma)
        vectors, confidences = joint_features(features, maps, self.settings.sharpness)
        after, logits = self.local_heads(vectors)
        return OONetOutput(vectors, after.unflatten(1, (VECTORS, -1)), logits, confidences)

    def losses(self, output: OONetOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        return {"identity": confident_identity_loss(output.logits, step.identities, output.confidences,
                                                    step.config.label_smoothing),
                "triplet": step.triplet(output.vectors[:, -1], self.settings.margin or None),
                "symmetry": symmetry_loss(output.vectors, output.confidences)}

    def describe(self, output: OONetOutput) -> Float[Tensor, "b e"]:
        vectors = F.normalize(output.after.float(), p=1, dim=2)
        confidences = F.pad(output.confidences[:, :-1], (0, 1), value=GLOBAL_CONFIDENCE)
        join = summed_descriptor if self.settings.compare == "sum" else weighted_descriptor
        return join(vectors, confidences)


@full_precision
def group_maps(maps: Float[Tensor, "b 17 h w"]) -> tuple[Float[Tensor, "b 13 h w"], Float[Tensor, "b 13"]]:
    """The maps of ``GROUPS``, sums of their joints' maps, and confidences, means of their maxima, of L1 norm 1.

    Without any response all confidences are 0.
    """
    peaks = maps.amax(dim=(2, 3))
    confidences = torch.stack([peaks[:, group].mean(dim=1) for group in map(list, GROUPS)], dim=1)
    return torch.stack([maps[:, group].sum(dim=1) for group in map(list, GROUPS)], dim=1), F.normalize(confidences, p=1)


@full_precision
def joint_features(features: Float[Tensor, "b c h w"], maps: Float[Tensor, "b 17 ..."], sharpness: float = 10.0
                   ) -> tuple[Float[Tensor, "b 14 c"], Float[Tensor, "b 14"]]:
    """A vector a group of joints and a global one, with their confidences; the global one's is 1.

    Local ones are the sum of the cells weighted by a softmax, over the cells, of ``sharpness`` times the group's map,
    so that a group without any response has the mean of all cells, and confidence 0. The global one is the mean of the
    cells plus their maximum.

    Args:
        maps: of the 17 joints, heights up to 1; of another size than the features' they are resampled (bilinear).
    """
    if maps.shape[-2:] != features.shape[-2:]:
        maps = F.interpolate(maps, features.shape[-2:], mode="bilinear", align_corners=False)
    grouped, confidences = group_maps(maps)
    cells = features.flatten(2)
    local = torch.einsum("bkn,bcn->bkc", (sharpness * grouped.flatten(2)).softmax(dim=2), cells)
    whole = cells.mean(dim=2) + cells.amax(dim=2)
    return torch.cat([local, whole[:, None]], dim=1), F.pad(confidences, (0, 1), value=1.0)


@full_precision
def confident_identity_loss(logits: list[Float[Tensor, "b n"]], identities: Int[Tensor, "b"],
                            confidences: Float[Tensor, "b k"], label_smoothing: float = 0.0) -> Float[Tensor, ""]:
    """Softmax cross-entropy of each vector, weighted by its confidence; the mean over the batch, the sum over k."""
    entropies = torch.stack([F.cross_entropy(scores, identities.long(), reduction="none",
                                             label_smoothing=label_smoothing) for scores in logits], dim=1)
    return (confidences * entropies).sum(dim=1).mean()


@full_precision
def symmetry_loss(vectors: Float[Tensor, "b 14 c"], confidences: Float[Tensor, "b 14"]) -> Float[Tensor, ""]:
    """Left and right limbs look alike: the squared distance of each pair times its confidence, summed over the pairs.

    A pair's confidence is the mean of both, times 1 less their difference.
    """
    left, right = (list(side) for side in zip(*LIMB_PAIRS))
    squares = (vectors[:, left] - vectors[:, right]).square().sum(dim=2)
    one, other = confidences[:, left], confidences[:, right]
    return ((1 - (one - other).abs()) * (one + other) / 2 * squares).sum(dim=1).mean()


@full_precision
def summed_descriptor(vectors: Float[Tensor, "b k c"], confidences: Float[Tensor, "b k"]) -> Float[Tensor, "b 2*c"]:
    """The sum of the local vectors times the root of their confidences, beside the global, last one; of length 1."""
    weighted = confidences.sqrt()[..., None] * vectors
    return F.normalize(torch.cat([weighted[:, :-1].sum(dim=1), weighted[:, -1]], dim=1), dim=1)


@full_precision
def weighted_descriptor(vectors: Float[Tensor, "b k c"], confidences: Float[Tensor, "b k"]) -> Float[Tensor, "b k*c"]:
    """All vectors times the root of their confidences, one after the other; of length 1."""
    return F.normalize((confidences.sqrt()[..., None] * vectors).flatten(1), dim=1)
