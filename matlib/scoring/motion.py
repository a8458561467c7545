"""The flow between two images of a person against where the points of the body really went.

A flow says, for each place of the reference image, where in the source image the same thing is (Equation 7). Its
end-point error (Baker et al., IJCV 2011) at a point of the body that is seen in both images is the distance between
that place and the true one, here as a share of the image's height. Beside it stand the flows that need no learning,
identity, and that know the answer but are stiff: the translation and the affine map that fit a pair's own points best
(by least squares).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from matlib.geometry import Keypoints, blend_motions, centroids, coordinate_grid, local_motions

YARDSTICKS = ("identity", "translation", "affine")


def learned_flow(
    keypoints: Keypoints,
    part_maps: Float[Tensor, "n parts h w"],
    reference: Int[Tensor, " p"],
    source: Int[Tensor, " p"],
    anchor: str = "keypoint",
) -> Float[Tensor, "p h w 2"]:
    """The flow of Equation 7 for pairs of images, as the feature consistency loss builds it.

    ``reference`` and ``source`` index the n images; ``anchor`` is the loss's option, the place that a part moves with.
    """
    if anchor == "centroid":
        keypoints = Keypoints(centroids(part_maps), keypoints.jacobians)
    of_reference, of_source = (Keypoints(*(t[index] for t in keypoints)) for index in (reference, source))
    maps = part_maps[reference]
    return blend_motions(maps, local_motions(of_reference, of_source, *maps.shape[-2:]))


def follow_flow(
    flow: Float[Tensor, "p h w 2"], points: Float[Tensor, "p v 2"], scale: tuple[float, float] = (1.0, 1.0)
) -> Float[Tensor, "p v 2"]:
    """Where a flow takes points of the reference image, both in the corner-aligned frame of the image.

    The flow is read bilinearly; beyond the centres of its outer cells the displacement is that of the border.
    ``scale`` is ``geometry.receptive_field_scale``: how far the flow's own frame reaches over the image.
    """
    a = points.new_tensor(scale)
    inner = (points + 1) / a - 1
    displacement = (flow - coordinate_grid(*flow.shape[1:3]).to(flow)).permute(0, 3, 1, 2)
    moved = F.grid_sample(displacement, inner[:, :, None], mode="bilinear", padding_mode="border", align_corners=True)
    return points + a * moved[..., 0].transpose(1, 2)


def fitted_flow(
    reference: Float[Tensor, "p v 2"], source: Float[Tensor, "p v 2"], seen: Bool[Tensor, "p v"], kind: str
) -> Float[Tensor, "p v 2"]:
    """Where the best ``"identity"``, ``"translation"`` or ``"affine"`` flow of each pair takes its reference points.

    Fitted to the pair's own points that are ``seen``, so that no flow of that kind has a smaller squared error.
    """
    if kind == "identity":
        return reference
    weight = seen[..., None].to(reference)
    if kind == "translation":
        shift = (weight * (source - reference)).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)
        return reference + shift
    design = torch.cat([reference, torch.ones_like(reference[..., :1])], dim=2).double()  # (p, v, 3)
    weight = weight.double()
    # x and y in one system; the pseudo-inverse takes the smallest map where too few points are seen
    coefficients = torch.linalg.pinv(design * weight) @ (source.double() * weight)
    return (design @ coefficients).to(reference)


def end_point_errors(
    predicted: Float[Tensor, "p v 2"], source: Float[Tensor, "p v 2"], size: tuple[int, int]
) -> Float[Tensor, "p v"]:
    """Distances as a share of the height of images of (height, width) ``size``; all in their corner-aligned frame."""
    pixels = source.new_tensor([size[1] - 1, size[0] - 1]) / 2
    return ((predicted - source) * pixels).norm(dim=2) / size[0]


def pair_images(identities: Int[Tensor, " n"]) -> tuple[Int[Tensor, " p"], Int[Tensor, " p"]]:
    """Pairs (reference, source) of images of one identity: each image with the next one of its identity, in a ring.

    Identities of 0 and below (distractors, junk: no one person) and those with a single image have none.
    """
    reference, source = [], []
    for identity in identities[identities > 0].unique():
        images = (identities == identity).nonzero().flatten()
        if len(images) > 1:
            reference.append(images)
            source.append(images.roll(-1))
    empty = identities.new_empty(0)
    return torch.cat([empty, *reference]), torch.cat([empty, *source])
