"""The objective of the paper's Section 3.5 (Equations 9 to 17), and guards against its degenerate optima.

Pure functions of tensors: weights and options belong to the caller. Sums of the paper are means here wherever
the paper leaves the reduction open; each docstring says which. Everything is computed in float32 (float64 for
float64 arguments), also under autocast.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from matlib.geometry import (
    Keypoints,
    Number,
    ThinPlateSpline,
    blend_motions,
    centroids,
    check_choice,
    check_keypoints,
    coordinate_grid,
    full_precision,
    inverse_2x2,
    local_motions,
    multiply_2x2,
    warp,
)

_EPSILON = 1e-6


@full_precision
def identity_loss(
    logits: Float[Tensor, "b identities"], identities: Int[Tensor, "b"], label_smoothing: Number = 0.0
) -> Float[Tensor, ""]:
    """Softmax cross-entropy of the identities, the mean over the batch (Equations 15 and 16).

    Args:
        logits: scores of the N training identities.
        identities: in [0, N).
        label_smoothing: this share of the target is spread evenly over all N identities; the paper has none.

    Raises:
        ValueError: an identity has no logit, the batches differ, or the smoothing is outside [0, 1].
    """
    if logits.ndim != 2 or identities.shape != logits.shape[:1] or len(logits) == 0:
        raise ValueError(f"identity_loss needs logits (B, N) and identities (B,), not {tuple(logits.shape)} "
                         f"and {tuple(identities.shape)}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], not {label_smoothing}")
    if ((identities < 0) | (identities >= logits.shape[1])).any():
        raise ValueError(f"identities must lie in [0, {logits.shape[1]}), one for each logit; they reach "
                         f"from {int(identities.min())} to {int(identities.max())}")
    return F.cross_entropy(logits, identities.long(), label_smoothing=label_smoothing)


@full_precision
def hardest_pairs(
    distances: Float[Tensor, "b b"], identities: Int[Tensor, "b"]
) -> tuple[Int[Tensor, "b"], Int[Tensor, "b"]]:
    """Which image of the batch is the farthest positive, and which the nearest negative, of every anchor.

    Args:
        distances: of all pairs, anchors in rows; infinite where a pair cannot be compared.
        identities: images of the same number are positives; an image is not its own positive.

    Raises:
        ValueError: an anchor has no positive or no negative, or the batches differ.
    """
    if distances.ndim != 2 or distances.shape != (len(identities), len(identities)):
        raise ValueError(f"the triplet loss needs distances (B, B) of B identities, not {tuple(distances.shape)} "
                         f"and {tuple(identities.shape)}")
    same = identities[:, None] == identities
    positive = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    if not (positive.any(dim=1) & ~same.all(dim=1)).all():
        raise ValueError("the triplet loss needs a positive and a negative for every image: put at least two "
                         "images of every identity and at least two identities into a batch")
    farthest = distances.masked_fill(~positive, -math.inf).argmax(dim=1)
    return farthest, distances.masked_fill(same, math.inf).argmin(dim=1)


@full_precision
def batch_hard_distances(
    features: Float[Tensor, "b d"], identities: Int[Tensor, "b"], distance: str = "euclidean"
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"]]:
    """The distances of every anchor to its farthest positive and to its nearest negative in the batch.

    Args:
        features: every image is an anchor once; it is not its own positive.
        identities: images of the same number are positives.
        distance: "euclidean" or "sqeuclidean".

    Returns:
        d_ap and d_an, differentiable, with zero gradient at distance zero.

    Raises:
        ValueError: an anchor has no positive or no negative, the batches differ, or the distance is unknown.
    """
    check_choice("distance", distance, ("euclidean", "sqeuclidean"))
    if features.ndim != 2 or identities.shape != features.shape[:1]:
        raise ValueError(f"the triplet loss needs features (B, d) and identities (B,), not "
                         f"{tuple(features.shape)} and {tuple(identities.shape)}")
    with torch.no_grad():
        # The expansion |a|^2 - 2ab + |b|^2 would lose the small distances, the ones that matter.
        distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
        farthest, nearest = hardest_pairs(distances, identities)
    differences = features - torch.stack((features[farthest], features[nearest]))  # (2, B, d)
    if distance == "euclidean":
        d_ap, d_an = torch.linalg.vector_norm(differences, dim=-1)
    else:
        d_ap, d_an = differences.square().sum(dim=-1)
    return d_ap, d_an


@full_precision
def triplet_loss(
    features: Float[Tensor, "b d"], identities: Int[Tensor, "b"], distance: str = "euclidean",
    margin: float | None = None
) -> Float[Tensor, ""]:
    """Batch-hard triplet loss: the mean of log(1 + exp(d_ap - d_an)) (Equation 17), or of max(0, d_ap - d_an + margin).

    Args:
        features: before the neck; d_ap and d_an are those of `batch_hard_distances`.
        identities: of the images.
        distance: "euclidean", as the cited code has it, or "sqeuclidean", as Equation 17 is printed.
        margin: of the hinge; None is the soft margin.

    Raises:
        ValueError: as `batch_hard_distances`.
    """
    return margin_loss(*batch_hard_distances(features, identities, distance), margin)


def margin_loss(
    d_ap: Float[Tensor, "b"], d_an: Float[Tensor, "b"], margin: float | None = None
) -> Float[Tensor, ""]:
    """The triplet loss of given distances to positives and negatives, as `triplet_loss` has it."""
    return (F.softplus(d_ap - d_an) if margin is None else F.relu(d_ap - d_an + margin)).mean()


@full_precision
def equivariance_loss(
    original: Keypoints, warped: Keypoints, spline: ThinPlateSpline
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """How far keypoints of an image X and of its warped copy Y are from moving with the known T (Eq. 13, 14).

    `mean |p_X - T(p_Y)|` and `mean |I - J_X^-1 T'(p_Y) J_Y|`, as in the first-order motion model. The product
    printed in Equation 14 (J_k of Equation 4) does not vanish for an equivariant detector; this one does.
    Nothing is detached.

    Args:
        original: of X.
        warped: of Y, `Y(z) = X(T(z))`.
        spline: the T of every image, or one for all.

    Returns:
        The value term and the Jacobian term, both means.

    Raises:
        ValueError: the keypoints differ in shape, or the spline's batch does not fit.
    """
    check_keypoints(original, warped)
    if len(spline) not in (1, len(original.positions)):
        raise ValueError(f"{len(spline)} deformations do not fit the keypoints of {len(original.positions)} "
                         "images")
    value = (original.positions - spline.warp_points(warped.positions)).abs().mean()
    moved = multiply_2x2(spline.jacobian(warped.positions), warped.jacobians)
    product = multiply_2x2(inverse_2x2(original.jacobians), moved)
    identity = torch.eye(2, dtype=product.dtype, device=product.device)
    return value, (identity - product).abs().mean()


@full_precision
def feature_consistency_loss(
    features: Float[Tensor, "b c h w"],
    keypoints: Keypoints,
    part_maps: Float[Tensor, "b parts h w"],
    identities: Int[Tensor, "b"],
    *,
    on: str = "features",
    norm: str = "spatial",
    pairs: str = "reference",
    detach: str = "features",
    anchor: str = "keypoint",
    visibility: Bool[Tensor, "b parts-1"] | None = None,
    oriented: Bool[Tensor, "b parts-1"] | None = None,
    padding: str = "zeros",
    motion: str = "flow",
) -> Float[Tensor, ""]:
    """KL divergence of an image A from others of its identity, warped onto A (Equations 10 to 12).

    The flow that reads B on A's grid blends the local motions with the part maps of A. A pair's divergence
    is D(A || warped B): the sum over the axis of the distribution, the mean over the other one; the loss is
    the sum over n - 1 pairs an identity (n images of each), the mean over the identities. Keypoints,
    Jacobians and the part maps that blend the flow always keep their gradients.

    Args:
        features: the encoder's maps, or others of the same images.
        keypoints: of all images.
        part_maps: of all images, on the features' grid, summing to 1 over the parts; 0 is the background.
        identities: every identity needs the same number n >= 2 of images, in any order.
        on: "features", or "parts": the part maps themselves are the distributions, along the part axis.
        norm: what makes distributions of the features: a softmax over the cells of each channel ("spatial",
            the sum over z of Equation 10) or over the channels of each cell ("channel"). No effect on
            "parts".
        pairs: "reference": A is the first image of each identity in the batch's order, as in Equation 12;
            "all": every ordered pair; "nearest": each A with the B whose anchors, less their mean, are arranged
            most alike, as those of two images from one side are; "best": each A with all B, of which in each cell
            the one counts that agrees best: what stands before the person in B agrees with no A. Weighted to the
            same n - 1 pairs. "best" needs distributions of a cell: "parts", or features over their channels.
        detach: which of the compared maps are constants: "features": both A's and B's features; "reference":
            A's only; "none". On "parts" no features are compared: "features" detaches nothing, "reference"
            A's maps as the target.
        anchor: the location that a part moves with: "keypoint", or "centroid" of its map.
        visibility: a part that is invisible in A or in B moves with the identity in that pair.
        oriented: a part whose Jacobian is not known in A or in B is only shifted in that pair.
        padding: of the warp, "zeros" or "border".
        motion: "flow", or "identity": no motion at all, the yardstick of `feature_consistency_gain`.

    Raises:
        ValueError: an option is unknown or does not go with another, shapes do not fit, or the identities have
            not equally many images.
    """
    _check_consistency_options(on, norm, pairs, detach, anchor, motion)
    _check_consistency_shapes(features, part_maps, identities)
    if anchor == "centroid":
        keypoints = Keypoints(centroids(part_maps), keypoints.jacobians)
    groups = _group_by_identity(identities)
    others = groups.shape[1] - 1
    reference, source = _nearest(groups, keypoints.positions) if pairs == "nearest" else _ordered_pairs(groups, pairs)
    if motion == "flow":
        flow = _pair_flow(keypoints, part_maps, reference, source, visibility, oriented)
    else:
        height, width = features.shape[-2:]
        grid = coordinate_grid(height, width, dtype=features.dtype, device=features.device)
        flow = grid.expand(len(reference), height, width, 2)
    target, moving = _compared_maps(features, part_maps, on, detach)
    warped = warp(moving[source], flow, padding)
    divergence = _divergence(target[reference], warped, "parts" if on == "parts" else norm)
    if pairs == "best":
        divergence = divergence.unflatten(0, (-1, others)).amin(dim=1)
    return others * divergence.mean(dim=1).mean()


@torch.no_grad()
def feature_consistency_gain(
    features: Float[Tensor, "b c h w"],
    keypoints: Keypoints,
    part_maps: Float[Tensor, "b parts h w"],
    identities: Int[Tensor, "b"],
    **options: Any,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The feature consistency loss under the predicted flow and under no motion: the first should be smaller.

    Args:
        features, keypoints, part_maps, identities: as for `feature_consistency_loss`.
        options: its options but `motion`.

    Returns:
        (with flow, with identity), without gradients.
    """
    with_flow, with_identity = (
        feature_consistency_loss(features, keypoints, part_maps, identities, motion=motion, **options)
        for motion in ("flow", "identity")
    )
    return with_flow, with_identity


