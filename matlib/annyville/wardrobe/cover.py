"""Which of the clothes below a jacket can be seen: the rest is left out, so that it cannot push through."""

from __future__ import annotations

import numpy as np

from .catalogue import OUTERS
from .dresser import Dresser
from .outfit import Outfit

OVERLAP = 0.05  # metres that clothes go on beneath a jacket's edge
FRONT = 0.16  # half the width in which an open jacket may show what is below


def seen_below_outer(d: Dresser, wear: Outfit) -> np.ndarray:
    """Positive where tops, skirts and trousers can show, for each vertex."""
    over = wear.outer
    if over is None:
        return d.one
    x, y, z = d.canonical.T
    neck = z - (0.28 if over.kind == "cardigan" else 0.40 if over.open else 0.5)
    below = over.hem + OVERLAP - z
    front = np.where(y < 0, FRONT - np.abs(x), -1.0) if over.open else -d.one
    shown = np.maximum(np.maximum(neck, below), front)
    arms = d.one if OUTERS[over.kind].sleeveless else -d.one
    return np.where(d.u > 0.02, arms, shown)
