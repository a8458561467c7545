"""CMC, mAP and mINP under the protocol of Market-1501 (Zheng et al., ICCV 2015).

For each query the gallery is sorted by distance; images of the query's identity *from the query's camera* are
dropped, and the other images of its identity are its matches. Equal distances are ranked in the order of the
gallery (a stable sort), so a result does not change with the machine; note that equal features give equal
distances only as far as the matrix product rounds them alike.

* CMC at k: the share of queries with a match among the first k.
* AP: the mean, over the matches, of (number of matches so far) / (rank of the match), called plain; or of the
  mean of that precision and the one just before the match, called trapezoid (the Oxford rule, never larger).
* INP (Ye et al., TPAMI 2021): (number of matches) / (rank of the last match). mAP and mINP are means over
  queries.

Ranks are exact, and all metrics are computed in float64 and lie in 0..1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from matlib.errors import MatlibError

AVERAGE_PRECISIONS = ("plain", "trapezoid")
UNMATCHED = ("skip", "zero")
METRICS = ("cosine", "euclidean")
Array = np.ndarray | Tensor | Sequence

_CHUNK_ELEMENTS = 1 << 21  # distances that are ranked at a time
_GALLERY_ROWS = 1 << 13  # gallery features that are held in float64 at a time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RankingMetrics:
    """The metrics of one ranking, in 0..1."""

    cmc: Float64[np.ndarray, " max_rank"]
    """``cmc[k - 1]`` is CMC at k. Beyond the gallery's size it stays as it is there."""
    mAP: float
    mINP: float
    average_precisions: Float64[np.ndarray, " valid"]
    """AP of each query that has a match, in the order of the queries."""
    valid_queries: Bool[np.ndarray, " queries"]
    """Which queries have a match."""

    def rank(self, k: int) -> float:
        """CMC at k, from 1. Raises MatlibError beyond the ``max_rank`` that was asked for."""
        if not 1 <= k <= len(self.cmc):
            raise MatlibError(f"rank counts from 1 to max_rank, which is {len(self.cmc)} here; got {k}")
        return float(self.cmc[k - 1])


class _Labels(NamedTuple):
    query_ids: Int64[np.ndarray, " q"]
    gallery_ids: Int64[np.ndarray, " g"]
    query_cameras: Int64[np.ndarray, " q"]
    gallery_cameras: Int64[np.ndarray, " g"]


class _Scores(NamedTuple):
    """Of each query with a match."""

    first_ranks: Int64[np.ndarray, " valid"]
    average_precisions: Float64[np.ndarray, " valid"]
    inverse_negative_penalties: Float64[np.ndarray, " valid"]


def evaluate(
    distances: Array,
    query_ids: Array,
    gallery_ids: Array,
    query_cameras: Array,
    gallery_cameras: Array,
    *,
    max_rank: int = 50,
    average_precision: str = "plain",
    unmatched: str = "skip",
) -> RankingMetrics:
    """Rank the gallery for each query by given distances, and score the ranking.

    Parameters
    ----------
    distances: (queries, gallery), smaller is more alike; a NumPy array or a tensor on any device, of real
        numbers.
    query_ids, gallery_ids, query_cameras, gallery_cameras: integers of any type.
    max_rank: how far the CMC curve goes.
    average_precision: ``"plain"`` or ``"trapezoid"``, see the module's description.
    unmatched: what a query without a match counts: ``"skip"``, nothing, as in most evaluators; or ``"zero"``,
        0 in every mean.

    Raises MatlibError for shapes that do not fit, an empty side, NaN among the distances, labels that are not
    integers, an unknown option, and queries none of which has a match.
    """
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    distances = distances if isinstance(distances, Tensor) else np.asarray(distances)
    if distances.dtype.is_complex if isinstance(distances, Tensor) else distances.dtype.kind not in "fiub":
        raise MatlibError(f"distances are to be real numbers, but their type is {distances.dtype}")
    expected = (len(labels.query_ids), len(labels.gallery_ids))
    if tuple(distances.shape) != expected:
        raise MatlibError(
            f"distances have the shape {tuple(distances.shape)}, but there are {expected[0]} queries and "
            f"{expected[1]} gallery images: the shape is to be {expected}"
        )
    chunks = (_to_numpy(distances[rows]) for rows in row_chunks(*expected))
    return evaluate_chunks(chunks, labels, max_rank, average_precision, unmatched)


