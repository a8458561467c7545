"""The baked body: a linear model of dressed-up human shape with a skeleton of 21 bones.

Units are metres; the rest pose stands with the arms hanging outward, faces -y, has its left at +x and up at
+z. `tools/bake_body.py` writes the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

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
    table = np.ascontiguousarray(np.concatenate([rotations.reshape(-1, 9), shifts], 1).T, np.float32)
    blend = np.zeros((12, len(points)), np.float32)
    for index, weight in zip(np.ascontiguousarray(bone_index.T), bone_weight.T, strict=True):
        blend += np.take(table, index, axis=1, mode="clip") * weight  # "clip" spares a pass over the indices
    moved, turned = np.empty((3, len(points)), np.float32), np.empty((3, len(points)), np.float32)
    for i in range(3):
        a, b, c = blend[3 * i : 3 * i + 3]
        moved[i] = a * points[:, 0] + b * points[:, 1] + c * points[:, 2] + blend[9 + i]
        turned[i] = a * normals[:, 0] + b * normals[:, 1] + c * normals[:, 2]
    turned /= np.sqrt(turned[0] ** 2 + turned[1] ** 2 + turned[2] ** 2) + np.float32(1e-9)
    return moved.T, turned.T


class Topology:
    """Which faces and vertices touch, sorted once so that sums over neighbours are sums over slices.

    ids (n,): the vertices that faces use, in the numbering of the given faces; faces (F, 3): the same faces,
    numbered by place in `ids`.
    """

    def __init__(self, faces: Int[np.ndarray, "f 3"]) -> None:
        self.ids, inverse = np.unique(faces, return_inverse=True)
        self.faces = inverse.reshape(-1, 3)
        self._corners = np.ascontiguousarray(self.faces.T)
        corners = self._corners.ravel()
        order = np.argsort(corners, kind="stable")
        self._face_of_corner = order % len(faces)
        self._first_corner = np.searchsorted(corners[order], np.arange(len(self.ids)))
        after, before = self.faces[:, [1, 2, 0]].T.ravel(), self.faces[:, [2, 0, 1]].T.ravel()
        self._neighbours = np.stack([after[order], before[order]], 1).ravel()
        self._degree = np.diff(np.append(2 * self._first_corner, len(self._neighbours))).astype(np.float32)

    def normals(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Area-weighted unit normals of the points with numbers `ids`."""
        corners = [[row[column] for column in self._corners] for row in np.ascontiguousarray(points.T)]
        p, q = ([row[i] - row[0] for row in corners] for i in (1, 2))
        out = np.empty((3, len(points)), np.float32)
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            face = p[j] * q[k] - p[k] * q[j]
            out[i] = np.add.reduceat(face[self._face_of_corner], self._first_corner)
        return (out / (np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2) + np.float32(1e-12))).T

    def touching(self, positive: Bool[np.ndarray, "n"]) -> Bool[np.ndarray, "f"]:
        """Which faces have a corner where `positive` holds."""
        a, b, c = (positive[column] for column in self._corners)
        return a | b | c

    def neighbour_means(self, values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Mean over the vertices that share an edge (once for each of its faces) with each vertex."""
        return np.add.reduceat(values[self._neighbours], 2 * self._first_corner) / self._degree


@cache
def shell_topology(name: str) -> Topology:
    """Topology of the faces called `name` of the baked body."""
    return Topology(load_body().faces[name])


def vertex_normals(
    points: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, "v 3"]:
    """Area-weighted unit normals; zero where no face is."""
    topology = Topology(faces)
    out = np.zeros((len(points), 3), np.float32)
    out[topology.ids] = topology.normals(points[topology.ids])
    return out
