"""Patterns of cloth: which of a garment's three colours is where, as functions of the mean body's coordinates.

A pattern is made of numbers drawn once an identity (`Scale`), so that two garments of one kind and colour still
differ in their details. Each function gives the share of the second and of the third colour at each point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..mesh import Material
from ..textures import grain3, mix, noise3, wave
from .space import ramp


@dataclass(frozen=True)
class Scale:
    """Sizes and places of one garment's pattern, in metres of the mean body."""

    period: float
    duty: float
    level: float  # height of a border across the trunk
    half_width: float  # of a print
    half_height: float
    at: float  # height of a print's centre
    phase: float
    side: int
    number: int


def draw_scale(seed: int) -> Scale:
    """The sizes that belong to a garment's seed."""
    rng = np.random.default_rng(seed)
    return Scale(
        period=float(rng.uniform(0.04, 0.085)),
        duty=float(rng.uniform(0.3, 0.6)),
        level=float(rng.uniform(0.32, 0.52)),
        half_width=float(rng.uniform(0.05, 0.10)),
        half_height=float(rng.uniform(0.03, 0.10)),
        at=float(rng.uniform(0.38, 0.50)),
        phase=float(rng.uniform(3, 60)),
        side=int(rng.choice([-1, 1])),
        number=int(rng.integers(10)),
    )


@dataclass(frozen=True)
class Weave:
    """Points of a garment: x, y, z, u and, for what is woven, `along` the body or arm and `across` it."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    u: np.ndarray
    along: np.ndarray
    across: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """x, y, z as rows."""
        return np.stack([self.x, self.y, self.z], 1)


Shares = tuple[np.ndarray, np.ndarray | None]


def _plain(w: Weave, s: Scale) -> Shares:
    return np.zeros(len(w.x), np.float32), None


def _stripes(w: Weave, s: Scale) -> Shares:
    return wave(w.along, 0.8 * s.period, s.duty), None


def _wide_stripes(w: Weave, s: Scale) -> Shares:
    return wave(w.along + s.phase, 2.4 * s.period, 0.5), None


def _uneven_stripes(w: Weave, s: Scale) -> Shares:
    return wave(w.along, 2.4 * s.period, 0.45), wave(w.along + 0.3 * s.period, 2.4 * s.period, 0.14)


def _vertical(w: Weave, s: Scale) -> Shares:
    return wave(w.across + 5, 0.7 * s.period, 0.35), None


def _pinstripe(w: Weave, s: Scale) -> Shares:
    return 0.3 * wave(w.across + 5, 0.5 * s.period, 0.16), None


def _checks(w: Weave, s: Scale) -> Shares:
    return 0.5 * wave(w.along, s.period, 0.5) + 0.5 * wave(w.across + 5, s.period, 0.5), None


def _plaid(w: Weave, s: Scale) -> Shares:
    t = 0.5 * wave(w.along, 1.8 * s.period, 0.45) + 0.5 * wave(w.across + 5, 1.8 * s.period, 0.45)
    thin = np.maximum(
        wave(w.along + 0.4 * s.period, 1.8 * s.period, 0.09),
        wave(w.across + 5 + 0.4 * s.period, 1.8 * s.period, 0.09),
    )
    return t, 0.7 * thin


def _windowpane(w: Weave, s: Scale) -> Shares:
    return np.maximum(wave(w.along, 1.7 * s.period, 0.1), wave(w.across + 5, 1.7 * s.period, 0.1)), None


def _argyle(w: Weave, s: Scale) -> Shares:
    a, b = w.along / (2.4 * s.period), (w.across + 5) / (1.7 * s.period)
    t = np.abs((a % 1) - 0.5) + np.abs((b % 1) - 0.5) < 0.42
    line = (np.abs(((a + b) % 1) - 0.5) < 0.035) | (np.abs(((a - b) % 1) - 0.5) < 0.035)
    return t.astype(np.float32), 0.8 * line.astype(np.float32)


def _zigzag(w: Weave, s: Scale) -> Shares:
    tooth = np.abs(((w.across + 5) / (1.4 * s.period)) % 1 - 0.5) * s.period
    return wave(w.along + tooth, 1.5 * s.period, 0.4), None


def _dots(w: Weave, s: Scale) -> Shares:
    a, b = w.along / (0.75 * s.period), (w.across + 5) / (0.75 * s.period)
    b = b + 0.5 * (np.floor(a) % 2)
    return (((a % 1) - 0.5) ** 2 + ((b % 1) - 0.5) ** 2 < 0.03 + 0.1 * s.duty).astype(np.float32), None


def _cells(w: Weave, size: float, s: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the jittered centre of each point's cell (1 is the cell's side), and the cell's own number
    in 0..1."""
    a, b = w.along / size + s.phase, (w.across + 5) / size
    key = np.stack([np.floor(a), np.floor(b), np.full(len(a), np.floor(s.phase))], 1)
    left, up, own = grain3(key), grain3(key + 17), grain3(key + 31)
    distance = np.hypot((a % 1) - 0.3 - 0.4 * left, (b % 1) - 0.3 - 0.4 * up)
    return distance, own


