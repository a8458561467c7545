"""What is worn on legs and feet."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, Material
from ..textures import linear
from .colours import SHOE_WEIGHTS, UPPER_WEIGHTS, pick
from .dresser import Dresser
from .materials import denim, pattern, plain, shoe_material, side_stripe
from .outfit import Outfit
from .space import ramp

CUT = dict(trousers=0.012, slim=0.005, wide=0.018, shorts=0.016, leggings=0.001)  # metres off the leg
FLARE = dict(trousers=0.022, slim=0.006, wide=0.04, shorts=0.022, leggings=0.0)  # more at the end
DENIM = [(46, 62, 98), (70, 92, 134), (34, 38, 52), (112, 136, 172)]


def _trouser_material(wear: Outfit, rng: np.random.Generator) -> Material:
    if wear.lower in ("trousers", "slim", "shorts") and rng.random() < 0.45:
        return denim(linear(DENIM[rng.integers(4)]), float(rng.uniform(0.1, 0.6)))
    if wear.lower in ("trousers", "leggings") and rng.random() < 0.3:
        return side_stripe(wear.lower_colour, pick(rng, UPPER_WEIGHTS))
    if rng.random() < 0.12:
        return pattern("checks", wear.lower_colour, 0.5 * wear.lower_colour + 0.25 * wear.second, rng)
    return plain(wear.lower_colour)


def add_trousers(d: Dresser, wear: Outfit, rng: np.random.Generator) -> None:
    """Trousers of any cut and length; they slip under the shirt and do not cling to the seat."""
    x, y, z = d.canonical.T
    ends = wear.leg_end if wear.lower == "shorts" else -0.75
    offset = CUT[wear.lower] + FLARE[wear.lower] * ramp(-z, 0.05, -ends) * (z < 0.1)
    between_legs = (np.abs(x) <= 0.02) & (z <= 0.02)
    offset = np.where(between_legs, np.minimum(offset, 0.006), offset)
    offset = np.minimum(offset, 0.005 + 0.3 * np.maximum(0.05 - z, 0))
    seat = ramp(y, -0.02, 0.05) * ramp(z, -0.16, -0.05) * ramp(-z, -0.2, -0.1)
    tight = wear.lower == "leggings"
    d.shell(
        "tights",
        Layer(_trouser_material(wear, rng), folds=0.5 if tight else 1.0),
        offset,
        (min(0.22, wear.shirt_hem + 0.07) - z, np.minimum(z - wear.leg_end, -d.u)),
        smooth=0.8 * seat + 0.25 * (not tight),
    )


def add_tights(d: Dresser, wear: Outfit, rng: np.random.Generator) -> None:
    """Tights below a skirt."""
    colour = pick(rng, dict(black=5, charcoal=2, navy=1, brown=1))
    d.shell("tights", Layer(plain(colour)), 0.0 * d.one, (wear.leg_end + 0.012 - d.z, -d.u))


def add_shoes(d: Dresser, wear: Outfit, rng: np.random.Generator) -> None:
    """Shoes or boots, and socks where legs are bare."""
    shoe = pick(rng, dict(black=6, brown=5, charcoal=2, beige=1) if wear.boots else SHOE_WEIGHTS)
    if not wear.boots and wear.leg_end > -0.7 and not wear.tights and rng.random() < 0.6:
        sock = linear((225, 225, 225)) if rng.random() < 0.6 else linear((40, 40, 44))
        d.shell("tights", Layer(plain(sock)), 0.003 * d.one, (float(rng.uniform(-0.68, -0.58)) - d.z, d.one))
    white_sole = bool(rng.random() < 0.6 and not wear.boots)
    d.shell(
        "tights",
        Layer(shoe_material(shoe, white_sole)),
        0.010 + 0.006 * ramp(-d.z, 0.74, 0.8),
        (wear.boot_top - d.z, d.one),
    )


def add_skirt(d: Dresser, wear: Outfit, rng: np.random.Generator) -> None:
    """A skirt over the tucked-in top."""
    material = plain(wear.lower_colour)
    if not rng.random() < 0.6:
        kind = str(rng.choice(["checks", "dots", "wide stripes"]))
        material = pattern(kind, wear.lower_colour, wear.second, rng)
    z = d.z
    waist = 0.008 + (wear.ease + 0.004) * ramp(z, 0.06, 0.16)
    keep = (np.minimum(z - wear.leg_end, 0.24 - z), d.one)
    d.shell("skirt", Layer(material, folds=1.2), waist, keep, two_sided=True)
