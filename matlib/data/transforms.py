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
    erase_with: str = "mean"
    """What it shows: ImageNet's mean, or what stands there in another training ``image``, which hides as things do."""
    crop: float = 0.0
    """Probability that the image is cut to a part of it, which is scaled to the image's size, as a box that a detector
    drew around what it saw of a person."""
    crop_height: tuple[float, float] = (0.4, 1.0)
    crop_width: tuple[float, float] = (0.6, 1.0)
    """The part's height and width as shares of the image's."""
    colour: float = 0.0
    """How far brightness, contrast and saturation are shifted: the factor of each is drawn from 1 - colour to
    1 + colour, as other cameras and other light would have it."""


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

    In this order: flip, pad and crop to the size before, cut to a part and scale, shift the colours, erase. The default
    changes nothing.
    """

    flip: bool = False
    pad: int = 0
    """Pixels added on each side."""
    top: int = 0
    left: int = 0
    """The crop's corner in the padded image."""
    erased: tuple[int, int, int, int] | None = None
    """Top, left, height and width of the erased rectangle in the cropped image."""
    part: tuple[int, int, int, int] | None = None
    """Top, left, height and width of the part that is kept of the image."""
    donor: float | None = None
    """In [0, 1): which of the training images shows in the erased rectangle."""
    colours: tuple[float, float, float] | None = None
    """Factors of brightness, contrast and saturation."""

    @classmethod
    def draw(
        cls, augmentation: Augmentation, size: tuple[int, int], generator: np.random.Generator
    ) -> Variation:
        """A random variation of images of ``size`` = (height, width); all randomness is ``generator``'s."""
        flip = bool(generator.random() < augmentation.flip)
        top, left = (int(offset) for offset in generator.integers(0, 2 * augmentation.pad + 1, size=2))
        erases = generator.random() < augmentation.erasing
        erased = _erasing_box(*size, augmentation, generator) if erases else None
        part = donor = colours = None  # drawn last, and only where wanted: what was drawn before stays as it was
        if augmentation.crop and generator.random() < augmentation.crop:
            part = _part_box(*size, augmentation, generator)
        if augmentation.erase_with == "image" and erased is not None:
            donor = float(generator.random())
        if augmentation.colour:
            low, high = 1 - augmentation.colour, 1 + augmentation.colour
            colours = tuple(generator.uniform(low, high, size=3).tolist())
        return cls(flip, augmentation.pad, top, left, erased, part, donor, colours)

    def image(self, image: UInt8[Tensor, "3 h w"], donor: UInt8[Tensor, "3 h w"] | None = None
              ) -> Float[Tensor, "3 h w"]:
        """The varied image, normalised: black where it was padded, 0 (ImageNet's mean) where it is erased, or what
        ``donor`` shows there."""
        image = normalise_image(self._coloured(self._framed(image)))
        if self.erased is None:
            return image
        top, left, height, width = self.erased
        patch = torch.zeros((), dtype=image.dtype) if donor is None else normalise_image(
            donor[:, top:top + height, left:left + width])
        return F.erase(image, *self.erased, v=patch)

    def points(
        self, points: Float[Tensor, "k 3"], size: tuple[int, int], mirror: Sequence[int] | None = None
    ) -> Float[Tensor, "k 3"]:
        """Points in pixels of an image of ``size`` = (height, width); one in the erased rectangle that was visible is
        hidden.

        ``mirror`` says which point each becomes in a flipped image (a left wrist looks like a right one), such
        as ``COCO_MIRROR``; with None each keeps its place.
        """
        x, y, visibility = points.unbind(1)
        width = size[1]
        if self.flip:
            x = width - x
        x, y = x + (self.pad - self.left), y + (self.pad - self.top)
        if self.part is not None:
            top, left, height, box_width = self.part
            x, y = (x - left) * width / box_width, (y - top) * size[0] / height
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

    def _coloured(self, image: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 h w"]:
        if self.colours is None:
            return image
        brightness, contrast, saturation = self.colours
        image = F.adjust_contrast(F.adjust_brightness(image, brightness), contrast)
        return F.adjust_saturation(image, saturation)

    def _framed(self, image: UInt8[Tensor, "c h w"], fill: int = 0) -> UInt8[Tensor, "c h w"]:
        """Flipped, padded, cropped, and cut to the part; labels (one channel) keep their values."""
        height, width = image.shape[-2:]
        if self.flip:
            image = F.horizontal_flip(image)
        if self.pad:
            image = F.crop(F.pad(image, [self.pad] * 4, fill=fill), self.top, self.left, height, width)
        if self.part is not None:
            top, left, part_height, part_width = self.part
            resize = resize_image if len(image) == 3 else lambda part, size: resize_labels(part[0], size)[None]
            image = resize(image[:, top:top + part_height, left:left + part_width], (height, width))
        return image


def _part_box(
    height: int, width: int, augmentation: Augmentation, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of what is kept of an image."""
    kept = [max(1, round(full * generator.uniform(*shares)))
            for full, shares in ((height, augmentation.crop_height), (width, augmentation.crop_width))]
    top, left = (int(generator.integers(0, full - part + 1)) for full, part in zip((height, width), kept))
    return top, left, *kept


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
