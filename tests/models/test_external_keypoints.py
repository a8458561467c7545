"""Joints from outside, grouped to keypoints, and the motions that their Jacobians give between two images."""

import math

import pytest
import torch

from matlib.errors import MatlibError
from matlib.geometry import inverse_2x2, local_motions, multiply_2x2
from matlib.models.external_keypoints import _STANDING, JOINT_GROUPS, group_joints

SIZE = (96, 48)


def person(rng, images=1):
    """Somebody upright, each joint off its usual place, all of them seen."""
    usual = torch.tensor([(0, -7), (0.4, -7.4), (-0.4, -7.4), (0.8, -7.1), (-0.8, -7.1), (2, -5), (-2, -5), (2.5, -2),
                          (-2.5, -2), (2.7, 0), (-2.7, 0), (1, 0), (-1, 0), (1.2, 4), (-1.2, 4), (1.3, 8), (-1.3, 8)])
    places = (usual + 0.1 * torch.randn(images, 17, 2, generator=rng)) / 10
    return torch.cat([places, torch.full((images, 17, 1), 2.0)], dim=2)


def moved(joints, linear, shift):
    return torch.cat([joints[..., :2] @ linear.T + shift, joints[..., 2:]], dim=-1)


def pair_jacobians(reference, source, parts, jacobian, scale=(1.0, 1.0)):
    """Equation 4's J_k, and whose Jacobians are known in both images."""
    (a, _, known_a), (b, _, known_b) = (group_joints(j, parts, SIZE, scale, jacobian) for j in (reference, source))
    return multiply_2x2(b.jacobians, inverse_2x2(a.jacobians)), known_a & known_b


@pytest.mark.parametrize("parts", sorted(JOINT_GROUPS))
def test_joint_groups_use_each_joint_once(parts):
    joints = sorted(j for group in JOINT_GROUPS[parts] for j in group)
    assert joints == list(range(17)) and len(JOINT_GROUPS[parts]) == parts


def test_keypoints_are_the_means_of_the_joints_that_are_seen(rng):
    joints = person(rng)
    joints[0, 13, 2] = 1  # hidden: not detected
    joints[0, 9, 2] = 0
    keypoints, seen, _ = group_joints(joints, 10, SIZE)
    torch.testing.assert_close(keypoints.positions[0, 3], joints[0, 7, :2])
    torch.testing.assert_close(keypoints.positions[0, 0], joints[0, :5, :2].mean(dim=0))
    assert not seen[0, 6] and seen[0].sum() == 9
    scaled, _, _ = group_joints(joints, 10, SIZE, scale=(0.8, 0.9))
    torch.testing.assert_close(torch.tensor([0.8, 0.9]) * (scaled.positions + 1) - 1, keypoints.positions)


def test_a_detector_alone_gives_identities(rng):
    keypoints, _, known = group_joints(person(rng), 6, SIZE, scale=(0.8, 0.9))
    assert torch.equal(keypoints.jacobians, torch.eye(2).expand(1, 6, 2, 2)) and not known.any()


@pytest.mark.parametrize("parts", sorted(JOINT_GROUPS))
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.8, 0.9)], ids=str)
def test_limbs_turn_and_grow_with_the_picture(parts, scale, rng):
    a = person(rng)
    turned = 1.3 * torch.tensor([[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]])
    pixels = torch.diag(torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0]))
    linear = pixels.inverse() @ turned @ pixels  # what a turn by so much in pixels is in units of a tall picture
    found, known = pair_jacobians(a, moved(a, linear, torch.tensor([0.1, -0.05])), parts, "limb", scale)
    frame = torch.diag(torch.tensor(scale))
    assert known.all()
    torch.testing.assert_close(found, (frame.inverse() @ linear @ frame).expand_as(found), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("parts, fitted", [(3, 3), (6, 2), (10, 1), (17, 0)])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.8, 0.9)], ids=str)
def test_a_fit_finds_any_affine_motion(parts, fitted, scale, rng):
    a, linear = person(rng), torch.tensor([[0.9, 0.3], [-0.2, 1.2]])
    found, known = pair_jacobians(a, moved(a, linear, torch.tensor([0.1, -0.05])), parts, "lstsq", scale)
    frame = torch.diag(torch.tensor(scale))
    assert known.sum() == fitted  # parts of three joints or more
    expected = torch.where(known[..., None, None], frame.inverse() @ linear @ frame, torch.eye(2))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("hidden", [(), (8, 15), (5, 9, 10)])
