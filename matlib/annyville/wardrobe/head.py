"""Hair and what is worn on the head."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, grid_surface, superquadric
from .dresser import Dresser
from .materials import hair_material, plain
from .space import HEAD, ramp

HAIRLINE_Y = np.array([-0.16, -0.125, -0.095, -0.075, -0.045, -0.025, 0.0, 0.06])
HAIRLINE_Z = np.array([0.940, 0.938, 0.915, 0.885, 0.875, 0.850, 0.800, 0.775])


def add_hair(d: Dresser, style: str, colour: np.ndarray, hat: str, rng: np.random.Generator) -> None:
    """Add hair of that style; a headscarf hides it."""
    y, z = d.canonical[:, 1], d.canonical[:, 2]
    if style == "bald" or hat == "scarf":
        return
    layer = Layer(hair_material(colour), part=HEAD, gloss=0.15)
    line = np.interp(y, HAIRLINE_Y, HAIRLINE_Z) + (0.008 * rng.random())
    thick = {"short": 0.007, "thick": 0.02, "bun": 0.008, "mid": 0.014, "long": 0.012, "tail": 0.007}[style]
    offset = thick * (0.4 + 0.6 * ramp(z, 0.86, 0.95)) * ramp(z - line, -0.02, 0.02)
    d.shell(
        "body", layer, offset.astype(np.float32), ((z - line), np.where((z > 0.74) & (d.u < 0), 1.0, -1.0))
    )
    head = d.rest[np.argmax(z * (d.u < 0))] - d.canonical[np.argmax(z)]
    if style in ("mid", "long"):
        tip = 0.70 if style == "mid" else float(rng.uniform(0.50, 0.62))
        angle = np.radians(np.linspace(-118, 118, 23))[None]
        t = np.linspace(0, 1, 10)[:, None]
        height = 0.955 + (tip - 0.955) * t + 0 * angle
        swell = 1.0 + 0.12 * np.sin(np.pi * np.clip(t * 1.1, 0, 1))
        rx, ry = (
            0.086 * swell * (0.80 + 0.2 * ramp(t, 0, 0.25)),
            0.105 * swell * (0.80 + 0.2 * ramp(t, 0, 0.25)),
        )
        back = 0.055 * ramp(0.78 - height, 0.0, 0.12)
        pts = (
            np.stack([rx * np.sin(angle), -0.045 + ry * np.cos(angle) + back * np.cos(angle), height], -1)
            + head
        )
        mesh = grid_surface(pts, layer, wrap=False)
        chest = (0.75 * ramp(0.76 - mesh.points[:, 2] + head[2], 0, 0.12)).astype(np.float32)
        d.rigid(mesh, {"head": 1 - chest, "chest": chest})
    if style == "bun":
        size = float(rng.uniform(0.075, 0.1))
        place = np.array([0, 0.065, 0.90]) if rng.random() < 0.6 else np.array([0, 0.0, 1.01])
        d.rigid(
            superquadric((size, size, size), layer, power=1.0, columns=14, rows=9).moved(
                np.eye(3), place + head
            ),
            {"head": 1.0},
        )
    if style == "tail":
        t = np.linspace(0, 1, 8)[:, None]
        angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)[None]
        radius = 0.034 * np.sin(np.pi * (0.12 + 0.8 * t)) + 0.006
        length = float(rng.uniform(0.2, 0.34))
        pts = np.stack(
            [
                radius * np.cos(angle),
                0.075 + 0.06 * np.sin(2.2 * t) + radius * np.sin(angle),
                0.915 - length * t + 0 * angle,
            ],
            -1,
        )
        d.rigid(grid_surface(pts + head, layer, wrap=True), {"head": 1.0})


def add_hat(d: Dresser, hat: str, colour: np.ndarray) -> None:
    """Add what is worn on the head."""
    x, y, z = d.canonical[:, 0], d.canonical[:, 1], d.canonical[:, 2]
    if hat == "none":
        return
    layer = Layer(plain(colour), part=HEAD, folds=0.3)
    head = np.where((z > 0.70) & (d.u < 0), 1.0, -1.0)
    top = d.rest[np.argmax(z)] - d.canonical[np.argmax(z)]
    if hat == "scarf":
        face = 1 - ((x / 0.062) ** 2 + ((z - 0.865) / 0.085) ** 2)
        keep = np.where(y < -0.05, -face * 0.05, 1.0)
        d.shell("body", layer, 0.016 + 0 * z, (np.minimum(keep, z - 0.68), head))
        return
    brim_z = {"cap": 0.928 - 0.28 * (y + 0.045), "beanie": 0.922 - 0.35 * (y + 0.045), "brim": 0.925 + 0 * y}[
        hat
    ]
    puff = {"cap": 0.018, "beanie": 0.024, "brim": 0.022}[hat]
    d.shell("body", layer, (puff + 0.01 * ramp(z, 0.95, 0.99)).astype(np.float32), (z - brim_z, head))
    if hat in ("cap", "brim"):
        span = np.radians(np.linspace(-62, 62, 13) if hat == "cap" else np.linspace(-180, 180, 25))[None]
        r = np.linspace(0, 1, 4)[:, None]
        reach = 0.075 if hat == "cap" else 0.065
        grow = r * reach * (np.cos(span * 1.25).clip(0.12) if hat == "cap" else 1.0)
        px = (0.088 + grow) * np.sin(span)
        py = -0.045 - (0.112 + grow) * np.cos(span)
        pz = (0.948 if hat == "cap" else 0.928) - 0.22 * grow + 0 * span
        d.rigid(grid_surface(np.stack([px, py, pz], -1) + top, layer, wrap=False), {"head": 1.0})
