"""The file beside a set that holds what a pose detector has found in its images: ``<set's folder>.joints.json``.

It may come from any detector; ``python -m matlib.data.joints.detect`` writes it with torchvision's::

    {"detector": "keypointrcnn_resnet50_fpn",
     "threshold": 2.0,
     "images": {"query/0001_c1_f0000001.jpg": [[31.5, 12.0, 7.1], ... 17 joints in COCO's order ...],
                "query/0001_c2_f0000044.jpg": null}}

Images are named by their path from the set's folder; whole paths are read as well. A joint is x and y in
pixels of the image, (0.5, 0.5) being the centre of the first pixel, and the detector's score; from the threshold on it
counts as detected. ``null`` is an image in which nobody was found.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from matlib.data.fingerprints import LENGTH, image_name
from matlib.data.samples import ReIDDataset, Sample
from matlib.data.truth import OUTSIDE, VISIBLE
from matlib.errors import MatlibError
from matlib.runs.records import write_atomically


@dataclass
class Detections:
    """The content of a file of detections, and where it belongs."""

    dataset: ReIDDataset
    detector: str
    threshold: float
    images: dict[str, list[list[float | int]] | None] = field(default_factory=dict)
    place: Path | None = None  # of the file, where it does not lie beside the set

    @property
    def path(self) -> Path:
        return self.place or cache_path(self.dataset)

    def joints(self, sample: Sample) -> Float[Tensor, "17 3"]:
        """An image's joints as of ``Truth.keypoints``, 2 where detected, else 0. MatlibError for an unknown image."""
        name = image_name(sample.path, self.dataset.root)
        if name not in self.images:
            raise MatlibError(f"{self.path} says nothing about {name}: run "
                              f"`{detection_command(self.dataset)}`, which goes on where it stopped")
        found = self.images[name]
        if found is None:
            return torch.zeros(17, 3)
        joints = torch.tensor(found, dtype=torch.float32)
        joints[:, 2] = torch.where(joints[:, 2] >= self.threshold, VISIBLE, OUTSIDE)
        return joints

    @property
    def origin(self) -> str:
        """In words, with a digest of all joints."""
        digest = hashlib.sha256(json.dumps([self.threshold, self.images], sort_keys=True).encode()).hexdigest()
        return f"{self.detector} ({digest[:LENGTH]})"

    def write(self) -> None:
        """All at once or not at all. Raises MatlibError where the disk does not take it."""
        content = {"detector": self.detector, "threshold": self.threshold, "images": self.images}
        write_atomically(self.path, json.dumps(content).encode())


def cache_path(dataset: ReIDDataset) -> Path:
    return dataset.root.with_name(f"{dataset.root.name}.joints.json")


def detection_command(dataset: ReIDDataset) -> str:
    """What writes the file."""
    kind = dataset.name.partition(":")[0]  # of one's own sets, as csv:mine
    root = "YOUR.csv" if kind == "csv" else dataset.root
    return f"python -m matlib.data.joints.detect --dataset {kind} --root {root}"


def read_cache(dataset: ReIDDataset, place: Path | None = None) -> Detections:
    """The file beside the set, or another one for it.

    Raises MatlibError, with the command that makes it, where the file is missing, and where it is damaged.
    """
    path = place or cache_path(dataset)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        detections = Detections(dataset, str(content["detector"]), float(content["threshold"]), dict(content["images"]),
                                place)
        detections.images = {_name(name, dataset): joints for name, joints in detections.images.items()}
        for name, joints in detections.images.items():
            if joints is not None and not _whole(joints):
                raise ValueError(f"{name} has not 17 joints of 3 numbers")
        return detections
    except FileNotFoundError:
        raise MatlibError(f"there is no {path}: run `{detection_command(dataset)}`, or write it from another "
                          "detector's results as matlib/data/joints/joint_cache.py says") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MatlibError(f"{path} is damaged ({error}); delete it and run `{detection_command(dataset)}`") from None


def _name(name: str, dataset: ReIDDataset) -> str:
    return image_name(Path(name), dataset.root.absolute()) if os.path.isabs(name) else name


def _whole(joints: list[list[float | int]]) -> bool:
    numbers = np.array(joints, dtype=float)
    return numbers.shape == (17, 3) and bool(np.isfinite(numbers).all())
