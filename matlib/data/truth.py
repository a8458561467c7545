"""The labels that come with a rendered set: what no photograph has.

Beside the image folders of a set lies ``truth``, with a PNG for each image, ``truth/<folder>/<stem>.png``,
and a JSON file and an array for each folder, ``truth/<folder>.json`` and ``truth/<folder>.surface.npy``.
Where identities have folders of their own (Occluded-REID's ``occluded_body_images/001/001_01.tif``), the truth lies
flat all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int16, UInt8
from torch import Tensor

from matlib.data.formats import open_picture
from matlib.data.samples import Sample
from matlib.errors import MatlibError

NUM_PARTS = 13
TARGET_HIDDEN = 64
OTHER_OCCLUDER = 128
VISIBLE, HIDDEN, OUTSIDE = 2, 1, 0
"""COCO's visibility of a point."""
SURFACE_UNIT = 1 / 16
"""Pixels a step of the stored positions of surface points."""


class Truth:
    """The labels of one rendered image.

    Attributes
    ----------
    keypoints: (17, 3), COCO's order: x and y in pixels, (0.5, 0.5) being the centre of the first pixel, and
        visibility 2 visible, 1 hidden (by the person's own body as well), 0 outside the image.
    occlusion: the share of the person that an occluder hides, in [0, 1].
    occluder: what hides it, or None.
    yaw: where the person faces, in degrees, -180..180; 0 is to the camera.

    Raises MatlibError where the image has no labels, as photographs have none, or damaged ones.
    """

    def __init__(self, sample: Sample) -> None:
        split = split_folder(sample.path)
        labels = _folder_labels(split, sample.path)
        if sample.path.name not in labels:
            raise MatlibError(
                f"{_labels_path(split)} says nothing about {sample.path.name}: render the set again"
            )
        label: dict[str, Any] = labels[sample.path.name]
        self._split, self._name = split, sample.path.name
        self._mask_path = split.parent / "truth" / split.name / f"{sample.path.stem}.png"
        try:
            keypoints = torch.tensor(label["keypoints"], dtype=torch.float32)
            self.keypoints: Float[Tensor, "17 3"] = keypoints.reshape(17, 3)
            self.occlusion = float(label["occlusion"])
            self.occluder: str | None = label["occluder"]
            self.yaw = float(label["yaw"])
            _check_ranges(keypoints, self.occlusion, self.yaw)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise MatlibError(
                f"{_labels_path(split)} is damaged at {sample.path.name}; render the set again ({error})"
            ) from error

    @property
    def labels(self) -> UInt8[Tensor, "h w"]:
        """The mask as stored: 0 background, 1..13 parts, 64 the person hidden, 128 an occluder elsewhere."""
        try:
            with open_picture(self._mask_path) as mask:
                labels = torch.from_numpy(np.array(mask.convert("L")))
        except (OSError, SyntaxError, ValueError) as error:
            raise MatlibError(
                f"the mask {self._mask_path} cannot be read; render the set again ({error})"
            ) from error
        known = (labels <= NUM_PARTS) | (labels == TARGET_HIDDEN) | (labels == OTHER_OCCLUDER)
        if not known.all():
            raise MatlibError(
                f"the mask {self._mask_path} holds the label {int(labels[~known][0])}, which means nothing;"
                " render the set again"
            )
        return labels

    @property
    def surface(self) -> Float[Tensor, "s 3"]:
        """The same points of the skin on every person: x, y and visibility as of ``keypoints``.

        Half of them lie on the left half of the body; points i and i + s / 2 mirror each other. Raises MatlibError
        where the set has none, or a damaged file.
        """
        path = _labels_path(self._split).with_suffix(".surface.npy")
        try:
            steps = _read_surface(path, path.stat().st_mtime_ns)[_row_of(self._split, self._name)]
        except FileNotFoundError:
            raise MatlibError(f"there is no {path}: this version renders it; render the set again") from None
        except (OSError, ValueError, EOFError, IndexError) as error:
            raise MatlibError(f"{path} cannot be read; render the set again ({error})") from error
        seen = torch.where(torch.tensor(steps[:, 2] > 0), VISIBLE, HIDDEN)
        xy = torch.tensor(steps[:, :2], dtype=torch.float32) * SURFACE_UNIT
        return torch.cat([xy, seen[:, None].float()], dim=1)

    @property
    def parts(self) -> UInt8[Tensor, "h w"]:
        """``parts_of`` the mask."""
        return parts_of(self.labels)

    @property
    def hidden(self) -> Bool[Tensor, "h w"]:
        """``hidden_of`` the mask."""
        return hidden_of(self.labels)

    @property
    def occluders(self) -> Bool[Tensor, "h w"]:
        """``occluders_of`` the mask."""
        return occluders_of(self.labels)


