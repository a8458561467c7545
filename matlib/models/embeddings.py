"""What the keypoint and part branches share: an MLP on the decoded queries, and its product with the feature map."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.geometry import full_precision


class EmbeddingHead(nn.Module):
    """The prediction head of section 3.2: a three-layer MLP from a query to an embedding, times the feature map.

    Computed in float32 also under autocast: bf16 would move the keypoints. The weights start
    Kaiming-normal: with torch's default the maps of all parts start nearly equal.

    Args:
        scale: ``fixed`` divides the product by sqrt(d); ``learned`` starts there and is trained.
        sigmoid: a sigmoid on the embedding itself, as section 3.2 can be read; it flattens the maps.
    """

    def __init__(self, width: int, scale: str = "fixed", sigmoid: bool = False):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                                 nn.Linear(width, width))
        for layer in self.mlp[::2]:
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.sigmoid = sigmoid
        log_scale = torch.tensor(-0.5 * math.log(width))
        self.log_scale = nn.Parameter(log_scale) if scale == "learned" else None
        self.fixed_scale = width**-0.5

    @full_precision
    def forward(self, queries: Float[Tensor, "b q d"], features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b q h w"]:
        embeddings = self.mlp(queries)  # (b, q, d)
        if self.sigmoid:
            embeddings = embeddings.sigmoid()
        scale = self.fixed_scale if self.log_scale is None else self.log_scale.exp()
        return torch.einsum("bqd,bdhw->bqhw", embeddings, features) * scale
