"""The terms of Equation 9, of a MATOutput: identity losses, the guards that the paper lacks, and the motion losses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from matlib import losses
from matlib.config import LossConfig
from matlib.distributed import rank, world_size
from matlib.geometry import Keypoints, ThinPlateSpline, receptive_field_scale
from matlib.models.external_keypoints import group_joints
from matlib.models.method import Method, Step
from matlib.models.output import MATOutput


class Reproduced(Method):
    """What MAT, its baseline and its ceiling share: a MATOutput, trained by the terms that it has features for."""

    def losses(self, output: MATOutput, step: Step) -> dict[str, Tensor]:
        return identity_terms(output, step)

    def total(self, terms: dict[str, Tensor], step: Step) -> Tensor:
        return sum(weight(name, step) * term for name, term in terms.items())

    def describe(self, output: MATOutput) -> Tensor:
        return output.descriptor

    def vector(self, output: MATOutput) -> Tensor:
        return output.descriptor


def weight(term: str, step: Step) -> float:
    """The lambda of a term; those of the motion losses rise while ``loss.motion_warmup_epochs`` last."""
    if term.startswith("equivariance_"):
        return step.motion * step.config.equivariance
    return (step.motion if term == "consistency" else 1.0) * getattr(step.config, term)


def identity_terms(output: MATOutput, step: Step) -> dict[str, Tensor]:
    """Equations 15 to 17, of the global feature and, where there are any, of the parts."""
    terms = {"identity_global": step.identity(output.global_logits),
             "triplet_global": step.triplet(output.global_feature)}
    if output.part_features is None:
        return terms
    each = [step.identity(logits) for logits in output.part_logits]
    return terms | {"identity_part": torch.stack(each).mean(),
                    "triplet_part": step.triplet(output.part_features.flatten(1))}


def guards(output: MATOutput, config: LossConfig) -> dict[str, Tensor]:
    """Those that have a weight."""
    wanted = {"diversity": lambda: losses.diversity_loss(output.part_features),
              "entropy": lambda: losses.entropy_loss(output.part_maps),
              "background": lambda: losses.background_loss(output.part_maps),
              "foreground": lambda: losses.foreground_loss(output.part_maps)}
    if output.keypoints is not None:
        wanted |= {"separation": lambda: losses.separation_loss(output.keypoints.positions),
                   "concentration": lambda: losses.concentration_loss(output.heatmaps)}
    return {name: compute() for name, compute in wanted.items() if getattr(config, name) > 0}


def motion_terms(model: Method, output: MATOutput, step: Step) -> dict[str, Tensor]:
    """Equations 10 to 14, where they have a weight."""
    config, terms = step.config, {}
    equivariance = config.equivariance > 0 and output.keypoints is not None
    wanted = equivariance or (config.consistency > 0 and config.fc_on == "features")
    aim = model.aim(output, step) if wanted else output
    if equivariance:
        value, jacobian = _equivariance(model, output, aim, step)
        terms |= {"equivariance_value": value, "equivariance_jacobian": jacobian}
    if config.consistency > 0:
        keypoints, seen, oriented = _keypoints(model, output, step)
        terms["consistency"] = losses.feature_consistency_loss(
            compared(aim, config), keypoints, output.part_maps, step.identities,
            **consistency_options(config), visibility=seen, oriented=oriented)
    return terms


def compared(output: MATOutput, config: LossConfig) -> Float[Tensor, "b c h w"]:
    """The features that Equation 10 compares: those of the encoder, or of the trunk, which tell people apart."""
    return {"encoder": output.features, "backbone": output.trunk}[config.fc_source]


def consistency_options(config: LossConfig) -> dict[str, str]:
    """The readings of Equations 10 to 12, as ``losses.feature_consistency_loss`` takes them."""
    return {"on": config.fc_on, "norm": config.fc_norm, "pairs": config.fc_pairs, "detach": config.fc_detach,
            "anchor": config.anchor, "padding": config.fc_padding}


def _equivariance(model: Method, output: MATOutput, aim: MATOutput, step: Step) -> tuple[Tensor, Tensor]:
    """Equations 13 and 14 on all images, or on one image of each identity.

    Of what is aimed at the positions alone are taken: Equation 14 has a least value at smaller and smaller Jacobians
    where one of its two is a constant.
    """
    config, images = step.config, step.images
    generator = torch.Generator().manual_seed(step.seed * 1_000_003 + step.number)
    chosen = torch.arange(len(images), device=images.device)
    if config.eq_images == "one_per_id":
        chosen = _one_of_each(step.identities, generator)
    share = slice(rank() * len(chosen), (rank() + 1) * len(chosen))
    spline = ThinPlateSpline.random(
        len(chosen) * world_size(), generator=generator, sigma_affine=config.sigma_affine,
        sigma_tps=config.sigma_tps, points=config.tps_points, metric=config.tps_metric,
        mirror=0.0 if config.eq_mirror == "none" else 0.5)[share].to(images.device)
    original = Keypoints(aim.keypoints.positions[chosen], output.keypoints.jacobians[chosen])
    with statistics(model, config.eq_statistics):
        warped = model.locate(spline.warp_images(images[chosen], _scale(model, output, step)))
    if config.eq_mirror == "pairs":
        original = _twins(original, spline.mirrors)
    if config.eq_mirror != "none":
        warped = _mirrored_frames(warped, spline.mirrors)
    return losses.equivariance_loss(original, warped, spline)


@contextmanager
def statistics(model: nn.Module, how: str) -> Iterator[None]:
    """Batch norm as in training; the statistics that it keeps for the test are ``renewed`` by what it sees, or ``kept``
    as they are."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)] if how == "kept" else []
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, usual):
            norm.momentum = momentum


