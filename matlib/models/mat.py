"""The motion-aware transformer assembled (Figure 2), and the baseline of Table 1's first row."""

import torch
from jaxtyping import Float
from torch import Tensor

from matlib.config import ModelConfig, RunConfig
from matlib.errors import MatlibError
from matlib.geometry import Keypoints, receptive_field_scale
from matlib.models.average import Average
from matlib.models.descriptions import PartDescriptors
from matlib.models.equation9 import Reproduced, guards, identity_terms, motion_terms
from matlib.models.external_keypoints import group_joints
from matlib.models.heads import IdentityHead, PartHeads
from matlib.models.keypoints import KeypointBranch
from matlib.models.method import Step
from matlib.models.output import MATOutput, describe
from matlib.models.parts import (PartBranch, foreground, keypoint_windows, part_visibility, pool_parts,
                                 row_windows)
from matlib.models.transformer import Decoder, Encoder, place, reduction


class MAT(Reproduced):
    """Trunk, transformer encoder and decoder, keypoint branch, part branch, global and part heads.

    Args:
        config: sizes and options.
        identities: number of training identities, the classifiers' outputs.

    Raises MatlibError for options that contradict each other.
    """

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        _check(config)
        d, k = config.width, config.parts
        self.reduce = reduction(self.trunk.channels, d, config.pos_embed)
        sizes = (d, config.heads, config.feedforward, config.dropout, config.attention, config.norm_first)
        self.encoder = Encoder(config.encoder_layers, *sizes)
        self.learns_keypoints = config.keypoints == "self"
        if not self.learns_keypoints and config.windows == "keypoints":
            self.truth = ("joints",)  # else external keypoints only teach, and the test has none
        extra = k if config.queries == "separate" and self.learns_keypoints else 0
        self.decoder = Decoder(k + 1 + extra, config.decoder_layers, *sizes, target=config.decoder_target)
        self.part_branch = PartBranch(d, config.map_activation, config.map_scale, config.embed_sigmoid,
                                      config.outside)
        if self.learns_keypoints:
            self.keypoint_branch = KeypointBranch(k, d, config.temperature, config.jacobian, config.map_scale,
                                                  config.embed_sigmoid, config.jacobian_bound)
        channels = {"encoder": d, "backbone": self.trunk.channels}
        self.global_head = IdentityHead(channels[config.global_source], identities, config.neck)
        self.part_heads = PartHeads(k, channels[config.part_source], identities, config.neck, config.part_head)
        if config.teacher_decay:
            self.teacher = Average(self)

    @property
    def training_truth(self) -> tuple[str, ...]:
        return () if self.learns_keypoints or self.truth else ("joints",)

    def forward(self, images: Float[Tensor, "b 3 height width"], joints: Float[Tensor, "b 17 3"] | None = None
                ) -> MATOutput:
        """External keypoints teach the parts (Equations 10 to 12), and move their windows if there are such."""
        config = self.config
        trunk, features, queries = self._decode(images)
        keypoints, heatmaps = self._locate(features, queries) if self.learns_keypoints else (None, None)
        part_maps, weights = self.part_branch(queries[:, :config.parts + 1], features,
                                              self._windows(features, keypoints, images, joints))
        source = {"encoder": features, "backbone": trunk}
        part_features = pool_parts(source[config.part_source], weights, config.part_pool, config.pool_floor)
        global_feature = self._pool(source[config.global_source], part_maps)
        global_after, global_logits = self.global_head(global_feature)
        parts_after, part_logits = self.part_heads(part_features)
        return MATOutput(
            global_feature=global_feature, global_logits=global_logits, features=features,
            trunk=self._within_reach(trunk),
            descriptor=describe(config, [global_feature, part_features], [global_after, parts_after]),
            part_features=part_features, part_logits=part_logits, part_maps=part_maps,
            visibility=part_visibility(part_maps, config.visibility), keypoints=keypoints, heatmaps=heatmaps,
            image_size=tuple(images.shape[-2:]))

    def losses(self, output: MATOutput, step: Step) -> dict[str, Tensor]:
        """The terms of Equation 9, and guards."""
        return identity_terms(output, step) | guards(output, step.config) | motion_terms(self, output, step)

    def aim(self, output: MATOutput, step: Step) -> MATOutput:
        """Where the motion losses take the unbent images' positions of keypoints and the compared features from: this
        output, or what an average of the weights makes of the images."""
        if not self.config.teacher_decay:
            return output
        self.teacher.follow(self, self.config.teacher_decay, step.number)
        with torch.no_grad():
            return self.teacher.network(step.images, *step.truth)

    def describe(self, output: MATOutput) -> Tensor | PartDescriptors:
        """The descriptor, or its parts where ``model.visibility`` weighs their distances."""
        return output.descriptor if output.visibility is None else output.parted()

    @classmethod
    def reads(cls, config: RunConfig) -> set[str]:
        names = {name for name in config.flat if name.startswith(("model.", "loss.", "data.joints"))}
        return names - _idle(config)

    @classmethod
    def leaves_unused(cls, config: RunConfig) -> bool:
        """Without motion losses nothing reaches the keypoint branch."""
        return config.model.keypoints == "self" and not (config.loss.equivariance or config.loss.consistency)

    def locate(self, images: Float[Tensor, "b 3 height width"]) -> Keypoints:
        """The keypoints alone: what the second pass of the equivariance loss needs."""
        _, features, queries = self._decode(images)
        return self._locate(features, queries)[0]

    def _decode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Trunk features F (b D h w), encoded features f_g (b d h w), decoded queries (b q d)."""
        trunk = self.trunk(images)
        reduced = self.reduce(self._within_reach(trunk))
        h, w = reduced.shape[-2:]
        cells = reduced.flatten(2).transpose(1, 2)  # (b, hw, d)
        cells, position = place(cells, h, w, self.config.width, self.config.pos_embed)
        cells = self.encoder(cells, position)
        queries = self.decoder(cells, position)
        return trunk, cells.transpose(1, 2).unflatten(2, (h, w)), queries

    def _within_reach(self, trunk: Tensor) -> Tensor:
        """The trunk's features as the transformer and the motion losses have them."""
        return trunk.detach() if self.config.detach_trunk else trunk

    def _locate(self, features: Tensor, queries: Tensor) -> tuple[Keypoints, Tensor]:
        k = self.config.parts
        own = queries[:, k + 1:] if self.config.queries == "separate" else queries[:, 1:k + 1]
        return self.keypoint_branch(own, features)

    def _windows(self, features: Tensor, keypoints: Keypoints | None, images: Tensor, joints: Tensor | None
                 ) -> Tensor | None:
        config, size = self.config, features.shape[-2:]
        if config.windows == "none":
            return None
        if config.windows == "rows":
            return row_windows(config.parts, size[0], config.window).to(features)
        if self.learns_keypoints:
            return keypoint_windows(keypoints.positions, size, config.window)
        scale = receptive_field_scale(images.shape[-2:], size, self.trunk.stride)
        keypoints, seen, _ = group_joints(joints, config.parts, images.shape[-2:], scale)
        windows = keypoint_windows(keypoints.positions, size, config.window)
        return windows.masked_fill(~seen[..., None, None], _NOWHERE)

    def _pool(self, features: Tensor, part_maps: Tensor) -> Float[Tensor, "b d"]:
        """The global feature: a mean over all cells, or over those of the person."""
        if self.config.global_pool == "all":
            return features.float().mean(dim=(2, 3))
        return pool_parts(features, foreground(part_maps))[:, 0]


