"""Bags: rounded boxes bound to the trunk, the hip or the hand. Their straps are painted on the clothes."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, Mesh, grid_surface, superquadric
from ..pose import between
from . import trims
from .dresser import Dresser
from .materials import bag_material, shopping_bag_material
from .outfit import Outfit
from .space import CARRIED

# Full extents in metres (x, y, z), and how square the edges are.
HIP_BAGS = {
    "cross-body": ((0.09, 0.22, 0.16), 0.35),
    "messenger": ((0.10, 0.36, 0.27), 0.25),
    "shoulder": ((0.11, 0.27, 0.21), 0.35),
    "tote": ((0.10, 0.34, 0.36), 0.3),
}
HAND_BAGS = {
    "hand": ((0.10, 0.28, 0.22), 0.35),
    "briefcase": ((0.08, 0.40, 0.29), 0.2),
    "shopping": ((0.13, 0.32, 0.36), 0.25),
}


def _layer(wear: Outfit) -> Layer:
    colour = wear.bag_colour
    trim = trims.shade_of(colour)
    if wear.bag in ("shopping", "tote"):
        mark = wear.prop_colour if wear.upper.trim[0] < 0.6 else trim
        return Layer(shopping_bag_material(colour, mark, wear.upper.trim[2]), part=CARRIED)
    second = wear.prop_colour if wear.upper.trim[0] < 0.3 else trim
    return Layer(bag_material(colour, second, wear.upper.trim[2]), part=CARRIED, gloss=0.1)


def _backpack(d: Dresser, wear: Outfit, layer: Layer, bulk: float) -> None:
    size = 0.8 * wear.bag_size if wear.look.age == "child" else wear.bag_size
    square = 0.3 + 0.35 * wear.upper.trim[1]
    tall = 0.36 + 0.14 * wear.upper.trim[2]
    mesh = superquadric((0.29 * size, (0.14 + 0.06 * wear.upper.trim[0]) * size, tall * size), layer, power=square)
    back = d.near(np.array([0.0, 0.08, 0.48]))
    d.rigid(mesh.moved(np.eye(3), np.array([0, back[1] + 0.07 * size + bulk, back[2]])), {"chest": 1.0})


def _hip_bag(d: Dresser, wear: Outfit, layer: Layer, bulk: float) -> None:
    extents, power = HIP_BAGS[wear.bag]
    size = tuple(wear.bag_size * e for e in extents)
    high = 0.30 if wear.bag in ("shoulder", "tote") else 0.10
    at = d.near(np.array([0.2 * wear.side, 0.0, high if wear.bag != "tote" else 0.2]))
    out = np.abs(at[0]) + size[0] / 2 + 0.012 + bulk
    place = np.array([wear.side * out, 0.03, at[2]])
    if wear.bag in ("shoulder", "tote"):
        place[0] += wear.side * 0.03
    d.rigid(superquadric(size, layer, power=power).moved(np.eye(3), place), {"belly": 0.5, "pelvis": 0.5})


def _handle(size: tuple[float, ...], layer: Layer) -> Mesh:
    """An arch over a bag, as a ribbon."""
    t = np.linspace(0, np.pi, 9)[:, None]
    width = np.array([-0.008, 0.008])[None]
    arch = [width + 0 * t, 0.28 * size[1] * np.cos(t) + 0 * width, size[2] / 2 - 0.01 + 0.11 * np.sin(t) + 0 * width]
    return grid_surface(np.stack(arch, -1), layer, wrap=False)


def _hand_bag(d: Dresser, wear: Outfit, layer: Layer) -> None:
    extents, power = HAND_BAGS[wear.bag]
    size = tuple(wear.bag_size * e for e in extents)
    name = "L" if wear.side > 0 else "R"
    wrist = d.heads[d.body.bone(f"hand.{name}")]
    down = wrist - d.heads[d.body.bone(f"forearm.{name}")]
    down = down / np.linalg.norm(down)
    turn = between(np.array([0, 0, -1.0]), down)
    drop = 0.08 + 0.10 + size[2] / 2
    for mesh in (superquadric(size, layer, power=power), _handle(size, layer)):
        d.rigid(mesh.moved(turn, wrist + drop * down), {f"hand.{name}": 1.0})


def _belt_bag(d: Dresser, wear: Outfit, layer: Layer, bulk: float) -> None:
    at = d.near(np.array([0.04, -0.15, 0.2]))
    mesh = superquadric((0.24, 0.08, 0.13), layer, power=0.5)
    d.rigid(mesh.moved(np.eye(3), np.array([0.0, at[1] - 0.03 - bulk, at[2]])), {"belly": 1.0})


def add_bag(d: Dresser, wear: Outfit) -> None:
    """Add the bag, on the left (side 1) or the right (-1)."""
    if wear.bag == "none":
        return
    layer = _layer(wear)
    bulk = wear.upper.ease + (wear.outer.ease if wear.outer is not None else 0.0)
    if wear.bag == "backpack":
        _backpack(d, wear, layer, bulk)
    elif wear.bag in HIP_BAGS:
        _hip_bag(d, wear, layer, bulk)
    elif wear.bag == "belt bag":
        _belt_bag(d, wear, layer, bulk)
    else:
        _hand_bag(d, wear, layer)
