"""What a person does in one picture, drawn from what suits the person."""

from __future__ import annotations

import numpy as np

from .pose import Pose
from .wardrobe import Person
from .wardrobe.bags import HAND_BAGS

CHANGED = 0.12  # share of pictures in which something is worn otherwise than usual
WITHOUT = 0.15  # share in which a prop was left at home
BOTH_ARMS = ("carry", "folded", "back", "push", "jog")
PROP_ARMS = {"trolley": "trolley", "shopping trolley": "trolley", "cane": "cane", "box": "carry", "pram": "push"}


def _draw_arms(person: Person, prop: str, rng: np.random.Generator) -> tuple[str, str]:
    """Arm poses, left and right."""
    side = person.outfit.side
    free = "swing"
    if rng.random() < 0.42:
        free = str(person.habits.arms[rng.integers(len(person.habits.arms))])
    alone = rng.random()
    if prop != "none":
        held = PROP_ARMS[prop]
        if held in BOTH_ARMS:
            return held, held
        free = free if free in ("phone", "call", "pocket") else "swing"
        return (held, free) if side > 0 else (free, held)
    if person.outfit.bag in HAND_BAGS:
        return ("hang", free) if side > 0 else (free, "hang")
    if free in BOTH_ARMS or (free == "pocket" and alone < 0.5):
        return free, free
    return (free, "swing") if alone < 0.5 else ("swing", free)


def draw_pose(person: Person, rng: np.random.Generator, *, standing: float = 0.2) -> Pose:
    """A moment of the person's gait, or a moment of standing about."""
    habits, outfit = person.habits, person.outfit
    prop = outfit.prop if rng.random() >= WITHOUT else "none"
    left, right = _draw_arms(person, prop, rng)
    changes = outfit.changes()
    change = ""
    if rng.random() < CHANGED and changes:
        change = changes[int(rng.integers(len(changes)))]
    stands = rng.random() < standing
    hurries = rng.random() < 0.06 and outfit.look.age != "elder" and prop == "none"
    if hurries and not stands and outfit.bag in ("none", "backpack", "belt bag"):
        left = right = "jog"
    pace = habits.gait * float(rng.uniform(0.8, 1.1)) * (1.25 if hurries else 1.0)
    down = 14 if "phone" in (left, right) else 0
    return Pose(
        walking=0.12 * float(rng.random()) if stands else pace,
        phase=float(rng.random()),
        left_arm=left,
        right_arm=right,
        head_yaw=float(rng.normal(0, 16)),
        head_pitch=float(rng.normal(4, 7)) + down,
        lean=habits.lean + float(rng.normal(0, 1.5)) + (5 if hurries else 0),
        splay=float(rng.uniform(0, 5)) if stands else 0.0,
        arm_spread=float(rng.uniform(5, 12)) + (4 if outfit.outer is not None and outfit.outer.ease > 0.025 else 0),
        twist=float(rng.normal(0, 8)) if stands else float(rng.normal(0, 2)),
        stoop=habits.stoop,
        knees=habits.knees,
        toes=habits.toes,
        swing=habits.swing,
        change=change,
        prop=prop,
    )
