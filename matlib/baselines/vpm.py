"""VPM: Perceive Where to Focus, Learning Visibility-aware Part-level Features (Sun et al., CVPR 2019).

The box of a whole person is a grid of regions. The network is trained on random crops, of which it is known where in
the box they come from: a locator learns to say of each cell of a crop which region it belongs to, and so which regions
an image shows. Only regions that are there teach identities, and only regions that both images show are compared.

Faithful to the authors' program: six regions, one above the other; the locator looks at rows, whose probabilities pool
and weigh without passing a gradient back; the weights of the four terms; the distances of training and test; the rule
of the rows' labels and of what is visible. The paper differs in what these options say: ``locate`` and
``triplet_regions``. Of our own:

* The paper trains on crops of several sides, the program keeps the top alone. Here top, middle or bottom is kept, each
  drawn alike; ``kept`` has the others.
* The crop is one of the augmented batch, within the forward pass of training, drawn from torch's generator on the CPU.
* Of the regions' vectors, the mean of the cells goes into the classifiers, as in the paper, and the same vector at
  length 1 into the distances.
* The program knows an invisible region by a class more that weighs nothing. Here there is none.
* The program averages each 8 channels for its locator; with a trunk of fewer channels that leaves too few.
* A whole person is what the box shows: a training set's own occlusions do no harm, loose boxes blur the regions.

It needs no input beside the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from matlib import losses
from matlib.baselines.recipes import AFTER_PCB
from matlib.config import Count, ModelConfig, Range, Share, ShareBelowOne, Weight
from matlib.distributed import gather
from matlib.errors import MatlibError
from matlib.geometry import full_precision
from matlib.models.descriptions import PartDescriptors
from matlib.models.heads import PartHeads
from matlib.models.method import Method, Step
from matlib.models.parts import pool_parts


class Crop(NamedTuple):
    """What is kept of each image along some axes, as y and x: where it starts and how long it is, in shares."""

    start: Float[Tensor, "b axes"]
    kept: Float[Tensor, "b axes"]


@dataclass
class VPMOutput:
    """One pass of VPM, of crops in training; p regions, row by row."""

    regions: Float[Tensor, "b p c"]
    """f_i, at length 1."""
    scores: Float[Tensor, "b p"]
    """C_i, as shares of the map: they sum to 1. Without gradient."""
    logits: list[Tensor]
    """Of the identities, by each region, and by the whole map last."""
    locator_logits: Float[Tensor, "b p h w"]
    """Of one column where the locator looks at rows."""
    labels: Int[Tensor, "b h w"]
    """The region that each cell of the crop truly belongs to."""
    visible: Bool[Tensor, "b p"]
    """The regions that the crop truly shows."""


class VPM(Method):
    """A locator of regions, a classifier a region, one of the whole map, and the regions compared that both show.

    Raises MatlibError for settings that do not fit each other, and in ``forward`` for a map smaller than the grid.
    """

    @dataclass(frozen=True)
    class Settings:
        rows: Count = 6
        columns: Count = 1
        """Of the grid of regions."""
        locate: Literal["rows", "cells"] = "rows"
        """What the locator sees at a time: the mean of a row, as in the program, or a cell, as in the paper."""
        triplet_regions: Literal["located", "visible"] = "located"
        """What weighs regions in the triplet's distance: scores, as in the program, or the truth, as in the paper."""
        margin: Weight = 0.0
        """Of the triplet's hinge; 0 is the soft margin; published: 1."""
        kept: Literal["any", "top", "middle", "bottom"] = "any"
        """Which part of the rows a crop keeps; published: top. Of several columns any part is kept."""
        least_kept: Annotated[float, Range(high=1, above=True)] = 0.5
        """The share that a crop keeps is uniform from here ..."""
        most_kept: Annotated[float, Range(1)] = 1.083
        """... to here, where what is above 1 is 1: so many images stay whole."""
        least_seen: Share = 0.5
        """Of a region's rows: with fewer, a region at the border counts as invisible. Published: 2 of 4 rows."""
        channels_each: Count = 1
        """So many channels are averaged to one for the locator; published: 8."""
        dropout: ShareBelowOne = 0.0
        """Before locator and reductions; published: 0.5."""

    also_reads = frozenset({"model.width"})
    ignores = frozenset({"loss.triplet_distance", "model.descriptor"})
    weights = {"identity": 1.0, "identity_global": 1.0, "locator": 0.5, "triplet": 3.0}
    # Nesterov's momentum, and ten times the rate for locator and reductions too, cannot be said.
    published = AFTER_PCB | {
        "model.neck": "bnneck", "model.method.margin": 1.0, "model.method.kept": "top",
        "model.method.channels_each": 8, "model.method.dropout": 0.5,
        "train.epochs": 130, "train.identities_per_batch": 8, "train.images_per_identity": 8, "train.step_epochs": 80,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        own, channels = self.settings, self.trunk.channels
        if own.columns > 1 and own.locate == "rows":
            raise MatlibError("a locator of rows cannot tell columns apart: with model.method.columns above 1, set "
                              "model.method.locate=cells")
        if channels % own.channels_each:
            raise MatlibError(f"model.method.channels_each ({own.channels_each}) is to divide the trunk's {channels} "
                              "channels")
        count = own.rows * own.columns
        self.dropout = nn.Dropout(own.dropout)
        self.locator = nn.Conv2d(channels // own.channels_each, count, kernel_size=1)
        self.reductions = nn.ModuleList(nn.Linear(channels, config.width, bias=False) for _ in range(count + 1))
        self.region_heads = PartHeads(count + 1, config.width, identities, config.neck, "per_part")

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> VPMOutput:
        crop = whole(len(images))
        if self.training:
            crop = self._draw(len(images))
            images = crop_images(images, crop)
        features = self.trunk(images).float()
        locator_logits = self._locate(features)
        pooled, scores = pool_regions(features, locator_logits.detach().softmax(dim=1))
        vectors = torch.cat([pooled, features.mean(dim=(2, 3))[:, None]], dim=1)
        reduced = torch.stack([reduction(self.dropout(vector)) for reduction, vector
                               in zip(self.reductions, vectors.unbind(1), strict=True)], dim=1)
        labels, visible = self._truth(crop, locator_logits)
        return VPMOutput(F.normalize(pooled, dim=2), scores, self.region_heads(reduced)[1], locator_logits, labels,
                         visible)

    def losses(self, output: VPMOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        weights = output.scores if self.settings.triplet_regions == "located" else output.visible.float()
        regions = [visible_identity_loss(logits, step.identities, seen, step.config.label_smoothing)
                   for logits, seen in zip(output.logits[:-1], output.visible.unbind(1), strict=True)]
        return {"identity": torch.stack(regions).sum(),
                "identity_global": step.identity(output.logits[-1]),
                "locator": F.cross_entropy(output.locator_logits, output.labels),
                "triplet": region_triplet_loss(gather(output.regions), gather(weights), gather(step.identities),
                                               self.settings.margin or None)}

    def describe(self, output: VPMOutput) -> PartDescriptors:
        """Regions, and their scores squared: ``part_distances`` weighs by roots of products, this method by products.

        By its cosines that is half of the program's distance, which squares that of two regions; the paper's is the one
        that ``region_distances`` has, by ``metric="euclidean"``.
        """
        return PartDescriptors(output.regions, output.scores.square())

    def _draw(self, count: int) -> Crop:
        own = self.settings
        rows = draw_spans(count, own.least_kept, own.most_kept, own.kept)
        columns = draw_spans(count, own.least_kept, own.most_kept) if own.columns > 1 else whole(count, axes=1)
        return Crop(*(torch.cat(both, dim=1) for both in zip(rows, columns)))

    def _locate(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b p h v"]:
        evidence = self.dropout(features)
        if self.settings.locate == "rows":
            evidence = evidence.mean(dim=3, keepdim=True)
        return self.locator(evidence.unflatten(1, (-1, self.settings.channels_each)).mean(dim=2)).float()

    def _truth(self, crop: Crop, locator_logits: Float[Tensor, "b p h w"]
               ) -> tuple[Int[Tensor, "b h w"], Bool[Tensor, "b p"]]:
        """Of each cell that the locator looks at its region, and which regions are visible."""
        axes = zip(locator_logits.shape[2:], (self.settings.rows, self.settings.columns), *(t.T for t in crop))
        (down, seen_down), (across, seen_across) = (
            _labels_and_visible(*axis, self.settings.least_seen) for axis in axes)
        labels = down[:, :, None] * self.settings.columns + across[:, None]
        visible = seen_down[:, :, None] & seen_across[:, None]
        return labels.to(locator_logits.device), visible.flatten(1).to(locator_logits.device)


def whole(count: int, axes: int = 2) -> Crop:
    """Of so many images all."""
    return Crop(torch.zeros(count, axes), torch.ones(count, axes))


def draw_spans(count: int, least: float, most: float, part: str = "any") -> Crop:
    """Random crops along one axis, on the CPU: shares min(1, U(least, most)) of which ``part`` says where they lie."""
    kept = torch.empty(count, 1).uniform_(least, most).clamp(max=1)
    sides = {"top": 0.0, "middle": 0.5, "bottom": 1.0}
    side = torch.randint(3, (count, 1)) / 2 if part == "any" else sides[part]
    return Crop(side * (1 - kept), kept)


def crop_images(images: Float[Tensor, "b c height width"], crop: Crop) -> Float[Tensor, "b c height width"]:
    """The crops, stretched to the images' size bilinearly."""
    start, kept = (shares.flip(1).to(images) for shares in crop)  # x, y
    theta = torch.cat([torch.diag_embed(kept), (2 * start + kept - 1)[:, :, None]], dim=2)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def region_labels(length: int, count: int, start: Float[Tensor, "b"], kept: Float[Tensor, "b"]
                  ) -> Int[Tensor, "b length"]:
    """Which of ``count`` equal bands of the whole image each cell of a crop belongs to, along one axis.

    Cell j = 1 .. h of a crop that keeps the share r from s on is in band #{i : j > round((h i / p - h s) / r)}, i = 1
    to p - 1: that of its centre. Raises MatlibError for more bands than cells.
    """
    if count > length:
        raise MatlibError(f"a feature map of {length} cells along an axis has no {count} regions there: use fewer, "
                          "larger images, or a smaller model.output_stride")
    borders = length * torch.arange(1, count, dtype=torch.float64, device=start.device) / count
    borders = ((borders - length * start[:, None].double()) / kept[:, None].double()).round()  # (b, p - 1)
    cells = torch.arange(1, length + 1, device=start.device)
    return (cells[:, None] > borders[:, None]).sum(dim=2)


def visible_regions(labels: Int[Tensor, "b length"], count: int, least: int = 2) -> Bool[Tensor, "b count"]:
    """Which bands lie between those of a crop's cell number ``least`` from the one end and from the other.

    A band at an end with fewer cells than that counts as hidden.
    """
    bands = torch.arange(count, device=labels.device)
    return (bands >= labels[:, least - 1, None]) & (bands <= labels[:, -least, None])


def _labels_and_visible(length: int, count: int, start: Tensor, kept: Tensor, least_seen: float
                        ) -> tuple[Int[Tensor, "b length"], Bool[Tensor, "b count"]]:
    labels = region_labels(length, count, start, kept)
    return labels, visible_regions(labels, count, max(1, math.ceil(least_seen * length / count)))


@full_precision
def pool_regions(features: Float[Tensor, "b c h w"], maps: Float[Tensor, "b p h v"]
                 ) -> tuple[Float[Tensor, "b p c"], Float[Tensor, "b p"]]:
    """f_i, the mean of the cells by the probability of region i, and C_i, the share of the map that it takes.

    Args:
        maps: P(R_i | g), which sum to 1 over the regions; of one column where it is of rows.
    """
    background = F.pad(maps, (0, 0, 0, 0, 1, 0)).expand(-1, -1, -1, features.shape[3])
    return pool_parts(features, background), maps.mean(dim=(2, 3))


@full_precision
def visible_identity_loss(logits: Float[Tensor, "b n"], identities: Int[Tensor, "b"], visible: Bool[Tensor, "b"],
                          label_smoothing: float = 0.0) -> Float[Tensor, ""]:
    """The mean cross-entropy of the images that show a region; 0 where none does.

    With several processes the mean of their losses is that over the images of all.
    """
    each = F.cross_entropy(logits, identities, label_smoothing=label_smoothing, reduction="none")
    counts = gather(visible.sum()[None])
    return (each * visible).sum() * len(counts) / counts.sum().clamp_min(1)


@full_precision
def region_distances(query: Float[Tensor, "q p c"], gallery: Float[Tensor, "g p c"],
                     query_weights: Float[Tensor, "q p"], gallery_weights: Float[Tensor, "g p"]
                     ) -> Float[Tensor, "q g"]:
    """D = sum_i C_i^q C_i^g D_i / sum_i C_i^q C_i^g of all pairs, D_i Euclidean; infinite without a common region."""
    each = torch.cdist(query.transpose(0, 1), gallery.transpose(0, 1), compute_mode="donot_use_mm_for_euclid_dist")
    weights = query_weights.T[:, :, None] * gallery_weights.T[:, None]  # (p, q, g)
    total = weights.sum(dim=0)
    mean = (weights * each).sum(dim=0) / total.clamp_min(torch.finfo(total.dtype).tiny)
    return mean.masked_fill(total == 0, math.inf)


@full_precision
def region_triplet_loss(regions: Float[Tensor, "n p c"], weights: Float[Tensor, "n p"], identities: Int[Tensor, "n"],
                        margin: float | None = None) -> Float[Tensor, ""]:
    """The triplet loss, batch-hard, by the distance of regions: what is mined by is what is paid.

    Args:
        weights: how much each image shows of each region. A pair that shows none in common says nothing: as a positive
            it is the nearest, as a negative the farthest.
        margin: of the hinge; None is the soft margin.

    Raises ValueError where an image has no positive or no negative.
    """
    distances = region_distances(regions, regions, weights, weights)
    same, apart = identities[:, None] == identities, distances.isinf()
    # Far, but nearer than what is no negative at all.
    distances = distances.masked_fill(apart, torch.finfo(distances.dtype).max).masked_fill(apart & same, 0.0)
    farthest, nearest = losses.hardest_pairs(distances.detach(), identities)
    anchors = torch.arange(len(identities), device=identities.device)
    return losses.margin_loss(distances[anchors, farthest], distances[anchors, nearest], margin)
