"""Ranking metrics against an independent implementation, one query and one gallery image at a time."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matlib.errors import MatlibError
from matlib.evaluation import RankingMetrics, evaluate, evaluate_features
from matlib.evaluation import counting, ranking
from matlib.evaluation.labels import checked_labels, has_match


def slow_metrics(
    distances, query_ids, gallery_ids, query_cameras, gallery_cameras, max_rank, average_precision, unmatched
):
    """The protocol as it is told, in plain Python; None where no query has a match."""
    curves, precisions, penalties, valid = [], [], [], []
    for q in range(len(query_ids)):
        order = sorted(range(len(gallery_ids)), key=lambda g: (distances[q][g], g))
        kept = [g for g in order if (gallery_ids[g], gallery_cameras[g]) != (query_ids[q], query_cameras[q])]
        hits = [gallery_ids[g] == query_ids[q] for g in kept]
        valid.append(any(hits))
        if not any(hits):
            continue
        ranks = [i + 1 for i, hit in enumerate(hits) if hit]
        curves.append([1.0 if ranks[0] <= k else 0.0 for k in range(1, max_rank + 1)])
        terms = []
        for n, r in enumerate(ranks, start=1):
            before = (n - 1) / (r - 1) if r > 1 else 1.0
            terms.append(n / r if average_precision == "plain" else (n / r + before) / 2)
        precisions.append(math.fsum(terms) / len(terms))
        penalties.append(len(ranks) / ranks[-1])
    if not any(valid):
        return None
    count = len(valid) if unmatched == "zero" else sum(valid)
    cmc = [math.fsum(column) / count for column in zip(*curves)]
    return cmc, math.fsum(precisions) / count, math.fsum(penalties) / count, precisions, valid


@st.composite
def rankings(draw):
    queries, gallery = draw(st.integers(1, 7)), draw(st.integers(1, 12))
    labels = [
        np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))
        for n, low, high in ((queries, 0, 3), (gallery, -1, 3), (queries, 0, 2), (gallery, 0, 2))
    ]
    values = st.sampled_from([0.0, 0.25, 0.5, 1.0, float("inf")]) | st.floats(-2, 2)  # many ties
    distances = draw(st.lists(values, min_size=queries * gallery, max_size=queries * gallery))
    return np.array(distances).reshape(queries, gallery), labels


def assert_equal(metrics, expected):
    cmc, mean_ap, mean_inp, precisions, valid = expected
    np.testing.assert_allclose(metrics.cmc, cmc, atol=1e-12)
    assert metrics.mAP == pytest.approx(mean_ap, abs=1e-12)
    assert metrics.mINP == pytest.approx(mean_inp, abs=1e-12)
    np.testing.assert_allclose(metrics.average_precisions, precisions, atol=1e-12)
    assert metrics.valid_queries.tolist() == valid


@settings(max_examples=300, deadline=None)
@given(
    rankings(),
    st.sampled_from([1, 3, 50]),
    st.sampled_from(["plain", "trapezoid"]),
    st.sampled_from(["skip", "zero"]),
)
def test_agrees_with_the_slow_implementation(ranking_case, max_rank, average_precision, unmatched):
    distances, labels = ranking_case
    options = dict(max_rank=max_rank, average_precision=average_precision, unmatched=unmatched)
    expected = slow_metrics(distances, *labels, **options)
    if expected is None:
        with pytest.raises(MatlibError, match="match"):
            evaluate(distances, *labels, **options)
    else:
        assert_equal(evaluate(distances, *labels, **options), expected)


def random_case(seed=0, queries=60, gallery=211, channels=9):
    """Features with exact copies among them, and some queries without a match."""
    generator = np.random.default_rng(seed)
    labels = [
        generator.integers(0, high, n)
        for n, high in ((queries, 30), (gallery, 25), (queries, 3), (gallery, 3))
    ]
    query, features = generator.normal(size=(queries, channels)), generator.normal(size=(gallery, channels))
    return query, features, labels


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("average_precision", ["plain", "trapezoid"])
@pytest.mark.parametrize("elements", [1 << 23, 256 * 40])  # the gallery as one block; in blocks of 40
def test_features_rank_as_their_distances(metric, average_precision, elements, monkeypatch):
    monkeypatch.setattr(ranking, "_BLOCK_ELEMENTS", elements)
    monkeypatch.setattr(ranking, "_MATRIX_ELEMENTS", 211 * 16)  # 16 queries at a time, the last chunk shorter
    query, gallery, labels = random_case()
    if metric == "cosine":
        distances = [[1 - q @ g / np.linalg.norm(q) / np.linalg.norm(g) for g in gallery] for q in query]
    else:
        distances = [[np.linalg.norm(q - g) for g in gallery] for q in query]
    expected = slow_metrics(distances, *labels, 20, average_precision, "skip")
    assert 0 < sum(expected[-1]) < len(query)
    options = dict(metric=metric, max_rank=20, average_precision=average_precision)
    assert_equal(evaluate_features(query, gallery, *labels, **options), expected)
    assert_equal(
        evaluate(np.array(distances), *labels, max_rank=20, average_precision=average_precision), expected
    )


def test_arrays_tensors_and_integer_types_are_the_same():
    query, gallery, labels = random_case()
    distances = np.random.default_rng(1).integers(0, 9, (len(query), len(gallery)))
    expected = evaluate(distances, *labels)
    for convert in (np.uint8, np.int16, np.uint32, np.int64):
        assert_same(evaluate(distances.astype(np.float16), *(a.astype(convert) for a in labels)), expected)
    for kind in (torch.uint8, torch.int32, torch.int64):
        tensors = [torch.from_numpy(a).to(kind) for a in labels]
        assert_same(evaluate(torch.from_numpy(distances).bfloat16(), *tensors), expected)
    assert_same(evaluate(distances.tolist(), *(a.tolist() for a in labels)), expected)
    leaf = torch.tensor(query, dtype=torch.float32, requires_grad=True)
    assert_same(
        evaluate_features(leaf, torch.tensor(gallery, dtype=torch.float32), *labels),
        evaluate_features(query.astype(np.float32), gallery.astype(np.float32), *labels),
    )


def assert_same(one: RankingMetrics, other: RankingMetrics):
    assert (one.mAP, one.mINP) == (other.mAP, other.mINP)
    np.testing.assert_array_equal(one.cmc, other.cmc)
    np.testing.assert_array_equal(one.average_precisions, other.average_precisions)


@pytest.mark.parametrize("change", [
    lambda a: np.ascontiguousarray(a[::-1])[::-1], lambda a: np.repeat(a, 2, axis=1)[:, ::2], np.asfortranarray,
    lambda a: a.astype(">f8"), lambda a: a.astype(np.longdouble), lambda a: torch.from_numpy(a.T.copy()).T,
    lambda a: a.tolist()])
def test_how_features_and_distances_lie_in_memory_changes_nothing(change):
    generator = np.random.default_rng(5)
    query, gallery = generator.normal(size=(12, 6)), generator.normal(size=(30, 6))
    labels = [generator.integers(0, high, n) for n, high in ((12, 4), (30, 4), (12, 2), (30, 2))]
    distances = np.linalg.norm(query[:, None] - gallery, axis=2)
    expected = evaluate(distances, *labels)
    for found in (evaluate(change(distances), *labels),
                  evaluate_features(change(query), change(gallery), *labels, metric="euclidean")):
        np.testing.assert_array_equal(found.average_precisions, expected.average_precisions)


def test_ties_are_ranked_in_the_order_of_the_gallery():
    first = evaluate(np.zeros((1, 40)), [5], [5] + [1] * 39, [0], [1] * 40)
    last = evaluate(np.zeros((1, 40)), [5], [1] * 39 + [5], [0], [1] * 40)
    assert first.mAP == 1 and first.rank(1) == 1
    assert last.mAP == 1 / 40 and last.rank(39) == 0 and last.rank(40) == 1


def test_only_the_query_camera_of_the_same_identity_is_dropped():
    # nearest: own camera and identity (dropped); then another identity of that camera (kept); then the match
    metrics = evaluate([[0.1, 0.2, 0.3]], [7], [7, 8, 7], [2], [2, 2, 0])
    assert metrics.rank(1) == 0 and metrics.rank(2) == 1 and metrics.mAP == metrics.mINP == 0.5


def test_a_perfect_and_the_worst_ranking_in_closed_form():
    ids = np.arange(6)
    gallery_ids = np.repeat(ids, 3)
    wrong = (ids[:, None] != gallery_ids[None]).astype(float)
    perfect = evaluate(wrong, ids, gallery_ids, np.zeros(6, int), np.ones(18, int))
    assert perfect.mAP == perfect.mINP == perfect.rank(1) == 1
    worst = evaluate(-wrong, ids, gallery_ids, np.zeros(6, int), np.ones(18, int))
    assert worst.mAP == pytest.approx((1 / 16 + 2 / 17 + 3 / 18) / 3)
    assert worst.mINP == pytest.approx(3 / 18)
    assert worst.rank(15) == 0 and worst.rank(16) == 1


def test_unmatched_queries_are_skipped_or_count_zero():
    case = ([[0.0, 1.0], [0.0, 1.0]], [1, 9], [1, 2], [0, 0], [1, 1])
    skip, zero = evaluate(*case), evaluate(*case, unmatched="zero")
    assert skip.mAP == skip.rank(1) == skip.mINP == 1
    assert zero.mAP == zero.rank(1) == zero.rank(50) == zero.mINP == 0.5
    assert skip.valid_queries.tolist() == zero.valid_queries.tolist() == [True, False]


def test_a_chunk_of_unmatched_queries(monkeypatch):
    monkeypatch.setattr(ranking, "_MATRIX_ELEMENTS", 32)  # 16 queries at a time
    query_ids = [9] * 16 + [1] + [9] * 32
    metrics = evaluate(np.zeros((49, 2)), query_ids, [1, 2], [0] * 49, [1, 1])
    assert metrics.mAP == 1 and metrics.valid_queries.nonzero()[0].tolist() == [16]


def test_rank_counts_from_1_to_max_rank():
    metrics = evaluate([[0.0]], [1], [1], [0], [1], max_rank=7)
    assert metrics.cmc.shape == (7,) and metrics.rank(7) == 1
    for k in (0, 8, -1):
        with pytest.raises(MatlibError, match="1 to max_rank, which is 7"):
            metrics.rank(k)


GOOD = dict(
    distances=np.zeros((2, 3)),
    query_ids=[1, 2],
    gallery_ids=[1, 2, 3],
    query_cameras=[0, 0],
    gallery_cameras=[1, 1, 1],
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"distances": np.array([[0, 1, 2], [0, np.nan, 1]])}, "NaN"),
        ({"distances": np.zeros((3, 2))}, r"\(3, 2\).*2 queries and 3 gallery"),
        ({"distances": np.zeros(6)}, r"to be \(2, 3\)"),
        ({"distances": np.zeros((2, 3), complex)}, "real numbers"),
        ({"distances": [[1, 2, 3], [1]]}, "different lengths"),
        ({"distances": torch.zeros(2, 3).to_sparse()}, "sparse"),
        ({"query_ids": [[1], [1, 2]]}, "different lengths"),
        ({"query_ids": [], "query_cameras": [], "distances": np.zeros((0, 3))}, "query side is empty"),
        ({"gallery_ids": [], "gallery_cameras": [], "distances": np.zeros((2, 0))}, "gallery side is empty"),
        ({"gallery_cameras": [1, 1]}, "gallery_ids has 3 values, but gallery_cameras has 2"),
        ({"query_ids": ["1", "2"]}, "query_ids is to hold integers"),
        ({"query_ids": [[1], [2]]}, "one-dimensional"),
        ({"gallery_cameras": [0, 0, 0]}, "every match of every query is from the query's own camera"),
        ({"query_ids": [8, 9]}, "not one identity"),
        ({"query_ids": [1, 9], "gallery_cameras": [0, 0, 0]}, "own camera only"),
        ({"max_rank": 0}, "max_rank"),
        ({"max_rank": 1 << 60}, "max_rank"),
        ({"average_precision": "oxford"}, "plain, trapezoid"),
        ({"unmatched": "keep"}, "skip, zero"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(change, sentence):
    evaluate(**GOOD)
    with pytest.raises(MatlibError, match=sentence):
        evaluate(**(GOOD | change))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"metric": "manhattan"}, "cosine, euclidean"),
        ({"query_features": np.full((2, 4), np.nan)}, "query features are not all finite"),
        ({"query_features": np.ones((2, 5))}, "5 channels and gallery features 4"),
        ({"gallery_features": np.ones((2, 4))}, "there are 3 gallery images"),
        ({"gallery_features": np.full((3, 4), 2e38, np.float32), "query_features": np.ones((2, 4), np.float32)},
         "so large that their distances overflow"),
        ({"query_features": np.ones((2, 4), complex)}, "real numbers"),
        ({"query_features": np.full((2, 4), "1")}, "real numbers"),
        ({"query_features": torch.ones(2, 4).to_sparse()}, "sparse"),
    ],
)
def test_bad_features_are_refused_in_a_sentence(change, sentence):
    good = {k: v for k, v in GOOD.items() if k != "distances"}
    good |= dict(query_features=np.ones((2, 4)), gallery_features=np.ones((3, 4)))
    evaluate_features(**good)
    with pytest.raises(MatlibError, match=sentence):
        evaluate_features(**(good | change))


def test_a_feature_of_zeros_is_at_distance_1():
    # the opposite of the query is farther than the zeros, the query itself nearer
    query, gallery = [[1.0, 0.0]], [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    metrics = evaluate_features(query, gallery, [1], [2, 1, 3], [0], [1, 1, 1])
    assert metrics.mAP == 0.5


@settings(max_examples=150, deadline=None)
@given(rankings(), st.integers(1, 5), st.booleans(), st.sampled_from([1, 4, 100]), st.sampled_from([0, 1, 4]))
def test_blocks_of_the_gallery_count_as_the_whole(ranking_case, step, on_device, near, far):
    """Any cut of the gallery, any thresholds of the short cuts, and the tensor's way, which GPUs go."""
    distances, labels = ranking_case
    expected = slow_metrics(distances, *labels, 50, "plain", "skip")
    if expected is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_NEAR", near)
        patch.setattr(counting, "_FAR", far)
        patch.setattr(counting, "_TIED_ELEMENTS", 20)
        patch.setattr(ranking, "_BLOCK_ELEMENTS", 8)
        if on_device:
            patch.setattr(ranking, "_countable", lambda block: torch.from_numpy(block))
        checked = checked_labels(*labels)
        plan = ranking.plan(checked, step)
        metrics = ranking.score_blocks(lambda queries: lambda columns: distances[queries][:, columns], checked, plan,
                                       50, "plain", "skip")
    assert_equal(metrics, expected)


