"""The z-buffer against a slow loop over pixels and triangles, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlib.annyville.raster import rasterize


def _slow(xy, iz, faces, height, width, clip, two_sided):
    """Nearest triangle of every pixel, one edge function at a time."""
    best = np.full((height, width), -1)
    depth = np.zeros((height, width))
    for f, face in enumerate(faces):
        p, w = xy[face], iz[face]
        area = (p[1, 0] - p[0, 0]) * (p[2, 1] - p[0, 1]) - (p[2, 0] - p[0, 0]) * (p[1, 1] - p[0, 1])
        if abs(area) <= 1e-9 or (area > 0 and not two_sided[f]):
            continue
        for i in range(height):
            for j in range(width):
                q = np.array([j + 0.5, i + 0.5])
                b = []
                for k in range(3):
                    s, t = p[(k + 1) % 3], p[(k + 2) % 3]
                    b.append(((s[0] - q[0]) * (t[1] - q[1]) - (t[0] - q[0]) * (s[1] - q[1])) / area)
                b = np.array(b)
                z = b @ w
                if (b >= 0).all() and ((b * w) @ clip[face] / z > 0).all() and z > depth[i, j]:
                    depth[i, j], best[i, j] = z, f
    return best, depth


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_agrees_with_a_loop_over_pixels(seed):
    rng = np.random.default_rng(seed)
    height, width = 17, 23
    xy = rng.uniform(-6, 30, (18, 2))
    iz = rng.uniform(0.05, 1.0, 18)
    faces = rng.permutation(18).reshape(6, 3)
    clip = rng.uniform(-0.6, 1.0, (18, 2))
    two_sided = rng.random(6) < 0.5
    fragments = rasterize(xy, iz, faces, height, width, clip=clip, two_sided=two_sided)
    best, depth = _slow(xy, iz, faces, height, width, clip, two_sided)
    expected = np.flatnonzero(best.ravel() >= 0)
    np.testing.assert_array_equal(fragments.pixels, expected)
    np.testing.assert_array_equal(fragments.triangles, best.ravel()[expected])
    np.testing.assert_allclose(fragments.depth, 1 / depth.ravel()[expected], rtol=1e-5)


def test_weights_interpolate_in_perspective():
    """A plane through three points: interpolated points must project back to their pixels' centres."""
    points = np.array([[-1.0, -1.2, 3.0], [1.5, -0.4, 6.0], [0.1, 1.4, 4.0]])
    xy = 40 * points[:, :2] / points[:, 2:] + 32
    fragments = rasterize(xy, 1 / points[:, 2], np.array([[0, 1, 2]]), 64, 64)
    where = fragments.weights @ points
    centres = np.stack([fragments.pixels % 64, fragments.pixels // 64], 1) + 0.5
    np.testing.assert_allclose(40 * where[:, :2] / where[:, 2:] + 32, centres, atol=1e-3)
    np.testing.assert_allclose(where[:, 2], fragments.depth, rtol=1e-5)


def test_neighbours_leave_no_gap():
    """A fan around a point covers its square without holes, whatever the angles."""
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0.0], [40, 0], [40, 40], [0, 40]])
    for _ in range(20):
        centre = rng.uniform(5, 35, 2)
        xy = np.concatenate([corners, centre[None]])
        faces = np.array([[i, (i + 1) % 4, 4] for i in range(4)])
        fragments = rasterize(xy, np.ones(5), faces, 40, 40)
        assert len(fragments.pixels) == 1600


@pytest.mark.parametrize("shift", [-500.0, 500.0])
def test_nothing_in_view_gives_no_fragments(shift):
    xy = np.array([[0.0, 0], [10, 0], [0, 10]]) + shift
    assert len(rasterize(xy, np.ones(3), np.array([[0, 1, 2]]), 20, 20).pixels) == 0


def test_triangles_behind_the_camera_are_dropped():
    xy = np.array([[0.0, 0], [19, 0], [0, 19]])
    assert len(rasterize(xy, np.array([1.0, 0.0, 1.0]), np.array([[0, 1, 2]]), 20, 20).pixels) == 0
