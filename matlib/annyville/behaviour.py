"""What a person does in one picture, drawn from what suits the person."""

from __future__ import annotations

import numpy as np

from .pose import Pose
from .wardrobe import Person


def draw_pose(person: Person, rng: np.random.Generator, *, standing: float = 0.2) -> Pose:
    """A moment of the person's gait, or a moment of standing about."""
    arms = person.arms
    left = right = "swing"
    if rng.random() < 0.42:
        kind = str(arms[rng.integers(len(arms))])
        if kind == "carry":
            left = right = "carry"
        elif kind == "pocket" and rng.random() < 0.5:
            left = right = "pocket"
        elif rng.random() < 0.5:
            left = kind
        else:
            right = kind
    stands = rng.random() < standing
    return Pose(
        walking=0.12 * float(rng.random()) if stands else person.gait * float(rng.uniform(0.8, 1.1)),
        phase=float(rng.random()),
        left_arm=left,
        right_arm=right,
        head_yaw=float(rng.normal(0, 16)),
        head_pitch=float(rng.normal(4, 7)) + (14 if "phone" in (left, right) else 0),
        lean=person.lean + float(rng.normal(0, 1.5)),
        splay=float(rng.uniform(0, 5)) if stands else 0.0,
        arm_spread=float(rng.uniform(5, 12)),
        twist=float(rng.normal(0, 8)) if stands else float(rng.normal(0, 2)),
    )
