"""Parts of free cloth: legs where a leg is behind, torso elsewhere."""

from __future__ import annotations

import numpy as np

from matlib.annyville.camera import CAMERAS
from matlib.annyville.labels import cloth_parts, label_parts
from matlib.annyville.wardrobe import CARRIED, HANGING

JOINTS = np.array([[[60.0, 10], [60, 60], [60, 110]], [[30, 10], [30, 60], [30, 110]]])  # left leg on the right
RADIUS = np.tile([10.0, 7.0, 5.0], (2, 1))


def test_cloth_has_the_leg_behind_it():
    spot = np.array([[60.0, 30], [60, 90], [30, 30], [30, 90], [45, 80], [80, 30], [45, 130]])
    parts = cloth_parts(spot, JOINTS, np.ones((2, 3)), RADIUS)
    assert parts.tolist() == [7, 9, 8, 10, 2, 2, 2]


def test_of_two_legs_the_nearer_shows():
    joints = np.stack([JOINTS[0], JOINTS[0]])
    spot = np.array([[60.0, 30]])
    for depth, part in (((5.0, 6.0), 7), ((6.0, 5.0), 8)):
        assert cloth_parts(spot, joints, np.repeat([depth], 3, 0).T, RADIUS).tolist() == [part]


def test_legs_taper():
    """At the knee's height the border is the knee's radius away from its centre."""
    x = np.linspace(60, 75, 301)
    parts = cloth_parts(np.stack([x, np.full_like(x, 60.0)], 1), JOINTS, np.ones((2, 3)), RADIUS)
    assert abs(x[parts != 2].max() - 67) < 0.1


def test_only_free_cloth_below_the_groin_is_free():
    """Close clothes and fixed layers keep their part, wherever the legs are."""
    solid = np.array([[0.13, 0.0, -0.15], [0.0, -0.1, 0.4]], np.float32)
    solid = np.concatenate([np.repeat(solid, 2, 0), [[-1], [HANGING], [-1], [HANGING]]], 1).T.astype(np.float32)
    keypoints = np.tile([50.0, 9.0, 0.5], (17, 1))  # far off to the side
    for fixed, expected in ((0, [7, 2, 2, 2]), (CARRIED, [CARRIED] * 4)):
        found = label_parts(
            solid,
            np.full(4, fixed, np.uint8),
            np.full((4, 2), 5.0),
            keypoints,
            CAMERAS[0],
            1.0,
            np.full((17, 2), 900.0),
        )
        assert found.tolist() == expected
