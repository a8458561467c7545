"""Keypoints from outside, for Table 1's row 6: 17 COCO joints grouped to the K keypoints of the parts.

A detector gives no Jacobians. Their readings, as ``model.external_jacobian`` names them:

* ``identity``: a part is only shifted.
* ``limb``: the turn and growth of the bones of the part's joints, from those of a standing figure.
* ``lstsq``: the affine map from that figure to the image that fits the part's joints best. The figure faces the camera;
  where the person turns the back to it, the map mirrors.

The figure is Equation 4's abstract picture and cancels between two images: where the same joints are detected in both,
and a similarity, or an affine map, takes one image to the other, the part's motion is that map.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from matlib.errors import MatlibError
from matlib.geometry import Keypoints, check_choice, full_precision, inverse_2x2, multiply_2x2

_HEAD = (0, 1, 2, 3, 4)  # COCO order: nose, eyes, ears, then shoulders, elbows, wrists, hips, knees, ankles; left first
_SHOULDERS, _HIPS = (5, 6), (11, 12)

#: Joints of each keypoint, by K. The paper groups nothing: K = 17 is COCO's own, the others follow the body.
JOINT_GROUPS: dict[int, tuple[tuple[int, ...], ...]] = {
    3: (_HEAD, (5, 6, 7, 8, 9, 10), (11, 12, 13, 14, 15, 16)),
    6: (_HEAD, (5, 6, 11, 12), (7, 9), (8, 10), (13, 15), (14, 16)),
    10: (_HEAD, (5,), (6,), (7, 9), (8, 10), (11, 12), (13,), (14,), (15,), (16,)),
    17: tuple((j,) for j in range(17)),
}

#: The bone of each joint, from the mean of some joints to the mean of others: the head's leads up from the shoulders,
#: that of shoulders and hips is the trunk's, and of the others the one that ends there.
_BONES = (((_SHOULDERS, _HEAD),) * 5 + ((_SHOULDERS, _HIPS),) * 2
          + (((5,), (7,)), ((6,), (8,)), ((7,), (9,)), ((8,), (10,))) + ((_SHOULDERS, _HIPS),) * 2
          + (((11,), (13,)), ((12,), (14,)), ((13,), (15,)), ((14,), (16,))))
_SHORTEST = 2.0  # pixels: a shorter limb has no direction

#: The joints of a person who stands facing the camera, as tall as a picture whose axes go from -1 to 1.
_STANDING = ((0, -.75), (.04, -.79), (-.04, -.79), (.08, -.76), (-.08, -.76), (.2, -.55), (-.2, -.55), (.26, -.25),
             (-.26, -.25), (.28, .02), (-.28, .02), (.12, 0), (-.12, 0), (.13, .42), (-.13, .42), (.13, .8), (-.13, .8))
_FLATTEST = 0.1  # of a part's joints, spread across over along: on a line, a fit says nothing across
_JACOBIANS = ("identity", "limb", "lstsq")


@full_precision
def group_joints(joints: Float[Tensor, "b 17 3"], parts: int, image_size: tuple[int, int],
                 scale: tuple[float, float] = (1.0, 1.0), jacobian: str = "identity"
                 ) -> tuple[Keypoints, Bool[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """The keypoints of the parts, which of them are seen, and of which the Jacobian is known.

    A keypoint is the mean of its joints that are seen. Jacobians that are not known are the identity: all of
    ``identity``; of a limb that is very short, or not seen whole; of fewer than three joints for a fit, or joints
    almost on a line.

    Args:
        joints: (x, y, v) in the corner-aligned frame of the image; v = 2 is visible, all else counts as not detected.
        parts: K; one of 3, 6, 10, 17.
        image_size: height and width in pixels, in which a limb has a length and a direction.
        scale: ``geometry.receptive_field_scale``, to go from the image's frame to the feature map's.
        jacobian: ``identity``, ``limb`` or ``lstsq``.

    Raises:
        MatlibError: for another K.
        ValueError: for another kind of Jacobian.
    """
    check_choice("jacobian", jacobian, _JACOBIANS)
    if parts not in JOINT_GROUPS:
        raise MatlibError(f"external keypoints can be grouped to K = 3, 6, 10 or 17 parts, not {parts}")
    member = _membership(JOINT_GROUPS[parts]).to(joints)
    places, detected = joints[..., :2], joints[..., 2] == 2
    positions, count = _means(places, detected, member)
    identity = torch.eye(2, dtype=joints.dtype, device=joints.device).expand(*positions.shape[:2], 2, 2)
    jacobians, known = identity, torch.zeros_like(count, dtype=torch.bool)
    if jacobian == "limb":
        jacobians, known = _limb_jacobians(places, detected, member, image_size)
    elif jacobian == "lstsq":
        jacobians, known = _fitted_jacobians(places, detected, member)
    a = torch.tensor(scale, dtype=joints.dtype, device=joints.device)
    jacobians = torch.where(known[..., None, None], jacobians / a[:, None], identity)
    return Keypoints((positions + 1) / a - 1, jacobians), count > 0, known


def _membership(groups: tuple[tuple[int, ...], ...]) -> Float[Tensor, "groups 17"]:
    return torch.stack([torch.zeros(17).index_fill(0, torch.tensor(group), 1.0) for group in groups])


def _means(vectors: Float[Tensor, "b 17 2"], known: Bool[Tensor, "b 17"], member: Float[Tensor, "groups 17"]
           ) -> tuple[Float[Tensor, "b groups 2"], Float[Tensor, "b groups"]]:
    """The mean of each group's known vectors, and how many there are."""
    weight = member * known[:, None]  # (b, groups, 17)
    count = weight.sum(dim=2)
    return (weight[..., None] * vectors[:, None]).sum(dim=2) / count.clamp_min(1.0)[..., None], count


