"""The true motion of a rendered person: joints go where the joints are."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from matlib.data import Sample
from matlib.data.joints import limbs
from matlib.data.truth import NUM_PARTS
from matlib.geometry import Keypoints, local_motions, warp

HEIGHT, WIDTH = 64, 32
SAMPLE = Sample(Path("one.jpg"), 0, 0)
#: COCO's 17 joints of somebody who stands, in pixels.
STANDING = torch.tensor([[16, 8], [17, 7], [15, 7], [18, 8], [14, 8], [21, 15], [11, 15], [23, 23], [9, 22], [24, 30],
                         [8, 30], [19, 33], [13, 33], [20, 45], [12, 45], [21, 57], [12, 58]], dtype=torch.float32)


@pytest.fixture
def frames_of(monkeypatch):
    """The frames of somebody with these joints."""
    def frames(joints):
        truth = SimpleNamespace(keypoints=torch.cat([joints, torch.full((17, 1), 2.0)], dim=1),
                                labels=torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8))
        monkeypatch.setattr(limbs, "Truth", lambda sample: truth)
        return limbs.part_frames(SAMPLE)
    return frames


def normalised(points):
    return (points - 0.5) / torch.tensor([WIDTH - 1, HEIGHT - 1]) * 2 - 1


def motion_of(reference: Keypoints, source: Keypoints, part: int, point: torch.Tensor) -> torch.Tensor:
    """G_part at one point, from the affine map that `local_motions` gives on the grid."""
    field = local_motions(reference, source, HEIGHT, WIDTH)[:, part].permute(0, 3, 1, 2)
    return warp(field, point.view(1, 1, 1, 2))[0, :, 0, 0]


def turned(joints, degrees, scale, shift):
    c, s = math.cos(math.radians(degrees)) * scale, math.sin(math.radians(degrees)) * scale
    return (joints - 32) @ torch.tensor([[c, -s], [s, c]]).T + 32 + torch.tensor(shift)


@pytest.mark.parametrize("part", limbs.BONES)
def test_the_ends_of_a_bone_go_to_the_ends_of_the_bone(part, frames_of, rng):
    other = STANDING + torch.randn(17, 2, generator=rng)
    one, two = frames_of(STANDING), frames_of(other)
    for joint in limbs.BONES[part]:
        moved = motion_of(one, two, part, normalised(STANDING[joint]))
        torch.testing.assert_close(moved, normalised(other[joint]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("part", range(1, 11))
def test_a_person_who_is_turned_in_the_picture_turns_with_all_parts(part, frames_of):
    other = turned(STANDING, 8, 0.9, (2.0, -1.0))
    one, two = frames_of(STANDING), frames_of(other)
    points = torch.tensor([[10.0, 20.0], [20.0, 40.0]])
    for before, after in zip(points, turned(points, 8, 0.9, (2.0, -1.0))):
        moved = motion_of(one, two, part, normalised(before))
        torch.testing.assert_close(moved, normalised(after), atol=1e-4, rtol=1e-4)


def test_a_person_at_rest_moves_nowhere(frames_of):
    one = frames_of(STANDING)
    moved = local_motions(one, one, HEIGHT, WIDTH)
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved), atol=1e-5, rtol=1e-5)


def test_a_bone_that_points_at_the_camera_has_a_finite_frame(frames_of):
    joints = STANDING.clone()
    joints[7] = joints[5]
    frames = frames_of(joints)
    assert frames.jacobians.isfinite().all()
    pixels = frames.jacobians[0, 2] * torch.tensor([[WIDTH - 1.0], [HEIGHT - 1.0]]) / 2
    assert pixels[:, 0].norm() >= 0.19 * (STANDING[[11, 12]].mean(0) - STANDING[[5, 6]].mean(0)).norm()


def test_the_truth_on_a_map_is_the_truth_at_the_cells(frames_of, monkeypatch):
    frames = frames_of(STANDING)
    labels = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    labels[8:32] = 2
    monkeypatch.setattr(limbs, "Truth", lambda sample: SimpleNamespace(
        parts=labels, labels=labels, keypoints=torch.cat([STANDING, torch.full((17, 1), 2.0)], dim=1)))
    on_map, maps = limbs.truth_on_map([SAMPLE, SAMPLE], (8, 4), (24 / 31, 56 / 63))
    assert maps.shape == (2, NUM_PARTS + 1, 8, 4)
    torch.testing.assert_close(maps.sum(1), torch.ones(2, 8, 4))
    assert maps[0, 2, :, 0].round().tolist() == [0, 1, 1, 1, 0, 0, 0, 0]  # cells look at rows 0, 8, 16...
    torch.testing.assert_close(frames.positions[0], (on_map.positions[0] + 1) * torch.tensor([24 / 31, 56 / 63]) - 1)
