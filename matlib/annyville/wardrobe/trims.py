"""What is painted over a garment's cloth: zips, buttons, pockets, cuffs, belts, lapels, straps.

A trim is a function that changes colours (N, 3) in place, given points (N, 3) of the mean body and their arm
coordinates (N,).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..mesh import Material
from ..textures import linear
from .space import ramp

Trim = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def trimmed(inner: Material, *trims: Trim) -> Material:
    """`inner` with the trims painted over it, the last on top."""
    if not trims:
        return inner

    def material(p, u, offset):
        out = np.array(inner(p, u, offset), np.float32)
        for paint in trims:
            paint(out, p, u)
        return out

    return material


def _where(shape: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray], colour: np.ndarray) -> Trim:
    """A trim of one colour where `shape`(x, y, z, u) holds."""

    def paint(out, p, u):
        out[shape(p[:, 0], p[:, 1], p[:, 2], u)] = colour

    return paint


def shade_of(colour: np.ndarray) -> np.ndarray:
    """A darker colour for seams; a lighter one where the cloth is nearly black."""
    return (0.5 * colour if colour.mean() > 0.03 else 1.5 * colour + 0.02).astype(np.float32)


def zipper(colour: np.ndarray) -> Trim:
    """A zip down the front."""
    return _where(lambda x, y, z, u: (np.abs(x) < 0.007) & (y < 0) & (u < 0), colour)


def buttons(colour: np.ndarray, low: float = -1.0, high: float = 1.0, aside: float = 0.0, every: float = 0.075) -> Trim:
    """Buttons down the front, between two heights; `aside` sets two rows."""

    def shape(x, y, z, u):
        place = np.abs(np.abs(x) - aside)
        tall = np.abs((z / every) % 1 - 0.5) * every
        return (place**2 + tall**2 < 0.0105**2) & (y < 0) & (u < 0) & (z > low) & (z < high)

    return _where(shape, colour)


def placket(colour: np.ndarray, low: float = -1.0) -> Trim:
    """The edge of a shirt's front, down to a height."""
    return _where(lambda x, y, z, u: (np.abs(x - 0.016) < 0.004) & (y < 0) & (u < 0) & (z > low), colour)


def cuffs(colour: np.ndarray, end: float) -> Trim:
    """A band at the end of the sleeves."""
    return _where(lambda x, y, z, u: u > end - 0.1, colour)


def rib_hem(colour: np.ndarray, hem: float) -> Trim:
    """A band at the lower edge."""
    return _where(lambda x, y, z, u: (z < hem + 0.035) & (u < 0.1), colour)


def chest_pocket(colour: np.ndarray, side: int) -> Trim:
    """The outline of a breast pocket."""

    def shape(x, y, z, u):
        a, b = np.abs(x - 0.075 * side), np.abs(z - 0.46)
        return (a < 0.038) & (b < 0.042) & ((a > 0.033) | (b > 0.036)) & (y < 0) & (u < 0)

    return _where(shape, colour)


def slanted_pockets(colour: np.ndarray) -> Trim:
    """Two pocket flaps at the hips."""

    def shape(x, y, z, u):
        return (np.abs(np.abs(x) - 0.11) < 0.045) & (np.abs(z - 0.12) < 0.009) & (y < 0) & (u < 0)

    return _where(shape, colour)


def kangaroo(colour: np.ndarray) -> Trim:
    """The outline of a hoodie's pouch."""

    def shape(x, y, z, u):
        edge = 0.115 - 0.05 * ramp(z, 0.13, 0.24)
        inside = (np.abs(x) < edge) & (z > 0.10) & (z < 0.24)
        core = (np.abs(x) < edge - 0.007) & (z > 0.107) & (z < 0.232)
        return inside & ~core & (y < 0) & (u < 0)

    return _where(shape, colour)


def strings(colour: np.ndarray, length: float) -> Trim:
    """The two strings of a hood."""
    return _where(
        lambda x, y, z, u: (np.abs(np.abs(x) - 0.035) < 0.005) & (z > 0.60 - 0.14 * length) & (y < 0) & (u < 0), colour
    )


def arm_stripes(colour: np.ndarray) -> Trim:
    """Two stripes along the outside of the arms."""

    def shape(x, y, z, u):
        across = y + 0.03 + 0.09 * np.maximum(u - 0.6, 0)
        return (u > 0) & ((np.abs(across - 0.012) < 0.006) | (np.abs(across + 0.012) < 0.006)) & (np.abs(x) > 0.2)

    return _where(shape, colour)


def bands(colour: np.ndarray) -> Trim:
    """The reflecting bands of a high-visibility vest."""

    def shape(x, y, z, u):
        around = (np.abs(z - 0.17) < 0.022) | (np.abs(z - 0.30) < 0.022)
        over = (np.abs(np.abs(x) - 0.10) < 0.02) & (z > 0.30)
        return (around | over) & (u < 0.1)

    return _where(shape, colour)


def belt(colour: np.ndarray, at: float, half: float = 0.014) -> Trim:
    """A belt at a height."""
    return _where(lambda x, y, z, u: (np.abs(z - at) < half) & (u < 0), colour)


