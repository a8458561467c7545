"""What is worn on trunk and arms: shirts, dresses, jackets and coats."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, Material
from .colours import UPPER_WEIGHTS, pick
from .dresser import Dresser
from .materials import pattern, with_straps, with_zip
from .outfit import Outfit
from .space import TUBE, ramp

STRAPPED = ("backpack", "shoulder")  # bags whose straps are painted on the outermost garment


def _drape(d: Dresser) -> np.ndarray:
    """How little the cloth follows the body: hollows are spanned."""
    return 0.5 * (d.z < 0.5) * (d.u < 0.1) + 0.35 * ramp(d.z, 0.2, 0.5)


def _neckline(d: Dresser, depth: float, width: float) -> np.ndarray:
    x, y, z = d.canonical.T
    return 0.725 - depth - 0.06 * (1 - ramp(y, -0.12, 0.0)) - z + np.maximum(np.abs(x) - width, 0) * 2.0


def add_shirt(d: Dresser, wear: Outfit, female: bool, rng: np.random.Generator) -> None:
    """A shirt; below the waist it hangs as a tube, or goes on as a dress."""
    z, u = d.z, d.u
    depth, width = float(rng.uniform(0.0, 0.05)), float(rng.uniform(0.075, 0.095))
    if female and rng.random() < 0.4:
        depth = float(rng.uniform(0.05, 0.1))
    tucked = 0.5 * wear.ease * ramp(-z, -0.30, -0.22) * (u < 0.1) if wear.lower == "skirt" else 0.0
    offset = (
        wear.ease
        - tucked
        + wear.loose * ramp(-z, -0.42, -0.02) * (u < 0.1)
        + np.where(u > 0.1, 0.01 * ramp(u, 0.1, wear.sleeve) + 0.004, 0)
    )
    material = pattern(wear.upper_pattern, wear.upper_colour, wear.second, rng)
    if wear.jacket == "none" and wear.bag in STRAPPED:
        material = with_straps(material, 0.6 * wear.bag_colour, wear.bag, wear.side)
    layer = Layer(material, folds=1.0)
    trunk = max(wear.shirt_hem, TUBE - 0.04) if wear.lower != "dress" else 0.16
    keep = (np.minimum(z - trunk, _neckline(d, depth, width)), wear.sleeve - u)
    d.shell("tights", layer, offset, keep, smooth=_drape(d))
    if wear.lower == "dress":
        keep = (np.minimum(z - wear.leg_end, 0.23 - z), d.one)
        d.shell("skirt", layer, wear.ease + 0.002 * d.one, keep, two_sided=True)
    elif wear.shirt_hem < TUBE:
        keep = (np.minimum(z - wear.shirt_hem, TUBE + 0.06 - z), d.one)
        d.shell("skirt", layer, 0.6 * wear.ease + 0.5 * wear.loose * d.one, keep, two_sided=True)


def _jacket_material(wear: Outfit, rng: np.random.Generator) -> tuple[Material, bool]:
    colour = pick(rng, UPPER_WEIGHTS)
    quilted = bool(rng.random() < 0.35)
    kind = "quilt" if quilted else str(rng.choice(["plain", "plain", "sleeves", "two-tone", "checks"]))
    material = pattern(kind, colour, 0.45 * colour if quilted else wear.second, rng)
    material = with_zip(material, 0.35 * colour + 0.02, 0.6 * colour)
    if wear.bag in STRAPPED:
        material = with_straps(material, 0.6 * wear.bag_colour, wear.bag, wear.side)
    return material, quilted


def add_jacket(d: Dresser, wear: Outfit, rng: np.random.Generator) -> None:
    """A jacket, coat or vest, open or closed in front."""
    x, y, z = d.canonical.T
    u = d.u
    material, quilted = _jacket_material(wear, rng)
    bulk = float(rng.uniform(0.014, 0.024)) + (0.012 if quilted else 0.0)
    hem = float(rng.uniform(-0.36, -0.12)) if wear.jacket == "coat" else float(rng.uniform(0.0, 0.12))
    is_open = wear.jacket == "open" or (wear.jacket == "coat" and rng.random() < 0.4)
    opening = gap = d.one
    if is_open:
        width = float(rng.uniform(0.035, 0.07))
        opening = np.where(y < -0.02, np.abs(x) - width * (1 - 0.5 * ramp(z, 0.2, 0.6)), 1.0)
        gap = np.where(y < -0.02, np.abs(x) - 0.03, 1.0)
    arm = (0.16 if wear.jacket == "vest" else 1.9) - u
    collar = 0.735 - 0.05 * (1 - ramp(y, -0.12, 0.0)) - z
    layer = Layer(material, folds=0.9)
    offset = wear.ease + bulk + 0.5 * wear.loose * (u < 0.1) + np.where(u > 0.1, 0.004, 0)
    keep = (np.minimum(z - max(hem, TUBE - 0.05), collar), np.minimum(arm, opening))
    d.shell("tights", layer, offset, keep, two_sided=True, smooth=_drape(d))
    if hem < TUBE:
        offset = wear.ease + bulk + 0.5 * wear.loose + 0.006 * d.one
        keep = (np.minimum(z - hem, TUBE + 0.07 - z), gap)
        d.shell("skirt", layer, offset, keep, two_sided=True)
