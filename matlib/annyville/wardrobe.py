"""Persons: body shape, clothes, hair, hats and bags of one identity, as one mesh in the rest pose.

Clothes are MakeHuman's tights and skirt shells pushed outward; where a garment ends is a clip function of the
mean body's coordinates, interpolated a pixel at a time, so that hems and sleeves are clean lines. Colours and
patterns are functions of the same coordinates. The arm coordinate u runs 0 at the shoulder, 1 at the elbow, 2
at the wrist; it is -1 off the arms. Skin, hair and clothing draws are set by hand for variety and describe no
population.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float, Int, UInt8

from .body import BakedBody, load_body, skin, vertex_normals
from .mesh import Layer, Mesh, grid_surface, join, superquadric
from .pose import Pose, between, pose_bones
from .textures import grain3, linear, mix, noise3, wave

HEAD, CARRIED = 1, 13

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (26, 26, 29),
    "charcoal": (56, 57, 61),
    "grey": (120, 121, 124),
    "silver": (172, 173, 176),
    "white": (228, 228, 226),
    "cream": (221, 210, 186),
    "beige": (186, 164, 130),
    "brown": (98, 68, 46),
    "navy": (32, 40, 72),
    "blue": (44, 78, 150),
    "sky": (128, 168, 208),
    "teal": (30, 110, 116),
    "green": (46, 104, 62),
    "olive": (92, 94, 58),
    "mint": (158, 204, 178),
    "yellow": (218, 182, 58),
    "orange": (208, 108, 44),
    "red": (176, 38, 40),
    "burgundy": (104, 28, 44),
    "pink": (214, 146, 160),
    "purple": (96, 62, 122),
}
UPPER_WEIGHTS = dict(
    black=15,
    charcoal=10,
    grey=10,
    silver=5,
    white=13,
    cream=3,
    beige=4,
    brown=3,
    navy=9,
    blue=5,
    sky=4,
    teal=2,
    green=2,
    olive=4,
    mint=1,
    yellow=1,
    orange=1,
    red=3,
    burgundy=3,
    pink=2,
    purple=1,
)
LOWER_WEIGHTS = dict(
    black=12, charcoal=7, grey=6, white=3, beige=6, brown=3, navy=8, blue=4, olive=4, cream=2, burgundy=1
)
SHOE_WEIGHTS = dict(black=9, charcoal=3, white=8, brown=5, grey=3, navy=2, red=2, beige=2, blue=1)
BAG_WEIGHTS = dict(
    black=8, charcoal=4, navy=4, brown=4, grey=3, red=3, blue=3, olive=3, beige=2, pink=1, green=1, purple=1
)
SKIN_TONES = [(236, 196, 170), (224, 178, 148), (206, 156, 122), (176, 124, 90), (132, 88, 62), (92, 60, 44)]
HAIR_TONES = [
    (28, 23, 21),
    (44, 33, 27),
    (72, 48, 34),
    (108, 70, 42),
    (162, 122, 76),
    (140, 66, 36),
    (150, 148, 146),
]

UPPER_PATTERNS = ["plain"] * 8 + [
    "stripes",
    "stripes",
    "wide stripes",
    "checks",
    "two-tone",
    "logo",
    "print",
    "dots",
    "sleeves",
    "raglan",
    "band",
    "vertical",
]


def _pick(rng: np.random.Generator, weights: dict[str, int]) -> np.ndarray:
    names = list(weights)
    w = np.array([weights[n] for n in names], float)
    rgb = np.array(COLOURS[names[rng.choice(len(names), p=w / w.sum())]], float)
    rgb = rgb * rng.uniform(0.92, 1.08) + rng.normal(0, 3, 3)
    return linear(np.clip(rgb, 14, 240))


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
    arms: tuple[str, ...]  # arm poses that suit what is carried
    gait: float
    lean: float

    def posed(self, pose: Pose) -> tuple[Mesh, Float[np.ndarray, "17 3"]]:
        """The mesh and the keypoints in a pose, standing on z = 0 with the pelvis above the origin."""
        rotations, shifts = pose_bones(load_body(), self.heads, pose)
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
        shift = np.array([-self.heads[0, 0], -self.heads[0, 1], -points[:, 2].min()], np.float32)
        return replace(self.mesh, points=points + shift, normals=normals), keys + shift


@cache
def arm_coordinate() -> Float[np.ndarray, "v"]:
    """u of each vertex of the mean body: 0 shoulder, 1 elbow, 2 wrist along the arm, -1 elsewhere."""
    body = load_body()
    p = np.abs(body.canonical * np.array([1, 0, 0], np.float32)) + body.canonical * np.array(
        [0, 1, 1], np.float32
    )
    shoulder, elbow, wrist = (body.canonical_head(f"{n}.L") for n in ("upperarm", "forearm", "hand"))
    upper, fore = elbow - shoulder, wrist - elbow
    u1 = (p - shoulder) @ upper / (upper @ upper)
    u2 = 1 + (p - elbow) @ fore / (fore @ fore)
    u = np.where(u1 < 1, u1, np.maximum(u2, 1))
    arm = [body.bone(f"{n}.{s}") for n in ("upperarm", "forearm", "hand") for s in "LR"]
    weight = (np.isin(body.bone_index, arm) * body.bone_weight).sum(1)[: body.vertex_count]
    return np.where((weight > 0.12) & (u > -0.3), u, -1).astype(np.float32)


def body_part(solid: Float[np.ndarray, "n 4"]) -> UInt8[np.ndarray, "n"]:
    """Part of a point of the mean body, as numbered by PART_NAMES (1 head .. 12 right foot).

    What is worn has the part of the body beneath: a skirt is thighs below the groin's crease. Borders are
    planes in the mean body's space: neck, shoulder, elbow, the groin's crease, knee and ankle.
    """
    x, z, u = solid[:, 0], solid[:, 2], solid[:, 3]
    right = (x < 0).astype(np.uint8)
    part = np.full(len(solid), 2, np.uint8)
    part[z > 0.715] = HEAD
    leg = z < 0.03 + 0.75 * np.abs(x)
    part = np.where(leg, 7 + right, part)
    part = np.where(leg & (z < -0.31), 9 + right, part)
    part = np.where(leg & (z < -0.735), 11 + right, part)
    part = np.where(u > 0.14, 3 + right, part)
    return np.where(u > 1.0, 5 + right, part).astype(np.uint8)


# ---------------------------------------------------------------- materials


def _skin_material(tone: np.ndarray, hair: np.ndarray, lips: np.ndarray, beard: float) -> Callable:
    def material(p, u, offset):
        out = np.tile(tone, (len(p), 1)) * (0.94 + 0.12 * grain3(p * 70)[:, None])
        x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
        face = (y < -0.085) & (z > 0.74) & (u < 0)
        if face.any():
            brow = face & (((x - 0.034) / 0.021) ** 2 + ((z - 0.902) / 0.0055) ** 2 < 1)
            eye = face & (((x - 0.032) / 0.0155) ** 2 + ((z - 0.880) / 0.0075) ** 2 < 1)
            iris = face & (((x - 0.032) / 0.0075) ** 2 + ((z - 0.880) / 0.0075) ** 2 < 1)
            mouth = face & ((x / 0.026) ** 2 + ((z - 0.803) / 0.0085) ** 2 < 1)
            socket = face & (((x - 0.033) / 0.028) ** 2 + ((z - 0.884) / 0.018) ** 2 < 1)
            out[socket] *= 0.82
            out[brow] = 0.75 * hair + 0.1 * tone
            out[eye] = 0.62
            out[iris] = 0.03
            out[mouth] = lips
            if beard > 0:
                chin = face & (z < 0.825 + 0.5 * np.maximum(x - 0.03, 0)) & ~mouth
                chin &= ~((x < 0.014) & (z > 0.815))
                out[chin] = (1 - beard) * out[chin] + beard * hair
        return out

    return material


def _plain(colour: np.ndarray, grain: float = 0.10) -> Callable:
    def material(p, u, offset):
        return colour * (1 - grain / 2 + grain * grain3(p * 190 + offset * 9)[:, None])

    return material


def _hair_material(colour: np.ndarray) -> Callable:
    def material(p, u, offset):
        streak = noise3(np.stack([p[:, 0] * 90, p[:, 1] * 90, p[:, 2] * 14], 1))
        return colour * (0.65 + 0.75 * streak[:, None])

    return material


def _denim(colour: np.ndarray, fade: float) -> Callable:
    def material(p, u, offset):
        worn = np.exp(-(((np.abs(p[:, 0]) - 0.13) / 0.05) ** 2)) * np.exp(-(((p[:, 2] + 0.18) / 0.22) ** 2))
        seam = (np.abs(p[:, 1] + 0.01) < 0.006) * 0.15
        base = colour * (0.88 + 0.24 * grain3(p * 220 + offset * 9)[:, None])
        return mix(base, np.array([0.42, 0.48, 0.56], np.float32), fade * worn) * (1 - seam)[:, None]

    return material


def _pattern(kind: str, base: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> Callable:
    """An upper garment's colours: `kind` is one of UPPER_PATTERNS or "quilt", "zip", "checks"."""
    period = float(rng.uniform(0.045, 0.08))
    level = float(rng.uniform(0.34, 0.5))
    across = float(rng.uniform(0.05, 0.085))
    tall = float(rng.uniform(0.04, 0.09))
    at = float(rng.uniform(0.40, 0.50))

    def material(p, u, offset):
        x, y, z = p[:, 0], p[:, 1], p[:, 2]
        along = np.where(u > 0.05, 0.28 * u, 0.63 - z)
        t = np.zeros(len(p), np.float32)
        if kind == "stripes":
            t = wave(along, period, 0.42)
        elif kind == "wide stripes":
            t = wave(along, 2.6 * period, 0.5)
        elif kind == "vertical":
            t = wave(np.where(u > 0.05, y, x) + 5, 0.8 * period, 0.35)
        elif kind == "checks":
            t = 0.5 * wave(along, 1.1 * period, 0.5) + 0.5 * wave(
                np.where(u > 0.05, y, x + 0.3 * y) + 5, 1.1 * period, 0.5
            )
        elif kind == "two-tone":
            t = ((z > level) | (u > 0.75)).astype(np.float32)
        elif kind == "sleeves":
            t = (u > 0.12).astype(np.float32)
        elif kind == "raglan":
            t = ((u > 0.0) | (z > 0.60)).astype(np.float32)
        elif kind == "band":
            t = ((z < level) & (z > level - 0.11) & (u < 0.1)).astype(np.float32)
        elif kind == "logo":
            t = ((np.abs(x) < across) & (np.abs(z - at) < tall) & (y < 0)).astype(np.float32)
        elif kind == "print":
            front = (np.abs(x) < 0.11) & (np.abs(z - at) < 0.11)
            t = front * (noise3(p * 38 + 7) > 0.48).astype(np.float32)
        elif kind == "dots":
            a, b = along / (0.75 * period), np.where(u > 0.05, y, x) / (0.75 * period)
            b = b + 0.5 * (np.floor(a) % 2)
            t = (((a % 1) - 0.5) ** 2 + ((b % 1) - 0.5) ** 2 < 0.075).astype(np.float32)
        elif kind == "quilt":
            t = 0.55 * wave(along, 0.072, 0.09)
        out = mix(base, second, t) * (0.93 + 0.14 * grain3(p * 190 + offset * 9)[:, None])
        return out

    return material


