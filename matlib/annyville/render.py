"""One picture with its truth: a person walks through a camera's view, is occluded or not, and is cut out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int16, UInt8
from PIL import Image

from .camera import Camera
from .crop import Crop, cut_background
from .crowd import Town
from .labels import label_parts
from .season import Season, draw_season
from .sensor import degrade, expose
from .shading import shade
from .shadows import cast_shadows
from .shot import Shot, try_shot
from .surface import surface_truth
from .truth import HIDDEN, OCCLUDER
from .wardrobe import CARRIED
from .weather import moment

SUPERSAMPLING = 1.25
KEYPOINT_TOLERANCE = 0.17  # metres: a keypoint lies inside the body, behind the surface that shows it
LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


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


def _empty_view(
    background: UInt8[np.ndarray, "h w 4"], crop: Crop, season: Season, tint: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 n"]:
    """Linear colour of the view without people in it, in a season and in the light of a moment."""
    empty, plant = (np.asarray(image) for image in cut_background(background, crop))
    empty = empty.reshape(-1, 3)
    light = np.stack([np.take(LINEAR * np.float32(tint[c]), empty[:, c]) for c in range(3)])
    green = np.flatnonzero(plant) if season.share else ()
    if len(green):
        light[:, green] = season.turned(light[:, green], plant.ravel()[green] / np.float32(255))
    return light


def _paint(
    shot: Shot, camera: Camera, empty: Float[np.ndarray, "3 n"], rng: np.random.Generator
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """The picture before it is degraded; of the target's pixels, hidden or not, the parts and the mean-body
    coordinates. camera: in the light of the moment; empty: linear colour of the view without people in it."""
    view, found, mesh = shot.view, shot.found, shot.person.mesh
    crop = view.crop
    casters = [mesh, *shot.bystanders] + ([found.hider] if found.hider is not None else [])
    light = empty * (1 - cast_shadows(casters, camera, crop).ravel())
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
    image = Image.fromarray(expose(light.reshape(3, crop.height, crop.width), camera, crop, drift))
    return image, parts, solid[:3].T


def _surface_truth(shot: Shot, parts: np.ndarray, places: np.ndarray, out_height: int) -> np.ndarray:
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


def _truth_mask(shot: Shot, parts: np.ndarray) -> UInt8[np.ndarray, "h w"]:
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
    season = draw_season(town.person(identity).outfit.season, rng)
    tries = (try_shot(town, identity, camera, season, rng, size, occluded, bad_box) for _ in range(200))
    shot = next((s for s in tries if s is not None), None)
    if shot is None:
        raise RuntimeError(f"no picture of identity {identity} by camera {camera.name!r} in 200 draws")
    return photograph(shot, camera_index, rng, height, width)


def photograph(shot: Shot, camera_index: int, rng: np.random.Generator, height: int, width: int) -> Picture:
    """The picture of a shot by its camera, and its truth; light, blur and noise come from `rng`."""
    town, camera, crop, found = shot.view.town, shot.view.camera, shot.view.crop, shot.found
    lit, tint = moment(camera, rng)
    light = _empty_view(town.background(camera_index), crop, shot.view.season, tint)
    image, parts, places = _paint(shot, lit, light, rng)
    mask = Image.fromarray(_truth_mask(shot, parts)).resize((width, height), Image.Resampling.NEAREST)
    shape = (crop.height, crop.width)
    nearest = np.minimum(shot.view.depth, found.depth).reshape(shape)
    return Picture(
        jpeg=degrade(image, camera, camera.detail * crop.height / crop.scale, (width, height), rng),
        mask=np.asarray(mask),
        keypoints=_keypoint_truth(camera, crop, shot.person.keypoints, nearest, height),
        surface=_surface_truth(shot, parts, places, height),
        occlusion=found.occlusion,
        occluder=found.kind,
        yaw=shot.yaw,
        box=(crop.left, crop.top, crop.right - crop.left, crop.bottom - crop.top),
    )
