"""What one identity wears, drawn before anything is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..textures import linear
from .colours import BAG_WEIGHTS, HAIR_TONES, LOWER_WEIGHTS, SKIN_TONES, UPPER_WEIGHTS, pick
from .materials import UPPER_PATTERNS
from .space import TUBE


@dataclass(frozen=True)
class Outfit:
    """Kinds, colours (linear light) and lengths (metres, heights of the mean body) of what is worn."""

    tone: np.ndarray
    hair: np.ndarray
    lips: np.ndarray
    beard: float
    style: str
    hat: str
    lower: str
    lower_colour: np.ndarray
    leg_end: float  # trousers end here, skirts and dresses too
    tights: bool
    boots: bool
    boot_top: float
    sleeve: float  # arm coordinate of its end
    upper_pattern: str
    upper_colour: np.ndarray
    second: np.ndarray
    shirt_hem: float
    ease: float
    loose: float
    jacket: str
    bag: str
    bag_colour: np.ndarray
    side: int

    @property
    def skirted(self) -> bool:
        """Whether a skirt or a dress takes the place of trousers."""
        return self.lower in ("skirt", "dress")


def _choose(rng: np.random.Generator, odds: dict[str, float]) -> str:
    return str(rng.choice(list(odds), p=list(odds.values())))


def _draw_kinds(rng: np.random.Generator, female: bool) -> dict:
    legs = dict(trousers=0.38, slim=0.26, wide=0.12, shorts=0.24)
    hair = dict(bald=0.09, short=0.52, thick=0.27, bun=0.01, mid=0.06, long=0.02, tail=0.03)
    if female:
        legs = dict(trousers=0.22, slim=0.22, wide=0.12, shorts=0.12, leggings=0.10, skirt=0.12, dress=0.10)
        hair = dict(bald=0.0, short=0.08, thick=0.10, bun=0.18, mid=0.2, long=0.24, tail=0.2)
    hats = dict(none=0.74, cap=0.11, beanie=0.08, scarf=0.04 * female, brim=0.03 if female else 0.07)
    return dict(
        lower=_choose(rng, legs),
        sleeve=float(rng.choice([0.55, 0.62, 1.2, 1.93], p=[0.3, 0.2, 0.08, 0.42])),
        jacket=_choose(rng, dict(none=0.56, open=0.14, closed=0.14, coat=0.10, vest=0.06)),
        bag=_choose(rng, dict(none=0.46, backpack=0.24, shoulder=0.18, hand=0.12)),
        style=_choose(rng, hair),
        hat=_choose(rng, hats),
        side=int(rng.choice([-1, 1])),
    )


def _draw_colours(rng: np.random.Generator) -> dict:
    upper, second = pick(rng, UPPER_WEIGHTS), pick(rng, UPPER_WEIGHTS)
    if np.abs(upper - second).sum() < 0.25:
        second = linear((225, 225, 222)) if upper.mean() < 0.25 else linear((40, 42, 50))
    lower = pick(rng, LOWER_WEIGHTS)
    pattern = str(rng.choice(UPPER_PATTERNS))
    return dict(
        upper_colour=upper,
        second=second,
        lower_colour=lower,
        upper_pattern=pattern,
        bag_colour=pick(rng, BAG_WEIGHTS),
    )


def _draw_cut(rng: np.random.Generator, lower: str) -> dict:
    shirt_hem = float(rng.uniform(-0.03, 0.10))
    if lower in ("skirt", "dress") or rng.random() < 0.2:
        shirt_hem = 0.17  # tucked in
    ease = float(rng.uniform(0.009, 0.016))
    loose = float(rng.uniform(0.004, 0.018)) if shirt_hem < TUBE else 0.0
    return dict(shirt_hem=shirt_hem, ease=ease, loose=loose)


def _draw_legs(rng: np.random.Generator, lower: str) -> dict:
    ends = dict(trousers=-0.755, slim=-0.735, wide=-0.775, leggings=-0.70)
    ends["shorts"] = float(rng.uniform(-0.36, -0.22))
    boots = lower not in ("trousers", "wide") and bool(rng.random() < 0.2)
    top = float(rng.uniform(-0.62, -0.45)) if boots else float(rng.uniform(-0.755, -0.73))
    if boots:  # trousers go into the boots
        ends = {name: max(end, top - 0.02) for name, end in ends.items()}
    ends["skirt"] = float(rng.choice([-0.16, -0.3, -0.5]))
    ends["dress"] = float(rng.choice([-0.2, -0.34, -0.46]))
    tights = lower in ("skirt", "dress") and bool(rng.random() < 0.5)
    return dict(leg_end=ends[lower], boots=boots, boot_top=top, tights=tights)


def draw_outfit(rng: np.random.Generator, female: bool) -> Outfit:
    """Draw what stays with an identity from picture to picture."""
    tone = linear(SKIN_TONES[rng.choice(6, p=[0.2, 0.24, 0.2, 0.14, 0.12, 0.1])]) * rng.uniform(0.92, 1.06)
    hair = linear(HAIR_TONES[rng.choice(7, p=[0.28, 0.22, 0.16, 0.12, 0.09, 0.05, 0.08])])
    hair = hair * rng.uniform(0.85, 1.15)
    kinds = _draw_kinds(rng, female)
    colours = _draw_colours(rng)
    cut = _draw_cut(rng, kinds["lower"])
    beard = float(rng.choice([0, 0.55, 0.85], p=[0.68, 0.2, 0.12])) if not female else 0.0
    legs = _draw_legs(rng, kinds["lower"])
    lips = tone * np.array([0.85, 0.55, 0.55]) if rng.random() < 0.7 else tone * np.array([0.8, 0.35, 0.38])
    return Outfit(tone=tone, hair=hair, lips=lips, beard=beard, **kinds, **colours, **cut, **legs)
