"""Materials that are not woven patterns: skin, hair, denim, bags, shoes.

A material is linear albedo as a function of the mean body's coordinates, the arm coordinate and the image's
offset.
"""

from __future__ import annotations

import numpy as np

from ..mesh import Material
from ..textures import grain3, linear, mix, noise3
from .outfit import Garment, Look
from .patterns import patterned

BEARDS = {"stubble": 0.45, "full": 0.85, "moustache": 0.85, "goatee": 0.85}  # how dense


def plain(colour: np.ndarray, grain: float = 0.10) -> Material:
    """One colour with woven grain."""

    def material(p, u, offset):
        return colour * (1 - grain / 2 + grain * grain3(p * 190 + offset * 9)[:, None])

    return material


def _ellipse(x: np.ndarray, z: np.ndarray, at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    return ((x - at[0]) / size[0]) ** 2 + ((z - at[1]) / size[1]) ** 2


def _paint_beard(out: np.ndarray, x: np.ndarray, z: np.ndarray, face: np.ndarray, look: Look) -> None:
    density = BEARDS[look.beard]
    lip = face & (x < 0.032) & (z > 0.813) & (z < 0.828)
    chin = face & (z < 0.825 + 0.5 * np.maximum(x - 0.03, 0)) & ~((x < 0.014) & (z > 0.815))
    if look.beard == "moustache":
        chin = lip
    elif look.beard == "goatee":
        chin = (chin & (x < 0.032)) | lip
    elif look.beard == "full":
        chin = chin | lip
    out[chin] = (1 - density) * out[chin] + density * look.hair


def _paint_glasses(out: np.ndarray, p: np.ndarray, face: np.ndarray, kind: str) -> None:
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    if kind == "mask":
        out[face & (z < 0.845) & (z > 0.765)] = linear((196, 214, 226))
        return
    ring = _ellipse(x, z, (0.033, 0.880), (0.026, 0.019))
    temple = (np.abs(z - 0.888) < 0.005) & (x > 0.055) & (y < -0.05) & (z > 0.74)
    bridge = face & (x < 0.01) & (np.abs(z - 0.886) < 0.004)
    lens = face & (ring < 1) if kind == "sunglasses" else face & (ring < 1.15) & (ring > 0.62)
    out[lens | temple | bridge] = 0.02


def skin_material(look: Look) -> Material:
    """Skin with a drawn face, a beard, glasses or a mask."""
    tone, hair = look.tone, look.hair

    def material(p, u, offset):
        out = np.tile(tone, (len(p), 1)) * (0.94 + 0.12 * grain3(p * 70)[:, None])
        x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
        face = (y < -0.085) & (z > 0.74) & (u < 0)
        if face.any():
            out[face & (_ellipse(x, z, (0.033, 0.884), (0.028, 0.018)) < 1)] *= 0.82
            out[face & (_ellipse(x, z, (0.034, 0.902), (0.021, 0.0055)) < 1)] = 0.75 * hair + 0.1 * tone
            out[face & (_ellipse(x, z, (0.032, 0.880), (0.0155, 0.0075)) < 1)] = 0.62
            out[face & (_ellipse(x, z, (0.032, 0.880), (0.0075, 0.0075)) < 1)] = 0.03
            if look.beard != "none":
                _paint_beard(out, x, z, face, look)
            out[face & (_ellipse(x, z, (0.0, 0.803), (0.026, 0.0085)) < 1)] = look.lips
            if look.glasses != "none":
                _paint_glasses(out, p, face, look.glasses)
        if look.style == "bald" or look.age == "elder":
            out[(z > 0.80) & (y > -0.03) & (u < 0)] *= 0.97
        return out

    return material


def hair_material(colour: np.ndarray, curl: float = 0.0) -> Material:
    """Streaks along the hair; `curl` in 0..1 makes them round."""
    stretch = np.array([90, 90, 14 + 60 * curl], np.float32)

    def material(p, u, offset):
        return colour * (0.65 + 0.75 * noise3(p * stretch)[:, None])

    return material


def denim(colour: np.ndarray, fade: float) -> Material:
    """Denim, worn pale on the thighs by `fade` in 0..1, with side seams."""
    pale = np.array([0.42, 0.48, 0.56], np.float32)

    def material(p, u, offset):
        worn = np.exp(-(((np.abs(p[:, 0]) - 0.13) / 0.05) ** 2)) * np.exp(-(((p[:, 2] + 0.18) / 0.22) ** 2))
        seam = (np.abs(p[:, 1] + 0.01) < 0.006) * 0.15
        base = colour * (0.88 + 0.24 * grain3(p * 220 + offset * 9)[:, None])
        return mix(base, pale, fade * worn) * (1 - seam)[:, None]

    return material


def cloth_material(garment: Garment) -> Material:
    """The garment's cloth without its trims."""
    cloth = garment.cloth
    if cloth.denim > 0:
        return denim(cloth.colours[0], cloth.denim)
    return patterned(cloth.pattern, cloth.colours, cloth.seed)


def shoe_material(kind: str, colour: np.ndarray, white_sole: bool, accent: np.ndarray) -> Material:
    """A shoe with its sole; sneakers have laces or a mark at the side, canvas shoes a white toe."""
    sole = linear((222, 222, 218)) if white_sole else 0.4 * colour
    thick = -0.797 if kind == "sneakers" else -0.805

    def material(p, u, offset):
        x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
        out = np.tile(colour, (len(p), 1)).astype(np.float32)
        if kind == "sneakers":
            out[(np.abs(z + 0.775 + 0.25 * (y + 0.05)) < 0.008) & (y > -0.12) & (y < 0.02)] = accent
        if kind == "canvas shoes":
            out[(y < -0.175) | (np.abs(x - 0.19) < 0.012) & (y < -0.06) & (z > -0.775)] = sole
        out[z < thick] = sole
        return out

    return material


def bag_material(colour: np.ndarray, trim: np.ndarray, pocket: float) -> Material:
    """A bag with a seam and a pocket of the other colour where `pocket` exceeds a half."""

    def material(p, u, offset):
        x, z = np.abs(p[:, 0]), p[:, 2]
        out = colour * (0.9 + 0.2 * grain3(p * 150)[:, None])
        if pocket > 0.5:
            out[(x < 0.1) & (z < -0.04)] = trim
        out[np.abs(z + 0.02) < 0.007] = trim
        out[(x < 0.1) & (np.abs(z + 0.1) < 0.006)] = trim
        return out

    return material


def shopping_bag_material(colour: np.ndarray, mark: np.ndarray, size: float) -> Material:
    """Paper or plastic with a shop's mark."""

    def material(p, u, offset):
        out = np.tile(colour, (len(p), 1)).astype(np.float32)
        out[np.hypot(p[:, 1], p[:, 2]) < 0.05 + 0.05 * size] = mark
        return out

    return material
