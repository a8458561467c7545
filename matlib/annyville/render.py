"""One picture with its truth: a person walks through a camera's view, is occluded or not, and is cut out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO

import numpy as np
from jaxtyping import Float, Int16, UInt8
from PIL import Image, ImageFilter

from .behaviour import draw_pose
from .camera import FRAME_HEIGHT, FRAME_WIDTH, Camera
from .labels import label_parts
from .mesh import Mesh, join
from .occluders import BUILDERS, umbrella
from .pose import rz
from .raster import Fragments, rasterize
from .shading import shade
from .surface import surface_truth
from .truth import HIDDEN, OCCLUDER
from .wardrobe import CARRIED, Person, Posed
from .weather import moment

SUPERSAMPLING = 1.25
PASSERS_BY = 64  # persons who only walk past or stand in the way
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
LOOSE, TRUNCATED = 0.12, 0.07  # shares of boxes that are far too large, and that miss the feet or the head
KEYPOINT_TOLERANCE = 0.17  # metres: a keypoint lies inside the body, behind the surface that shows it
LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
MIN_OCCLUSION, MAX_OCCLUSION = 0.2, 0.7
MOST_INCIDENTAL = 0.05  # passers-by may hide this much of a person who counts as whole


@dataclass(frozen=True)
class Picture:
    """A written image and its truth. jpeg: the file's bytes; mask: parts (H, W); keypoints (17, 3): x, y,
    visibility; surface: positions and visibility of SURFACE_POINTS points of the skin, see `surface_truth`."""

    jpeg: bytes
    mask: UInt8[np.ndarray, "h w"]
    keypoints: Float[np.ndarray, "17 3"]
    surface: Int16[np.ndarray, "s 3"]
    occlusion: float
    occluder: str | None
    yaw: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """A window of the frame, rendered at height x width pixels. left, top, scale: render = (frame - corner) *
    scale."""

    left: float
    top: float
    scale: float
    height: int
    width: int

    @property
    def right(self) -> float:
        """The frame's x at the right edge."""
        return self.left + self.width / self.scale

    @property
    def bottom(self) -> float:
        """The frame's y at the lower edge."""
        return self.top + self.height / self.scale

    def pixels(self, frame_xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Render pixels of frame pixels."""
        return (frame_xy - np.array([self.left, self.top])) * self.scale


class Town:
    """What the pictures of one process share: backgrounds, and persons as they are drawn from their seeds."""

    def __init__(
        self,
        background: Callable[[int], np.ndarray],
        person: Callable[[int], Person],
        cameras: tuple[Camera, ...],
    ) -> None:
        self.background, self.person, self.cameras = background, person, cameras


def _draw_place(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    y = float(rng.uniform(camera.near, camera.far))
    half = 0.36 * FRAME_WIDTH / camera.focal * y
    return np.array([rng.uniform(-half, half), y, 0.0])


def _draw_heading(camera: Camera, rng: np.random.Generator) -> float:
    if rng.random() < 0.16:
        return float(rng.uniform(0, 360))
    return float(camera.paths[rng.integers(len(camera.paths))] + rng.normal(0, 14))


def _place(person: Person, pose: Pose, heading: float, at: np.ndarray) -> Posed:
    return person.posed(pose).moved(rz(heading), at)


def _raster(mesh: Mesh, camera: Camera, crop: Crop) -> Fragments:
    xy, depth = camera.project(mesh.points)
    visible = (depth > 0.3).astype(float)
    return rasterize(
        crop.pixels(xy),
        visible / depth,
        mesh.faces,
        crop.height,
        crop.width,
        clip=mesh.clip,
        two_sided=mesh.two_sided,
    )


def _draw_crop(frame_xy: np.ndarray, height: int, width: int, rng: np.random.Generator) -> Crop:
    """A detector's box: the person's extent with a margin, shifted and scaled at random, in the wanted
    aspect."""
    low, high = frame_xy.min(0), frame_xy.max(0)
    tall = (high[1] - low[1]) * rng.uniform(1.02, 1.13)
    wide = tall * width / height
    extent = (high[0] - low[0]) * rng.uniform(0.86, 1.02)
    if extent > wide:
        tall *= 1 + 0.6 * (extent / wide - 1)
        wide = tall * width / height
    centre = (low + high) / 2 + rng.normal(0, 1, 2) * np.array([0.035 * wide, 0.015 * tall])
    failure, size = rng.random(), rng.random()
    if failure < LOOSE:
        tall *= 1.1 + 0.2 * size
    elif failure < LOOSE + TRUNCATED:
        cut = 0.08 + 0.16 * size
        centre[1] += tall * cut / 2 * (1 if rng.random() < 0.2 else -1)  # mostly the feet
        tall *= 1 - cut
    wide = tall * width / height
    return Crop(centre[0] - wide / 2, centre[1] - tall / 2, height / tall, height, width)


def _spoil(crop: Crop, rng: np.random.Generator) -> Crop:
    """The box of a failing detector: half beside the person, on one body part, or far too large."""
    width, height = crop.width / crop.scale, crop.height / crop.scale
    grow = float(rng.choice([0.45, 0.8, 1.7]) * rng.uniform(0.85, 1.15))
    away = rng.choice([-1, 1], 2) * rng.uniform(0.45, 0.85, 2) * np.array([width, 0.55 * height])
    if grow < 0.6:
        away *= 0.45
    x, y = crop.left + width / 2 + away[0], crop.top + height / 2 + away[1]
    return Crop(x - grow * width / 2, y - grow * height / 2, crop.scale / grow, crop.height, crop.width)


def _shadow(meshes: list[Mesh], camera: Camera, crop: Crop) -> np.ndarray:
    """Darkness (H, W) in 0..1 that the meshes throw on the ground: points splatted along the sun, blurred."""
    h, w = crop.height // 4, crop.width // 4
    sun = camera.sun_direction
    hard, soft = np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8)
    for mesh in meshes:
        points = mesh.points[::2]
        for target, direction, most in (
            (hard, sun / max(sun[2], 0.3), 9.0),
            (soft, np.array([0, 0, 1.0]), 0.35),
        ):
            low = points[points[:, 2] < most]
            spot, depth = camera.project(low - direction * low[:, 2:])
            ij = np.floor(crop.pixels(spot) / 4).astype(np.int64)
            ok = (ij[:, 0] >= 0) & (ij[:, 0] < w) & (ij[:, 1] >= 0) & (ij[:, 1] < h) & (depth > 0.5)
            target[ij[ok, 1], ij[ok, 0]] = 255
    sharp = np.asarray(
        Image.fromarray(hard)
        .filter(ImageFilter.BoxBlur(1))
        .resize((crop.width, crop.height), Image.Resampling.BILINEAR)
    )
    dim = np.asarray(
        Image.fromarray(soft)
        .filter(ImageFilter.GaussianBlur(2))
        .resize((crop.width, crop.height), Image.Resampling.BILINEAR)
    )
    share = camera.sun_strength / (camera.sun_strength + 1.8 * camera.sky_strength)
    return np.maximum(share * 0.95 * np.minimum(sharp / 190.0, 1), 0.45 * np.minimum(dim / 150.0, 1)).astype(
        np.float32
    )


def _silhouette(mesh: Mesh, camera: Camera, crop: Crop) -> Float[np.ndarray, "h w"]:
    """Where a mesh is seen, as 0 and 1. Fine meshes are splatted, which is quicker and exact enough to plan
    with."""
    h, w = crop.height, crop.width
    drawn = np.zeros((h, w), np.uint8)
    if len(mesh.points) < 5000:
        drawn.reshape(-1)[_raster(mesh, camera, crop).pixels] = 1
        return drawn.astype(np.float32)
    spot, _ = camera.project(mesh.points[::2])
    ij = np.floor(crop.pixels(spot)).astype(np.int64)
    ok = (ij[:, 0] >= 0) & (ij[:, 0] < w) & (ij[:, 1] >= 0) & (ij[:, 1] < h)
    drawn[ij[ok, 1], ij[ok, 0]] = 1
    closed = Image.fromarray(drawn).filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MinFilter(3))
    return np.asarray(closed, np.float32)


def _overlap_shift(
    target: np.ndarray,
    mesh: Mesh,
    camera: Camera,
    crop: Crop,
    wanted: float,
    depth: float,
    rng: np.random.Generator,
) -> float | None:
    """Sideways move in metres that makes the mesh hide about the `wanted` share of the target.

    target: the target's mask at a quarter of the crop's size. The mesh is drawn once on a canvas three times
    as wide; the overlap for every shift of whole pixels is then a sum over columns.
    """
    h, w = target.shape
    wide = Crop(crop.left - crop.width / crop.scale, crop.top, crop.scale / 4, h, 3 * w)
    drawn = _silhouette(mesh, camera, wide)
    overlap = target.astype(np.float32).T @ drawn  # (w, 3w): the target's columns against the object's
    share = np.array([np.trace(overlap, s) for s in range(2 * w + 1)]) / target.sum()
    near = np.flatnonzero(np.abs(share - wanted) < 0.05)
    if not len(near):
        return None
    s = int(near[rng.integers(len(near))])
    return float((w - s) * 4 / crop.scale / camera.focal * depth)


def _clothes(person: Person) -> Float[np.ndarray, "6"]:
    """Main colours above and below the waist, as the eye weighs them."""
    wear = person.outfit
    above = wear.outer if wear.outer is not None else wear.upper
    return np.concatenate([above.cloth.colours[0], wear.lower.cloth.colours[0]]) ** (1 / 2.2)


def _stranger(town: Town, rng: np.random.Generator, target: Person | None = None) -> Person:
    """A passer-by; with a target, half the time the most alike in colours of several."""
    numbers = [-1 - int(k) for k in rng.integers(PASSERS_BY, size=CANDIDATES)]
    if target is None or rng.random() >= ALIKE:
        return town.person(numbers[0])
    wanted = _clothes(target)
    return min((town.person(k) for k in numbers), key=lambda p: float(np.abs(_clothes(p) - wanted).sum()))


def _people(kind: str, town: Town, rng: np.random.Generator, heading: float, target: Person) -> Mesh:
    """Somebody who stands in the way: alone, in company, or under an umbrella."""
    person = _stranger(town, rng, target)
    pose = draw_pose(person, rng)
    if kind == "umbrella":
        pose = replace(pose, left_arm="strap", right_arm="swing", prop="none")
    posed = _place(person, pose, heading, np.zeros(3))
    if kind == "umbrella":
        above_hand = posed.keypoints[9] + np.array([0, 0, 0.12])
        return join([posed.mesh, umbrella(rng).moved(np.eye(3), above_hand)])
    if kind == "group":
        other = _stranger(town, rng)
        beside = rz(heading) @ np.array([rng.uniform(0.5, 0.75), rng.uniform(-0.2, 0.2), 0])
        return join([posed.mesh, _place(other, draw_pose(other, rng), heading, beside).mesh])
    return posed.mesh


def _occluder_mesh(kind: str, town: Town, rng: np.random.Generator, heading: float, target: Person) -> Mesh:
    if kind in ("person", "group", "umbrella"):
        return _people(kind, town, rng, heading, target)
    yaw = {
        "car": 90 * rng.integers(0, 4) + rng.normal(0, 15),
        "wall": rng.normal(0, 8),
        "barrier": rng.normal(0, 14),
        "sign": rng.normal(0, 25),
    }
    return BUILDERS[kind](rng).moved(rz(float(yaw.get(kind, rng.uniform(0, 360)))), np.zeros(3))


def _place_occluder(
    view: _View, person: Person, target: np.ndarray, rng: np.random.Generator
) -> tuple[str, Mesh] | None:
    """One try to hide a wanted share of the target; None where this object cannot."""
    town, camera, crop, at = view.town, view.camera, view.crop, view.at
    kind = str(rng.choice(OCCLUDER_KINDS, p=OCCLUDER_ODDS / OCCLUDER_ODDS.sum()))
    wanted = float(rng.uniform(0.24, 0.64))
    mesh = _occluder_mesh(kind, town, rng, _draw_heading(camera, rng), person)
    radius = float(-mesh.points[:, 1].min()), float(mesh.points[:, 1].max())
    gap = radius[1] + float(rng.uniform(0.25, 0.9)) if kind != "person" else float(rng.uniform(0.4, 1.1))
    toward = -at / np.linalg.norm(at)
    spot = at + toward * gap
    shifted = mesh.moved(np.eye(3), spot)
    _, depth = camera.project(spot[None])
    move = _overlap_shift(target, shifted, camera, crop, wanted, float(depth[0]), rng)
    if move is None:
        return None
    return kind, shifted.moved(np.eye(3), np.array([move, 0, 0]))


def _cut_background(background: UInt8[np.ndarray, "h w 3"], crop: Crop) -> Image.Image:
    """The crop's part of the empty view, at the crop's size; beyond the frame its edge is repeated."""
    scale = background.shape[0] / FRAME_HEIGHT
    x0, y0, x1, y1 = scale * np.array([crop.left, crop.top, crop.right, crop.bottom])
    first_row, first_column = int(np.floor(y0)) - 1, int(np.floor(x0)) - 1
    rows = np.clip(np.arange(first_row, int(np.ceil(y1)) + 2), 0, background.shape[0] - 1)
    columns = np.clip(np.arange(first_column, int(np.ceil(x1)) + 2), 0, background.shape[1] - 1)
    piece = Image.fromarray(background[rows[:, None], columns])
    corners = (x0 - first_column, y0 - first_row, x1 - first_column, y1 - first_row)
    return piece.resize((crop.width, crop.height), Image.Resampling.BILINEAR, box=corners)


@dataclass(frozen=True)
class _View:
    """The target as the camera sees it, before anything else is in the picture."""

    town: Town
    camera: Camera
    crop: Crop
    at: np.ndarray
    whole: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True)
class _Others:
    """Everybody and everything but the target: one mesh, the occluder (its last part), and what they hide."""

    scene: Mesh | None
    fragments: Fragments | None
    depth: np.ndarray
    hidden: np.ndarray
    occlusion: float
    kind: str | None
    hider: Mesh | None


def _look(view: _View, others: list[Mesh], placed: tuple[str, Mesh] | None) -> _Others:
    kind, hider = placed if placed is not None else (None, None)
    meshes = [*others, hider] if hider is not None else others
    other = np.full(len(view.whole), np.inf, np.float32)
    if not meshes:
        return _Others(None, None, other, np.zeros_like(view.whole), 0.0, None, None)
    scene = join(meshes)
    fragments = _raster(scene, view.camera, view.crop)
    other[fragments.pixels] = fragments.depth
    hidden = view.whole & (other < view.depth)
    return _Others(
        scene, fragments, other, hidden, float(hidden.sum() / max(view.whole.sum(), 1)), kind, hider
    )


def _occlude(view: _View, person: Person, others: list[Mesh], rng: np.random.Generator) -> _Others | None:
    """Up to six tries at an occluder that hides 20 to 70 % of the target."""
    target = view.whole.reshape(view.crop.height, view.crop.width)[2::4, 2::4]
    for _ in range(6):
        placed = _place_occluder(view, person, target, rng)
        if placed is None:
            continue
        found = _look(view, others, placed)
        if MIN_OCCLUSION <= found.occlusion <= MAX_OCCLUSION:
            return found
    return None


def _bystanders(
    town: Town, camera: Camera, at: np.ndarray, heading: float, rng: np.random.Generator
) -> list[Mesh]:
    """Who else is near: sometimes a companion at the target's side, and passers-by behind, most partly in the crop."""
    out = []
    if rng.random() < COMPANION:
        person = _stranger(town, rng)
        side = float(rng.choice([-1, 1]) * rng.uniform(0.55, 0.8))
        spot = at + rz(heading) @ np.array([side, rng.uniform(-0.25, 0.25), 0])
        out.append(_place(person, draw_pose(person, rng), heading, spot).mesh)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.62, 0.28, 0.10]))):
        person = _stranger(town, rng)
        behind = float(rng.uniform(0.9, 4.0))
        side = float(rng.choice([-1, 1]) * rng.uniform(0.45, 1.1))
        spot = at * (1 + behind / np.linalg.norm(at)) + np.array([side, 0, 0])
        if spot[1] < camera.wall_at - 0.8:
            out.append(_place(person, draw_pose(person, rng), _draw_heading(camera, rng), spot).mesh)
    return out


