"""What a method compares at test time: one vector an image (a tensor), parts that may be hidden, or two stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from matlib.errors import MatlibError

Array = Tensor | np.ndarray


@dataclass(frozen=True, eq=False)
class PartDescriptors:
    """The descriptors of n images, as K parts; of any real type, kept as tensors of float32 at least.

    Raises MatlibError for shapes that do not fit, values that are not finite, and visibilities outside 0..1.
    """

    parts: Array
    """(n, K, channels)"""
    visibilities: Array
    """(n, K), in 0..1; booleans will do."""
    global_features: Array | None = None
    """(n, channels), which count always, with weight 1; None where there are parts only."""

    def __post_init__(self) -> None:
        for name in ("parts", "visibilities", "global_features"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _finite(getattr(self, name), name))
        parts, visibilities, whole = self.parts, self.visibilities, self.global_features
        if parts.ndim != 3 or 0 in parts.shape[1:] or visibilities.shape != parts.shape[:2]:
            raise MatlibError("parts are to have the shape (images, parts, channels) and visibilities (images, parts); "
                              f"theirs are {tuple(parts.shape)} and {tuple(visibilities.shape)}")
        if whole is not None and (whole.ndim != 2 or len(whole) != len(parts) or not whole.shape[1]):
            raise MatlibError(f"global_features have the shape {tuple(whole.shape)}, but there are {len(parts)} "
                              f"images: the shape is to be ({len(parts)}, channels)")
        if ((visibilities < 0) | (visibilities > 1)).any():
            raise MatlibError("visibilities are to lie between 0, hidden, and 1, visible; they range from "
                              f"{visibilities.min():.3g} to {visibilities.max():.3g}")

    def __len__(self) -> int:
        return len(self.parts)


@dataclass(frozen=True, eq=False)
class Pyramid:
    """The descriptors of n images for a ranking in two stages: a vector to find candidates, a set of vectors for these.

    All are held at once in a test: n N channels numbers of 4 bytes (71 vectors of 256 channels of Market-1501's 19,281
    images are 1.4 GB). Query and gallery may differ in N.

    Raises MatlibError for shapes that do not fit, and values that are not finite.
    """

    first: Array
    """(n, e): the first stage compares them by cosine."""
    vectors: Array
    """(n, N, channels): what the second stage compares."""
    second: SecondStage
    weights: Array | None = None
    """(n, N), of the query's vectors; None weighs them alike."""

    def __post_init__(self) -> None:
        for name in ("first", "vectors", "weights"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _finite(getattr(self, name), name))
        first, vectors, weights = self.first, self.vectors, self.weights
        if first.ndim != 2 or vectors.ndim != 3 or len(first) != len(vectors) or 0 in (*first.shape[1:],
                                                                                        *vectors.shape[1:]):
            raise MatlibError("first is to have the shape (images, channels) and vectors (images, vectors, channels); "
                              f"theirs are {tuple(first.shape)} and {tuple(vectors.shape)}")
        if weights is not None and weights.shape != vectors.shape[:2]:
            raise MatlibError(f"weights have the shape {tuple(weights.shape)}; it is to be {tuple(vectors.shape[:2])}")

    def __len__(self) -> int:
        return len(self.first)

    def rows(self, images: Int[Tensor, " some"]) -> Pyramid:
        """The descriptors of some images, in this order."""
        some = copy(self)  # of what was checked, and is not again
        for name in ("first", "vectors", "weights"):
            if getattr(self, name) is not None:
                object.__setattr__(some, name, getattr(self, name)[images.to(self.first.device)])
        return some


@dataclass(frozen=True)
class SecondStage:
    """How the second stage of a ranking goes. Raises MatlibError for a setting out of its range."""

    distances: Callable[[Pyramid, Pyramid], Float[Tensor, "q g"]]
    """Of all pairs of some queries and some gallery images, smaller is more alike. Any callable: it is called without
    gradients, with descriptors where ``join`` left them, on the CPU, and lives as long as a test."""
    neighbours: int
    """So many of a query's nearest by the first stage are compared again; the others rank behind them."""
    share: float = 0.5
    """Of the second distance in the sum (1 - share) first + share second."""
    together: Literal["queries", "candidates"] = "queries"
    """What a call compares: a gallery image with the ``queries`` that chose it, for distances that make much of a
    gallery image; or a query with all its ``candidates``, for distances that depend on these, or that batch well."""

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not 0 <= self.share <= 1 or self.together not in ("queries", "candidates"):
            raise MatlibError("a second stage has at least 1 of neighbours, a share in 0..1, and compares queries or "
                              f"candidates together; got {self.neighbours}, {self.share} and {self.together!r}")


Description = Tensor | PartDescriptors | Pyramid


def join(descriptions: Sequence[Description]) -> Description:
    """The descriptions of several batches as one, on the CPU and in float32."""
    one = descriptions[0]
    if isinstance(one, Tensor):
        return torch.cat([some.float().cpu() for some in descriptions])
    tensors = [field.name for field in fields(one) if isinstance(getattr(one, field.name), Tensor)]
    return replace(one, **{name: join([getattr(some, name) for some in descriptions]) for name in tensors})


def _finite(values: Array, name: str) -> Tensor:
    tensor = values.detach() if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    if tensor.is_complex():
        raise MatlibError(f"{name} are to be real numbers, but their type is {tensor.dtype}")
    tensor = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    if not torch.isfinite(tensor).all():
        raise MatlibError(f"{name} are not all finite, so they have no distances: look at the model's output")
    return tensor
