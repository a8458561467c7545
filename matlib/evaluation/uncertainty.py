"""How far the metrics of a ranking would move with other queries: bootstrap intervals (Efron 1979).

The queries that count are drawn again, with replacement, as many as there are; the metrics of many such draws say how
far chance in the choice of the queries moves them. The interval holds the middle of the draws (percentiles). Where
several queries show one person they are not independent: then whole identities are drawn (``clusters``), which gives
wider, more honest intervals. The gallery, the model and its training stay as they are: the spread over seeds is apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from matlib.errors import MatlibError
from matlib.evaluation.labels import Array, to_numpy
from matlib.evaluation.ranking import PerQuery, RankingMetrics

RANKS = (1, 3, 5, 10)
_DRAWN = 1 << 21  # numbers that are drawn at a time


class Interval(NamedTuple):
    """A metric (or a difference of two), its bootstrap interval and standard error, all on the metric's scale."""

    value: float
    low: float
    high: float
    standard_error: float


def bootstrap(metrics: RankingMetrics | PerQuery, *, clusters: Array | None = None, resamples: int = 2000,
              level: float = 0.95, seed: int = 0) -> dict[str, Interval]:
    """An interval for each of rank1, rank3, rank5, rank10, mAP and mINP.

    Args:
        metrics: of one ranking, or its ``per_query()``.
        clusters: a label for each query of the ranking, as its identity, whose queries are drawn together; None draws
            each query by itself.
        level: the share of the draws in the interval.

    Raises MatlibError for options outside their range and clusters that do not fit the queries.
    """
    results = _results(metrics)
    return _intervals(_scores(results), results.queries, clusters, resamples, level, seed)


def bootstrap_difference(one: RankingMetrics | PerQuery, other: RankingMetrics | PerQuery, *,
                         clusters: Array | None = None, resamples: int = 2000, level: float = 0.95, seed: int = 0
                         ) -> dict[str, Interval]:
    """The same for the metrics of one ranking less those of another of the same queries, drawn in pairs.

    What is hard about a query is hard for both and drops out, so a difference can be sure where the two intervals
    overlap. Raises MatlibError, beside the above, where the two do not count the same queries.
    """
    sides = [(1.0, [one]), (-1.0, [other])]
    return bootstrap_sum(sides, clusters=clusters, resamples=resamples, level=level, seed=seed)


def bootstrap_sum(terms: Sequence[tuple[float, Sequence[RankingMetrics | PerQuery]]], *, clusters: Array | None = None,
                  resamples: int = 2000, level: float = 0.95, seed: int = 0) -> dict[str, Interval]:
    """The same for a weighted sum: each term is a weight and rankings of the same queries, as of trainings with several
    seeds, which count by the mean of their metrics. Raises as ``bootstrap_difference``."""
    sides = [(weight, [_results(metrics) for metrics in rankings]) for weight, rankings in terms]
    queries, *others = (results.queries for _, side in sides for results in side)
    for found in others:
        if not np.array_equal(found, queries):
            raise MatlibError(f"the rankings count different queries ({len(queries)} and {len(found)} of them): "
                              "only the same queries can be compared in pairs")
    means = [(weight, _mean_scores(side)) for weight, side in sides]
    scores = {name: sum(weight * mean[name] for weight, mean in means) for name in means[0][1]}
    return _intervals(scores, queries, clusters, resamples, level, seed)


def _mean_scores(rankings: Sequence[PerQuery]) -> dict[str, Float64[np.ndarray, " n"]]:
    """Added up one by one: thousands of rankings need the room of one."""
    totals = _scores(rankings[0])
    for results in rankings[1:]:
        for name, values in _scores(results).items():
            totals[name] += values
    return {name: total / len(rankings) for name, total in totals.items()}


def _results(metrics: RankingMetrics | PerQuery) -> PerQuery:
    return metrics.per_query() if isinstance(metrics, RankingMetrics) else metrics


def _scores(results: PerQuery) -> dict[str, Float64[np.ndarray, " n"]]:
    """Each metric as a number a query, whose mean it is."""
    found = {f"rank{k}": (results.first_ranks <= k).astype(float) for k in RANKS}
    return found | {"mAP": results.average_precisions.astype(float),
                    "mINP": results.inverse_negative_penalties.astype(float)}


def _intervals(scores: dict[str, np.ndarray], queries: Int64[np.ndarray, " n"], clusters: Array | None, resamples: int,
               level: float, seed: int) -> dict[str, Interval]:
    if resamples < 2 or not 0 < level < 1:
        raise MatlibError(f"resamples is to be 2 or more and level between 0 and 1; got {resamples} and {level}")
    groups = np.arange(len(queries)) if clusters is None else _codes(clusters, queries)
    sums = np.stack([np.bincount(groups, weights=values) for values in scores.values()], axis=1)
    draws = _draws(sums, np.bincount(groups), resamples, np.random.default_rng(seed))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: Interval(float(values.mean()), float(low[i]), float(high[i]), float(draws[:, i].std(ddof=1)))
            for i, (name, values) in enumerate(scores.items())}


def _codes(clusters: Array, queries: Int64[np.ndarray, " n"]) -> np.ndarray:
    labels = to_numpy(clusters)
    if labels.ndim != 1 or len(labels) <= queries.max():
        raise MatlibError(f"clusters has the shape {labels.shape}, but is to have a label for each of the "
                          f"{queries.max() + 1} or more queries")
    return np.unique(labels[queries], return_inverse=True)[1]


def _draws(sums: Float64[np.ndarray, "g m"], sizes: np.ndarray, resamples: int, generator: np.random.Generator
           ) -> Float64[np.ndarray, "r m"]:
    """The means of resampled groups, each group so often as it was drawn."""
    count, draws = len(sizes), []
    for start in range(0, resamples, max(_DRAWN // count, 1)):
        rows = min(max(_DRAWN // count, 1), resamples - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count).astype(float)
        draws.append(times @ sums / (times @ sizes)[:, None])
    return np.concatenate(draws)
