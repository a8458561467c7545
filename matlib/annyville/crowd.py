"""Who else is there: passers-by, companions, and the people and things that stand in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from .behaviour import draw_pose
from .camera import FRAME_WIDTH, Camera
from .mesh import Mesh, join
from .occluders import BUILDERS, umbrella
from .pose import Pose, rz
from .season import Season
from .wardrobe import Person, Posed, make_person

PASSERS_BY = 64  # persons who only walk past or stand in the way
CHILDREN = 16  # little ones, who are led by the hand
OCCLUDER_KINDS = (
    "person",
    "group",
    "car",
    "pole",
    "tree",
    "bush",
    "wall",
    "barrier",
    "sign",
    "bin",
    "suitcase",
    "umbrella",
)
OCCLUDER_ODDS = np.array([0.34, 0.10, 0.11, 0.08, 0.06, 0.08, 0.07, 0.06, 0.05, 0.03, 0.03, 0.03])
ALIKE = 0.5  # share of occluding persons who are dressed like the target
CANDIDATES = 6  # passers-by among whom the most alike is looked for
COMPANION = 0.12  # share of persons beside whom somebody walks


class Town:
    """What the pictures of one process share: backgrounds, and persons as they are drawn from their seeds."""

    def __init__(
        self,
        background: Callable[[int], np.ndarray],
        person: Callable[[int], Person],
        cameras: tuple[Camera, ...],
    ) -> None:
        self.background, self.person, self.cameras = background, person, cameras


def make_resident(key: int, rng: np.random.Generator, likeness: float) -> Person:
    """The person with a number: -1 to -PASSERS_BY are passers-by, the CHILDREN next below little ones, all others
    identities."""
    return make_person(rng, likeness=likeness, little=-PASSERS_BY - CHILDREN <= key < -PASSERS_BY)


def draw_place(camera: Camera, rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """A point of the ground that the camera watches, in metres."""
    y = float(rng.uniform(camera.near, camera.far))
    half = 0.36 * FRAME_WIDTH / camera.focal * y
    return np.array([rng.uniform(-half, half), y, 0.0])


def draw_heading(camera: Camera, rng: np.random.Generator) -> float:
    """Degrees: mostly along one of the place's paths, sometimes anywhere."""
    if rng.random() < 0.16:
        return float(rng.uniform(0, 360))
    return float(camera.paths[rng.integers(len(camera.paths))] + rng.normal(0, 14))


def stand(person: Person, pose: Pose, heading: float, at: Float[np.ndarray, "3"]) -> Posed:
    """The person in a pose, facing `heading` degrees from the camera's side, with the feet at `at`."""
    return person.posed(pose).moved(rz(heading), at)


def clothes(person: Person) -> Float[np.ndarray, "6"]:
    """Main colours above and below the waist, as the eye weighs them."""
    wear = person.outfit
    above = wear.outer if wear.outer is not None else wear.upper
    return np.concatenate([above.cloth.colours[0], wear.lower.cloth.colours[0]]) ** (1 / 2.2)


def stranger(town: Town, rng: np.random.Generator, target: Person | None = None) -> Person:
    """A passer-by; with a target, half the time the most alike in colours of several."""
    numbers = [-1 - int(k) for k in rng.integers(PASSERS_BY, size=CANDIDATES)]
    if target is None or rng.random() >= ALIKE:
        return town.person(numbers[0])
    wanted = clothes(target)
    return min((town.person(k) for k in numbers), key=lambda p: float(np.abs(clothes(p) - wanted).sum()))


def _people(kind: str, town: Town, rng: np.random.Generator, heading: float, target: Person) -> Mesh:
    """Somebody who stands in the way: alone, in company, or under an umbrella."""
    person = stranger(town, rng, target)
    pose = draw_pose(person, rng)
    if kind == "umbrella":
        pose = replace(pose, left_arm="strap", right_arm="swing", prop="none")
    posed = stand(person, pose, heading, np.zeros(3))
    if kind == "umbrella":
        above_hand = posed.keypoints[9] + np.array([0, 0, 0.12])
        return join([posed.mesh, umbrella(rng).moved(np.eye(3), above_hand)])
    if kind == "group":
        other = stranger(town, rng)
        beside = rz(heading) @ np.array([rng.uniform(0.5, 0.75), rng.uniform(-0.2, 0.2), 0])
        return join([posed.mesh, stand(other, draw_pose(other, rng), heading, beside).mesh])
    return posed.mesh


def draw_occluder(
    kind: str, town: Town, rng: np.random.Generator, heading: float, target: Person, season: Season
) -> Mesh:
    """One of OCCLUDER_KINDS at the origin, plants as in `season`; people walk toward `heading`."""
    if kind in ("person", "group", "umbrella"):
        return _people(kind, town, rng, heading, target)
    yaw = {
        "car": 90 * rng.integers(0, 4) + rng.normal(0, 15),
        "wall": rng.normal(0, 8),
        "barrier": rng.normal(0, 14),
        "sign": rng.normal(0, 25),
    }
    return season.dressed(BUILDERS[kind](rng)).moved(rz(float(yaw.get(kind, rng.uniform(0, 360)))), np.zeros(3))


def draw_bystanders(
    town: Town, camera: Camera, at: np.ndarray, heading: float, rng: np.random.Generator, companion: float
) -> list[Mesh]:
    """Who else is near: with the probability `companion` somebody at the target's side, and passers-by behind, most
    partly in the crop."""
    out = []
    if rng.random() < companion:
        person = stranger(town, rng)
        side = float(rng.choice([-1, 1]) * rng.uniform(0.55, 0.8))
        spot = at + rz(heading) @ np.array([side, rng.uniform(-0.25, 0.25), 0])
        out.append(stand(person, draw_pose(person, rng), heading, spot).mesh)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.62, 0.28, 0.10]))):
        person = stranger(town, rng)
        behind = float(rng.uniform(0.9, 4.0))
        side = float(rng.choice([-1, 1]) * rng.uniform(0.45, 1.1))
        spot = at * (1 + behind / np.linalg.norm(at)) + np.array([side, 0, 0])
        if spot[1] < camera.wall_at - 0.8:
            out.append(stand(person, draw_pose(person, rng), draw_heading(camera, rng), spot).mesh)
    return out
