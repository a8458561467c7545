"""Equation 9: all that one training step computes, from a batch of images to the weighted sum of the losses."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from matlib import losses
from matlib.config import LossConfig
from matlib.distributed import gather, rank, world_size
from matlib.geometry import Keypoints, ThinPlateSpline, receptive_field_scale
from matlib.models import MATOutput
from matlib.models.external_keypoints import group_joints


class Objective(nn.Module):
    """The model and its losses as one module, so that a data-parallel wrapper sees a single forward pass.

    Args:
        model: a ``MAT`` or the ``Baseline``.
        config: weights and readings of the losses.
        seed: of the thin-plate splines, which depend on it and on the step alone.
    """

    def __init__(self, model: nn.Module, config: LossConfig, seed: int = 0):
        super().__init__()
        self.model = model
        self.config = config
        self.seed = seed

    def forward(self, images: Float[Tensor, "b 3 height width"], identities: Int[Tensor, "b"], step: int = 0,
                motion: float = 1.0, joints: Float[Tensor, "b 17 3"] | None = None, truth: tuple[Tensor, ...] = ()
                ) -> tuple[dict[str, Tensor], MATOutput]:
        """The losses by name, unweighted, with their weighted sum as ``total``; and the model's output.

        Args:
            step: number of the training step, for the random splines.
            motion: factor in [0, 1] on lambda 5 and lambda 6 while they are ramped in.
            joints: the images' 17 external keypoints, where the model has no keypoint branch (Table 1, row 6).
            truth: what the model takes beside the images, as its ``truth`` names it.
        """
        output = self.model(images, *truth)
        terms = self._identity_terms(output, identities)
        weights = {"identity_global": self.config.identity_global, "triplet_global": self.config.triplet_global}
        if output.part_features is not None:
            terms |= self._part_terms(output, identities)
            weights |= {"identity_part": self.config.identity_part, "triplet_part": self.config.triplet_part}
        if output.part_maps is not None:
            terms |= self._guards(output) | self._motion_terms(output, images, identities, step, joints)
            weights |= {name: getattr(self.config, name) for name in
                        ("separation", "concentration", "diversity", "entropy", "background", "foreground")}
            weights |= {"equivariance_value": motion * self.config.equivariance,
                        "equivariance_jacobian": motion * self.config.equivariance,
                        "consistency": motion * self.config.consistency}
        terms["total"] = sum(weights[name] * term for name, term in terms.items())
        return terms, output

    def _identity_terms(self, output: MATOutput, identities: Tensor) -> dict[str, Tensor]:
        return {"identity_global": losses.identity_loss(output.global_logits, identities, self.config.label_smoothing),
                "triplet_global": self._triplet(output.global_feature, identities)}

    def _part_terms(self, output: MATOutput, identities: Tensor) -> dict[str, Tensor]:
        each = [losses.identity_loss(logits, identities, self.config.label_smoothing) for logits in output.part_logits]
        return {"identity_part": torch.stack(each).mean(),
                "triplet_part": self._triplet(output.part_features.flatten(1), identities)}

    def _triplet(self, features: Tensor, identities: Tensor) -> Tensor:
        """Mined over the batch of all processes."""
        return losses.triplet_loss(gather(features), gather(identities), self.config.triplet_distance)

    def _guards(self, output: MATOutput) -> dict[str, Tensor]:
        config = self.config
        wanted = {"diversity": lambda: losses.diversity_loss(output.part_features),
                  "entropy": lambda: losses.entropy_loss(output.part_maps),
                  "background": lambda: losses.background_loss(output.part_maps),
                  "foreground": lambda: losses.foreground_loss(output.part_maps)}
        if output.keypoints is not None:
            wanted |= {"separation": lambda: losses.separation_loss(output.keypoints.positions),
                       "concentration": lambda: losses.concentration_loss(output.heatmaps)}
        return {name: compute() for name, compute in wanted.items() if getattr(config, name) > 0}

    def _motion_terms(self, output: MATOutput, images: Tensor, identities: Tensor, step: int,
                      joints: Tensor | None) -> dict[str, Tensor]:
        terms = {}
        if self.config.equivariance > 0 and output.keypoints is not None:
            value, jacobian = self._equivariance(output, images, identities, step)
            terms |= {"equivariance_value": value, "equivariance_jacobian": jacobian}
        if self.config.consistency > 0:
            keypoints, seen, oriented = self._keypoints(output, images, joints)
            terms["consistency"] = losses.feature_consistency_loss(
                output.features, keypoints, output.part_maps, identities, **self.consistency_options(),
                visibility=seen, oriented=oriented)
        return terms

    def consistency_options(self) -> dict[str, str]:
        config = self.config
        return {"on": config.fc_on, "norm": config.fc_norm, "pairs": config.fc_pairs, "detach": config.fc_detach,
                "anchor": config.anchor, "padding": config.fc_padding}

    def _equivariance(self, output: MATOutput, images: Tensor, identities: Tensor, step: int
                      ) -> tuple[Tensor, Tensor]:
        """Equations 13 and 14 on all images, or on one image of each identity."""
        config = self.config
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        chosen = torch.arange(len(images), device=images.device)
        if config.eq_images == "one_per_id":
            chosen = _one_of_each(identities, generator)
        share = slice(rank() * len(chosen), (rank() + 1) * len(chosen))
        spline = ThinPlateSpline.random(
            len(chosen) * world_size(), generator=generator, sigma_affine=config.sigma_affine,
            sigma_tps=config.sigma_tps, points=config.tps_points, metric=config.tps_metric)[share].to(images.device)
        warped = self.model.locate(spline.warp_images(images[chosen], self._scale(images, output)))
        return losses.equivariance_loss(Keypoints(*(t[chosen] for t in output.keypoints)), warped, spline)

    def _scale(self, images: Tensor, output: MATOutput) -> tuple[float, float]:
        """From the feature map's frame to the image's, or (1, 1), the original code's reading."""
        if not self.config.rf_registration:
            return (1.0, 1.0)
        return receptive_field_scale(images.shape[-2:], output.features.shape[-2:], self.model.trunk.stride)

    def _keypoints(self, output: MATOutput, images: Tensor, joints: Tensor | None
                   ) -> tuple[Keypoints, Tensor | None, Tensor | None]:
        """The keypoints, and of external ones which are seen and which have a Jacobian."""
        if output.keypoints is not None:
            return output.keypoints, None, None
        config = self.model.config
        return group_joints(joints, config.parts, images.shape[-2:], self._scale(images, output),
                            config.external_jacobian)


def _one_of_each(identities: Int[Tensor, "b"], generator: torch.Generator) -> Int[Tensor, "p"]:
    """Index of one image of each identity, whose images stand together; drawn over the identities of all processes."""
    counts = identities.unique_consecutive(return_counts=True)[1]
    if len(counts.unique()) > 1:
        raise ValueError("loss.eq_images=one_per_id needs batches with equally many images of each identity, together")
    own, count = len(counts), int(counts[0])
    draw = torch.randint(count, (own * world_size(),), generator=generator)[rank() * own:][:own]
    return (torch.arange(own) * count + draw).to(identities.device)
