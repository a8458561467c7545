"""The followed points of the skin: symmetric, spread, and seen where they are."""

from __future__ import annotations

import numpy as np

from matlib.annyville.body import load_body
from matlib.annyville.camera import CAMERAS
from matlib.annyville.pose import Pose
from matlib.annyville.render import Town, render_picture
from matlib.annyville.surface import surface_normals, surface_places, surface_truth
from matlib.annyville.truth import HIDDEN, SURFACE_POINTS, SURFACE_UNIT
from matlib.annyville.wardrobe import body_part, make_person

HALF = SURFACE_POINTS // 2


def test_halves_mirror_each_other():
    left, right = surface_places()[:HALF], surface_places()[HALF:]
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=0.01)
    assert (left[:, 0] > 0).all() and (right[:, 0] < 0).all()
    assert len(np.unique(surface_places(), axis=0)) == SURFACE_POINTS


def test_points_are_spread_over_the_whole_body():
    """Every place of the skin has a followed point within 9 cm; every part but the arms is told by height."""
    body = load_body()
    skin = body.canonical[np.unique(body.faces["body"])]
    nearest = np.sqrt(((skin[:, None] - surface_places()[None]) ** 2).sum(2)).min(1)
    assert nearest.max() < 0.09
    solid = np.concatenate([surface_places(), np.full((SURFACE_POINTS, 1), -1)], 1).astype(np.float32)
    assert {1, 2, 7, 8, 9, 10, 11, 12} <= set(body_part(solid).tolist())


def test_points_ride_on_the_mesh():
    """In any pose each point is near the dressed surface (loose cloth hangs off), and its normal is a unit one."""
    person = make_person(np.random.default_rng(3))
    for phase in (0.1, 0.6):
        posed = person.posed(Pose(1.0, phase, "phone", "swing"))
        gap = np.sqrt(((posed.surface[:, None] - posed.mesh.points[None, ::2]) ** 2).sum(2)).min(1)
        assert np.median(gap) < 0.03 and np.quantile(gap, 0.95) < 0.08
        np.testing.assert_allclose(np.linalg.norm(posed.surface_normals, axis=1), 1, atol=1e-3)


def test_a_point_is_seen_where_its_pixel_shows_its_own_place():
    places = surface_places()
    spot = np.tile([[2.5, 1.5]], (SURFACE_POINTS, 1))
    facing = np.ones(SURFACE_POINTS)
    seen = np.full((4, 6, 3), np.inf, np.float32)
    seen[1, 2] = places[7]
    truth = surface_truth(spot, facing, seen, 0.5)
    assert truth[7].tolist() == [1.25 / SURFACE_UNIT, 0.75 / SURFACE_UNIT, 1]
    near = np.linalg.norm(places - places[7], axis=1) < 0.08
    np.testing.assert_array_equal(truth[:, 2] == 1, near)
    assert not surface_truth(spot, -facing, seen, 0.5)[:, 2].any()
    assert not surface_truth(spot - 4, facing, seen, 0.5)[:, 2].any()


def test_seen_points_lie_on_the_shown_person_and_show_front_or_back():
    rng = np.random.default_rng(0)
    grey = np.full((216, 384, 4), 120, np.uint8)
    town = Town(lambda _: grey, lambda k: make_person(np.random.default_rng(abs(k))), CAMERAS)
    for k in range(4):
        picture = render_picture(town, 1 + k, k, rng, 128, 64, occluded=k % 2 == 1)
        x, y, v = picture.surface.T
        on = v == 1
        assert 30 < on.sum() < 0.65 * SURFACE_POINTS
        j, i = np.floor(x[on] * SURFACE_UNIT).astype(int), np.floor(y[on] * SURFACE_UNIT).astype(int)
        part = picture.mask[np.clip(i, 0, 127), np.clip(j, 0, 63)]
        assert ((part > 0) & (part < HIDDEN)).mean() > 0.9
        if abs(picture.yaw) < 60:
            assert surface_normals()[on, 1].mean() < -0.2  # the front of the body faces -y
        elif abs(picture.yaw) > 120:
            assert surface_normals()[on, 1].mean() > 0.2
