"""ISP: Identity-Guided Human Semantic Parsing for Person Re-Identification (Zhu et al., ECCV 2020).

A segmentation of the body that nobody labelled: from time to time the cells of all images of one identity are clustered
together, into background and foreground by their norms, and the foreground into parts; the network learns to predict
the clusters, and pools over what it predicts. External input: none.

Faithful: the clustering and when it is done, the pooling, the three supervised vectors, the terms and their weights,
the aligned comparison of the parts that both images show. Of our own:

* The original's trunk is HRNet-W32, four resolutions side by side, a cell being 4 pixels. Here it is any trunk, reduced
  to ``model.width`` by the same convolution, normalisation and rectifier.
* Labels move with the whole augmentation. The original flips and erases them, and leaves them where they were when an
  image is padded and cropped. Cells that were padded or erased are not learned.
* K-means is SciPy's, with a seed of the epoch and over cells in an order of their own, so that the order of the images
  changes nothing. Identities with too few different cells for it keep equal bands as labels, without background.
* The original's average precision on Occluded-Duke is the trapezoid's (``average_precision="trapezoid"``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.cluster.vq import ClusterError, kmeans2
from torch import Tensor, nn
from torch.nn import functional as F

from matlib.baselines.recipes import AFTER_STRONG_BASELINE
from matlib.config import Count, ModelConfig, Range, Weight
from matlib.distributed import gather
from matlib.errors import MatlibError
from matlib.geometry import full_precision
from matlib.models.descriptions import PartDescriptors
from matlib.models.heads import IdentityHead
from matlib.models.method import Batches, Method, Step
from matlib.models.parts import part_visibility, pool_parts
from matlib.models.stripes import bands

UNLABELLED = 255
"""The label of what an augmentation has covered."""

ROUNDS = 20
"""Of k-means."""


@dataclass
class ISPOutput:
    features: Float[Tensor, "b d h w"]
    part_logits: Float[Tensor, "b k h w"]
    """Part 0 is the background; their softmax over the parts are the probability maps."""
    global_feature: Float[Tensor, "b d"]
    foreground_feature: Float[Tensor, "b d"]
    part_features: Float[Tensor, "b k-1 d"]
    after: dict[str, Tensor]
    """The features after their necks: global, foreground, and the parts as one vector."""
    logits: dict[str, Tensor]
    pseudo: UInt8[Tensor, "b height width"] | None
    """The labels that forward was given."""


class ISP(Method):
    """A global vector, one of the foreground, K - 1 of parts found by clustering, and three identity heads."""

    @dataclass(frozen=True)
    class Settings:
        parts: Annotated[int, Range(2, 200)] = 6
        """K, the background among them; 6 is that of Occluded-Duke, 7 that of Market-1501 and DukeMTMC."""
        attention: bool = True
        """Weigh the reduced map's cells by a small spatial attention."""
        contrast: bool = False
        """Push the cells' norms apart before background and foreground are told; off on Occluded-Duke."""
        every: Count = 2
        """Cluster before each so many-th epoch, from the first on."""
        until: Annotated[float, Range(high=1, above=True)] = 101 / 120
        """The share of the epochs after which labels stay as they are."""
        segmentation: Weight = 0.1
        """Weight of the cells' cross-entropy to their labels."""
        margin: Weight = 0.0
        """Of the triplets' hinge; 0 is the soft margin; published: 0.3."""
        compare: Literal["visible", "whole"] = "visible"
        """At test time the parts that both images show beside the other two vectors, as on Occluded-Duke; or all
        vectors as one, as on the other sets."""

    training_truth = ("labels",)
    also_reads = frozenset({"model.width"})
    ignores = frozenset({"model.descriptor"})
    # What cannot be said: the trunk, HRNet-W32, whose map has 64 x 32 cells too; Adam's own kind of weight decay; the
    # second step of the learning rate at epoch 70 (here 80).
    published = AFTER_STRONG_BASELINE | {
        "model.output_stride": 4, "model.width": 256, "model.method.margin": 0.3,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        width, parts = config.width, self.settings.parts
        self.reduce = nn.Sequential(nn.Conv2d(self.trunk.channels, width, kernel_size=1), nn.BatchNorm2d(width),
                                    nn.ReLU())
        self.attention = SpatialAttention(width) if self.settings.attention else nn.Identity()
        self.segment = nn.Conv2d(width, parts, kernel_size=1)
        self.global_head = IdentityHead(width, identities, config.neck)
        self.foreground_head = IdentityHead(width, identities, config.neck)
        self.part_head = IdentityHead((parts - 1) * width, identities, config.neck)

    @property
    def weights(self) -> dict[str, float]:
        return {"segmentation": self.settings.segmentation}

    def forward(self, images: Float[Tensor, "b 3 height width"],
                pseudo: UInt8[Tensor, "b height width"] | None = None) -> ISPOutput:
        """Of training images ``pseudo`` are the labels that ``begin_epoch`` gave, moved along with the images."""
        features = self.features(images)
        part_logits = self.segment(features)
        whole, foreground, parts = semantic_features(features, part_logits)
        heads = {"global": self.global_head(whole), "foreground": self.foreground_head(foreground),
                 "part": self.part_head(parts.flatten(1))}
        return ISPOutput(features, part_logits, whole, foreground, parts, pseudo=pseudo,
                         after={name: after for name, (after, _) in heads.items()},
                         logits={name: logits for name, (_, logits) in heads.items()})

    def features(self, images: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b d h w"]:
        """The cells that are clustered, segmented and pooled."""
        return self.attention(self.reduce(self.trunk(images)))

    def losses(self, output: ISPOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        """Raises MatlibError for an output without labels."""
        if output.pseudo is None:
            raise MatlibError("ISP is trained to predict labels of cells: give forward those that begin_epoch returned")
        vectors = {"global": output.global_feature, "foreground": output.foreground_feature,
                   "part": output.part_features.flatten(1)}
        margin = self.settings.margin or None
        return ({f"identity_{name}": step.identity(logits) for name, logits in output.logits.items()}
                | {f"triplet_{name}": step.triplet(vector, margin) for name, vector in vectors.items()}
                | {"segmentation": segmentation_loss(output.part_logits, output.pseudo)})

    def describe(self, output: ISPOutput) -> PartDescriptors | Float[Tensor, "b e"]:
        after = output.after
        whole = torch.cat([after["global"], after["foreground"]], dim=1)
        if self.settings.compare == "whole":
            return F.normalize(torch.cat([after["part"], whole], dim=1).float())
        parts = after["part"].unflatten(1, (self.settings.parts - 1, -1))
        return PartDescriptors(parts, part_visibility(output.part_logits, "argmax"), whole)

    def begin_epoch(self, epoch: int, epochs: int, images: Batches) -> UInt8[Tensor, "n h w"] | None:
        """New labels of the cells of all training images, before every so many-th epoch; None leaves the old ones.

        They depend on the images, their identities and the epoch alone.
        """
        if epoch % self.settings.every or epoch >= self.settings.until * epochs:
            return None
        features, identities = self._all_features(images)
        return pseudo_labels(features, identities, self.settings.parts, seed=epoch, contrast=self.settings.contrast)

    @torch.no_grad()
    def _all_features(self, images: Batches) -> tuple[Float[Tensor, "n d h w"], Int[Tensor, "n"]]:
        """Of all training images, in half precision: a large set has gigabytes of them."""
        training = self.training
        self.eval()
        batches = [(self.features(batch).half().cpu(), identities.cpu()) for batch, identities in images()]
        self.train(training)
        features, identities = map(torch.cat, zip(*batches))
        return features, identities


class SpatialAttention(nn.Module):
    """Each cell times a number in 0..1, from a convolution at half of the map's resolution."""

    def __init__(self, width: int):
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(width, 1, kernel_size=3, stride=2, padding=1), nn.BatchNorm2d(1), nn.ReLU())
        self.scale = nn.Sequential(nn.Conv2d(1, 1, kernel_size=1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        seen = F.interpolate(self.look(features), features.shape[-2:], mode="bilinear", align_corners=True)
        return features * self.scale(seen)


@full_precision
def semantic_features(features: Float[Tensor, "b d h w"], part_logits: Float[Tensor, "b k h w"]
                      ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"], Float[Tensor, "b k-1 d"]]:
    """The mean over all cells of the features, of the features on the foreground, and of those on each part."""
    maps = part_logits.softmax(dim=1)
    parts = pool_parts(features, maps, "gap")
    return features.mean(dim=(2, 3)), parts.sum(dim=1), parts


@full_precision
def segmentation_loss(part_logits: Float[Tensor, "b k h w"], pseudo: UInt8[Tensor, "b height width"]
                      ) -> Float[Tensor, ""]:
    """Softmax cross-entropy of the cells to the label in the middle of each; the mean over those that have one.

    With several processes the mean of their losses is that over all labelled cells.
    """
    size = part_logits.shape[-2:]
    labels = F.interpolate(pseudo[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    total = F.cross_entropy(part_logits, labels, ignore_index=UNLABELLED, reduction="sum")
    counts = gather((labels != UNLABELLED).sum()[None])
    return total * len(counts) / counts.sum().clamp_min(1)


def pseudo_labels(features: Float[Tensor, "n d h w"], identities: Int[Tensor, "n"], parts: int, seed: int = 0,
                  contrast: bool = False) -> UInt8[Tensor, "n h w"]:
    """A label for each cell, 0 the background and 1 the topmost part, from ``body_parts`` of each identity by itself.

    Identities whose cells cannot be clustered have equal bands. Raises MatlibError for more parts than rows.
    """
    height, width = features.shape[-2:]
    labels = bands(height, width, parts - 1).argmax(dim=1).to(torch.uint8).repeat(len(features), 1, 1)
    for identity in identities.unique():
        own = (identities == identity).nonzero()[:, 0]
        found = body_parts(features[own].float(), parts, seed, contrast)
        if found is not None:
            labels[own] = found
    return labels


def body_parts(features: Float[Tensor, "n d h w"], parts: int, seed: int = 0, contrast: bool = False
               ) -> UInt8[Tensor, "n h w"] | None:
    """The labels of one identity's cells, of all its images together; None where they cannot be clustered.

    The cells of the foreground, L2-normalised, in K - 1 clusters, which are numbered by their mean row from the top.
    """
    foreground = foreground_cells(features, seed, contrast)
    if foreground is None:
        return None
    clusters = k_means(F.normalize(features.movedim(1, -1)[foreground], dim=1), parts - 1, seed)
    if clusters is None:
        return None
    labels = torch.zeros(foreground.shape, dtype=torch.uint8)
    labels[foreground] = (1 + from_the_top(clusters, foreground.nonzero()[:, 1])).to(torch.uint8)
    return labels


def foreground_cells(features: Float[Tensor, "n d h w"], seed: int = 0, contrast: bool = False
                     ) -> Bool[Tensor, "n h w"] | None:
    """Which cells of one identity show it: of two clusters of their norms, each a share of its image's largest, the
    larger ones; None where all are alike. A cell without any response shows nothing.

    ``contrast`` puts sigmoid(5 (2 x - 1) + 3) in place of the share x.
    """
    norms = features.norm(dim=1)
    shares = norms / norms.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(norms.dtype).tiny)
    if contrast:
        shares = torch.sigmoid(5 * (2 * shares - 1) + 3)
    clusters = k_means(shares.reshape(-1, 1), 2, seed)
    if clusters is None:
        return None
    clusters = clusters.view(shares.shape)
    larger = int(shares[clusters == 1].mean() > shares[clusters == 0].mean())
    return (clusters == larger) & (norms > 0)


def k_means(points: Float[Tensor, "m d"], count: int, seed: int = 0) -> Int[Tensor, "m"] | None:
    """The cluster of each point, which does not depend on the order of the points; None where some cluster is empty.

    Lloyd's algorithm from a start of k-means++ (Arthur and Vassilvitskii, SODA 2007).
    """
    values = points.double().cpu().numpy()
    if len(np.unique(values, axis=0)) < count:
        return None
    order = np.argsort(values.sum(axis=1), kind="stable")
    try:
        found = kmeans2(values[order], count, iter=ROUNDS, minit="++", missing="raise",
                        seed=np.random.default_rng(seed))[1]
    except ClusterError:
        return None
    clusters = torch.empty(len(values), dtype=torch.long)
    clusters[torch.from_numpy(order)] = torch.from_numpy(found).long()
    return clusters


def from_the_top(clusters: Int[Tensor, "m"], rows: Int[Tensor, "m"]) -> Int[Tensor, "m"]:
    """The clusters numbered anew by the mean row of their points, 0 the topmost."""
    means = torch.stack([rows[clusters == cluster].double().mean() for cluster in range(int(clusters.max()) + 1)])
    return means.argsort(stable=True).argsort()[clusters]
