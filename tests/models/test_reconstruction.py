"""Pyramids against loops over cells; reconstruction against least squares solved another way, and its limits."""

import itertools

import pytest
import torch

from matlib.errors import MatlibError
from matlib.models import reconstruction as module
from matlib.models.reconstruction import check_dictionary, pyramid, reconstruction, residuals, window_sizes


def sets(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def slow(query, gallery, ridge, weights=None):
    """Ridge regression as ordinary least squares with rows added, one pair and one vector at a time."""
    result = torch.zeros(len(query), len(gallery), dtype=torch.float64)
    for i, j in itertools.product(range(len(query)), range(len(gallery))):
        columns = gallery[j].T
        stacked = torch.cat([columns, ridge**0.5 * torch.eye(columns.shape[1], dtype=torch.float64)])
        for n, vector in enumerate(query[i]):
            target = torch.cat([vector, torch.zeros(columns.shape[1], dtype=torch.float64)])
            code = torch.linalg.lstsq(stacked, target[:, None]).solution[:, 0]
            share = 1 / query.shape[1] if weights is None else weights[i, n]
            result[i, j] += share * (vector - columns @ code).norm()
    return result


@pytest.mark.parametrize("ridge", [5e-4, 1e-3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_least_squares(ridge, weighted, monkeypatch):
    monkeypatch.setattr(module, "_VECTORS", 10)  # two queries at a time
    query, gallery, weights = sets(0, (5, 5, 9), (4, 3, 9), (5, 5))
    weights = weights.abs() if weighted else None
    torch.testing.assert_close(reconstruction(query, gallery, ridge, weights), slow(query, gallery, ridge, weights))
    single = reconstruction(query.float(), gallery.float(), ridge, None if weights is None else weights.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), slow(query, gallery, ridge, weights), rtol=1e-4, atol=1e-4)


def test_what_the_gallery_spans_is_at_distance_zero_and_nothing_else_is():
    (whole,) = sets(1, (3, 6, 12))
    part, mixed = whole[:1, [4, 1]], torch.einsum("nm,bmc->bnc", sets(2, (4, 6))[0], whole[:1])
    for query in (part, mixed):
        distances = reconstruction(query, whole, 1e-10)
        assert distances[0, 0] < 1e-6 and distances[0, 1:].min() > 0.1


def test_limits_and_invariances():
    query, gallery = sets(3, (2, 4, 12), (3, 6, 12))
    lengths = query.norm(dim=2).mean(dim=1)[:, None].expand(2, 3)
    torch.testing.assert_close(reconstruction(query, gallery, 1e12), lengths)
    distances = reconstruction(query, gallery, 1e-3)
    torch.testing.assert_close(reconstruction(query[:, [3, 1, 0, 2]], gallery[:, [5, 1, 0, 2, 4, 3]], 1e-3), distances)
    assert (reconstruction(query, gallery[:, :3], 1e-12) > reconstruction(query, gallery, 1e-12)).all()
    assert (reconstruction(query, query, 1e-3) - reconstruction(query, query, 1e-3).T).abs().max() > 1e-3  # asymmetric
    only = torch.tensor([[1.0, 0, 0, 0]] * 2, dtype=torch.float64)
    torch.testing.assert_close(reconstruction(query, gallery, 1e-3, only), reconstruction(query[:, :1], gallery, 1e-3))


def test_pairs_have_the_gradient_of_the_explicit_residual():
    query, gallery = (side.requires_grad_() for side in sets(4, (3, 2, 6), (3, 4, 6)))
    assert torch.autograd.gradcheck(lambda q, g: residuals(q, g, 1e-2), (query, gallery))


@pytest.mark.parametrize("how", ["avg", "max"])
@pytest.mark.parametrize("with_global", [True, False])
def test_pyramid_against_a_slow_loop(how, with_global):
    (features,) = sets(5, (2, 3, 7, 5))
    vectors = []
    for kernel in (2, 4):
        for y, x in itertools.product(range(0, 7 - kernel + 1, 2), range(0, 5 - kernel + 1, 2)):
            window = features[:, :, y:y + kernel, x:x + kernel].flatten(2)
            vectors.append(window.mean(2) if how == "avg" else window.amax(2))
    if with_global:
        vectors.append(features.mean((2, 3)) if how == "avg" else features.amax((2, 3)))
    torch.testing.assert_close(pyramid(features, (2, 4), 2, how, with_global), torch.stack(vectors, dim=1))


@pytest.mark.parametrize("size, kernels, stride, count", [
    ((24, 12), [3, 6, 9, 12], 3, 71), ((16, 8), [2, 4, 6, 8], 2, 71), ((12, 6), [2, 4, 6], 2, 33),
    ((8, 4), [2, 4], 2, 12), ((24, 8), [2, 4, 6, 8], 2, 111),
])
def test_windows_are_the_published_ones_and_follow_the_map(size, kernels, stride, count):
    assert window_sizes(size) == (kernels, stride)
    assert pyramid(torch.zeros(1, 1, *size), kernels, stride).shape == (1, count, 1)


def test_bad_sizes_are_refused_in_a_sentence():
    with pytest.raises(MatlibError, match="a window of 6 by 6 cells does not fit a map of 8 by 4"):
        pyramid(torch.zeros(1, 1, 8, 4), (2, 6), 2)
    with pytest.raises(MatlibError, match="a map of 4 by 1 cells has no windows"):
        window_sizes((4, 1))
    check_dictionary(torch.zeros(1, 11, 12))
    with pytest.raises(MatlibError, match="12 vectors of 12 channels spans all .*model.method.windows"):
        check_dictionary(torch.zeros(1, 12, 12))


@pytest.mark.parametrize("vectors", [5, 12])
def test_a_dictionary_that_spans_everything_leaves_what_the_ridge_leaves(vectors):
    generator = torch.Generator().manual_seed(4)
    query, dictionary = (300 * torch.randn(3, n, 5, generator=generator, dtype=torch.float64) for n in (9, vectors))
    atoms, pulled = dictionary.mT, torch.linalg.inv(dictionary @ dictionary.mT + torch.eye(vectors))
    expected = (query.mT - atoms @ pulled @ dictionary @ query.mT).norm(dim=1)
    found = residuals(query, dictionary, 1.0)
    assert found.max() < 1  # of vectors of length 700
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    atoms = dictionary.clone().requires_grad_()
    residuals(query, atoms, 1.0).sum().backward()
    assert torch.isfinite(atoms.grad).all()
