"""Body, skinning and poses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlib.annyville.body import load_body, skin, vertex_normals
from matlib.annyville.pose import ANKLE, ARMS, HIP, KNEE, Pose, between, pose_bones, rz
from matlib.annyville.wardrobe import body_part, make_person

unit = st.tuples(*[st.floats(-1, 1)] * 3).map(np.array).filter(lambda v: np.linalg.norm(v) > 0.1)


def test_shape_is_linear_in_its_coefficients():
    body = load_body()
    a, b = body.coefficients[:2]
    middle = (body.shape(a) + body.shape(b)) / 2
    np.testing.assert_allclose(body.shape((a + b) / 2), middle, atol=2e-5)


def test_baked_bodies_are_adults_in_metres():
    body = load_body()
    for row in body.coefficients[::40]:
        z = body.shape(row)[: body.vertex_count, 2]
        assert 1.4 < z.max() - z.min() < 2.05


@given(unit, unit)
def test_between_turns_one_direction_to_the_other(a, b):
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    if a @ b < -0.99:
        return
    rotation = between(a, b)
    np.testing.assert_allclose(rotation @ a, b, atol=1e-6)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


def test_rigid_bones_move_everything_rigidly():
    """If all bones share one rotation and shift, skinning is that rotation and shift."""
    body = load_body()
    points = body.canonical
    bones = len(body.bone_names)
    turn, shift = rz(37.0), np.array([0.3, -1.0, 2.0])
    normals = vertex_normals(points, body.faces["tights"])
    n = body.vertex_count
    moved, turned = skin(
        points,
        normals,
        body.bone_index[:n],
        body.bone_weight[:n],
        np.tile(turn, (bones, 1, 1)),
        np.tile(shift, (bones, 1)),
    )
    np.testing.assert_allclose(moved, points @ turn.T + shift, atol=1e-5)
    used = np.unique(body.faces["tights"])
    np.testing.assert_allclose(turned[used], normals[used] @ turn.T, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(
    st.floats(0, 1),
    st.floats(0, 1.2),
    st.sampled_from(ARMS),
)
def test_bones_keep_their_lengths(phase, walking, arm):
    body = load_body()
    heads = body.shape(body.coefficients[3])[body.vertex_count :][: len(body.bone_names)]
    rotations, shifts = pose_bones(body, heads, Pose(walking, phase, arm, "swing", reach=(0.1, -0.05, -0.5)))
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (len(heads), 1, 1)), atol=1e-6
    )
    moved = np.einsum("bij,bj->bi", rotations, heads) + shifts
    for bone, parent in enumerate(body.bone_parents):
        if parent >= 0:
            attached = rotations[parent] @ heads[bone] + shifts[parent]
            np.testing.assert_allclose(moved[bone], attached, atol=1e-6)


def test_a_stride_swings_the_legs_in_turn():
    body = load_body()
    heads = body.shape(body.coefficients[0])[body.vertex_count :][: len(body.bone_names)]
    left, right = body.bone("foot.L"), body.bone("foot.R")

    def lead(phase):
        rotations, shifts = pose_bones(body, heads, Pose(1.0, phase, "swing", "swing"))
        foot = np.einsum("bij,bj->bi", rotations, heads) + shifts
        return foot[right, 1] - foot[left, 1]  # forward is -y

    assert lead(0.0) > 0.3  # the left heel strikes in front
    assert lead(0.5) < -0.3
    assert len(HIP) == len(KNEE) == len(ANKLE)


def test_feet_stand_on_the_ground():
    person = make_person(np.random.default_rng(4))
    posed = person.posed(Pose(1.0, 0.3, "swing", "phone"))
    mesh, keys = posed.mesh, posed.keypoints
    assert mesh.points[:, 2].min() == pytest.approx(0, abs=1e-5)
    assert keys[0, 2] > keys[11, 2] > keys[13, 2] > keys[15, 2] > 0  # nose, hip, knee, ankle


def test_parts_of_known_places():
    body = load_body()
    places = {"head": 1, "chest": 2, "forearm.L": None, "shank.L": None}
    assert set(places) <= set(body.bone_names)
    solid = np.array(
        [
            [0, -0.1, 0.88, -1],  # face
            [0, -0.1, 0.40, -1],  # chest
            [0.27, -0.03, 0.53, 0.5],  # left upper arm
            [-0.45, -0.1, 0.36, 1.5],  # right forearm
            [0.13, 0, -0.15, -1],  # left thigh
            [-0.17, 0, -0.5, -1],  # right shank
            [0.2, -0.1, -0.8, -1],  # left foot
        ],
        np.float32,
    )
    np.testing.assert_array_equal(body_part(solid), [1, 2, 3, 6, 7, 10, 11])


def test_persons_differ_by_seed_and_repeat_by_seed():
    a, again, b = (make_person(np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.mesh.points, again.mesh.points)
    assert len(a.mesh.points) != len(b.mesh.points) or not np.allclose(a.mesh.points, b.mesh.points)
