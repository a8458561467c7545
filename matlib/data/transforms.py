"""The image operations of section 4.2, with keypoints moved along.

Until the last step, a keypoint is (x, y, v) in pixels, (0, 0) being the image's corner and (0.5, 0.5) the
centre of the first pixel; v is COCO's visibility: 2 visible, 1 hidden, 0 outside the image. What the paper
leaves open follows the strong baseline of Luo et al. (CVPR workshops 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: left before right in each pair
COCO_MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)

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


def resize_image(image: UInt8[Tensor, "3 h0 w0"], size: tuple[int, int]) -> UInt8[Tensor, "3 h w"]:
    """The image at ``size`` = (height, width), bilinear, antialiased, without keeping its aspect ratio."""
    return F.resize(image, list(size), interpolation=F.InterpolationMode.BILINEAR, antialias=True)


def resize_keypoints(
    keypoints: Float[Tensor, "k 3"], source: tuple[int, int], size: tuple[int, int]
) -> Float[Tensor, "k 3"]:
    """Keypoints of an image of ``source`` = (height, width) that is resized to ``size``."""
    scale = torch.tensor([size[1] / source[1], size[0] / source[0]], dtype=keypoints.dtype)
    return torch.cat([keypoints[:, :2] * scale, keypoints[:, 2:]], dim=1)


def normalise_image(image: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Values 0..255 as ImageNet networks want them: channel mean 0 and deviation 1 over ImageNet."""
    return F.normalize(F.to_dtype(image, torch.float32, scale=True), list(IMAGENET_MEAN), list(IMAGENET_STD))


def normalise_keypoints(keypoints: Float[Tensor, "k 3"], size: tuple[int, int]) -> Float[Tensor, "k 3"]:
    """Positions with the outer pixels' centres at -1 and 1 (corner-aligned); visibility 0 outside."""
    last = torch.tensor([size[1] - 1, size[0] - 1], dtype=keypoints.dtype)
    positions = (2 * keypoints[:, :2] - 1) / last - 1
    inside = (positions.abs() <= 1).all(dim=1)
    return torch.cat([positions, (keypoints[:, 2] * inside)[:, None]], dim=1)


def augment(
    image: UInt8[Tensor, "3 h w"],
    keypoints: Float[Tensor, "k 3"] | None,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "k 3"] | None]:
    """One random variation: flip, pad and crop, normalise, erase (with 0, by then the ImageNet mean).

    Keypoints, where given (COCO's 17), move along: a flip swaps left and right, and a visible one in the
    erased rectangle becomes hidden. They stay in pixels. All randomness is drawn from ``generator``.
    """
    height, width = image.shape[-2:]
    if generator.random() < augmentation.flip:
        image = F.horizontal_flip(image)
        keypoints = None if keypoints is None else _flip_keypoints(keypoints, width)
    top, left = (int(offset) for offset in generator.integers(0, 2 * augmentation.pad + 1, size=2))
    image = F.crop(F.pad(image, [augmentation.pad] * 4), top, left, height, width)
    if keypoints is not None:
        shift = torch.tensor([augmentation.pad - left, augmentation.pad - top, 0], dtype=keypoints.dtype)
        keypoints = keypoints + shift
    image = normalise_image(image)
    if generator.random() < augmentation.erasing:
        box = _erasing_box(height, width, augmentation, generator)
        if box is not None:
            image = F.erase(image, *box, v=torch.zeros((), dtype=image.dtype))
            keypoints = None if keypoints is None else _hide_keypoints(keypoints, *box)
    return image, keypoints


def _flip_keypoints(keypoints: Float[Tensor, "17 3"], width: int) -> Float[Tensor, "17 3"]:
    flipped = keypoints[list(COCO_MIRROR)]
    return torch.cat([width - flipped[:, :1], flipped[:, 1:]], dim=1)


def _hide_keypoints(
    keypoints: Float[Tensor, "k 3"], top: int, left: int, height: int, width: int
) -> Float[Tensor, "k 3"]:
    column, row = keypoints[:, 0].floor(), keypoints[:, 1].floor()
    covered = (column >= left) & (column < left + width) & (row >= top) & (row < top + height)
    visibility = torch.where(covered, keypoints[:, 2].clamp(max=1), keypoints[:, 2])
    return torch.cat([keypoints[:, :2], visibility[:, None]], dim=1)


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
