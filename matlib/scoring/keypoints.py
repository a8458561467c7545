"""Unsupervised keypoints against the true joints, by linear regression.

Keypoints that were found without labels have no names, so a linear map from all of them to each joint is fitted
with labels, and its error on other images says how much of the pose they hold (Thewlis et al., ICCV 2017; Zhang et
al., CVPR 2018; Jakab et al., NeurIPS 2018). As there, errors are shares of a length: here of the image's height,
since a detector's box, and so the crop, fits the person; a torso's length is no measure where the person is seen from
the side, or is half hidden. PCK at t (Yang and Ramanan, PAMI 2013) is the share of joints with an error below t.

Differences from the landmark papers: the map has a bias, so that it can only gain on the constant predictor (the mean
pose); and a ridge penalty, its strength chosen by leave-one-out error, so that keypoints that have all met in one
point count as the constant predictor and not as noise that is blown up. Fitting and testing images share no identity.
It takes hundreds of images: on a few dozen, as in the ``tiny`` preset, the regression itself is noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from matlib.data.transforms import COCO_MIRROR
from matlib.data.truth import VISIBLE
from matlib.errors import MatlibError

PCK_THRESHOLDS = (0.05, 0.1)

_PENALTIES = np.logspace(-6, 4, 21)
_FEWEST = 3
"""Images in which a joint must be visible for a regression to it."""


def regress_joints(
    keypoints: Float[np.ndarray, "n k 2"],
    joints: Float[np.ndarray, "n j 3"],
    identities: Int[np.ndarray, " n"],
    folds: int = 5,
) -> Float[np.ndarray, "n j 2"]:
    """Each image's joints, from its keypoints, by maps that were fitted on images of other identities.

    The identities are shared out to ``folds`` groups; each group is predicted from all others. A joint is fitted on
    the images in which it is visible; where these are fewer than 3, its predictions are NaN.

    Parameters
    ----------
    keypoints: in any coordinates that are affine in the image's.
    joints: x, y and visibility (2 visible, 1 hidden, 0 outside); the predictions are in the same coordinates.
    identities: of each image.

    Raises MatlibError where there are fewer than two identities.
    """
    folds = min(folds, len(np.unique(identities)))
    if folds < 2:
        raise MatlibError("joints are regressed on images of other identities: at least 2 identities are needed")
    features = keypoints.reshape(len(keypoints), -1)
    predictions = np.full((*joints.shape[:2], 2), np.nan)
    for fitted, tested in GroupKFold(folds).split(features, groups=identities):
        for joint in range(joints.shape[1]):
            seen = fitted[joints[fitted, joint, 2] == VISIBLE]
            if len(seen) >= _FEWEST:
                regression = make_pipeline(StandardScaler(), RidgeCV(_PENALTIES))
                regression.fit(features[seen], joints[seen, joint, :2])
                predictions[tested, joint] = regression.predict(features[tested])
    return predictions


def mean_joints(
    joints: Float[np.ndarray, "n j 3"], identities: Int[np.ndarray, " n"], folds: int = 5
) -> Float[np.ndarray, "n j 2"]:
    """What keypoints that never move would predict: the joints' mean over images of other identities."""
    return regress_joints(np.zeros((len(joints), 1, 2)), joints, identities, folds)


def name_by_side(joints: Float[np.ndarray, "n j 3"]) -> Float[np.ndarray, "n j 3"]:
    """The joints with the two of each pair named by where they lie in the image, as if everyone faced the camera.

    Whoever learns from images that are mirrored at random, without labels, cannot tell a left leg from a right one, nor
    a person that comes from one that goes. Under these names nothing is lost by that: the joint called left is the one
    further right in the image.

    Parameters
    ----------
    joints: COCO's 17, x first; hidden ones have places too, and are named like the visible ones.
    """
    mirrored = joints[:, COCO_MIRROR]
    is_left = np.arange(len(COCO_MIRROR)) < np.array(COCO_MIRROR)
    swapped = np.where(is_left, joints[..., 0] < mirrored[..., 0], joints[..., 0] > mirrored[..., 0])
    return np.where(swapped[..., None], mirrored, joints)


def joint_errors(
    predictions: Float[np.ndarray, "n j 2"],
    joints: Float[np.ndarray, "n j 3"],
    size: tuple[int, int],
    visibility: int = VISIBLE,
) -> Float[np.ndarray, "n j"]:
    """Distance to the truth as a share of the image's height; NaN for joints of another visibility.

    Both are corner-aligned, [-1, 1], in an image of (height, width) ``size``.
    """
    pixels = (np.array([size[1], size[0]]) - 1) / 2
    errors = np.linalg.norm((predictions - joints[..., :2]) * pixels, axis=2) / size[0]
    return np.where(joints[..., 2] == visibility, errors, np.nan)


def summarise_errors(errors: Float[np.ndarray, "n j"]) -> dict[str, Any]:
    """``error``: the mean; ``pck``: by threshold; ``joints``: how many count, those that are not NaN."""
    known = errors[~np.isnan(errors)]
    if not len(known):
        return {"error": None, "pck": {str(t): None for t in PCK_THRESHOLDS}, "joints": 0}
    return {
        "error": float(known.mean()),
        "pck": {str(t): float((known < t).mean()) for t in PCK_THRESHOLDS},
        "joints": len(known),
    }


def errors_by_joint(errors: Float[np.ndarray, "n j"]) -> list[float | None]:
    """The mean error of each joint; None for one that never counts."""
    counts, sums = (~np.isnan(errors)).sum(axis=0), np.nansum(errors, axis=0)
    return [float(total / count) if count else None for total, count in zip(sums, counts)]
