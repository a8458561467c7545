"""The image operations of section 4.2, with all that is known of an image moved along.

Until the last step, a keypoint is (x, y, v) in pixels, (0, 0) being the image's corner and (0.5, 0.5) the
centre of the first pixel; v is COCO's visibility: 2 visible, 1 hidden, 0 outside the image. What the paper
leaves open follows the strong baseline of Luo et al. (CVPR workshops 2019). torchvision's own key points
are not used: they resize in this frame, but flip in one whose first pixel is at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from matlib.data.truth import HIDDEN, NUM_PARTS, OTHER_OCCLUDER, TARGET_HIDDEN

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: left before right in each pair
COCO_MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)

# parts 0..13: background, head, torso, upper arms, forearms, thighs, shanks, feet, carried; left before right
PART_MIRROR = (0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 13)

NO_LABEL = 255
"""Of ``Variation.cells``, where nothing of the image is."""
_NO_LABEL = torch.tensor(NO_LABEL, dtype=torch.uint8)

_MIRRORED_LABELS = torch.arange(256, dtype=torch.uint8)
_MIRRORED_LABELS[: len(PART_MIRROR)] = torch.tensor(PART_MIRROR, dtype=torch.uint8)
_ERASING_ATTEMPTS = 100


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied."""

    flip: float = 0.5
    """Probability of a horizontal flip."""
    pad: int = 10
    """Pixels of black added on each side before a random crop of the original size."""
    erasing: float = 0.5
    """Probability that a random rectangle is erased (Zhong et al., AAAI 2020)."""
    erasing_area: tuple[float, float] = (0.02, 0.4)
    """Its area, as a share of the image's."""
    erasing_aspect: tuple[float, float] = (0.3, 1 / 0.3)
    """Its height over its width."""


