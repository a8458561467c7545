"""The ranking in two stages against one that sorts plain lists, one query and one pair at a time."""

import math
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matlib.errors import MatlibError
from matlib.evaluation import evaluate, evaluate_features, evaluate_pyramids, ranking, two_stage
from matlib.models.descriptions import Pyramid, SecondStage, join


def nearest_vectors(query, gallery, power=2.0):
    """The mean distance of a query's vectors to the nearest of a gallery image's: asymmetric, weighed, pickled."""
    gaps = torch.cdist(query.vectors.flatten(0, 1).double(), gallery.vectors.flatten(0, 1).double())
    gaps = gaps.view(*query.vectors.shape[:2], *gallery.vectors.shape[:2]).amin(3).pow(power)
    return torch.einsum("qn,qng->qg", query.weights.double(), gaps)


def sides(seed, queries=12, gallery=30, second=None, **options):
    generator = torch.Generator().manual_seed(seed)
    second = second or SecondStage(nearest_vectors, neighbours=5, **options)

    def side(n, vectors):
        return Pyramid(torch.randn(n, 4, generator=generator, dtype=torch.float64),
                       torch.randn(n, vectors, 3, generator=generator, dtype=torch.float64), second,
                       torch.rand(n, vectors, generator=generator, dtype=torch.float64))
    labels = [torch.randint(high, (n,), generator=generator) for n, high in
              ((queries, 4), (gallery, 4), (queries, 2), (gallery, 2))]
    return side(queries, 3), side(gallery, 2), labels


def slow_order(query, gallery, i):
    """The gallery's images as the query i ranks them."""
    def cosine(a, b):
        return math.fsum(x * y for x, y in zip(a, b)) / (math.hypot(*a) * math.hypot(*b))

    second, images = query.second, range(len(gallery))
    first = [1 - cosine(query.first[i].tolist(), vector) for vector in gallery.first.tolist()]
    order = sorted(images, key=first.__getitem__)
    chosen, rest = order[:second.neighbours], order[second.neighbours:]

    def fused(j):
        total = 0.0
        for weight, vector in zip(query.weights[i].tolist(), query.vectors[i].tolist()):
            total += weight * min(math.dist(vector, other) for other in gallery.vectors[j].tolist()) ** 2
        return (1 - second.share) * first[j] + second.share * total
    return sorted(sorted(chosen), key=fused) + rest


def ranked(query, gallery, labels, **options):
    """The scores of the slow order, whose places are the distances."""
    places = np.empty((len(query), len(gallery)))
    for i in range(len(query)):
        places[i, slow_order(query, gallery, i)] = np.arange(len(gallery))
    return evaluate(places, *labels, **options)


def same(one, other):
    np.testing.assert_array_equal(one.first_ranks, other.first_ranks)
    np.testing.assert_allclose(one.average_precisions, other.average_precisions, rtol=1e-12)
    np.testing.assert_allclose(one.cmc, other.cmc, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from(["queries", "candidates"]),
       st.sampled_from([1, 7, 30, 99]))
def test_agrees_with_the_slow_ranking(seed, share, together, neighbours):
    second = SecondStage(nearest_vectors, neighbours, share, together)
    query, gallery, labels = sides(seed, second=second)
    same(evaluate_pyramids(query, gallery, *labels), ranked(query, gallery, labels))


@pytest.mark.parametrize("together", ["queries", "candidates"])
def test_blocks_change_nothing(together, monkeypatch):
    query, gallery, labels = sides(3, queries=70, gallery=211, together=together)
    options = dict(max_rank=20, average_precision="trapezoid", unmatched="zero")
    whole = evaluate_pyramids(query, gallery, *labels, **options)
    monkeypatch.setattr(ranking, "_BLOCK_ELEMENTS", 256 * 20)  # blocks of 20 gallery images
    monkeypatch.setattr(two_stage, "_VECTOR_ELEMENTS", 2 * query.vectors[0].numel())  # two queries a call
    same(evaluate_pyramids(query, gallery, *labels, **options), whole)
    same(whole, ranked(query, gallery, labels, **options))


def test_without_a_share_it_is_the_ranking_by_cosine_and_with_the_whole_only_candidates_move():
    query, gallery, labels = sides(4, share=0.0)
    same(evaluate_pyramids(query, gallery, *labels), evaluate_features(query.first, gallery.first, *labels))
    last = torch.zeros(1, 4, dtype=torch.float64)
    first = Pyramid(torch.eye(4, dtype=torch.float64)[:1], torch.ones(1, 1, 1), SecondStage(_backwards, 2, share=1.0))
    vectors = torch.tensor([[2, 1, 0, 0], [3, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]], dtype=torch.float64)
    side = Pyramid(torch.cat([vectors, last]), torch.arange(5.0)[:, None, None], first.second)
    for image, place in zip(range(5), [1, 2, 3, 4, 5]):  # by cosine: 1, 0, 2, then 3 and the zeros, both at 1
        ids = [9] * 5
        ids[image] = 0
        assert evaluate_pyramids(first, side, [0], ids, [0], [1] * 5).first_ranks.tolist() == [place]


def _backwards(query, gallery):
    return gallery.vectors[:, 0].T.expand(len(query), -1)


def test_equal_distances_rank_in_the_gallerys_order_in_both_stages():
    second = SecondStage(lambda q, g: torch.zeros(len(q), len(g)), neighbours=3)
    query = Pyramid(torch.ones(1, 2), torch.ones(1, 1, 1), second)
    gallery = Pyramid(torch.ones(6, 2), torch.ones(6, 1, 1), second)
    for image in range(6):
        ids = [9] * 6
        ids[image] = 0
        assert evaluate_pyramids(query, gallery, [0], ids, [0], [1] * 6).first_ranks.tolist() == [image + 1]