def _check_ranges(keypoints: Float[Tensor, "17 3"], occlusion: float, yaw: float) -> None:
    """Raise ValueError for numbers that no picture has."""
    if not 0 <= occlusion <= 1:
        raise ValueError(f"the occlusion is {occlusion}, not between 0 and 1")
    if not -180 <= yaw <= 180:
        raise ValueError(f"the yaw is {yaw}, not between -180 and 180")
    if not keypoints.isfinite().all():
        raise ValueError("a keypoint is not finite")


def split_folder(image: Path) -> Path:
    """The folder of its set that an image is in, such as ``query``: its own, or the one above."""
    return next((p for p in image.parents[:2] if (p.parent / "truth").is_dir()), image.parent)


def is_rendered(samples: Iterable[Sample]) -> bool:
    """Whether all of the images come with the truth of a rendered set."""
    return all((split_folder(sample.path).parent / "truth").is_dir() for sample in samples)


def parts_of(labels: UInt8[Tensor, "*b h w"]) -> UInt8[Tensor, "*b h w"]:
    """The visible part at each pixel, 1..13, and 0 for all that is not the person."""
    return torch.where(labels <= NUM_PARTS, labels, 0)


def hidden_of(labels: UInt8[Tensor, "*b h w"]) -> Bool[Tensor, "*b h w"]:
    """Where the person is, but hidden."""
    return labels == TARGET_HIDDEN


def occluders_of(labels: UInt8[Tensor, "*b h w"]) -> Bool[Tensor, "*b h w"]:
    """Where an occluder is, in front of the person or beside."""
    return (labels == TARGET_HIDDEN) | (labels == OTHER_OCCLUDER)


def _labels_path(split: Path) -> Path:
    return split.parent / "truth" / f"{split.name}.json"


def _folder_labels(split: Path, image: Path) -> dict[str, Any]:
    path = _labels_path(split)
    try:
        return _read_labels(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise MatlibError(
            f"{image} has no labels: there is no {path}; only rendered (Annyville) sets have them"
        ) from None
    except (OSError, ValueError) as error:
        raise MatlibError(f"{path} cannot be read as labels; render the set again ({error})") from error


@lru_cache(maxsize=8)
def _read_labels(path: Path, modified: int) -> dict[str, Any]:
    """The labels of a folder; ``modified`` is there so that a file that changed is read again."""
    labels = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(labels, dict):
        raise ValueError("it holds no object")
    return labels


@lru_cache(maxsize=8)
def _read_surface(path: Path, modified: int) -> Int16[np.ndarray, "n s 3"]:
    """The points of a folder's images, in the order of its labels; read from the disk as they are used."""
    points = np.load(path, mmap_mode="r")
    if not isinstance(points, np.ndarray) or points.dtype != np.int16 or points.shape[2:] != (3,):
        raise ValueError("it holds no points")
    return points


def _row_of(split: Path, name: str) -> int:
    path = _labels_path(split)
    return _rows(path, path.stat().st_mtime_ns)[name]


@lru_cache(maxsize=8)
def _rows(path: Path, modified: int) -> dict[str, int]:
    return {name: row for row, name in enumerate(_read_labels(path, modified))}
