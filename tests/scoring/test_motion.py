"""End-point errors: known motions have none, and no flow of a kind beats the fitted one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_tensors import randn, random_keypoints

from matlib.geometry import Keypoints, coordinate_grid, receptive_field_scale
from matlib.scoring.motion import (
    YARDSTICKS,
    end_point_errors,
    fitted_flow,
    follow_flow,
    learned_flow,
    pair_images,
)
from matlib.scoring.strata import OCCLUSION_EDGES, occlusion_names, strata_of, turns

SIZE, MAP = (64, 32), (8, 4)
SCALE = receptive_field_scale(SIZE, MAP, 8)


def random_points(rng, pairs=3, count=20):
    return torch.rand(pairs, count, 2, generator=rng) * 1.6 - 0.8


@pytest.mark.parametrize("scale", [(1.0, 1.0), SCALE])
def test_a_known_affine_motion_has_no_error(rng, scale):
    """Keypoints of both images, and points of the body, moved by one affine map of the image's frame."""
    linear = torch.eye(2) + 0.1 * randn(2, 2, rng=rng)
    shift = 0.1 * randn(2, rng=rng)
    a = torch.tensor(scale)

    def moved(points):
        return points @ linear.T + shift

    def to_image(points):
        return a * (points + 1) - 1

    def to_map(points):
        return (points + 1) / a - 1

    inner = linear * a[None] / a[:, None]  # the map's linear part in the feature map's frame
    reference = random_keypoints(1, 5, rng)
    source = Keypoints(to_map(moved(to_image(reference.positions))), inner @ reference.jacobians)
    keypoints = Keypoints(*(torch.cat(pair) for pair in zip(reference, source)))
    maps = randn(2, 6, *MAP, rng=rng)
    maps[:, 0] = -100.0  # the background does not move with the person
    flow = learned_flow(keypoints, maps.softmax(1), torch.tensor([0]), torch.tensor([1]))
    points = to_image(random_points(rng, pairs=1))  # inside the outer cells' centres
    errors = end_point_errors(follow_flow(flow, points, scale), moved(points), SIZE)
    assert errors.max() < 1e-5
    assert end_point_errors(points, moved(points), SIZE).mean() > 0.01
    seen = torch.ones(1, 20, dtype=torch.bool)
    assert end_point_errors(fitted_flow(points, moved(points), seen, "affine"), moved(points), SIZE).max() < 1e-5


def test_the_identity_flow_moves_nothing(rng):
    points = random_points(rng)
    flow = coordinate_grid(*MAP).expand(3, *MAP, 2)
    torch.testing.assert_close(follow_flow(flow, points, SCALE), points)
    torch.testing.assert_close(follow_flow(flow, points * 3, SCALE), points * 3)  # beyond the border as well


def test_a_pure_shift_is_found_by_the_translation(rng):
    points = random_points(rng)
    moved = points + torch.tensor([[[0.1, -0.2]], [[0.0, 0.3]], [[-0.2, 0.0]]])
    seen = torch.rand(3, 20, generator=rng) < 0.6
    torch.testing.assert_close(fitted_flow(points, moved, seen, "translation"), moved)


@given(st.integers(0, 99))
def test_fits_are_least_squares_over_the_points_that_are_seen(seed):
    rng = torch.Generator().manual_seed(seed)
    reference, source = random_points(rng), random_points(rng)
    seen = torch.rand(3, 20, generator=rng) < 0.5
    affine = fitted_flow(reference, source, seen, "affine")
    for pair in range(3):
        chosen = seen[pair].numpy()
        design = np.c_[reference[pair].numpy(), np.ones(20)]
        expected = design @ np.linalg.lstsq(design[chosen], source[pair].numpy()[chosen], rcond=None)[0]
        np.testing.assert_allclose(affine[pair], expected, atol=1e-4)

    def squares(kind):
        residuals = (fitted_flow(reference, source, seen, kind) - source).square().sum(2)
        return (residuals * seen).sum(1)

    each = [squares(kind) for kind in YARDSTICKS]
    assert (each[0] + 1e-5 >= each[1]).all() and (each[1] + 1e-5 >= each[2]).all()


def test_too_few_points_fit_exactly(rng):
    reference, source = random_points(rng), random_points(rng)
    seen = torch.zeros(3, 20, dtype=torch.bool)
    seen[1, 4] = seen[2, 3] = seen[2, 9] = True
    predicted = fitted_flow(reference, source, seen, "affine")
    assert torch.isfinite(predicted).all()
    torch.testing.assert_close(predicted[seen], source[seen], atol=1e-5, rtol=0)


def test_errors_are_shares_of_the_height():
    there = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, -1.0]]])
    errors = end_point_errors(torch.zeros(1, 3, 2), there, (101, 51))
    torch.testing.assert_close(errors[0], torch.tensor([0.0, 25 / 101, 50 / 101]))


def test_the_anchor_is_an_option(rng):
    keypoints, maps = random_keypoints(2, 3, rng), randn(2, 4, *MAP, rng=rng).softmax(1)
    pair = torch.tensor([0]), torch.tensor([1])
    flows = [learned_flow(keypoints, maps, *pair, anchor) for anchor in ("keypoint", "centroid")]
    assert not torch.allclose(*flows)


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=30))
def test_pairs_are_of_one_person(identities):
    identities = torch.tensor(identities)
    reference, source = pair_images(identities)
    assert torch.equal(identities[reference], identities[source]) and (identities[reference] > 0).all()
    assert (reference != source).all()
    several = [i for i in identities.tolist() if i > 0 and identities.tolist().count(i) > 1]
    assert len(reference) == len(several) == len(set(reference.tolist())) == len(set(source.tolist()))


def test_strata():
    values = np.array([0.0, 0.04, 0.05, 0.3, 0.4, 1.0])
    assert strata_of(values, OCCLUSION_EDGES).tolist() == [0, 0, 1, 2, 3, 3]
    assert occlusion_names() == ["0-5 %", "5-20 %", "20-40 %", "40-100 %"]
    assert turns(np.array([170.0, 0.0, -90.0]), np.array([-170.0, 180.0, -80.0])).tolist() == [20, 180, 10]
