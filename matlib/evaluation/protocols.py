"""Other readings of one distance matrix: single-gallery-shot, and results by camera pair or by any group of queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64

from matlib.errors import MatlibError
from matlib.evaluation.labels import Array, IdentityIndex, Labels, checked_labels, has_match, to_numpy, why_unmatched
from matlib.evaluation.ranking import RankingMetrics, evaluate
from matlib.evaluation.uncertainty import Interval, bootstrap


@dataclass(frozen=True, eq=False)
class SingleShotMetrics:
    """The metrics of several draws of a gallery, and their means."""

    draws: tuple[RankingMetrics, ...]

    @property
    def cmc(self) -> Float64[np.ndarray, " max_rank"]:
        return np.mean([draw.cmc for draw in self.draws], axis=0)

    @property
    def mAP(self) -> float:
        """With one match a query, AP is the inverse of its rank."""
        return float(np.mean([draw.mAP for draw in self.draws]))

    def rank(self, k: int) -> float:
        """CMC at k, the mean of the draws."""
        return float(np.mean([draw.rank(k) for draw in self.draws]))

    def spread(self, k: int) -> float:
        """The standard deviation of CMC at k over the draws; NaN for one draw."""
        return float(np.std([draw.rank(k) for draw in self.draws], ddof=1)) if len(self.draws) > 1 else float("nan")


def evaluate_single_shot(distances: Array, query_ids: Array, gallery_ids: Array, query_cameras: Array,
                         gallery_cameras: Array, *, draws: int | Literal["each"] = 10, seed: int = 0,
                         max_rank: int = 50, unmatched: str = "skip") -> SingleShotMetrics:
    """Rank one gallery image an identity, as for CUHK03 (Li et al., CVPR 2014) and in older tests on Partial-REID.

    A query's rank is the number of identities whose image is not farther than its own identity's. Distractors of one
    label count as one identity. Equal distances are ranked in the order of the identities' numbers.

    Args:
        distances, labels, max_rank, unmatched: as in ``evaluate``.
        draws: how many galleries are drawn; in each every identity has one random image, and a query whose own
            identity's is from its camera another one of that identity. Or ``"each"``: nothing is random; the j-th image
            of each identity is a query and the i-th is in the gallery, for all (j, i): 25 draws on Partial-REID, as in
            Zheng et al. (ICCV 2015). A draw without any match (all from the queries' own cameras) is left out or, under
            ``unmatched="zero"``, counts 0.
        seed: of the draws.

    Raises MatlibError as ``evaluate`` does, for fewer draws than 1 and, under ``"each"``, where the identities have
    different numbers of images.
    """
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    distances = _checked(distances, labels)
    if draws != "each" and (not isinstance(draws, int) or draws < 1):
        raise MatlibError(f"draws is a number from 1, or 'each'; got {draws!r}")
    if not has_match(labels).any():
        raise MatlibError(why_unmatched(labels))
    options = {"max_rank": max_rank, "unmatched": unmatched}
    if draws == "each":
        results = [_evaluate_some(distances, labels, queries, gallery, **options)
                   for queries in _each(labels.query_ids, "query") for gallery in _each(labels.gallery_ids, "gallery")]
        results = [metrics for metrics in results if unmatched == "zero" or metrics.valid_queries.any()]
    else:
        generator = np.random.default_rng(seed)
        results = (_evaluate_draw(distances, labels, generator.permutation(len(labels.gallery_ids)), **options)
                   for _ in range(draws))
    return SingleShotMetrics(tuple(results))


def _evaluate_some(distances: np.ndarray, labels: Labels, queries: Int64[np.ndarray, " c"],
                   gallery: Int64[np.ndarray, " i"], *, max_rank: int, unmatched: str) -> RankingMetrics:
    """The metrics of some queries in a part of the gallery; all 0 where none has a match there."""
    some = Labels(labels.query_ids[queries], labels.gallery_ids[gallery], labels.query_cameras[queries],
                  labels.gallery_cameras[gallery])
    if has_match(some).any():
        return evaluate(distances[np.ix_(queries, gallery)], *some, max_rank=max_rank, unmatched=unmatched)
    nothing = np.zeros(0)
    return RankingMetrics(np.zeros(max_rank), 0.0, 0.0, nothing, np.zeros(len(queries), bool), nothing.astype(np.int64),
                          nothing, unmatched)


def _evaluate_draw(distances: np.ndarray, labels: Labels, priority: Int64[np.ndarray, " g"], **options
                   ) -> RankingMetrics:
    """One draw: of each identity the image of lowest priority, and of a query's own identity that of its matches."""
    by_identity = np.lexsort((priority, labels.gallery_ids))
    identities, first = np.unique(labels.gallery_ids[by_identity], return_index=True)
    some = distances[:, by_identity[first]]
    valid = has_match(labels)
    queries = np.flatnonzero(valid)
    pairs = IdentityIndex(labels).pairs(queries)
    rows, items = pairs.rows[~pairs.junk], pairs.items[~pairs.junk]
    best = np.lexsort((priority[items], rows))
    items = items[best][np.unique(rows[best], return_index=True)[1]]
    some[queries, np.searchsorted(identities, labels.query_ids[queries])] = distances[queries, items]
    nobody = identities.max() + 1  # the identity of queries without a match
    return evaluate(some, np.where(valid, labels.query_ids, nobody), identities, np.zeros(len(valid), np.int64),
                    np.ones(len(identities), np.int64), **options)


def _each(ids: Int64[np.ndarray, " n"], side: str) -> Iterator[Int64[np.ndarray, " i"]]:
    """The first image of each identity, the second of each, and so on."""
    order = np.argsort(ids, kind="stable")
    counts = np.unique(ids, return_counts=True)[1]
    if counts.min() != counts.max():
        raise MatlibError(f"draws='each' needs as many {side} images of each identity; there are {counts.min()} to "
                          f"{counts.max()}: give a number of draws")
    return iter(order.reshape(len(counts), counts[0]).T)


def by_camera_pair(distances: Array, query_ids: Array, gallery_ids: Array, query_cameras: Array,
                   gallery_cameras: Array, **options) -> list[dict[str, int | float]]:
    """Rank-1, mAP and mINP of the queries of one camera in the gallery of one other, for each pair that has matches.

    Keys ``query_camera``, ``gallery_camera``, ``queries``, ``rank1``, ``mAP``, ``mINP``: rows for a table. The
    arguments are those of ``evaluate``, which see for what is raised.
    """
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    distances, rows = _checked(distances, labels), []
    for one in np.unique(labels.query_cameras):
        for other in np.unique(labels.gallery_cameras):
            queries, gallery = (np.flatnonzero(side) for side in
                                (labels.query_cameras == one, labels.gallery_cameras == other))
            some = Labels(labels.query_ids[queries], labels.gallery_ids[gallery], labels.query_cameras[queries],
                          labels.gallery_cameras[gallery])
            if not has_match(some).any():
                continue
            metrics = evaluate(distances[np.ix_(queries, gallery)], *some, **options)
            rows.append({"query_camera": int(one), "gallery_camera": int(other),
                         "queries": len(metrics.per_query().queries), "rank1": metrics.rank(1), "mAP": metrics.mAP,
                         "mINP": metrics.mINP})
    if not rows:
        raise MatlibError(why_unmatched(labels))
    return rows


def _checked(distances: Array, labels: Labels) -> np.ndarray:
    distances, expected = to_numpy(distances), (len(labels.query_ids), len(labels.gallery_ids))
    if distances.shape != expected:
        raise MatlibError(f"distances have the shape {distances.shape}, but there are {expected[0]} queries and "
                          f"{expected[1]} gallery images: the shape is to be {expected}")
    return distances


def by_group(metrics: RankingMetrics, groups: Array, *, seed: int = 0) -> dict[Any, tuple[int, dict[str, Interval]]]:
    """The metrics of the queries of each group, as of one kind of occlusion, with their 95 % bootstrap intervals.

    ``groups`` has a label for each query of the ranking. By the sorted labels: the number of queries that count, and
    what ``bootstrap`` gives for them. All are ranked in the same gallery.
    Raises MatlibError where the labels are not as many as the queries.
    """
    groups, results = to_numpy(groups), metrics.per_query()
    if len(groups) != len(metrics.valid_queries):
        raise MatlibError(f"groups has {len(groups)} labels, but there are {len(metrics.valid_queries)} queries")
    own = groups[results.queries]
    parts = {name: results.select(own == name) for name in np.unique(own).tolist()}
    return {name: (len(some.queries), bootstrap(some, seed=seed)) for name, some in parts.items()}
