"""Keypoints from outside, for Table 1's row 6: 17 COCO joints grouped to the K keypoints of the parts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from matlib.errors import MatlibError
from matlib.geometry import Keypoints, full_precision

_HEAD = (0, 1, 2, 3, 4)  # COCO order: nose, eyes, ears, then shoulders, elbows, wrists, hips, knees, ankles; left first

#: Joints of each keypoint, by K. The paper groups nothing: K = 17 is COCO's own, the others follow the body.
JOINT_GROUPS: dict[int, tuple[tuple[int, ...], ...]] = {
    3: (_HEAD, (5, 6, 7, 8, 9, 10), (11, 12, 13, 14, 15, 16)),
    6: (_HEAD, (5, 6, 11, 12), (7, 9), (8, 10), (13, 15), (14, 16)),
    10: (_HEAD, (5,), (6,), (7, 9), (8, 10), (11, 12), (13,), (14,), (15,), (16,)),
    17: tuple((j,) for j in range(17)),
}


@full_precision
def group_joints(joints: Float[Tensor, "b 17 3"], parts: int, scale: tuple[float, float] = (1.0, 1.0)
                 ) -> tuple[Keypoints, Bool[Tensor, "b k"]]:
    """Keypoints with identity Jacobians, and which of them are seen.

    Args:
        joints: (x, y, v) in the corner-aligned frame of the image; v = 2 is visible, all else counts as not detected.
        parts: K; one of 3, 6, 10, 17.
        scale: ``geometry.receptive_field_scale``, to go from the image's frame to the feature map's.

    Raises:
        MatlibError: for another K.
    """
    if parts not in JOINT_GROUPS:
        raise MatlibError(f"external keypoints can be grouped to K = 3, 6, 10 or 17 parts, not {parts}")
    member = torch.zeros(parts, 17, device=joints.device)
    for k, group in enumerate(JOINT_GROUPS[parts]):
        member[k, list(group)] = 1.0
    seen = (joints[..., 2] == 2).float()  # (b, 17)
    weight = member * seen[:, None]  # (b, k, 17)
    count = weight.sum(dim=2, keepdim=True)
    positions = weight @ joints[..., :2] / count.clamp_min(1.0)
    a = torch.tensor(scale, device=joints.device)
    positions = (positions + 1) / a - 1
    jacobians = torch.eye(2, device=joints.device).expand(*positions.shape[:2], 2, 2)
    return Keypoints(positions, jacobians), count[..., 0] > 0