def _limb_jacobians(places: Tensor, detected: Tensor, member: Tensor, image_size: tuple[int, int]
                    ) -> tuple[Float[Tensor, "b k 2 2"], Bool[Tensor, "b k"]]:
    """The turn and growth, in pixels, from the mean bone of a part's joints in the standing figure to the image's."""
    half = (torch.tensor([image_size[1], image_size[0]]) - 1).to(places) / 2  # pixels a unit
    limbs, known = _limbs(half * places, detected, member)
    usual, _ = _limbs(half * _standing(places), detected, member)
    jacobians = multiply_2x2(_similarity(limbs), inverse_2x2(_similarity(usual)))
    return jacobians * half / half[:, None], known & (limbs.norm(dim=-1) >= _SHORTEST)


def _limbs(places: Tensor, detected: Tensor, member: Tensor) -> tuple[Float[Tensor, "b k 2"], Bool[Tensor, "b k"]]:
    """The mean of the bones of each part's joints, and if it is known: the mean of some of them is another limb's."""
    ends, whole = [], []
    for side in zip(*_BONES):
        end, count = _means(places, detected, _membership(side).to(places))
        needed = torch.tensor([1 if joints == _HEAD else len(joints) for joints in side], device=count.device)
        ends.append(end)
        whole.append(count >= needed)  # one shoulder is not the middle of both; of the head one joint will do
    limbs, count = _means(ends[1] - ends[0], whole[0] & whole[1], member)
    return limbs, count == member.sum(dim=1)


def _similarity(vectors: Float[Tensor, "b k 2"]) -> Float[Tensor, "b k 2 2"]:
    """The turn and growth that takes (0, 1) to each vector."""
    x, y = vectors.unbind(-1)
    return torch.stack((y, x, -x, y), dim=-1).unflatten(-1, (2, 2))


def _fitted_jacobians(places: Tensor, detected: Tensor, member: Tensor
                      ) -> tuple[Float[Tensor, "b k 2 2"], Bool[Tensor, "b k"]]:
    """The linear part of the affine map, of least squares, from the standing figure's joints to those of each part."""
    weight = member * detected[:, None]  # (b, k, 17)
    figure, image = (points[:, None] - _means(points, detected, member)[0][:, :, None]
                     for points in (_standing(places), places))
    across, spread = ((weight[..., None, None] * other[..., :, None] * figure[..., None, :]).sum(dim=2)
                      for other in (image, figure))  # (b, k, 2, 2)
    fitted = multiply_2x2(across, inverse_2x2(spread, 1e-12))
    return fitted, (_flatness(spread) > 2 * _FLATTEST ** 2) & (_flatness(fitted) > 2 * _FLATTEST)


def _standing(places: Tensor) -> Float[Tensor, "b 17 2"]:
    return torch.tensor(_STANDING).to(places).expand_as(places)


def _flatness(matrices: Float[Tensor, "b k 2 2"]) -> Float[Tensor, "b k"]:
    """2 |det| over the squared Frobenius norm, in [0, 1]: near 0, twice the ratio of the singular values."""
    a, b, c, d = matrices.flatten(-2).unbind(-1)
    return 2 * (a * d - b * c).abs() / matrices.square().sum(dim=(-2, -1)).clamp_min(1e-12)
