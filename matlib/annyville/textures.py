"""Colours and solid textures: functions of a point in space, so that no surface needs to be unwrapped."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float

LATTICE = 64


@cache
def _lattice() -> np.ndarray:
    return np.random.default_rng(20240229).random((LATTICE, LATTICE, LATTICE), np.float32)


def noise3(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    """Trilinear value noise in [0, 1] with unit lattice, period 64."""
    table = _lattice().ravel()
    base = np.floor(points)
    f = (points - base).astype(np.float32)
    i = base.astype(np.int64) & (LATTICE - 1)
    j = (i + 1) & (LATTICE - 1)
    f = f * f * (3 - 2 * f)
    x0, x1 = i[:, 0] << 12, j[:, 0] << 12
    y0, y1 = i[:, 1] << 6, j[:, 1] << 6
    z0, z1 = i[:, 2], j[:, 2]
    fx, fy, fz = f[:, 0], f[:, 1], f[:, 2]
    a = table[x0 + y0 + z0] * (1 - fx) + table[x1 + y0 + z0] * fx
    b = table[x0 + y1 + z0] * (1 - fx) + table[x1 + y1 + z0] * fx
    c = table[x0 + y0 + z1] * (1 - fx) + table[x1 + y0 + z1] * fx
    d = table[x0 + y1 + z1] * (1 - fx) + table[x1 + y1 + z1] * fx
    lower, upper = a * (1 - fy) + b * fy, c * (1 - fy) + d * fy
    return lower * (1 - fz) + upper * fz


def grain3(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    """Unsmoothed noise in [0, 1], one value a cell of the unit lattice, period 64."""
    i = np.floor(points).astype(np.int32) & (LATTICE - 1)
    return _lattice().reshape(-1)[(i[:, 0] << 12) + (i[:, 1] << 6) + i[:, 2]]


def noise2(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"], layer: int = 0) -> Float[np.ndarray, "n"]:
    """Bilinear value noise in [0, 1] with unit lattice, period 64; `layer` chooses one of 64 tables."""
    table = _lattice()[layer % LATTICE].ravel()
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    i, j = x0.astype(np.int64) & 63, y0.astype(np.int64) & 63
    i1, j1 = (i + 1) & 63, (j + 1) & 63
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    low = table[(i << 6) + j] * (1 - fx) + table[(i1 << 6) + j] * fx
    high = table[(i << 6) + j1] * (1 - fx) + table[(i1 << 6) + j1] * fx
    return low * (1 - fy) + high * fy


def linear(srgb: tuple[int | float, ...] | np.ndarray) -> Float[np.ndarray, "3"]:
    """Linear light of an sRGB colour given as 0-255."""
    return (np.asarray(srgb, np.float32) / 255) ** np.float32(2.2)


def mix(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Blend of two colours (3,) or (N, 3) by t (N,)."""
    t = t[:, None].astype(np.float32)
    return a * (1 - t) + b * t


def wave(x: np.ndarray, period: float, duty: float = 0.5) -> np.ndarray:
    """1 on the first `duty` of each period, else 0."""
    return ((x / period) % 1.0 < duty).astype(np.float32)
