"""Poses: an eight-knot gait cycle, arm variants and standing, as rotations of the 21 bones.

Limbs are aimed, not turned: each limb bone gets the smallest rotation that takes its rest direction to a
wanted direction, given in the torso's frame (-y forward, +x left, +z up).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .body import BakedBody

# Sagittal angles in degrees over one stride (at 0 this heel strikes), flexion positive; textbook gait curves.
HIP = np.array([30.0, 24.0, 8.0, -8.0, -14.0, 2.0, 26.0, 33.0])
KNEE = np.array([4.0, 17.0, 8.0, 5.0, 30.0, 60.0, 48.0, 12.0])
ANKLE = np.array([0.0, -4.0, 5.0, 10.0, -14.0, -6.0, 0.0, 2.0])

ARMS = (
    "swing", "hang", "phone", "pocket", "carry", "call", "strap", "folded", "back", "hip", "jog", "trolley", "push",
    "cane", "reach",
)  # fmt: skip


@dataclass(frozen=True)
class Pose:
    """What a person does in one picture. Angles in degrees, phase in strides."""

    walking: float  # 0 standing .. 1.2 striding out
    phase: float
    left_arm: str
    right_arm: str
    head_yaw: float = 0.0
    head_pitch: float = 0.0
    lean: float = 0.0
    splay: float = 0.0  # legs apart
    arm_spread: float = 8.0
    twist: float = 0.0  # shoulders against hips
    stoop: float = 0.0  # bent back: chest and head forward of the hips
    knees: float = 0.0  # knees that stay bent
    toes: float = 6.0  # feet turned out
    swing: float = 1.0  # of the arms, against the usual
    change: str = ""  # how the clothes are worn, see `Outfit.changed`
    prop: str = "none"  # what is pushed, pulled or carried
    reach: tuple[float, float, float] = (0.0, 0.0, 0.0)  # an arm called "reach": its hand from its shoulder, metres


HAND = 1.35  # the middle of a hand lies beyond the wrist: this many forearms from the elbow


def _cycle(knots: np.ndarray, phase: float) -> float:
    """Periodic cubic (Catmull-Rom) interpolation of a cycle's knots."""
    t = (phase % 1.0) * len(knots)
    i, f = int(t), t - int(t)
    p = knots[np.arange(i - 1, i + 3) % len(knots)]
    return float(
        p[1]
        + 0.5
        * f
        * (p[2] - p[0] + f * (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3] + f * (3 * (p[1] - p[2]) + p[3] - p[0])))
    )


def _rx(degrees: float | int) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def rz(degrees: float | int) -> Float[np.ndarray, "3 3"]:
    """Rotation about the vertical."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def between(a: Float[np.ndarray, "3"], b: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """The smallest rotation that takes direction a to direction b."""
    (ax, ay, az), (bx, by, bz) = a / math.sqrt(a @ a), b / math.sqrt(b @ b)
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + k + k @ k / max(1 + ax * bx + ay * by + az * bz, 1e-6)


def _direction(forward: float | int, outward: float | int, side: int) -> np.ndarray:
    """A hanging limb's direction, swung forward and then outward by angles in degrees."""
    f, o = np.radians(forward), np.radians(outward)
    return np.array([side * np.sin(o), -np.sin(f) * np.cos(o), -np.cos(f) * np.cos(o)])


