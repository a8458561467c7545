"""What to watch for collapse: numbers from one output of the model, and what they say in words."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor, nn

from matlib.config import LossConfig
from matlib.losses import feature_consistency_gain
from matlib.models import MATOutput
from matlib.models.equation9 import compared, consistency_options


@torch.no_grad()
def diagnose(output: MATOutput, identities: Int[Tensor, "b"] | None = None, config: LossConfig | None = None
             ) -> dict[str, float]:
    """Plain numbers on one batch; an empty dict for a model without parts.

    Args:
        identities: of the batch, equally many images of each; without them the last two numbers are left out.
        config: with the readings of the feature consistency loss; those of the paper without.

    * ``feature_variance``: share of f_g's variance that lies within images; 0 when every cell of an image is alike.
    * ``part_entropy``: entropy of the part maps over its maximum, 1 when uniform.
    * ``background_share``, ``largest_part_share``: shares of cells whose most likely part is the background; the
      largest share that one of the other parts takes of the cells that are not background.
    * ``keypoint_spread``: mean distance between two keypoints of an image, in units where the map is 2 wide and high.
    * ``nearest_keypoint``: mean distance to the nearest other keypoint.
    * ``keypoint_motion``: standard deviation over images of a keypoint's position; 0 when it ignores the image.
    * ``heat_entropy``: entropy of the heatmaps over its maximum.
    * ``smallest_determinant``: of a Jacobian; near 0 its part is flattened, below mirrored.
    * ``parts_in_use``: share of the K parts that win at least one cell of the batch.
    * ``consistency_flow``, ``consistency_identity``: the feature consistency under the model's flow, under no motion.
    """
    if output.part_maps is None:
        return {}
    values = {"feature_variance": _within_variance(output.features.float()),
              "part_entropy": _entropy(output.part_maps, dim=1)}
    winner = output.part_maps.argmax(dim=1)
    counts = torch.bincount(winner.flatten(), minlength=output.part_maps.shape[1]).float()
    values["background_share"] = float(counts[0] / counts.sum())
    values["parts_in_use"] = float((counts[1:] > 0).float().mean())
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
                   "smallest_determinant": float(torch.linalg.det(output.keypoints.jacobians.float()).min())}
        if identities is not None:
            config = config or LossConfig()
            gain = feature_consistency_gain(compared(output, config), output.keypoints, output.part_maps, identities,
                                            **consistency_options(config))
            values |= {"consistency_flow": float(gain[0]), "consistency_identity": float(gain[1])}
    return values


@torch.no_grad()
def gradient_norms(model: nn.Module) -> dict[str, float]:
    """The norm of the gradient that lies in each module of the model; 0 where none arrived."""
    return {name: math.sqrt(sum(float(p.grad.float().square().sum()) for p in part.parameters() if p.grad is not None))
            for name, part in model.named_children()}


#: Number, which side of the limit is a collapse, the limit, what has happened, what helps.
COLLAPSES = (
    ("keypoint_spread", "below", 0.05, "the keypoints have met in one point", "loss.separation keeps them apart"),
    ("keypoint_motion", "below", 0.01, "the keypoints stand still, whatever the image",
     "stronger splines (loss.sigma_affine, loss.sigma_tps) make that dear"),
    ("heat_entropy", "above", 0.95, "the heatmaps are flat", "loss.concentration narrows them"),
    ("smallest_determinant", "below", 0.05, "a Jacobian flattens or mirrors its part",
     "model.jacobian_bound=tanh keeps it from that"),
    ("part_entropy", "above", 0.98, "the part maps are uniform", "loss.entropy makes them decide"),
    ("background_share", "above", 0.98, "the background takes every cell",
     "loss.foreground gives the centre to the parts"),
    ("background_share", "below", 0.01, "no cell is background", "loss.background gives the border to it"),
    ("largest_part_share", "above", 0.98, "one part takes the whole body", "loss.diversity makes parts differ"),
    ("feature_variance", "below", 0.02, "all cells of an image are alike",
     "loss.fc_detach=features keeps the motion losses from flattening them"),
)


def collapses(values: Mapping[str, float]) -> list[str]:
    """One sentence for each collapse that the numbers of ``diagnose`` show: what collapsed, and which guard helps."""
    return [f"{what} ({name} {values[name]:.3g}): {help}" for name, side, limit, what, help in COLLAPSES
            if name in values and (values[name] < limit if side == "below" else values[name] > limit)]


def _entropy(probabilities: Tensor, dim: int) -> float:
    entropy = -torch.special.xlogy(probabilities, probabilities).sum(dim=dim)
    return float(entropy.mean() / math.log(probabilities.shape[dim]))


def _within_variance(features: Tensor) -> float:
    within = features.var(dim=(2, 3), correction=0).mean()
    total = features.transpose(0, 1).flatten(1).var(dim=1, correction=0).mean()
    return float(within / total.clamp_min(1e-12))
