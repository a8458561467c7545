"""Light on surfaces: one sun, a sky, the light thrown back by the ground, and cloth folds as bent normals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from .camera import Camera
from .mesh import Mesh
from .raster import Fragments

SKY = (0.97, 1.0, 1.05)  # colour of the light from all around


def sun_colour(camera: Camera) -> Float[np.ndarray, "3"]:
    """Linear colour of the direct light."""
    return camera.sun_strength * np.array([1 + camera.warmth, 1.0, 1 - 1.2 * camera.warmth], np.float32)


def fold_bend(solid: Float[np.ndarray, "4 n"], offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes (along x, along z) of a field of soft wrinkles in the mean body's coordinates."""
    x, y, z = solid[0], solid[1], solid[2]
    warp = 1.6 * np.sin(7 * x + offset[0]) + 1.3 * np.sin(9 * z + 5 * y + offset[1])
    a = np.sin(26 * z + 16 * x + 1.5 * warp + offset[2])
    b = np.sin(41 * x - 17 * z + warp + offset[0] + 18 * y)
    c = np.sin(67 * z - 30 * x + 2 * warp + offset[1])
    some = (
        0.35 + 0.65 * np.sin(5 * x + 8 * z + 4 * y + offset[2] + warp) ** 2
    )  # wrinkles gather here and there
    return some * (0.11 * a + 0.15 * b), some * (0.13 * a + 0.12 * c)


def _interpolate(table: Float[np.ndarray, "c v"], corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (C, N) of vertex attributes at fragments; corners, weights (3, N)."""
    out = np.empty((len(table), corners.shape[1]), np.float32)
    for row, values in zip(out, table, strict=True):
        np.multiply(values[corners[0]], weights[0], out=row)
        row += values[corners[1]] * weights[1]
        row += values[corners[2]] * weights[2]
    return out


def _unit(vectors: Float[np.ndarray, "3 n"]) -> Float[np.ndarray, "3 n"]:
    return vectors / (np.sqrt(vectors[0] ** 2 + vectors[1] ** 2 + vectors[2] ** 2) + np.float32(1e-6))


def _materials(
    mesh: Mesh, layer: np.ndarray, solid: Float[np.ndarray, "4 n"], offset: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "3 n"], Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Albedo, strength of folds and gloss of each fragment."""
    albedo = np.empty((3, len(layer)), np.float32)
    for i in np.flatnonzero(np.bincount(layer, minlength=len(mesh.layers))):
        mine = np.flatnonzero(layer == i)
        place = np.stack([row[mine] for row in solid])
        albedo[:, mine] = mesh.layers[i].material(place[:3].T, place[3], offset).T
    folds = np.array([item.folds for item in mesh.layers], np.float32)[layer]
    gloss = np.array([item.gloss for item in mesh.layers], np.float32)[layer]
    return albedo, folds, gloss


def shade(
    mesh: Mesh, fragments: Fragments, camera: Camera, offset: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "3 n"], Float[np.ndarray, "4 n"], Int[np.ndarray, "n"]]:
    """Linear colour, solid coordinates and layer of each fragment. `offset` moves folds and grain of this
    image."""
    corners = np.stack([column[fragments.triangles] for column in mesh.faces.T])
    table = np.concatenate([mesh.solid.T, mesh.normals.T, mesh.points.T])
    values = _interpolate(table, corners, fragments.weights.T)
    solid, normal, points = values[:4], values[4:7], values[7:]
    layer = mesh.face_layer[fragments.triangles]
    albedo, fold, gloss = _materials(mesh, layer, solid, offset)
    bend_x, bend_z = fold_bend(solid, offset)
    normal[0] += fold * bend_x
    normal[2] += fold * bend_z
    normal = _unit(normal)
    eye = -points
    eye[2] += np.float32(camera.height)
    away = normal[0] * eye[0] + normal[1] * eye[1] + normal[2] * eye[2] < -0.05
    normal[:, away] *= -1
    sun = camera.sun_direction.astype(np.float32)
    facing = sun[0] * normal[0] + sun[1] * normal[1] + sun[2] * normal[2]
    direct = np.maximum(np.float32(0.12) + np.float32(0.88) * facing, 0)
    up = np.float32(0.5) + np.float32(0.5) * normal[2]
    ground = np.clip(points[2] / np.float32(0.9), 0, 1)
    ambient = camera.sky_strength * (0.42 + 0.58 * up) * (0.62 + 0.38 * ground)
    ambient[away] *= 0.55
    direct[away] *= 0.2
    out = albedo
    for channel, (sunlight, skylight) in enumerate(zip(sun_colour(camera) * 0.55, SKY, strict=True)):
        out[channel] *= np.float32(sunlight) * direct + np.float32(skylight) * ambient
    glossy = np.flatnonzero(gloss > 0)
    if len(glossy):
        half = _unit(sun[:, None] + _unit(eye[:, glossy]))
        shine = np.maximum((normal[:, glossy] * half).sum(0), 0) ** 24
        out[:, glossy] += shine * gloss[glossy] * np.float32(camera.sun_strength * 0.5)
    return out, solid, layer