def _arm(kind: str, pose: Pose, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions of upper arm and forearm. The arm swings against the leg of its side."""
    phase = pose.phase + (0.0 if side > 0 else 0.5)
    swing = -26 * pose.swing * pose.walking * np.cos(2 * np.pi * phase)
    spread = pose.arm_spread
    if kind == "phone":
        return _direction(22, spread, side), np.array([-0.35 * side, -0.80, 0.42])
    if kind == "call":
        return _direction(25, 55, side), np.array([-0.66 * side, -0.10, 0.74])
    if kind == "pocket":
        return _direction(-14, spread + 12, side), _direction(26, -14, side)
    if kind == "carry":
        return _direction(12, spread, side), np.array([-0.28 * side, -0.95, 0.02])
    if kind == "strap":
        return _direction(8, spread + 4, side), np.array([-0.42 * side, -0.52, 0.74])
    if kind == "folded":
        return _direction(24, spread + 2, side), np.array([-0.86 * side, -0.45, 0.08 * (1 + side)])
    if kind == "back":
        return _direction(-24, spread + 8, side), np.array([-0.62 * side, 0.30, -0.72])
    if kind == "hip":
        return _direction(-20, 42, side), np.array([-0.62 * side, -0.36, -0.70])
    if kind == "jog":
        return _direction(1.5 * swing - 8, spread, side), _direction(1.5 * swing + 78, spread - 14, side)
    if kind == "push":
        return _direction(16, spread + 4, side), np.array([-0.10 * side, -0.95, -0.22])
    if kind == "hang":
        return _direction(0.4 * swing, spread, side), _direction(0.4 * swing + 4, spread - 3, side)
    if kind == "cane":
        return _direction(10 + 0.5 * swing, spread + 6, side), _direction(30 + 0.5 * swing, spread, side)
    if kind == "trolley":
        return _direction(-22, spread + 4, side), _direction(-12, spread, side)
    bend = 14 + 10 * pose.walking + max(0.0, 0.45 * swing)
    return _direction(swing, spread, side), _direction(swing + bend, spread - 7, side)


def _legs(pose: Pose, side: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Directions of thigh and shank, and the foot's pitch."""
    phase = pose.phase + (0.0 if side > 0 else 0.5)
    gain = min(pose.walking, 1.25)
    hip = gain * _cycle(HIP, phase)
    knee = gain * _cycle(KNEE, phase) + 3 + pose.knees
    ankle = gain * _cycle(ANKLE, phase) + 0.5 * pose.knees
    hip += 0.5 * pose.knees
    splay = 2.0 + pose.splay
    return _direction(hip, splay, side), _direction(hip - knee, splay - 1, side), hip - knee + ankle


def reach_directions(
    upper: float, fore: float, target: Float[np.ndarray, "3"], side: int
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Directions of upper arm and forearm that bring the hand's middle to `target` from the shoulder.

    upper, fore: lengths to the elbow and from there to the wrist. The law of cosines gives the shoulder's angle in the
    plane through the target and a point behind, below and outside the shoulder, where elbows go. A target out of reach
    is approached as far as the arm goes.
    """
    hand = HAND * fore
    length = float(np.clip(np.linalg.norm(target), abs(upper - hand) + 1e-3, 0.995 * (upper + hand)))
    along = target / np.linalg.norm(target)
    elbow = np.array([0.5 * side, 0.6, -1.0])
    aside = elbow - (elbow @ along) * along
    cosine = (upper**2 + length**2 - hand**2) / (2 * upper * length)
    first = cosine * along + math.sqrt(max(0.0, 1 - cosine**2)) * aside / np.linalg.norm(aside)
    return first, length * along - upper * first


def pose_bones(
    body: BakedBody, heads: Float[np.ndarray, "b 3"], pose: Pose
) -> tuple[Float[np.ndarray, "b 3 3"], Float[np.ndarray, "b 3"]]:
    """Rotation and shift of each bone, so that a rest point x bound to bone b goes to R_b x + t_b.

    `heads` are the person's own bone heads at rest.
    """
    names, parents = body.bone_names, body.bone_parents
    at = {name: heads[i] for i, name in enumerate(names)}
    rotation: dict[str, np.ndarray] = {}
    sway = 4 * pose.walking * np.cos(2 * np.pi * pose.phase)
    rotation["pelvis"] = rz(-sway) @ _rx(0.3 * pose.lean)
    rotation["belly"] = rz(0.3 * pose.twist) @ _rx(0.7 * pose.lean + 0.3 * pose.stoop)
    bent = pose.lean + pose.stoop
    rotation["chest"] = rz(sway + pose.twist) @ _rx(bent)
    rotation["neck"] = rz(sway + pose.twist + 0.4 * pose.head_yaw) @ _rx(bent + 0.4 * pose.head_pitch)
    rotation["head"] = rz(pose.twist + pose.head_yaw) @ _rx(0.6 * pose.lean + 0.3 * pose.stoop + pose.head_pitch)
    for letter, side in (("L", 1), ("R", -1)):
        chest = rotation["chest"]
        rotation[f"clavicle.{letter}"] = chest
        rest_upper = at[f"forearm.{letter}"] - at[f"upperarm.{letter}"]
        rest_fore = at[f"hand.{letter}"] - at[f"forearm.{letter}"]
        arm = pose.left_arm if side > 0 else pose.right_arm
        if arm == "reach":
            lengths = float(np.linalg.norm(rest_upper)), float(np.linalg.norm(rest_fore))
            upper, fore = reach_directions(*lengths, chest.T @ np.array(pose.reach), side)
        else:
            upper, fore = _arm(arm, pose, side)
        first = between(rest_upper, upper)
        rotation[f"upperarm.{letter}"] = chest @ first
        rotation[f"forearm.{letter}"] = chest @ between(first @ rest_fore, fore) @ first
        rotation[f"hand.{letter}"] = rotation[f"forearm.{letter}"]
        thigh, shank, pitch = _legs(pose, side)
        rest_thigh = at[f"shank.{letter}"] - at[f"thigh.{letter}"]
        rest_shank = at[f"foot.{letter}"] - at[f"shank.{letter}"]
        first = between(rest_thigh, thigh)
        rotation[f"thigh.{letter}"] = first
        rotation[f"shank.{letter}"] = between(first @ rest_shank, shank) @ first
        rotation[f"foot.{letter}"] = _rx(-pitch) @ rz(pose.toes * side)
        toe = -max(0.0, -pitch - 12)
        rotation[f"toes.{letter}"] = _rx(0.85 * toe) @ rotation[f"foot.{letter}"]
    rotations = np.stack([rotation[name] for name in names])
    shifts = np.zeros((len(names), 3))
    for i, parent in enumerate(parents):
        head = heads[i]
        place = rotations[parent] @ head + shifts[parent] if parent >= 0 else head
        shifts[i] = place - rotations[i] @ head
    return rotations, shifts
