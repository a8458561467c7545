"""Colours of clothes, skin and hair, with how often each is worn. The odds are set by hand for variety and describe no
population."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..textures import linear

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (26, 26, 29),
    "charcoal": (56, 57, 61),
    "grey": (120, 121, 124),
    "silver": (172, 173, 176),
    "white": (228, 228, 226),
    "cream": (221, 210, 186),
    "beige": (186, 164, 130),
    "brown": (98, 68, 46),
    "navy": (32, 40, 72),
    "blue": (44, 78, 150),
    "sky": (128, 168, 208),
    "teal": (30, 110, 116),
    "green": (46, 104, 62),
    "olive": (92, 94, 58),
    "mint": (158, 204, 178),
    "yellow": (218, 182, 58),
    "orange": (208, 108, 44),
    "red": (176, 38, 40),
    "burgundy": (104, 28, 44),
    "pink": (214, 146, 160),
    "purple": (96, 62, 122),
}
UPPER_WEIGHTS = dict(
    black=15,
    charcoal=10,
    grey=10,
    silver=5,
    white=13,
    cream=3,
    beige=4,
    brown=3,
    navy=9,
    blue=5,
    sky=4,
    teal=2,
    green=2,
    olive=4,
    mint=1,
    yellow=1,
    orange=1,
    red=3,
    burgundy=3,
    pink=2,
    purple=1,
)
LOWER_WEIGHTS = dict(
    black=12, charcoal=7, grey=6, white=3, beige=6, brown=3, navy=8, blue=4, olive=4, cream=2, burgundy=1
)
SHOE_WEIGHTS = dict(black=9, charcoal=3, white=8, brown=5, grey=3, navy=2, red=2, beige=2, blue=1)
BAG_WEIGHTS = dict(
    black=8, charcoal=4, navy=4, brown=4, grey=3, red=3, blue=3, olive=3, beige=2, pink=1, green=1, purple=1
)
SKIN_TONES = [(236, 196, 170), (224, 178, 148), (206, 156, 122), (176, 124, 90), (132, 88, 62), (92, 60, 44)]
HAIR_TONES = [
    (28, 23, 21),
    (44, 33, 27),
    (72, 48, 34),
    (108, 70, 42),
    (162, 122, 76),
    (140, 66, 36),
    (150, 148, 146),
]


def pick(rng: np.random.Generator, weights: dict[str, int]) -> Float[np.ndarray, 3]:
    """Linear light of a colour drawn by its weight, a little off its nominal value."""
    names = list(weights)
    w = np.array([weights[n] for n in names], float)
    rgb = np.array(COLOURS[names[rng.choice(len(names), p=w / w.sum())]], float)
    rgb = rgb * rng.uniform(0.92, 1.08) + rng.normal(0, 3, 3)
    return linear(np.clip(rgb, 14, 240))
