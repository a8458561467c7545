"""Images compared by how well the vectors of one rebuild those of the other: SFR's and FPR's match, over any map.

What is compared is a *pyramid*: the means, or the maxima, of a feature map over windows of several sizes. A vector q of
the query is rebuilt by ridge regression from the dictionary G whose columns are the gallery image's vectors,

    w = (G'G + ridge I)^-1 G' q,        distance = mean over the query's vectors of |q - G w|

(He et al., arXiv 1810.07399, after DSR, CVPR 2018, whose code of l1 norm it replaces). No vector needs its counterpart
at its own place, and sizes may differ: a part is rebuilt from any whole that holds it. The distance is asymmetric.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.errors import MatlibError
from matlib.geometry import full_precision

_VECTORS = 1 << 16  # of queries that are rebuilt at a time


def pyramid(features: Float[Tensor, "b c h w"], kernels: Sequence[int], stride: int, how: str = "avg",
            with_global: bool = True) -> Float[Tensor, "b n c"]:
    """The vectors of all windows: those of the first kernel row by row, then the next one's, the whole map last.

    Args:
        kernels: sides of the square windows, which move by ``stride`` and stay within the map.
        how: ``avg`` (SFR) or ``max`` (FPR).
        with_global: whether the mean (or maximum) of the whole map is one more vector.

    Raises MatlibError for a window that is larger than the map.
    """
    size = features.shape[2:]
    if max(kernels) > min(size):
        raise MatlibError(f"a window of {max(kernels)} by {max(kernels)} cells does not fit a map of {size[0]} by "
                          f"{size[1]}: use smaller windows, larger images, or a smaller model.output_stride")
    pool = nn.functional.avg_pool2d if how == "avg" else nn.functional.max_pool2d
    windows = [(kernel, kernel) for kernel in kernels] + [tuple(size)] * with_global
    return torch.cat([pool(features, window, stride).flatten(2) for window in windows], dim=2).transpose(1, 2)


def window_sizes(size: tuple[int, int], count: int = 4) -> tuple[list[int], int]:
    """The sides of the windows and their stride for a map of so many rows and columns.

    The stride is a quarter of the map's narrower side, rounded up, and at least 2; the sides are its multiples, as many
    as fit and at most ``count``: 3, 6, 9, 12 on SFR's map of 24 x 12, and 2, 4, 6, 8 on FPR's of 24 x 8, as published.

    Raises MatlibError for a map without room for a window of 2 by 2.
    """
    narrow = min(size)
    stride = max(2, -(-narrow // 4))
    if narrow < stride:
        raise MatlibError(f"a map of {size[0]} by {size[1]} cells has no windows of 2 by 2: use larger images, or a "
                          "smaller model.output_stride")
    return list(range(stride, narrow + 1, stride))[:count], stride


@full_precision
def residuals(query: Float[Tensor, "b n c"], dictionary: Float[Tensor, "b m c"], ridge: float
              ) -> Float[Tensor, "b n"]:
    """|q - G w| of each vector q of an image, rebuilt from the dictionary of the image at the same place of the batch.

    With b = G'q, |q - Gw|^2 = |q|^2 - b'w - ridge |w|^2, so that no vector is put together. In float64 inside: at SFR's
    ridge of 5e-4 half of float32's digits are lost. Of as many vectors as channels no digit would be left: there
    q - Gw = ridge (GG' + ridge I)^-1 q.
    """
    wide, atoms = query.double(), dictionary.double()
    if atoms.shape[1] >= atoms.shape[2]:
        scatter = atoms.mT @ atoms + ridge * torch.eye(atoms.shape[2], dtype=atoms.dtype, device=atoms.device)
        left = ridge * torch.cholesky_solve(wide.mT, torch.linalg.cholesky(scatter))
        return torch.linalg.vector_norm(left, dim=1).to(query.dtype)
    gram = atoms @ atoms.transpose(1, 2)
    factor = torch.linalg.cholesky(gram + ridge * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device))
    products = atoms @ wide.transpose(1, 2)  # (b, m, n)
    codes = torch.cholesky_inverse(factor) @ products  # many vectors: a product is several times faster than solving
    squares = wide.square().sum(dim=2) - (codes * products).sum(dim=1) - ridge * codes.square().sum(dim=1)
    return squares.clamp_min(torch.finfo(torch.float64).tiny).sqrt().to(query.dtype)


def reconstruction(query: Float[Tensor, "q n c"], gallery: Float[Tensor, "g m c"], ridge: float,
                   weights: Float[Tensor, "q n"] | None = None) -> Float[Tensor, "q g"]:
    """The distance of each query to each gallery image: the weighted sum, or the mean, of the vectors' residuals.

    Each gallery image's dictionary is factored once for every some hundreds of queries.

    Args:
        ridge: positive; as it goes to 0, what the dictionary spans is at distance 0, and as it grows, all is at the
            length of the query's vectors.
        weights: of the query's vectors, taken as they are; None is the mean.
    """
    if weights is None:
        weights = query.new_ones(query.shape[:2]) / query.shape[1]
    blocks = []
    for some, weight in zip(*(side.split(max(_VECTORS // query.shape[1], 1)) for side in (query, weights))):
        vectors = some.double().flatten(0, 1)[None]
        lengths = (residuals(vectors, dictionary[None], ridge).view_as(weight) for dictionary in gallery)
        blocks.append(torch.stack([(weight * length).sum(dim=1) for length in lengths], dim=1))
    return torch.cat(blocks).to(query.dtype)


def check_dictionary(vectors: Float[Tensor, "b n c"]) -> None:
    """Raises MatlibError where an image has so many vectors that they rebuild those of any other."""
    count, channels = vectors.shape[1:]
    if count >= channels:
        raise MatlibError(f"a dictionary of {count} vectors of {channels} channels spans all of them, so that every "
                          "image would be at distance 0 from every other: use fewer windows (model.method.windows) "
                          "or more channels (model.width)")
