"""Joints regressed from keypoints: what can be known exactly."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from matlib.data.transforms import COCO_MIRROR
from matlib.errors import MatlibError
from matlib.scoring.keypoints import (
    errors_by_joint,
    joint_errors,
    mean_joints,
    name_by_side,
    regress_joints,
    summarise_errors,
)

SIZE = (101, 51)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def random_joints(rng, images=120, joints=6, visible=0.8):
    xy = rng.uniform(-1, 1, (images, joints, 2))
    return np.concatenate([xy, np.where(rng.random((images, joints, 1)) < visible, 2.0, 1.0)], axis=2)


def identities_of(images, each=4):
    return np.arange(images) // each


def test_a_linear_map_of_the_joints_has_no_error(rng):
    joints = random_joints(rng)
    mixed = joints[..., :2].reshape(120, 12) @ rng.normal(size=(12, 12)) + rng.normal(size=12)
    predicted = regress_joints(mixed.reshape(120, 6, 2), joints, identities_of(120))
    errors = joint_errors(predicted, joints, SIZE)
    assert np.isnan(errors[joints[..., 2] == 1]).all()
    assert summarise_errors(errors)["error"] < 1e-4
    assert summarise_errors(errors)["pck"] == {"0.05": 1.0, "0.1": 1.0}


def test_keypoints_that_never_move_predict_the_mean(rng):
    joints, identities = random_joints(rng), identities_of(120)
    constant = np.broadcast_to(rng.uniform(-1, 1, (1, 10, 2)), (120, 10, 2))
    predicted = mean_joints(joints, identities)
    np.testing.assert_allclose(regress_joints(constant, joints, identities), predicted)
    shaking = constant + 1e-9 * rng.normal(size=constant.shape)  # as a network that has collapsed gives them
    errors = [
        summarise_errors(joint_errors(p, joints, SIZE))["error"]
        for p in (regress_joints(shaking, joints, identities), predicted)
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


def test_the_mean_is_that_of_visible_joints_of_other_identities(rng):
    joints, identities = random_joints(rng, images=8), np.repeat([3, 9], 4)
    predicted = mean_joints(joints, identities, folds=2)
    for own, other in ((slice(0, 4), slice(4, 8)), (slice(4, 8), slice(0, 4))):
        for j in range(6):
            seen = joints[other, j][joints[other, j, 2] == 2]
            if len(seen) < 3:
                assert np.isnan(predicted[own, j]).all()
            else:
                np.testing.assert_allclose(predicted[own, j], np.tile(seen[:, :2].mean(axis=0), (4, 1)))


def test_with_many_images_it_is_least_squares(rng):
    joints = random_joints(rng, images=900, joints=3, visible=1.1)
    keypoints = 0.3 * joints[:, :, :2] + 0.1 * rng.normal(size=(900, 3, 2))
    identities = identities_of(900)
    predicted = regress_joints(keypoints, joints, identities, folds=3)
    flat, targets = keypoints.reshape(900, -1), joints[..., :2].reshape(900, -1)
    plain = LinearRegression().fit(flat, targets).predict(flat).reshape(900, 3, 2)
    errors = [summarise_errors(joint_errors(p, joints, SIZE))["error"] for p in (predicted, plain)]
    assert errors[0] == pytest.approx(errors[1], rel=0.03)
    np.testing.assert_allclose(predicted, plain, atol=0.2)


def test_an_identity_never_predicts_itself(rng):
    """Its own joints do not change its predictions."""
    joints, identities = random_joints(rng, visible=1.1), identities_of(120)
    keypoints = rng.normal(size=(120, 5, 2))
    before = regress_joints(keypoints, joints, identities)
    changed = joints.copy()
    changed[:4, :, :2] += 5
    np.testing.assert_allclose(regress_joints(keypoints, changed, identities)[:4], before[:4])
    with pytest.raises(MatlibError, match="at least 2 identities"):
        regress_joints(keypoints, joints, np.zeros(120, int))


def test_any_affine_coordinates_of_keypoints_will_do(rng):
    joints, identities = random_joints(rng), identities_of(120)
    keypoints = rng.normal(size=(120, 5, 2))
    predicted = regress_joints(keypoints, joints, identities)
    np.testing.assert_allclose(regress_joints(keypoints * (2, 0.7) + (3, -1), joints, identities), predicted)


def test_errors_are_shares_of_the_height():
    joints = np.array([[[0, 0, 2], [1, 1, 2], [0, 0, 1], [0.5, 0, 0]]], float)
    predicted = np.array([[[1, 0], [1, 0.5], [0, 1], [0, 0]]], float)
    errors = joint_errors(predicted, joints, SIZE)
    np.testing.assert_allclose(errors[0, :2], [25 / 101, 25 / 101])  # half of 50 columns, a quarter of 100 rows
    assert np.isnan(errors[0, 2:]).all()
    np.testing.assert_allclose(joint_errors(predicted, joints, SIZE, 1)[0, 2], 50 / 101)


def test_summary_counts_what_is_known():
    errors = np.array([[0.02, 0.07, np.nan], [0.2, np.nan, 0.03]])
    assert summarise_errors(errors) == {"error": pytest.approx(0.08), "pck": {"0.05": 0.5, "0.1": 0.75}, "joints": 4}
    assert summarise_errors(np.full((2, 3), np.nan))["error"] is None


def test_joints_named_by_side_are_the_same_points_with_the_left_ones_further_right(rng):
    joints = random_joints(rng, joints=17)
    named = name_by_side(joints)
    for image, renamed in zip(joints, named):
        np.testing.assert_array_equal(renamed[0], image[0])  # the nose
        for left in range(1, 17, 2):
            assert renamed[left, 0] > renamed[left + 1, 0]
            pair = [tuple(point) for point in renamed[left:left + 2]]
            assert sorted(pair) == sorted(tuple(point) for point in image[left:left + 2])


def test_a_mirrored_pose_named_by_side_is_the_mirrored_naming(rng):
    """Whether somebody comes or goes makes no difference: that is what the names are for."""
    joints = random_joints(rng, joints=17)
    turned = joints[:, COCO_MIRROR]  # the same points of a person who faces the other way
    np.testing.assert_array_equal(name_by_side(turned), name_by_side(joints))
    mirrored = turned * [-1, 1, 1]
    np.testing.assert_allclose(name_by_side(mirrored), (name_by_side(joints) * [-1, 1, 1])[:, COCO_MIRROR])


def test_errors_by_joint_are_means_of_those_that_count():
    errors = np.array([[0.1, np.nan, 0.3], [0.3, np.nan, np.nan]])
    assert errors_by_joint(errors) == pytest.approx([0.2, None, 0.3])