def _floral(w: Weave, s: Scale) -> Shares:
    distance, own = _cells(w, 0.9 * s.period, s)
    leaf, _ = _cells(w, 0.5 * s.period, s)
    petal = (distance < 0.2 + 0.14 * own) & (own > 0.2)
    return petal.astype(np.float32), ((leaf < 0.2) & ~petal | (distance < 0.08)).astype(np.float32)


def _leopard(w: Weave, s: Scale) -> Shares:
    distance, own = _cells(w, 0.045, s)
    ring = (distance > 0.16) & (distance < 0.36) & (own > 0.15)
    return ring.astype(np.float32), None


def _camo(w: Weave, s: Scale) -> Shares:
    field = noise3(np.stack([w.x * 13, w.y * 13, w.z * 9 + 0.6 * w.u], 1) + s.phase)
    other = noise3(np.stack([w.x * 17, w.y * 17, w.z * 12 + 0.6 * w.u], 1) + 2 * s.phase)
    return (field > 0.55).astype(np.float32), (other > 0.64).astype(np.float32)


def _batik(w: Weave, s: Scale) -> Shares:
    field = noise3(np.stack([w.x * 9, w.y * 9, w.z * 9 + 0.8 * w.u], 1) + s.phase)
    return 0.6 * ramp(field, 0.35, 0.65).astype(np.float32), None


def _gradient(w: Weave, s: Scale) -> Shares:
    return ramp(w.along, 0.12, 0.12 + 5 * s.period).astype(np.float32), None


def _rib(w: Weave, s: Scale) -> Shares:
    return 0.22 * wave(w.across + 5, 0.014 + 0.1 * s.period, 0.4), None


def _cable(w: Weave, s: Scale) -> Shares:
    twist = np.abs(((w.across + 5) / s.period) % 1 - 0.5)
    swing = 0.1 * np.sin(w.along * 90 + s.phase)
    return 0.4 * (np.abs(twist + swing - 0.25) < 0.07).astype(np.float32), None


def _quilt(w: Weave, s: Scale) -> Shares:
    return 0.55 * wave(w.along, 0.055 + 0.4 * s.period, 0.09), None


def _diamond_quilt(w: Weave, s: Scale) -> Shares:
    a, b = w.along / (1.2 * s.period), (w.across + 5) / (1.2 * s.period)
    return 0.5 * ((((a + b) % 1) < 0.07) | (((a - b) % 1) < 0.07)).astype(np.float32), None


def _two_tone(w: Weave, s: Scale) -> Shares:
    return ((w.z > s.level) | (w.u > 0.75)).astype(np.float32), None


def _sleeves(w: Weave, s: Scale) -> Shares:
    return (w.u > 0.12).astype(np.float32), None


def _raglan(w: Weave, s: Scale) -> Shares:
    return ((w.u > 0.0) | (w.z > 0.60)).astype(np.float32), None


def _yoke(w: Weave, s: Scale) -> Shares:
    return ((w.z > 0.50 + 0.1 * s.duty) | ((w.u > 0) & (w.u < 0.6))).astype(np.float32), None


def _band(w: Weave, s: Scale) -> Shares:
    below = s.level - w.z
    t = (below > 0) & (below < 0.11) & (w.u < 0.1)
    edge = (np.abs(below - 0.125) < 0.012) & (w.u < 0.1)
    return t.astype(np.float32), edge.astype(np.float32)


def _halves(w: Weave, s: Scale) -> Shares:
    return ((s.side * w.x > 0) ^ (w.u > 0.9)).astype(np.float32), None


def _diagonal(w: Weave, s: Scale) -> Shares:
    return (w.z - s.level > 1.3 * s.side * w.x).astype(np.float32), None


def _panels(w: Weave, s: Scale) -> Shares:
    side = (np.abs(w.x) > 0.115 + 0.06 * s.duty) & (w.u < 0.02)
    return (side | (w.u > 1.2)).astype(np.float32), None


def _patch(w: Weave, s: Scale) -> np.ndarray:
    return (np.abs(w.x) < s.half_width) & (np.abs(w.z - s.at) < s.half_height) & (w.u < 0.1)


def _logo(w: Weave, s: Scale) -> Shares:
    inner = (np.abs(w.x) < 0.6 * s.half_width) & (np.abs(w.z - s.at) < 0.45 * s.half_height)
    on = _patch(w, s) & (w.y < 0)
    return on.astype(np.float32), (inner & on).astype(np.float32)


def _badge(w: Weave, s: Scale) -> Shares:
    on = (w.x - 0.07 * s.side) ** 2 + (w.z - 0.50) ** 2 < 0.026**2
    return (on & (w.y < 0) & (w.u < 0.1)).astype(np.float32), None


