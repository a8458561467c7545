"""The ceiling of part-aware methods: the baseline's trunk pooled over the *true* visible parts of a rendered image.

With its settings the ceiling is taken apart: each ingredient can be left out, or added to the baseline.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from matlib.config import Count, ModelConfig, RunConfig, read_settings
from matlib.errors import MatlibError
from matlib.models.descriptions import PartDescriptors
from matlib.models.equation9 import Reproduced
from matlib.models.heads import IdentityHead, PartHeads
from matlib.models.output import MATOutput, describe
from matlib.models.parts import foreground, pool_parts
from matlib.models.stripes import bands
from matlib.models.transformer import ENCODER_SETTINGS, CellEncoder

#: Labels of Annyville's part masks that make a part here; left and right share one, so that a part is seen more often.
TRUE_PART_GROUPS: dict[str, tuple[int, ...]] = {
    "head": (1,), "torso": (2,), "arms": (3, 4, 5, 6), "thighs": (7, 8), "shanks": (9, 10), "feet": (11, 12),
    "carried": (13,),
}


class TruePartPooling(Reproduced):
    """What MAT would be if its part maps were the truth; no transformer, nothing to find.

    The global feature is the mean over all that is seen of the person, without the background. A test's distance
    counts the parts that both images show (``matlib.evaluation.part_distances``). Each of these ingredients can be left
    out, down to the baseline, and the encoder be put before them.

    Args:
        config: its trunk, neck and part head are used, and the transformer's sizes where cells are ``encoded``.
        identities: number of training identities.
    """

    @dataclass(frozen=True)
    class Settings:
        person: bool = True
        """Only what is seen of the person is pooled; else every cell."""
        cut: Literal["parts", "rows", "nothing"] = "parts"
        """What is pooled beside the global feature: body parts, or horizontal stripes, or nothing."""
        rows: Count = len(TRUE_PART_GROUPS)
        """The number of stripes."""
        distance: Literal["visible", "all"] = "visible"
        """Compared: the parts that both images show, or the vector of all of them."""
        encoded: bool = False
        """MAT's encoder, in which cells see each other, comes before the pooling."""

    truth = ("parts",)
    also_reads = frozenset({"loss.identity_global", "loss.triplet_global"})

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        own, channels = self.settings, self.trunk.channels
        if own.cut == "parts" and not own.person:
            raise MatlibError("body parts are of the person: model.method.person=false goes with "
                              "model.method.cut=rows or nothing")
        if own.encoded:
            self.mix = CellEncoder(channels, config)
            channels = config.width
        self.global_head = IdentityHead(channels, identities, config.neck)
        if own.cut != "nothing":
            count = own.rows if own.cut == "rows" else len(TRUE_PART_GROUPS)
            self.part_heads = PartHeads(count, channels, identities, config.neck, config.part_head)

    def forward(self, images: Float[Tensor, "b 3 height width"], parts: UInt8[Tensor, "b height width"]) -> MATOutput:
        features = self.trunk(images)
        if self.settings.encoded:
            features = self.mix(features)
        features, shares = features.float(), part_weights(parts, features.shape[-2:])
        person = foreground(shares) if self.settings.person else foreground(torch.zeros_like(shares))
        global_feature = pool_parts(features, person)[:, 0]
        after, logits = self.global_head(global_feature)
        output = MATOutput(global_feature=global_feature, global_logits=logits,
                           descriptor=describe(self.config, [global_feature], [after]))
        return output if self.settings.cut == "nothing" else self._with_parts(output, after, features, shares, person)

    def _with_parts(self, output: MATOutput, after: Tensor, features: Tensor, shares: Tensor, person: Tensor
                    ) -> MATOutput:
        weights = shares
        if self.settings.cut == "rows":
            weights = person[:, 1:] * bands(*features.shape[-2:], self.settings.rows).to(features)
        part_features = pool_parts(features, weights)
        parts_after, logits = self.part_heads(part_features)
        return replace(output, part_features=part_features, part_logits=logits,
                       visibility=(weights[:, 1:].sum(dim=(2, 3)) > 0).float(),
                       descriptor=describe(self.config, [output.global_feature, part_features], [after, parts_after]))

    def describe(self, output: MATOutput) -> Tensor | PartDescriptors:
        if self.settings.cut == "nothing" or self.settings.distance == "all":
            return output.descriptor
        return output.parted()

    @classmethod
    def reads(cls, config: RunConfig) -> set[str]:
        own = read_settings(cls.Settings, config.model.method)
        names = super().reads(config)
        if own.cut != "nothing":
            names |= {"model.part_head", "loss.identity_part", "loss.triplet_part"}
        return names | ENCODER_SETTINGS if own.encoded else names


def part_weights(parts: UInt8[Tensor, "b height width"], size: tuple[int, int]) -> Float[Tensor, "b q h w"]:
    """Which share of each cell the groups of parts cover, the rest first (index 0); they sum to 1."""
    masks = torch.stack([torch.isin(parts, torch.tensor(labels, device=parts.device, dtype=parts.dtype))
                         for labels in TRUE_PART_GROUPS.values()], dim=1)
    shares = nn.functional.adaptive_avg_pool2d(masks.float(), size)
    return torch.cat([1 - shares.sum(dim=1, keepdim=True), shares], dim=1)
