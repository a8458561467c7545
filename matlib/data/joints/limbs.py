"""The true motion of a rendered person: each labelled part with the frame that it carries from image to image.

In the terms of the paper's Section 3.3 a part's frame is a keypoint with its Jacobian, so that
``geometry.local_motions`` gives the motion of the true parts as it gives that of the learned ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from matlib.data.samples import Sample
from matlib.data.truth import NUM_PARTS, Truth
from matlib.geometry import Keypoints, coordinate_grid, warp

#: The two joints (COCO's numbers) of each part that is one bone: its place in Truth.parts to from, to.
BONES = {3: (5, 7), 4: (6, 8), 5: (7, 9), 6: (8, 10), 7: (11, 13), 8: (12, 14), 9: (13, 15), 10: (14, 16)}
_HEAD, _TORSO, _LEFT_FOOT, _RIGHT_FOOT, _CARRIED = 1, 2, 11, 12, 13
_SHORTEST = 0.2  # of the torso's length: a bone that points at the camera has no direction in the image


def part_frames(sample: Sample) -> Keypoints:
    """The frames of the 13 true parts of one image: positions (1, 13, 2), Jacobians (1, 13, 2, 2), image coordinates.

    Corner-aligned in [-1, 1] over the whole image. A limb's frame lies along its bone and is as wide as the torso is
    long, so that limbs turn, shorten and scale with the person; the torso's follows its four corners; the head's turns
    with the neck; what is carried moves with the torso; a foot is moved and scaled only. Frames of hidden parts are
    those of their hidden joints.

    Raises MatlibError for an image without labels.
    """
    truth = Truth(sample)
    joints = truth.keypoints[:, :2].double()
    neck, hips = joints[[5, 6]].mean(0), joints[[11, 12]].mean(0)
    size = (hips - neck).norm()
    frames = {part: _bone_frame(joints[one], joints[other], size) for part, (one, other) in BONES.items()}
    frames[_HEAD] = _turned(joints[:5].mean(0), joints[:5].mean(0) - neck, size)
    across = _at_least((joints[[5, 11]] - joints[[6, 12]]).mean(0), size)
    frames[_TORSO] = frames[_CARRIED] = (joints[[5, 6, 11, 12]].mean(0), torch.stack((across, hips - neck), dim=1))
    for part, ankle in ((_LEFT_FOOT, 15), (_RIGHT_FOOT, 16)):
        frames[part] = (joints[ankle], size * torch.eye(2, dtype=torch.float64))
    positions, jacobians = (torch.stack(parts) for parts in zip(*(frames[p] for p in range(1, NUM_PARTS + 1))))
    height, width = truth.labels.shape
    unit = 2 / torch.tensor([width - 1, height - 1], dtype=torch.float64)
    normalised = (positions - 0.5) * unit - 1
    return Keypoints(normalised.float()[None], (unit[:, None] * jacobians).float()[None])


def part_masks(sample: Sample) -> Float[Tensor, "1 parts h w"]:
    """The true, visible parts as maps that sum to 1, index 0 all that is not the person."""
    parts = Truth(sample).parts.long()
    return torch.nn.functional.one_hot(parts, NUM_PARTS + 1).permute(2, 0, 1).float()[None]


def truth_on_map(samples: Sequence[Sample], cells: tuple[int, int], scale: tuple[float, float]
                 ) -> tuple[Keypoints, Float[Tensor, "b parts h w"]]:
    """The true frames and part maps on a model's feature map, in place of what the model finds.

    Args:
        cells: height and width of the map.
        scale: ``geometry.receptive_field_scale``, from the map's frame to the image's.
    """
    a = torch.tensor(scale)
    where = a * (coordinate_grid(*cells) + 1) - 1
    maps = torch.cat([warp(part_masks(sample), where[None], padding="border") for sample in samples])
    frames = [part_frames(sample) for sample in samples]
    positions, jacobians = (torch.cat(parts) for parts in zip(*frames))
    return Keypoints((positions + 1) / a - 1, jacobians / a[:, None]), maps


def _bone_frame(start: Tensor, end: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    along = _at_least(end - start, size)
    return (start + end) / 2, torch.stack((along, size * _perpendicular(along / along.norm())), dim=1)


def _turned(position: Tensor, towards: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    direction = _at_least(towards, size)
    direction = direction / direction.norm()
    return position, size * torch.stack((direction, _perpendicular(direction)), dim=1)


def _at_least(vector: Tensor, size: Tensor) -> Tensor:
    """The vector, not shorter than the shortest that still has a direction; one of no length points down."""
    length = vector.norm()
    direction = vector / length if length > 0 else vector.new_tensor([0.0, 1.0])
    return direction * torch.maximum(length, _SHORTEST * size)


def _perpendicular(vector: Tensor) -> Tensor:
    return torch.stack((-vector[1], vector[0]))
