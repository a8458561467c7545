"""What methods with an external pose see of it: heat maps of the joints, and fields along the limbs between them.

The originals read maps of AlphaPose (PGFA), OpenPose (PVPM) and HRNet (HOReID). Here one form serves all, drawn from
the places of the joints: a detected joint has a bump of height 1, one that is not detected an empty map, so that its
confidence, the map's maximum, is 1 or 0. Cells lie where a strided trunk has them: cell m of an axis of h cells, on an
axis of H pixels, looks at pixel m H / h, the first being pixel 0 (as in ``geometry.receptive_field_scale``). Sizes that
do not divide the image's are off by less than a cell.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from matlib.errors import MatlibError
from matlib.geometry import full_precision

DETECTED = 2
"""The visibility of a joint that is detected; all else counts as not."""

LIMBS = ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
         (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))
"""The pairs of joints that COCO's skeleton connects."""

Joints = Float[Tensor, "b 17 3"]


@full_precision
def heat_maps(joints: Joints, image_size: tuple[int, int], size: tuple[int, int], sigma: float = 1.0
              ) -> Float[Tensor, "b 17 h w"]:
    """A Gaussian around each detected joint, its largest cell raised to 1; an empty map for any other joint.

    Args:
        joints: COCO's, (x, y, visibility) in pixels of the image, (0.5, 0.5) the centre of the first.
        image_size: (height, width) in pixels.
        size: (h, w) of the maps, in cells.
        sigma: deviation in cells.

    Raises MatlibError for joints of another shape, and for sizes and a deviation that are not positive.
    """
    if not sigma > 0:
        raise MatlibError(f"sigma of the heat maps is to be positive; got {sigma}")
    places, found = _on_map(joints, image_size, size)
    squares = (_cells(size, joints) - places[:, :, None, None]).square().sum(dim=-1)  # (b, 17, h, w)
    nearest = squares.amin(dim=(2, 3), keepdim=True)  # subtracted, as a joint between cells is as sure as one on a cell
    return torch.exp((nearest - squares) / (2 * sigma**2)) * found[:, :, None, None]


@full_precision
def part_affinity(joints: Joints, image_size: tuple[int, int], size: tuple[int, int], width: float = 1.0
                  ) -> Float[Tensor, "b fields h w"]:
    """|cos| and |sin| of each limb's angle on the cells that it covers, 0 elsewhere; fields 2 l and 2 l + 1 for limb l.

    OpenPose's part affinity fields (Cao et al., CVPR 2017) as PVPM's files keep them, without signs. A limb with an end
    that is not detected, or of no length, is empty.

    Args:
        joints, image_size, size: as for ``heat_maps``; the angle is that on the map.
        width: of a limb, in cells: it covers the cells whose centres are at most half of it away.

    Raises MatlibError as ``heat_maps``, for a width that is not positive.
    """
    if not width > 0:
        raise MatlibError(f"the width of limbs is to be positive; got {width}")
    places, found = _on_map(joints, image_size, size)
    first, second = (list(ends) for ends in zip(*LIMBS))
    start, along = places[:, first], places[:, second] - places[:, first]  # (b, limbs, 2)
    length = along.norm(dim=-1)
    direction = along / length.clamp_min(torch.finfo(length.dtype).tiny)[..., None]
    offset = _cells(size, joints) - start[:, :, None, None]  # (b, limbs, h, w, 2)
    reach = torch.einsum("blhwc,blc->blhw", offset, direction)  # along the limb, to the point nearest to the cell
    reach = torch.minimum(reach.clamp_min(0), length[:, :, None, None])
    away = (offset - reach[..., None] * direction[:, :, None, None]).norm(dim=-1)
    covered = (away <= width / 2) & (found[:, first] & found[:, second] & (length > 0))[:, :, None, None]
    return (direction.abs()[..., None, None] * covered[:, :, None]).flatten(1, 2)


def detected(joints: Joints, image_size: tuple[int, int]) -> Bool[Tensor, "b 17"]:
    """Which joints are detected, and inside of the image."""
    height, width = image_size
    x, y, visibility = joints.unbind(-1)
    return (visibility == DETECTED) & (x >= 0) & (x <= width) & (y >= 0) & (y <= height)


def _on_map(joints: Joints, image_size: tuple[int, int], size: tuple[int, int]
            ) -> tuple[Float[Tensor, "b 17 2"], Bool[Tensor, "b 17"]]:
    """The joints' (x, y) in cells, the first cell's centre at 0, those not detected at 0; and which are detected."""
    if joints.ndim != 3 or joints.shape[1:] != (17, 3):
        raise MatlibError(f"joints are to have the shape (images, 17, 3); theirs is {tuple(joints.shape)}")
    if min(*image_size, *size) < 1:
        raise MatlibError(f"the sizes of image and map are to be positive; got {image_size} and {size}")
    found = detected(joints, image_size)
    pixels = joints.new_tensor([image_size[1] / size[1], image_size[0] / size[0]])
    places = (joints[..., :2] - 0.5) / pixels
    return torch.where(found[..., None], places, 0), found  # what was not found may have any place, NaN too


def _cells(size: tuple[int, int], like: Tensor) -> Float[Tensor, "h w 2"]:
    y, x = torch.meshgrid(*(torch.arange(cells).to(like) for cells in size), indexing="ij")
    return torch.stack((x, y), dim=-1)
