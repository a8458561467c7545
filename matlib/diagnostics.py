"""What to watch for collapse: numbers in words, from one output of the model (notes of the book's training chapter)."""

import math

import torch
from torch import Tensor

from matlib.models import MATOutput


@torch.no_grad()
def diagnose(output: MATOutput) -> dict[str, float]:
    """Plain numbers on one batch; an empty dict for a model without parts.

    * ``feature_variance``: share of f_g's variance that lies within images; 0 when every cell of an image is alike.
    * ``part_entropy``: entropy of the part maps over its maximum, 1 when uniform.
    * ``background_share``, ``largest_part_share``: shares of cells whose most likely part is the background; the
      largest share that one of the other parts takes of the cells that are not background.
    * ``keypoint_spread``: mean distance between two keypoints of an image, in units where the map is 2 wide and high.
    * ``nearest_keypoint``: mean distance to the nearest other keypoint.
    * ``keypoint_motion``: standard deviation over images of a keypoint's position; 0 when it ignores the image.
    * ``heat_entropy``: entropy of the heatmaps over its maximum.
    """
    if output.part_maps is None:
        return {}
    values = {"feature_variance": _within_variance(output.features.float()),
              "part_entropy": _entropy(output.part_maps, dim=1)}
    winner = output.part_maps.argmax(dim=1)
    counts = torch.bincount(winner.flatten(), minlength=output.part_maps.shape[1]).float()
    values["background_share"] = float(counts[0] / counts.sum())
    values["largest_part_share"] = float(counts[1:].max() / counts[1:].sum().clamp_min(1))
    if output.keypoints is not None:
        positions = output.keypoints.positions
        distances = torch.cdist(positions, positions)
        off = ~torch.eye(positions.shape[1], dtype=torch.bool, device=positions.device)
        far = distances.masked_fill(~off, math.inf)
        values |= {"keypoint_spread": float(distances[:, off].mean()) if off.any() else 0.0,
                   "nearest_keypoint": float(far.amin(dim=2).mean()) if off.any() else 0.0,
                   "keypoint_motion": float(positions.std(dim=0).mean()),
                   "heat_entropy": _entropy(output.heatmaps.flatten(2), dim=2),
                   "smallest_determinant": float(torch.linalg.det(output.keypoints.jacobians).min())}
    return values


def _entropy(probabilities: Tensor, dim: int) -> float:
    entropy = -torch.special.xlogy(probabilities, probabilities).sum(dim=dim)
    return float(entropy.mean() / math.log(probabilities.shape[dim]))


def _within_variance(features: Tensor) -> float:
    within = features.var(dim=(2, 3), correction=0).mean()
    total = features.transpose(0, 1).flatten(1).var(dim=1, correction=0).mean()
    return float(within / total.clamp_min(1e-12))