@cache
def _tone_curve(gamma: float) -> Float[np.ndarray, "4096"]:
    """Response to light x, tabulated over sqrt(x / 4): a shoulder, then the display's gamma."""
    x = 4 * np.linspace(0, 1, 4096) ** 2
    return (np.clip(x * (1 + 0.12 * x) / (1 + 0.32 * x**1.5), 0, 4) ** (gamma / 2.2)).astype(np.float32)


def _sensor(
    light: Float[np.ndarray, "3 h w"], camera: Camera, crop: Crop, drift: np.ndarray
) -> UInt8[np.ndarray, "h w 3"]:
    """What the camera makes of the light: gain, white balance, vignette, shoulder, gamma, contrast,
    saturation."""
    gain = camera.gain * np.array(camera.balance) * drift
    y = crop.top + (np.arange(crop.height) + 0.5) / crop.scale
    x = crop.left + (np.arange(crop.width) + 0.5) / crop.scale
    r2 = ((x / FRAME_WIDTH - 0.5) ** 2)[None] + ((y / FRAME_HEIGHT - 0.5) ** 2)[:, None]
    lens = (1 - 2 * camera.vignette * r2).astype(np.float32)
    curve = _tone_curve(camera.gamma)
    seen = np.empty((3, lens.size), np.float32)
    for channel in range(3):
        exposed = np.minimum(light[channel] * (lens * np.float32(gain[channel])), np.float32(3.99))
        level = np.sqrt(exposed, out=exposed).ravel() * np.float32(4095 / 2)
        seen[channel] = curve[level.astype(np.intp)]
    grey = np.array([0.299, 0.587, 0.114])
    mix = 255 * camera.contrast * (camera.saturation * np.eye(3) + (1 - camera.saturation) * grey)
    out = mix.astype(np.float32) @ seen + np.float32(255 * 0.45 * (1 - camera.contrast) + 0.5)
    np.clip(out, 0, 255, out=out)
    return np.ascontiguousarray(out.astype(np.uint8).T).reshape(crop.height, crop.width, 3)


