"""Which part of the body a pixel of a person is, by rules that an annotator could follow.

* Skin, hair, hats and close clothes: the part of the body beneath, borders at neck, shoulder, elbow, groin, knee and
  ankle (`body_part`). Hair and whatever is worn on the head belong to the head, however far it hangs down.
* Cloth that hangs free below the groin (skirts, dresses, the tails of coats and long tops): thigh or shank where a leg
  of the posed body is behind it, of the leg that is nearer to the camera; torso elsewhere, because there it moves with
  the hips and not with a leg.
* Bags and what is held: carried.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from .camera import Camera
from .wardrobe import HANGING, body_part

TORSO, LEFT_THIGH, RIGHT_SHANK = 2, 7, 10
LEG_RADIUS = np.array([0.095, 0.068, 0.052])  # metres at hip, knee and ankle, cloth included
LEG_JOINTS = ((11, 13, 15), (12, 14, 16))  # keypoints: hip, knee, ankle


def cloth_parts(
    spot: Float[np.ndarray, "n 2"],
    joints: Float[np.ndarray, "2 3 2"],
    depth: Float[np.ndarray, "2 3"],
    radius: Float[np.ndarray, "2 3"],
) -> UInt8[np.ndarray, "n"]:
    """Part of free cloth at pixels `spot`: that of the nearer leg behind it, or torso.

    joints, depth, radius: pixels, metres along the optical axis and half width in pixels of the left and the right
    leg's hip, knee and ankle; a leg is the two tapered capsules between them.
    """
    part = np.full(len(spot), TORSO, np.uint8)
    for side in np.argsort(-depth.mean(1)):  # the nearer leg last, over the other
        best = np.ones(len(spot))
        for segment in range(2):
            a, b = joints[side, segment : segment + 2]
            t = np.clip((spot - a) @ (b - a) / max((b - a) @ (b - a), 1e-9), 0, 1)
            away = np.hypot(*(spot - a - t[:, None] * (b - a)).T)
            r0, r1 = radius[side, segment : segment + 2]
            share = away / (r0 + t * (r1 - r0))
            found = share < best
            part[found] = LEFT_THIGH + side + 2 * segment
            best[found] = share[found]
    return part


def label_parts(
    solid: Float[np.ndarray, "4 n"],
    fixed: UInt8[np.ndarray, "n"],
    spot: Float[np.ndarray, "n 2"],
    keypoints: Float[np.ndarray, "17 3"],
    camera: Camera,
    scale: float,
    joints: Float[np.ndarray, "17 2"],
) -> UInt8[np.ndarray, "n"]:
    """Parts of a person's pixels.

    solid: mean-body and arm coordinates; fixed: the part that the layer says, or 0; spot: the pixels' centres;
    keypoints: in the world, and `joints`, in pixels; scale: of the picture against the frame.
    """
    parts = np.where(fixed > 0, fixed, body_part(solid.T))
    free = (fixed == 0) & (solid[3] == HANGING) & (parts >= LEFT_THIGH) & (parts <= RIGHT_SHANK)
    cloth = np.flatnonzero(free)
    if len(cloth):
        index = np.array(LEG_JOINTS)
        _, depth = camera.project(keypoints)
        radius = LEG_RADIUS * camera.focal * scale / depth[index]
        parts[cloth] = cloth_parts(spot[cloth], joints[index], depth[index], radius)
    return parts