def test_junk_takes_places_among_the_candidates():
    second = SecondStage(lambda q, g: 1 - g.vectors[:, 0].T, neighbours=2, share=1.0)
    query = Pyramid(np.array([[1.0, 0]]), np.zeros((1, 1, 1)), second)
    gallery = Pyramid(np.array([[1.0, 0], [1, 0.1], [1, 0.2]]), np.array([[[0.0]], [[0.0]], [[1.0]]]), second)
    metrics = evaluate_pyramids(query, gallery, [5], [5, 9, 5], [0], [0, 1, 1])  # the first is from the query's camera
    assert metrics.first_ranks.tolist() == [2]  # were it dropped before, the match would be compared again, and win


@pytest.mark.parametrize("together, calls, side", [("queries", 30, 1), ("candidates", 12, 0)])
def test_each_image_or_each_query_comes_once_and_only_candidates_are_compared(together, calls, side):
    seen = []

    def watched(query, gallery):
        assert not torch.is_grad_enabled()
        seen.append((len(query), len(gallery)))
        return nearest_vectors(query, gallery)

    query, gallery, labels = sides(5, second=SecondStage(watched, 5, together=together))
    evaluate_pyramids(query, gallery, *labels)
    assert sum(q * g for q, g in seen) == 12 * 5
    assert len(seen) <= calls and {shape[side] for shape in seen} == {1}


def test_an_image_that_all_choose_comes_with_a_few_queries_at_a_time(monkeypatch):
    monkeypatch.setattr(two_stage, "_VECTOR_ELEMENTS", 3 * 3 * 3)  # three queries
    query, gallery, labels = sides(5, gallery=4)  # five neighbours of four images

    def watched(some, image):
        assert len(some) == 3 and len(image) == 1
        return nearest_vectors(some, image)
    same(evaluate_pyramids(replace(query, second=SecondStage(watched, 5)), gallery, *labels),
         ranked(query, gallery, labels))


MEASURED = """
import resource
import torch
from matlib.evaluation import evaluate_pyramids
from matlib.models.descriptions import Pyramid, SecondStage
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
apart = lambda q, g: torch.cdist(q.vectors, g.vectors).mean((1, 2)).view(len(q), len(g))
second = SecondStage(apart, 50, together="{together}")
gallery = Pyramid(torch.randn(200_000, 64), torch.randn(200_000, 8, 24), second)
ids = torch.randint(60_000, (200_000,))
query = gallery.rows(torch.arange(10))
call = lambda side, n: evaluate_pyramids(query, side, ids[:10], ids[:n], [0] * 10, [1] * n)
call(gallery.rows(torch.arange(2000)), 2000)
ballast = torch.ones(60 << 20)  # as much as the descriptors' checks took for a moment, so that the peak is now
before = peak()
call(gallery, len(gallery))
print((peak() - before) // 1024)
"""


@pytest.mark.parametrize("together", ["queries", "candidates"])
def test_a_long_gallery_takes_no_memory_of_its_size(together):
    """150 MiB of vectors: neither a copy of them, nor what the second stage makes of them."""
    program = MEASURED.replace("{together}", together)
    added = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(added) < 100


def test_rows_and_batches_of_descriptions_come_apart_and_together():
    query, _, _ = sides(6)
    both = join([query.rows(torch.arange(5)), query.rows(torch.arange(5, 12))])
    torch.testing.assert_close(both.vectors, query.vectors.float())
    torch.testing.assert_close(query.rows(torch.tensor([3, 1])).weights, query.weights[[3, 1]])
    assert replace(query, weights=None).rows(torch.tensor([3])).weights is None
    again = pickle.loads(pickle.dumps(replace(query, second=SecondStage(partial(nearest_vectors, power=1.0), 5))))
    assert again.second.distances(query, query).shape == (12, 12)


@pytest.mark.parametrize("change, sentence", [
    (dict(neighbours=0), "at least 1 of neighbours"), (dict(share=1.5), "share in 0..1"),
    (dict(together="all"), "got 5, 0.5 and 'all'"),
])
def test_a_second_stage_out_of_range_is_refused_in_a_sentence(change, sentence, unchecked):
    with pytest.raises(MatlibError, match=sentence):
        SecondStage(**{"distances": nearest_vectors, "neighbours": 5} | change)


@pytest.mark.parametrize("distances, sentence", [
    (lambda q, g: nearest_vectors(q, g).T[:, :1].repeat(1, 9), r"it is to be \(\d+, 1\)"),
    (lambda q, g: nearest_vectors(q, g) * math.nan, "not all finite"),
])
def test_second_distances_that_do_not_fit_are_refused_in_a_sentence(distances, sentence):
    query, gallery, labels = sides(7, second=SecondStage(distances, 5))
    with pytest.raises(MatlibError, match=sentence):
        evaluate_pyramids(query, gallery, *labels)


def test_sides_that_do_not_fit_are_refused_in_a_sentence():
    query, gallery, labels = sides(8)
    narrow = replace(gallery, vectors=gallery.vectors[:, :, :2])
    with pytest.raises(MatlibError, match=r"\(4, 3\) and \(4, 2\)"):
        evaluate_pyramids(query, narrow, *labels)
    with pytest.raises(MatlibError, match="12 query descriptors, but 3 query_ids"):
        evaluate_pyramids(query, gallery, labels[0][:3], labels[1], labels[2][:3], labels[3])
