"""Single-gallery-shot, camera pairs and groups of queries against the rules as they are told."""

import numpy as np
import pytest

from matlib.errors import MatlibError
from matlib.evaluation import bootstrap, by_camera_pair, by_group, evaluate, evaluate_single_shot


def random_case(seed=0, queries=40, gallery=90):
    generator = np.random.default_rng(seed)
    labels = [generator.integers(0, high, n) for n, high in ((queries, 12), (gallery, 11), (queries, 3), (gallery, 3))]
    return generator.normal(size=(queries, gallery)), labels


def expected_single_shot(distances, labels, k):
    """The mean of CMC at k over all galleries, for queries whose identity's image is any of its matches.

    Over independent draws the number of other identities that stand before a match is a sum of independent events.
    """
    hits = []
    for row, identity, camera in zip(distances, labels[0], labels[2]):
        matches = row[(labels[1] == identity) & (labels[3] != camera)]
        if not len(matches):
            continue
        for match in matches:
            chances = [(row[labels[1] == other] < match).mean() for other in np.unique(labels[1]) if other != identity]
            counts = np.array([1.0])  # distribution of how many are before
            for chance in chances:
                counts = np.convolve(counts, [1 - chance, chance])
            hits.append((counts[:k].sum(), 1 / len(matches)))
    values, weights = np.array(hits).T
    return (values * weights).sum() / weights.sum()


def test_the_mean_of_many_draws_is_the_expected_rate():
    distances, labels = random_case()
    result = evaluate_single_shot(distances, *labels, draws=400)
    for k in (1, 3):
        error = result.spread(k) / 400 ** 0.5
        assert result.rank(k) == pytest.approx(expected_single_shot(distances, labels, k), abs=4 * error)
    assert result.cmc[0] == pytest.approx(result.rank(1)) and len(result.draws) == 400


def test_seeds_repeat_draws_and_differ():
    distances, labels = random_case()
    one, same, other = (evaluate_single_shot(distances, *labels, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.cmc, same.cmc) and not np.array_equal(one.cmc, other.cmc)


def test_one_image_an_identity_is_all_shot():
    distances, _ = random_case(queries=11, gallery=11)
    labels = (np.arange(11), np.arange(11), np.zeros(11, int), np.ones(11, int))
    for draws in (2, "each"):
        single = evaluate_single_shot(distances, *labels, draws=draws)
        assert single.mAP == pytest.approx(evaluate(distances, *labels).mAP)
    assert np.isnan(single.spread(1))


def test_each_image_once_is_the_protocol_of_partial_reid():
    generator = np.random.default_rng(3)
    ids = np.repeat(np.arange(6), 5)
    query, gallery = generator.permutation(ids), generator.permutation(ids)
    distances = generator.random((30, 30))
    result = evaluate_single_shot(distances, query, gallery, np.zeros(30, int), np.ones(30, int), draws="each")
    rates = []
    for j in range(5):
        for i in range(5):
            q = [np.flatnonzero(query == identity)[j] for identity in range(6)]
            g = [np.flatnonzero(gallery == identity)[i] for identity in range(6)]
            rates.append(np.mean(distances[np.ix_(q, g)].argmin(axis=1) == np.arange(6)))
    assert len(result.draws) == 25
    assert (result.rank(1), result.spread(1)) == pytest.approx((np.mean(rates), np.std(rates, ddof=1)))


def test_unmatched_queries_of_a_draw_count_as_asked():
    case = ([[0.0, 1.0], [0.0, 1.0]], [1, 9], [1, 2], [0, 0], [1, 1])
    assert evaluate_single_shot(*case).rank(1) == 1
    assert evaluate_single_shot(*case, unmatched="zero").rank(1) == 0.5


@pytest.mark.parametrize(("unmatched", "draws", "mAP"), [("skip", 2, 1.0), ("zero", 4, 0.5)])
def test_a_draw_whose_matches_are_all_from_one_camera_spoils_no_other(unmatched, draws, mAP):
    """The j-th image of both people is from camera j, in query and gallery: two of the four draws have matches."""
    ids, cameras = np.array([1, 1, 2, 2]), np.array([0, 1, 0, 1])
    result = evaluate_single_shot(ids[:, None] != ids, ids, ids, cameras, cameras, draws="each", unmatched=unmatched)
    assert (len(result.draws), result.mAP, result.rank(1)) == (draws, mAP, mAP)


def test_camera_pairs_are_rankings_of_their_own():
    distances, labels = random_case(seed=4)
    rows = by_camera_pair(distances, *labels)
    assert {(row["query_camera"], row["gallery_camera"]) for row in rows} == {(a, b) for a in range(3) for b in range(3)
                                                                             if a != b}
    for row in rows:
        q, g = labels[2] == row["query_camera"], labels[3] == row["gallery_camera"]
        cameras = np.zeros(q.sum(), int), np.ones(g.sum(), int)
        metrics = evaluate(distances[q][:, g], labels[0][q], labels[1][g], *cameras)
        assert (row["rank1"], row["mAP"], row["mINP"]) == (metrics.rank(1), metrics.mAP, metrics.mINP)
        assert row["queries"] == metrics.valid_queries.sum()


def test_groups_share_the_queries_among_them():
    distances, labels = random_case(seed=5)
    metrics = evaluate(distances, *labels)
    groups = np.array(["bag", "car"])[np.random.default_rng(0).integers(0, 2, 40)]
    result = by_group(metrics, groups)
    assert list(result) == ["bag", "car"]
    total = sum(count for count, _ in result.values())
    assert total == metrics.valid_queries.sum()
    assert sum(count * values["mAP"].value for count, values in result.values()) / total == pytest.approx(metrics.mAP)
    assert by_group(metrics, np.zeros(40))[0.0][1] == bootstrap(metrics)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda d, a: evaluate_single_shot(d, *a, draws=0), "number from 1"),
    (lambda d, a: evaluate_single_shot(d, *a, draws="each"), "as many query images of each identity"),
    (lambda d, a: evaluate_single_shot(d.T, *a), "there are 40 queries"),
    (lambda d, a: by_camera_pair(d.T, *a), "there are 40 queries"),
    (lambda d, a: evaluate_single_shot(d, a[0] + 99, *a[1:]), "not one identity"),
    (lambda d, a: by_camera_pair(d, *a[:2], 0 * a[2], 0 * a[3]), "query's own camera"),
    (lambda d, a: by_group(evaluate(d, *a), [1, 2]), "2 labels, but there are 40 queries"),
])
def test_bad_input_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(MatlibError, match=sentence):
        call(*random_case())
