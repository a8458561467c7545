"""Horizontal bands of a feature map, as part maps: what PCB, PGFA, and the start of ISP pool over."""

import torch
from jaxtyping import Float
from torch import Tensor

from matlib.errors import MatlibError


def bands(height: int, width: int, count: int) -> Float[Tensor, "1 q height width"]:
    """Maps of ``count`` bands from top to bottom, after an empty one (index 0, the background); q = count + 1.

    Band i covers the rows from floor(i h / p) to ceil((i + 1) h / p), so that neighbours share a row where the height
    is not a multiple of their number (adaptive pooling's rule). Raises MatlibError for more bands than rows.
    """
    if count > height:
        raise MatlibError(f"a feature map of {height} rows has no {count} stripes: "
                          "use fewer, higher images, or a smaller model.output_stride")
    maps = torch.zeros(1, count + 1, height, width)
    for i in range(count):
        maps[:, i + 1, i * height // count:-(-(i + 1) * height // count)] = 1
    return maps
