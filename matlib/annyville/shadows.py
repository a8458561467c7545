"""Shadows on the ground."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from .camera import Camera
from .crop import Crop
from .mesh import Mesh


def cast_shadows(meshes: list[Mesh], camera: Camera, crop: Crop) -> np.ndarray:
    """Darkness (H, W) in 0..1 that the meshes throw on the ground: points splatted along the sun, blurred."""
    h, w = crop.height // 4, crop.width // 4
    sun = camera.sun_direction
    hard, soft = np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8)
    for mesh in meshes:
        points = mesh.points[::2]
        for target, direction, most in (
            (hard, sun / max(sun[2], 0.3), 9.0),
            (soft, np.array([0, 0, 1.0]), 0.35),
        ):
            low = points[points[:, 2] < most]
            spot, depth = camera.project(low - direction * low[:, 2:])
            ij = np.floor(crop.pixels(spot) / 4).astype(np.int64)
            ok = (ij[:, 0] >= 0) & (ij[:, 0] < w) & (ij[:, 1] >= 0) & (ij[:, 1] < h) & (depth > 0.5)
            target[ij[ok, 1], ij[ok, 0]] = 255
    sharp = np.asarray(
        Image.fromarray(hard)
        .filter(ImageFilter.BoxBlur(1))
        .resize((crop.width, crop.height), Image.Resampling.BILINEAR)
    )
    dim = np.asarray(
        Image.fromarray(soft)
        .filter(ImageFilter.GaussianBlur(2))
        .resize((crop.width, crop.height), Image.Resampling.BILINEAR)
    )
    share = camera.sun_strength / (camera.sun_strength + 1.8 * camera.sky_strength)
    return np.maximum(share * 0.95 * np.minimum(sharp / 190.0, 1), 0.45 * np.minimum(dim / 150.0, 1)).astype(
        np.float32
    )
