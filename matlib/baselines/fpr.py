"""FPR, foreground-aware pyramid reconstruction (He, Wang, Liu, Zhao, Sun and Feng, ICCV 2019).

SFR's match, in which the query's vectors count by how likely they show the person: an occluder's vectors, which no
gallery image rebuilds, shall not make the distance. The weights come from an *occlusion unit*, one linear map and a
sigmoid on each vector.

Faithful to the public program (FastReID's, later than the paper): maxima over windows of four sizes, the whole map not
among them; the weights of an image sum to 1; the *foreground feature*, the weighted sum of the finest windows' vectors
alone, whose weights sum to 1 by themselves, is trained and finds the candidates; the global feature is trained and not
compared; vectors of length 1 in the reconstruction, ridge 1e-3, the 100 nearest.

Readings of ours:

* ``masks``: the paper supervises the unit by masks of people, by a network that is not public; the program leaves it to
  the losses of the foreground feature. Here an option trains the unit's probability in each window against the share of
  it that shows the person (binary cross-entropy, weight 1), by the true parts of a rendered set.
* The map is first reduced to ``model.width`` channels, as SFR's is; the published recipe leaves it as it is.
* The share of the second distance is fixed, at one half; the program prints the test's best of 101.

It needs no input beside the images, but for the true parts in training with ``masks``. The published trunk is
ResNet-50-IBN, which torchvision lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from matlib.baselines.recipes import RECONSTRUCTION
from matlib.baselines.sfr import rebuilt, reduction
from matlib.config import Count, ModelConfig, Positive, Share, Weight
from matlib.models.descriptions import Pyramid, SecondStage
from matlib.models.heads import IdentityHead
from matlib.models.method import Method, Step
from matlib.models.reconstruction import check_dictionary, pyramid, window_sizes


@dataclass
class FPROutput:
    """One pass of FPR."""

    global_feature: Float[Tensor, "b d"]
    global_logits: Float[Tensor, "b identities"]
    foreground_feature: Float[Tensor, "b d"]
    foreground_after: Float[Tensor, "b d"]
    """After the neck."""
    foreground_logits: Float[Tensor, "b identities"]
    spatial_features: Float[Tensor, "b n d"]
    scores: Float[Tensor, "b n"]
    """The occlusion unit's, before the sigmoid: high where a window shows the person."""
    size: tuple[int, int]
    """Rows and columns of the map."""


class FPR(Method):
    """Global and foreground feature, and a pyramid of the map's maxima that is compared by weighted reconstruction.

    Raises MatlibError in ``forward`` for a map that has as many windows as channels, or none.
    """

    @dataclass(frozen=True)
    class Settings:
        """Of the method; the published values where the docstring of the file names no reading."""

        windows: Count = 4  # sizes of window at most, from the smallest
        ridge: Positive = 1e-3
        neighbours: Count = 100
        share: Share = 0.5  # of the second distance
        reduce: bool = True  # to model.width channels; published: no
        margin: Weight = 0.0  # of the triplets' hinge, published .3 with weighted pairs; 0 is the soft margin
        masks: bool = False  # the unit learns from the true parts of a rendered set

    also_reads = frozenset({"model.width"})
    # What cannot be said: the trunk, ResNet-50-IBN; Adam's own kind of weight decay; a cosine after epoch 20, and 500
    # steps of warm-up; and triplets that weigh all pairs of a batch.
    published = RECONSTRUCTION | {
        "model.neck": "bnneck", "model.descriptor": "after", "model.method.margin": 0.3, "loss.label_smoothing": 0.12,
        "train.epochs": 60, "train.identities_per_batch": 64, "train.lr": 7e-4, "train.step_epochs": 20,
        "train.warmup_epochs": 2,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        width = config.width if self.settings.reduce else self.trunk.channels
        self.reduction = reduction(self.trunk.channels, width) if self.settings.reduce else nn.Identity()
        self.occlusion_unit = nn.Linear(width, 1, bias=False)
        self.global_head = IdentityHead(width, identities, config.neck)
        self.foreground_head = IdentityHead(width, identities, config.neck)

    @property
    def training_truth(self) -> tuple[str, ...]:
        return ("parts",) if self.settings.masks else ()

    def forward(self, images: Float[Tensor, "b 3 height width"], parts: UInt8[Tensor, "b height width"] | None = None
                ) -> FPROutput:
        """The pass; parts are what ``losses`` compares with, and change nothing in it."""
        features = self.reduction(self.trunk(images)).float()
        size = tuple(features.shape[2:])
        kernels, stride = window_sizes(size, self.settings.windows)
        spatial = pyramid(features, kernels, stride, "max", with_global=False)
        check_dictionary(spatial)
        scores = self.occlusion_unit(spatial)[:, :, 0].float()
        finest = pyramid(features, kernels[:1], stride, "max", with_global=False).shape[1]
        foreground = foreground_feature(spatial[:, :finest], scores[:, :finest].sigmoid())
        feature = features.mean(dim=(2, 3))
        return FPROutput(feature, self.global_head(feature)[1], foreground, *self.foreground_head(foreground), spatial,
                         scores, size)

    def losses(self, output: FPROutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        margin = self.settings.margin or None
        terms = {"identity_global": step.identity(output.global_logits),
                 "triplet_global": step.triplet(output.global_feature, margin),
                 "identity_foreground": step.identity(output.foreground_logits),
                 "triplet_foreground": step.triplet(output.foreground_feature, margin)}
        if self.settings.masks:
            shares = person_shares(step.truth[0], output.size, *window_sizes(output.size, self.settings.windows))
            terms["mask"] = nn.functional.binary_cross_entropy_with_logits(output.scores, shares)
        return terms

    def describe(self, output: FPROutput) -> Pyramid:
        after = self.config.descriptor == "after"
        return Pyramid(output.foreground_after if after else output.foreground_feature,
                       nn.functional.normalize(output.spatial_features, dim=2),
                       SecondStage(partial(rebuilt, ridge=self.settings.ridge), self.settings.neighbours,
                                   self.settings.share), weights=shares_of_one(output.scores.sigmoid()))


def shares_of_one(probabilities: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Each image's, divided by their sum."""
    return nn.functional.normalize(probabilities, p=1, dim=1)


def foreground_feature(vectors: Float[Tensor, "b n c"], probabilities: Float[Tensor, "b n"]) -> Float[Tensor, "b c"]:
    """The mean of the vectors under their probabilities of showing the person."""
    return (shares_of_one(probabilities)[:, :, None] * vectors).sum(dim=1)


def person_shares(parts: UInt8[Tensor, "b height width"], size: tuple[int, int], kernels: list[int], stride: int
                  ) -> Float[Tensor, "b n"]:
    """Which share of each window shows the person, whose visible parts are the labels from 1 on."""
    cells = nn.functional.adaptive_avg_pool2d((parts > 0).float()[:, None], size)
    return pyramid(cells, kernels, stride, with_global=False)[:, :, 0]
