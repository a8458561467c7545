"""SFR, spatial feature reconstruction (He, Sun, Zhu and Wang, arXiv 1810.07399, 2018; after DSR, CVPR 2018).

A network of convolutions alone takes images of any size. Candidates are found by the global feature, and ranked again
by how well the vectors of their map rebuild the query's (``matlib.models.reconstruction``): nothing has to be aligned.

Faithful to the authors' program: batch normalisation and ReLU on the map; means over windows of four sizes and the
whole map; only the global feature is trained; the 50 nearest are compared again, at the ridge 5e-4; vectors as they
come, not of length 1.

Readings of ours:

* The published program has no identity loss, which the paper has: here it is an option, on unless the recipe is the
  published one.
* The map is first reduced to ``model.width`` channels by a 1 x 1 convolution: 71 vectors of 2048 channels for each
  image of Market-1501 would take 11 GB. The published recipe compares the trunk's own channels, and needs the 11 GB.
* The two distances of the sum are to be of one scale. The authors add a Euclidean distance of raw features to the
  reconstruction's; here the first is a cosine's, so the second is divided by the mean length of the query's vectors, a
  number of the query alone, which changes no order of the second distance: 0 where all is rebuilt, 1 where nothing is.
* The share of the second distance is fixed, at one half. The authors print the test's results for eleven shares.

It needs no input beside the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from matlib import losses
from matlib.baselines.recipes import RECONSTRUCTION
from matlib.config import Count, ModelConfig, Positive, Share, Weight
from matlib.distributed import gather
from matlib.geometry import full_precision
from matlib.models.descriptions import Pyramid, SecondStage
from matlib.models.heads import IdentityHead
from matlib.models.method import Method, Step
from matlib.models.reconstruction import check_dictionary, pyramid, reconstruction, residuals, window_sizes


@dataclass
class SFROutput:
    """One pass of SFR."""

    global_feature: Float[Tensor, "b d"]
    after_neck: Float[Tensor, "b d"]
    logits: Float[Tensor, "b identities"]
    spatial_features: Float[Tensor, "b n d"]
    """The windows' means, and the whole map's last where it is one of them."""


class SFR(Method):
    """Global feature, and a pyramid of the map's means that is compared by reconstruction.

    Raises MatlibError in ``forward`` for a map that has as many windows as channels, or none.
    """

    @dataclass(frozen=True)
    class Settings:
        """Of the method; the published values where the docstring of the file names no reading."""

        windows: Count = 4  # sizes of window at most, from the smallest; the authors take 2 for the partial sets
        whole: bool = True  # the whole map's mean is one more vector; the authors leave it out beside 2 sizes
        ridge: Positive = 5e-4
        neighbours: Count = 50
        share: Share = 0.5  # of the second distance
        reduce: bool = True  # to model.width channels; published: no
        identity: bool = True  # the identity loss; published: no
        margin: Weight = 0.0  # of the triplet's hinge, published .45; 0 is the soft margin
        reconstruction_triplet: Weight = 0.0  # of a triplet loss by reconstruction: an option of theirs
        reconstruction_ridge: Positive = 1e-3  # in that term

    also_reads = frozenset({"model.width"})
    # What cannot be said: Adam's own kind of weight decay; a rate that falls exponentially from epoch 151 on; and
    # candidates by the Euclidean distance. A neck would learn nothing without an identity loss.
    published = RECONSTRUCTION | {
        "model.neck": "none", "model.method.identity": False, "model.method.margin": 0.45, "data.width": 192,
        "train.epochs": 400, "train.identities_per_batch": 32, "train.lr": 1.5e-4, "train.step_epochs": 150,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        self.reduction = reduction(self.trunk.channels, config.width if self.settings.reduce else None)
        width = config.width if self.settings.reduce else self.trunk.channels
        self.global_head = IdentityHead(width, identities, config.neck)

    @property
    def weights(self) -> dict[str, float]:
        return {"identity": float(self.settings.identity), "reconstruction": self.settings.reconstruction_triplet}

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> SFROutput:
        features = self.reduction(self.trunk(images)).float()
        windows, stride = window_sizes(features.shape[2:], self.settings.windows)
        spatial = pyramid(features, windows, stride, with_global=self.settings.whole)
        check_dictionary(spatial)
        feature = features.mean(dim=(2, 3))
        return SFROutput(feature, *self.global_head(feature), spatial)

    def losses(self, output: SFROutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        terms = {"identity": step.identity(output.logits),
                 "triplet": step.triplet(output.global_feature, self.settings.margin or None)}
        if self.settings.reconstruction_triplet:
            terms["reconstruction"] = reconstruction_triplet_loss(
                gather(output.global_feature), gather(output.spatial_features), gather(step.identities),
                self.settings.reconstruction_ridge, self.settings.margin or None)
        return terms

    def describe(self, output: SFROutput) -> Pyramid:
        lengths = output.spatial_features.norm(dim=2)
        total = lengths.sum(dim=1, keepdim=True).clamp_min(torch.finfo(lengths.dtype).eps)
        return Pyramid(output.after_neck if self.config.descriptor == "after" else output.global_feature,
                       output.spatial_features,
                       SecondStage(partial(rebuilt, ridge=self.settings.ridge), self.settings.neighbours,
                                   self.settings.share), weights=(1 / total).expand_as(lengths))


@full_precision
def reconstruction_triplet_loss(features: Float[Tensor, "b d"], vectors: Float[Tensor, "b n c"],
                                identities: Int[Tensor, "b"], ridge: float = 1e-3, margin: float | None = None
                                ) -> Float[Tensor, ""]:
    """The triplet loss of the reconstruction distances, from anchor to image, of the pairs that the features mine.

    Args:
        features: the global ones, which get no gradient: they say which images are the hardest.
        margin: of the hinge; None is the soft margin.

    Raises ValueError where an image has no positive or no negative.
    """
    with torch.no_grad():
        apart = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    distances = (residuals(vectors, vectors[others], ridge).mean(dim=1)
                 for others in losses.hardest_pairs(apart, identities))
    return losses.margin_loss(*distances, margin)


def rebuilt(query: Pyramid, gallery: Pyramid, ridge: float) -> Float[Tensor, "q g"]:
    """``reconstruction`` as a second stage."""
    return reconstruction(query.vectors, gallery.vectors, ridge, query.weights)


def reduction(channels: int, width: int | None) -> nn.Sequential:
    """A 1 x 1 convolution to so many channels, none for None; batch normalisation; ReLU."""
    convolution = nn.Identity() if width is None else nn.Conv2d(channels, width, kernel_size=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width or channels), nn.ReLU())
