"""Visibility-weighted part distances against the formula, one pair and one part at a time."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matlib.errors import MatlibError
from matlib.evaluation import PartDescriptors, evaluate, evaluate_features, evaluate_parts, part_distances
from matlib.evaluation import ranking


def slow_distance(a, b, metric):
    """Of two images, each (parts, visibilities, global vector or None), in plain Python."""
    def unit(vector):
        norm = math.sqrt(math.fsum(x * x for x in vector))
        return [x / norm if norm else 0.0 for x in vector]

    def of(x, y):
        x, y = unit(x), unit(y)
        if metric == "cosine":
            return 1 - math.fsum(p * q for p, q in zip(x, y))
        return math.sqrt(math.fsum((p - q) ** 2 for p, q in zip(x, y)))

    weights = [math.sqrt(v * u) for v, u in zip(a[1], b[1])]
    terms = [w * of(x, y) for w, x, y in zip(weights, a[0], b[0])]
    if a[2] is not None:
        weights, terms = [1.0, *weights], [of(a[2], b[2]), *terms]
    return math.fsum(terms) / math.fsum(weights) if math.fsum(weights) else math.inf


def random_parts(generator, n, k=3, d=4, e=5, zeros=0.1):
    """A third of the parts hidden, some in between, some vectors of zeros; global vectors where e > 0."""
    parts = generator.normal(size=(n, k, d)) * (generator.random((n, k, 1)) > zeros)
    visibilities = (generator.random((n, k)) * 1.5 - 0.5).clip(0, 1)
    visibilities[0] = 0
    return PartDescriptors(parts, visibilities, generator.normal(size=(n, e)) if e else None)


def images(descriptors):
    whole = descriptors.global_features
    return [(descriptors.parts[i].tolist(), descriptors.visibilities[i].tolist(),
             None if whole is None else whole[i].tolist()) for i in range(len(descriptors))]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3),
       st.sampled_from(["cosine", "euclidean"]))
def test_agrees_with_the_formula(seed, k, d, e, metric):
    generator = np.random.default_rng(seed)
    query, gallery = random_parts(generator, 4, k, d, e), random_parts(generator, 6, k, d, e)
    expected = [[slow_distance(a, b, metric) for b in images(gallery)] for a in images(query)]
    distances = part_distances(query, gallery, metric)
    assert distances.dtype == torch.float64
    np.testing.assert_allclose(distances, expected, rtol=0, atol=1e-12 if metric == "cosine" else 1e-7)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_hidden_pairs_have_the_global_distance_or_rank_last(metric):
    generator = np.random.default_rng(0)
    query, gallery = random_parts(generator, 2), random_parts(generator, 3)  # image 0 of each shows nothing
    whole = query.global_features[0] / query.global_features[0].norm()
    others = gallery.global_features / gallery.global_features.norm(dim=1, keepdim=True)
    expected = 1 - others @ whole if metric == "cosine" else (others - whole).norm(dim=1)
    torch.testing.assert_close(part_distances(query, gallery, metric)[0], expected)
    only = [PartDescriptors(side.parts, side.visibilities) for side in (query, gallery)]
    assert part_distances(*only, metric)[0].tolist() == [math.inf] * 3
    metrics = evaluate_parts(*only, [1, 2], [1, 2, 1], [0, 0], [1, 1, 1], metric=metric)
    assert metrics.average_precisions[0] == pytest.approx((1 + 2 / 3) / 2)  # nothing is known: the gallery's order


def test_all_visible_parts_of_one_length_are_the_descriptor_as_a_whole():
    generator = np.random.default_rng(1)
    a, b = (torch.nn.functional.normalize(torch.from_numpy(generator.normal(size=(n, 3, 4))), dim=2) for n in (20, 60))
    labels = [generator.integers(0, high, n) for n, high in ((20, 5), (60, 5), (20, 3), (60, 3))]
    expected = evaluate_features(a.flatten(1), b.flatten(1), *labels)
    metrics = evaluate_parts(PartDescriptors(a, torch.ones(20, 3)), PartDescriptors(b, torch.ones(60, 3)), *labels)
    np.testing.assert_allclose(metrics.average_precisions, expected.average_precisions, atol=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("e", [0, 5])
def test_blocks_rank_as_the_whole_matrix(metric, e, monkeypatch):
    monkeypatch.setattr(ranking, "_BLOCK_ELEMENTS", 256 * 20)  # blocks of 20 gallery images
    generator = np.random.default_rng(2)
    query, gallery = (random_parts(generator, n, e=e, zeros=0) for n in (70, 211))
    labels = [generator.integers(0, high, n) for n, high in ((70, 30), (211, 25), (70, 3), (211, 3))]
    options = dict(max_rank=20, average_precision="trapezoid", unmatched="zero")
    one = evaluate_parts(query, gallery, *labels, metric=metric, **options)
    other = evaluate(part_distances(query, gallery, metric), *labels, **options)
    np.testing.assert_allclose(one.average_precisions, other.average_precisions, atol=1e-12)
    np.testing.assert_allclose(one.cmc, other.cmc, atol=1e-12)


def test_types_narrower_than_float32_are_computed_in_it():
    generator = np.random.default_rng(3)
    full = random_parts(generator, 5)
    half = PartDescriptors(full.parts.bfloat16(), full.visibilities > 0, full.global_features.half().numpy())
    assert (half.parts.dtype, half.visibilities.dtype, half.global_features.dtype) == (torch.float32,) * 3
    assert part_distances(half, half).dtype == torch.float32
    assert part_distances(half, full).dtype == torch.float64


GOOD = dict(parts=np.ones((2, 3, 4)), visibilities=np.ones((2, 3)), global_features=np.ones((2, 5)))


@pytest.mark.parametrize(("change", "sentence"), [
    ({"parts": np.ones((2, 12))}, r"\(images, parts, channels\)"),
    ({"parts": np.ones((2, 0, 4)), "visibilities": np.ones((2, 0))}, r"\(images, parts, channels\)"),
    ({"visibilities": np.ones((2, 4))}, r"\(2, 3, 4\) and \(2, 4\)"),
    ({"visibilities": np.array([[0, 1, 2], [0, 0, 1.0]])}, "range from 0 to 2"),
    ({"visibilities": np.array([[0, 1, np.nan], [0, 0, 1]])}, "visibilities are not all finite"),
    ({"parts": np.full((2, 3, 4), np.inf)}, "parts are not all finite"),
    ({"parts": np.ones((2, 3, 4), complex)}, "real numbers"),
    ({"global_features": np.ones((3, 5))}, "there are 2 images"),
])
def test_bad_descriptors_are_refused_in_a_sentence(change, sentence):
    PartDescriptors(**GOOD)
    with pytest.raises(MatlibError, match=sentence):
        PartDescriptors(**(GOOD | change))


@pytest.mark.parametrize(("change", "sentence"), [
    ({"metric": "manhattan"}, "cosine, euclidean"),
    ({"gallery": PartDescriptors(GOOD["parts"], GOOD["visibilities"])}, "the other has none"),
    ({"gallery": PartDescriptors(**GOOD | {"parts": np.ones((2, 3, 9))})}, r"\(3, 4, 5\) and \(3, 9, 5\)"),
    ({"gallery_ids": [1, 2, 3], "gallery_cameras": [1, 1, 1]}, "2 gallery descriptors, but 3 gallery_ids"),
])
def test_sides_that_do_not_fit_are_refused_in_a_sentence(change, sentence):
    good = dict(query=PartDescriptors(**GOOD), gallery=PartDescriptors(**GOOD), query_ids=[1, 2], gallery_ids=[1, 2],
                query_cameras=[0, 0], gallery_cameras=[1, 1])
    evaluate_parts(**good)
    with pytest.raises(MatlibError, match=sentence):
        evaluate_parts(**(good | change))
