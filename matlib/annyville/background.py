"""The empty view of each camera: ground, walls and sky by ray casting, with street furniture standing about.

Stored as gamma-2.2 bytes before the sensor's own colours are applied, so that persons can be lit into it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from .camera import FRAME_HEIGHT, FRAME_WIDTH, Camera
from .mesh import Mesh, join
from .occluders import BUILDERS
from .pose import rz
from .raster import rasterize
from .season import GRASS, HEDGE
from .shading import shade, sun_colour
from .textures import linear, mix, noise2

def _speckle(x: np.ndarray, y: np.ndarray, far: np.ndarray, layer: int) -> np.ndarray:
    fine = noise2(x * 60, y * 60, layer) - 0.5
    middle = noise2(x * 11, y * 11, layer + 1) - 0.5
    coarse = noise2(x * 0.8 + 5, y * 0.8, layer + 2) - 0.5
    return fine * np.clip(1.3 - far / 9, 0, 1) + middle * np.clip(1.5 - far / 20, 0, 1) * 0.7 + coarse


def _joint(x: np.ndarray, period: float, width: float, far: np.ndarray) -> np.ndarray:
    """Coverage of joints of the given width, widened and thinned with the distance so that they do not
    flicker."""
    wide = np.maximum(width, 0.0022 * far)
    d = np.abs((x / period + 0.5) % 1.0 - 0.5) * period
    return np.clip((wide - d) / wide * 2, 0, 1) * (width / wide)


def _grain(x: np.ndarray, y: np.ndarray, far: np.ndarray, layer: int) -> Float[np.ndarray, "n 1"]:
    return _speckle(x, y, far, layer)[:, None]


def _fade(far: np.ndarray) -> np.ndarray:
    """Strength of what can be made out on the ground at a distance."""
    return np.clip(1.4 - far / 18, 0.15, 1)


# ---------------------------------------------------------------- grounds: linear colours of points x, y


def _slabs(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    tone = noise2(np.floor(x / 1.2) * 3.3, np.floor(y / 1.2) * 7.7, 9) - 0.5
    base = linear((164, 162, 156)) * (1 + 0.16 * tone[:, None] * _fade(far)[:, None] + 0.16 * _grain(x, y, far, 3))
    t = np.maximum(_joint(x, 1.2, 0.014, far), _joint(y, 1.2, 0.014, far))
    return mix(base, linear((96, 94, 90)), t)


def _brick(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    row = np.floor(y / 0.11)
    along = x / 0.22 + 0.5 * (row % 2)
    tone = noise2(np.floor(along) * 3.1, row * 5.3, 11) - 0.5
    base = linear((142, 104, 86)) * (1 + 0.5 * tone[:, None] * _fade(far)[:, None] + 0.25 * _grain(x, y, far, 3))
    t = np.maximum(_joint(along * 0.22, 0.22, 0.010, far), _joint(y, 0.11, 0.010, far))
    return mix(base, linear((104, 90, 80)), 0.8 * t)


def _path(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "n"]:
    """Where the lawn's path is, 0..1."""
    bend = 0.5 * np.sin(0.35 * y)
    return np.clip((1.9 - np.abs(x - 50 - bend)) / 0.18 + 1.6 * (noise2(x * 7, y * 7, 24) - 0.5), 0, 1)


