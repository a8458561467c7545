"""Collars, hoods and scarves: what lies around the neck."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, grid_surface
from ..textures import linear
from .dresser import Dresser
from .materials import hair_material, plain
from .space import HEAD, TORSO, ramp

NECK = np.array([0.0, -0.035, 0.70])  # centre of the neck's foot in the mean body


def _around(angles: np.ndarray, radius: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Points about the neck's axis; angle 0 is the nape, +-pi the throat."""
    return np.stack([1.05 * radius * np.sin(angles), radius * np.cos(angles), height + 0 * angles], -1)


def add_collar(d: Dresser, layer: Layer, bulk: float, width: float, *, over: bool = False) -> None:
    """A turned-down collar, open at the throat."""
    angle = np.radians(np.linspace(-165, 165, 19))[None]
    slope = 0.03 * (1 - np.cos(angle)) / 2  # the throat is lower than the nape
    rows = np.array([0.0, 0.5, 1.0])[:, None]
    stand = 0.072 + 0.4 * bulk + 0 * angle
    radius = np.where(rows < 0.6, stand, stand + width + bulk * (0 if over else 1))
    height = np.array([0.02, 0.065, 0.034])[:, None] - slope
    points = _around(angle, radius, height) + d.near(NECK)
    d.rigid(grid_surface(points, layer, wrap=False), {"chest": 0.6, "neck": 0.4}, solid=points - d.near(NECK) + NECK)


def _hood_down(d: Dresser, layer: Layer, bulk: float) -> None:
    along = np.radians(np.linspace(-150, 150, 17))[:, None]
    ring = np.linspace(0, 2 * np.pi, 8, endpoint=False)[None]
    back = (1 + np.cos(along)) / 2
    thick = 0.016 + 0.034 * back
    radius = 0.075 + bulk + 0.016 * back + thick * np.cos(ring)
    height = 0.012 + 0.03 * back - 0.03 * (1 - back) + 1.1 * thick * np.sin(ring) - 0.02 * back
    points = _around(along + 0 * ring, radius, height) + d.near(NECK)
    d.rigid(grid_surface(points, layer, wrap=True), {"chest": 1.0}, solid=points - d.near(NECK) + NECK)


def _hood_up(d: Dresser, layer: Layer, bulk: float) -> None:
    x, y, z = d.canonical.T
    opening = 1 - ((x / 0.068) ** 2 + ((z - 0.865) / 0.095) ** 2)
    keep = np.where(y < -0.06, -opening * 0.05, 1.0)
    head = np.where((z > 0.66) & (d.u < 0.02), 1.0, -1.0)
    offset = 0.024 + 0.5 * bulk + 0.012 * ramp(z, 0.9, 0.97) + 0.02 * ramp(y, -0.06, 0.02) * ramp(-z, -0.85, -0.72)
    d.shell("body", layer, offset, (np.minimum(keep, z - 0.69), head), two_sided=True)


def add_hood(d: Dresser, colour: np.ndarray, state: str, bulk: float, *, fur: bool = False) -> None:
    """A hood, up over the head or down on the shoulders; `fur` lines its edge."""
    if state == "down":
        _hood_down(d, Layer(plain(colour), part=TORSO, folds=0.6), bulk)
    else:
        _hood_up(d, Layer(plain(colour), part=HEAD, folds=0.5), bulk)
    if fur:
        layer = Layer(hair_material(linear((150, 122, 88)), 1.0), part=HEAD if state == "up" else TORSO)
        _fur_edge(d, layer, state, bulk)


def _fur_edge(d: Dresser, layer: Layer, state: str, bulk: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 17)[:, None]
    ring = np.linspace(0, 2 * np.pi, 6, endpoint=False)[None]
    thick = 0.018
    if state == "up":
        wide, tall = 0.072 + thick * np.cos(ring), 0.108 + thick * np.cos(ring)
        points = np.stack(
            [wide * np.sin(turn), -0.135 + thick * np.sin(ring) + 0 * turn, 0.862 + tall * np.cos(turn)], -1
        )
        d.rigid(grid_surface(points + d.head_shift, layer, wrap=True), {"head": 1.0})
        return
    along = np.radians(np.linspace(-140, 140, 17))[:, None]
    back = (1 + np.cos(along)) / 2
    radius = 0.10 + bulk + 0.03 * back + thick * np.cos(ring)
    points = _around(along + 0 * ring, radius, 0.035 + 0.005 * back + thick * np.sin(ring)) + d.near(NECK)
    d.rigid(grid_surface(points, layer, wrap=True), {"chest": 1.0}, solid=points - d.near(NECK) + NECK)


def add_scarf(d: Dresser, colour: np.ndarray, bulk: float, side: int) -> None:
    """A scarf wound about the neck, one end hanging on the chest."""
    layer = Layer(hair_material(colour, 0.4), part=TORSO)
    along = np.linspace(0, 2 * np.pi, 17)[:, None]
    ring = np.linspace(0, 2 * np.pi, 8, endpoint=False)[None]
    thick = 0.030
    radius = 0.082 + 0.7 * bulk + thick * np.cos(ring)
    height = 0.045 + 0.016 * np.cos(along) + 1.2 * thick * np.sin(ring)
    points = _around(along + 0 * ring, radius, height) + d.near(NECK)
    d.rigid(grid_surface(points, layer, wrap=True), {"chest": 0.5, "neck": 0.5}, solid=points - d.near(NECK) + NECK)
    rows, columns = np.linspace(0, 1, 6)[:, None], np.linspace(-0.04, 0.04, 4)[None]
    centre = np.array([0.05 * side, 0.0, 0.0])
    front = np.array([d.near(np.array([0.05 * side, -0.15, z]))[1] for z in (0.68, 0.6, 0.55, 0.5, 0.45, 0.40)])
    points = np.stack(
        [
            centre[0] + columns + 0 * rows,
            front[:, None] - 0.02 - bulk + 0 * columns,
            d.near(NECK)[2] - 0.32 * rows + 0 * columns,
        ],
        -1,
    )
    solid = points.copy()
    solid[..., 2] = NECK[2] - 0.32 * rows
    d.rigid(grid_surface(points, layer, wrap=False), {"chest": 1.0}, solid=solid)