def _disc(w: Weave, s: Scale) -> Shares:
    radius = np.hypot(w.x, w.z - s.at) / (s.half_width + 0.02)
    on = (w.y < 0) & (w.u < 0.1)
    return ((radius < 1) & on).astype(np.float32), ((radius < 0.55) & on).astype(np.float32)


def _text(w: Weave, s: Scale) -> Shares:
    """Rows of blocks that look like letters from afar, on the chest or on the back."""
    front = w.y < 0 if s.number % 3 else w.y > 0
    tall = 0.028 + 0.03 * s.duty
    row, column = (w.z - s.at) / tall, w.x / (0.62 * tall)
    key = np.stack([np.floor(row * 4), np.floor(column * 3), np.full(len(row), s.phase)], 1)
    letter = (grain3(key) > 0.42) & ((row % 1) < 0.72) & ((column % 1) < 0.8)
    on = (np.abs(row) < 1 + s.number % 2) & (np.abs(w.x) < 0.06 + 0.5 * s.half_width) & front & (w.u < 0.05)
    return (letter & on).astype(np.float32), None


def _print(w: Weave, s: Scale) -> Shares:
    on = (np.abs(w.x) < 0.11) & (np.abs(w.z - s.at) < 0.11) & (w.u < 0.05)
    field = noise3(w.points * 38 + s.phase)
    return (on & (field > 0.48)).astype(np.float32), (on & (field > 0.66)).astype(np.float32)


SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")


def _number(w: Weave, s: Scale) -> Shares:
    """A player's number on the back, as a seven-segment figure, and small on the chest."""
    size = np.where(w.y > 0, 0.085, 0.04)
    a, b = w.x / (0.6 * size) * np.where(w.y > 0, -1, 1), (w.z - 0.45) / size
    thick = 0.2
    wide = np.abs(a) < 1
    lines = {
        "a": wide & (np.abs(b - 1 + thick / 2) < thick),
        "g": wide & (np.abs(b) < thick),
        "d": wide & (np.abs(b + 1 - thick / 2) < thick),
        "b": (np.abs(a - 0.85) < 1.4 * thick) & (b > 0) & (b < 1),
        "c": (np.abs(a - 0.85) < 1.4 * thick) & (b < 0) & (b > -1),
        "f": (np.abs(a + 0.85) < 1.4 * thick) & (b > 0) & (b < 1),
        "e": (np.abs(a + 0.85) < 1.4 * thick) & (b < 0) & (b > -1),
    }
    on = np.zeros(len(a), bool)
    for name in SEGMENTS[s.number]:
        on |= lines[name]
    return (on & (w.u < 0.05)).astype(np.float32), (w.u > 0.45).astype(np.float32)


PATTERNS: dict[str, Callable[[Weave, Scale], Shares]] = {
    "plain": _plain,
    "stripes": _stripes,
    "wide stripes": _wide_stripes,
    "uneven stripes": _uneven_stripes,
    "vertical": _vertical,
    "pinstripe": _pinstripe,
    "checks": _checks,
    "plaid": _plaid,
    "windowpane": _windowpane,
    "argyle": _argyle,
    "zigzag": _zigzag,
    "dots": _dots,
    "floral": _floral,
    "leopard": _leopard,
    "camo": _camo,
    "batik": _batik,
    "gradient": _gradient,
    "rib": _rib,
    "cable": _cable,
    "quilt": _quilt,
    "diamond quilt": _diamond_quilt,
    "two-tone": _two_tone,
    "sleeves": _sleeves,
    "raglan": _raglan,
    "yoke": _yoke,
    "band": _band,
    "halves": _halves,
    "diagonal": _diagonal,
    "panels": _panels,
    "logo": _logo,
    "badge": _badge,
    "disc": _disc,
    "text": _text,
    "print": _print,
    "number": _number,
}
SELF_COLOURED = ("rib", "cable", "quilt", "diamond quilt")  # the second colour is the first one's shade


def weave(points: np.ndarray, u: np.ndarray) -> Weave:
    """Points (N, 3) of the mean body with their arm coordinate, and the directions of the cloth there."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    arm = u > 0.05
    return Weave(x, y, z, u, np.where(arm, 0.28 * u, 0.63 - z), np.where(arm, y, x + 0.3 * y))


def patterned(kind: str, colours: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> Material:
    """Cloth of a kind from PATTERNS in up to three colours (linear light); `seed` decides the details."""
    base, second, third = colours
    if kind in SELF_COLOURED:
        second = (0.45 * base).astype(np.float32)
    scale, shares = draw_scale(seed), PATTERNS[kind]

    def material(p, u, offset):
        out: np.ndarray = base
        if kind != "plain":
            t, rest = shares(weave(p, u), scale)
            out = mix(base, second, t)
            if rest is not None:
                out = mix(out, third, rest)
        return out * (0.93 + 0.14 * grain3(p * 190 + offset * 9)[:, None])

    return material