def test_a_step_has_all_images_of_its_queries_first_and_the_whole_gallery_later(monkeypatch):
    monkeypatch.setattr(ranking, "_BLOCK_ELEMENTS", 300)
    labels = checked_labels(*random_case()[2])
    steps = list(ranking.plan(labels, 50))
    queries = np.concatenate([step.queries for step in steps])
    assert sorted(queries) == np.flatnonzero(has_match(labels)).tolist() and len(steps) > 3
    for step in steps:
        assert np.array_equal(step.first, np.flatnonzero(np.isin(labels.gallery_ids, labels.query_ids[step.queries])))
        assert len(step.first) * len(step.queries) <= 300
        assert np.array_equal(np.concatenate([np.arange(211)[part] for part in step.later]), np.arange(211))


def test_the_number_of_threads_changes_nothing():
    labels = random_case()[2]
    distances = np.random.default_rng(3).normal(size=(60, 211)).astype(np.float32)
    before, threads = evaluate(distances, *labels), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranking, "_MATRIX_ELEMENTS", 2 * 211)
            assert_same(evaluate(distances, *labels), before)
    finally:
        torch.set_num_threads(threads)


def test_results_by_query():
    case = ([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [3.0, 2.0, 1.0]], [1, 9, 2], [1, 2, 2], [0, 0, 0], [1, 1, 1])
    skip, zero = evaluate(*case).per_query(), evaluate(*case, unmatched="zero").per_query()
    assert [column.tolist() for column in skip] == [[0, 2], [1, 1], [1, 1], [1, 1]]
    assert [column.tolist() for column in zero] == [[0, 1, 2], [1, np.inf, 1], [1, 0, 1], [1, 0, 1]]
    for results, metrics in ((skip, evaluate(*case)), (zero, evaluate(*case, unmatched="zero"))):
        assert results.average_precisions.mean() == metrics.mAP
        assert results.inverse_negative_penalties.mean() == metrics.mINP
        assert (results.first_ranks <= 1).mean() == metrics.rank(1)


