"""The baked body: a linear model of dressed-up human shape with a skeleton of 21 bones.

Units are metres; the rest pose stands with the arms hanging outward, faces -y, has its left at +x and up at
+z. `tools/bake_body.py` writes the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

UNIT = 1 / 16000  # metres a step of the stored integers


@dataclass(frozen=True)
class BakedBody:
    """Arrays of the baked body; vertices of the body, the tights shell and the skirt shell share one
    numbering.

    mean (P, 3) and basis (16, P, 3) hold the V vertices, then the bone heads, then the 17 keypoints;
    bone_index and bone_weight (P, 4) bind each to the skeleton.
    """

    mean: Float[np.ndarray, "p 3"]
    basis: Float[np.ndarray, "k p 3"]
    bone_index: Int[np.ndarray, "p 4"]
    bone_weight: Float[np.ndarray, "p 4"]
    bone_names: tuple[str, ...]
    bone_parents: Int[np.ndarray, "b"]
    vertex_count: int
    faces: dict[str, Int[np.ndarray, "f 3"]]
    coefficients: Float[np.ndarray, "n k"]
    gender: Float[np.ndarray, "n"]

    def bone(self, name: str) -> int:
        """Number of the bone called `name`."""
        return self.bone_names.index(name)

    @property
    def canonical(self) -> Float[np.ndarray, "v 3"]:
        """Vertices of the mean body: the coordinates in which garments and parts are described."""
        return self.mean[: self.vertex_count]

    def canonical_head(self, name: str) -> Float[np.ndarray, "3"]:
        """Where the bone `name` starts in the mean body."""
        return self.mean[self.vertex_count + self.bone(name)]

    def shape(self, coefficients: Float[np.ndarray, "k"]) -> Float[np.ndarray, "p 3"]:
        """Vertices, bone heads and keypoints of one person at rest."""
        flat = self.basis.reshape(len(self.basis), -1)
        out = self.mean.copy().reshape(-1)
        for value, row in zip(coefficients, flat, strict=True):
            out += np.float32(value) * row
        return out.reshape(-1, 3)


@cache
def load_body() -> BakedBody:
    """The body data that ship with the package (about 1 MB; read once a process)."""
    with np.load(Path(__file__).with_name("body.npz")) as data:
        scale = data["basis_scale"][:, None, None]
        names = tuple(str(n) for n in data["bone_names"])
        weight = data["bone_weight"].astype(np.float32)
        return BakedBody(
            mean=data["mean"].astype(np.float32) * np.float32(UNIT),
            basis=data["basis"].astype(np.float32) * scale,
            bone_index=data["bone_index"].astype(np.int64),
            bone_weight=weight / weight.sum(1, keepdims=True),
            bone_names=names,
            bone_parents=data["bone_parents"].astype(np.int64),
            vertex_count=int(data["vertex_count"]),
            faces={k: data[f"{k}_faces"].astype(np.int64) for k in ("body", "tights", "skirt")},
            coefficients=data["coefficients"].astype(np.float32),
            gender=data["gender"].astype(np.float32),
        )


def skin(
    points: Float[np.ndarray, "p 3"],
    normals: Float[np.ndarray, "p 3"],
    bone_index: Int[np.ndarray, "p 4"],
    bone_weight: Float[np.ndarray, "p 4"],
    rotations: Float[np.ndarray, "b 3 3"],
    shifts: Float[np.ndarray, "b 3"],
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """Linear blend skinning: x -> sum_b w_b (R_b x + t_b), and normals by the blended rotation, made unit
    again."""
    table = np.concatenate([rotations.reshape(-1, 9), shifts], 1).astype(np.float32)
    blend = table[bone_index[:, 0]] * bone_weight[:, :1]
    for i in range(1, bone_index.shape[1]):
        blend += table[bone_index[:, i]] * bone_weight[:, i : i + 1]
    matrix = blend[:, :9].reshape(-1, 3, 3)
    moved = np.einsum("pij,pj->pi", matrix, points) + blend[:, 9:]
    turned = np.einsum("pij,pj->pi", matrix, normals)
    turned /= (np.sqrt(np.einsum("pi,pi->p", turned, turned)) + 1e-9)[:, None]
    return moved, turned


def vertex_normals(
    points: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, "v 3"]:
    """Area-weighted unit normals."""
    corner = points[faces]
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    out = np.zeros((len(points), 3))
    for axis in range(3):
        for i in range(3):
            out[:, axis] += np.bincount(faces[:, i], face[:, axis], len(points))
    return (out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12)).astype(np.float32)
