"""What is worn on the legs."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, Material
from ..textures import linear
from . import trims
from .catalogue import DRESSES, SKIRTS, TROUSERS
from .cover import seen_below_outer
from .dresser import Dresser
from .materials import cloth_material, plain
from .outfit import Outfit
from .space import ramp


def _trouser_material(wear: Outfit) -> Material:
    garment = wear.lower
    base, second, _ = garment.cloth.colours
    dark = trims.shade_of(base)
    a, b, _ = garment.trim
    made = {
        "fly": trims.fly(dark),
        "belt": trims.belt(linear((58, 40, 28)) if a < 0.5 else linear((24, 24, 26)), 0.185),
        "crease": trims.crease(dark),
        "leg cuffs": trims.leg_cuffs(dark, garment.hem),
        "leg pockets": trims.leg_pockets(dark),
    }
    if a < 0.55:
        made["side stripe"] = trims.side_stripe(second, 0.008 + 0.016 * b)
    return trims.trimmed(cloth_material(garment), *(made[t] for t in TROUSERS[garment.kind].trims if t in made))


def add_trousers(d: Dresser, wear: Outfit) -> None:
    """Trousers of any cut and length; they slip under the top and do not cling to the seat."""
    x, y, z = d.canonical.T
    cut, garment = TROUSERS[wear.lower.kind], wear.lower
    short = garment.hem > -0.5
    offset = cut.offset + cut.flare * ramp(-z, 0.05, -garment.hem if short else 0.75) * (z < 0.1)
    between_legs = (np.abs(x) <= 0.02) & (z <= 0.02)
    offset = np.where(between_legs, np.minimum(offset, 0.006), offset)
    offset = np.minimum(offset, 0.005 + 0.3 * np.maximum(0.05 - z, 0))
    if "leg cuffs" in cut.trims:
        offset = np.where(z < garment.hem + 0.04, 0.004, offset)
    seat = ramp(y, -0.02, 0.05) * ramp(z, -0.16, -0.05) * ramp(-z, -0.2, -0.1)
    tight = garment.kind == "leggings"
    end = max(garment.hem, wear.shoe_top - 0.02) if wear.shoes == "boots" else garment.hem
    d.shell(
        "tights",
        Layer(_trouser_material(wear), folds=0.4 if tight else 1.0),
        offset,
        (np.minimum(min(0.22, wear.upper.hem + 0.07) - z, seen_below_outer(d, wear)), np.minimum(z - end, -d.u)),
        smooth=0.8 * seat + 0.25 * (not tight),
    )


def add_tights(d: Dresser, wear: Outfit) -> None:
    """Tights below a skirt."""
    if wear.tights is not None:
        keep = (wear.lower.hem + 0.012 - d.z, -d.u)
        d.shell("tights", Layer(plain(wear.tights)), 0.0 * d.one, keep)


def skirt_offset(d: Dresser, wear: Outfit, waist: float) -> np.ndarray:
    """How far a skirt stands off the skirt shell: `waist` metres there, and its flare and pleats below."""
    garment = wear.lower
    _, flare, pleats = (SKIRTS | DRESSES)[garment.kind]
    x, y, z = d.canonical.T
    fall = ramp(-z, -0.12, max(-garment.hem, 0.2))
    angle = np.arctan2(x, -y - 0.02)
    wavy = 0.5 * np.sin(pleats * angle) if pleats else np.sin(7 * angle + 6 * garment.trim[0])
    return waist + flare * (0.5 + garment.trim[1]) * fall + (0.25 * flare if flare else 0.0) * fall * wavy


def skirt_material(wear: Outfit) -> Material:
    """The cloth of a skirt, or of a dress below the waist."""
    pleats = (SKIRTS | DRESSES)[wear.lower.kind][2]
    base = wear.lower.cloth.colours[0]
    found = [trims.pleats(pleats)] if pleats else []
    if not wear.dress and wear.lower.trim[2] < 0.5:
        found.append(trims.waistband(trims.shade_of(base), 0.205))
    return trims.trimmed(cloth_material(wear.lower), *found)


def add_skirt(d: Dresser, wear: Outfit) -> None:
    """A skirt over the tucked-in top."""
    waist = 0.008 + (wear.upper.ease + 0.004) * ramp(d.z, 0.06, 0.16)
    keep = (np.minimum(d.z - wear.lower.hem, 0.24 - d.z), seen_below_outer(d, wear))
    layer = Layer(skirt_material(wear), folds=1.1)
    d.shell("skirt", layer, skirt_offset(d, wear, 0.0) + waist, keep, two_sided=True)
