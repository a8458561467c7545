"""A walk in which the pose alone changes, and what swings in it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from matlib.annyville.gait import walk
from matlib.config import profile
from matlib.report import chapters, figures
from matlib.report.figures import gait, looks


@pytest.fixture(scope="module")
def pictures():
    return walk([0.0, 0.5, 1.0], 64, 32)


def test_a_stride_ends_where_it_began(pictures):
    first, middle, last = pictures
    assert first.jpeg == last.jpeg and first.jpeg != middle.jpeg
    np.testing.assert_array_equal(first.keypoints, last.keypoints)


def test_legs_change_places_and_the_street_stays(pictures):
    first, middle, _ = pictures
    ankles = [picture.keypoints[15:, 0] for picture in (first, middle)]
    assert np.sign(np.subtract(*ankles[0])) == -np.sign(np.subtract(*ankles[1]))
    one, other = (np.asarray(Image.open(io.BytesIO(picture.jpeg)), float) for picture in (first, middle))
    change = np.abs(one - other).max(axis=2)
    assert np.median(change[:12]) < 5  # above the head
    assert change[(first.mask == 0) & (middle.mask == 0)].mean() < 0.3 * change[first.mask != middle.mask].mean()


def test_joints_of_a_walk_are_in_the_images_frame(monkeypatch, pictures):
    monkeypatch.setattr(chapters, "walk", lambda phases, height, width: pictures)
    monkeypatch.setattr(chapters, "_WALK", (64, 32))
    images, shown, joints = chapters.walk_past(profile("smoke").data, [0.0, 0.5, 1.0])
    assert len(images) == len(shown) == len(joints) == 3
    x, y = (joints[0].numpy() + 1).T / 2 * np.array([[31], [63]]) + 0.5
    np.testing.assert_allclose(np.c_[x, y], pictures[0].keypoints[:, :2], atol=1e-4)


def test_a_curve_is_how_far_a_point_is_from_its_mean_and_both_panels_share_their_axes(rng):
    joints = torch.rand(4, 17, 2, generator=rng) * 2 - 1
    keypoints = joints[:, [15, 0]]
    look = looks.of_groups(["feet", ""])
    figure = gait.gait(np.zeros((4, 16, 8, 3)), [0.0, 0.25, 0.5, 0.75], keypoints, joints, look)
    left, right = figure.axes[-2:]
    assert left.get_ylim() == right.get_ylim() and len(left.lines) == 2 and len(right.lines) == len(gait.SWINGING)
    curve = left.lines[0].get_ydata()
    np.testing.assert_allclose(curve, right.lines[list(gait.SWINGING).index(15)].get_ydata())
    assert curve.mean() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(np.diff(curve), 50 * np.diff(joints[:, 15, 0]), rtol=1e-4)
    assert left.lines[0].get_color() is not None and left.lines[1].get_linestyle() == "--"
    figures.plt.close(figure)