def evaluate_features(
    query_features: Array,
    gallery_features: Array,
    query_ids: Array,
    gallery_ids: Array,
    query_cameras: Array,
    gallery_cameras: Array,
    *,
    metric: str = "cosine",
    max_rank: int = 50,
    average_precision: str = "plain",
    unmatched: str = "skip",
) -> RankingMetrics:
    """Rank the gallery for each query by the distance of features, and score the ranking.

    The distances are made in float64 for a few queries at a time; the whole matrix is never held.

    Parameters
    ----------
    query_features, gallery_features: (queries, channels) and (gallery, channels); NumPy arrays, or tensors on
        any device; the distances are computed on the queries' device.
    metric: ``"cosine"``, 1 minus the cosine (a vector of zeros is at distance 1 from all), or
        ``"euclidean"``.
    the others: as in ``evaluate``.

    Raises MatlibError as ``evaluate`` does, and for features that are not finite.
    """
    if metric not in METRICS:
        raise MatlibError(f"metric is one of {', '.join(METRICS)}; got {metric!r}")
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    query = _checked_features(query_features, len(labels.query_ids), "query")
    gallery = _checked_features(gallery_features, len(labels.gallery_ids), "gallery").to(query.device)
    if query.shape[1] != gallery.shape[1]:
        raise MatlibError(
            f"query features have {query.shape[1]} channels and gallery features {gallery.shape[1]}: "
            "they are to come from the same model"
        )
    chunks = (_distances(query[rows], gallery, metric) for rows in row_chunks(len(query), len(gallery)))
    return evaluate_chunks(chunks, labels, max_rank, average_precision, unmatched)


def evaluate_chunks(
    chunks: Iterator[np.ndarray], labels: _Labels, max_rank: int, average_precision: str, unmatched: str
) -> RankingMetrics:
    """Score chunks of rows of the distance matrix, which come in the order of ``row_chunks``."""
    _check_options(max_rank, average_precision, unmatched)
    valid = _has_match(labels)
    if not valid.any():
        raise MatlibError(_why_unmatched(labels))
    if not valid.all():
        counted = "are left out" if unmatched == "skip" else "count 0"
        logger.info(
            "%d of %d queries have no match in the gallery and %s", (~valid).sum(), len(valid), counted
        )
    parts = []
    for rows, distances in zip(row_chunks(len(valid), len(labels.gallery_ids)), chunks, strict=True):
        if distances.dtype.kind == "f" and np.isnan(distances).any():
            raise MatlibError("distances hold NaN, which has no rank: look for features that are not finite")
        parts.append(_score(distances[valid[rows]], _select(labels, rows, valid), average_precision))
    scores = _Scores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    counted = len(valid) if unmatched == "zero" else int(valid.sum())
    found_at = np.bincount(np.minimum(scores.first_ranks, max_rank + 1), minlength=max_rank + 2)
    return RankingMetrics(
        cmc=np.cumsum(found_at[1 : max_rank + 1]) / counted,
        mAP=float(scores.average_precisions.sum() / counted),
        mINP=float(scores.inverse_negative_penalties.sum() / counted),
        average_precisions=scores.average_precisions,
        valid_queries=valid,
    )


def _score(distances: np.ndarray, labels: _Labels, average_precision: str) -> _Scores:
    """Scores of a few queries (c, g), each of which has a match."""
    order = np.argsort(distances, axis=1, kind="stable")
    same_identity = labels.gallery_ids == labels.query_ids[:, None]
    # by query, and then by distance
    rows, places = np.nonzero(np.take_along_axis(same_identity, order, axis=1))
    junk = labels.gallery_cameras[order[rows, places]] == labels.query_cameras[rows]
    junk_so_far = _count_so_far(junk, rows, len(distances))
    ranks = (places + 1 - junk_so_far)[~junk]
    rows = rows[~junk]
    matches = np.bincount(rows, minlength=len(distances))
    last = np.cumsum(matches) - 1
    first = last - matches + 1
    so_far = np.arange(len(rows)) - first[rows] + 1
    precisions = so_far / ranks
    if average_precision == "trapezoid":
        before = np.where(ranks > 1, (so_far - 1) / np.maximum(ranks - 1, 1), 1.0)
        precisions = (precisions + before) / 2
    return _Scores(
        first_ranks=ranks[first],
        average_precisions=np.bincount(rows, weights=precisions, minlength=len(distances)) / matches,
        inverse_negative_penalties=matches / ranks[last],
    )


def _count_so_far(
    flags: Bool[np.ndarray, " n"], rows: Int64[np.ndarray, " n"], count: int
) -> Int64[np.ndarray, " n"]:
    """How many flags of its row are set up to each place; ``rows`` is sorted, its values below ``count``."""
    in_row = np.bincount(rows, weights=flags, minlength=count).astype(np.int64)
    return np.cumsum(flags) - (np.cumsum(in_row) - in_row)[rows]


def _distances(query: Tensor, gallery: Tensor, metric: str) -> Float64[np.ndarray, "c g"]:
    """Distances (if Euclidean, squared: they rank alike) in float64, the gallery converted in blocks."""
    query = _prepared(query, metric)
    blocks = []
    for block in gallery.split(_GALLERY_ROWS):
        block = _prepared(block, metric)
        products = query @ block.T
        if metric == "cosine":
            blocks.append(1 - products)
        else:
            blocks.append(query.square().sum(1, keepdim=True) + block.square().sum(1) - 2 * products)
    return torch.cat(blocks, dim=1).cpu().numpy()


