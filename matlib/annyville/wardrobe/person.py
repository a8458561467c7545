"""One identity, and how to draw one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..body import load_body, skin
from ..mesh import Layer, Mesh, join
from ..pose import Pose, pose_bones
from ..surface import surface_normals, surface_vertices
from .bags import add_bag
from .colours import UPPER_WEIGHTS, pick
from .dresser import Dresser
from .head import add_hair, add_hat
from .legs import add_shoes, add_skirt, add_tights, add_trousers
from .materials import skin_material
from .outfit import Outfit, draw_outfit
from .torso import add_jacket, add_shirt


class Posed(NamedTuple):
    """A person in a pose: the mesh, the keypoints, and the followed points of the skin with their normals."""

    mesh: Mesh
    keypoints: Float[np.ndarray, "17 3"]
    surface: Float[np.ndarray, "s 3"]
    surface_normals: Float[np.ndarray, "s 3"]

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, "3"]) -> Posed:
        """The person turned, then shifted."""
        turn, step = rotation.astype(np.float32).T, shift.astype(np.float32)
        return Posed(
            self.mesh.moved(rotation, shift),
            self.keypoints @ turn + step,
            self.surface @ turn + step,
            self.surface_normals @ turn,
        )


@dataclass(frozen=True)
class Person:
    """An identity at rest: the mesh, what binds it to the bones, and the points that are tracked."""

    mesh: Mesh
    bone_index: Int[np.ndarray, "v 4"]
    bone_weight: Float[np.ndarray, "v 4"]
    heads: Float[np.ndarray, "b 3"]
    keypoints: Float[np.ndarray, "17 3"]
    keypoint_index: Int[np.ndarray, "17 4"]
    keypoint_weight: Float[np.ndarray, "17 4"]
    surface: Float[np.ndarray, "s 3"]
    arms: tuple[str, ...]  # arm poses that suit what is carried
    gait: float
    lean: float

    def posed(self, pose: Pose) -> Posed:
        """The person in a pose, standing on z = 0 with the pelvis above the origin."""
        body = load_body()
        rotations, shifts = pose_bones(body, self.heads, pose)
        points, normals = skin(
            self.mesh.points, self.mesh.normals, self.bone_index, self.bone_weight, rotations, shifts
        )
        keys, _ = skin(
            self.keypoints,
            np.zeros_like(self.keypoints),
            self.keypoint_index,
            self.keypoint_weight,
            rotations,
            shifts,
        )
        ids = surface_vertices()
        surface, surface_turned = skin(
            self.surface, surface_normals(), body.bone_index[ids], body.bone_weight[ids], rotations, shifts
        )
        shift = np.array([-self.heads[0, 0], -self.heads[0, 1], -points[:, 2].min()], np.float32)
        mesh = replace(self.mesh, points=points + shift, normals=normals)
        return Posed(mesh, keys + shift, surface + shift, surface_turned)


def _add_skin(d: Dresser, wear: Outfit) -> None:
    """Head and neck, the arms below the sleeves, the legs below the hem; what cloth covers is left out."""
    z, u = d.z, d.u
    cover = wear.sleeve if wear.jacket not in ("open", "closed", "coat") else 1.93
    keep = np.maximum(np.where(u > cover - 0.2, 1.0, -1.0), np.where((z > 0.60) & (u < 0.1), 1.0, -1.0))
    if not wear.tights:
        above = 0.012 if wear.skirted else 0.06  # under a skirt a bent knee would push through
        keep = np.where(u < 0, np.maximum(keep, wear.leg_end + above - z), keep)
    keep = np.where(z < -0.74, -1.0, keep)
    material = skin_material(wear.tone, wear.hair, wear.lips, wear.beard)
    d.shell("body", Layer(material), 0 * d.one, (keep, d.one))


def _dress(d: Dresser, wear: Outfit, female: bool, rng: np.random.Generator) -> None:
    _add_skin(d, wear)
    if not wear.skirted:
        add_trousers(d, wear, rng)
    if wear.tights:
        add_tights(d, wear, rng)
    add_shoes(d, wear, rng)
    add_shirt(d, wear, female, rng)
    if wear.lower == "skirt":
        add_skirt(d, wear, rng)
    if wear.jacket != "none":
        add_jacket(d, wear, rng)
    add_hair(d, wear.style, wear.hair, wear.hat, rng)
    add_hat(d, wear.hat, pick(rng, UPPER_WEIGHTS))
    add_bag(d, wear.bag, wear.bag_colour, wear.side, rng)


def make_person(rng: np.random.Generator) -> Person:
    """Draw one identity. Everything that stays with a person from picture to picture is decided here."""
    body = load_body()
    chosen = int(rng.integers(len(body.coefficients)))
    noise = rng.normal(0, 0.12, body.coefficients.shape[1]).astype(np.float32)
    rest = body.shape(body.coefficients[chosen] + noise)
    female = bool(body.gender[chosen] > 0.5)
    d = Dresser(body, rest)
    wear = draw_outfit(rng, female)
    _dress(d, wear, female, rng)
    arms = ("swing",) * 5 + ("phone", "pocket", "carry", "call")
    first = body.vertex_count + len(body.bone_names)
    keys = slice(first, first + 17)
    return Person(
        mesh=join(d.meshes),
        bone_index=np.concatenate(d.index),
        bone_weight=np.concatenate(d.weight),
        heads=d.heads,
        keypoints=rest[keys],
        keypoint_index=body.bone_index[keys],
        keypoint_weight=body.bone_weight[keys],
        surface=rest[surface_vertices()],
        arms=("swing",) if wear.bag == "hand" else arms,
        gait=float(rng.uniform(0.75, 1.15)),
        lean=float(rng.uniform(-1, 5)),
    )