def _mirrored_frames(keypoints: Keypoints, where: Bool[Tensor, "b"]) -> Keypoints:
    """The keypoints with the frames of their parts mirrored, too, in the images named: a Jacobian that had to tell
    pictures from mirrored ones could not be learnt."""
    flip = keypoints.jacobians.new_tensor([-1.0, 1.0])
    return Keypoints(keypoints.positions,
                     torch.where(where.view(-1, 1, 1, 1), keypoints.jacobians * flip, keypoints.jacobians))


def _twins(keypoints: Keypoints, where: Bool[Tensor, "b"]) -> Keypoints:
    """Each keypoint's twin in the images named: the second of a pair for the first and the first for the second; the
    last of an odd number is its own."""
    count = keypoints.positions.shape[1]
    twin = [min(k ^ 1, count - 1) for k in range(count)]
    return Keypoints(*(torch.where(where.view(-1, *[1] * (t.ndim - 1)), t[:, twin], t) for t in keypoints))


def _scale(model: Method, output: MATOutput, step: Step) -> tuple[float, float]:
    """From the feature map's frame to the image's, or (1, 1), the original code's reading."""
    if not step.config.rf_registration:
        return (1.0, 1.0)
    return receptive_field_scale(step.images.shape[-2:], output.features.shape[-2:], model.trunk.stride)


def _keypoints(model: Method, output: MATOutput, step: Step) -> tuple[Keypoints, Tensor | None, Tensor | None]:
    """The keypoints, and of external ones which are seen and which have a Jacobian."""
    if output.keypoints is not None:
        return output.keypoints, None, None
    config, (joints,) = model.config, step.truth
    return group_joints(joints, config.parts, step.images.shape[-2:], _scale(model, output, step),
                        config.external_jacobian)


def _one_of_each(identities: Int[Tensor, "b"], generator: torch.Generator) -> Int[Tensor, "p"]:
    """Index of one image of each identity, whose images stand together; drawn over the identities of all processes."""
    counts = identities.unique_consecutive(return_counts=True)[1]
    if len(counts.unique()) > 1:
        raise ValueError("loss.eq_images=one_per_id needs batches with equally many images of each identity, together")
    own, count = len(counts), int(counts[0])
    draw = torch.randint(count, (own * world_size(),), generator=generator)[rank() * own:][:own]
    return (torch.arange(own) * count + draw).to(identities.device)
