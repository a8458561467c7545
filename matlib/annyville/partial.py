"""Partial pictures: the part of an occluded picture that shows the person, as an operator would cut it out.

One straight cut along the picture's rows or columns, from edge to edge; what lies on one side of it remains, in its
own size and not stretched. The side and the cut are those that keep most of the visible body, where

* at most a tenth of the body's pixels in the part that remains are hidden, and
* between a fifth and four fifths of the body's pixels in the whole picture remain visible.

In annyville-partial-pairs each of the four sides may remain, as in Partial-REID. In annyville-partial-single it is
always the upper one, as in Partial-iLIDS (which cuts all its pictures at seven tenths of their height; here the cut
follows what hides the person). A picture that no such cut suits is drawn again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from .render import Picture
from .truth import HIDDEN, SURFACE_UNIT

SIDES = {"partial-pairs": ("upper", "lower", "left", "right"), "partial-single": ("upper",)}
MOST_HIDDEN = 0.1
LEAST_KEPT, MOST_KEPT = 0.2, 0.8


@dataclass(frozen=True)
class Cut:
    """side: of the picture, which remains. box: left, top, right, bottom of what remains, in pixels of the picture.
    kept: share of the body's pixels in the whole picture (hidden ones too) that are visible in what remains."""

    side: str
    box: tuple[int, int, int, int]
    kept: float


def find_cut(mask: UInt8[np.ndarray, "h w"], sides: tuple[str, ...]) -> Cut | None:
    """The best cut of a picture with this truth mask; None where there is none (see the module's text).

    Of two cuts that keep the same, the one that leaves the smaller picture is taken.
    """
    body, hidden = (mask > 0) & (mask <= HIDDEN), mask == HIDDEN
    best: Cut | None = None
    for side in sides:
        axis = 1 if side in ("upper", "lower") else 0
        turn = slice(None, None, 1 if side in ("upper", "left") else -1)
        whole, lost = (np.cumsum(m.sum(axis)[turn]) for m in (body, hidden))
        kept = (whole - lost) / max(1, body.sum())
        allowed = (lost <= MOST_HIDDEN * whole) & (kept >= LEAST_KEPT) & (kept <= MOST_KEPT)
        if not allowed.any():
            continue
        lines = int(np.argmax(np.where(allowed, kept, 0))) + 1
        if best is None or kept[lines - 1] > best.kept:
            best = Cut(side, _box(side, lines, *mask.shape), float(kept[lines - 1]))
    return best


def _box(side: str, lines: int, height: int, width: int) -> tuple[int, int, int, int]:
    return {
        "upper": (0, 0, width, lines),
        "lower": (0, height - lines, width, height),
        "left": (0, 0, lines, height),
        "right": (width - lines, 0, width, height),
    }[side]


def cut_out(picture: Picture, cut: Cut) -> Picture:
    """What remains of a picture, with its truth: points outside get visibility 0, and `occlusion` is the hidden share
    of the body's pixels that remain."""
    left, top, right, bottom = cut.box
    with Image.open(BytesIO(picture.jpeg)) as whole:
        part = whole.crop(cut.box)
    stream = BytesIO()
    part.save(stream, "JPEG", quality=95, subsampling=0)
    mask = picture.mask[top:bottom, left:right]
    body = ((mask > 0) & (mask <= HIDDEN)).sum()
    x, y, w, h = picture.box
    height, width = picture.mask.shape
    return dataclasses.replace(
        picture,
        jpeg=stream.getvalue(),
        mask=mask,
        keypoints=_moved(picture.keypoints, cut, 1),
        surface=_moved(picture.surface, cut, round(1 / SURFACE_UNIT)),
        occlusion=float((mask == HIDDEN).sum() / max(1, body)),
        box=(x + left * w / width, y + top * h / height, (right - left) * w / width, (bottom - top) * h / height),
    )


def _moved(points: np.ndarray, cut: Cut, steps: int) -> np.ndarray:
    """Points (n, 3), x and y in so many steps a pixel, and visibility, in what remains."""
    left, top, right, bottom = (steps * edge for edge in cut.box)
    moved = points.copy()
    moved[:, :2] -= (left, top)
    x, y = moved[:, 0], moved[:, 1]
    moved[(x < 0) | (x >= right - left) | (y < 0) | (y >= bottom - top), 2] = 0
    return moved
