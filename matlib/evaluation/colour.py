"""What colour alone says about a person: descriptors without learning, for the ladder of difficulty.

Histograms of hue, saturation and value, compared by the Bhattacharyya coefficient (the cosine of their square roots):
of stripes of the whole image, of stripes of its centre, and of the true visible parts, compared over the parts that
both images show. The first two are what a method sees that does not know where the person is; the last one is what
colour gives to one that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as TF
from tqdm import tqdm

from matlib.data import ReIDDataset, Sample, Truth
from matlib.data.images import read_image
from matlib.data.transforms import resize_image, resize_labels
from matlib.data.truth import parts_of
from matlib.evaluation.ranking import RankingMetrics, evaluate_features
from matlib.evaluation.visible_parts import PartDescriptors, evaluate_parts
from matlib.models.true_parts import TRUE_PART_GROUPS

SIZE = (128, 64)
LEVELS = (8, 4, 4)
"""Intervals of hue, saturation and value."""
BINS = LEVELS[0] * LEVELS[1] * LEVELS[2]
STRIPES = 4
CENTRE = (0.1, 0.25)
"""What the centre leaves out: a share of the height above and below, and of the width at either side."""
FEWEST_PIXELS = 16
"""Of a part that counts as visible, at ``SIZE``."""


def colour_bins(image: UInt8[Tensor, "3 h w"]) -> Int64[Tensor, "h w"]:
    """The interval of hue, saturation and value that each pixel lies in, 0..BINS - 1."""
    hsv = TF.pil_to_tensor(TF.to_pil_image(image).convert("HSV")).long()
    levels = torch.tensor(LEVELS)[:, None, None]
    hue, saturation, value = hsv * levels // 256
    return (hue * LEVELS[1] + saturation) * LEVELS[2] + value


def root_histograms(
    bins: Int64[Tensor, "h w"], regions: Int64[Tensor, "h w"], count: int
) -> Float[Tensor, "count bins"]:
    """Square roots of the histograms of regions 0..count - 1, so that each has unit length; zeros for an empty one."""
    cells = torch.bincount((regions * BINS + bins).flatten(), minlength=count * BINS).view(count, BINS)
    return F.normalize(cells.float().sqrt(), dim=1)


def stripe_histograms(bins: Int64[Tensor, "h w"], stripes: int = STRIPES) -> Float[Tensor, "bins_of_stripes"]:
    """The histograms of equal horizontal stripes, one after the other."""
    height, width = bins.shape
    rows = torch.arange(height) * stripes // height
    return root_histograms(bins, rows[:, None].expand(height, width), stripes).flatten()


def centre_of(bins: Int64[Tensor, "h w"]) -> Int64[Tensor, "h2 w2"]:
    """What is left of an image without its borders."""
    height, width = bins.shape
    top, left = round(CENTRE[0] * height), round(CENTRE[1] * width)
    return bins[top : height - top, left : width - left]


def part_histograms(
    bins: Int64[Tensor, "h w"], parts: UInt8[Tensor, "h w"]
) -> tuple[Float[Tensor, "groups bins"], Bool[Tensor, "groups"]]:
    """The histogram of each group of true parts, left and right as one, and whether enough of it is seen."""
    group = torch.zeros(256, dtype=torch.int64)  # 0 is all that is not the person
    for index, labels in enumerate(TRUE_PART_GROUPS.values(), start=1):
        group[list(labels)] = index
    regions, count = group[parts.long()], len(TRUE_PART_GROUPS) + 1
    pixels = torch.bincount(regions.flatten(), minlength=count)
    return root_histograms(bins, regions, count)[1:], pixels[1:] >= FEWEST_PIXELS


def rank_by_colour(data: ReIDDataset) -> dict[str, RankingMetrics]:
    """The test of a data set, ranked by ``"whole image"`` and ``"centre"`` and, if it is rendered, ``"true parts"``."""
    sides = {"query": data.query, "gallery": data.gallery}
    bins = {name: _bins_of(samples, name) for name, samples in sides.items()}
    labels = _labels(data)
    rungs = {
        name: evaluate_features(*(torch.stack([describe(b) for b in bins[side]]) for side in sides), *labels)
        for name, describe in _DESCRIPTORS.items()
    }
    if data.rendered is not None:
        parts = (_part_descriptors(samples, bins[name]) for name, samples in sides.items())
        rungs["true parts"] = evaluate_parts(*parts, *labels)
    return rungs


_DESCRIPTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "whole image": stripe_histograms,
    "centre": lambda bins: stripe_histograms(centre_of(bins)),
}


def _bins_of(samples: Sequence[Sample], description: str) -> list[Int64[Tensor, "h w"]]:
    bar = tqdm(samples, desc=description, leave=False, delay=2, disable=None)
    return [colour_bins(resize_image(read_image(sample.path), SIZE)) for sample in bar]


def _part_descriptors(samples: Sequence[Sample], bins: Sequence[Tensor]) -> PartDescriptors:
    described = [
        part_histograms(own, parts_of(resize_labels(Truth(sample).labels, SIZE)))
        for sample, own in zip(samples, bins, strict=True)
    ]
    histograms, seen = zip(*described, strict=True)
    return PartDescriptors(torch.stack(histograms), torch.stack(seen))


def _labels(data: ReIDDataset) -> list[Int64[Tensor, "n"]]:
    """Identities of queries and gallery, then their cameras."""
    return [
        torch.tensor([getattr(sample, field) for sample in samples])
        for field in ("identity", "camera")
        for samples in (data.query, data.gallery)
    ]
