"""The self-supervised keypoint branch (section 3.3): heatmaps, keypoints (Equation 2), their Jacobians (Equation 4)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.geometry import Keypoints, bound_jacobians, check_choice, full_precision, pool_jacobians, soft_argmax
from matlib.models.embeddings import EmbeddingHead


class KeypointBranch(nn.Module):
    """Heatmaps are the product of K embeddings with the feature map; a keypoint is the heatmap's mean position.

    Jacobians, whose source the paper does not name, come from ``map`` (a 1x1 convolution pooled under the heatmap, as
    in Siarohin et al. 2019), from the ``query``, or are the identity (``none``). Both learned ones start at the
    identity; with ``bound`` "tanh" they stay near it (``geometry.bound_jacobians``).
    """

    def __init__(self, parts: int, width: int, temperature: float, jacobian: str, scale: str, sigmoid: bool,
                 bound: str = "none"):
        super().__init__()
        self.head = EmbeddingHead(width, scale, sigmoid)
        self.temperature = temperature
        self.jacobian = jacobian
        check_choice("bound", bound, ("none", "tanh"))
        self.bound = bound_jacobians if bound == "tanh" else nn.Identity()
        if jacobian == "map":
            self.jacobian_map = nn.Conv2d(width, 4 * parts, kernel_size=1)
            _start_at_identity(self.jacobian_map, parts)
        elif jacobian == "query":
            self.jacobian_head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
            _start_at_identity(self.jacobian_head[-1], 1)

    def forward(self, queries: Float[Tensor, "b k d"], features: Float[Tensor, "b d h w"]
                ) -> tuple[Keypoints, Float[Tensor, "b k h w"]]:
        """Keypoints in corner-aligned coordinates of the feature map, and their heatmaps."""
        heatmaps, positions = soft_argmax(self.head(queries, features), self.temperature)
        return Keypoints(positions, self._jacobians(queries, features, heatmaps)), heatmaps

    @full_precision
    def _jacobians(self, queries: Tensor, features: Tensor, heatmaps: Tensor) -> Float[Tensor, "b k 2 2"]:
        if self.jacobian == "map":
            return self.bound(pool_jacobians(heatmaps, self.jacobian_map(features)))
        if self.jacobian == "query":
            return self.bound(self.jacobian_head(queries).unflatten(-1, (2, 2)))
        return torch.eye(2, device=heatmaps.device).expand(*heatmaps.shape[:2], 2, 2)


def _start_at_identity(layer: nn.Module, copies: int) -> None:
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(copies))
