"""What is worn on trunk and arms: tops, the upper half of dresses, jackets and coats, with collars and hoods."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, Material
from ..textures import linear
from . import trims
from .catalogue import OUTERS, TOPS
from .cover import seen_below_outer
from .dresser import Dresser
from .legs import skirt_material, skirt_offset
from .materials import cloth_material
from .neck import add_collar, add_hood
from .outfit import Garment, Outfit
from .space import TORSO, TUBE, ramp


def _straps(wear: Outfit) -> list[trims.Trim]:
    """Straps of the bag, for the outermost garment."""
    colour = 0.6 * wear.bag_colour
    if wear.bag == "backpack":
        return [trims.backpack_straps(colour)]
    if wear.bag in ("cross-body", "messenger"):
        return [trims.cross_strap(colour, wear.side, 0.03 if wear.bag == "messenger" else 0.017)]
    if wear.bag in ("shoulder", "tote"):
        return [trims.shoulder_strap(colour, wear.side)]
    return []


def _drape(d: Dresser) -> np.ndarray:
    """How little the cloth follows the body: hollows are spanned."""
    return 0.5 * (d.z < 0.5) * (d.u < 0.1) + 0.35 * ramp(d.z, 0.2, 0.5)


def _neckline(d: Dresser, depth: float, width: float) -> np.ndarray:
    x, y, z = d.canonical.T
    return 0.725 - depth - 0.06 * (1 - ramp(y, -0.12, 0.0)) - z + np.maximum(np.abs(x) - width, 0) * 2.0


def _top_material(wear: Outfit) -> Material:
    garment = wear.upper
    base, second, third = garment.cloth.colours
    dark = trims.shade_of(base)
    a, b, c = garment.trim
    light = linear((214, 212, 206))
    made = {
        "buttons": trims.buttons(light if base.mean() < 0.3 else dark),
        "pocket": trims.chest_pocket(dark, 1) if a < 0.5 else None,
        "placket": trims.placket(dark, 0.45),
        "cuffs": trims.cuffs(second if b < 0.25 else dark, garment.sleeve),
        "kangaroo": trims.kangaroo(dark),
        "strings": trims.strings(light if c < 0.5 else dark, a),
    }
    painted = [made[t] for t in TOPS[garment.kind].trims]
    if wear.outer is not None and wear.outer.kind == "blazer" and b < 0.7:
        painted.append(trims.tie(third))
    if garment.kind == "tunic" and a < 0.5:
        painted.append(trims.belt(dark, 0.22))
    if wear.outer is None:
        painted += _straps(wear)
    return trims.trimmed(cloth_material(garment), *(t for t in painted if t is not None))


def add_top(d: Dresser, wear: Outfit) -> None:
    """A top; below the waist it hangs as a tube, or goes on as a dress."""
    z, u = d.z, d.u
    garment = wear.upper
    width = 0.075 + 0.02 * garment.trim[1] + (0.03 if garment.kind == "tank top" else 0.0)
    tucked = 0.5 * garment.ease * ramp(-z, -0.30, -0.22) * (u < 0.1) if wear.skirted and not wear.dress else 0.0
    sleeve = max(garment.sleeve, 0.2)
    loose_arm = 0.022 if garment.kind in ("hoodie", "sweatshirt") else 0.010
    offset = (
        garment.ease
        - tucked
        + garment.loose * ramp(-z, -0.42, -0.02) * (u < 0.1)
        + np.where(u > 0.1, loose_arm * ramp(u, 0.1, sleeve) * ramp(-u, -sleeve, 0.1 - sleeve) + 0.004, 0)
    )
    layer = Layer(_top_material(wear), folds=0.8 if garment.kind in ("sweater", "turtleneck") else 1.0)
    trunk = 0.16 if wear.dress else max(garment.hem, TUBE - 0.04)
    keep = np.minimum(z - trunk, _neckline(d, garment.neck, width))
    d.shell(
        "tights", layer, offset, (np.minimum(keep, seen_below_outer(d, wear)), garment.sleeve - u), smooth=_drape(d)
    )
    if wear.dress:
        _add_dress_skirt(d, wear)
    elif garment.hem < TUBE:
        keep = np.minimum(z - garment.hem, TUBE + 0.06 - z)
        hang = 0.6 * garment.ease + 0.5 * garment.loose * d.one
        d.shell("skirt", layer, hang, (np.minimum(keep, seen_below_outer(d, wear)), d.one), two_sided=True)
    colour = garment.cloth.colours[0]
    if TOPS[garment.kind].collar and not wear.dress:
        add_collar(
            d, Layer(cloth_material(garment), part=TORSO), garment.ease + 0.006, 0.03, over=wear.outer is not None
        )
    if garment.hood != "none":
        add_hood(d, colour, garment.hood, (wear.outer.ease if wear.outer else 0.0) + garment.ease)


def _add_dress_skirt(d: Dresser, wear: Outfit) -> None:
    belted = wear.lower.trim[0] < 0.4
    material = skirt_material(wear)
    if belted:
        material = trims.trimmed(material, trims.belt(trims.shade_of(wear.lower.cloth.colours[0]), 0.2, 0.02))
    keep = (np.minimum(d.z - wear.lower.hem, 0.23 - d.z), d.one)
    offset = skirt_offset(d, wear, wear.upper.ease + 0.002)
    d.shell("skirt", Layer(material, folds=1.0), offset, keep, two_sided=True)


def _outer_trims(wear: Outfit, garment: Garment) -> list[trims.Trim]:
    base, second, third = garment.cloth.colours
    dark = trims.shade_of(base)
    a, b, c = garment.trim
    metal = linear((168, 168, 172))
    low = 0.22 + 0.12 * a
    closed = not garment.open
    made = {
        "zip": trims.zipper(metal if a < 0.4 else dark),
        "buttons": trims.buttons(metal if garment.cloth.denim else dark),
        "cuffs": trims.cuffs(dark if b < 0.7 else second, 1.9),
        "arm stripes": trims.arm_stripes(second),
        "pockets": trims.chest_pocket(dark, 1),
        "pocket": trims.chest_pocket(dark, 1),
        "flaps": trims.slanted_pockets(dark),
        "bands": trims.bands(trims.REFLECTIVE),
        "two buttons": trims.buttons(dark, low - 0.16, low),
        "double buttons": trims.buttons(dark, -0.2, 0.45, 0.07, 0.12),
        "belt": trims.belt(dark, 0.2, 0.02),
        "lapels": trims.lapels(dark, low),
    }
    found = [made[t] for t in OUTERS[garment.kind].trims]
    if "bomber" in garment.kind:
        found.append(trims.rib_hem(dark, garment.hem))
    if "lapels" in OUTERS[garment.kind].trims and closed and garment.kind != "trench coat":
        tie = third if garment.kind == "blazer" and wear.upper.trim[1] < 0.7 else None
        found.append(trims.shirt_front(low, wear.upper.cloth.colours[0], tie))
    return found


def _opening(d: Dresser, garment: Garment) -> tuple[np.ndarray, np.ndarray]:
    """Positive where an open jacket covers: on the trunk, and on the tube below."""
    x, y, z = d.canonical.T
    if garment.kind == "cardigan" and not garment.open:  # a V down to its first button
        low = 0.32 + 0.2 * garment.trim[0]
        return np.where(y < 0, np.abs(x) - 0.07 * ramp(z, low, 0.66) + 0.004, 1.0), d.one
    if not garment.open:
        return d.one, d.one
    width = 0.03 + 0.045 * garment.trim[2]
    trunk = np.where(y < -0.02, np.abs(x) - width * (1 - 0.4 * ramp(z, 0.2, 0.6)), 1.0)
    return trunk, np.where(y < -0.02, np.abs(x) - width, 1.0)


def add_outer(d: Dresser, wear: Outfit, garment: Garment) -> None:
    """A jacket, coat, vest or cardigan, open or closed in front."""
    y, z, u = d.canonical[:, 1], d.z, d.u
    cut = OUTERS[garment.kind]
    material = trims.trimmed(cloth_material(garment), *_outer_trims(wear, garment), *_straps(wear))
    layer = Layer(material, folds=0.6 if "puffer" in garment.kind else 0.9, gloss=cut.gloss)
    trunk, tube = _opening(d, garment)
    collar = (0.71 if garment.kind == "cardigan" else 0.735) - 0.05 * (1 - ramp(y, -0.12, 0.0)) - z
    under = wear.upper.ease + 0.5 * wear.upper.loose * (u < 0.1)
    offset = under + garment.ease + np.where(u > 0.1, 0.004, 0)
    keep = (np.minimum(z - max(garment.hem, TUBE - 0.05), collar), np.minimum(garment.sleeve - u, trunk))
    d.shell("tights", layer, offset, keep, two_sided=True, smooth=_drape(d))
    if garment.hem < TUBE:
        below = ramp(-z, -0.1, 0.4)
        offset = wear.upper.ease + garment.ease + 0.5 * wear.upper.loose + 0.006 + 0.02 * below * d.one
        if wear.skirted:
            offset = offset + np.maximum(skirt_offset(d, wear, 0.0), 0)
        keep = (np.minimum(z - garment.hem, TUBE + 0.07 - z), tube)
        d.shell("skirt", layer, offset, keep, two_sided=True)
    if cut.collar:
        add_collar(
            d, Layer(cloth_material(garment), part=TORSO, gloss=cut.gloss), wear.upper.ease + garment.ease, 0.045
        )
    if garment.hood != "none":
        fur = garment.kind == "parka" and garment.trim[1] < 0.6
        add_hood(d, garment.cloth.colours[0], garment.hood, garment.ease + wear.upper.ease, fur=fur)
