"""Unsupervised parts against the true ones, from one table of counts.

A pixel's part is the most likely one (0 the background). How often part k falls on true label t, over all pixels of
all images, is all that the measures need, so that no image is kept:

* purity: the share of pixels that lie in the commonest true label of their part;
* NMI and ARI: normalised mutual information (by the arithmetic mean, as scikit-learn does) and the adjusted Rand
  index, 0 (on average) for parts that say nothing, 1 for the truth under any names;
* IoU: of true groups of parts, left and right as one (``TRUE_PART_GROUPS``), each matched with one part so that the
  mean is largest (Hungarian algorithm); a group without a part counts 0. The background is no candidate;
* foreground IoU: of all that is not background with all that is seen of the person;
* occluders taken: which share of the occluders' pixels is called a part of the person.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int, Int64, UInt8
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score
from torch import Tensor

from matlib.data.truth import NUM_PARTS
from matlib.models.true_parts import TRUE_PART_GROUPS

OCCLUDER = NUM_PARTS + 1
"""The column of pixels that an occluder takes; 0 is the background and 1..13 are the parts."""
NUM_LABELS = NUM_PARTS + 2

Table = Int64[np.ndarray, "parts labels"]


def true_labels(parts: UInt8[Tensor, "b h w"], occluders: Bool[Tensor, "b h w"]) -> Int64[Tensor, "b h w"]:
    """The columns of a table: the visible part, 0 for the background, ``OCCLUDER`` where one is."""
    return torch.where(occluders, OCCLUDER, parts.long())


def count_pixels(
    found: Int[Tensor, "b h w"], truth: Int[Tensor, "b h w"], num_parts: int
) -> Int64[np.ndarray, "b parts labels"]:
    """The table of each image: ``[i, k, t]`` counts its pixels with part k, 0..num_parts - 1, and true label t."""
    image = torch.arange(len(found), device=found.device)[:, None, None]
    cells = (image * num_parts + found) * NUM_LABELS + truth
    counts = torch.bincount(cells.flatten(), minlength=len(found) * num_parts * NUM_LABELS)
    return counts.reshape(len(found), num_parts, NUM_LABELS).cpu().numpy()


def score_parts(table: Table) -> dict[str, Any]:
    """The measures above, in 0..1 (ARI may be below 0): over all pixels, ``body`` over those of the person alone.

    Over all pixels, occluders are background. A measure that has no pixels to count is None.
    """
    everywhere = table[:, :OCCLUDER].copy()
    everywhere[:, 0] += table[:, OCCLUDER]
    body = table[:, 1:OCCLUDER]
    union = everywhere[1:].sum() + body[0].sum()
    occluders = table[:, OCCLUDER].sum()
    return {
        "pixels": int(everywhere.sum()),
        "foreground_iou": float(body[1:].sum() / union) if union else None,
        "occluders_taken": float(table[1:, OCCLUDER].sum() / occluders) if occluders else None,
        "matched_iou": _matched_iou(everywhere),
        "all": _clustering(everywhere),
        "body": _clustering(body),
    }


def _clustering(table: Table) -> dict[str, float | None]:
    if not table.sum():
        return {"purity": None, "nmi": None, "ari": None}
    return {"purity": float(table.max(axis=1).sum() / table.sum()), "nmi": _nmi(table), "ari": _ari(table)}


def _nmi(table: Table) -> float:
    parts, labels = table.sum(axis=1), table.sum(axis=0)
    both = (entropy(parts) + entropy(labels)) / 2
    used = table[parts > 0][:, labels > 0]
    return float(mutual_info_score(None, None, contingency=used) / both) if both > 0 else 1.0


def _ari(table: Table) -> float:
    """Of the pairs of pixels: (together in both - expected) / (mean of together in each - expected)."""
    def pairs(counts: np.ndarray) -> float:
        counts = counts.astype(np.float64)
        return float((counts * (counts - 1) / 2).sum())

    together, parts, labels = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    every = pairs(table.sum(keepdims=True))
    expected = parts * labels / every if every else 0.0
    most = (parts + labels) / 2
    return (together - expected) / (most - expected) if most != expected else 1.0


def match_groups(table: Table) -> dict[str, tuple[int, float]]:
    """For each of ``TRUE_PART_GROUPS`` the part, 1..K, that it is matched with, and their IoU; those that overlap none
    of the parts left to them are left out."""
    grouped = np.stack([table[:, list(group)].sum(axis=1) for group in TRUE_PART_GROUPS.values()], axis=1)
    overlap, found, true = grouped[1:], table[1:].sum(axis=1), grouped.sum(axis=0)  # (k, groups), (k,), (groups,)
    ious = overlap / np.maximum(found[:, None] + true - overlap, 1)
    names = list(TRUE_PART_GROUPS)
    return {names[j]: (int(i) + 1, float(ious[i, j])) for i, j in zip(*linear_sum_assignment(ious, maximize=True))
            if ious[i, j] > 0}


def _matched_iou(table: Table) -> dict[str, Any]:
    """Mean and IoU of each group of true parts that there is."""
    matched = match_groups(table)
    groups = {name: matched[name][1] if name in matched else 0.0
              for name, labels in TRUE_PART_GROUPS.items() if table[:, list(labels)].sum()}
    return {"mean": float(np.mean(list(groups.values()))) if groups else None, "groups": groups}


def stripes(num_parts: int, height: int, width: int) -> Int64[Tensor, "h w"]:
    """The parts of an image cut into ``num_parts`` equal horizontal stripes (PCB, Sun et al., ECCV 2018), from 1."""
    rows = torch.arange(height) * num_parts // height + 1
    return rows[:, None].expand(height, width)
