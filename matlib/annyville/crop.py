"""A window of the frame: the box of a detector, and what is seen through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from .camera import FRAME_HEIGHT, Camera
from .mesh import Mesh
from .raster import Fragments, rasterize

LOOSE, TRUNCATED = 0.12, 0.07  # shares of boxes that are far too large, and that miss the feet or the head


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


def draw_box(frame_xy: np.ndarray, height: int, width: int, rng: np.random.Generator) -> Crop:
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


def spoil_box(crop: Crop, rng: np.random.Generator) -> Crop:
    """The box of a failing detector: half beside the person, on one body part, or far too large."""
    width, height = crop.width / crop.scale, crop.height / crop.scale
    grow = float(rng.choice([0.45, 0.8, 1.7]) * rng.uniform(0.85, 1.15))
    away = rng.choice([-1, 1], 2) * rng.uniform(0.45, 0.85, 2) * np.array([width, 0.55 * height])
    if grow < 0.6:
        away *= 0.45
    x, y = crop.left + width / 2 + away[0], crop.top + height / 2 + away[1]
    return Crop(x - grow * width / 2, y - grow * height / 2, crop.scale / grow, crop.height, crop.width)


def rasterize_mesh(mesh: Mesh, camera: Camera, crop: Crop) -> Fragments:
    """What the camera sees of a mesh alone, in the crop's pixels."""
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


def cut_background(background: UInt8[np.ndarray, "h w 4"], crop: Crop) -> tuple[Image.Image, Image.Image]:
    """The crop's part of the empty view, colours and plants, at the crop's size; beyond the frame its edge is
    repeated."""
    scale = background.shape[0] / FRAME_HEIGHT
    x0, y0, x1, y1 = scale * np.array([crop.left, crop.top, crop.right, crop.bottom])
    first_row, first_column = int(np.floor(y0)) - 1, int(np.floor(x0)) - 1
    rows = np.clip(np.arange(first_row, int(np.ceil(y1)) + 2), 0, background.shape[0] - 1)
    columns = np.clip(np.arange(first_column, int(np.ceil(x1)) + 2), 0, background.shape[1] - 1)
    piece = background[rows[:, None], columns]
    corners = (x0 - first_column, y0 - first_row, x1 - first_column, y1 - first_row)
    colours, plants = (
        Image.fromarray(np.ascontiguousarray(channels)).resize(
            (crop.width, crop.height), Image.Resampling.BILINEAR, box=corners
        )
        for channels in (piece[..., :3], piece[..., 3])
    )
    return colours, plants
