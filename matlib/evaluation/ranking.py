"""CMC, mAP and mINP under the protocol of Market-1501 (Zheng et al., ICCV 2015).

For each query the gallery is ranked by distance; images of the query's identity *from the query's camera* are dropped,
and the other images of its identity are its matches. Equal distances are ranked in the order of the gallery (a stable
sort), so a result does not change with the machine; note that equal features give equal distances only as far as the
matrix product rounds them alike.

* CMC at k: the share of queries with a match among the first k.
* AP: the mean, over the matches, of (number of matches so far) / (rank of the match), called plain; or of the mean of
  that precision and the one just before the match, called trapezoid (the Oxford rule, never larger).
* INP (Ye et al., TPAMI 2021): (number of matches) / (rank of the last match). mAP and mINP are means over queries.

Ranks are exact for the distances given or computed; all metrics are computed in float64 and lie in 0..1.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from matlib.errors import MatlibError
from matlib.evaluation.counting import count_nearer, values_at
from matlib.evaluation.labels import Array, IdentityIndex, Labels, Pairs, checked_labels, has_match, why_unmatched

AVERAGE_PRECISIONS = ("plain", "trapezoid")
UNMATCHED = ("skip", "zero")
METRICS = ("cosine", "euclidean")
_LAST_RANK = 1 << 24

_MATRIX_ELEMENTS = 1 << 22  # of a given matrix, that are looked at together
_BLOCK_ELEMENTS = 1 << 23  # distances that are computed and held at a time
_QUERIES = 256  # that are compared together: enough for a fast product
_FEATURE_ELEMENTS = 1 << 24  # of gallery features that are copied at a time, where they have to be

Block = Callable[[np.ndarray | slice], Tensor | np.ndarray]
"""The distances (c, b) of c queries to the gallery images of some indices."""

logger = logging.getLogger(__name__)


class PerQuery(NamedTuple):
    """One number a query, of some queries."""

    queries: Int64[np.ndarray, " n"]
    """Their indices, ascending."""
    first_ranks: Float64[np.ndarray, " n"]
    """Of the nearest match, from 1; infinite where there is none."""
    average_precisions: Float64[np.ndarray, " n"]
    inverse_negative_penalties: Float64[np.ndarray, " n"]

    def select(self, chosen: np.ndarray | slice) -> PerQuery:
        """Those at some places, as a slice, an index or a mask tells."""
        return PerQuery(*(column[chosen] for column in self))


@dataclass(frozen=True, eq=False)
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
    first_ranks: Int64[np.ndarray, " valid"]
    """The rank of each such query's nearest match, from 1."""
    inverse_negative_penalties: Float64[np.ndarray, " valid"]
    """INP of each such query."""
    unmatched: str = "skip"
    """What the other queries count, see ``evaluate``."""

    def rank(self, k: int) -> float:
        """CMC at k, from 1. Raises MatlibError beyond the ``max_rank`` that was asked for."""
        if not 1 <= k <= len(self.cmc):
            raise MatlibError(f"rank counts from 1 to max_rank, which is {len(self.cmc)} here; got {k}")
        return float(self.cmc[k - 1])

    def per_query(self) -> PerQuery:
        """The results of the queries that count, of which the metrics are the means."""
        queries = np.flatnonzero(self.valid_queries)
        results = PerQuery(queries, self.first_ranks.astype(float), self.average_precisions,
                           self.inverse_negative_penalties)
        if self.unmatched == "skip":
            return results
        everyone = PerQuery(np.arange(len(self.valid_queries)), *(np.full(len(self.valid_queries), missing)
                                                                  for missing in (np.inf, 0.0, 0.0)))
        for whole, part in zip(everyone[1:], results[1:]):
            whole[queries] = part
        return everyone