def surface_mirror(count: int) -> list[int]:
    """The mirror of surface points, whose left half stands first."""
    return [*range(count // 2, count), *range(count // 2)]


def resize_image(image: UInt8[Tensor, "3 h0 w0"], size: tuple[int, int]) -> UInt8[Tensor, "3 h w"]:
    """The image at ``size`` = (height, width), bilinear, antialiased, without keeping its aspect ratio."""
    return F.resize(image, list(size), interpolation=F.InterpolationMode.BILINEAR, antialias=True)


def resize_points(
    points: Float[Tensor, "k 3"], source: tuple[int, int], size: tuple[int, int]
) -> Float[Tensor, "k 3"]:
    """Points of an image of ``source`` = (height, width) that is resized to ``size``."""
    scale = torch.tensor([size[1] / source[1], size[0] / source[0]], dtype=points.dtype)
    return torch.cat([points[:, :2] * scale, points[:, 2:]], dim=1)


def resize_labels(labels: UInt8[Tensor, "h0 w0"], size: tuple[int, int]) -> UInt8[Tensor, "h w"]:
    """The mask at ``size`` = (height, width): each pixel has the label at its centre."""
    return F.resize(labels[None], list(size), interpolation=F.InterpolationMode.NEAREST_EXACT)[0]


def normalise_image(image: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Values 0..255 as ImageNet networks want them: channel mean 0 and deviation 1 over ImageNet."""
    return F.normalize(F.to_dtype(image, torch.float32, scale=True), list(IMAGENET_MEAN), list(IMAGENET_STD))


def normalise_points(points: Float[Tensor, "k 3"], size: tuple[int, int]) -> Float[Tensor, "k 3"]:
    """Positions with the outer pixels' centres at -1 and 1 (corner-aligned); visibility 0 outside."""
    last = torch.tensor([size[1] - 1, size[0] - 1], dtype=points.dtype)
    positions = (2 * points[:, :2] - 1) / last - 1
    inside = (positions.abs() <= 1).all(dim=1)
    return torch.cat([positions, (points[:, 2] * inside)[:, None]], dim=1)


@dataclass(frozen=True)
class Variation:
    """One draw of an ``Augmentation``, which acts alike on an image and on all that is known of it.

    In this order: flip, pad and crop to the size before, erase. The default changes nothing.
    """

    flip: bool = False
    pad: int = 0
    """Pixels added on each side."""
    top: int = 0
    left: int = 0
    """The crop's corner in the padded image."""
    erased: tuple[int, int, int, int] | None = None
    """Top, left, height and width of the erased rectangle in the cropped image."""

    @classmethod
    def draw(
        cls, augmentation: Augmentation, size: tuple[int, int], generator: np.random.Generator
    ) -> Variation:
        """A random variation of images of ``size`` = (height, width); all randomness is ``generator``'s."""
        flip = bool(generator.random() < augmentation.flip)
        top, left = (int(offset) for offset in generator.integers(0, 2 * augmentation.pad + 1, size=2))
        erases = generator.random() < augmentation.erasing
        erased = _erasing_box(*size, augmentation, generator) if erases else None
        return cls(flip, augmentation.pad, top, left, erased)

    def image(self, image: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The varied image, normalised: black where it was padded, 0 (ImageNet's mean) where it is erased."""
        image = normalise_image(self._framed(image))
        return image if self.erased is None else F.erase(image, *self.erased, v=torch.zeros((), dtype=image.dtype))

    def points(
        self, points: Float[Tensor, "k 3"], width: int, mirror: Sequence[int] | None = None
    ) -> Float[Tensor, "k 3"]:
        """Points in pixels of an image ``width`` wide; one in the erased rectangle that was visible is hidden.

        ``mirror`` says which point each becomes in a flipped image (a left wrist looks like a right one), such
        as ``COCO_MIRROR``; with None each keeps its place.
        """
        x, y, visibility = points.unbind(1)
        if self.flip:
            x = width - x
        x, y = x + (self.pad - self.left), y + (self.pad - self.top)
        if self.erased is not None:
            top, left, height, box_width = self.erased
            column, row = x.floor(), y.floor()
            covered = (column >= left) & (column < left + box_width) & (row >= top) & (row < top + height)
            visibility = torch.where(covered, visibility.clamp(max=HIDDEN), visibility)
        moved = torch.stack([x, y, visibility], dim=1)
        return moved[list(mirror)] if self.flip and mirror is not None else moved

    def labels(self, labels: UInt8[Tensor, "h w"]) -> UInt8[Tensor, "h w"]:
        """A mask as in ``Truth.labels``: a flip swaps left and right parts, and an erased rectangle is an occluder.

        So erased pixels of the person are hidden ones (64), the others an occluder's (128), and padding is
        background (0).
        """
        labels = self._framed(labels[None])[0]
        if self.flip:
            labels = _MIRRORED_LABELS[labels.long()]
        if self.erased is not None:
            top, left, height, width = self.erased
            labels = labels.clone()
            box = labels[top : top + height, left : left + width]
            person = ((box > 0) & (box <= NUM_PARTS)) | (box == TARGET_HIDDEN)
            box.copy_(torch.where(person, TARGET_HIDDEN, OTHER_OCCLUDER))
        return labels

    def cells(self, labels: UInt8[Tensor, "h w"]) -> UInt8[Tensor, "h w"]:
        """Labels without a meaning of their own, as of clusters: ``NO_LABEL`` where there is nothing of the image."""
        labels = self._framed(labels[None], NO_LABEL)[0]
        return labels if self.erased is None else F.erase(labels[None], *self.erased, v=_NO_LABEL)[0]

    def yaw(self, yaw: float) -> float:
        """Where the person faces, in degrees, 0 to the camera: a flip mirrors it."""
        return -yaw if self.flip else yaw

    def _framed(self, image: UInt8[Tensor, "c h w"], fill: int = 0) -> UInt8[Tensor, "c h w"]:
        """Flipped, padded, and cropped."""
        height, width = image.shape[-2:]
        if self.flip:
            image = F.horizontal_flip(image)
        if self.pad:
            image = F.crop(F.pad(image, [self.pad] * 4, fill=fill), self.top, self.left, height, width)
        return image


def _erasing_box(
    height: int, width: int, augmentation: Augmentation, generator: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Top, left, height and width of a rectangle inside the image; None if no draw fitted."""
    for _ in range(_ERASING_ATTEMPTS):
        area = height * width * generator.uniform(*augmentation.erasing_area)
        aspect = generator.uniform(*augmentation.erasing_aspect)
        box_height, box_width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < box_height < height and 0 < box_width < width:
            top = int(generator.integers(0, height - box_height + 1))
            left = int(generator.integers(0, width - box_width + 1))
            return top, left, box_height, box_width
    return None
