"""Light on surfaces: one sun, a sky, the light thrown back by the ground, and cloth folds as bent normals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .camera import Camera
from .mesh import Mesh
from .raster import Fragments


def sun_colour(camera: Camera) -> Float[np.ndarray, "3"]:
    """Linear colour of the direct light."""
    return camera.sun_strength * np.array([1 + camera.warmth, 1.0, 1 - 1.2 * camera.warmth], np.float32)


def fold_bend(solid: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes (along x, along z) of a field of soft wrinkles in the mean body's coordinates."""
    x, y, z = solid[:, 0], solid[:, 1], solid[:, 2]
    warp = 1.6 * np.sin(7 * x + offset[0]) + 1.3 * np.sin(9 * z + 5 * y + offset[1])
    a = np.sin(26 * z + 16 * x + 1.5 * warp + offset[2])
    b = np.sin(41 * x - 17 * z + warp + offset[0] + 18 * y)
    c = np.sin(67 * z - 30 * x + 2 * warp + offset[1])
    some = (
        0.35 + 0.65 * np.sin(5 * x + 8 * z + 4 * y + offset[2] + warp) ** 2
    )  # wrinkles gather here and there
    return some * (0.11 * a + 0.15 * b), some * (0.13 * a + 0.12 * c)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.sqrt(np.einsum("ni,ni->n", vectors, vectors)) + 1e-6)[:, None]


def shade(
    mesh: Mesh, fragments: Fragments, camera: Camera, offset: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 4"], np.ndarray]:
    """Linear colour, solid coordinates and layer of each fragment. `offset` moves folds and grain of this
    image."""
    corners = mesh.faces[fragments.triangles]
    table = np.concatenate([mesh.solid, mesh.normals, mesh.points], 1)
    w = fragments.weights
    values = table[corners[:, 0]] * w[:, :1]
    values += table[corners[:, 1]] * w[:, 1:2]
    values += table[corners[:, 2]] * w[:, 2:]
    solid, normal, points = values[:, :4], values[:, 4:7], values[:, 7:10]
    layer = mesh.face_layer[fragments.triangles]
    albedo = np.empty((len(solid), 3), np.float32)
    fold = np.zeros(len(solid), np.float32)
    gloss = np.zeros(len(solid), np.float32)
    for i, item in enumerate(mesh.layers):
        mine = np.flatnonzero(layer == i)
        if len(mine):
            albedo[mine] = item.material(solid[mine, :3], solid[mine, 3], offset)
            fold[mine], gloss[mine] = item.folds, item.gloss
    cloth = np.flatnonzero(fold > 0)
    if len(cloth):
        bend_x, bend_z = fold_bend(solid[cloth], offset)
        normal[cloth, 0] += fold[cloth] * bend_x
        normal[cloth, 2] += fold[cloth] * bend_z
    normal = _unit(normal)
    eye = _unit(np.array([0, 0, camera.height], np.float32) - points)
    away = np.einsum("ni,ni->n", normal, eye) < -0.05
    normal[away] *= -1
    sun = camera.sun_direction.astype(np.float32)
    direct = np.maximum(0.12 + 0.88 * np.einsum("ni,i->n", normal, sun), 0)
    up = 0.5 + 0.5 * normal[:, 2]
    ground = np.clip(points[:, 2] / 0.9, 0, 1)
    ambient = camera.sky_strength * (0.42 + 0.58 * up) * (0.62 + 0.38 * ground)
    ambient *= np.where(away, 0.55, 1.0)
    direct *= np.where(away, 0.2, 1.0)
    sky = np.array([0.97, 1.0, 1.05], np.float32)
    light = direct[:, None] * sun_colour(camera) * 0.55 + ambient[:, None] * sky
    out = albedo * light
    glossy = np.flatnonzero(gloss > 0)
    if len(glossy):
        half = _unit(sun + eye[glossy])
        shine = np.maximum(np.einsum("ni,ni->n", normal[glossy], half), 0) ** 24
        out[glossy] += (shine * gloss[glossy] * np.float32(camera.sun_strength * 0.5))[:, None]
    return out, solid, layer
