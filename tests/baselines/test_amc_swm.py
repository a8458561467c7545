"""AMC+SWM in our reading: the code's optimality, what is ambiguous, windows at any height, and the match of both."""

import itertools

import pytest
import torch
from pyramids import IDENTITIES, SMALL, images, settled
from torch.nn.functional import interpolate, normalize

from matlib.baselines.amc_swm import (AMCSWM, ambiguities, amc_swm, patch_distances, sliding_distances, sparse_codes,
                                      window_distances)
from matlib.errors import MatlibError
from matlib.evaluation import evaluate_pyramids
from matlib.models.descriptions import Pyramid, SecondStage
from matlib.models.method import Step


def patches(seed, *shape, common=0.0):
    """Random ones of length 1, with something in common."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape[-1], generator=generator)
    return normalize(torch.randn(shape, generator=generator) + common * base, dim=-1)


@pytest.mark.parametrize("atoms, common", [(8, 0.0), (60, 0.0), (300, 1.0)])
def test_codes_are_optimal(atoms, common):
    """Where x_i is not 0, the residual's product with atom i is the penalty with x_i's sign; elsewhere it is less."""
    columns, query = patches(0, atoms, 12, common=common), patches(1, 6, 12, common=common)
    penalties = torch.linspace(0.02, 0.2, atoms)
    codes = sparse_codes(query, columns, penalties, steps=2000)
    products = (query - codes @ columns) @ columns.T
    used = codes != 0
    assert 0 < used.float().mean() < 0.9
    torch.testing.assert_close(products[used], (penalties * codes.sign())[used], rtol=1e-3, atol=1e-4)
    assert (products.abs() <= penalties + 1e-4).all()


def test_a_hundred_steps_are_close_to_the_least():
    columns, query = patches(2, 800, 24, common=1.0), patches(3, 10, 24, common=1.0)
    penalties = torch.full((800,), 0.08)

    def objective(codes):
        return ((query - codes @ columns).square().sum(1) / 2 + codes.abs() @ penalties).mean()
    least = objective(sparse_codes(query, columns, penalties, 2000))
    assert least <= objective(sparse_codes(query, columns, penalties)) < 1.01 * least


def test_a_patch_of_its_own_has_the_closed_form():
    columns = torch.eye(4)
    codes = sparse_codes(torch.tensor([[0.9, -0.3, 0.04, 0.0]]), columns, torch.full((4,), 0.05), 200)
    torch.testing.assert_close(codes, torch.tensor([[0.85, -0.25, 0.0, 0.0]]), atol=1e-5, rtol=0)


def test_ambiguity_against_a_slow_loop_and_a_patch_that_all_have_is_the_most_ambiguous():
    atoms = patches(4, 5, 3, 8)
    atoms[:, 2] = atoms[0, 2]
    found = ambiguities(atoms, 2)
    for i, n in itertools.product(range(5), range(3)):
        cosines = sorted((float(atoms[i, n] @ atoms[j, m]) for j in range(5) for m in range(3) if j != i), reverse=True)
        assert found[i, n].item() == pytest.approx(sum(cosines[:2]) / 2, abs=1e-6)
    assert (found.argmax(dim=1) == 2).all()
    assert ambiguities(atoms[:2, :1], 5).shape == (2, 1)  # fewer than five others: all of them
    with pytest.raises(MatlibError, match="there is one image: give a gallery, .* of at least 2"):
        ambiguities(atoms[:1], 2)


def test_amc_finds_whose_patches_they_are_wherever_they_lie():
    atoms, penalties = patches(5, 6, 10, 16), torch.full((6, 10), 0.05)
    query = atoms[4, [7, 2, 5]]
    distances = patch_distances(query, atoms, penalties)
    assert distances.argmin() == 4 and distances[4] < 0.3 * distances.sort().values[1]
    torch.testing.assert_close(patch_distances(query[[2, 0, 1]], atoms[:, torch.randperm(10)], penalties), distances,
                               atol=1e-3, rtol=1e-3)


def test_amc_counts_an_images_own_patches_and_their_part_of_the_code_alone():
    atoms, penalties, query = patches(6, 3, 4, 8), torch.full((3, 4), 0.05), patches(7, 2, 8)
    codes = sparse_codes(query, atoms.flatten(0, 1), penalties.flatten())
    expected = [sum((query[j] - sum(codes[j, 4 * i + n] * atoms[i, n] for n in range(4))).norm() for j in range(2))
                for i in range(3)]
    torch.testing.assert_close(patch_distances(query, atoms, penalties), torch.stack(expected))


def test_a_window_finds_its_place_at_any_height():
    maps = torch.randn(4, 5, 8, 3, generator=torch.Generator().manual_seed(8))
    for image, top in itertools.product(range(4), range(4)):
        distances = window_distances(maps[image, :, top:top + 5], maps)
        assert distances[image] == 0 and distances.sort().values[1] > 0.1
    probe = torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(9))
    expected = [min((maps[i, :, top:top + 6] - probe).abs().mean() for top in range(3)) for i in range(4)]
    torch.testing.assert_close(window_distances(probe, maps), torch.stack(expected))


def test_a_part_that_was_stretched_is_found_at_its_own_height():
    coarse = torch.randn(4, 5, 4, 3, generator=torch.Generator().manual_seed(10))
    maps = interpolate(coarse, (12, 3), mode="bilinear")
    part = interpolate(maps[2:3, :, 4:10], (12, 3), mode="bilinear")[0]
    slid, stiff = (sliding_distances(part, maps, least) for least in (0.5, 1.0))
    assert slid.argmin() == 2 and slid[2] < 0.6 * stiff[2] and (slid <= stiff).all()
    torch.testing.assert_close(stiff, (maps - part).abs().mean((1, 2, 3)))


def test_the_match_adds_both_on_one_scale():
    vectors = patches(11, 7, 12, 16)
    pyramid = Pyramid(torch.ones(7, 2), vectors, SecondStage(amc_swm, 7))
    options = dict(rows=4, sparsity=0.05, wariness=1.0, alike=5, steps=100, least_height=0.5)
    distances = amc_swm(pyramid, pyramid, **options)
    torch.testing.assert_close(distances.diagonal(), torch.zeros(7), atol=1e-6, rtol=0)  # itself is best in both
    assert distances.amax(dim=1).min() > 1 and distances.max() <= 2
    twins = pyramid.rows(torch.tensor([1, 1]))
    assert amc_swm(pyramid, twins, **options).isfinite().all()  # nothing to scale by
    other = Pyramid(torch.ones(1, 2), patches(12, 1, 12, 16), pyramid.second)
    plain, wary = (amc_swm(other, pyramid, **options | {"wariness": mu}) for mu in (0.0, 2.0))
    assert (plain - wary).abs().max() > 1e-3


def test_the_network_is_trained_as_the_baseline_and_ranks_images_by_their_cells():
    torch.manual_seed(0)
    model = AMCSWM(SMALL.model, 5)
    output = model.train()(images())
    step = Step(images(), IDENTITIES)
    terms = model.losses(output, step)
    assert set(terms) == {"identity", "triplet"}
    model.total(terms, step).backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    model = settled(model)
    whole = model.describe(model(images(5)))
    assert whole.vectors.shape == (5, 32, model.trunk.channels)
    torch.testing.assert_close(whole.vectors.norm(dim=2), torch.ones(5, 32))
    noisy = model.describe(model(images(5) + 0.05 * torch.randn(5, 3, 64, 32)))
    assert evaluate_pyramids(noisy, whole, range(5), range(5), [0] * 5, [1] * 5).rank(1) == 1
    with pytest.raises(MatlibError, match="there is one image"):
        evaluate_pyramids(noisy, whole.rows(torch.tensor([0])), range(5), [0], [0] * 5, [1])


def test_patches_may_be_of_several_cells():
    model = AMCSWM(SMALL.change({"model.method.pool": 2}).model, 5).eval()
    output = model(images(2))
    pyramid = model.describe(output)
    assert pyramid.vectors.shape == (2, 8, model.trunk.channels)
    first = output.features[:, :, :2, 2:4].mean((2, 3))  # the second of a row of two
    torch.testing.assert_close(pyramid.vectors[:, 1], normalize(first, dim=1))
    assert pyramid.second.distances.keywords["rows"] == 4
    with pytest.raises(MatlibError, match="a window of 5 by 5 cells does not fit"):
        AMCSWM(SMALL.change({"model.method.pool": 5}).model, 5).describe(output)
