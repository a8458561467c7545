"""Street furniture, cars and plants: what stands in front of people, and what stands about in the background.

Every builder draws one object from a generator: it stands on z = 0 at the origin and shows its face toward
-y.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .mesh import Layer, Mesh, box, grid_surface, join, lathe, superquadric
from .pose import rz
from .season import DECIDUOUS, EVERGREEN
from .textures import linear, mix, noise3, wave


def _at(mesh: Mesh, x: float | int, y: float | int, z: float | int, yaw: float | int = 0) -> Mesh:
    return mesh.moved(rz(yaw), np.array([x, y, z]))


def _solid(srgb: tuple[int | float, ...], grain: float = 0.12, scale: float = 20.0) -> Layer:
    colour = linear(srgb)

    def material(p, u, offset):
        return colour * (1 - grain / 2 + grain * noise3(p * scale)[:, None])

    return Layer(material)


CAR_COLOURS = [
    (28, 28, 31),
    (200, 202, 205),
    (120, 124, 130),
    (225, 226, 226),
    (110, 22, 26),
    (34, 52, 98),
    (60, 74, 66),
]


GLASS, DARK = linear((46, 54, 62)), linear((22, 22, 24))


class _Car:
    """The outline of a car along its length: heights of belt line and top, at 41 stations s from -0.5 to 0.5."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.colour = linear(CAR_COLOURS[rng.integers(len(CAR_COLOURS))])
        self.length, self.width = float(rng.uniform(3.9, 4.6)), float(rng.uniform(1.68, 1.8))
        roof = float(rng.uniform(1.40, 1.58))
        self.s = s = np.linspace(-0.5, 0.5, 41)
        self.belt = 0.86 + 0.06 * np.cos(np.pi * s) - 0.10 * np.clip((np.abs(s) - 0.42) / 0.08, 0, 1) ** 2
        self.cabin = np.interp(s, [-0.5, -0.28, -0.14, 0.2, 0.36, 0.45, 0.5], [0, 0, 1, 1, 0.25, 0.02, 0])
        self.top = self.belt + (roof - self.belt) * self.cabin

    def rows(self) -> np.ndarray:
        """Points (41, 14, 3) of the lofted body, station by station."""
        nose = np.clip((0.5 - np.abs(self.s)) / 0.07, 0, 1) ** 0.5
        rows = []
        for i, x in enumerate(self.s):
            cabin, belt, top = self.cabin[i], self.belt[i], self.top[i]
            half = self.width / 2 * (0.72 + 0.28 * nose[i])
            inner = half * (1 - 0.20 * cabin)
            low = 0.22 + 0.10 * (1 - nose[i])
            z = [low, 0.45, 0.72, belt, 0.5 * (belt + top), top - 0.03 * cabin, top]
            y = [half * 0.94, half, half, half * 0.97, 0.5 * (half + inner), inner, inner * 0.82]
            left = [(x * self.length, -b, a) for a, b in zip(z, y, strict=True)]
            right = [(x * self.length, b, a) for a, b in zip(z[::-1], y[::-1], strict=True)]
            rows.append(left + right)
        return np.array(rows)

    def material(self, p: np.ndarray, u: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Paint, then glass, seams and handles, then what is at the ends."""
        sx = p[:, 0] / self.length
        cab, belt, top = (np.interp(sx, self.s, values) for values in (self.cabin, self.belt, self.top))
        side = np.abs(p[:, 1]) > self.width / 2 * 0.70
        # Paint mirrors the street below and the sky above; so does glass, in slanted patches.
        mirror = (
            0.78 + 0.34 * np.clip((p[:, 2] - 0.35) / 0.6, 0, 1) + 0.10 * noise3(p * np.array([1.7, 1.7, 5.0]))
        )
        out = (self.colour * mirror[:, None] + 0.012).astype(np.float32)
        out = self._glazed(out, p, sx, cab, side, belt, top)
        self._draw_seams(out, p, sx, cab, side, belt)
        self._draw_ends(out, p, sx)
        return out

    def _glazed(
        self, out: np.ndarray, p: np.ndarray, sx: np.ndarray, cab: np.ndarray, side: np.ndarray, belt: np.ndarray,
        top: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        patch = noise3(np.stack([p[:, 0] * 2.2 + p[:, 2] * 2.0, p[:, 1] * 1.5, p[:, 2] * 1.2], 1))
        pane_colour = mix(GLASS, linear((132, 148, 160)), np.clip(1.9 * (patch - 0.42), 0, 0.75))
        pane = (p[:, 2] > belt + 0.05) & (p[:, 2] < top - 0.08)
        post = (np.abs(sx - 0.03) < 0.011) | (np.abs(sx + 0.20) < 0.006)
        window = side & pane & (cab > 0.45) & ~post
        frame = side & (p[:, 2] > belt + 0.03) & (p[:, 2] < top - 0.06) & (cab > 0.42) & ~window
        out[frame] = DARK
        front = (cab > 0.05) & (cab < 0.95) & ~side & (p[:, 2] > belt + 0.03)
        rim = front & ((np.abs(p[:, 1]) > self.width / 2 * 0.66) | (cab < 0.10) | (cab > 0.91))
        out = np.where((window | front)[:, None], pane_colour, out)
        out[rim] = DARK
        return out

    def _draw_seams(
        self, out: np.ndarray, p: np.ndarray, sx: np.ndarray, cab: np.ndarray, side: np.ndarray, belt: np.ndarray
    ) -> None:
        out[p[:, 2] < 0.30] = DARK
        doors = (np.abs(sx - 0.03) < 0.003) | (np.abs(sx + 0.2) < 0.003) | (np.abs(sx - 0.24) < 0.003)
        bonnet = (np.abs(sx + 0.27) < 0.004) | (np.abs(sx - 0.40) < 0.004)
        out[(doors & (p[:, 2] < belt) & side) | (bonnet & (p[:, 2] > 0.6) & (cab < 0.3))] *= 0.4
        handle = (np.abs(sx - 0.0) < 0.018) | (np.abs(sx - 0.21) < 0.018)
        out[side & (np.abs(p[:, 2] - 0.74) < 0.018) & handle] = 0.35
        out[side & (np.abs(p[:, 2] - 0.48) < 0.022)] = DARK

    def _draw_ends(self, out: np.ndarray, p: np.ndarray, sx: np.ndarray) -> None:
        across, z = np.abs(p[:, 1]), p[:, 2]
        ends = np.abs(sx) > 0.452
        out[ends & (z < 0.5)] *= 0.55
        corner = ends & (across > 0.24 * self.width) & (z > 0.58) & (z < 0.76)
        out[corner & (sx < 0)] = linear((235, 235, 225))
        out[corner & (sx > 0)] = linear((170, 24, 24))
        out[ends & (sx < 0) & (across < 0.22 * self.width) & (z > 0.58) & (z < 0.70)] = DARK
        out[ends & (across < 0.26) & (z > 0.42) & (z < 0.53)] = linear((215, 215, 205))


def _tyre(p: np.ndarray, u: np.ndarray, offset: np.ndarray) -> np.ndarray:
    rim = np.hypot(p[:, 0], p[:, 1]) < 0.19
    return np.where(rim[:, None], linear((150, 152, 155)), linear((20, 20, 21)))


def _wheel(x: float, y: float) -> Mesh:
    profile = [(0.001, -0.11), (0.30, -0.11), (0.32, 0.0), (0.30, 0.11), (0.001, 0.11)]
    turn = np.array([[1, 0, 0], [0, 0, -1.0], [0, 1, 0]])
    return lathe(profile, Layer(_tyre), columns=22).moved(turn, np.array([x, y, 0.32]))


def car(rng: np.random.Generator) -> Mesh:
    """A saloon or hatchback seen from any side: lofted body, glass by height, wheels, lamps."""
    body = _Car(rng)
    rows = body.rows()
    parts = [grid_surface(rows, Layer(body.material, gloss=0.5), wrap=True)]
    for cap in (rows[0], rows[-1]):
        fan = np.stack([cap, np.tile(cap.mean(0), (len(cap), 1))])
        parts.append(grid_surface(fan, Layer(body.material, gloss=0.4), wrap=True))
    for sx in (-0.31, 0.30):
        parts += [_wheel(sx * body.length, sy * (body.width / 2 - 0.08)) for sy in (-1, 1)]
    return join(parts)


def pole(rng: np.random.Generator) -> Mesh:
    """A lamp post or pillar."""
    radius = float(rng.uniform(0.09, 0.24))
    srgb = [(116, 120, 122), (52, 62, 56), (150, 148, 140), (70, 70, 74)][rng.integers(4)]
    post = lathe(
        [(radius * 1.25, 0), (radius * 1.2, 0.25), (radius, 0.32), (radius, 3.6)], _solid(srgb), columns=22
    )
    if rng.random() < 0.35:
        sticker = linear([(190, 170, 60), (200, 200, 195), (150, 50, 50)][rng.integers(3)])
        inner = post.layers[0].material

        def material(p, u, offset):
            out = inner(p, u, offset)
            out[(np.abs(p[:, 2] - 1.25) < 0.22) & (p[:, 1] < 0)] = sticker
            return out

        post = Mesh(
            post.points,
            post.normals,
            post.faces,
            post.solid,
            post.clip,
            post.face_layer,
            post.two_sided,
            (Layer(material),),
        )
    return post


def _bark(p, u, offset):
    ridge = noise3(p * np.array([26, 26, 5]))
    return mix(linear((52, 42, 33)), linear((112, 98, 82)), ridge)


def _leaves(kind: int) -> Layer:
    """Foliage of one of GREENS, as in summer."""
    light, dark, plant = GREENS[kind]
    a, b = linear(dark), linear(light)

    def material(p, u, offset):
        t = np.clip(1.7 * noise3(p * 24) * noise3(p * 9 + 3) + 0.25 * noise3(p * 60), 0, 1)
        return mix(a, b, t)

    return Layer(material, plant=plant)


GREENS = [
    ((96, 132, 58), (24, 44, 20), DECIDUOUS),
    ((70, 112, 60), (18, 38, 24), EVERGREEN),
    ((128, 140, 66), (40, 52, 24), DECIDUOUS),
    ((140, 110, 52), (60, 44, 22), DECIDUOUS),
]


def _blob(size: tuple[float | int, ...], layer: Layer, rng: np.random.Generator, rough: float) -> Mesh:
    mesh = superquadric(size, layer, power=0.8, columns=40, rows=25)
    shift = rng.uniform(0, 60, 3)
    bump = (
        noise3(mesh.points * 5 + shift)
        + 0.6 * noise3(mesh.points * 13 + shift)
        + 0.35 * noise3(mesh.points * 30)
    )
    points = mesh.points * (1 + rough * (bump[:, None] - 0.9))
    from .body import vertex_normals

    return Mesh(
        points.astype(np.float32),
        vertex_normals(points, mesh.faces),
        mesh.faces,
        mesh.solid,
        mesh.clip,
        mesh.face_layer,
        np.ones(len(mesh.faces), bool),
        mesh.layers,
    )


def tree(rng: np.random.Generator) -> Mesh:
    """A trunk of 18-35 cm radius; the crown is above most frames."""
    r = float(rng.uniform(0.15, 0.28))
    angle = np.linspace(0, 2 * np.pi, 26, endpoint=False)
    z = np.array([0, 0.12, 0.35, 0.8, 1.4, 2.0, 2.6, 3.2])[:, None]
    wobble = 1 + 0.12 * noise3(
        np.stack([np.cos(angle) * 2 + 9, np.sin(angle) * 2 + 9, 0 * angle + rng.uniform(0, 50)], 1)
    )
    radius = r * np.array([1.6, 1.25, 1.06, 1, 0.97, 0.95, 0.95, 1.0])[:, None] * wobble
    lean = 0.05 * z * rng.uniform(-1, 1)
    trunk = grid_surface(
        np.stack([radius * np.cos(angle) + lean, radius * np.sin(angle), z + 0 * angle], -1),
        Layer(_bark),
        wrap=True,
    )
    crown = _leaves(int(rng.integers(4)))
    balls = [
        _at(
            _blob((1.7, 1.7, 1.3), crown, rng, 0.28),
            float(rng.uniform(-0.8, 0.8)),
            float(rng.uniform(-0.4, 0.4)),
            float(rng.uniform(3.0, 3.7)),
        )
        for _ in range(4)
    ]
    return join([trunk, *balls])


def bush(rng: np.random.Generator) -> Mesh:
    """Leafy balls, 0.7-1.2 m high."""
    layer = _leaves(int(rng.integers(3)))
    high = float(rng.uniform(0.75, 1.2))
    parts = [_at(_blob((1.1, 0.8, 1.25 * high), layer, rng, 0.3), 0, 0, 0.45 * high)]
    for _ in range(2):
        x = float(rng.uniform(-0.55, 0.55))
        parts.append(
            _at(
                _blob((0.8, 0.7, 0.9 * high), layer, rng, 0.3),
                x,
                float(rng.uniform(-0.15, 0.15)),
                0.35 * high,
            )
        )
    return join(parts)


def _masonry(stone: np.ndarray, mortar: np.ndarray, w: float, h: float) -> Callable:
    def material(p, u, offset):
        along = np.where(np.abs(p[:, 1]) > 0.119, p[:, 0], p[:, 1])
        row = np.floor(p[:, 2] / h)
        col = along / w + 0.5 * (row % 2)
        joint = ((p[:, 2] / h) % 1 < 0.09) | (col % 1 < 0.045)
        tone = 0.78 + 0.44 * noise3(np.stack([np.floor(col) * 7.3, row * 3.1, 0 * col], 1))
        out = stone * (tone * (0.9 + 0.2 * noise3(p * 40)))[:, None]
        out[joint] = mortar
        return out

    return material


def wall(rng: np.random.Generator) -> Mesh:
    """A low masonry wall with a coping, 0.75-1.15 m high."""
    high = float(rng.uniform(0.75, 1.15))
    kind = rng.integers(3)
    stone = linear([(138, 136, 130), (150, 92, 70), (112, 108, 104)][kind])
    body = box(
        (2.6, 0.24, high),
        Layer(_masonry(stone, 0.5 * stone + 0.08, [0.34, 0.22, 0.45][kind], [0.16, 0.075, 0.2][kind])),
    )
    return join([body, _at(box((2.66, 0.32, 0.07), _solid((160, 158, 152))), 0, 0, high)])


def barrier(rng: np.random.Generator) -> Mesh:
    """A road-works board with slanted stripes, on feet."""
    a = linear([(186, 36, 34), (226, 140, 30), (186, 36, 34)][rng.integers(3)])
    b = linear((222, 222, 218))
    high, gap = float(rng.uniform(0.65, 1.0)), float(rng.uniform(0.0, 0.16))

    def material(p, u, offset):
        out = mix(b, a, wave(p[:, 0] + 0.8 * p[:, 2] + 9, 0.44, 0.5)) * (0.82 + 0.25 * noise3(p * 9))[:, None]
        return out

    board = _at(box((1.9, 0.05, high), Layer(material)), 0, 0, gap)
    feet = [_at(box((0.12, 0.5, 0.10), _solid((40, 40, 42))), x, 0, 0) for x in (-0.8, 0.8)]
    posts = [_at(box((0.05, 0.04, high + gap), _solid((120, 120, 122))), x, 0.045, 0) for x in (-0.8, 0.8)]
    return join([board, *feet, *posts])


def sign(rng: np.random.Generator) -> Mesh:
    """A pavement board with lines of print."""
    face = linear(
        [(58, 112, 176), (36, 38, 40), (170, 60, 50), (214, 196, 120), (60, 116, 78)][rng.integers(5)]
    )
    ink = linear((230, 230, 224)) if face.mean() < 0.3 else linear((40, 36, 34))
    high, wide = float(rng.uniform(0.9, 1.25)), float(rng.uniform(0.6, 0.85))
    seed = rng.uniform(0, 60)

    def material(p, u, offset):
        out = np.tile(face, (len(p), 1)).astype(np.float32)
        line = np.floor(p[:, 2] / 0.1)
        length = 0.25 + 0.6 * noise3(np.stack([line * 5.7 + seed, 0 * line, 0 * line], 1))
        inside = (np.abs(p[:, 0]) < wide / 2 * length) & ((p[:, 2] / 0.1) % 1 < 0.45) & (p[:, 1] < 0)
        inside &= (p[:, 2] > 0.12) & (p[:, 2] < high - 0.14)
        out[inside] = ink
        edge = (np.abs(p[:, 0]) > wide / 2 - 0.025) | (p[:, 2] > high - 0.025)
        out[edge] = 0.5 * face + 0.1
        return out

    board = box((wide, 0.04, high), Layer(material, gloss=0.1))
    lean = np.radians(12)
    tilt = np.array([[1, 0, 0], [0, np.cos(lean), np.sin(lean)], [0, -np.sin(lean), np.cos(lean)]])
    back = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    return join(
        [board.moved(tilt, np.array([0, -0.2, 0.0])), board.moved(back @ rz(180), np.array([0, 0.2, 0.0]))]
    )


def bin_(rng: np.random.Generator) -> Mesh:
    """A litter bin or a wheeled bin."""
    srgb = [(40, 76, 54), (62, 64, 68), (46, 66, 104), (104, 82, 48)][rng.integers(4)]
    if rng.random() < 0.5:
        body = superquadric((0.6, 0.66, 1.0), _solid(srgb), power=0.18)
        lid = superquadric((0.66, 0.74, 0.12), _solid(tuple(0.8 * c for c in srgb)), power=0.3)
        return join([_at(body, 0, 0, 0.55), _at(lid, 0, 0, 1.08)])
    r = float(rng.uniform(0.24, 0.32))
    return lathe(
        [
            (r * 0.9, 0),
            (r, 0.08),
            (r, 0.86),
            (r * 1.08, 0.88),
            (r * 1.06, 0.97),
            (0.6 * r, 1.06),
            (0.001, 1.08),
        ],
        _solid(srgb),
    )


def suitcase(rng: np.random.Generator) -> Mesh:
    """One or two wheeled cases with pulled-out handles, piled side by side."""
    parts = []
    for i in range(int(rng.integers(1, 3))):
        colour = linear(CAR_COLOURS[rng.integers(len(CAR_COLOURS))]) * 0.8 + 0.02

        def material(p, u, offset, colour=colour):
            rib = wave(p[:, 0] + 9, 0.07, 0.18)
            return colour * (1 - 0.35 * rib)[:, None]

        high = float(rng.uniform(0.62, 0.82))
        shell = _at(
            superquadric((0.48, 0.28, high), Layer(material, gloss=0.2), power=0.22), 0, 0, 0.06 + high / 2
        )
        rods = [_at(box((0.02, 0.02, 0.34), _solid((130, 130, 132))), x, 0.06, high) for x in (-0.12, 0.12)]
        grip = _at(box((0.27, 0.03, 0.03), _solid((30, 30, 32))), 0, 0.06, high + 0.33)
        parts.append(
            _at(
                join([shell, *rods, grip]),
                0.55 * i - 0.1,
                float(rng.uniform(-0.1, 0.1)),
                0,
                float(rng.uniform(-25, 25)),
            )
        )
    return join(parts)


def umbrella(rng: np.random.Generator) -> Mesh:
    """An open umbrella with its stick, centred on the grip at the origin."""
    colour, second = (linear(CAR_COLOURS[rng.integers(len(CAR_COLOURS))]) * 0.9 + 0.02 for _ in range(2))
    two = rng.random() < 0.4

    def material(p, u, offset):
        sector = np.floor((np.arctan2(p[:, 1], p[:, 0]) / (2 * np.pi) * 8) % 8)
        return mix(colour, second if two else 0.85 * colour, sector % 2)

    t = np.linspace(0, 1, 9)[:, None]
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)[None]
    scallop = 1 - 0.06 * t * np.abs(np.sin(4 * angle)) ** 0.7
    r = 0.55 * np.sin(t * 1.35) / np.sin(1.35) * scallop
    z = 0.62 - 0.30 * (1 - np.cos(t * 1.35)) / (1 - np.cos(1.35)) + 0 * angle
    dome = grid_surface(np.stack([r * np.cos(angle), r * np.sin(angle), z], -1), Layer(material), wrap=True)
    return join([dome, _at(box((0.015, 0.015, 0.72), _solid((60, 60, 62))), 0, 0, -0.08)])


BUILDERS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "car": car,
    "pole": pole,
    "tree": tree,
    "bush": bush,
    "wall": wall,
    "barrier": barrier,
    "sign": sign,
    "bin": bin_,
    "suitcase": suitcase,
}