_NOWHERE = -1e3  # the logarithm of a window that lets through nothing: that of a part of which no joint is detected


def _check(config: ModelConfig) -> None:
    if config.detach_trunk and "backbone" not in (config.part_source, config.global_source):
        raise MatlibError("model.detach_trunk leaves nothing to teach the trunk; set model.part_source or "
                          "model.global_source to backbone with it")


_OF_FEATURES = {"loss.fc_source", "loss.fc_norm"}  # that are compared
_OF_CONSISTENCY = {"loss.fc_on", *_OF_FEATURES, "loss.fc_pairs", "loss.fc_detach", "loss.fc_padding"}
_OF_EQUIVARIANCE = {"loss.eq_images", "loss.eq_mirror", "loss.eq_statistics", "loss.tps_metric", "loss.tps_points",
                    "loss.sigma_affine", "loss.sigma_tps"}
_OF_KEYPOINT_BRANCH = {"model.queries", "model.temperature", "model.jacobian", "model.jacobian_bound",
                       "loss.equivariance", "loss.separation", "loss.concentration"}
_OF_EXTERNAL = {"data.joints", "model.external_jacobian"}


def _idle(config: RunConfig) -> set[str]:
    """The settings that nothing reads in such a run: those of branches and losses that it lacks."""
    external = config.model.keypoints == "external"
    equivariance, consistency = config.loss.equivariance and not external, config.loss.consistency
    looked_at = external and config.model.windows == "keypoints"
    idle = set(_OF_KEYPOINT_BRANCH if external else _OF_EXTERNAL)
    if config.model.windows == "none":
        idle |= {"model.window", "model.outside"}
    if config.model.part_pool == "gap":
        idle |= {"model.pool_floor"}
    if config.model.jacobian == "none":
        idle |= {"model.jacobian_bound"}
    if not consistency:
        idle |= _OF_CONSISTENCY | _OF_EXTERNAL - ({"data.joints"} if looked_at else set())
    elif config.loss.fc_on == "parts":
        idle |= _OF_FEATURES
    if not equivariance:
        idle |= _OF_EQUIVARIANCE
    if not equivariance and not (external and consistency):  # where nothing is bent and no joint comes from an image
        idle |= {"loss.rf_registration"}
    compares = consistency and config.loss.fc_on == "features"
    if not (equivariance or compares):
        idle |= {"model.teacher_decay"}
    elif config.model.teacher_decay and compares:  # the features of an average learn nothing
        idle |= {"loss.fc_detach"}
    return idle if consistency or equivariance else idle | {"loss.motion_warmup_epochs"}


class Baseline(Reproduced):
    """Table 1, row 1, the strong baseline (Luo et al. 2019): the trunk, its mean over all cells, one identity head."""

    also_reads = frozenset({"loss.identity_global", "loss.triplet_global"})

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        self.global_head = IdentityHead(self.trunk.channels, identities, config.neck)

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> MATOutput:
        feature = self.trunk(images).float().mean(dim=(2, 3))
        after, logits = self.global_head(feature)
        return MATOutput(global_feature=feature, global_logits=logits,
                         descriptor=describe(self.config, [feature], [after]))
