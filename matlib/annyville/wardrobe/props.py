"""What is pushed, pulled or carried in both hands: placed by the hands and the ground once the pose is known."""

from __future__ import annotations

import numpy as np

from ..mesh import Layer, Mesh, box, join, lathe, superquadric
from ..pose import HAND, between
from ..textures import linear
from .materials import bag_material, plain
from .space import CARRIED

PROPS = ("none", "trolley", "shopping trolley", "box", "pram", "cane")
METAL, RUBBER = linear((120, 122, 126)), linear((30, 30, 32))
LEFT_ARM, RIGHT_ARM = (7, 9), (8, 10)  # elbow and wrist in KEYPOINT_NAMES


def _arm(keys: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The wrist, and the way to it from the elbow."""
    elbow, wrist = LEFT_ARM if side > 0 else RIGHT_ARM
    return keys[wrist], keys[wrist] - keys[elbow]


def hand_of(keys: np.ndarray, side: int) -> np.ndarray:
    """The middle of a hand: beyond the wrist, along the forearm."""
    wrist, forearm = _arm(keys, side)
    return wrist + (HAND - 1) * forearm


def _rod(start: np.ndarray, end: np.ndarray, layer: Layer, thickness: float = 0.016) -> Mesh:
    """A thin box between two points."""
    along = end - start
    length = float(np.linalg.norm(along))
    return box((thickness, thickness, length), layer).moved(between(np.array([0, 0, 1.0]), along), start)


def _wheel(at: np.ndarray, radius: float, layer: Layer) -> Mesh:
    """A wheel whose axle lies along x."""
    disc = lathe([(0.0, -0.012), (radius, -0.012), (radius, 0.012), (0.0, 0.012)], layer, columns=12)
    return disc.moved(between(np.array([0, 0, 1.0]), np.array([1.0, 0, 0])), at)


def _pulled(keys: np.ndarray, side: int, body: Layer, size: tuple[float, ...], behind: float) -> list[Mesh]:
    """A case on wheels that leans from the ground to the hand."""
    hand = hand_of(keys, side)
    wheel = np.array([hand[0] + 0.06 * side, hand[1] + behind, 0.05])
    lean = hand - wheel
    turn = between(np.array([0, 0, 1.0]), lean)
    case = superquadric(size, body, power=0.25, columns=20, rows=9).moved(
        turn, wheel + turn @ np.array([0, 0, size[2] / 2])
    )
    metal = Layer(plain(METAL), part=CARRIED, gloss=0.3)
    offset = turn @ np.array([0.07, 0, 0])
    rods = [_rod(wheel + k * offset, hand + k * offset, metal) for k in (-1, 1)]
    rubber = Layer(plain(RUBBER), part=CARRIED)
    wheels = [_wheel(wheel + np.array([k * size[0] / 2, 0, 0]), 0.05, rubber) for k in (-1, 1)]
    return [case, *rods, *wheels]


def _pram(keys: np.ndarray, body: Layer) -> list[Mesh]:
    """A pram before the person, its handle in both hands."""
    left, right = hand_of(keys, 1), hand_of(keys, -1)
    hands = (left + right) / 2
    at = np.array([hands[0], hands[1] - 0.55, 0.0])
    metal, rubber = Layer(plain(METAL), part=CARRIED, gloss=0.3), Layer(plain(RUBBER), part=CARRIED)
    bed = superquadric((0.40, 0.78, 0.26), body, power=0.45, columns=20, rows=9).moved(
        np.eye(3), at + np.array([0, 0, 0.66])
    )
    hood = superquadric((0.42, 0.42, 0.50), body, power=0.9, columns=18, rows=9).moved(
        np.eye(3), at + np.array([0, -0.2, 0.80])
    )
    corners = [at + np.array([0.22 * i, 0.30 * j, 0.13]) for i in (-1, 1) for j in (-1, 1)]
    wheels = [_wheel(c, 0.13, rubber) for c in corners]
    legs = [_rod(c, at + np.array([0.12 * np.sign(c[0] - at[0]), -0.5 * (c[1] - at[1]), 0.60]), metal) for c in corners]
    bars = [_rod(at + np.array([0.19 * k, 0.3, 0.62]), hands + np.array([0.2 * k, 0, 0]), metal, 0.02) for k in (-1, 1)]
    grip = _rod(hands - np.array([0.2, 0, 0]), hands + np.array([0.2, 0, 0]), rubber, 0.03)
    return [bed, hood, *wheels, *legs, *bars, grip]


def _carried_box(keys: np.ndarray, body: Layer, size: float) -> list[Mesh]:
    left, right = hand_of(keys, 1), hand_of(keys, -1)
    extents = (max(float(left[0] - right[0]), 0.24), 0.30 * size, 0.26 * size)
    middle = (left + right) / 2
    return [box(extents, body).moved(np.eye(3), middle + np.array([0, -0.05, -0.06]))]


def phone(keys: np.ndarray, side: int) -> Mesh:
    """A telephone in a hand."""
    layer = Layer(plain(RUBBER), part=CARRIED, gloss=0.4)
    wrist, forearm = _arm(keys, side)
    turn = between(np.array([0, 0, 1.0]), forearm)
    return box((0.07, 0.014, 0.14), layer).moved(turn, wrist + 0.2 * forearm + turn @ np.array([0, -0.03, 0]))


def prop_mesh(kind: str, keys: np.ndarray, side: int, colour: np.ndarray, size: float) -> Mesh | None:
    """The prop of a posed person, whose keypoints (17, 3) say where the hands are; None for "none"."""
    if kind == "none":
        return None
    trim = 0.4 * colour + 0.02
    body = Layer(bag_material(colour, trim, size - 0.5), part=CARRIED, gloss=0.15)
    if kind == "trolley":
        case = (0.36 * size, 0.22 * size, 0.56 * size)
        return join(_pulled(keys, side, body, case, 0.42))
    if kind == "shopping trolley":
        return join(_pulled(keys, side, body, (0.34, 0.24, 0.58), 0.34))
    if kind == "pram":
        return join(_pram(keys, body))
    if kind == "box":
        return join(_carried_box(keys, Layer(plain(linear((158, 122, 82))), part=CARRIED), size))
    hand = hand_of(keys, side)
    foot = np.array([hand[0] + 0.02 * side, hand[1] - 0.04, 0.0])
    return _rod(foot, hand, Layer(plain(linear((88, 60, 38))), part=CARRIED), 0.02)
