"""Bootstrap intervals against closed forms, and how often they hold the truth."""

import itertools
import tracemalloc

import numpy as np
import pytest

from matlib.errors import MatlibError
from matlib.evaluation import PerQuery, bootstrap, bootstrap_difference, bootstrap_sum, evaluate


def queries(generator, n, chance=0.6):
    """Results of n queries, independent of each other."""
    first = np.where(generator.random(n) < chance, 1.0, generator.integers(2, 30, n))
    return PerQuery(np.arange(n), first, generator.beta(2, 3, n), generator.beta(1, 3, n))


def test_a_mean_has_the_interval_of_the_normal_approximation():
    some = queries(np.random.default_rng(0), 900)
    result = bootstrap(some, resamples=20_000)
    for name, values in (("mAP", some.average_precisions), ("mINP", some.inverse_negative_penalties),
                         ("rank1", some.first_ranks <= 1), ("rank10", some.first_ranks <= 10)):
        error = values.std() / 900 ** 0.5
        interval = result[name]
        assert interval.value == pytest.approx(values.mean(), abs=1e-12)
        assert interval.standard_error == pytest.approx(error, rel=0.03)
        normal = (values.mean() - 1.96 * error, values.mean() + 1.96 * error)
        assert (interval.low, interval.high) == pytest.approx(normal, abs=0.15 * error)
    narrow = bootstrap(some, level=0.5)["mAP"]
    assert result["mAP"].low < narrow.low < narrow.high < result["mAP"].high


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(1)
    intervals = [bootstrap(queries(generator, 120), resamples=300, level=0.9, seed=i) for i in range(300)]
    for name, truth in (("mAP", 0.4), ("rank1", 0.6)):
        held = np.mean([i[name].low <= truth <= i[name].high for i in intervals])
        assert 0.84 < held < 0.95  # 0.9, less a little for the small sample


def test_queries_of_one_person_are_drawn_together():
    """Every query four times: by themselves they seem four times as many, as clusters they are what they were."""
    some = queries(np.random.default_rng(2), 150)
    repeated = PerQuery(np.arange(600), *(np.tile(column, 4) for column in some[1:]))
    people = np.tile(np.arange(150), 4)
    alone, errors = bootstrap(some, resamples=6000), {}
    for name, clusters in (("queries", None), ("people", people)):
        errors[name] = bootstrap(repeated, clusters=clusters, resamples=6000)["mAP"].standard_error
    assert errors["people"] == pytest.approx(alone["mAP"].standard_error, rel=0.05)
    assert errors["queries"] == pytest.approx(alone["mAP"].standard_error / 2, rel=0.05)


def test_clusters_of_different_sizes_are_weighted_by_their_queries():
    some = queries(np.random.default_rng(3), 400)
    people = np.random.default_rng(4).integers(0, 60, 400)
    result = bootstrap(some, clusters=people, resamples=6000)["mAP"]
    assert result.value == pytest.approx(some.average_precisions.mean())
    # the standard error of a ratio of sums over clusters (delta method)
    residual = np.bincount(people, weights=some.average_precisions - some.average_precisions.mean())
    expected = (residual ** 2).sum() ** 0.5 / 400
    assert result.standard_error == pytest.approx(expected, rel=0.06)


def test_paired_differences_are_sharper_than_two_intervals():
    generator = np.random.default_rng(5)
    one = queries(generator, 500)
    other = one._replace(average_precisions=one.average_precisions - 0.02 + generator.normal(0, 0.02, 500))
    difference = bootstrap_difference(one, other)["mAP"]
    assert difference.value == pytest.approx((one.average_precisions - other.average_precisions).mean())
    assert difference.low > 0 and bootstrap(one)["mAP"].low < bootstrap(other)["mAP"].high
    assert bootstrap_difference(one, one)["mAP"] == (0, 0, 0, 0)


def test_a_seed_repeats_its_draws():
    some = queries(np.random.default_rng(6), 50)
    assert bootstrap(some, seed=3) == bootstrap(some, seed=3) != bootstrap(some, seed=4)


def test_unmatched_queries_count_as_in_the_ranking():
    case = ([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]], [1, 9, 1], [1, 2], [0, 0, 0], [1, 1])
    assert bootstrap(evaluate(*case))["mAP"].value == 0.75
    assert bootstrap(evaluate(*case, unmatched="zero"))["rank1"].value == pytest.approx(1 / 3)
    assert bootstrap(evaluate(*case), clusters=[1, 9, 1])["mAP"].value == 0.75


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda f: bootstrap(f, level=1.0), "level between 0 and 1"),
    (lambda f: bootstrap(f, resamples=1), "resamples is to be 2"),
    (lambda f: bootstrap(f, clusters=[1, 2]), "label for each of the 9"),
    (lambda f: bootstrap_difference(f, f.select(slice(5))), "different queries"),
])
def test_bad_input_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(MatlibError, match=sentence):
        call(queries(np.random.default_rng(7), 9))


def test_several_rankings_count_by_their_mean():
    """Against all pairs of them, one by one, as one long ranking."""
    generator, people = np.random.default_rng(8), np.random.default_rng(9).integers(0, 12, 60)
    ours, theirs = ([queries(generator, 60, chance) for _ in range(count)] for chance, count in ((0.8, 3), (0.5, 2)))
    pairs = list(itertools.product(ours, theirs))
    one, other = (PerQuery(np.arange(360), *(np.concatenate(column) for column in zip(*(run[1:] for run in side))))
                  for side in zip(*pairs))
    found = bootstrap_sum([(1.0, ours), (-1.0, theirs)], clusters=people)
    for name, slow in bootstrap_difference(one, other, clusters=np.tile(people, 6)).items():
        assert found[name] == pytest.approx(slow, abs=1e-12)
    doubled = bootstrap_sum([(3.0, ours), (-3.0, theirs)], clusters=people)["mAP"]
    assert doubled == pytest.approx([3 * number for number in found["mAP"]])


def test_many_rankings_need_the_room_of_one():
    some = [queries(np.random.default_rng(10), 200)] * 2000
    tracemalloc.start()
    bootstrap_sum([(1.0, some), (-1.0, some)], resamples=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # a column of all 2000 takes 3.2 MB, one of all pairs 6.4 GB