def test_a_fit_is_that_of_least_squares(hidden, rng):
    joints = person(rng)
    joints[0, list(hidden), 2] = 1
    keypoints, _, oriented = group_joints(joints, 3, SIZE, jacobian="lstsq")
    assert oriented.all()
    for k, group in enumerate(JOINT_GROUPS[3]):
        seen = [j for j in group if j not in hidden]
        figure, image = (points - points.mean(dim=0) for points in (torch.tensor(_STANDING)[seen], joints[0, seen, :2]))
        solution = torch.linalg.lstsq(figure.double(), image.double()).solution.T
        torch.testing.assert_close(keypoints.jacobians[0, k].double(), solution, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("jacobian", ["limb", "lstsq"])
@pytest.mark.parametrize("parts", sorted(JOINT_GROUPS))
def test_the_standing_figure_itself_has_identities_whatever_is_hidden(jacobian, parts, rng):
    joints = torch.cat([torch.tensor(_STANDING).expand(200, 17, 2), torch.full((200, 17, 1), 2.0)], dim=2)
    joints[..., 2] -= (torch.rand(200, 17, generator=rng) < 0.2).float()
    keypoints, _, known = group_joints(joints, parts, SIZE, jacobian=jacobian)
    assert known.any() or (jacobian, parts) == ("lstsq", 17)
    torch.testing.assert_close(keypoints.jacobians, torch.eye(2).expand(200, parts, 2, 2), atol=1e-3, rtol=1e-3)


def hidden(joints, *which):
    joints = joints.clone()
    joints[:, list(which), 2] = 1
    return joints


@pytest.mark.parametrize("out_of_sight, unknown", [
    ((7,), [3]),  # an elbow: no bone of that arm has both of its ends
    ((9,), [3]),  # a wrist: half of the arm is no arm
    ((5,), [0, 1, 2, 3, 5]),  # a shoulder: head and trunk hang on the middle of both
    ((0, 1, 3), []),  # some of the face
    ((15,), [8])])
def test_a_limb_that_is_not_seen_whole_has_no_direction(out_of_sight, unknown, rng):
    keypoints, _, known = group_joints(hidden(person(rng), *out_of_sight), 10, SIZE, jacobian="limb")
    assert (~known[0]).nonzero().flatten().tolist() == unknown
    assert torch.equal(keypoints.jacobians[~known], torch.eye(2).expand(len(unknown), 2, 2))


@pytest.mark.parametrize("pixels, enough", [(1.9, False), (2.1, True)])
def test_a_limb_that_points_at_the_camera_has_no_direction(pixels, enough, rng):
    joints = person(rng)
    joints[0, 16, :2] = joints[0, 14, :2] + torch.tensor([0.0, 2 * pixels / (SIZE[0] - 1)])
    assert group_joints(joints, 10, SIZE, jacobian="limb")[2][0, 9] == enough


@pytest.mark.parametrize("flat, enough", [(0.05, False), (0.2, True)])
def test_joints_almost_on_a_line_are_not_fitted(flat, enough, rng):
    joints = person(rng)
    middle = joints[0, :5, :2].mean(dim=0)
    size = torch.linalg.svdvals(joints[0, :5, :2] - middle)
    shape = torch.tensor(_STANDING)[:5]
    shape = shape - shape.mean(dim=0)
    joints[0, :5, :2] = middle + shape @ torch.diag(torch.tensor([flat, 1.0])) * size[0]
    assert group_joints(joints, 10, SIZE, jacobian="lstsq")[2][0, 0] == enough


def test_a_fit_needs_joints_that_spread_in_two_directions(rng):
    hidden_arm = hidden(person(rng), 6, 8, 10)  # of the upper body one straight arm is left, of the legs one leg
    assert group_joints(hidden(hidden_arm, 12, 14, 16), 3, SIZE, jacobian="lstsq")[2].tolist() == [[True, False, False]]
    assert group_joints(hidden(person(rng), 0, 1, 2), 10, SIZE, jacobian="lstsq")[2].sum() == 0  # two ears


def test_of_nobody_nothing_is_known_and_all_is_finite(rng):
    for jacobian in ("limb", "lstsq"):
        nobody, seen, known = group_joints(hidden(person(rng), *range(17)), 10, SIZE, jacobian=jacobian)
        assert not seen.any() and not known.any() and all(t.isfinite().all() for t in nobody)


def test_a_limb_carries_what_is_on_it(rng):
    """The local motion of a part takes a point half way along its limb to the point half way along the other."""
    a, b = person(rng), person(rng)
    b[0, 10, :2] = torch.tensor([-0.6, -0.7])  # the right hand is raised
    (one, _, _), (other, _, _) = (group_joints(j, 17, SIZE, jacobian="limb") for j in (a, b))
    wrist, elbow = 10, 8
    middle = (a[0, wrist, :2] + a[0, elbow, :2]) / 2
    at = type(one)(one.positions - middle, one.jacobians)  # the point is the centre of a map of one cell
    found = local_motions(at, other, 1, 1)[0, wrist + 1, 0, 0]
    torch.testing.assert_close(found, (b[0, wrist, :2] + b[0, elbow, :2]) / 2, atol=1e-4, rtol=1e-4)


def test_other_numbers_of_parts_are_refused(rng):
    with pytest.raises(MatlibError, match="3, 6, 10 or 17 parts, not 5"):
        group_joints(person(rng), 5, SIZE)
    with pytest.raises(ValueError, match="jacobian must be one of identity, limb, lstsq"):
        group_joints(person(rng), 6, SIZE, jacobian="affine")
