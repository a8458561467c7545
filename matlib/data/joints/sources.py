"""Joints from outside, for models that find no keypoints of their own (Table 1, row 6).

A source gives the 17 joints of an image in COCO's order, as ``Truth.keypoints`` has them: x and y in pixels of the
image on disk, (0.5, 0.5) being the centre of the first pixel, and visibility, where only 2 counts as detected.
``ImageDataset`` moves them along with the image. The sources, by their names in ``data.joints``:

* ``truth``: the true joints of a rendered image, as no detector gives them.
* ``noisy``: the true joints with the errors of a detector (``DetectorErrors``).
* ``cache``: what a detector has found, from a file beside the set (``matlib.data.joints.joint_cache``), of photographs;
  or a trained run of MAT, without labels, of any set (``matlib.data.joints.from_run``).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from matlib.data.joints.joint_cache import detection_command, read_cache
from matlib.data.samples import ReIDDataset, Sample
from matlib.data.transforms import COCO_MIRROR
from matlib.data.truth import HIDDEN, Truth
from matlib.errors import MatlibError

COCO_DEVIATIONS = (.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089)
"""How much COCO's annotators differ over each joint: deviation of x and of y over the root of the person's area."""

OBJECT_SCALE = 0.53
"""The root of a person's area over the height from the highest to the lowest joint: its mean on Annyville."""


@dataclass(frozen=True)
class JointSource:
    """``joints`` of a sample, and ``origin``: in words, for the record."""

    joints: Callable[[Sample], Float[Tensor, "17 3"]]
    origin: str


def joint_source(kind: str, dataset: ReIDDataset, seed: int = 0) -> JointSource:
    """The source of this name for a set's images.

    Raises MatlibError where photographs are asked for their truth, and where the file of detections is missing or
    damaged; for a single image that it lacks, when the image is asked for.
    """
    if kind == "cache":
        detections = read_cache(dataset)
        return JointSource(detections.joints, detections.origin)
    if dataset.rendered is None:
        raise MatlibError(f"{dataset.name} has no true joints, only rendered (Annyville) sets have; run "
                          f"`{detection_command(dataset)}`, and train with data.joints=cache")
    if kind == "truth":
        return JointSource(lambda sample: Truth(sample).keypoints, "truth")
    errors = DetectorErrors(seed=seed)
    return JointSource(lambda sample: errors(Truth(sample).keypoints, sample.path.name), repr(errors))


@dataclass(frozen=True)
class DetectorErrors:
    """The errors of a pose detector, after the kinds of Ronchi and Perona (ICCV 2017), put on the true joints.

    The rates of inversions and misses are round numbers. Who is hidden stays undetected. An image has the same errors
    whenever it comes: they depend on its name and the seed alone, as a detector's would on the image.
    """

    jitter: float = 1.0
    """Deviation of x and of y, in ``COCO_DEVIATIONS``. 1 gives an expected object keypoint similarity of 0.8:
    for a Gaussian of that deviation, E exp(-d^2 / (2 (2 sigma)^2)) = 1 / (1 + 1/4)."""
    inversion: float = 0.05
    """Probability that a left and a right joint are taken for each other."""
    miss: float = 0.1
    """Probability that a visible joint is not detected."""
    seed: int = 0

    def __call__(self, joints: Float[Tensor, "17 3"], name: str) -> Float[Tensor, "17 3"]:
        """The joints as detected in the image of this name."""
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        inverted, missed = rng.random(17) < self.inversion, rng.random(17) < self.miss
        mirror = np.array(COCO_MIRROR)
        inverted = inverted[np.minimum(np.arange(17), mirror)]  # both of a pair, or none
        found = joints[np.where(inverted, mirror, np.arange(17))].clone()
        scale = OBJECT_SCALE * float(joints[:, 1].max() - joints[:, 1].min())
        deviation = self.jitter * scale * np.array(COCO_DEVIATIONS)[:, None]
        found[:, :2] += torch.tensor(rng.normal(0.0, deviation, (17, 2)), dtype=found.dtype)
        found[torch.from_numpy(missed), 2] = found[torch.from_numpy(missed), 2].clamp(max=HIDDEN)
        return found
