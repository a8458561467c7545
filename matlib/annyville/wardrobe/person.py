"""One identity, and how to draw one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from matlib.errors import MatlibError

from ..body import BakedBody, load_body, skin
from ..mesh import Layer, Mesh, join
from ..pose import Pose, pose_bones
from ..surface import surface_normals, surface_vertices
from .bags import HAND_BAGS, add_bag
from .catalogue import OUTERS
from .dresser import Dresser
from .feet import add_shoes
from .head import add_hair, add_hat
from .legs import add_skirt, add_tights, add_trousers
from .materials import skin_material
from .neck import add_scarf
from .outfit import Outfit, draw_outfit
from .props import phone, prop_mesh
from .torso import add_outer, add_top

LIKENESS = 0.5  # share of look-alikes, unless told otherwise
CHILDREN, ELDERS = 0.05, 0.12  # shares of all identities
LITTLE = (0.82, 1.06)  # metres, of a grown body shrunk to a led child's; its head, shrunk less, adds a twelfth


class Posed(NamedTuple):
    """A person in a pose: the mesh, the keypoints, and the followed points of the skin with their normals. `own`: how
    many of the mesh's vertices, the first, are the person's and not a thing's that is pushed, pulled or held."""

    mesh: Mesh
    keypoints: Float[np.ndarray, "17 3"]
    surface: Float[np.ndarray, "s 3"]
    surface_normals: Float[np.ndarray, "s 3"]
    own: int

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, "3"]) -> Posed:
        """The person turned, then shifted."""
        turn, step = rotation.astype(np.float32).T, shift.astype(np.float32)
        return Posed(
            self.mesh.moved(rotation, shift),
            self.keypoints @ turn + step,
            self.surface @ turn + step,
            self.surface_normals @ turn,
            self.own,
        )


class Worn(NamedTuple):
    """A dressed body at rest: the mesh and what binds its vertices to the bones."""

    mesh: Mesh
    bone_index: Int[np.ndarray, "v 4"]
    bone_weight: Float[np.ndarray, "v 4"]


@dataclass(frozen=True)
class Habits:
    """How a person moves. gait: length of the stride against the usual; lean, stoop: degrees forward; arms: arm
    poses that suit what is carried; knees: degrees that the knees stay bent; toes: degrees that the feet turn out."""

    gait: float
    lean: float
    stoop: float
    knees: float
    toes: float
    swing: float
    arms: tuple[str, ...]


@dataclass(frozen=True)
class Person:
    """An identity at rest: its body, what it wears, and the points that are tracked."""

    outfit: Outfit
    habits: Habits
    dresser: Dresser
    keypoints: Float[np.ndarray, "17 3"]
    keypoint_index: Int[np.ndarray, "17 4"]
    keypoint_weight: Float[np.ndarray, "17 4"]
    surface: Float[np.ndarray, "s 3"]
    _worn: dict[str, Worn] = field(default_factory=dict)

    @property
    def heads(self) -> Float[np.ndarray, "b 3"]:
        """Where the bones start."""
        return self.dresser.heads

    @property
    def mesh(self) -> Mesh:
        """The mesh at rest, dressed as usual."""
        return self.worn("").mesh

    def joints(self, pose: Pose) -> Float[np.ndarray, "17 3"]:
        """The keypoints in a pose, not yet brought down to the ground."""
        rotations, shifts = pose_bones(load_body(), self.heads, pose)
        none = np.zeros_like(self.keypoints)
        return skin(self.keypoints, none, self.keypoint_index, self.keypoint_weight, rotations, shifts)[0]

    def ground(self, pose: Pose) -> float:
        """Height of the ground under `joints`: that of the lowest point of the shoes."""
        worn = self.worn(pose.change)
        height = worn.mesh.points[:, 2]
        low = height < height.min() + 0.2
        rotations, shifts = pose_bones(load_body(), self.heads, pose)
        bound = worn.bone_index[low], worn.bone_weight[low]
        return float(skin(worn.mesh.points[low], worn.mesh.normals[low], *bound, rotations, shifts)[0][:, 2].min())

    def worn(self, change: str) -> Worn:
        """The dressed body, with one of the outfit's changes or ("") without; made when first asked for."""
        if change not in self._worn:
            self._worn[change] = _dress(self.dresser, self.outfit.changed(change))
        return self._worn[change]

    def posed(self, pose: Pose) -> Posed:
        """The person in a pose, standing on z = 0 with the pelvis above the origin."""
        body = load_body()
        rotations, shifts = pose_bones(body, self.heads, pose)
        worn = self.worn(pose.change)
        points, normals = skin(
            worn.mesh.points, worn.mesh.normals, worn.bone_index, worn.bone_weight, rotations, shifts
        )
        keys = self.joints(pose)
        ids = surface_vertices()
        surface, surface_turned = skin(
            self.surface, surface_normals(), body.bone_index[ids], body.bone_weight[ids], rotations, shifts
        )
        shift = np.array([-self.heads[0, 0], -self.heads[0, 1], -points[:, 2].min()], np.float32)
        keys = keys + shift
        mesh = replace(worn.mesh, points=points + shift, normals=normals)
        held = self._held(pose, keys)
        return Posed(join([mesh, *held]) if held else mesh, keys, surface + shift, surface_turned, len(points))

    def _held(self, pose: Pose, keys: np.ndarray) -> list[Mesh]:
        """What is in the hands in this pose."""
        wear = self.outfit
        found = [prop_mesh(pose.prop, keys, wear.side, wear.prop_colour, wear.bag_size)]
        for arm, side in ((pose.left_arm, 1), (pose.right_arm, -1)):
            if arm in ("phone", "call"):
                found.append(phone(keys, side))
        return [mesh for mesh in found if mesh is not None]


