"""Materials: linear albedo as a function of the mean body's coordinates, the arm coordinate and the image's offset."""

from __future__ import annotations

import numpy as np

from ..mesh import Material
from ..textures import grain3, linear, mix, noise3, wave

UPPER_PATTERNS = ["plain"] * 8 + [
    "stripes",
    "stripes",
    "wide stripes",
    "checks",
    "two-tone",
    "logo",
    "print",
    "dots",
    "sleeves",
    "raglan",
    "band",
    "vertical",
]


def skin_material(tone: np.ndarray, hair: np.ndarray, lips: np.ndarray, beard: float) -> Material:
    """Skin with a drawn face; `beard` is its density in 0..1."""

    def material(p, u, offset):
        out = np.tile(tone, (len(p), 1)) * (0.94 + 0.12 * grain3(p * 70)[:, None])
        x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
        face = (y < -0.085) & (z > 0.74) & (u < 0)
        if face.any():
            brow = face & (((x - 0.034) / 0.021) ** 2 + ((z - 0.902) / 0.0055) ** 2 < 1)
            eye = face & (((x - 0.032) / 0.0155) ** 2 + ((z - 0.880) / 0.0075) ** 2 < 1)
            iris = face & (((x - 0.032) / 0.0075) ** 2 + ((z - 0.880) / 0.0075) ** 2 < 1)
            mouth = face & ((x / 0.026) ** 2 + ((z - 0.803) / 0.0085) ** 2 < 1)
            socket = face & (((x - 0.033) / 0.028) ** 2 + ((z - 0.884) / 0.018) ** 2 < 1)
            out[socket] *= 0.82
            out[brow] = 0.75 * hair + 0.1 * tone
            out[eye] = 0.62
            out[iris] = 0.03
            out[mouth] = lips
            if beard > 0:
                chin = face & (z < 0.825 + 0.5 * np.maximum(x - 0.03, 0)) & ~mouth
                chin &= ~((x < 0.014) & (z > 0.815))
                out[chin] = (1 - beard) * out[chin] + beard * hair
        return out

    return material


def plain(colour: np.ndarray, grain: float = 0.10) -> Material:
    """One colour with woven grain."""

    def material(p, u, offset):
        return colour * (1 - grain / 2 + grain * grain3(p * 190 + offset * 9)[:, None])

    return material


def hair_material(colour: np.ndarray) -> Material:
    """Streaks along the hair."""

    def material(p, u, offset):
        streak = noise3(np.stack([p[:, 0] * 90, p[:, 1] * 90, p[:, 2] * 14], 1))
        return colour * (0.65 + 0.75 * streak[:, None])

    return material


def denim(colour: np.ndarray, fade: float) -> Material:
    """Denim, worn pale on the thighs by `fade` in 0..1, with side seams."""

    def material(p, u, offset):
        worn = np.exp(-(((np.abs(p[:, 0]) - 0.13) / 0.05) ** 2)) * np.exp(-(((p[:, 2] + 0.18) / 0.22) ** 2))
        seam = (np.abs(p[:, 1] + 0.01) < 0.006) * 0.15
        base = colour * (0.88 + 0.24 * grain3(p * 220 + offset * 9)[:, None])
        return mix(base, np.array([0.42, 0.48, 0.56], np.float32), fade * worn) * (1 - seam)[:, None]

    return material


