"""PAT: Diverse Part Discovery, Occluded Person Re-identification with Part-Aware Transformer (Li et al., CVPR 2021).

MAT without motion: an encoder gives the cells their context, and learned prototypes, decoded against the cells, find
the parts. What keeps the parts apart is that each has to tell identities, and that no two are to say the same.

Faithful: the encoder's mean as the global feature; a mask a prototype, the sigmoid of a product with the cells, over
its sum; no background, and masks that may share a cell; identity and triplet loss of the global feature and of each
part; the parts' mean cosine as a loss of weight 1; all vectors compared as one. The authors have published no program,
so what the paper leaves open is read as it is for MAT, that the two differ in the motion alone: sizes, layers,
position, weights, optimiser, schedule. Three readings more:

* Parts are pooled from the encoder's cells, and the masks come from the decoded prototypes by MAT's embedding.
* Every part has a classifier of its own; losses of parts are means.
* The paper's 14 parts on Occluded-Duke are the published recipe's, where the default is ``model.parts``.

It needs no input beside the images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from matlib import losses
from matlib.baselines.recipes import AUGMENTED, RESNET_50
from matlib.config import ModelConfig, Weight
from matlib.errors import MatlibError
from matlib.models.embeddings import EmbeddingHead
from matlib.models.heads import IdentityHead, PartHeads
from matlib.models.method import Method, Step
from matlib.models.output import describe
from matlib.models.parts import pool_parts
from matlib.models.transformer import Decoder, Encoder, place, reduction


@dataclass
class PATOutput:
    """One pass of PAT; K parts, d channels."""

    global_feature: Float[Tensor, "b d"]
    global_after: Float[Tensor, "b d"]
    """After the neck."""
    global_logits: Float[Tensor, "b n"]
    part_masks: Float[Tensor, "b k h w"]
    """Each in 0..1 by itself."""
    part_features: Float[Tensor, "b k d"]
    parts_after: Float[Tensor, "b k*d"]
    part_logits: list[Tensor]


class PAT(Method):
    """Trunk, encoder, prototypes decoded to masks, a global head and one a part.

    Raises MatlibError for fewer than two parts.
    """

    @dataclass(frozen=True)
    class Settings:
        margin: Weight = 0.0
        """Of the triplets' hinge; 0 is the soft margin."""

    also_reads = frozenset(f"model.{name}" for name in (
        "width", "heads", "feedforward", "dropout", "encoder_layers", "decoder_layers", "parts", "pos_embed",
        "attention", "norm_first", "decoder_target", "map_scale", "embed_sigmoid"))
    # Of optimiser and schedule nothing is known: they are the paper profile's.
    published = RESNET_50 | AUGMENTED | {"model.width": 256, "model.parts": 14}

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        if config.parts < 2:
            raise MatlibError(f"PAT tells parts apart, of which model.parts={config.parts} has too few: set 2 or more")
        d = config.width
        sizes = (d, config.heads, config.feedforward, config.dropout, config.attention, config.norm_first)
        self.reduce = reduction(self.trunk.channels, d, config.pos_embed)
        self.encoder = Encoder(config.encoder_layers, *sizes)
        self.decoder = Decoder(config.parts, config.decoder_layers, *sizes, target=config.decoder_target)
        self.masks = EmbeddingHead(d, config.map_scale, config.embed_sigmoid)
        self.global_head = IdentityHead(d, identities, config.neck)
        self.part_heads = PartHeads(config.parts, d, identities, config.neck, "per_part")

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> PATOutput:
        reduced = self.reduce(self.trunk(images))
        h, w = reduced.shape[-2:]
        cells, position = place(reduced.flatten(2).transpose(1, 2), h, w, self.config.width, self.config.pos_embed)
        cells = self.encoder(cells, position)
        features = cells.transpose(1, 2).unflatten(2, (h, w)).float()
        masks = self.masks(self.decoder(cells, position), features).sigmoid()
        global_feature, part_features = features.mean(dim=(2, 3)), pool_masks(features, masks)
        return PATOutput(global_feature, *self.global_head(global_feature), masks, part_features,
                         *self.part_heads(part_features))

    def losses(self, output: PATOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        margin = self.settings.margin or None
        return {"identity_global": step.identity(output.global_logits),
                "triplet_global": step.triplet(output.global_feature, margin),
                "identity_part": torch.stack([step.identity(logits) for logits in output.part_logits]).mean(),
                "triplet_part": torch.stack([step.triplet(part, margin) for part in output.part_features.unbind(1)]
                                            ).mean(),
                "diversity": losses.diversity_loss(output.part_features)}

    def describe(self, output: PATOutput) -> Float[Tensor, "b e"]:
        return describe(self.config, [output.global_feature, output.part_features],
                        [output.global_after, output.parts_after])


def pool_masks(features: Float[Tensor, "b d h w"], masks: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k d"]:
    """The mean feature under each mask: sum_g m_k(g) f(g) / sum_g m_k(g)."""
    return pool_parts(features, torch.cat([torch.zeros_like(masks[:, :1]), masks], dim=1))