def _check_consistency_options(on: str, norm: str, pairs: str, detach: str, anchor: str, motion: str) -> None:
    check_choice("on", on, ("features", "parts"))
    check_choice("norm", norm, ("spatial", "channel"))
    check_choice("pairs", pairs, ("reference", "all", "nearest", "best"))
    check_choice("detach", detach, ("features", "reference", "none"))
    check_choice("anchor", anchor, ("keypoint", "centroid"))
    check_choice("motion", motion, ("flow", "identity"))
    if pairs == "best" and (on, norm) == ("features", "spatial"):
        raise ValueError("pairs 'best' compares cell by cell, and norm 'spatial' makes one distribution of all cells; "
                         "set norm to 'channel' or on to 'parts'")


def _check_consistency_shapes(features: Tensor, part_maps: Tensor, identities: Tensor) -> None:
    batch, size = len(features), features.shape[2:]
    if features.ndim != 4 or part_maps.ndim != 4 or (len(part_maps), part_maps.shape[2:]) != (batch, size):
        raise ValueError(f"features (B, C, h, w) and part maps (B, K + 1, h, w) do not fit each other: "
                         f"{tuple(features.shape)} and {tuple(part_maps.shape)}")
    if identities.shape != (batch,):
        raise ValueError(f"{batch} images need identities of shape ({batch},), not {tuple(identities.shape)}")