def _grass(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    blade = noise2(x * 42, y * 15, 21) * noise2(x * 17, y * 9, 22)
    patch = noise2(x * 1.3, y * 1.3, 23)
    t = np.clip(0.25 + 1.1 * blade * _fade(far) + 0.35 * (patch - 0.5), 0, 1)
    green = mix(linear((48, 66, 32)), linear((116, 134, 68)), t)
    path = linear((142, 132, 116)) * (1 + 0.3 * _grain(x, y, far, 3))
    return mix(green, path, _path(x, y))


def _tar(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    base = linear((98, 99, 102)) * (1 + 0.34 * _grain(x, y, far, 3))
    crack = np.abs(noise2(x * 0.9, y * 0.9, 31) - 0.5 + 0.08 * (noise2(x * 6, y * 6, 32) - 0.5))
    return base * (1 - 0.35 * np.clip(1 - crack / 0.008, 0, 1) * _fade(far))[:, None]


def _painted(base: np.ndarray, t: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """White paint, worn off here and there, where t is."""
    worn = np.clip(0.9 - 0.9 * (noise2(x * 5, y * 5, 33) > 0.72), 0, 1)
    return mix(base, linear((202, 202, 198)), t * worn)


def _asphalt(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    t = _joint(x - 1.2, 2.5, 0.055, far) * (y > 11.5)
    return _painted(_tar(x, y, far), np.maximum(t, _joint(y - 11.5, 100, 0.055, far)), x, y)


def _crossing(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    return _painted(_tar(x, y, far), ((x / 1.0) % 1 < 0.5) * (np.abs(y - 11.6) < 1.7) * 1.0, x, y)


def _tiles(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    grain = _grain(x, y, far, 3)
    tone = noise2(np.floor(x / 0.6) * 2.9, np.floor(y / 0.6) * 4.7, 41) - 0.5
    base = linear((136, 134, 128)) * (1 + 0.12 * tone[:, None] + 0.05 * grain)
    yellow = (np.abs(y - 6.4) < 0.2)[:, None]
    base = np.where(yellow, linear((188, 160, 60)) * (1 + 0.2 * grain), base)
    t = np.maximum(_joint(x, 0.6, 0.008, far), _joint(y, 0.6, 0.008, far))
    return mix(base, linear((84, 82, 78)), t)


def _cobble(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    grain = _grain(x, y, far, 3)
    a = noise2(x * 8 + 9, y * 8, 51)
    row = np.floor(y / 0.13)
    along = x / 0.15 + 0.5 * (row % 2) + 0.3 * (a - 0.5)
    tone = noise2(np.floor(along) * 3.7, row * 2.3, 52) - 0.5
    base = linear((128, 122, 114)) * (1 + 0.45 * tone[:, None] * _fade(far)[:, None] + 0.2 * grain)
    t = np.maximum(_joint(along * 0.15, 0.15, 0.018, far), _joint(y + 0.03 * a, 0.13, 0.018, far))
    kerb = np.abs(y - 14.4) < 0.18
    out = mix(base, linear((78, 74, 70)), 0.8 * t)
    return np.where(kerb[:, None], linear((156, 154, 150)) * (1 + 0.2 * grain), out)


def _concrete_floor(x: np.ndarray, y: np.ndarray, far: np.ndarray) -> np.ndarray:
    stain = noise2(x * 1.7, y * 0.6, 61)
    base = linear((118, 116, 112)) * (0.8 + 0.4 * stain[:, None] + 0.22 * _grain(x, y, far, 3))
    t = np.maximum(_joint(x, 3.0, 0.02, far), _joint(y, 3.0, 0.02, far))
    return mix(base, linear((60, 60, 60)), t)


GROUNDS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "slabs": _slabs,
    "brick": _brick,
    "grass": _grass,
    "asphalt": _asphalt,
    "crossing": _crossing,
    "tiles": _tiles,
    "cobble": _cobble,
    "concrete": _concrete_floor,
}

# ---------------------------------------------------------------- walls: linear colours of points x, z


def _brickwall(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    grain = _grain(x, z, far, 6)
    row = np.floor(z / 0.08)
    along = x / 0.24 + 0.5 * (row % 2)
    tone = noise2(np.floor(along) * 3.1, row * 5.3, 71) - 0.5
    base = linear((128, 70, 56)) * (1 + 0.55 * tone[:, None] + 0.25 * grain)
    t = np.maximum(_joint(along * 0.24, 0.24, 0.012, far), _joint(z, 0.08, 0.012, far))
    out = mix(base, linear((146, 132, 120)), 0.7 * t)
    door = (np.abs((x + 1.5) % 6 - 3) < 0.55) & (z < 2.1)
    return np.where(door[:, None], linear((44, 66, 58)) * (1 + 0.2 * grain), out)


def _hedge(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    leaf = noise2(x * 26, z * 26, 72) * noise2(x * 9, z * 9, 73)
    return mix(linear((18, 34, 18)), linear((74, 104, 48)), np.clip(1.8 * leaf, 0, 1))


def _panels(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    base = linear((150, 152, 148)) * (1 + 0.05 * _grain(x, z, far, 6))
    t = np.maximum(_joint(x, 1.5, 0.02, far), _joint(z, 0.75, 0.015, far))
    out = mix(base, linear((70, 72, 72)), t)
    poster = ((x / 3.0) % 1 < 0.52) & (z > 0.7) & (z < 2.3)
    hue = noise2(np.floor(x / 3.0) * 5.1, np.ones_like(x) * 3, 74)
    art = mix(linear((60, 90, 130)), linear((190, 120, 70)), hue) * (0.6 + 0.8 * noise2(x * 4, z * 4, 75))[:, None]
    out = np.where(poster[:, None], art, out)
    return np.where((z < 0.25)[:, None], linear((52, 54, 56)), out)


def _glazed(base: np.ndarray, x: np.ndarray, z: np.ndarray, grid: tuple[float, float], half: float,
            outer: float) -> np.ndarray:
    """Windows in a wall: in each grid cell a pane and its frame, so many cells wide to each side of the middle."""
    fx, fz = (x / grid[0]) % 1, (z / grid[1]) % 1
    pane = (np.abs(fx - 0.5) < half) & (np.abs(fz - 0.55) < 0.26)
    frame = (np.abs(fx - 0.5) < outer) & (np.abs(fz - 0.55) < 0.30)
    tint = noise2(np.floor(x / grid[0]) * 3.3, np.floor(z / grid[1]) * 5.1, 76)
    out = np.where(frame[:, None], linear((196, 194, 188)), base)
    glass = linear((54, 64, 74)) * (0.6 + 1.1 * tint[:, None])
    out = np.where(pane[:, None], glass, out)
    return np.where((z < 0.5)[:, None], 0.6 * base, out)


def _plaster(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    base = linear((176, 164, 140)) * (1 + 0.14 * _grain(x, z, far, 6))
    return _glazed(base, x, z, (2.6, 2.9), 0.24, 0.28)


def _windows(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    base = linear((124, 126, 130)) * (1 + 0.14 * _grain(x, z, far, 6))
    return _glazed(base, x, z, (1.7, 3.2), 0.38, 0.41)


def _shops(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    cell = np.floor(x / 3.4)
    fx = (x / 3.4) % 1
    hue = noise2(cell * 7.7, 0 * cell + 2, 77)
    facade = mix(linear((120, 92, 72)), linear((96, 106, 116)), hue) * (1 + 0.15 * _grain(x, z, far, 6))
    glass = linear((58, 62, 64)) * (0.6 + 0.9 * noise2(x * 2.3, z * 2.0, 78))[:, None]
    goods = noise2(np.floor(x * 5) * 1.7, np.floor(z * 4) * 2.9, 79)
    stock = mix(linear((170, 130, 90)), linear((110, 140, 160)), noise2(np.floor(x * 5) * 3.3, np.floor(z * 4), 80))
    glass = np.where(((goods > 0.66) & (z < 1.5))[:, None], 0.7 * stock, glass)
    window = (fx > 0.07) & (fx < 0.72) & (z > 0.45) & (z < 2.3)
    door = (fx > 0.77) & (fx < 0.96) & (z < 2.2)
    out = np.where(window[:, None], glass, facade)
    out = np.where(door[:, None], 0.45 * facade, out)
    banner = (z > 2.45) & (z < 3.0)
    cloth = mix(linear((140, 40, 44)), linear((44, 88, 70)), (hue > 0.5).astype(np.float32))
    return np.where(banner[:, None], cloth, out)


def _concrete_wall(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    base = linear((132, 130, 126)) * (1 + 0.22 * _grain(x, z, far, 6))
    streak = noise2(x * 3.0, z * 0.35, 81)
    base = base * (0.75 + 0.4 * streak)[:, None]
    return mix(base, linear((84, 82, 80)), np.maximum(_joint(x, 2.4, 0.02, far), _joint(z, 1.25, 0.02, far)))


def _graffiti(x: np.ndarray, z: np.ndarray, far: np.ndarray) -> np.ndarray:
    out = _concrete_wall(x, z, far)
    ink = noise2(x * 1.9, z * 2.6, 82)
    on = (np.abs(ink - 0.5) < 0.035) & (z > 0.5) & (z < 2.0) & (noise2(x * 0.35, 0 * x, 83) > 0.45)
    hue = noise2(x * 0.7, z, 84)
    out = np.where(on[:, None], mix(linear((150, 60, 90)), linear((60, 120, 150)), hue), out)
    lamp = (z > 2.2) & (z < 2.35) & ((x / 2.5) % 1 < 0.5)
    return np.where(lamp[:, None], 2.0, out)


WALLS: dict[str, tuple[float, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]] = {
    "hedge": (2.3, _hedge),
    "concrete": (2.6, _concrete_wall),
    "brickwall": (9.0, _brickwall),
    "panels": (9.0, _panels),
    "plaster": (6.0, _plaster),
    "shops": (9.0, _shops),
    "graffiti": (9.0, _graffiti),
    "windows": (12.0, _windows),
}  # height in metres, and colours

# ---------------------------------------------------------------- the view


def _cast(camera: Camera, xy: np.ndarray) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n"]]:
    """Linear colour of the empty town along the rays of frame pixels, and how far it follows the seasons (0..1)."""
    ray = camera.rays(xy)
    length = np.sqrt((ray**2).sum(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        to_wall = camera.wall_at / ray[:, 1]
        to_ground = np.where(ray[:, 2] < 0, -camera.height / ray[:, 2], np.inf)
    on_ground = to_ground < to_wall
    t = np.where(on_ground, to_ground, to_wall)
    hit = ray * t[:, None]
    hit[:, 2] += camera.height
    out, plant = np.empty((len(xy), 3), np.float32), np.zeros(len(xy), np.float32)
    sun, elevation = sun_colour(camera) * 0.55, camera.sun_direction
    g = np.flatnonzero(on_ground)
    light = sun * elevation[2] + camera.sky_strength * 1.0
    out[g] = GROUNDS[camera.ground](hit[g, 0] + 50, hit[g, 1], t[g] * length[g]) * light
    near_wall = np.clip(1 - (camera.wall_at - hit[g, 1]) / 0.7, 0, 1)
    out[g] *= (1 - 0.4 * near_wall)[:, None]
    if camera.ground == "grass":
        plant[g] = GRASS * (1 - _path(hit[g, 0] + 50, hit[g, 1]))
    w = np.flatnonzero(~on_ground)
    high, wall = WALLS[camera.wall]
    facing = max(0.12, -float(elevation[1]))
    light = sun * facing + camera.sky_strength * 0.75
    colour = wall(hit[w, 0] + 50, hit[w, 2], t[w] * length[w]) * light
    foot = np.clip(1 - hit[w, 2] / 0.35, 0, 1)
    colour *= (1 - 0.35 * foot)[:, None]
    sky = hit[w, 2] > high
    cloud = noise2(xy[w, 0] / 160, xy[w, 1] / 70, 90)[:, None]
    colour = np.where(sky[:, None], linear((176, 190, 206)) * (1.1 + 0.5 * cloud), colour)
    out[w] = colour
    if camera.wall == "hedge":
        plant[w] = HEDGE * ~sky
    mist = np.clip(camera.haze * t * length / 4, 0, 0.6)[:, None]
    return out * (1 - mist) + 0.55 * mist, plant


def _props(camera: Camera, index: int) -> Mesh | None:
    parts = []
    for k, (kind, x, y, yaw) in enumerate(camera.props):
        rng = np.random.default_rng([77, index, k])
        parts.append(BUILDERS[kind](rng).moved(rz(yaw), np.array([x, y, 0])))
    return join(parts) if parts else None


def _soft_shadows(camera: Camera, props: Mesh, scale: float, height: int, width: int) -> Float[np.ndarray, "n"]:
    """Darkness in 0..1 on the ground: the props' points thrown along the sun, blurred."""
    sun = camera.sun_direction
    thrown = props.points - sun * (props.points[:, 2:] / max(sun[2], 0.35))
    spot, _ = camera.project(thrown)
    mask = np.zeros((height // 4, width // 4), np.uint8)
    ij = np.floor(spot * scale / 4).astype(int)
    ok = (ij[:, 0] >= 0) & (ij[:, 0] < width // 4) & (ij[:, 1] >= 0) & (ij[:, 1] < height // 4)
    mask[ij[ok, 1], ij[ok, 0]] = 255
    soft = Image.fromarray(mask).filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.GaussianBlur(3))
    return np.asarray(soft.resize((width, height), Image.Resampling.BILINEAR)).ravel() / 255


def render_background(camera: Camera, index: int, scale: float = 1.0) -> UInt8[np.ndarray, "h w 4"]:
    """The camera's empty view in summer at `scale` times the frame's size; the same for every seed, as a place is.

    The last channel says how far each pixel follows the seasons: 0 not at all, 255 as leaves that fall.
    """
    height, width = round(FRAME_HEIGHT * scale), round(FRAME_WIDTH * scale)
    row, column = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    xy = np.stack([column.ravel(), row.ravel()], 1) / scale
    pieces = [_cast(camera, part) for part in np.array_split(xy, max(1, len(xy) // 100_000))]
    out, plant = (np.concatenate(values) for values in zip(*pieces, strict=True))
    props = _props(camera, index)
    if props is not None:
        screen, depth = camera.project(props.points)
        out *= (1 - 0.5 * _soft_shadows(camera, props, scale, height, width))[:, None]
        fragments = rasterize(screen * scale, 1 / depth, props.faces, height, width, clip=props.clip)
        colour, _, layer = shade(props, fragments, camera, np.zeros(3, np.float32))
        mist = np.clip(camera.haze * fragments.depth / 4, 0, 0.6)[:, None]
        out[fragments.pixels] = colour.T * (1 - mist) + 0.55 * mist
        plant[fragments.pixels] = np.array([item.plant for item in props.layers], np.float32)[layer]
    stored = np.concatenate([np.clip(out, 0, 1) ** (1 / 2.2), plant[:, None]], 1)
    return np.round(255 * stored).astype(np.uint8).reshape(height, width, 4)
