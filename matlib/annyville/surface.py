"""The same points of the skin on every person: the truth about which pixels of two pictures correspond.

Half of the points lie on the left half of the body; point i and point i + SURFACE_POINTS / 2 mirror each other,
so a flipped picture swaps the two halves of the array. The points are spread evenly (farthest point sampling)
over the mean body.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, Int, Int16

from .body import load_body, vertex_normals
from .truth import SURFACE_POINTS, SURFACE_UNIT

SAME_PLACE = 0.08  # metres in the mean body: the seen surface is the point's own, or the cloth over it


@cache
def surface_vertices() -> Int[np.ndarray, "s"]:
    """Numbers of the body's vertices that are followed, left half first."""
    body = load_body()
    ids = np.unique(body.faces["body"])
    points = body.canonical[ids]
    left = np.flatnonzero(points[:, 0] > 0.004)
    chosen = [int(np.argmax(points[left, 2]))]
    distance = np.full(len(left), np.inf)
    while len(chosen) < SURFACE_POINTS // 2:
        distance = np.minimum(distance, ((points[left] - points[left[chosen[-1]]]) ** 2).sum(1))
        chosen.append(int(np.argmax(distance)))
    half = left[np.sort(chosen)]
    mirrored = points[half] * np.array([-1, 1, 1], np.float32)
    partner = np.array([np.argmin(((points - p) ** 2).sum(1)) for p in mirrored])
    return ids[np.concatenate([half, partner])]


@cache
def surface_places() -> Float[np.ndarray, "s 3"]:
    """The points in the mean body's coordinates."""
    return load_body().canonical[surface_vertices()]


@cache
def surface_normals() -> Float[np.ndarray, "s 3"]:
    """Unit normals of the mean body at the points."""
    body = load_body()
    return vertex_normals(body.canonical, body.faces["body"])[surface_vertices()]


def surface_truth(
    spot: Float[np.ndarray, "s 2"],
    facing: Float[np.ndarray, "s"],
    seen: Float[np.ndarray, "h w 3"],
    scale: float,
) -> Int16[np.ndarray, "s 3"]:
    """The points' truth in one picture: x and y of the written image in steps of SURFACE_UNIT, and 1 where seen.

    spot: pixels of the crop; facing: cosine between normal and line of sight; seen: mean-body coordinates of the
    target's surface at each pixel of the crop, far away where the pixel is not the target's own body or clothes;
    scale: the written image's size against the crop's. A point is seen where it faces the camera and its pixel
    shows a place within SAME_PLACE of it.
    """
    height, width = seen.shape[:2]
    j, i = np.floor(spot).astype(int).T
    inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
    there = seen[np.clip(i, 0, height - 1), np.clip(j, 0, width - 1)]
    visible = inside & (facing > 0) & (((there - surface_places()) ** 2).sum(1) < SAME_PLACE**2)
    steps = np.clip(np.round(spot * (scale / SURFACE_UNIT)), -32768, 32767)
    return np.concatenate([steps, visible[:, None]], 1).astype(np.int16)