def _with_straps(inner: Callable, colour: np.ndarray, kind: str, side: int) -> Callable:
    def material(p, u, offset):
        out = inner(p, u, offset)
        x, z = p[:, 0], p[:, 2]
        if kind == "backpack":
            on = (
                (np.abs(np.abs(x) - 0.105 + 0.05 * np.maximum(0.45 - z, 0)) < 0.021) & (z > 0.30) & (u < 0.14)
            )
        else:
            on = np.abs(z - 0.42 + side * 1.25 * x) < 0.03
            on &= (u < 0.14) & (z > 0.14)
        out[on] = colour
        return out

    return material


def _with_zip(inner: Callable, colour: np.ndarray, trim: np.ndarray) -> Callable:
    def material(p, u, offset):
        out = inner(p, u, offset)
        out[(np.abs(p[:, 0]) < 0.007) & (p[:, 1] < 0) & (u < 0)] = colour
        out[u > 1.86] = trim
        return out

    return material


# ---------------------------------------------------------------- layers


class _Dresser:
    """Collects the layers of one person."""

    def __init__(self, body: BakedBody, rest: np.ndarray) -> None:
        self.body = body
        self.rest = rest[: body.vertex_count]
        self.heads = rest[body.vertex_count :][: len(body.bone_names)]
        self.canonical = body.canonical
        self.u = arm_coordinate()
        self.normals = np.zeros_like(self.rest)
        for name in ("body", "tights", "skirt"):
            ids = np.unique(body.faces[name])
            self.normals[ids] = vertex_normals(self.rest, body.faces[name])[ids]
        self.meshes: list[Mesh] = []
        self.index: list[np.ndarray] = []
        self.weight: list[np.ndarray] = []

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
        faces = self.body.faces[name]
        both = np.minimum(*clip)
        faces = faces[(both[faces] > 0).any(1)]
        ids, inverse = np.unique(faces, return_inverse=True)
        faces = inverse.reshape(-1, 3)
        points = self.rest[ids] + self.normals[ids] * offset[ids, None]
        normals = self.normals[ids]
        if smooth is not None:
            points = _relax(points, faces, smooth[ids])
            normals = vertex_normals(points, faces)
        solid = np.concatenate([self.canonical[ids], self.u[ids, None]], 1)
        self._add(
            Mesh(
                points.astype(np.float32),
                normals.astype(np.float32),
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

    def rigid(self, mesh: Mesh, weights: dict[str, np.ndarray | float]) -> None:
        """A mesh in rest coordinates that hangs on named bones."""
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


def _relax(points: np.ndarray, faces: np.ndarray, amount: np.ndarray, rounds: int = 6) -> np.ndarray:
    """Laplacian smoothing in x and y only (z would make hems wavy), weighted by `amount` a vertex."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    degree = np.bincount(edges[:, 0], minlength=len(points)) + 1e-9
    out = points.copy()
    for _ in range(rounds):
        for axis in (0, 1):
            mean = np.bincount(edges[:, 0], out[edges[:, 1], axis], len(points)) / degree
            out[:, axis] += amount * 0.6 * (mean - out[:, axis])
    return out


def _ramp(x: np.ndarray, low: float | int, high: float | int) -> np.ndarray:
    return np.clip((x - low) / (high - low), 0, 1)


def _always(n: int) -> np.ndarray:
    return np.ones(n, np.float32)


TUBE = 0.15  # below this height tops hang as a tube (the skirt shell) and do not follow the legs
HAIRLINE_Y = np.array([-0.16, -0.125, -0.095, -0.075, -0.045, -0.025, 0.0, 0.06])
HAIRLINE_Z = np.array([0.940, 0.938, 0.915, 0.885, 0.875, 0.850, 0.800, 0.775])


def make_person(rng: np.random.Generator) -> Person:
    """Draw one identity. Everything that stays with a person from picture to picture is decided here."""
    body = load_body()
    pick = int(rng.integers(len(body.coefficients)))
    rest = body.shape(
        body.coefficients[pick] + rng.normal(0, 0.12, body.coefficients.shape[1]).astype(np.float32)
    )
    female = bool(body.gender[pick] > 0.5)
    d = _Dresser(body, rest)
    n = body.vertex_count
    x, y, z, u = d.canonical[:, 0], d.canonical[:, 1], d.canonical[:, 2], d.u
    one = _always(n)

    tone = linear(SKIN_TONES[rng.choice(6, p=[0.2, 0.24, 0.2, 0.14, 0.12, 0.1])]) * rng.uniform(0.92, 1.06)
    hair = linear(HAIR_TONES[rng.choice(7, p=[0.28, 0.22, 0.16, 0.12, 0.09, 0.05, 0.08])]) * rng.uniform(
        0.85, 1.15
    )

    # What is worn.
    lower = rng.choice(
        ["trousers", "slim", "wide", "shorts", "leggings", "skirt", "dress"],
        p=[0.22, 0.22, 0.12, 0.12, 0.10, 0.12, 0.10] if female else [0.38, 0.26, 0.12, 0.24, 0, 0, 0],
    )
    sleeve = float(rng.choice([0.55, 0.62, 1.2, 1.93], p=[0.3, 0.2, 0.08, 0.42]))
    jacket = rng.choice(["none", "open", "closed", "coat", "vest"], p=[0.56, 0.14, 0.14, 0.10, 0.06])
    bag = rng.choice(["none", "backpack", "shoulder", "hand"], p=[0.46, 0.24, 0.18, 0.12])
    style = rng.choice(
        ["bald", "short", "thick", "bun", "mid", "long", "tail"],
        p=[0, 0.08, 0.10, 0.18, 0.2, 0.24, 0.2] if female else [0.09, 0.52, 0.27, 0.01, 0.06, 0.02, 0.03],
    )
    hat = rng.choice(
        ["none", "cap", "beanie", "scarf", "brim"],
        p=[0.74, 0.11, 0.08, 0.04 if female else 0.0, 0.03 if female else 0.07],
    )
    side = int(rng.choice([-1, 1]))

    upper_colour, second = _pick(rng, UPPER_WEIGHTS), _pick(rng, UPPER_WEIGHTS)
    if np.abs(upper_colour - second).sum() < 0.25:
        second = linear((225, 225, 222)) if upper_colour.mean() < 0.25 else linear((40, 42, 50))
    lower_colour = _pick(rng, LOWER_WEIGHTS)
    upper_pattern = str(rng.choice(UPPER_PATTERNS))
    bag_colour = _pick(rng, BAG_WEIGHTS)

    shirt_hem = float(rng.uniform(-0.03, 0.10))
    if lower in ("skirt", "dress") or rng.random() < 0.2:
        shirt_hem = 0.17  # tucked in
    ease = float(rng.uniform(0.009, 0.016))
    loose = float(rng.uniform(0.004, 0.018)) if shirt_hem < TUBE else 0.0

    # Skin: head and neck, the arms below the sleeve, the legs below the hem.
    beard = float(rng.choice([0, 0.55, 0.85], p=[0.68, 0.2, 0.12])) if not female else 0.0
    long_leg = {
        "trousers": -0.755,
        "slim": -0.735,
        "wide": -0.775,
        "shorts": float(rng.uniform(-0.36, -0.22)),
        "leggings": -0.70,
    }
    boots = lower not in ("trousers", "wide") and bool(rng.random() < 0.2)
    top = float(rng.uniform(-0.62, -0.45)) if boots else float(rng.uniform(-0.755, -0.73))
    if boots:  # trousers go into the boots
        long_leg = {name: max(end, top - 0.02) for name, end in long_leg.items()}
    hem = {
        "skirt": float(rng.choice([-0.16, -0.3, -0.5])),
        "dress": float(rng.choice([-0.2, -0.34, -0.46])),
    }.get(lower, 0.0)
    bare_leg = long_leg.get(lower, hem)
    tights = lower in ("skirt", "dress") and rng.random() < 0.5
    cover = sleeve if jacket not in ("open", "closed", "coat") else 1.93
    skin_keep = np.maximum(np.where(u > cover - 0.2, 1.0, -1.0), np.where((z > 0.60) & (u < 0.1), 1.0, -1.0))
    if not tights:
        above = 0.06 if lower in long_leg else 0.012  # under a skirt a bent knee would push through
        skin_keep = np.where(u < 0, np.maximum(skin_keep, bare_leg + above - z), skin_keep)
    skin_keep = np.where(z < -0.74, -1.0, skin_keep)
    lips = tone * np.array([0.85, 0.55, 0.55]) if rng.random() < 0.7 else tone * np.array([0.8, 0.35, 0.38])
    d.shell("body", Layer(_skin_material(tone, hair, lips, beard)), 0 * one, (skin_keep, one))

    # Legs.
    if lower in long_leg:
        cut = {"trousers": 0.012, "slim": 0.005, "wide": 0.018, "shorts": 0.016, "leggings": 0.001}[lower]
        flare = {"trousers": 0.022, "slim": 0.006, "wide": 0.04, "shorts": 0.022, "leggings": 0.0}[lower]
        ends = -0.75 if lower != "shorts" else long_leg[lower]
        offset = cut + flare * _ramp(-z, 0.05, -ends) * (z < 0.1)
        leg_part = (np.abs(x) > 0.02) | (z > 0.02)
        offset = np.where(leg_part, offset, np.minimum(offset, 0.006))
        offset = np.minimum(offset, 0.005 + 0.3 * np.maximum(0.05 - z, 0))  # slips under the shirt
        is_denim = lower in ("trousers", "slim", "shorts") and rng.random() < 0.45
        if is_denim:
            colour = linear([(46, 62, 98), (70, 92, 134), (34, 38, 52), (112, 136, 172)][rng.integers(4)])
            material = _denim(colour, float(rng.uniform(0.1, 0.6)))
        elif lower in ("trousers", "leggings") and rng.random() < 0.3:
            stripe = _pick(rng, UPPER_WEIGHTS)
            material = _side_stripe(lower_colour, stripe)
        elif rng.random() < 0.12:
            material = _pattern("checks", lower_colour, 0.5 * lower_colour + 0.25 * second, rng)
        else:
            material = _plain(lower_colour)
        seat = _ramp(y, -0.02, 0.05) * _ramp(z, -0.16, -0.05) * _ramp(-z, -0.2, -0.1)
        d.shell(
            "tights",
            Layer(material, folds=0.5 if lower == "leggings" else 1.0),
            offset,
            (min(0.22, shirt_hem + 0.07) - z, np.minimum(z - long_leg[lower], -u)),
            smooth=0.8 * seat + 0.25 * (lower != "leggings"),
        )
    if tights:
        d.shell(
            "tights",
            Layer(_plain(_pick(rng, {"black": 5, "charcoal": 2, "navy": 1, "brown": 1}))),
            0.0 * one,
            (hem + 0.012 - z, -u),
        )

    # Feet.
    shoe = _pick(rng, dict(black=6, brown=5, charcoal=2, beige=1) if boots else SHOE_WEIGHTS)
    if not boots and bare_leg > -0.7 and not tights and rng.random() < 0.6:
        sock = linear((225, 225, 225)) if rng.random() < 0.6 else linear((40, 40, 44))
        d.shell("tights", Layer(_plain(sock)), 0.003 * one, (float(rng.uniform(-0.68, -0.58)) - z, one))
    d.shell(
        "tights",
        Layer(_shoe_material(shoe, bool(rng.random() < 0.6 and not boots))),
        0.010 + 0.006 * _ramp(-z, 0.74, 0.8),
        (top - z, one),
    )

    # Torso.
    neck_depth, neck_width = float(rng.uniform(0.0, 0.05)), float(rng.uniform(0.075, 0.095))
    if female and rng.random() < 0.4:
        neck_depth = float(rng.uniform(0.05, 0.1))
    neckline = (
        0.725
        - neck_depth
        - 0.06 * (1 - _ramp(y, -0.12, 0.0))
        - z
        + np.maximum(np.abs(x) - neck_width, 0) * 2.0
    )
    tucked = 0.5 * ease * _ramp(-z, -0.30, -0.22) * (u < 0.1) if lower == "skirt" else 0.0
    offset = (
        ease
        - tucked
        + loose * _ramp(-z, -0.42, -0.02) * (u < 0.1)
        + np.where(u > 0.1, 0.01 * _ramp(u, 0.1, sleeve) + 0.004, 0)
    )
    shirt = _pattern(upper_pattern, upper_colour, second, rng)
    if jacket == "none" and bag in ("backpack", "shoulder"):
        shirt = _with_straps(shirt, 0.6 * bag_colour, bag, side)
    drape = 0.5 * (z < 0.5) * (u < 0.1) + 0.35 * _ramp(z, 0.2, 0.5)
    shirt_layer = Layer(shirt, folds=1.0)
    trunk = max(shirt_hem, TUBE - 0.04) if lower != "dress" else 0.16
    d.shell("tights", shirt_layer, offset, (np.minimum(z - trunk, neckline), sleeve - u), smooth=drape)
    if lower == "dress":
        d.shell(
            "skirt", shirt_layer, ease + 0.002 * one, (np.minimum(z - hem, 0.23 - z), one), two_sided=True
        )
    elif shirt_hem < TUBE:
        d.shell(
            "skirt",
            shirt_layer,
            0.6 * ease + 0.5 * loose * one,
            (np.minimum(z - shirt_hem, TUBE + 0.06 - z), one),
            two_sided=True,
        )
    if lower == "skirt":
        material = (
            _plain(lower_colour)
            if rng.random() < 0.6
            else _pattern(str(rng.choice(["checks", "dots", "wide stripes"])), lower_colour, second, rng)
        )
        waist = 0.008 + (ease + 0.004) * _ramp(z, 0.06, 0.16)  # over the tucked-in top
        d.shell(
            "skirt", Layer(material, folds=1.2), waist, (np.minimum(z - hem, 0.24 - z), one), two_sided=True
        )

    if jacket != "none":
        colour = _pick(rng, UPPER_WEIGHTS)
        kind = (
            "quilt"
            if rng.random() < 0.35
            else str(rng.choice(["plain", "plain", "sleeves", "two-tone", "checks"]))
        )
        material = _pattern(kind, colour, 0.45 * colour if kind == "quilt" else second, rng)
        material = _with_zip(material, 0.35 * colour + 0.02, 0.6 * colour)
        if bag in ("backpack", "shoulder"):
            material = _with_straps(material, 0.6 * bag_colour, bag, side)
        bulk = float(rng.uniform(0.014, 0.024)) + (0.012 if kind == "quilt" else 0.0)
        long_hem = float(rng.uniform(-0.36, -0.12)) if jacket == "coat" else float(rng.uniform(0.0, 0.12))
        opening = one.copy()
        if jacket in ("open", "coat") and (jacket == "open" or rng.random() < 0.4):
            width = float(rng.uniform(0.035, 0.07))
            opening = np.where(y < -0.02, np.abs(x) - width * (1 - 0.5 * _ramp(z, 0.2, 0.6)), 1.0)
        arm = (0.16 if jacket == "vest" else 1.9) - u
        collar = 0.735 - 0.05 * (1 - _ramp(y, -0.12, 0.0)) - z
        offset = ease + bulk + 0.5 * loose * (u < 0.1) + np.where(u > 0.1, 0.004, 0)
        d.shell(
            "tights",
            Layer(material, folds=0.9),
            offset,
            (np.minimum(z - max(long_hem, TUBE - 0.05), collar), np.minimum(arm, opening)),
            two_sided=True,
            smooth=drape,
        )
        if long_hem < TUBE:
            gap = np.where(y < -0.02, np.abs(x) - 0.03, 1.0) if opening.min() < 0 else one
            d.shell(
                "skirt",
                Layer(material, folds=0.9),
                ease + bulk + 0.5 * loose + 0.006 * one,
                (np.minimum(z - long_hem, TUBE + 0.07 - z), gap),
                two_sided=True,
            )

    _add_hair(d, style, hair, hat, rng)
    _add_hat(d, hat, _pick(rng, UPPER_WEIGHTS))
    _add_bag(d, bag, bag_colour, side, rng)

    arms = ("swing",) * 5 + ("phone", "pocket", "carry", "call")
    if bag == "hand":
        arms = ("swing",)
    start = n
    return Person(
        mesh=join(d.meshes),
        bone_index=np.concatenate(d.index),
        bone_weight=np.concatenate(d.weight),
        heads=rest[start : start + len(body.bone_names)],
        keypoints=rest[start + len(body.bone_names) :][:17],
        keypoint_index=body.bone_index[start + len(body.bone_names) :][:17],
        keypoint_weight=body.bone_weight[start + len(body.bone_names) :][:17],
        arms=arms,
        gait=float(rng.uniform(0.75, 1.15)),
        lean=float(rng.uniform(-1, 5)),
    )


def _side_stripe(colour: np.ndarray, stripe: np.ndarray) -> Callable:
    def material(p, u, offset):
        out = colour * (0.94 + 0.12 * grain3(p * 190 + offset * 9)[:, None])
        axis_x = np.interp(p[:, 2], [-0.74, -0.29, 0.14], [0.193, 0.149, 0.116])
        axis_y = np.interp(p[:, 2], [-0.74, -0.29, 0.14], [-0.003, -0.034, -0.01])
        on = (np.abs(p[:, 1] - axis_y) < 0.017) & (np.abs(p[:, 0]) > axis_x)
        out[on] = stripe
        return out

    return material


def _shoe_material(colour: np.ndarray, white_sole: bool) -> Callable:
    sole = linear((222, 222, 218)) if white_sole else 0.4 * colour

    def material(p, u, offset):
        out = np.tile(colour, (len(p), 1)).astype(np.float32)
        out[p[:, 2] < -0.805] = sole
        return out

    return material


def _add_hair(d: _Dresser, style: str, colour: np.ndarray, hat: str, rng: np.random.Generator) -> None:
    y, z = d.canonical[:, 1], d.canonical[:, 2]
    if style == "bald" or hat == "scarf":
        return
    layer = Layer(_hair_material(colour), part=HEAD, gloss=0.15)
    line = np.interp(y, HAIRLINE_Y, HAIRLINE_Z) + (0.008 * rng.random())
    thick = {"short": 0.007, "thick": 0.02, "bun": 0.008, "mid": 0.014, "long": 0.012, "tail": 0.007}[style]
    offset = thick * (0.4 + 0.6 * _ramp(z, 0.86, 0.95)) * _ramp(z - line, -0.02, 0.02)
    d.shell(
        "body", layer, offset.astype(np.float32), ((z - line), np.where((z > 0.74) & (d.u < 0), 1.0, -1.0))
    )
    head = d.rest[np.argmax(z * (d.u < 0))] - d.canonical[np.argmax(z)]
    if style in ("mid", "long"):
        tip = 0.70 if style == "mid" else float(rng.uniform(0.50, 0.62))
        angle = np.radians(np.linspace(-118, 118, 23))[None]
        t = np.linspace(0, 1, 10)[:, None]
        height = 0.955 + (tip - 0.955) * t + 0 * angle
        swell = 1.0 + 0.12 * np.sin(np.pi * np.clip(t * 1.1, 0, 1))
        rx, ry = (
            0.086 * swell * (0.80 + 0.2 * _ramp(t, 0, 0.25)),
            0.105 * swell * (0.80 + 0.2 * _ramp(t, 0, 0.25)),
        )
        back = 0.055 * _ramp(0.78 - height, 0.0, 0.12)
        pts = (
            np.stack([rx * np.sin(angle), -0.045 + ry * np.cos(angle) + back * np.cos(angle), height], -1)
            + head
        )
        mesh = grid_surface(pts, layer, wrap=False)
        chest = (0.75 * _ramp(0.76 - mesh.points[:, 2] + head[2], 0, 0.12)).astype(np.float32)
        d.rigid(mesh, {"head": 1 - chest, "chest": chest})
    if style == "bun":
        size = float(rng.uniform(0.075, 0.1))
        place = np.array([0, 0.065, 0.90]) if rng.random() < 0.6 else np.array([0, 0.0, 1.01])
        d.rigid(
            superquadric((size, size, size), layer, power=1.0, columns=14, rows=9).moved(
                np.eye(3), place + head
            ),
            {"head": 1.0},
        )
    if style == "tail":
        t = np.linspace(0, 1, 8)[:, None]
        angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)[None]
        radius = 0.034 * np.sin(np.pi * (0.12 + 0.8 * t)) + 0.006
        length = float(rng.uniform(0.2, 0.34))
        pts = np.stack(
            [
                radius * np.cos(angle),
                0.075 + 0.06 * np.sin(2.2 * t) + radius * np.sin(angle),
                0.915 - length * t + 0 * angle,
            ],
            -1,
        )
        d.rigid(grid_surface(pts + head, layer, wrap=True), {"head": 1.0})


def _add_hat(d: _Dresser, hat: str, colour: np.ndarray) -> None:
    x, y, z = d.canonical[:, 0], d.canonical[:, 1], d.canonical[:, 2]
    if hat == "none":
        return
    layer = Layer(_plain(colour), part=HEAD, folds=0.3)
    head = np.where((z > 0.70) & (d.u < 0), 1.0, -1.0)
    top = d.rest[np.argmax(z)] - d.canonical[np.argmax(z)]
    if hat == "scarf":
        face = 1 - ((x / 0.062) ** 2 + ((z - 0.865) / 0.085) ** 2)
        keep = np.where(y < -0.05, -face * 0.05, 1.0)
        d.shell("body", layer, 0.016 + 0 * z, (np.minimum(keep, z - 0.68), head))
        return
    brim_z = {"cap": 0.928 - 0.28 * (y + 0.045), "beanie": 0.922 - 0.35 * (y + 0.045), "brim": 0.925 + 0 * y}[
        hat
    ]
    puff = {"cap": 0.018, "beanie": 0.024, "brim": 0.022}[hat]
    d.shell("body", layer, (puff + 0.01 * _ramp(z, 0.95, 0.99)).astype(np.float32), (z - brim_z, head))
    if hat in ("cap", "brim"):
        span = np.radians(np.linspace(-62, 62, 13) if hat == "cap" else np.linspace(-180, 180, 25))[None]
        r = np.linspace(0, 1, 4)[:, None]
        reach = 0.075 if hat == "cap" else 0.065
        grow = r * reach * (np.cos(span * 1.25).clip(0.12) if hat == "cap" else 1.0)
        px = (0.088 + grow) * np.sin(span)
        py = -0.045 - (0.112 + grow) * np.cos(span)
        pz = (0.948 if hat == "cap" else 0.928) - 0.22 * grow + 0 * span
        d.rigid(grid_surface(np.stack([px, py, pz], -1) + top, layer, wrap=False), {"head": 1.0})


def _bag_material(colour: np.ndarray, trim: np.ndarray) -> Callable:
    def material(p, u, offset):
        out = colour * (0.9 + 0.2 * grain3(p * 150)[:, None])
        out[np.abs(p[:, 2] + 0.02) < 0.007] = trim
        pocket = (np.abs(p[:, 0]) < 0.1) & (np.abs(p[:, 2] + 0.1) < 0.006)
        out[pocket] = trim
        return out

    return material


def _add_bag(d: _Dresser, bag: str, colour: np.ndarray, side: int, rng: np.random.Generator) -> None:
    if bag == "none":
        return
    trim = 0.35 * colour if colour.mean() > 0.05 else colour + 0.12
    layer = Layer(_bag_material(colour, trim), part=CARRIED, gloss=0.1)
    size = float(rng.uniform(0.85, 1.12))
    if bag == "backpack":
        back = d.rest[(np.abs(d.canonical[:, 0]) < 0.1) & (np.abs(d.canonical[:, 2] - 0.5) < 0.08), 1].max()
        mesh = superquadric((0.29 * size, 0.17 * size, 0.42 * size), layer, power=0.45)
        shift = d.rest[d.canonical[:, 2].argmax()] - d.canonical[d.canonical[:, 2].argmax()]
        d.rigid(
            mesh.moved(np.eye(3), np.array([0, back + 0.08 * size + 0.02, 0.48 + 0.6 * shift[2]])),
            {"chest": 1.0},
        )
    elif bag == "shoulder":
        mesh = superquadric((0.11 * size, 0.26 * size, 0.20 * size), layer, power=0.35)
        hip = np.abs(d.rest[(np.abs(d.canonical[:, 2] - 0.1) < 0.05) & (d.u < 0), 0]).max()
        d.rigid(mesh.moved(np.eye(3), np.array([side * (hip + 0.065), 0.03, 0.08])), {"pelvis": 1.0})
    else:
        name = "L" if side > 0 else "R"
        hand = d.body.bone(f"hand.{name}")
        fore = d.body.bone(f"forearm.{name}")
        wrist = d.heads[hand]
        down = wrist - d.heads[fore]
        down /= np.linalg.norm(down)
        turn = between(np.array([0, 0, -1.0]), down)
        mesh = superquadric((0.09 * size, 0.30 * size, 0.24 * size), layer, power=0.3)
        d.rigid(mesh.moved(turn, wrist + 0.30 * down), {f"hand.{name}": 1.0})
