"""A person who walks in a view, framed, and hidden by something or not: everything but light and colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

from .behaviour import draw_pose
from .camera import FRAME_HEIGHT, FRAME_WIDTH, Camera
from .child import draw_led, hold_hands
from .crop import Crop, draw_box, rasterize_mesh, spoil_box
from .crowd import (
    COMPANION,
    OCCLUDER_KINDS,
    OCCLUDER_ODDS,
    Town,
    draw_bystanders,
    draw_heading,
    draw_occluder,
    draw_place,
    stand,
)
from .mesh import Mesh, join
from .pose import rz
from .raster import Fragments
from .season import Season
from .wardrobe import Person, Posed

MIN_OCCLUSION, MAX_OCCLUSION = 0.2, 0.7
MOST_INCIDENTAL = 0.05  # passers-by may hide this much of a person who counts as whole


@dataclass(frozen=True)
class View:
    """The target as the camera sees it, before anything else is in the picture."""

    town: Town
    camera: Camera
    season: Season
    crop: Crop
    at: np.ndarray
    whole: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True)
class Others:
    """Everybody and everything but the target: one mesh, the occluder (its last part), and what they hide."""

    scene: Mesh | None
    fragments: Fragments | None
    depth: np.ndarray
    hidden: np.ndarray
    occlusion: float
    kind: str | None
    hider: Mesh | None


@dataclass(frozen=True)
class Shot:
    """A person who walks in a camera's view, framed, with everything else that is in the picture."""

    person: Posed
    heading: float
    fragments: Fragments
    view: View
    bystanders: list[Mesh]
    found: Others

    @property
    def yaw(self) -> float:
        """Degrees between the person's heading and the line to the camera, -180..180; 0 faces the camera."""
        bearing = np.degrees(np.arctan2(self.view.at[0], self.view.at[1]))
        return float((self.heading + bearing + 180) % 360 - 180)


def _silhouette(mesh: Mesh, camera: Camera, crop: Crop) -> Float[np.ndarray, "h w"]:
    """Where a mesh is seen, as 0 and 1. Fine meshes are splatted, which is quicker and exact enough to plan
    with."""
    h, w = crop.height, crop.width
    drawn = np.zeros((h, w), np.uint8)
    if len(mesh.points) < 5000:
        drawn.reshape(-1)[rasterize_mesh(mesh, camera, crop).pixels] = 1
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


def _place_occluder(
    view: View, person: Person, target: np.ndarray, rng: np.random.Generator
) -> tuple[str, Mesh] | None:
    """One try to hide a wanted share of the target; None where this object cannot."""
    town, camera, crop, at = view.town, view.camera, view.crop, view.at
    kind = str(rng.choice(OCCLUDER_KINDS, p=OCCLUDER_ODDS / OCCLUDER_ODDS.sum()))
    wanted = float(rng.uniform(0.24, 0.64))
    mesh = draw_occluder(kind, town, rng, draw_heading(camera, rng), person, view.season)
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


def _look(view: View, others: list[Mesh], placed: tuple[str, Mesh] | None) -> Others:
    kind, hider = placed if placed is not None else (None, None)
    meshes = [*others, hider] if hider is not None else others
    other = np.full(len(view.whole), np.inf, np.float32)
    if not meshes:
        return Others(None, None, other, np.zeros_like(view.whole), 0.0, None, None)
    scene = join(meshes)
    fragments = rasterize_mesh(scene, view.camera, view.crop)
    other[fragments.pixels] = fragments.depth
    hidden = view.whole & (other < view.depth)
    return Others(
        scene, fragments, other, hidden, float(hidden.sum() / max(view.whole.sum(), 1)), kind, hider
    )


def _behind_child(view: View, others: list[Mesh], child: Mesh, target: np.ndarray) -> Others | None:
    """The view with the child as the occluder, where it hides 20 to 70 % of the target; a rough look comes first."""
    small = Crop(view.crop.left, view.crop.top, view.crop.scale / 4, *target.shape)
    if (_silhouette(child, view.camera, small) * target).sum() < 0.7 * MIN_OCCLUSION * target.sum():
        return None
    found = _look(view, others, ("child", child))
    return found if MIN_OCCLUSION <= found.occlusion <= MAX_OCCLUSION else None


def _occlude(
    view: View, person: Person, others: list[Mesh], child: Mesh | None, rng: np.random.Generator
) -> Others | None:
    """The child that is led, if it hides 20 to 70 % of the target; else up to six tries at an occluder that does."""
    target = view.whole.reshape(view.crop.height, view.crop.width)[2::4, 2::4]
    if child is not None:
        found = _behind_child(view, others, child, target)
        if found is not None:
            return found
        others = [*others, child]
    for _ in range(6):
        placed = _place_occluder(view, person, target, rng)
        if placed is None:
            continue
        found = _look(view, others, placed)
        if MIN_OCCLUSION <= found.occlusion <= MAX_OCCLUSION:
            return found
    return None


def look_at(
    posed: Posed, town: Town, camera: Camera, season: Season, box: Crop, at: Float[np.ndarray, "3"]
) -> tuple[Fragments, View]:
    """A person who stands at a place, as the camera sees them within a box, before anything else is in the picture."""
    fragments = rasterize_mesh(posed.mesh, camera, box)
    whole = np.zeros(box.height * box.width, bool)
    whole[fragments.pixels] = True
    depth = np.full(len(whole), np.inf, np.float32)
    depth[fragments.pixels] = fragments.depth
    return fragments, View(town, camera, season, box, at, whole, depth)


def alone(posed: Posed, heading: float, fragments: Fragments, view: View) -> Shot:
    """The shot of a person with nobody and nothing else in the picture."""
    return Shot(posed, heading, fragments, view, [], _look(view, [], None))


def try_shot(
    town: Town,
    identity: int,
    camera: Camera,
    season: Season,
    rng: np.random.Generator,
    size: tuple[int, int],
    occluded: bool,
    bad_box: bool,
) -> Shot | None:
    """One draw of place, pose, box and surroundings; None where it leaves the frame or the occlusion is not
    as wanted."""
    person = town.person(identity)
    at, heading = draw_place(camera, rng), draw_heading(camera, rng)
    pose = draw_pose(person, rng)
    before = 1 if (rz(heading) @ np.array([1.0, 0, 0])) @ at < 0 else -1  # the side that the camera sees first
    led = draw_led(town, person, pose, rng, before if occluded else 0)
    posed = stand(person, pose if led is None else led.pose, heading, at)
    frame_xy, _ = camera.project(posed.mesh.points)
    box = draw_box(frame_xy[: posed.own], *size, rng)
    if bad_box:
        box = spoil_box(box, rng)
    if min(box.left, box.top) < -6 or box.right > FRAME_WIDTH + 6 or box.bottom > FRAME_HEIGHT + 6:
        return None
    fragments, view = look_at(posed, town, camera, season, box, at)
    bystanders = draw_bystanders(town, camera, at, heading, rng, COMPANION if led is None else 0.0)
    child = None if led is None else hold_hands(posed, led, heading).mesh
    if occluded:
        found = _occlude(view, person, bystanders, child, rng)
    else:
        found = _look(view, bystanders if child is None else [*bystanders, child], None)
    if found is None or (not occluded and found.occlusion > MOST_INCIDENTAL):
        return None
    if child is not None and found.hider is not child:
        bystanders = [*bystanders, child]
    return Shot(posed, heading, fragments, view, bystanders, found)