def evaluate(distances: Array, query_ids: Array, gallery_ids: Array, query_cameras: Array, gallery_cameras: Array, *,
             max_rank: int = 50, average_precision: str = "plain", unmatched: str = "skip") -> RankingMetrics:
    """Rank the gallery for each query by given distances, and score the ranking.

    The matrix is neither copied nor sorted: beside it, memory for some rows is needed.

    Args:
        distances: (queries, gallery), smaller is more alike; a NumPy array or a tensor on any device, of real numbers.
        query_ids, gallery_ids, query_cameras, gallery_cameras: integers of any type.
        max_rank: how far the CMC curve goes.
        average_precision: ``"plain"`` or ``"trapezoid"``, see the module's description.
        unmatched: what a query without a match counts: ``"skip"``, nothing, as in most evaluators; or ``"zero"``, 0 in
            every mean.

    Raises MatlibError for shapes that do not fit, an empty side, NaN among the distances, labels that are not integers,
    an unknown option, and queries none of which has a match.
    """
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    distances = _real(distances, "distances")
    expected = (len(labels.query_ids), len(labels.gallery_ids))
    if tuple(distances.shape) != expected:
        raise MatlibError(f"distances have the shape {tuple(distances.shape)}, but there are {expected[0]} queries and "
                          f"{expected[1]} gallery images: the shape is to be {expected}")
    size = min(max(_MATRIX_ELEMENTS // expected[1], 1), 1024)

    def block_of(queries: np.ndarray) -> Block:
        rows = _countable(distances[queries[0]:queries[-1] + 1])
        if math.isnan(rows.min()):
            raise MatlibError("distances hold NaN, which has no rank: look for features that are not finite")
        return lambda columns: rows[:, columns]

    steps = _in_turn(np.arange(expected[0]), size)
    return score_blocks(block_of, labels, steps, max_rank, average_precision, unmatched, torch.get_num_threads())


def evaluate_features(query_features: Array, gallery_features: Array, query_ids: Array, gallery_ids: Array,
                      query_cameras: Array, gallery_cameras: Array, *, metric: str = "cosine", max_rank: int = 50,
                      average_precision: str = "plain", unmatched: str = "skip") -> RankingMetrics:
    """Rank the gallery for each query by the distance of features, and score the ranking.

    The whole matrix is never held: distances are computed for some queries and a block of the gallery at a time, each
    pair's once, in the wider of the features' types and at least in float32 (never in less, as TF32). So float32
    features give ranks that are exact for distances rounded to float32, at float32's speed; for float64's, give
    float64 features.

    Parameters
    ----------
    query_features, gallery_features: (queries, channels) and (gallery, channels); NumPy arrays, or tensors on any
        device; the distances are computed on the queries' device, where the gallery comes block by block.
    metric: ``"cosine"``, 1 minus the cosine (a vector of zeros is at distance 1 from all), or ``"euclidean"``.
    the others: as in ``evaluate``.

    Raises MatlibError as ``evaluate`` does, and for features that are not finite or overflow their type when squared.
    """
    if metric not in METRICS:
        raise MatlibError(f"metric is one of {', '.join(METRICS)}; got {metric!r}")
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    query = checked_features(query_features, len(labels.query_ids), "query")
    gallery = checked_features(gallery_features, len(labels.gallery_ids), "gallery")
    if query.shape[1] != gallery.shape[1]:
        raise MatlibError(f"query features have {query.shape[1]} channels and gallery features {gallery.shape[1]}: "
                          "they are to come from the same model")
    return score_blocks(feature_blocks(query, gallery, metric), labels, plan(labels, gallery_step(query.shape[1])),
                        max_rank, average_precision, unmatched)


def feature_blocks(query: Tensor, gallery: Tensor, metric: str) -> Callable[[Int64[np.ndarray, " c"]], Block]:
    """Blocks, for ``score_blocks``, of what ranks as the distances of features do: minus the cosine is one of these.

    Each block takes the place of the one before it in memory.
    """
    kind = torch.promote_types(torch.promote_types(query.dtype, gallery.dtype), torch.float32)
    scales = [_scales(side, name, metric, kind) for side, name in ((query, "query"), (gallery, "gallery"))]
    step, space = gallery_step(query.shape[1]), _Space(kind, query.device)

    def block_of(queries: np.ndarray) -> Block:
        some = query[torch.from_numpy(queries).to(query.device)].to(kind)
        if metric == "cosine":
            some = some * -scales[0][queries, None].to(query.device)

        def block(columns: np.ndarray | slice) -> Tensor:
            parts = split(columns, step, len(gallery))
            distances, at = space.take(len(some), sum(map(_length, parts))), 0
            for part in parts:
                features = gallery[part].to(some)
                _order(some, features, scales[1][part].to(some), metric, distances[:, at:at + len(features)])
                at += len(features)
            return distances
        return block

    return block_of


def score_blocks(block_of: Callable[[Int64[np.ndarray, " c"]], Block], labels: Labels, steps: Iterator[Step],
                 max_rank: int, average_precision: str, unmatched: str, workers: int = 1) -> RankingMetrics:
    """Score a ranking whose distances come in blocks, ``block_of(queries)(columns)``, with so many threads.

    The result is the same for any number of threads. Raises MatlibError for an unknown option, and where no query has a
    match.
    """
    _check_options(max_rank, average_precision, unmatched)
    valid = has_match(labels)
    if not valid.any():
        raise MatlibError(why_unmatched(labels))
    if not valid.all():
        counted = "are left out" if unmatched == "skip" else "count 0"
        logger.info("%d of %d queries have no match in the gallery and %s", (~valid).sum(), len(valid), counted)
    index = IdentityIndex(labels)
    first_ranks, scores = np.zeros(len(valid), np.int64), np.zeros((2, len(valid)))

    def run(step: Step) -> None:
        pairs = index.pairs(step.queries)
        kept = valid[step.queries][pairs.rows]
        pairs = Pairs(*(part[kept] for part in pairs))
        values, before = _place(block_of(step.queries), pairs, step.first, step.later, len(labels.gallery_ids))
        some = step.queries[valid[step.queries]]
        if len(some):
            first_ranks[some], scores[:, some] = _score(pairs, values, before, average_precision)

    if workers == 1:  # in this thread, where torch has its own
        for step in steps:
            run(step)
    else:
        with ThreadPoolExecutor(workers) as threads:  # NumPy's loops run beside each other
            list(threads.map(run, steps))
    counted = len(valid) if unmatched == "zero" else int(valid.sum())
    found_at = np.bincount(np.minimum(first_ranks[valid], max_rank + 1), minlength=max_rank + 2)
    return RankingMetrics(
        cmc=np.cumsum(found_at[1:max_rank + 1]) / counted, mAP=float(scores[0].sum() / counted),
        mINP=float(scores[1].sum() / counted), average_precisions=scores[0, valid], valid_queries=valid,
        first_ranks=first_ranks[valid], inverse_negative_penalties=scores[1, valid], unmatched=unmatched)


class Step(NamedTuple):
    """Queries that are ranked together, and the blocks in which the gallery comes to them."""

    queries: Int64[np.ndarray, " c"]
    first: Int64[np.ndarray, " f"] | slice
    """Has all images of the queries' identities."""
    later: list[slice]
    """Their union has all images that ``first`` lacks; those that it has are passed over."""


def plan(labels: Labels, step: int) -> Iterator[Step]:
    """Steps for distances that are computed: no block has more than about _BLOCK_ELEMENTS of them.

    A gallery that is small enough comes as one block. From a larger one, the images of the queries' identities come
    first: the distances of all matches are known then, and the rest is counted as it passes by, ``step`` images at a
    time. Queries of an identity go together, so that the first block is small. Queries without a match stay out.
    """
    gallery, queries = len(labels.gallery_ids), np.flatnonzero(has_match(labels))
    size = min(_QUERIES, _BLOCK_ELEMENTS // gallery)
    if 4 * size >= _QUERIES:
        return _in_turn(queries, size)
    return _by_identity(labels, queries, step)


def whole_rows(queries: int, gallery: int) -> Iterator[Int64[np.ndarray, " c"]]:
    """All queries, a few at a time, so that their distances to the whole gallery make one block."""
    size = max(min(_QUERIES, _BLOCK_ELEMENTS // gallery), 1)
    return (np.arange(start, min(start + size, queries)) for start in range(0, queries, size))


def _in_turn(queries: Int64[np.ndarray, " q"], size: int) -> Iterator[Step]:
    return (Step(queries[start:start + size], slice(None), []) for start in range(0, len(queries), size))


def _by_identity(labels: Labels, queries: Int64[np.ndarray, " q"], step: int) -> Iterator[Step]:
    index = IdentityIndex(labels)
    queries = queries[np.argsort(labels.query_ids[queries], kind="stable")]
    counts, ids = index.counts()[queries], labels.query_ids[queries]
    new = np.r_[True, ids[1:] != ids[:-1]]
    later = split(slice(None), step, len(labels.gallery_ids))
    start = images = 0
    for stop in range(len(queries) + 1):
        more = counts[stop] if stop < len(queries) and new[stop] else 0
        full = stop - start >= _QUERIES or (images + more) * (stop - start + 1) > _BLOCK_ELEMENTS
        if stop > start and (full or stop == len(queries)):
            some = queries[start:stop]
            yield Step(some, index.items(some), later)
            start, images = stop, 0
            more = counts[stop] if stop < len(queries) else 0
        images += more


def _place(block: Block, pairs: Pairs, first: np.ndarray | slice, later: list[slice], gallery: int
           ) -> tuple[np.ndarray, Int64[np.ndarray, " p"]]:
    """The distance of each pair, and how many gallery images stand before it; 0 for junk, whose place nobody asks."""
    columns, distances = np.arange(gallery)[first], _countable(block(first))
    values = values_at(distances, pairs.rows, np.searchsorted(columns, pairs.items))
    matches = tuple(part[~pairs.junk] for part in (pairs.rows, pairs.items, values))
    before = count_nearer(distances, columns, *matches)
    for part in later:
        others = np.arange(gallery)[part]
        distances = _countable(block(part))
        distances[:, np.searchsorted(others, columns[(columns >= part.start) & (columns < part.stop)])] = np.nan
        before += count_nearer(distances, others, *matches)
    places = np.zeros(len(pairs.rows), np.int64)
    places[~pairs.junk] = before
    return values, places


def _countable(distances: np.ndarray | Tensor) -> np.ndarray | Tensor:
    """In a type that compares fast: an array, or a tensor on a GPU."""
    if distances.dtype in (np.bool_, torch.bool):
        distances = distances.view(np.uint8 if isinstance(distances, np.ndarray) else torch.uint8)
    if distances.dtype in (torch.float16, torch.bfloat16):
        distances = distances.float()
    if isinstance(distances, Tensor):
        return distances if distances.is_cuda else distances.numpy()
    return distances.astype(np.float32) if distances.dtype == np.float16 else distances


def _score(pairs: Pairs, values: np.ndarray, before: Int64[np.ndarray, " p"], average_precision: str
           ) -> tuple[Int64[np.ndarray, " c"], Float64[np.ndarray, "2 c"]]:
    """The rank of the first match, and AP and INP, of each query that the pairs have."""
    nearest = np.lexsort((pairs.items, values, pairs.rows))
    junk = pairs.junk[nearest]
    rows = np.unique(pairs.rows, return_inverse=True)[1]  # ascending, as the order by distance stays within a query
    junk_so_far = np.cumsum(junk)
    ends = np.cumsum(np.bincount(rows))
    junk_so_far -= np.r_[0, junk_so_far[ends[:-1] - 1]][rows]
    ranks, rows = (before[nearest] + 1 - junk_so_far)[~junk], rows[~junk]
    matches = np.bincount(rows)
    last = np.cumsum(matches) - 1
    first = last - matches + 1
    so_far = np.arange(len(rows)) - first[rows] + 1
    precisions = so_far / ranks
    if average_precision == "trapezoid":
        precisions = (precisions + np.where(ranks > 1, (so_far - 1) / np.maximum(ranks - 1, 1), 1.0)) / 2
    return ranks[first], np.stack([np.bincount(rows, weights=precisions) / matches, matches / ranks[last]])


def gallery_step(channels: int) -> int:
    """How many gallery images are compared at a time."""
    return min(max(_FEATURE_ELEMENTS // channels, 1024), _BLOCK_ELEMENTS // _QUERIES)


def split(columns: Int64[np.ndarray, " b"] | slice, size: int, gallery: int) -> list[Tensor | slice]:
    """Indices in pieces; slices stay slices, which cost no copy."""
    if isinstance(columns, slice):
        start, stop, _ = columns.indices(gallery)
        return [slice(at, min(at + size, stop)) for at in range(start, stop, size)]
    return list(torch.from_numpy(columns).split(size))


def _length(part: Tensor | slice) -> int:
    return part.stop - part.start if isinstance(part, slice) else len(part)


class _Space:
    """Memory for one block at a time.

    Blocks that are taken anew each time, with small arrays between them that stay, leave holes in the heap that the
    next one does not fit into: a process grew by twice its features so.
    """

    def __init__(self, kind: torch.dtype, device: torch.device):
        self._memory = torch.empty(0, dtype=kind, device=device)

    def take(self, rows: int, columns: int) -> Float[Tensor, "{rows} {columns}"]:
        """The next block, of any content; it takes the place of the one before."""
        if rows * columns > len(self._memory):
            self._memory = torch.empty(0, dtype=self._memory.dtype, device=self._memory.device)
            self._memory = self._memory.new_empty(rows * columns)
        return self._memory[:rows * columns].view(rows, columns)


def _order(query: Float[Tensor, "c d"], gallery: Float[Tensor, "b d"], scales: Float[Tensor, " b"], metric: str,
           out: Float[Tensor, "c b"]) -> None:
    """Numbers that rank as the distances do: minus the cosine, or the squared distance less the query's square."""
    with full_precision(query.device):
        if metric == "cosine":
            torch.mm(query, gallery.T, out=out).mul_(scales)
        else:
            torch.addmm(scales, query, gallery.T, alpha=-2, out=out)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products of float32 are made in float32 here, also under autocast, and where TF32 or bfloat16 was allowed."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def _scales(features: Tensor, side: str, metric: str, kind: torch.dtype) -> Float[Tensor, " n"]:
    """Of each vector, for cosines the inverse length (large, not infinite, for zeros), else the squared length."""
    squares = features.new_empty(len(features), dtype=torch.float64)
    space = _Space(torch.float64, features.device)
    rows = _rows_of(features, 8)
    for part, sums in zip(features.split(rows), squares.split(rows)):
        torch.sum(space.take(*part.shape).copy_(part).square_(), dim=1, out=sums)
    largest = torch.finfo(kind).max
    sizes = squares.sqrt() if metric == "cosine" else squares
    if not (sizes < largest / 4).all():  # not so for NaN
        raise MatlibError(f"{side} features are so large that their distances overflow {kind}; divide them by their "
                          "length")
    return (1 / sizes).clamp(max=largest).to(kind) if metric == "cosine" else sizes.to(kind)


def _rows_of(features: Tensor, fraction: int) -> int:
    return max(_FEATURE_ELEMENTS // fraction // features.shape[1], 1)


def checked_features(features: Array, count: int, side: str) -> Tensor:
    tensor = _real(features, f"{side} features")
    if isinstance(tensor, np.ndarray):
        if not tensor.dtype.isnative or tensor.dtype.itemsize > 8:
            tensor = tensor.astype(np.float64 if tensor.dtype.itemsize >= 8 else np.float32)
        tensor = torch.as_tensor(np.ascontiguousarray(tensor) if min(tensor.strides, default=0) < 0 else tensor)
    if tensor.ndim != 2 or len(tensor) != count or not tensor.shape[1]:
        raise MatlibError(f"{side} features have the shape {tuple(tensor.shape)}, but there are {count} {side} images: "
                          f"the shape is to be ({count}, channels)")
    parts = tensor.split(_rows_of(tensor, 4)) if tensor.is_floating_point() else ()
    if not all(torch.isfinite(torch.stack(part.aminmax())).all() for part in parts):  # NaN is both least and largest
        raise MatlibError(f"{side} features are not all finite, so they have no distances: look at the model's output")
    return tensor


def _real(values: Array, name: str) -> Tensor | np.ndarray:
    """As a dense tensor without history, or an array. Raises MatlibError for what holds no real numbers."""
    if isinstance(values, Tensor):
        real = not values.is_complex() and values.layout == torch.strided and values.device.type != "meta"
        kind = f"{values.dtype}, {values.layout}"
        values = values.detach()
        if values.is_floating_point() and values.dtype.itemsize == 1:
            values = values.float()
    else:
        try:
            values = np.asarray(values)
        except ValueError:
            raise MatlibError(f"{name} have rows of different lengths: they are to be a matrix") from None
        real, kind = values.dtype.kind in "fiub", values.dtype
    if not real:
        raise MatlibError(f"{name} are to be real numbers in the computer's memory, but their type is {kind}")
    return values


def _check_options(max_rank: int, average_precision: str, unmatched: str) -> None:
    if not isinstance(max_rank, int | np.integer) or not 1 <= max_rank <= _LAST_RANK:
        raise MatlibError(f"max_rank is a whole number from 1 to {_LAST_RANK}; got {max_rank!r}")
    if average_precision not in AVERAGE_PRECISIONS:
        raise MatlibError(f"average_precision is one of {', '.join(AVERAGE_PRECISIONS)}; got {average_precision!r}")
    if unmatched not in UNMATCHED:
        raise MatlibError(f"unmatched is one of {', '.join(UNMATCHED)}; got {unmatched!r}")