def _group_by_identity(identities: Int[Tensor, "b"]) -> Int[Tensor, "p n"]:
    """The images of every identity, in the batch's order."""
    order = identities.argsort(stable=True)
    counts = identities[order].unique_consecutive(return_counts=True)[1]
    if len(counts) == 0 or counts.min() < 2 or counts.min() != counts.max():
        raise ValueError("the feature consistency loss needs the same number (at least two) of images of "
                         f"every identity in the batch, not {sorted(set(counts.tolist()))}")
    return order.view(len(counts), -1)


def _ordered_pairs(
    groups: Int[Tensor, "p n"], pairs: str
) -> tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]]:
    """The images A and B of every pair to compare."""
    count = groups.shape[1]
    compared = ~torch.eye(count, dtype=torch.bool, device=groups.device)
    if pairs == "reference":
        compared[1:] = False
    first, second = compared.nonzero(as_tuple=True)
    return groups[:, first].flatten(), groups[:, second].flatten()


def _nearest(groups: Int[Tensor, "p n"], positions: Float[Tensor, "b k 2"]
             ) -> tuple[Int[Tensor, "p*n"], Int[Tensor, "p*n"]]:
    """Each image, and the other one of its identity whose keypoints are arranged most alike, wherever they stand."""
    arranged = (positions - positions.mean(dim=1, keepdim=True)).detach()[groups].flatten(2)
    distances = torch.cdist(arranged, arranged)
    distances.diagonal(dim1=1, dim2=2).fill_(math.inf)
    return groups.flatten(), groups.gather(1, distances.argmin(dim=2)).flatten()


