"""Bags."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, superquadric
from ..pose import between
from .dresser import Dresser
from .materials import bag_material
from .space import CARRIED


def add_bag(d: Dresser, bag: str, colour: np.ndarray, side: int, rng: np.random.Generator) -> None:
    """Add the bag of that kind, on the left (side 1) or the right (-1)."""
    if bag == "none":
        return
    trim = 0.35 * colour if colour.mean() > 0.05 else colour + 0.12
    layer = Layer(bag_material(colour, trim), part=CARRIED, gloss=0.1)
    size = float(rng.uniform(0.85, 1.12))
    if bag == "backpack":
        back = d.rest[(np.abs(d.canonical[:, 0]) < 0.1) & (np.abs(d.canonical[:, 2] - 0.5) < 0.08), 1].max()
        mesh = superquadric((0.29 * size, 0.17 * size, 0.42 * size), layer, power=0.45)
        shift = d.rest[d.canonical[:, 2].argmax()] - d.canonical[d.canonical[:, 2].argmax()]
        d.rigid(
            mesh.moved(np.eye(3), np.array([0, back + 0.08 * size + 0.02, 0.48 + 0.6 * shift[2]])),
            {"chest": 1.0},
        )
    elif bag == "shoulder":
        mesh = superquadric((0.11 * size, 0.26 * size, 0.20 * size), layer, power=0.35)
        hip = np.abs(d.rest[(np.abs(d.canonical[:, 2] - 0.1) < 0.05) & (d.u < 0), 0]).max()
        d.rigid(mesh.moved(np.eye(3), np.array([side * (hip + 0.065), 0.03, 0.08])), {"pelvis": 1.0})
    else:
        name = "L" if side > 0 else "R"
        hand = d.body.bone(f"hand.{name}")
        fore = d.body.bone(f"forearm.{name}")
        wrist = d.heads[hand]
        down = wrist - d.heads[fore]
        down /= np.linalg.norm(down)
        turn = between(np.array([0, 0, -1.0]), down)
        mesh = superquadric((0.09 * size, 0.30 * size, 0.24 * size), layer, power=0.3)
        d.rigid(mesh.moved(turn, wrist + 0.30 * down), {f"hand.{name}": 1.0})
