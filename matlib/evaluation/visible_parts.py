"""Distances of descriptors made of parts that may be hidden, each part weighted by how visible it is in both images.

With a global vector g, parts p_k and visibilities v_k in 0..1, the distance of images a and b is

    (d(g_a, g_b) + sum_k w_k d(p_k_a, p_k_b)) / (1 + sum_k w_k),    w_k = sqrt(v_k_a v_k_b),

all vectors L2-normalised first: the rule of BPBreID (Somers et al., WACV 2023); where visibilities are 0 or 1 it is
that of PGFA (Miao et al., ICCV 2019) and ISP (Zhu et al., ECCV 2020). The paper compares whole descriptors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.errors import MatlibError
from matlib.evaluation.labels import Array, checked_labels
from matlib.evaluation.ranking import (METRICS, Block, RankingMetrics, full_precision, gallery_step, plan,
                                       score_blocks, split)
from matlib.models.descriptions import PartDescriptors


def part_distances(query: PartDescriptors, gallery: PartDescriptors, metric: str = "cosine") -> Float[Tensor, "q g"]:
    """The distances of all pairs, on the queries' device and in the wider of the descriptors' types.

    A pair without a common visible part has the distance of its global vectors; without global vectors it has none, and
    stands at infinity, so that it ranks last.

    Args:
        metric: d, of normalised vectors: ``"cosine"``, 1 - cosine, or ``"euclidean"``; both lie in 0..2. A vector of
            zeros stays one: it is at distance 1 from every other vector.

    Raises MatlibError for another metric, and for descriptors of different make.
    """
    kind = _common_type(query, gallery, metric)
    return _between(_normalised(query, slice(None), kind), _normalised(gallery, slice(None), kind), metric)


def evaluate_parts(query: PartDescriptors, gallery: PartDescriptors, query_ids: Array, gallery_ids: Array,
                   query_cameras: Array, gallery_cameras: Array, *, metric: str = "cosine", max_rank: int = 50,
                   average_precision: str = "plain", unmatched: str = "skip") -> RankingMetrics:
    """Rank the gallery for each query by ``part_distances``, and score the ranking; the whole matrix is never held.

    Labels and options are those of ``evaluate``, the metric that of ``part_distances``; raises MatlibError as they do.
    """
    kind = _common_type(query, gallery, metric)
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    for side, descriptors, ids in (("query", query, labels.query_ids), ("gallery", gallery, labels.gallery_ids)):
        if len(descriptors) != len(ids):
            raise MatlibError(f"there are {len(descriptors)} {side} descriptors, but {len(ids)} {side}_ids")

    step = gallery_step(query.parts[0].numel())

    def block_of(queries: np.ndarray) -> Block:
        some = _normalised(query, torch.from_numpy(queries), kind)
        return lambda columns: _joined([_between(some, _normalised(gallery, part, kind), metric)
                                        for part in split(columns, step, len(gallery))])

    return score_blocks(block_of, labels, plan(labels, step), max_rank, average_precision, unmatched)


def _joined(blocks: list[Tensor]) -> Tensor:
    return torch.cat(blocks, dim=1) if len(blocks) > 1 else blocks[0]


class _Normalised(NamedTuple):
    whole: Float[Tensor, "n e"]  # of no channels where there is no global vector
    parts: Float[Tensor, "n k d"]
    roots: Float[Tensor, "n k"]  # of the visibilities


def _normalised(descriptors: PartDescriptors, rows: slice | Tensor, kind: torch.dtype) -> _Normalised:
    parts, whole = descriptors.parts[rows].to(kind), descriptors.global_features
    whole = parts.new_empty(len(parts), 0) if whole is None else whole[rows].to(kind)
    eps = torch.finfo(kind).tiny
    return _Normalised(nn.functional.normalize(whole, dim=1, eps=eps), nn.functional.normalize(parts, dim=2, eps=eps),
                       descriptors.visibilities[rows].to(kind).sqrt())


def _between(query: _Normalised, gallery: _Normalised, metric: str) -> Float[Tensor, "q g"]:
    """Distances of all pairs, on the queries' device."""
    gallery = _Normalised(*(tensor.to(query.parts.device) for tensor in gallery))
    with full_precision(query.parts.device):
        return _weighted_mean(query, gallery, metric)


def _weighted_mean(query: _Normalised, gallery: _Normalised, metric: str) -> Float[Tensor, "q g"]:
    has_global = query.whole.shape[1] > 0
    weights = query.roots @ gallery.roots.T + int(has_global)
    if metric == "cosine":  # as the cosines are products, their weighted sum is one product of longer vectors
        a, b = (torch.cat([side.whole, (side.parts * side.roots[:, :, None]).flatten(1)], dim=1)
                for side in (query, gallery))
        total = weights - a @ b.T
    else:
        total = _euclidean(query.whole, gallery.whole) if has_global else torch.zeros_like(weights)
        for k in range(query.roots.shape[1]):
            weight = torch.outer(query.roots[:, k], gallery.roots[:, k])
            total += weight * _euclidean(query.parts[:, k], gallery.parts[:, k])
    return torch.where(weights > 0, total / weights, torch.inf)


def _euclidean(a: Float[Tensor, "q d"], b: Float[Tensor, "g d"]) -> Float[Tensor, "q g"]:
    squares = a.square().sum(1, keepdim=True) + b.square().sum(1)
    return torch.addmm(squares, a, b.T, alpha=-2).clamp(min=0).sqrt()


def _common_type(query: PartDescriptors, gallery: PartDescriptors, metric: str) -> torch.dtype:
    """The wider type of the two; raises MatlibError where they cannot be compared."""
    if metric not in METRICS:
        raise MatlibError(f"metric is one of {', '.join(METRICS)}; got {metric!r}")
    if (query.global_features is None) != (gallery.global_features is None):
        raise MatlibError("one side has global features and the other has none: both are to come from the same model")
    shapes = [(*side.parts.shape[1:], *(() if side.global_features is None else side.global_features.shape[1:]))
              for side in (query, gallery)]
    if shapes[0] != shapes[1]:
        raise MatlibError("query and gallery differ in (parts, channels, global channels), "
                          f"{shapes[0]} and {shapes[1]}; both are to come from the same model")
    return torch.promote_types(query.parts.dtype, gallery.parts.dtype)