def _pair_flow(
    keypoints: Keypoints,
    part_maps: Float[Tensor, "b parts h w"],
    reference: Int[Tensor, "pairs"],
    source: Int[Tensor, "pairs"],
    visibility: Bool[Tensor, "b parts-1"] | None,
    oriented: Bool[Tensor, "b parts-1"] | None,
) -> Float[Tensor, "pairs h w 2"]:
    """The dense flow from each reference's grid into its source."""
    a, b = (Keypoints(*(t[images] for t in keypoints)) for images in (reference, source))
    if oriented is not None:
        both = (oriented[reference] & oriented[source])[..., None, None]
        identity = torch.eye(2, dtype=a.jacobians.dtype, device=a.jacobians.device)
        a, b = (Keypoints(k.positions, torch.where(both, k.jacobians, identity)) for k in (a, b))
    visible = None if visibility is None else visibility[reference] & visibility[source]
    return blend_motions(part_maps[reference], local_motions(a, b, *part_maps.shape[-2:], visible=visible))


def _compared_maps(
    features: Float[Tensor, "b c h w"], part_maps: Float[Tensor, "b parts h w"], on: str, detach: str
) -> tuple[Float[Tensor, "b maps h w"], Float[Tensor, "b maps h w"]]:
    """What the targets are taken from, and what is warped."""
    maps = features if on == "features" else part_maps
    if detach == "features" and on == "features":
        return maps.detach(), maps.detach()
    return maps.detach() if detach == "reference" else maps, maps


def _divergence(
    target: Float[Tensor, "pairs c h w"], approximation: Float[Tensor, "pairs c h w"], axis: str
) -> Float[Tensor, "pairs distributions"]:
    """D(target || approximation), of each channel over the cells, or of each cell."""
    log_p, log_q = (_log_distributions(maps.flatten(2), axis) for maps in (target, approximation))
    summed = 2 if axis == "spatial" else 1
    return (log_p.exp() * (log_p - log_q)).sum(dim=summed)


def _log_distributions(maps: Float[Tensor, "pairs c cells"], axis: str) -> Float[Tensor, "pairs c cells"]:
    if axis == "parts":
        # Both sides alike, so that equal maps do not diverge; what lies outside the map becomes uniform.
        lifted = maps.clamp_min(0) + _EPSILON
        return lifted.log() - lifted.sum(dim=1, keepdim=True).log()
    return maps.log_softmax(dim=2 if axis == "spatial" else 1)


@full_precision
def separation_loss(positions: Float[Tensor, "b k 2"], sigma: Number = 0.15) -> Float[Tensor, ""]:
    """Guard against keypoints in one place: the mean of exp(-|p_k - p_l|^2 / (2 sigma^2)) over k != l.

    In [0, 1]. Not in Equation 9; the separation constraint of Zhang et al. 2018, whom the paper cites.

    Raises:
        ValueError: there are fewer than two keypoints, or sigma is not positive.
    """
    _check_count("separation_loss", "keypoints", positions)
    if not sigma > 0:
        raise ValueError(f"sigma of the separation loss must be positive, not {sigma}")
    squared = (positions[:, :, None] - positions[:, None]).square().sum(dim=-1)
    different = ~torch.eye(positions.shape[1], dtype=torch.bool, device=positions.device)
    return torch.exp(-squared[:, different] / (2 * sigma**2)).mean()


