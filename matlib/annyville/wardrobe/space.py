"""Coordinates that garments and parts are described in: the mean body's, and one along the arm."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

from ..body import load_body

HEAD, TORSO, CARRIED = 1, 2, 13  # numbers in PART_NAMES
HANGING = -2.0  # the arm coordinate of the skirt shell: cloth that hangs free of the body
TUBE = 0.15  # below this height tops hang as a tube (the skirt shell) and do not follow the legs


def ramp(x: np.ndarray, low: float | int, high: float | int) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, straight between."""
    return np.clip((x - low) / (high - low), 0, 1)


@cache
def arm_coordinate() -> Float[np.ndarray, "v"]:
    """u of each vertex of the mean body: 0 shoulder, 1 elbow, 2 wrist along the arm, -1 elsewhere."""
    body = load_body()
    p = np.abs(body.canonical * np.array([1, 0, 0], np.float32)) + body.canonical * np.array(
        [0, 1, 1], np.float32
    )
    shoulder, elbow, wrist = (body.canonical_head(f"{n}.L") for n in ("upperarm", "forearm", "hand"))
    upper, fore = elbow - shoulder, wrist - elbow
    u1 = (p - shoulder) @ upper / (upper @ upper)
    u2 = 1 + (p - elbow) @ fore / (fore @ fore)
    u = np.where(u1 < 1, u1, np.maximum(u2, 1))
    arm = [body.bone(f"{n}.{s}") for n in ("upperarm", "forearm", "hand") for s in "LR"]
    weight = (np.isin(body.bone_index, arm) * body.bone_weight).sum(1)[: body.vertex_count]
    return np.where((weight > 0.12) & (u > -0.3), u, -1).astype(np.float32)


def body_part(solid: Float[np.ndarray, "n 4"]) -> UInt8[np.ndarray, "n"]:
    """Part of a point of the mean body, as numbered by PART_NAMES (1 head .. 12 right foot).

    What is worn close has the part of the body beneath; for free cloth see `matlib.annyville.labels`. Borders are
    planes in the mean body's space: neck, shoulder, elbow, the groin's crease, knee and ankle.
    """
    x, z, u = solid[:, 0], solid[:, 2], solid[:, 3]
    right = (x < 0).astype(np.uint8)
    part = np.full(len(solid), 2, np.uint8)
    part[z > 0.715] = HEAD
    leg = z < 0.03 + 0.75 * np.abs(x)
    part = np.where(leg, 7 + right, part)
    part = np.where(leg & (z < -0.31), 9 + right, part)
    part = np.where(leg & (z < -0.735), 11 + right, part)
    part = np.where(u > 0.14, 3 + right, part)
    return np.where(u > 1.0, 5 + right, part).astype(np.uint8)
