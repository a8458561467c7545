"""The ceiling of part-aware methods: the baseline's trunk pooled over the *true* visible parts of a rendered image."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from matlib.config import ModelConfig
from matlib.models.descriptions import PartDescriptors
from matlib.models.equation9 import Reproduced
from matlib.models.heads import IdentityHead, PartHeads
from matlib.models.output import MATOutput, describe
from matlib.models.parts import pool_parts

#: Labels of Annyville's part masks that make a part here; left and right share one, so that a part is seen more often.
TRUE_PART_GROUPS: dict[str, tuple[int, ...]] = {
    "head": (1,), "torso": (2,), "arms": (3, 4, 5, 6), "thighs": (7, 8), "shanks": (9, 10), "feet": (11, 12),
    "carried": (13,),
}


class TruePartPooling(Reproduced):
    """What MAT would be if its part maps were the truth; no transformer, nothing to find.

    The global feature is the mean over all that is seen of the person, without the background. A test's distance
    counts the parts that both images show (``matlib.evaluation.part_distances``).

    Args:
        config: its trunk, neck and part head are used.
        identities: number of training identities.
    """

    truth = ("parts",)
    also_reads = frozenset({"model.part_head", "loss.identity_global", "loss.triplet_global", "loss.identity_part",
                            "loss.triplet_part"})

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        self.global_head = IdentityHead(self.trunk.channels, identities, config.neck)
        self.part_heads = PartHeads(len(TRUE_PART_GROUPS), self.trunk.channels, identities, config.neck,
                                    config.part_head)

    def forward(self, images: Float[Tensor, "b 3 height width"], parts: UInt8[Tensor, "b height width"]) -> MATOutput:
        features = self.trunk(images).float()
        weights = part_weights(parts, features.shape[-2:])
        part_features = pool_parts(features, weights)
        person = torch.stack([weights[:, 0], 1 - weights[:, 0]], dim=1)
        global_feature = pool_parts(features, person)[:, 0]
        global_after, global_logits = self.global_head(global_feature)
        parts_after, part_logits = self.part_heads(part_features)
        return MATOutput(
            global_feature=global_feature, global_logits=global_logits, part_features=part_features,
            descriptor=describe(self.config, [global_feature, part_features], [global_after, parts_after]),
            part_logits=part_logits, visibility=(weights[:, 1:].sum(dim=(2, 3)) > 0).float())

    def describe(self, output: MATOutput) -> PartDescriptors:
        return output.parted()


def part_weights(parts: UInt8[Tensor, "b height width"], size: tuple[int, int]) -> Float[Tensor, "b q h w"]:
    """Which share of each cell the groups of parts cover, the rest first (index 0); they sum to 1."""
    masks = torch.stack([torch.isin(parts, torch.tensor(labels, device=parts.device, dtype=parts.dtype))
                         for labels in TRUE_PART_GROUPS.values()], dim=1)
    shares = nn.functional.adaptive_avg_pool2d(masks.float(), size)
    return torch.cat([1 - shares.sum(dim=1, keepdim=True), shares], dim=1)
