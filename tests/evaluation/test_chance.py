"""The closed form against every order of a small gallery, and against random distances."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from matlib.data import Sample
from matlib.evaluation import evaluate
from matlib.evaluation.chance import RANKS, expected_metrics


def samples(*labels):
    return [Sample(Path("x"), identity, camera) for identity, camera in labels]


def columns(queries, gallery):
    sides = (queries, gallery)
    return [np.array([getattr(s, field) for s in side]) for field in ("identity", "camera") for side in sides]


@pytest.mark.parametrize("query", [(1, 0), (1, 2), (2, 0), (3, 1)])
def test_the_mean_over_all_orders(query):
    queries, gallery = samples(query), samples((1, 0), (1, 1), (1, 1), (2, 1), (3, 0), (0, 2))
    orders = [
        evaluate(np.array([order], float), *columns(queries, gallery)) for order in itertools.permutations(range(6))
    ]
    expected = expected_metrics(queries, gallery)
    assert expected["mAP"] == pytest.approx(np.mean([m.mAP for m in orders]))
    for k in RANKS:
        assert expected[f"rank{k}"] == pytest.approx(np.mean([m.rank(k) for m in orders]))


def test_random_distances_come_near():
    rng = np.random.default_rng(0)
    queries, gallery = (
        samples(*zip(rng.integers(0, 12, n).tolist(), rng.integers(0, 3, n).tolist(), strict=True)) for n in (300, 80)
    )
    measured = [evaluate(rng.random((300, 80)), *columns(queries, gallery)) for _ in range(10)]
    expected = expected_metrics(queries, gallery)
    assert np.mean([m.mAP for m in measured]) == pytest.approx(expected["mAP"], abs=0.01)
    assert np.mean([m.rank(5) for m in measured]) == pytest.approx(expected["rank5"], abs=0.03)


def test_queries_without_a_match_do_not_count():
    gallery = samples((1, 0), (2, 0), (3, 0))
    assert expected_metrics(samples((1, 1), (9, 1), (2, 0)), gallery) == expected_metrics(samples((1, 1)), gallery)
    assert expected_metrics(samples((1, 1)), gallery)["rank1"] == pytest.approx(1 / 3)
    assert np.isnan(expected_metrics(samples((9, 0)), gallery)["mAP"])
