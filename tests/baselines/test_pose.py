"""Heat maps and limb fields: where they are, how high, and what is empty; against slow loops."""

import math

import pytest
import torch

from matlib.baselines.pose import LIMBS, heat_maps, part_affinity
from matlib.errors import MatlibError

IMAGE, MAP = (96, 48), (12, 6)


def some_joints(batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(batch, 17, 2, generator=generator) * torch.tensor([48.0, 96.0])
    return torch.cat([places, torch.full((batch, 17, 1), 2.0)], dim=2)


def test_a_joint_on_a_cell_is_a_gaussian_there():
    joints = some_joints(1)
    joints[0, 4, :2] = torch.tensor([8 * 2 + 0.5, 8 * 5 + 0.5])  # the pixel at which cell (row 5, column 2) looks
    maps = heat_maps(joints, IMAGE, MAP, 1.5)[0, 4]
    for row in range(12):
        for column in range(6):
            square = (row - 5) ** 2 + (column - 2) ** 2
            assert maps[row, column].item() == pytest.approx(math.exp(-square / (2 * 1.5**2)), abs=1e-6)


def test_every_detected_joint_is_equally_sure_and_highest_at_the_nearest_cell():
    joints = some_joints(8)
    maps = heat_maps(joints, IMAGE, MAP, 0.7)
    torch.testing.assert_close(maps.amax((2, 3)), torch.ones(8, 17))
    highest = maps.flatten(2).argmax(2)
    row = ((joints[..., 1] - 0.5) / 8).round().clamp(0, 11)
    column = ((joints[..., 0] - 0.5) / 8).round().clamp(0, 5)
    torch.testing.assert_close(highest, (row * 6 + column).long())


@pytest.mark.parametrize("visibility", [0.0, 1.0])
def test_joints_that_are_hidden_or_outside_are_empty_whatever_their_place(visibility):
    joints = some_joints()
    joints[0, 3, 2] = visibility
    joints[1, 5, :2] = torch.nan
    joints[1, 5, 2] = visibility
    joints[2, 7, 0] = -3.0
    joints[2, 8, 1] = 97.0
    maps = heat_maps(joints, IMAGE, MAP, 1.0)
    empty = {(b, k) for b in range(3) for k in range(17) if maps[b, k].abs().sum() == 0}
    assert empty == {(0, 3), (1, 5), (2, 7), (2, 8)} and torch.isfinite(maps).all()
    fields = part_affinity(joints, IMAGE, MAP, 1.0).unflatten(1, (-1, 2))
    for b, k in empty:
        limbs = [i for i, ends in enumerate(LIMBS) if k in ends]
        assert limbs and fields[b, limbs].abs().sum() == 0
    assert torch.isfinite(fields).all()


def test_a_wider_gaussian_is_higher_everywhere_but_at_its_top():
    joints = some_joints()
    narrow, wide = heat_maps(joints, IMAGE, MAP, 0.8), heat_maps(joints, IMAGE, MAP, 1.6)
    assert (wide >= narrow).all() and wide.sum() > 2 * narrow.sum()


def test_limb_fields_against_a_slow_loop():
    joints = some_joints(2)
    fields = part_affinity(joints, (96, 48), (24, 12), 1.3)
    assert fields.shape == (2, 2 * len(LIMBS), 24, 12)
    for b in range(2):
        for limb, (i, j) in enumerate(LIMBS):
            (ax, ay), (bx, by) = ([(value.item() - 0.5) / 4 for value in joints[b, k, :2]] for k in (i, j))
            length = math.hypot(bx - ax, by - ay)
            for row in range(24):
                for column in range(12):
                    t = ((column - ax) * (bx - ax) + (row - ay) * (by - ay)) / length**2
                    t = min(max(t, 0.0), 1.0)
                    away = math.hypot(ax + t * (bx - ax) - column, ay + t * (by - ay) - row)
                    if abs(away - 0.65) < 1e-4:
                        continue
                    expected = (abs(bx - ax) / length, abs(by - ay) / length) if away < 0.65 else (0.0, 0.0)
                    assert fields[b, 2 * limb, row, column].item() == pytest.approx(expected[0], abs=1e-5)
                    assert fields[b, 2 * limb + 1, row, column].item() == pytest.approx(expected[1], abs=1e-5)


def test_fields_do_not_tell_a_limb_from_the_same_one_reversed_and_are_unit_where_they_are_not_empty():
    joints = some_joints()
    fields = part_affinity(joints, IMAGE, MAP, 1.5).unflatten(1, (-1, 2))
    norms = fields.square().sum(2)
    assert norms.max() > 0.5 and ((norms - 1).abs().minimum(norms) < 1e-5).all()
    other = joints.clone()
    i, j = LIMBS[0]
    other[:, [i, j]] = joints[:, [j, i]]
    torch.testing.assert_close(part_affinity(other, IMAGE, MAP, 1.5).unflatten(1, (-1, 2))[:, 0], fields[:, 0])


def test_a_limb_of_no_length_is_empty():
    joints = some_joints(1)
    joints[0, 13] = joints[0, 15]
    fields = part_affinity(joints, IMAGE, MAP, 2.0)
    assert fields[0, :2].abs().sum() == 0 and torch.isfinite(fields).all()


def test_what_is_no_pose_is_said():
    joints = some_joints()
    with pytest.raises(MatlibError, match="sigma"):
        heat_maps(joints, IMAGE, MAP, 0.0)
    with pytest.raises(MatlibError, match="width"):
        part_affinity(joints, IMAGE, MAP, -1.0)
    with pytest.raises(MatlibError, match="positive"):
        heat_maps(joints, IMAGE, (0, 6), 1.0)
