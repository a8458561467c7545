"""What one pass of a model gives, and how a descriptor is put together from it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.config import ModelConfig
from matlib.geometry import Keypoints
from matlib.models.descriptions import PartDescriptors


@dataclass
class MATOutput:
    """All that the losses, the evaluation and the figures read from one pass. B images, K parts, d channels."""

    global_feature: Float[Tensor, "b g"]
    global_logits: Float[Tensor, "b n"]
    descriptor: Float[Tensor, "b e"]  # L2-normalised, what is compared at test time: the global feature, then the parts
    features: Float[Tensor, "b d h w"] | None = None  # f_g
    trunk: Float[Tensor, "b t h w"] | None = None  # F
    part_features: Float[Tensor, "b k c"] | None = None
    part_logits: list[Tensor] | None = None
    part_maps: Float[Tensor, "b q h w"] | None = None  # q = k + 1, part 0 the background, sum to 1 in a cell
    visibility: Float[Tensor, "b k"] | None = None  # in [0, 1]; None where distances are not to be weighted by it
    keypoints: Keypoints | None = None  # in corner-aligned coordinates of the feature map
    heatmaps: Float[Tensor, "b k h w"] | None = None
    image_size: tuple[int, int] | None = None  # (height, width) of the images that the maps are of

    def parted(self) -> PartDescriptors:
        """The descriptor taken apart, with the visibility of each part."""
        parts, channels = self.part_features.shape[1:]
        whole = self.descriptor.shape[1] - parts * channels
        return PartDescriptors(self.descriptor[:, whole:].unflatten(1, (parts, channels)), self.visibility,
                               self.descriptor[:, :whole])


def describe(config: ModelConfig, before: list[Tensor], after: list[Tensor]) -> Float[Tensor, "b e"]:
    """The descriptor: global feature and parts, before or after their necks, as one vector of length 1."""
    compared = after if config.descriptor == "after" else before
    return nn.functional.normalize(torch.cat([part.flatten(1) for part in compared], dim=1).float(), dim=1)
