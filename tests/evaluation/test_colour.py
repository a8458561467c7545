"""Colour descriptors: what changes them and what does not, and a set on which each rung is known."""

import colorsys
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from matlib.data import load_dataset
from matlib.evaluation.colour import (
    BINS,
    LEVELS,
    STRIPES,
    TRUE_PART_GROUPS,
    centre_of,
    colour_bins,
    part_histograms,
    rank_by_colour,
    stripe_histograms,
)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_bins_are_those_of_the_colour(rgb):
    image = torch.tensor(rgb, dtype=torch.uint8)[:, None, None].expand(3, 4, 4)
    index = int(colour_bins(image)[0, 0])
    found = (index // (LEVELS[1] * LEVELS[2]), index // LEVELS[2] % LEVELS[1], index % LEVELS[2])
    exact = np.array(colorsys.rgb_to_hsv(*(c / 255 for c in rgb)))
    if exact[1] == 0:
        exact[0] = 0
    inside = (np.array(found) - 0.05 <= exact * LEVELS) & (exact * LEVELS <= np.array(found) + 1.05)
    assert inside.all() or (exact[0] > 0.98 and inside[1:].all())  # hue goes round


def noise_bins(seed, size=(32, 16)):
    return torch.randint(BINS, size, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 99))
def test_stripes_do_not_see_what_moves_sideways(seed):
    bins = noise_bins(seed)
    shuffled = bins[:, torch.randperm(16, generator=torch.Generator().manual_seed(seed))]
    stripes = stripe_histograms(bins)
    assert torch.equal(stripes, stripe_histograms(shuffled)) and stripes.shape == (STRIPES * BINS,)
    torch.testing.assert_close(stripes.view(STRIPES, BINS).norm(dim=1), torch.ones(STRIPES))
    first = stripes.view(STRIPES, BINS)[0] ** 2 * 8 * 16
    torch.testing.assert_close(first, torch.bincount(bins[:8].flatten(), minlength=BINS).float())


def test_the_centre_leaves_the_border_out():
    bins = noise_bins(0, (100, 40))
    changed = bins.clone()
    changed[:10], changed[90:], changed[:, :10], changed[:, 30:] = 1, 2, 3, 4
    assert torch.equal(centre_of(bins), centre_of(changed)) and centre_of(bins).shape == (80, 20)


@given(st.integers(0, 99))
def test_parts_see_themselves_alone(seed):
    generator = torch.Generator().manual_seed(seed)
    bins, parts = noise_bins(seed), torch.randint(14, (32, 16), generator=generator).byte()
    parts[parts == 1] = 0
    histograms, seen = part_histograms(bins, parts)
    elsewhere = torch.where(parts == 0, noise_bins(seed + 1), bins)
    again, _ = part_histograms(elsewhere, parts)
    assert torch.equal(histograms, again)
    assert not seen[0] and not histograms[0].any() and bool(seen[2])  # no head; arms
    arms = torch.bincount(bins[(parts >= 3) & (parts <= 6)], minlength=BINS).float()
    torch.testing.assert_close(histograms[2] ** 2, arms / arms.sum())


@pytest.fixture
def data(tmp_path):
    """Grey streets; each person wears one colour, a query's lower half is hidden by something in another's colour."""
    folder, people = tmp_path / "annyville-occluded", 8
    for split in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / split).mkdir(parents=True)
        (folder / "truth" / split).mkdir(parents=True)
        labels = {}
        for person in range(1, people + 1):
            name = f"{person:04}_c{1 + (split == 'query')}_f0000001.png"
            image, mask = np.full((64, 32, 3), 30 * (person % 5) + 60, np.uint8), np.zeros((64, 32), np.uint8)
            image[8:56, 12:20], mask[8:56, 12:20] = colour(person, people), 2
            mask[8:16, 12:20] = 1
            if split == "query":
                image[32:, :], mask[32:, :] = colour(person % people + 1, people), 128
            Image.fromarray(image).save(folder / split / name)
            Image.fromarray(mask).save(folder / "truth" / split / name)
            labels[name] = {"keypoints": [[1, 1, 2]] * 17, "occlusion": 0.0, "occluder": None, "yaw": 0.0}
        (folder / "truth" / f"{split}.json").write_text(json.dumps(labels))
    counts = {split: people for split in ("bounding_box_train", "query", "bounding_box_test")}
    (tmp_path / "annyville-occluded.json").write_text(json.dumps({"fingerprint": "abc", "counts": counts}))
    return load_dataset("annyville-occluded", tmp_path)


def colour(person, people):
    return [round(255 * c) for c in colorsys.hsv_to_rgb((person - 0.5) / people, 0.9, 0.9)]


def test_true_parts_find_who_others_miss(data):
    rungs = rank_by_colour(data)
    assert set(rungs) == {"whole image", "centre", "true parts"}
    assert rungs["true parts"].rank(1) == 1 and rungs["true parts"].mAP == 1
    assert rungs["whole image"].rank(1) < 1 and rungs["centre"].rank(1) < 1
    assert len(TRUE_PART_GROUPS) == 7
