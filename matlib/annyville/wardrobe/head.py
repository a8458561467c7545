"""Hair and what is worn on the head."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, grid_surface, superquadric
from .dresser import Dresser
from .materials import hair_material, plain
from .outfit import Outfit
from .space import HEAD, ramp

HAIRLINE_Y = np.array([-0.16, -0.125, -0.095, -0.075, -0.045, -0.025, 0.0, 0.06])
HAIRLINE_Z = np.array([0.940, 0.938, 0.915, 0.885, 0.875, 0.850, 0.800, 0.775])
THICKNESS = {  # metres over the scalp
    "cropped": 0.003, "short": 0.007, "undercut": 0.014, "thick": 0.02, "bun": 0.008, "top knot": 0.008, "bob": 0.016,
    "mid": 0.014, "long": 0.012, "tail": 0.007, "braid": 0.007, "two braids": 0.008, "afro": 0.03,
}  # fmt: skip


def _cap_of_hair(d: Dresser, wear: Outfit, layer: Layer, under_hat: bool) -> None:
    """The hair that lies on the scalp."""
    y, z = d.canonical[:, 1], d.z
    style = wear.look.style
    line = np.interp(y, HAIRLINE_Y, HAIRLINE_Z) + 0.008 * wear.look.length
    if style == "undercut":
        line = np.maximum(line, 0.905)
    if wear.look.age == "elder" and not wear.look.female:
        line = line + 0.02 * ramp(-y, 0.08, 0.13)
    thick = 0.4 * THICKNESS[style] if under_hat else THICKNESS[style]
    offset = thick * (0.4 + 0.6 * ramp(z, 0.86, 0.95)) * ramp(z - line, -0.02, 0.02)
    if style == "afro" and not under_hat:
        offset = (thick + 0.03 * wear.look.length) * ramp(z - line, -0.01, 0.03)
    d.shell("body", layer, offset.astype(np.float32), (z - line, np.where((z > 0.74) & (d.u < 0), 1.0, -1.0)))


def _falling_hair(d: Dresser, wear: Outfit, layer: Layer) -> None:
    """Hair that falls past the ears or over the shoulders: a curtain around the back of the head."""
    style, length = wear.look.style, wear.look.length
    tip = {"bob": 0.785 - 0.03 * length, "mid": 0.72 - 0.03 * length, "long": 0.62 - 0.14 * length}[style]
    reach = 118 - 12 * wear.upper.trim[0]
    angle = np.radians(np.linspace(-reach, reach, 23))[None]
    t = np.linspace(0, 1, 10)[:, None]
    height = 0.955 + (tip - 0.955) * t + 0 * angle
    swell = 1.0 + (0.12 if style != "bob" else 0.2) * np.sin(np.pi * np.clip(t * 1.1, 0, 1))
    grown = 0.80 + 0.2 * ramp(t, 0, 0.25)
    back = 0.055 * ramp(0.78 - height, 0.0, 0.12)
    points = np.stack(
        [
            0.086 * swell * grown * np.sin(angle),
            -0.045 + (0.105 * swell * grown + back) * np.cos(angle),
            height,
        ],
        -1,
    )
    mesh = grid_surface(points + d.head_shift, layer, wrap=False)
    chest = (0.75 * ramp(0.76 - mesh.points[:, 2] + d.head_shift[2], 0, 0.12)).astype(np.float32)
    d.rigid(mesh, {"head": 1 - chest, "chest": chest})


def _knot(d: Dresser, wear: Outfit, layer: Layer) -> None:
    size = 0.075 + 0.025 * wear.look.length
    place = np.array([0, 0.065, 0.90]) if wear.look.style == "bun" else np.array([0, -0.01, 1.01])
    ball = superquadric((size, size, size), layer, power=1.0, columns=14, rows=9)
    d.rigid(ball.moved(np.eye(3), place + d.head_shift), {"head": 1.0})


def _strand(d: Dresser, layer: Layer, start: np.ndarray, length: float, radius: float, knots: float, side: int) -> None:
    """A tail or braid that hangs from `start`; `knots` braids it, `side` carries it outward."""
    t = np.linspace(0, 1, 14)[:, None]
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)[None]
    thick = radius * np.sin(np.pi * (0.12 + 0.8 * t)) * (1 + 0.25 * knots * np.sin(40 * t)) + 0.006
    points = np.stack(
        [
            start[0] + 0.05 * side * t + thick * np.cos(angle),
            start[1] + 0.055 * np.sin(2.2 * t) + thick * np.sin(angle),
            start[2] - length * t + 0 * angle,
        ],
        -1,
    )
    mesh = grid_surface(points + d.head_shift, layer, wrap=True)
    chest = (0.6 * ramp(0.74 - mesh.points[:, 2] + d.head_shift[2], 0, 0.15)).astype(np.float32)
    d.rigid(mesh, {"head": 1 - chest, "chest": chest})


def add_hair(d: Dresser, wear: Outfit) -> None:
    """Add the hair; a headscarf or a hood that is up hides it."""
    hooded = wear.hood()
    if wear.look.style == "bald" or wear.headwear == "headscarf" or (hooded is not None and hooded.hood == "up"):
        return
    style, length = wear.look.style, wear.look.length
    curly = 1.0 if style == "afro" else 0.6 * (wear.upper.trim[1] < 0.2)
    layer = Layer(hair_material(wear.look.hair, curly), part=HEAD, gloss=0.0 if curly > 0.5 else 0.15)
    hat = wear.headwear != "none"
    _cap_of_hair(d, wear, layer, hat)
    if style in ("bob", "mid", "long"):
        _falling_hair(d, wear, layer)
    elif style in ("bun", "top knot") and not (hat and style == "top knot"):
        _knot(d, wear, layer)
    elif style == "tail":
        _strand(d, layer, np.array([0, 0.075, 0.915]), 0.16 + 0.2 * length, 0.034, 0.0, 0)
    elif style == "braid":
        _strand(d, layer, np.array([0, 0.065, 0.86]), 0.28 + 0.16 * length, 0.026, 1.0, 0)
    elif style == "two braids":
        for side in (-1, 1):
            start = np.array([0.062 * side, 0.02, 0.83])
            _strand(d, layer, start, 0.2 + 0.14 * length, 0.022, 1.0, side)


def _headscarf(d: Dresser, layer: Layer) -> None:
    x, y, z = d.canonical.T
    face = 1 - ((x / 0.062) ** 2 + ((z - 0.865) / 0.085) ** 2)
    head = np.where((z > 0.70) & (d.u < 0), 1.0, -1.0)
    d.shell("body", layer, 0.016 + 0 * z, (np.minimum(np.where(y < -0.05, -face * 0.05, 1.0), z - 0.68), head))


def _brim(d: Dresser, layer: Layer, kind: str) -> None:
    """The peak of a cap, or a brim all around."""
    cap = kind == "cap"
    span = np.radians(np.linspace(-62, 62, 13) if cap else np.linspace(-180, 180, 25))[None]
    reach, fall = {"cap": (0.075, 0.22), "brim": (0.065, 0.22), "bucket": (0.05, 0.9)}[kind]
    grow = np.linspace(0, 1, 4)[:, None] * reach * (np.cos(span * 1.25).clip(0.12) if cap else 1.0)
    px, py = (0.088 + grow) * np.sin(span), -0.045 - (0.112 + grow) * np.cos(span)
    pz = (0.948 if cap else 0.928) - fall * grow + 0 * span
    d.rigid(grid_surface(np.stack([px, py, pz], -1) + d.head_shift, layer, wrap=False), {"head": 1.0})


def add_hat(d: Dresser, wear: Outfit) -> None:
    """Add what is worn on the head."""
    kind = wear.headwear
    hooded = wear.hood()
    if kind == "none" or (hooded is not None and hooded.hood == "up" and kind != "cap"):
        return
    knitted = kind in ("beanie", "bobble hat")
    colour = wear.hat_colour
    layer = Layer(hair_material(colour, 0.9) if knitted else plain(colour), part=HEAD, folds=0.3)
    if kind == "headscarf":
        _headscarf(d, layer)
        return
    y, z = d.canonical[:, 1], d.z
    head = np.where((z > 0.70) & (d.u < 0), 1.0, -1.0)
    slope = {"cap": 0.28, "beanie": 0.35, "bobble hat": 0.35}.get(kind, 0.0)
    edge = {"cap": 0.928, "beanie": 0.922, "bobble hat": 0.918}.get(kind, 0.925) - slope * (y + 0.045)
    puff = {"cap": 0.018, "beanie": 0.024, "bobble hat": 0.028}.get(kind, 0.022)
    offset = (puff + 0.01 * ramp(z, 0.95, 0.99)).astype(np.float32)
    d.shell("body", layer, offset, (z - edge, head))
    if kind in ("cap", "brim", "bucket"):
        _brim(d, layer, kind)
    if kind == "bobble hat":
        ball = superquadric(
            (0.075, 0.075, 0.075), Layer(hair_material(wear.prop_colour, 1.0), part=HEAD), power=1.0, columns=12, rows=8
        )
        d.rigid(ball.moved(np.eye(3), np.array([0, -0.04, 1.04]) + d.head_shift), {"head": 1.0})