def test_float32_features_are_compared_in_float32_whatever_was_allowed():
    """Also under autocast and where TF32 or bfloat16 products were allowed."""
    query, gallery, labels = random_case(channels=64)
    query, gallery = (torch.from_numpy(side).float() for side in (query, gallery))
    expected = evaluate_features(query, gallery, *labels)
    exact = evaluate_features(query.double(), gallery.double(), *labels)
    assert expected.mAP == pytest.approx(exact.mAP, abs=1e-4)
    allowed = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            assert_same(evaluate_features(query, gallery, *labels), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(allowed)


def test_the_length_of_features_changes_no_cosine():
    query, gallery, labels = random_case()
    scales = np.random.default_rng(0).choice([1e-25, 1.0, 1e25], (len(gallery), 1))
    assert_equal(evaluate_features(query.astype(np.float32), (gallery * scales).astype(np.float32), *labels),
                 slow_metrics(1 - query @ (gallery / np.linalg.norm(gallery, axis=1, keepdims=True)).T, *labels, 50,
                              "plain", "skip"))


MEASURED = """
import resource
import numpy as np
from matlib.evaluation import evaluate_features
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
generator = np.random.default_rng(0)
gallery = generator.standard_normal((300_000, 128), np.float32)
ids = generator.integers(0, 60_000, len(gallery))
call = lambda n: evaluate_features(gallery[:40], gallery[:n], ids[:40], ids[:n], [0] * 40, [1] * n)
call(2000)
before = peak()
call(len(gallery))
print((peak() - before) // 1024)
"""


def test_a_long_gallery_takes_no_memory_of_its_size():
    """150 MiB of features: neither a copy of them, nor the heap's holes between their blocks."""
    added = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True).stdout
    assert int(added) < 100
