"""The part segmentation branch of section 3.4 and the weighted pooling of section 3.1."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.geometry import full_precision
from matlib.models.embeddings import EmbeddingHead


class PartBranch(nn.Module):
    """K + 1 part maps, part 0 the background: the product of K + 1 embeddings with the feature map.

    ``softmax`` over the parts makes the maps share each cell, which blending of motions needs; ``sigmoid`` (section 3.2
    read as an activation of the product) lets each map stand alone, and the shares follow by division.
    """

    def __init__(self, width: int, activation: str, scale: str, sigmoid: bool):
        super().__init__()
        self.head = EmbeddingHead(width, scale, sigmoid)
        self.activation = activation

    def forward(self, queries: Float[Tensor, "b q d"], features: Float[Tensor, "b d h w"]
                ) -> tuple[Float[Tensor, "b q h w"], Float[Tensor, "b q h w"]]:
        """The maps that sum to 1 in each cell, and the weights for pooling (the same tensor under ``softmax``)."""
        logits = self.head(queries, features)
        if self.activation == "softmax":
            maps = logits.softmax(dim=1)
            return maps, maps
        weights = logits.sigmoid()
        return weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-6), weights


@full_precision
def pool_parts(features: Float[Tensor, "b d h w"], weights: Float[Tensor, "b q h w"], how: str = "wavg"
               ) -> Float[Tensor, "b k d"]:
    """f^part: the mean feature under each part's weights, the background (part 0) left out, so k = q - 1.

    ``wavg`` divides by the part's mass; ``gap`` by the number of cells, so that absent parts shrink to zero (Zhu et al.
    2020, ISP).
    """
    weights = weights[:, 1:]
    pooled = torch.einsum("bkhw,bdhw->bkd", weights, features)
    if how == "gap":
        return pooled / weights[0, 0].numel()
    return pooled / (weights.sum(dim=(2, 3)).unsqueeze(-1) + 1e-6)


def part_visibility(maps: Float[Tensor, "b q h w"], how: str) -> Float[Tensor, "b k"] | None:
    """How much of each part an image shows, in [0, 1]; the paper never says, so ``off`` (None) is the default.

    ``max``: the map's largest value (Somers et al. 2023, BPBreID); ``argmax``: 1 where the part is the most likely one
    of some cell, else 0 (Zhu et al. 2020, ISP).
    """
    if how == "off":
        return None
    if how == "max":
        return maps[:, 1:].amax(dim=(2, 3))
    winner = maps.argmax(dim=1).flatten(1)  # (b, hw)
    parts = torch.arange(1, maps.shape[1], device=maps.device)
    return (winner[:, None] == parts[:, None]).any(dim=2).float()
