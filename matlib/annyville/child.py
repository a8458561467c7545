"""A child that a person leads by the hand: who leads one, and how the two hands meet.

The child is drawn anew for every picture, whoever leads it, so that it tells nothing of who that is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from .behaviour import BOTH_ARMS
from .crowd import CHILDREN, PASSERS_BY, Town
from .pose import HAND, Pose, rz
from .wardrobe import Person, Posed
from .wardrobe.bags import HIP_BAGS
from .wardrobe.props import hand_of

LEADING = 0.06  # share of the draws in which a grown person who has a hand free leads a child
BENT = 0.8  # the child's reach against its straight arm, where the height of the other hand allows it


@dataclass(frozen=True)
class Led:
    """A child that is led. pose: the grown person's, who reaches down on `side` (1: left); child_pose: the child's but
    for its arm; forward: degrees that its arm points forward of sideways; turn: degrees between the two headings."""

    pose: Pose
    side: int
    child: Person
    child_pose: Pose
    forward: float
    turn: float


def _bone(person: Person, name: str) -> Float[np.ndarray, "3"]:
    return person.heads[person.dresser.body.bone(name)]


def _shoulder_height(person: Person) -> float:
    return float(_bone(person, "upperarm.L")[2] - person.dresser.rest[:, 2].min())


def _reach(person: Person) -> float:
    """Metres from the shoulder to the hand's middle, the arm straight."""
    shoulder, elbow, wrist = (_bone(person, f"{name}.L") for name in ("upperarm", "forearm", "hand"))
    return float(np.linalg.norm(elbow - shoulder) + HAND * np.linalg.norm(wrist - elbow))


def _free_sides(person: Person, pose: Pose) -> list[int]:
    """Sides (1: left) on which nothing is held and no bag hangs."""
    outfit = person.outfit
    if pose.prop != "none" or pose.left_arm in BOTH_ARMS or pose.right_arm in BOTH_ARMS:
        return []
    bag = outfit.changed(pose.change).side if outfit.bag in HIP_BAGS else 0
    return [side for side, arm in ((1, pose.left_arm), (-1, pose.right_arm)) if arm == "swing" and side != bag]


def draw_led(town: Town, person: Person, pose: Pose, rng: np.random.Generator, wanted: int = 0) -> Led | None:
    """Sometimes a child at the person's free hand, the one on side `wanted` if it is free; None where the person is a
    child or has no hand free."""
    sides = _free_sides(person, pose)
    if rng.random() >= LEADING or not sides or person.outfit.look.age == "child":
        return None
    side = wanted if wanted in sides else sides[int(rng.integers(len(sides)))]
    child = town.person(-PASSERS_BY - 1 - int(rng.integers(CHILDREN)))
    walking = min(pose.walking, 0.8)
    down = max(_shoulder_height(person) - _shoulder_height(child) - float(rng.uniform(0.02, 0.12)), 0.4)
    down = min(down, 0.97 * _reach(person))
    reach = (side * float(rng.uniform(0.06, 0.14)), -float(rng.uniform(0.0, 0.12)), -down)
    arms = {"left_arm" if side > 0 else "right_arm": "reach"}
    return Led(
        pose=replace(pose, walking=walking, reach=reach, **arms),
        side=side,
        child=child,
        child_pose=Pose(
            walking=0.9 * walking,
            phase=float(rng.random()),
            left_arm="swing",
            right_arm="swing",
            head_yaw=float(rng.normal(0, 18)),
            head_pitch=float(rng.normal(-4, 8)),
            lean=float(rng.normal(1, 2)),
            swing=0.8,
        ),
        forward=float(rng.uniform(15, 60)),
        turn=float(rng.normal(0, 6)),
    )


def hold_hands(person: Posed, led: Led, heading: float) -> Posed:
    """The child on the ground beside `person`, who faces `heading` degrees in the pose of `led`, with its hand in the
    person's.

    The child's arm is aimed at the height of the person's hand, and the child then put where the hands meet.
    """
    near = -led.side  # the child's arm
    meeting = hand_of(person.keypoints, led.side)
    height = meeting[2] + led.child.ground(led.child_pose)  # of the hand, before the child is brought to the ground
    rise = float(height - led.child.joints(led.child_pose)[5 if near > 0 else 6, 2])
    straight = _reach(led.child)
    away = np.sqrt(max((BENT * straight) ** 2 - rise**2, (0.25 * straight) ** 2))
    angle = np.radians(led.forward)
    reach = np.array([near * away * np.cos(angle), -away * np.sin(angle), rise])
    arm = "left_arm" if near > 0 else "right_arm"
    for _ in range(4):
        pose = replace(led.child_pose, reach=tuple(reach.tolist()), **{arm: "reach"})
        reach[2] += height - hand_of(led.child.joints(pose), near)[2]
    pose = replace(led.child_pose, reach=tuple(reach.tolist()), **{arm: "reach"})
    posed = led.child.posed(pose)
    turn = rz(heading + led.turn)
    spot = meeting - turn @ hand_of(posed.keypoints, near)
    return posed.moved(turn, np.array([spot[0], spot[1], 0.0]))
