"""Triangle meshes with solid-texture coordinates, and the primitives that bags and street furniture are made
of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

# Solid coordinates (N, 3), arm coordinate (N,), the image's noise offset (3,) -> linear albedo (N, 3).
Material = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Layer:
    """A run of faces of one material. `part` overrides the body part (0: from the solid coordinates)."""

    material: Material
    part: int = 0
    folds: float = 0.0  # strength of cloth folds in the shading
    gloss: float = 0.0
    plant: float = 0.0  # how far it follows the seasons, 0..1; see `season`


@dataclass(frozen=True)
class Mesh:
    """A surface. solid (V, 4) holds the texture coordinates x, y, z and the arm coordinate u (see
    `wardrobe`); clip (V, 2) keeps what is positive; face_layer (F,) indexes `layers`; two_sided (F,) turns
    culling off."""

    points: Float[np.ndarray, "v 3"]
    normals: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    solid: Float[np.ndarray, "v 4"]
    clip: Float[np.ndarray, "v 2"]
    face_layer: Int[np.ndarray, "f"]
    two_sided: np.ndarray
    layers: tuple[Layer, ...] = field(default=())

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, "3"]) -> Mesh:
        """The mesh turned, then shifted; its solid coordinates stay."""
        r = rotation.astype(np.float32)
        return Mesh(
            np.einsum("ij,vj->vi", r, self.points) + shift.astype(np.float32),
            np.einsum("ij,vj->vi", r, self.normals),
            self.faces,
            self.solid,
            self.clip,
            self.face_layer,
            self.two_sided,
            self.layers,
        )


def make_mesh(
    points: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    layer: Layer,
    *,
    solid: np.ndarray | None = None,
    two_sided: bool = False,
) -> Mesh:
    """A mesh of one layer; the solid coordinates are the points' own unless given."""
    points = points.astype(np.float32)
    xyz = points if solid is None else solid
    return Mesh(
        points,
        normals.astype(np.float32),
        faces.astype(np.int64),
        np.concatenate([xyz[:, :3], np.full((len(points), 1), -1)], 1).astype(np.float32),
        np.ones((len(points), 2), np.float32),
        np.zeros(len(faces), np.int64),
        np.full(len(faces), two_sided),
        (layer,),
    )


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of many, layers renumbered."""
    vertex = np.cumsum([0] + [len(m.points) for m in meshes])
    layer = np.cumsum([0] + [len(m.layers) for m in meshes])
    return Mesh(
        np.concatenate([m.points for m in meshes]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, vertex, strict=False)]),
        np.concatenate([m.solid for m in meshes]),
        np.concatenate([m.clip for m in meshes]),
        np.concatenate([m.face_layer + o for m, o in zip(meshes, layer, strict=False)]),
        np.concatenate([m.two_sided for m in meshes]),
        tuple(lay for m in meshes for lay in m.layers),
    )


def _grid_faces(rows: int, columns: int, wrap: bool) -> np.ndarray:
    across = columns if wrap else columns - 1
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(across), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def grid_surface(
    points: Float[np.ndarray, "r c 3"], layer: Layer, *, wrap: bool, two_sided: bool = True
) -> Mesh:
    """A sheet of rows and columns of points; `wrap` closes it around the columns."""
    from .body import vertex_normals

    rows, columns = points.shape[:2]
    faces = _grid_faces(rows, columns, wrap)
    flat = points.reshape(-1, 3)
    return make_mesh(flat, vertex_normals(flat, faces), faces, layer, two_sided=two_sided)


def superquadric(
    size: tuple[float | int, ...], layer: Layer, *, power: float = 0.35, columns: int = 24, rows: int = 13
) -> Mesh:
    """A rounded box (small power) to ellipsoid (power 1) of the given full extents, centred at the origin."""

    def signed(value: np.ndarray) -> np.ndarray:
        return np.sign(value) * np.abs(value) ** power

    lat = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    lon = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    half = np.array(size) / 2
    ring = np.stack(
        [
            signed(np.cos(lat)) * signed(np.cos(lon)),
            signed(np.cos(lat)) * signed(np.sin(lon)),
            signed(np.sin(lat)) + 0 * lon,
        ],
        -1,
    )
    return grid_surface(ring * half, layer, wrap=True, two_sided=False)


def box(size: tuple[float | int, ...], layer: Layer) -> Mesh:
    """A sharp-edged box of the given full extents standing on z = 0, centred in x and y, flat-shaded."""
    half = np.array([size[0] / 2, size[1] / 2, size[2]])
    points, normals, faces = [], [], []
    for axis in range(3):
        for sign in (-1, 1):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            quad = np.zeros((4, 3))
            quad[:, axis] = sign
            quad[:, u] = np.array([-1, 1, 1, -1]) * sign
            quad[:, v] = [-1, -1, 1, 1]
            base = 4 * len(faces)
            quad[:, 2] = (quad[:, 2] + 1) / 2
            points.append(quad * half)
            normal = np.zeros(3)
            normal[axis] = sign
            normals.append(np.tile(normal, (4, 1)))
            faces.append(np.array([[0, 1, 2], [0, 2, 3]]) + base)
    return make_mesh(np.concatenate(points), np.concatenate(normals), np.concatenate(faces), layer)


def lathe(profile: list[tuple[float | int, float | int]], layer: Layer, *, columns: int = 20) -> Mesh:
    """A solid of revolution about z from (radius, height) pairs, bottom first."""
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    r = np.array([p[0] for p in profile])[:, None]
    z = np.array([p[1] for p in profile])[:, None]
    points = np.stack([r * np.cos(angle), r * np.sin(angle), z + 0 * angle], -1)
    return grid_surface(points, layer, wrap=True, two_sided=True)
