"""Shoes and socks."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer
from .dresser import Dresser
from .materials import plain, shoe_material
from .outfit import Outfit
from .space import ramp

SOLE = {"sneakers": 0.012, "boots": 0.014, "ankle boots": 0.013}  # metres the shoe stands off the foot


def add_shoes(d: Dresser, wear: Outfit) -> None:
    """Shoes, boots or sandals, and socks where they show."""
    y, z = d.canonical[:, 1], d.z
    if wear.socks is not None:
        d.shell("tights", Layer(plain(wear.socks)), 0.003 * d.one, (wear.sock_top - z, d.one))
    accent = wear.lower.cloth.colours[1]
    layer = Layer(
        shoe_material(wear.shoes, wear.shoe_colour, wear.white_sole, accent),
        gloss=0.12 if wear.shoes in ("leather shoes", "boots") else 0.0,
    )
    offset = SOLE.get(wear.shoes, 0.009) + 0.006 * ramp(-z, 0.74, 0.8)
    top = wear.shoe_top - z
    if wear.shoes == "sandals":
        straps = np.maximum(0.018 - np.abs(y + 0.13), 0.014 - np.abs(z + 0.745) - 0.3 * np.abs(y))
        top = np.maximum(top, np.minimum(straps, -0.72 - z))
    d.shell("tights", layer, offset, (top, d.one))