@full_precision
def concentration_loss(heatmaps: Float[Tensor, "b k h w"]) -> Float[Tensor, ""]:
    """Guard against blurred keypoints: the mean over keypoints of a heatmap's variance in x plus that in y.

    Not in Equation 9; after Zhang et al. 2018. In squared coordinate units: 0 for one cell, 2 for two
    opposite corners.

    Args:
        heatmaps: sum to 1 over the cells.
    """
    if heatmaps.ndim != 4:
        raise ValueError(f"heatmaps must have shape (B, K, h, w), not {tuple(heatmaps.shape)}")
    grid = coordinate_grid(*heatmaps.shape[-2:], dtype=heatmaps.dtype, device=heatmaps.device)
    weights = heatmaps[..., None]
    means = (weights * grid).sum(dim=(2, 3), keepdim=True)
    return (weights * (grid - means).square()).sum(dim=(2, 3, 4)).mean()


@full_precision
def diversity_loss(part_features: Float[Tensor, "b k d"]) -> Float[Tensor, ""]:
    """Guard against parts that say the same: the mean cosine of the features of two parts k != l; in [-1, 1].

    Raises:
        ValueError: there are fewer than two parts.
    """
    _check_count("diversity_loss", "parts", part_features)
    count = part_features.shape[1]
    directions = F.normalize(part_features, dim=-1)
    # The sum over ordered pairs k != l is |sum of all|^2 less the K terms k = l.
    pairs = directions.sum(dim=1).square().sum(dim=-1) - directions.square().sum(dim=(1, 2))
    return pairs.mean() / (count * (count - 1))


@full_precision
def entropy_loss(part_maps: Float[Tensor, "b parts h w"]) -> Float[Tensor, ""]:
    """Guard against undecided part maps: the mean entropy of a cell over log(K + 1); 0 decided, 1 uniform.

    Args:
        part_maps: sum to 1 over the parts.

    Raises:
        ValueError: there are fewer than two maps.
    """
    _check_count("entropy_loss", "part maps", part_maps)
    entropy = -(part_maps * _finite_log(part_maps)).sum(dim=1)
    return entropy.mean() / math.log(part_maps.shape[1])


@full_precision
def background_loss(part_maps: Float[Tensor, "b parts h w"]) -> Float[Tensor, ""]:
    """The border prior: -log of the background map M_0, the mean over the left and the right border column.

    Nothing in Equation 9 says which map is the background; a crop rarely has the person on these cells.

    Args:
        part_maps: index 0 is the background.
    """
    if part_maps.ndim != 4:
        raise ValueError(f"part_maps must have shape (B, K + 1, h, w), not {tuple(part_maps.shape)}")
    borders = torch.stack((part_maps[:, 0, :, 0], part_maps[:, 0, :, -1]))
    return -_finite_log(borders).mean()


@full_precision
def foreground_loss(part_maps: Float[Tensor, "b parts h w"]) -> Float[Tensor, ""]:
    """The centre prior: -log(1 - M_0), the mean over the middle columns of the map's middle half.

    The counterpart of `background_loss`: without it the background, whose motion is the identity, may take everything.

    Args:
        part_maps: sum to 1 over the parts; index 0 is the background.
    """
    if part_maps.ndim != 4:
        raise ValueError(f"part_maps must have shape (B, K + 1, h, w), not {tuple(part_maps.shape)}")
    height, width = part_maps.shape[2:]
    centre = part_maps[:, 1:, height // 4:height - height // 4, (width - 1) // 2:width // 2 + 1]
    return -_finite_log(centre.sum(dim=1)).mean()


def _finite_log(probabilities: Tensor) -> Tensor:
    return torch.log(probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny))


def _check_count(function: str, things: str, tensor: Tensor) -> None:
    if tensor.ndim < 3 or tensor.shape[1] < 2:
        raise ValueError(f"{function} compares {things} and needs at least two an image, not a tensor of "
                         f"shape {tuple(tensor.shape)}")