def pattern(kind: str, base: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> Material:
    """An upper garment's colours: `kind` is one of UPPER_PATTERNS or "quilt", "zip", "checks"."""
    period = float(rng.uniform(0.045, 0.08))
    level = float(rng.uniform(0.34, 0.5))
    across = float(rng.uniform(0.05, 0.085))
    tall = float(rng.uniform(0.04, 0.09))
    at = float(rng.uniform(0.40, 0.50))

    def material(p, u, offset):
        x, y, z = p[:, 0], p[:, 1], p[:, 2]
        along = np.where(u > 0.05, 0.28 * u, 0.63 - z)
        t = np.zeros(len(p), np.float32)
        if kind == "stripes":
            t = wave(along, period, 0.42)
        elif kind == "wide stripes":
            t = wave(along, 2.6 * period, 0.5)
        elif kind == "vertical":
            t = wave(np.where(u > 0.05, y, x) + 5, 0.8 * period, 0.35)
        elif kind == "checks":
            t = 0.5 * wave(along, 1.1 * period, 0.5) + 0.5 * wave(
                np.where(u > 0.05, y, x + 0.3 * y) + 5, 1.1 * period, 0.5
            )
        elif kind == "two-tone":
            t = ((z > level) | (u > 0.75)).astype(np.float32)
        elif kind == "sleeves":
            t = (u > 0.12).astype(np.float32)
        elif kind == "raglan":
            t = ((u > 0.0) | (z > 0.60)).astype(np.float32)
        elif kind == "band":
            t = ((z < level) & (z > level - 0.11) & (u < 0.1)).astype(np.float32)
        elif kind == "logo":
            t = ((np.abs(x) < across) & (np.abs(z - at) < tall) & (y < 0)).astype(np.float32)
        elif kind == "print":
            front = (np.abs(x) < 0.11) & (np.abs(z - at) < 0.11)
            t = front * (noise3(p * 38 + 7) > 0.48).astype(np.float32)
        elif kind == "dots":
            a, b = along / (0.75 * period), np.where(u > 0.05, y, x) / (0.75 * period)
            b = b + 0.5 * (np.floor(a) % 2)
            t = (((a % 1) - 0.5) ** 2 + ((b % 1) - 0.5) ** 2 < 0.075).astype(np.float32)
        elif kind == "quilt":
            t = 0.55 * wave(along, 0.072, 0.09)
        out = mix(base, second, t) * (0.93 + 0.14 * grain3(p * 190 + offset * 9)[:, None])
        return out

    return material


def with_straps(inner: Material, colour: np.ndarray, kind: str, side: int) -> Material:
    """`inner` with the straps of a bag painted over it."""

    def material(p, u, offset):
        out = inner(p, u, offset)
        x, z = p[:, 0], p[:, 2]
        if kind == "backpack":
            on = (
                (np.abs(np.abs(x) - 0.105 + 0.05 * np.maximum(0.45 - z, 0)) < 0.021) & (z > 0.30) & (u < 0.14)
            )
        else:
            on = np.abs(z - 0.42 + side * 1.25 * x) < 0.03
            on &= (u < 0.14) & (z > 0.14)
        out[on] = colour
        return out

    return material


def with_zip(inner: Material, colour: np.ndarray, trim: np.ndarray) -> Material:
    """`inner` with a zip down the front and cuffs."""

    def material(p, u, offset):
        out = inner(p, u, offset)
        out[(np.abs(p[:, 0]) < 0.007) & (p[:, 1] < 0) & (u < 0)] = colour
        out[u > 1.86] = trim
        return out

    return material


def side_stripe(colour: np.ndarray, stripe: np.ndarray) -> Material:
    """Plain trousers with a stripe down each side."""

    def material(p, u, offset):
        out = colour * (0.94 + 0.12 * grain3(p * 190 + offset * 9)[:, None])
        axis_x = np.interp(p[:, 2], [-0.74, -0.29, 0.14], [0.193, 0.149, 0.116])
        axis_y = np.interp(p[:, 2], [-0.74, -0.29, 0.14], [-0.003, -0.034, -0.01])
        on = (np.abs(p[:, 1] - axis_y) < 0.017) & (np.abs(p[:, 0]) > axis_x)
        out[on] = stripe
        return out

    return material


def shoe_material(colour: np.ndarray, white_sole: bool) -> Material:
    """A shoe with its sole."""
    sole = linear((222, 222, 218)) if white_sole else 0.4 * colour

    def material(p, u, offset):
        out = np.tile(colour, (len(p), 1)).astype(np.float32)
        out[p[:, 2] < -0.805] = sole
        return out

    return material


def bag_material(colour: np.ndarray, trim: np.ndarray) -> Material:
    """A bag with a seam and a pocket."""

    def material(p, u, offset):
        out = colour * (0.9 + 0.2 * grain3(p * 150)[:, None])
        out[np.abs(p[:, 2] + 0.02) < 0.007] = trim
        pocket = (np.abs(p[:, 0]) < 0.1) & (np.abs(p[:, 2] + 0.1) < 0.006)
        out[pocket] = trim
        return out

    return material