def _box_radius(sigma: float) -> float:
    """Radius of the box blur with the spread `sigma`, in pixels."""
    return float((np.sqrt(12 * sigma**2 + 1) - 1) / 2)


def _degrade(
    image: Image.Image, camera: Camera, native: float, size: tuple[int, int], rng: np.random.Generator
) -> bytes:
    """The way to the file: the box's own resolution, lens and motion blur, sharpening, noise, resizing,
    JPEG."""
    width, height = size
    rows = int(np.clip(native, 0.42 * height, image.height))
    blur = camera.blur * rng.uniform(0.5, 1.4)
    if rng.random() < 0.12:
        blur += rng.uniform(0.4, 0.9)
    small = image.resize((max(8, round(rows * width / height)), rows), Image.Resampling.HAMMING)
    small = small.filter(ImageFilter.BoxBlur(_box_radius(blur * rows / 256)))
    if rng.random() < 0.10:
        length = int(rng.integers(3, 6))
        kernel = np.zeros((5, 5))
        kernel[2, (5 - length) // 2 : (5 - length) // 2 + length] = 1
        small = small.filter(ImageFilter.Kernel((5, 5), kernel.ravel().tolist(), kernel.sum()))
    if rng.random() < 0.4:
        small = small.filter(ImageFilter.UnsharpMask(1.2, int(rng.uniform(30, 90)), 2))
    pixels = np.asarray(small, np.float32)
    sigma = 0.6 * camera.noise * rng.uniform(0.6, 1.3)
    grain = sigma * rng.standard_normal(pixels.shape[:2], np.float32)[..., None]
    rows_, columns_ = (pixels.shape[0] + 1) // 2, (pixels.shape[1] + 1) // 2
    tint = (
        0.8 * sigma * rng.standard_normal((rows_, columns_, 3), np.float32)
    )  # coarser, as sensors smooth colour
    grain = grain + tint.repeat(2, 0).repeat(2, 1)[: pixels.shape[0], : pixels.shape[1]]
    noisy = Image.fromarray(np.clip(np.round(pixels + grain), 0, 255).astype(np.uint8))
    out = noisy.resize(size, Image.Resampling.BICUBIC) if noisy.size != size else noisy
    stream = BytesIO()
    out.save(stream, "JPEG", quality=int(rng.integers(*camera.quality)), subsampling=2)
    return stream.getvalue()


def _keypoint_truth(
    camera: Camera, crop: Crop, keys: np.ndarray, nearest: Float[np.ndarray, "h w"], out_height: int
) -> Float[np.ndarray, "17 3"]:
    """Pixels of the written image, and 2 where the nearest surface is the one around the keypoint, 1 where it
    is hidden (by the person's own body too), 0 outside the crop."""
    xy, depth = camera.project(keys)
    spot = crop.pixels(xy)
    truth = np.zeros((len(keys), 3))
    truth[:, :2] = spot * (out_height / crop.height)
    j, i = np.floor(spot[:, 0]).astype(int), np.floor(spot[:, 1]).astype(int)
    for k in np.flatnonzero((j >= 0) & (j < crop.width) & (i >= 0) & (i < crop.height)):
        truth[k, 2] = 2 if nearest[i[k], j[k]] > depth[k] - KEYPOINT_TOLERANCE else 1
    return truth


@dataclass(frozen=True)
class _Shot:
    """A person who walks in a camera's view, framed, with everything else that is in the picture."""

    person: Posed
    heading: float
    fragments: Fragments
    view: _View
    bystanders: list[Mesh]
    found: _Others

    @property
    def yaw(self) -> float:
        """Degrees between the person's heading and the line to the camera, -180..180; 0 faces the camera."""
        bearing = np.degrees(np.arctan2(self.view.at[0], self.view.at[1]))
        return float((self.heading + bearing + 180) % 360 - 180)


def _try_shot(
    town: Town,
    identity: int,
    camera: Camera,
    rng: np.random.Generator,
    size: tuple[int, int],
    occluded: bool,
    bad_box: bool,
) -> _Shot | None:
    """One draw of place, pose, box and surroundings; None where it leaves the frame or the occlusion is not
    as wanted."""
    person = town.person(identity)
    at, heading = _draw_place(camera, rng), _draw_heading(camera, rng)
    posed = _place(person, draw_pose(person, rng), heading, at)
    frame_xy, _ = camera.project(posed.mesh.points)
    box = _draw_crop(frame_xy[: posed.own], *size, rng)
    if bad_box:
        box = _spoil(box, rng)
    if min(box.left, box.top) < -6 or box.right > FRAME_WIDTH + 6 or box.bottom > FRAME_HEIGHT + 6:
        return None
    fragments = _raster(posed.mesh, camera, box)
    whole = np.zeros(box.height * box.width, bool)
    whole[fragments.pixels] = True
    depth = np.full(len(whole), np.inf, np.float32)
    depth[fragments.pixels] = fragments.depth
    view = _View(town, camera, box, at, whole, depth)
    bystanders = _bystanders(town, camera, at, heading, rng)
    found = _occlude(view, person, bystanders, rng) if occluded else _look(view, bystanders, None)
    if found is None or (not occluded and found.occlusion > MOST_INCIDENTAL):
        return None
    return _Shot(posed, heading, fragments, view, bystanders, found)


def _expose(
    shot: _Shot, camera: Camera, empty: Float[np.ndarray, "3 n"], rng: np.random.Generator
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """The picture before it is degraded; of the target's pixels, hidden or not, the parts and the mean-body
    coordinates. camera: in the light of the moment; empty: linear colour of the view without people in it."""
    view, found, mesh = shot.view, shot.found, shot.person.mesh
    crop = view.crop
    casters = [mesh, *shot.bystanders] + ([found.hider] if found.hider is not None else [])
    light = empty * (1 - _shadow(casters, camera, crop).ravel())
    offset = rng.uniform(0, 6.28, 3).astype(np.float32)
    light[:, shot.fragments.pixels], solid, layer = shade(mesh, shot.fragments, camera, offset)
    if found.scene is not None and found.fragments is not None:
        front = found.fragments.where(
            found.depth[found.fragments.pixels] < view.depth[found.fragments.pixels]
        )
        light[:, front.pixels] = shade(found.scene, front, camera, offset + 1)[0]
    drift = rng.normal(1, 0.06) * rng.normal(1, 0.02, 3)
    fixed = np.array([item.part for item in mesh.layers], np.uint8)[layer]
    spot = np.stack(np.divmod(shot.fragments.pixels, crop.width)[::-1], 1) + 0.5
    keypoints = shot.person.keypoints
    joints = crop.pixels(camera.project(keypoints)[0])
    parts = label_parts(solid, fixed, spot, keypoints, camera, crop.scale, joints)
    image = Image.fromarray(_sensor(light.reshape(3, crop.height, crop.width), camera, crop, drift))
    return image, parts, solid[:3].T


def _surface_truth(shot: _Shot, parts: np.ndarray, places: np.ndarray, out_height: int) -> np.ndarray:
    """`surface_truth` of the shot, given the parts and the mean-body coordinates of the target's pixels."""
    view, pixels = shot.view, shot.fragments.pixels
    crop, camera = view.crop, view.camera
    seen = np.full((len(view.whole), 3), np.inf, np.float32)
    shown = ~shot.found.hidden[pixels] & (parts != CARRIED)
    seen[pixels[shown]] = places[shown]
    xy, _ = camera.project(shot.person.surface)
    sight = np.array([0, 0, camera.height], np.float32) - shot.person.surface
    facing = np.einsum("si,si->s", shot.person.surface_normals, sight) / np.linalg.norm(sight, axis=1)
    return surface_truth(crop.pixels(xy), facing, seen.reshape(crop.height, crop.width, 3), out_height / crop.height)


def _truth_mask(shot: _Shot, parts: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """Parts, hidden pixels of the target, and the occluder's other pixels, at the crop's size."""
    view, found = shot.view, shot.found
    mask = np.zeros(len(view.whole), np.uint8)
    mask[shot.fragments.pixels] = parts
    if found.scene is not None and found.fragments is not None and found.hider is not None:
        first = len(found.scene.layers) - len(found.hider.layers)
        pixels = found.fragments.pixels[found.scene.face_layer[found.fragments.triangles] >= first]
        mask[pixels[found.depth[pixels] < view.depth[pixels]]] = OCCLUDER
    mask[found.hidden] = HIDDEN
    return mask.reshape(view.crop.height, view.crop.width)


def render_picture(
    town: Town,
    identity: int,
    camera_index: int,
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    occluded: bool,
    bad_box: bool = False,
) -> Picture:
    """Render identity `identity` (negative numbers are passers-by) before a camera.

    With `occluded`, 20 to 70 % of the person's pixels inside the crop are hidden by something nearer.
    Everything that is not the identity's own comes from `rng`. `bad_box` shifts and scales the box as a
    failing detector would. Raises RuntimeError if 200 draws give no picture.
    """
    camera = town.cameras[camera_index]
    size = (round(SUPERSAMPLING * height), round(SUPERSAMPLING * width))
    tries = (_try_shot(town, identity, camera, rng, size, occluded, bad_box) for _ in range(200))
    shot = next((s for s in tries if s is not None), None)
    if shot is None:
        raise RuntimeError(f"no picture of identity {identity} by camera {camera.name!r} in 200 draws")
    crop, found = shot.view.crop, shot.found
    lit, tint = moment(camera, rng)
    empty = np.asarray(_cut_background(town.background(camera_index), crop)).reshape(-1, 3)
    light = np.stack([np.take(LINEAR * np.float32(tint[c]), empty[:, c]) for c in range(3)])
    image, parts, places = _expose(shot, lit, light, rng)
    mask = Image.fromarray(_truth_mask(shot, parts)).resize((width, height), Image.Resampling.NEAREST)
    shape = (crop.height, crop.width)
    nearest = np.minimum(shot.view.depth, found.depth).reshape(shape)
    return Picture(
        jpeg=_degrade(image, camera, camera.detail * crop.height / crop.scale, (width, height), rng),
        mask=np.asarray(mask),
        keypoints=_keypoint_truth(camera, crop, shot.person.keypoints, nearest, height),
        surface=_surface_truth(shot, parts, places, height),
        occlusion=found.occlusion,
        occluder=found.kind,
        yaw=shot.yaw,
        box=(crop.left, crop.top, crop.right - crop.left, crop.bottom - crop.top),
    )