def _skin_shown(d: Dresser, wear: Outfit) -> np.ndarray:
    """Positive on head, neck, the arms below the sleeves and the legs below the hem; what cloth covers is left out."""
    z, u = d.z, d.u
    sleeved = wear.outer is not None and not OUTERS[wear.outer.kind].sleeveless
    cover = 1.9 if sleeved else wear.upper.sleeve
    keep = np.maximum(np.where(u > cover - 0.2, 1.0, -1.0), np.where((z > 0.60) & (u < 0.1), 1.0, -1.0))
    if wear.tights is None:
        above = 0.012 if wear.skirted else 0.06  # under a skirt a bent knee would push through
        keep = np.where(u < 0, np.maximum(keep, wear.lower.hem + above - z), keep)
    sole = -0.81 if wear.shoes == "sandals" else -0.74
    return np.where(z < sole, -1.0, keep)


def _dress(d: Dresser, wear: Outfit) -> Worn:
    """Put everything on, from the skin outward."""
    d.undress()
    d.shell("body", Layer(skin_material(wear.look)), 0 * d.one, (_skin_shown(d, wear), d.one))
    if not wear.skirted:
        add_trousers(d, wear)
    add_tights(d, wear)
    add_shoes(d, wear)
    add_top(d, wear)
    if wear.skirted and not wear.dress:
        add_skirt(d, wear)
    if wear.outer is not None:
        add_outer(d, wear, wear.outer)
    if wear.scarf is not None:
        add_scarf(d, wear.scarf, wear.upper.ease + (wear.outer.ease if wear.outer else 0.0), wear.side)
    add_hair(d, wear)
    add_hat(d, wear)
    add_bag(d, wear)
    return Worn(join(d.meshes), np.concatenate(d.index), np.concatenate(d.weight))


def _child(body: BakedBody, rest: np.ndarray, size: float) -> np.ndarray:
    """A grown person's points made a child's: `size` times as large, but for the head, which has most of its size early
    (0.87 of the grown one's at half the height)."""
    weight = (np.where(body.bone_index == body.bone("head"), body.bone_weight, 0)).sum(1, keepdims=True)
    joint = rest[body.vertex_count + body.bone("head")]
    grown = rest + weight * ((0.74 + 0.26 * size) / size - 1) * (rest - joint)
    return (size * grown).astype(np.float32)


def _draw_body(rng: np.random.Generator, body: BakedBody, little: bool) -> tuple[np.ndarray, bool, str]:
    """Points at rest, whether female, and the age."""
    chosen = int(rng.integers(len(body.coefficients)))
    noise = rng.normal(0, 0.12, body.coefficients.shape[1]).astype(np.float32)
    rest = body.shape(body.coefficients[chosen] + noise)
    draw = rng.random()
    age = "child" if draw < CHILDREN else "elder" if draw > 1 - ELDERS else "adult"
    size = float(rng.uniform(0.66, 0.82))
    if little:
        age, size = "child", float(rng.uniform(*LITTLE)) / float(np.ptp(rest[: body.vertex_count, 2]))
    if age == "child":
        rest = _child(body, rest, size)
    return rest, bool(body.gender[chosen] > 0.5), age


def _draw_habits(rng: np.random.Generator, wear: Outfit) -> Habits:
    elder = wear.look.age == "elder"
    arms = ("swing",) * 6 + ("phone", "pocket", "pocket", "call", "carry", "folded", "back", "hip")
    if wear.bag in ("backpack", "shoulder", "tote"):
        arms += ("strap", "strap")
    if wear.bag in HAND_BAGS:
        arms = ("swing",) * 4 + ("phone", "call", "pocket")
    return Habits(
        gait=float(rng.uniform(0.5, 0.75) if elder else rng.uniform(0.75, 1.15)),
        lean=float(rng.uniform(-1, 5)),
        stoop=float(rng.uniform(4, 18)) if elder else float(rng.uniform(0, 3)),
        knees=float(rng.uniform(4, 12)) if elder else float(rng.uniform(0, 3)),
        toes=float(rng.uniform(2, 14)),
        swing=float(rng.uniform(0.6, 1.3)),
        arms=arms,
    )


def _unburdened(outfit: Outfit) -> Outfit:
    """Without what is cut for grown people: bags, things to push, scarves, hoods."""
    outer = None if outfit.outer is None else replace(outfit.outer, hood="none")
    return replace(
        outfit, upper=replace(outfit.upper, hood="none"), outer=outer, scarf=None, bag="none", prop="none"
    )


def make_person(rng: np.random.Generator, *, likeness: float | int = LIKENESS, little: bool = False) -> Person:
    """Draw one identity. Everything that stays with a person from picture to picture is decided here.

    little: a child small enough to be led by the hand, with nothing to carry and nothing about the neck.

    likeness: the share of identities, in [0, 1], that are dressed like others: the same kinds of garments in nearly
    the same colours, with other details; see `draw_outfit`. Raises MatlibError outside [0, 1].
    """
    if not 0 <= likeness <= 1:
        raise MatlibError(f"the likeness of persons must be between 0 and 1, not {likeness}.")
    body = load_body()
    rest, female, age = _draw_body(rng, body, little)
    outfit = draw_outfit(rng, female, age, likeness)
    if little:
        outfit = _unburdened(outfit)
    first = body.vertex_count + len(body.bone_names)
    keys = slice(first, first + 17)
    return Person(
        outfit=outfit,
        habits=_draw_habits(rng, outfit),
        dresser=Dresser(body, rest),
        keypoints=rest[keys],
        keypoint_index=body.bone_index[keys],
        keypoint_weight=body.bone_weight[keys],
        surface=rest[surface_vertices()],
    )
