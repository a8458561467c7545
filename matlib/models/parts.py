"""The part segmentation branch of section 3.4 and the weighted pooling of section 3.1."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.geometry import coordinate_grid, full_precision
from matlib.models.embeddings import EmbeddingHead


class PartBranch(nn.Module):
    """K + 1 part maps, part 0 the background: the product of K + 1 embeddings with the feature map.

    ``softmax`` over the parts makes the maps share each cell, which blending of motions needs; ``sigmoid`` (section 3.2
    read as an activation of the product) lets each map stand alone, and the shares follow by division.
    """

    def __init__(self, width: int, activation: str, scale: str, sigmoid: bool, outside: str = "parts"):
        super().__init__()
        self.head = EmbeddingHead(width, scale, sigmoid)
        self.activation = activation
        self.outside = outside

    def forward(self, queries: Float[Tensor, "b q d"], features: Float[Tensor, "b d h w"],
                windows: Float[Tensor, "#b k h #w"] | None = None
                ) -> tuple[Float[Tensor, "b q h w"], Float[Tensor, "b q h w"]]:
        """The maps that sum to 1 in each cell, and the weights for pooling (the same tensor under ``softmax``).

        ``windows``, logarithms, say where a part may lie (``row_windows``, ``keypoint_windows``); see ``in_windows``.
        """
        logits = self.head(queries, features)
        if windows is not None:
            logits = in_windows(logits, windows, self.outside)
        if self.activation == "softmax":
            maps = logits.softmax(dim=1)
            return maps, maps
        weights = logits.sigmoid()
        return weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-6), weights


def row_windows(parts: int, height: int, width: float) -> Float[Tensor, "1 k h 1"]:
    """The logarithm of a bell around a row for each part, of deviation ``width`` in cells; the rows lie evenly."""
    centres = (torch.arange(parts) + 0.5) * height / parts
    rows = torch.arange(height) + 0.5
    return (-(rows - centres[:, None])**2 / (2 * width**2))[None, :, :, None]


def keypoint_windows(positions: Float[Tensor, "b k 2"], size: tuple[int, int], width: float
                     ) -> Float[Tensor, "b k h w"]:
    """The logarithm of a bell around each part's keypoint, of deviation ``width`` in cells.

    Args:
        positions: in corner-aligned coordinates of the map.
        size: height and width of the map, in cells.
    """
    height, columns = size
    grid = coordinate_grid(height, columns, dtype=positions.dtype, device=positions.device)
    cells = positions.new_tensor([columns - 1, height - 1]) / 2  # of a step of 1 in these coordinates
    away = (grid - positions[:, :, None, None]) * cells  # (b, k, h, w, 2)
    return -away.square().sum(dim=-1) / (2 * width**2)


def in_windows(logits: Float[Tensor, "b q h w"], windows: Float[Tensor, "#b k h #w"], outside: str = "parts"
               ) -> Float[Tensor, "b q h w"]:
    """The parts' logits within their windows.

    Under ``softmax`` what the parts have of a cell together, and what the background has, stays as it was: windows only
    say which part has it. With ``outside="background"`` a cell far from all windows falls to the background instead.
    """
    parts = logits[:, 1:] + windows
    if outside == "parts":
        together = logits[:, 1:].logsumexp(dim=1, keepdim=True) - parts.logsumexp(dim=1, keepdim=True)
        parts = parts + together
    return torch.cat([logits[:, :1], parts], dim=1)


@full_precision
def pool_parts(features: Float[Tensor, "b d h w"], weights: Float[Tensor, "b q h w"], how: str = "wavg",
               floor: float = 0.0) -> Float[Tensor, "b k d"]:
    """f^part: the mean feature under each part's weights, the background (part 0) left out, so k = q - 1.

    ``wavg`` divides by the part's mass, to which ``floor`` adds so many cells; ``gap`` by the number of cells, so that
    absent parts shrink to zero (Zhu et al. 2020, ISP).
    """
    weights = weights[:, 1:]
    pooled = torch.einsum("bkhw,bdhw->bkd", weights, features)
    if how == "gap":
        return pooled / weights[0, 0].numel()
    return pooled / (weights.sum(dim=(2, 3)).unsqueeze(-1) + floor + 1e-6)


def foreground(maps: Float[Tensor, "b q h w"]) -> Float[Tensor, "b 2 h w"]:
    """The background (part 0), and all parts together."""
    return torch.stack([maps[:, 0], 1 - maps[:, 0]], dim=1)


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