def lapels(edge: np.ndarray, low: float) -> Trim:
    """The edges of lapels that meet at the height `low`, and the front's edge below."""

    def shape(x, y, z, u):
        reach = 0.02 + 0.075 * ramp(z, low, 0.62)
        line = (np.abs(np.abs(x) - reach) < 0.005) & (z > low)
        return (line | ((np.abs(x - 0.012) < 0.004) & (z <= low))) & (y < 0) & (u < 0)

    return _where(shape, edge)


def shirt_front(low: float, shirt: np.ndarray, tie: np.ndarray | None) -> Trim:
    """What a closed jacket lets see between its lapels: the shirt, and a tie."""

    def paint(out, p, u):
        x, y, z = p[:, 0], p[:, 1], p[:, 2]
        front = (y < 0) & (u < 0) & (z > low)
        out[front & (np.abs(x) < 0.005 + 0.062 * ramp(z, low, 0.62))] = shirt
        if tie is not None:
            out[front & (np.abs(x) < 0.010 + 0.010 * ramp(-z, -0.6, -low))] = tie

    return paint


def tie(colour: np.ndarray) -> Trim:
    """A tie over a shirt."""
    return _where(
        lambda x, y, z, u: (np.abs(x) < 0.012 + 0.014 * ramp(-z, -0.6, -0.2)) & (z > 0.18) & (y < 0) & (u < 0), colour
    )


def fly(colour: np.ndarray) -> Trim:
    """Side pockets, back pockets and the seam in front of trousers."""

    def shape(x, y, z, u):
        side = np.abs(z - 0.14 + 0.9 * (np.abs(x) - 0.13)) < 0.006
        front = (y < 0) & (z > 0.03) & ((np.abs(x) < 0.004) | side & (np.abs(x) > 0.09) & (np.abs(x) < 0.17))
        a, b = np.abs(np.abs(x) - 0.085), np.abs(z - 0.06)
        back = (y > 0) & (a < 0.05) & (b < 0.055) & ((a > 0.044) | (b > 0.049))
        return front | back

    return _where(shape, colour)


def crease(colour: np.ndarray) -> Trim:
    """The pressed fold down the front of suit trousers."""

    def shape(x, y, z, u):
        middle = np.interp(z, [-0.74, -0.29, 0.14], [0.19, 0.149, 0.11])
        return (np.abs(np.abs(x) - middle) < 0.005) & (y < -0.02) & (z < 0.1)

    return _where(shape, colour)


def side_stripe(colour: np.ndarray, width: float) -> Trim:
    """A stripe down the outside of the legs."""

    def shape(x, y, z, u):
        axis_x = np.interp(z, [-0.74, -0.29, 0.14], [0.193, 0.149, 0.116])
        axis_y = np.interp(z, [-0.74, -0.29, 0.14], [-0.003, -0.034, -0.01])
        return (np.abs(y - axis_y) < width) & (np.abs(x) > axis_x)

    return _where(shape, colour)


def leg_cuffs(colour: np.ndarray, end: float) -> Trim:
    """A band at the end of the legs."""
    return _where(lambda x, y, z, u: z < end + 0.035, colour)


def leg_pockets(colour: np.ndarray) -> Trim:
    """The outlines of pockets on the outside of the thighs."""

    def shape(x, y, z, u):
        a, b = np.abs(y + 0.025), np.abs(z + 0.17)
        flap = (np.abs(z + 0.115) < 0.006) & (a < 0.062)
        edge = (a < 0.06) & (b < 0.085) & ((a > 0.054) | (b > 0.079))
        return (edge | flap) & (np.abs(x) > 0.15)

    return _where(shape, colour)


def waistband(colour: np.ndarray, at: float) -> Trim:
    """All above a height."""
    return _where(lambda x, y, z, u: z > at, colour)


def pleats(count: int) -> Trim:
    """Shadows in the folds of a pleated skirt."""

    def paint(out, p, u):
        angle = np.arctan2(p[:, 0], -p[:, 1] - 0.02)
        depth = (angle * count / (2 * np.pi)) % 1
        out *= (0.62 + 0.38 * np.minimum(depth * 1.6, 1))[:, None]

    return paint


def backpack_straps(colour: np.ndarray) -> Trim:
    """Two straps from the shoulders to below the arms."""

    def shape(x, y, z, u):
        return (np.abs(np.abs(x) - 0.105 + 0.05 * np.maximum(0.45 - z, 0)) < 0.021) & (z > 0.30) & (u < 0.14)

    return _where(shape, colour)


def cross_strap(colour: np.ndarray, side: int, width: float) -> Trim:
    """A strap from one shoulder to the other hip; the bag hangs on the left (side 1) or the right (-1)."""
    return _where(lambda x, y, z, u: (np.abs(z - 0.42 + side * 1.25 * x) < width) & (u < 0.14) & (z > 0.14), colour)


def shoulder_strap(colour: np.ndarray, side: int) -> Trim:
    """A strap over one shoulder, straight down to a bag under the arm."""
    return _where(lambda x, y, z, u: (np.abs(side * x - 0.135) < 0.014) & (z > 0.28) & (u < 0.2), colour)


REFLECTIVE = linear((206, 208, 206))
