"""Scores of parts: closed forms, invariances, and scikit-learn on the labels themselves."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from matlib.models.true_parts import TRUE_PART_GROUPS
from matlib.scoring.parts import (
    NUM_LABELS,
    OCCLUDER,
    count_pixels,
    match_groups,
    score_parts,
    stripes,
    true_labels,
)


def random_labels(seed, parts=5, images=3, shape=(9, 7), truths=NUM_LABELS):
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(parts, (images, *shape), generator=generator)
    truth = torch.randint(truths, (images, *shape), generator=generator)
    return torch.where(torch.rand(found.shape, generator=generator) < 0.5, truth % parts, found), truth


def score(found, truth, parts):
    return score_parts(count_pixels(found, truth, parts).sum(axis=0))


@given(st.integers(0, 999), st.integers(2, 18))
def test_the_measures_are_scikit_learns_on_the_pixels(seed, parts):
    found, truth = random_labels(seed, parts)
    scores = score(found, truth, parts)
    seen = torch.where(truth == OCCLUDER, 0, truth).flatten().numpy()
    found = found.flatten().numpy()
    for name, chosen in (("all", np.ones_like(seen, bool)), ("body", seen > 0)):
        a, b = seen[chosen], found[chosen]
        assert scores[name]["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(a, b))
        assert scores[name]["ari"] == pytest.approx(metrics.adjusted_rand_score(a, b))
        commonest = sum(np.bincount(a[b == k]).max() for k in np.unique(b))
        assert scores[name]["purity"] == pytest.approx(commonest / len(a))
    assert scores["foreground_iou"] == pytest.approx(metrics.jaccard_score(seen > 0, found > 0))
    occluded = truth.flatten().numpy() == OCCLUDER
    assert scores["occluders_taken"] == pytest.approx((found[occluded] > 0).mean())


def test_matched_iou_is_the_best_over_all_matchings():
    found, truth = random_labels(3, parts=4)
    scores = score(found, truth, 4)["matched_iou"]
    masks = {name: torch.isin(truth, torch.tensor(labels)) for name, labels in TRUE_PART_GROUPS.items()}

    def iou(part, name):
        return float((masks[name] & (found == part)).sum() / (masks[name] | (found == part)).sum())

    best = max(
        sum(iou(part, name) for part, name in zip((1, 2, 3), names))
        for names in itertools.permutations(TRUE_PART_GROUPS, 3)
    )
    assert scores["mean"] == pytest.approx(best / len(TRUE_PART_GROUPS))
    assert sorted(scores["groups"].values())[:4] == [0.0] * 4  # three parts for seven groups


def test_the_truth_scores_one():
    parts = torch.arange(14).repeat(3, 4, 2)  # every part in every image
    occluders = torch.zeros_like(parts, dtype=torch.bool)
    scores = score(parts, true_labels(parts.byte(), occluders), 14)
    for name in ("all", "body"):
        assert scores[name] == pytest.approx({"purity": 1, "nmi": 1, "ari": 1})
    assert scores["foreground_iou"] == 1 and scores["occluders_taken"] is None
    groups = torch.zeros(14, dtype=torch.long)
    for index, labels in enumerate(TRUE_PART_GROUPS.values(), start=1):
        groups[list(labels)] = index
    matched = score(groups[parts], true_labels(parts.byte(), occluders), 8)["matched_iou"]
    assert matched["mean"] == 1 and set(matched["groups"]) == set(TRUE_PART_GROUPS)


@given(st.integers(0, 99), st.permutations(range(1, 6)))
def test_names_of_parts_do_not_matter(seed, order):
    found, truth = random_labels(seed, parts=6)
    renamed = torch.tensor([0, *order])[found]
    one, other = score(found, truth, 6), score(renamed, truth, 6)
    assert one["all"] == pytest.approx(other["all"]) and one["body"] == pytest.approx(other["body"])
    assert one["matched_iou"]["mean"] == pytest.approx(other["matched_iou"]["mean"])
    assert one["foreground_iou"] == other["foreground_iou"]


def test_parts_that_say_nothing_score_nothing():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(NUM_LABELS, (4, 100, 100), generator=generator)
    guessed = torch.randint(5, truth.shape, generator=generator)
    one = torch.ones_like(truth)
    for found in (guessed, one):
        scores = score(found, truth, 5)["body"]
        assert abs(scores["nmi"]) < 1e-3 and abs(scores["ari"]) < 1e-3
        assert scores["purity"] == pytest.approx(1 / 13, abs=0.01)
    assert score(one, truth, 5)["foreground_iou"] == pytest.approx(13 / 15, abs=0.01)


def test_no_pixels_no_score():
    empty = score_parts(np.zeros((4, NUM_LABELS), np.int64))
    assert empty["pixels"] == 0 and empty["foreground_iou"] is None and empty["matched_iou"]["mean"] is None
    assert set(empty["all"].values()) == set(empty["body"].values()) == {None}


@given(st.integers(0, 99))
def test_tables_of_images_add_up(seed):
    found, truth = random_labels(seed)
    each = count_pixels(found, truth, 5)
    assert each.shape == (3, 5, NUM_LABELS) and (each.sum(axis=(1, 2)) == 63).all()
    for i, (k, t) in itertools.product(range(3), [(0, 0), (4, OCCLUDER), (2, 7)]):
        assert each[i, k, t] == ((found[i] == k) & (truth[i] == t)).sum()


@given(st.integers(1, 20), st.integers(20, 60))
def test_stripes_are_equally_high(parts, height):
    rows = stripes(parts, height, 3)[:, 0]
    counts = torch.bincount(rows, minlength=parts + 1)
    assert counts[0] == 0 and counts[1:].max() - counts[1:].min() <= 1 and (rows.diff() >= 0).all()


def test_parts_are_matched_one_to_one_and_those_that_overlap_nothing_are_left_over():
    table = np.zeros((5, NUM_LABELS), int)
    table[1, 1] = 30  # the head
    table[2, [3, 4]] = 20  # both arms
    table[3, 1] = 10  # the head again
    table[4, 0] = 50  # the street
    table[0, 0] = 100
    assert match_groups(table) == {"head": (1, pytest.approx(30 / 40)), "arms": (2, pytest.approx(1.0))}