def _prepared(features: Tensor, metric: str) -> Tensor:
    features = features.double()
    if metric == "cosine":
        return features / features.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    return features


def row_chunks(queries: int, gallery: int) -> Iterator[slice]:
    """Rows that are ranked together."""
    size = min(max(_CHUNK_ELEMENTS // gallery, 16), 1024)
    return (slice(start, start + size) for start in range(0, queries, size))


def _select(labels: _Labels, rows: slice, valid: np.ndarray) -> _Labels:
    """The labels of a chunk's valid queries."""
    chosen = valid[rows]
    return labels._replace(
        query_ids=labels.query_ids[rows][chosen], query_cameras=labels.query_cameras[rows][chosen]
    )


def _has_match(labels: _Labels) -> Bool[np.ndarray, " q"]:
    """Whether the gallery has the query's identity under another camera."""
    pairs = np.unique(np.stack([labels.gallery_ids, labels.gallery_cameras], axis=1), axis=0)
    cameras = _count_in(pairs[:, 0], labels.query_ids)
    codes = np.concatenate([pairs, np.stack([labels.query_ids, labels.query_cameras], axis=1)])
    code = np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
    own = np.isin(code[len(pairs) :], code[: len(pairs)])
    return cameras > own


def _count_in(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How often each of ``wanted`` is among the sorted ``values``."""
    return np.searchsorted(values, wanted, side="right") - np.searchsorted(values, wanted, side="left")


def _why_unmatched(labels: _Labels) -> str:
    known = np.isin(labels.query_ids, labels.gallery_ids)
    if known.all():
        return (
            "every match of every query is from the query's own camera: the protocol drops such gallery"
            " images, so give the true camera of each image, or, where there are no cameras, 0 to queries and"
            " 1 to the gallery"
        )
    if not known.any():
        return (
            "no query has a match: not one identity of the queries is in the gallery; check that both come"
            " from one set"
        )
    return (
        f"no query has a match: the identities of {(~known).sum()} queries are not in the gallery, and those"
        f" of the other {known.sum()} are there from the query's own camera only, which the protocol drops"
    )


def checked_labels(
    query_ids: Array, gallery_ids: Array, query_cameras: Array, gallery_cameras: Array
) -> _Labels:
    labels = _Labels(
        _integers(query_ids, "query_ids"),
        _integers(gallery_ids, "gallery_ids"),
        _integers(query_cameras, "query_cameras"),
        _integers(gallery_cameras, "gallery_cameras"),
    )
    for side, ids, cameras in (
        ("query", labels.query_ids, labels.query_cameras),
        ("gallery", labels.gallery_ids, labels.gallery_cameras),
    ):
        if not len(ids):
            raise MatlibError(f"the {side} side is empty: there is nothing to rank")
        if len(ids) != len(cameras):
            raise MatlibError(f"{side}_ids has {len(ids)} values, but {side}_cameras has {len(cameras)}")
    return labels


def _integers(values: Array, name: str) -> Int64[np.ndarray, " n"]:
    array = _to_numpy(values)
    if array.ndim != 1:
        raise MatlibError(f"{name} is to be one-dimensional, but has the shape {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise MatlibError(f"{name} is to hold integers, but its type is {array.dtype}")
    return array.astype(np.int64)


def _checked_features(features: Array, count: int, side: str) -> Tensor:
    tensor = features.detach() if isinstance(features, Tensor) else torch.as_tensor(np.asarray(features))
    if tensor.ndim != 2 or len(tensor) != count or not tensor.shape[1]:
        raise MatlibError(
            f"{side} features have the shape {tuple(tensor.shape)}, but there are {count} {side} images: the"
            f" shape is to be ({count}, channels)"
        )
    if not torch.isfinite(tensor).all():
        raise MatlibError(
            f"{side} features are not all finite, so they have no distances: look at the model's output"
        )
    return tensor


def _check_options(max_rank: int, average_precision: str, unmatched: str) -> None:
    if max_rank < 1:
        raise MatlibError(f"max_rank is 1 or more; got {max_rank}")
    if average_precision not in AVERAGE_PRECISIONS:
        raise MatlibError(
            f"average_precision is one of {', '.join(AVERAGE_PRECISIONS)}; got {average_precision!r}"
        )
    if unmatched not in UNMATCHED:
        raise MatlibError(f"unmatched is one of {', '.join(UNMATCHED)}; got {unmatched!r}")


def _to_numpy(values: Array) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach()
        if values.dtype == torch.bfloat16:  # unknown to NumPy; float32 holds all its values
            values = values.float()
        return values.cpu().numpy()
    return np.asarray(values)
