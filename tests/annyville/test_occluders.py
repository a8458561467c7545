"""Street furniture: every builder, several draws."""

from __future__ import annotations

import numpy as np
import pytest

from matlib.annyville.camera import CAMERAS
from matlib.annyville.mesh import Layer, box, lathe, superquadric
from matlib.annyville.occluders import BUILDERS, umbrella
from matlib.annyville.raster import rasterize
from matlib.annyville.shading import shade


def _area_vectors(mesh):
    corner = mesh.points[mesh.faces].astype(float)
    return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) / 2


@pytest.mark.parametrize("kind", [*BUILDERS, "umbrella"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_objects_stand_on_the_ground_and_can_be_lit(kind, seed):
    build = BUILDERS.get(kind, umbrella)
    mesh = build(np.random.default_rng(seed))
    assert np.isfinite(mesh.points).all() and mesh.faces.max() < len(mesh.points)
    length = np.linalg.norm(mesh.normals, axis=1)
    assert (
        np.abs(length - 1) < 1e-3
    ).mean() > 0.95 and length.max() < 1.001  # zero only where a surface ends in a point
    if kind != "umbrella":
        assert -0.35 < mesh.points[:, 2].min() < 0.25  # on the ground, plants a little in it
    camera = CAMERAS[seed]
    placed = mesh.moved(np.eye(3), np.array([0.0, 8.0, 0.0]))
    xy, depth = camera.project(placed.points)
    fragments = rasterize(
        xy / 4, 1 / depth, placed.faces, 180, 320, clip=placed.clip, two_sided=placed.two_sided
    )
    colour, _, layer = shade(placed, fragments, camera, np.zeros(3, np.float32))
    assert len(fragments.pixels) > 20
    assert np.isfinite(colour).all() and (colour >= 0).all() and colour.max() < 8
    assert set(layer) <= set(range(len(mesh.layers)))


@pytest.mark.parametrize("seed", range(3))
def test_boxes_and_rounded_boxes_are_closed_and_face_outward(seed):
    """Area vectors of a closed surface sum to zero; the divergence theorem gives its volume."""
    rng = np.random.default_rng(seed)
    size = tuple(rng.uniform(0.2, 2.0, 3))
    layer = Layer(lambda p, u, offset: np.ones((len(p), 3), np.float32))
    for mesh, low, high in (
        (box(size, layer), 0.999, 1.001),
        (superquadric(size, layer, power=1.0), 0.45, np.pi / 6),
    ):
        vectors = _area_vectors(mesh)
        np.testing.assert_allclose(vectors.sum(0), 0, atol=1e-5)
        volume = (mesh.points[mesh.faces].mean(1) * vectors).sum() / 3
        assert low < volume / np.prod(size) < high


def test_a_lathe_makes_a_cylinder():
    layer = Layer(lambda p, u, offset: np.ones((len(p), 3), np.float32))
    mesh = lathe([(0.0, 0), (1.0, 0), (1.0, 2.0), (0.0, 2.0)], layer, columns=200)
    volume = (mesh.points[mesh.faces].mean(1) * _area_vectors(mesh)).sum() / 3
    assert volume == pytest.approx(2 * np.pi, rel=1e-3)
