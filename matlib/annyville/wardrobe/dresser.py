"""Layers of one person: pieces of the baked shells pushed outward and clipped, and rigid things on bones."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from ..body import BakedBody, Topology, shell_topology
from ..mesh import Layer, Mesh
from .space import HANGING, arm_coordinate


class Dresser:
    """Collects the layers of one person."""

    def __init__(self, body: BakedBody, rest: np.ndarray) -> None:
        """rest: the person's own vertices, bone heads and keypoints at rest."""
        self.body = body
        self.rest = rest[: body.vertex_count]
        self.heads = rest[body.vertex_count :][: len(body.bone_names)]
        self.canonical = body.canonical
        self.z = self.canonical[:, 2]
        self.u = arm_coordinate()
        self.one = np.ones(len(self.rest), np.float32)
        top = int(np.argmax(self.z))
        self.head_shift = self.rest[top] - self.canonical[top]  # from the mean body's head to the person's
        self.undress()

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit normals (V, 3) of the person's vertices; only who is dressed needs them."""
        out = np.zeros_like(self.rest)
        for name in ("body", "tights", "skirt"):
            topology = shell_topology(name)
            out[topology.ids] = topology.normals(self.rest[topology.ids])
        return out

    def undress(self) -> None:
        """Start again with nothing on."""
        self.meshes: list[Mesh] = []
        self.index: list[np.ndarray] = []
        self.weight: list[np.ndarray] = []

    def near(self, point: np.ndarray) -> np.ndarray:
        """Where the person has a point (3,) of the mean body: moved as the nearest vertex is."""
        vertex = int(((self.canonical - point.astype(np.float32)) ** 2).sum(1).argmin())
        return point + self.rest[vertex] - self.canonical[vertex]

    def shell(
        self,
        name: str,
        layer: Layer,
        offset: np.ndarray,
        clip: tuple[np.ndarray, np.ndarray],
        *,
        two_sided: bool = False,
        smooth: np.ndarray | None = None,
    ) -> None:
        """A layer from the faces of `name`, pushed out by `offset` (V,), kept where both of `clip` are
        positive. `smooth` (V,) in 0..1 says where the cloth does not follow the body closely (averaged in x
        and y)."""
        topology = shell_topology(name)
        ids = topology.ids
        faces = topology.faces[topology.touching(np.minimum(*clip)[ids] > 0)]
        used = np.zeros(len(ids), bool)
        used[faces] = True
        if not len(faces):
            return
        faces = (np.cumsum(used) - 1)[faces]
        points = self.rest[ids] + self.normals[ids] * offset[ids, None]
        normals = self.normals[ids]
        if smooth is not None:
            points = relax(points, topology, smooth[ids])
            normals = topology.normals(points)
        ids = ids[used]
        arm = np.full(len(ids), HANGING) if name == "skirt" else self.u[ids]
        solid = np.concatenate([self.canonical[ids], arm[:, None]], 1)
        self._add(
            Mesh(
                points[used].astype(np.float32),
                normals[used].astype(np.float32),
                faces,
                solid.astype(np.float32),
                np.stack([clip[0][ids], clip[1][ids]], 1).astype(np.float32),
                np.zeros(len(faces), np.int64),
                np.full(len(faces), two_sided),
                (layer,),
            ),
            self.body.bone_index[ids],
            self.body.bone_weight[ids],
        )

    def rigid(
        self, mesh: Mesh, weights: dict[str, np.ndarray | float], *, solid: np.ndarray | None = None
    ) -> None:
        """A mesh in rest coordinates that hangs on named bones; `solid`: its points in the mean body, if they
        matter."""
        if solid is not None:
            table = np.concatenate([solid.reshape(-1, 3), np.full((len(mesh.points), 1), -1)], 1)
            mesh = replace(mesh, solid=table.astype(np.float32))
        n = len(mesh.points)
        index = np.zeros((n, 4), np.int64)
        weight = np.zeros((n, 4), np.float32)
        for k, (bone, w) in enumerate(weights.items()):
            index[:, k], weight[:, k] = self.body.bone(bone), w
        self._add(mesh, index, weight)

    def _add(self, mesh: Mesh, index: np.ndarray, weight: np.ndarray) -> None:
        self.meshes.append(mesh)
        self.index.append(index)
        self.weight.append(weight)


def relax(points: np.ndarray, topology: Topology, amount: np.ndarray, rounds: int = 6) -> np.ndarray:
    """Laplacian smoothing in x and y only (z would make hems wavy), weighted by `amount` a vertex."""
    out = points.astype(np.float32)
    share = (0.6 * amount).astype(np.float32)
    for axis in (0, 1):
        value = np.ascontiguousarray(out[:, axis])
        for _ in range(rounds):
            value += share * (topology.neighbour_means(value) - value)
        out[:, axis] = value
    return out
