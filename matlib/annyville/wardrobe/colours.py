"""Colours of clothes, skin and hair, with how often each is worn: much black, navy, grey, beige and denim, some
bright. The odds are set by hand for variety and describe no population."""

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
    "camel": (166, 124, 76),
    "brown": (98, 68, 46),
    "navy": (32, 40, 72),
    "blue": (44, 78, 150),
    "sky": (128, 168, 208),
    "teal": (30, 110, 116),
    "green": (46, 104, 62),
    "olive": (92, 94, 58),
    "khaki": (142, 132, 96),
    "mint": (158, 204, 178),
    "yellow": (218, 182, 58),
    "mustard": (176, 132, 40),
    "orange": (208, 108, 44),
    "red": (176, 38, 40),
    "burgundy": (104, 28, 44),
    "pink": (214, 146, 160),
    "lilac": (176, 156, 200),
    "purple": (96, 62, 122),
    "lime": (196, 222, 40),
}


def _odds(words: str) -> dict[str, int]:
    """Weights from "black 20 navy 12 ..."."""
    parts = words.split()
    return dict(zip(parts[::2], map(int, parts[1::2]), strict=True))


TOP_ODDS = _odds(
    "black 17 white 15 grey 10 navy 10 charcoal 8 silver 5 sky 5 blue 4 cream 4 beige 4 olive 3 red 3 burgundy 3 "
    "pink 3 green 2 teal 2 brown 2 khaki 2 mint 1 yellow 1 mustard 1 orange 1 lilac 1 purple 1"
)
OUTER_ODDS = _odds(
    "black 28 navy 17 charcoal 11 grey 8 olive 7 beige 6 camel 5 khaki 4 brown 4 burgundy 2 red 2 blue 2 green 2 "
    "cream 2 white 1 teal 1 mustard 1 pink 1 yellow 1 orange 1 lilac 1"
)
LOWER_ODDS = _odds(
    "black 20 navy 9 charcoal 9 grey 7 beige 7 khaki 5 olive 4 brown 3 white 3 cream 2 burgundy 1 blue 1 camel 1"
)
SKIRT_ODDS = _odds(
    "black 14 navy 8 grey 5 charcoal 4 beige 4 white 4 burgundy 3 olive 2 camel 3 red 2 pink 2 sky 2 mustard 2 "
    "green 2 teal 2"
)
SUIT_ODDS = _odds("navy 9 charcoal 8 black 6 grey 5 beige 1 brown 1")
RAIN_ODDS = _odds("yellow 6 navy 5 olive 3 black 3 red 2 teal 2 lilac 1 orange 1")
SHOE_ODDS = _odds("black 9 white 9 brown 4 charcoal 3 grey 3 navy 2 beige 2 camel 2 red 1 blue 1 pink 1")
LEATHER_ODDS = _odds("black 8 brown 5 camel 2 charcoal 2 beige 1 burgundy 1")
BAG_ODDS = _odds(
    "black 12 charcoal 5 navy 5 brown 4 grey 3 camel 3 red 2 blue 2 olive 3 beige 3 pink 1 green 1 purple 1 mustard 1"
)
SHOPPING_ODDS = _odds("white 6 camel 4 beige 2 blue 2 red 1 green 1 yellow 1 orange 1")
BRIGHT_ODDS = _odds("red 4 blue 3 yellow 3 white 4 orange 2 green 2 pink 2 teal 2 lime 1 purple 1 mustard 2 black 3")
TIGHTS_ODDS = _odds("black 6 charcoal 2 navy 1 brown 1")
DENIM = [(46, 62, 98), (70, 92, 134), (34, 38, 52), (112, 136, 172), (52, 68, 96), (30, 36, 58)]
CAMOUFLAGE = [
    [(92, 94, 58), (54, 58, 40), (142, 132, 96)],
    [(142, 132, 96), (98, 68, 46), (186, 164, 130)],
    [(96, 98, 102), (46, 47, 50), (150, 152, 155)],
]
SKIN_TONES = [(236, 196, 170), (224, 178, 148), (206, 156, 122), (176, 124, 90), (132, 88, 62), (92, 60, 44)]
SKIN_ODDS = [0.2, 0.24, 0.2, 0.14, 0.12, 0.1]
HAIR_TONES = [(28, 23, 21), (44, 33, 27), (72, 48, 34), (108, 70, 42), (162, 122, 76), (140, 66, 36)]
HAIR_ODDS = [0.31, 0.24, 0.18, 0.13, 0.09, 0.05]
GREYS = [(150, 148, 146), (196, 194, 190), (104, 102, 101)]


def near(
    rng: np.random.Generator, colour: Float[np.ndarray, "3"], spread: float = 0.16
) -> Float[np.ndarray, "3"]:
    """A colour (linear light) like the given one: brightness off by `spread`, each channel by a third of it."""
    factor = np.exp(spread * rng.normal() + spread / 3 * rng.normal(0, 1, 3))
    return np.clip(colour * factor, 0.002, 0.9).astype(np.float32)


def pick(rng: np.random.Generator, odds: dict[str, int]) -> Float[np.ndarray, "3"]:
    """Linear light of a colour drawn by its weight, a little off its nominal value."""
    names = list(odds)
    weights = np.array([odds[n] for n in names], float)
    nominal = linear(COLOURS[names[rng.choice(len(names), p=weights / weights.sum())]])
    return near(rng, nominal, 0.12)


def contrast(base: Float[np.ndarray, "3"], second: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """`second`, or white or dark blue where it could not be told from `base`."""
    if np.abs(base - second).sum() > 0.25:
        return second
    return linear((225, 225, 222)) if base.mean() < 0.25 else linear((40, 42, 50))
