"""What is known of an image moves along with it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import write_annyville
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from matlib.annyville import KEYPOINT_NAMES, PART_NAMES
from matlib.annyville.surface import surface_places
from matlib.annyville.truth import SURFACE_UNIT
from matlib.data import Augmentation, ImageDataset, Truth, load_dataset, truth
from matlib.data.transforms import (
    COCO_MIRROR,
    IMAGENET_MEAN,
    IMAGENET_STD,
    PART_MIRROR,
    Variation,
    normalise_image,
    normalise_points,
    resize_labels,
    resize_points,
    surface_mirror,
)
from matlib.data.truth import hidden_of, occluders_of, parts_of
from matlib.errors import MatlibError

SIZES = st.tuples(st.integers(4, 40), st.integers(4, 40))
LABELS = torch.tensor([*range(14), 64, 128], dtype=torch.uint8)


@st.composite
def variations(draw, size, erase=True):
    """A draw of an augmentation of any strength, on images of (height, width) ``size``."""
    augmentation = Augmentation(
        flip=draw(st.sampled_from([0.0, 1.0])), pad=draw(st.integers(0, 6)), erasing=1.0 if erase else 0.0
    )
    return Variation.draw(augmentation, size, np.random.default_rng(draw(st.integers(0, 999))))


def noise_labels(size, seed):
    generator = torch.Generator().manual_seed(seed)
    return LABELS[torch.randint(len(LABELS), size, generator=generator)]


def noise_points(size, seed, count=17):
    """Points in and around an image, off the borders of its pixels."""
    generator = np.random.default_rng(seed)
    spread = np.array([size[1], size[0]])
    xy = generator.integers(-spread // 4, spread + spread // 4 + 1, (count, 2))
    xy = xy + generator.uniform(0.01, 0.99, (count, 2))
    return torch.tensor(np.c_[xy, generator.integers(0, 3, count)], dtype=torch.float32)


def mirrored_names(names):
    swap = {"left": "right", "right": "left"}
    return [names.index(" ".join(swap.get(word, word) for word in name.split())) for name in names]


def test_the_mirrors_swap_left_and_right_by_name():
    assert list(COCO_MIRROR) == mirrored_names(KEYPOINT_NAMES)
    assert list(PART_MIRROR) == mirrored_names(PART_NAMES)


def test_surface_points_are_as_the_generator_makes_them():
    places = surface_places()
    np.testing.assert_allclose(places[surface_mirror(len(places))] * (-1, 1, 1), places, atol=0.01)  # metres
    assert SURFACE_UNIT == truth.SURFACE_UNIT


@given(SIZES, st.integers(0, 99), st.floats(-180, 180), st.sampled_from([None, COCO_MIRROR]))
def test_a_flip_twice_is_nothing(size, seed, yaw, mirror):
    flip, points, labels = Variation(flip=True), noise_points(size, seed), noise_labels(size, seed)
    torch.testing.assert_close(flip.points(flip.points(points, size, mirror), size, mirror), points)
    assert torch.equal(flip.labels(flip.labels(labels)), labels)
    assert flip.yaw(flip.yaw(yaw)) == yaw


@given(st.data(), SIZES, st.integers(0, 99))
def test_points_and_masks_move_alike(data, size, seed):
    """A point on a part of the body stays on it (a flip makes a left part a right one), or is hidden with it."""
    variation = data.draw(variations(size))
    labels, points = noise_labels(size, seed), noise_points(size, seed)
    moved_labels = variation.labels(labels)
    moved = variation.points(points, size)
    for before, after in zip(points.tolist(), moved.tolist(), strict=True):
        source, target = label_at(labels, before), label_at(moved_labels, after)
        if source is None or target is None:
            continue
        if inside(variation.erased, after):
            assert target == (64 if 0 < source <= 64 else 128)
            assert after[2] == min(before[2], 1)
        else:
            assert target == (PART_MIRROR[source] if variation.flip and source <= 13 else source)
            assert after[2] == before[2]


def label_at(labels, point):
    row, column = int(np.floor(point[1])), int(np.floor(point[0]))
    in_image = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
    return int(labels[row, column]) if in_image else None


def inside(box, point):
    if box is None:
        return False
    top, left, height, width = box
    return left <= point[0] < left + width and top <= point[1] < top + height


@given(st.data(), SIZES, st.integers(0, 99))
def test_the_image_and_its_mask_move_alike(data, size, seed):
    """An image that shows its own labels still shows them, where nothing is erased."""
    variation = data.draw(variations(size))
    labels = noise_labels(size, seed)
    varied = variation.image(labels.expand(3, *size))
    shown = (varied[0] * 0.229 + 0.485).mul(255).round().byte()
    erased = (varied == 0).all(0)
    mirror = torch.arange(256, dtype=torch.uint8)
    mirror[:14] = torch.tensor(PART_MIRROR) if variation.flip else mirror[:14]
    moved = variation.labels(labels)
    assert torch.equal(mirror[shown.long()][~erased], moved[~erased])
    if variation.erased is not None:
        assert int(erased.sum()) == variation.erased[2] * variation.erased[3]
        assert not parts_of(moved)[erased].any() and occluders_of(moved)[erased].all()


@given(st.data(), SIZES, st.integers(0, 99))
def test_points_and_masks_of_a_part_move_alike(data, size, seed):
    """In a part of half the size, whose pixels become two by two."""
    labels, points = noise_labels((2 * size[0], 2 * size[1]), seed), noise_points((2 * size[0], 2 * size[1]), seed)
    corner = (data.draw(st.integers(0, size[0])), data.draw(st.integers(0, size[1])))
    variation = Variation(part=(*corner, *size))
    moved_labels, moved = variation.labels(labels), variation.points(points, labels.shape)
    assert moved_labels.shape == labels.shape
    for before, after in zip(points.tolist(), moved.tolist(), strict=True):
        if inside(variation.part, before):
            assert label_at(moved_labels, after) == label_at(labels, before)
        else:
            assert label_at(moved_labels, after) is None


@given(st.floats(0.1, 1), st.floats(0.1, 1), SIZES, st.integers(0, 999))
def test_a_part_has_its_share_of_the_image_and_changes_no_other_draw(low, other, size, seed):
    shares = (min(low, other), max(low, other))
    plain, cut = (Variation.draw(Augmentation(crop=crop, crop_height=shares, crop_width=shares), size,
                                 np.random.default_rng(seed)) for crop in (0.0, 1.0))
    assert (cut.flip, cut.top, cut.left, cut.erased) == (plain.flip, plain.top, plain.left, plain.erased)
    top, left, height, width = cut.part
    for offset, part, full in ((top, height, size[0]), (left, width, size[1])):
        assert 0 <= offset <= full - part and shares[0] * full - 0.5 <= part <= max(1, shares[1] * full + 0.5)
    assert plain.part is None


@given(st.floats(0.01, 1), SIZES, st.integers(0, 999))
def test_colours_are_shifted_within_bounds_and_change_no_other_draw(colour, size, seed):
    plain, shifted = (Variation.draw(Augmentation(colour=amount), size, np.random.default_rng(seed))
                      for amount in (0.0, colour))
    assert all(1 - colour <= factor <= 1 + colour for factor in shifted.colours)
    assert replace(shifted, colours=None) == plain


def test_factors_of_colours():
    """What each factor of 0 leaves, and that all of 1 leave all."""
    image = torch.randint(0, 256, (3, 6, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain, black, flat, grey = (Variation(colours=factors).image(image)
                                for factors in ((1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0)))
    assert torch.equal(plain, normalise_image(image))
    assert torch.equal(black, normalise_image(torch.zeros_like(image)))
    assert len(flat.flatten(1).unique(dim=1)[0]) == 1
    back = grey * torch.tensor(IMAGENET_STD)[:, None, None] + torch.tensor(IMAGENET_MEAN)[:, None, None]
    torch.testing.assert_close(back[0], back[2])
    erased = Variation(erased=(0, 0, 6, 4), colours=(0.0, 1.0, 1.0)).image(image)
    assert not erased.any()  # what is erased shows ImageNet's mean, whatever the light


def test_another_image_shows_where_one_is_erased(tmp_path):
    write_annyville(tmp_path)
    samples = load_dataset("annyville-occluded", tmp_path).train
    quiet = {"flip": 0.0, "pad": 0, "erasing": 1.0}
    varied = ImageDataset(samples, (40, 20), Augmentation(**quiet, erase_with="image"), seed=3)
    means = ImageDataset(samples, (40, 20), Augmentation(**quiet), seed=3)
    plain = [item["image"] for item in ImageDataset(samples, (40, 20))]
    for index in range(len(samples)):
        erased = (means[index]["image"] == 0).all(dim=0)
        shown = varied[index]["image"]
        assert torch.equal(shown[:, ~erased], plain[index][:, ~erased])
        assert erased.any() and any(torch.equal(shown[:, erased], other[:, erased]) for other in plain)


@given(SIZES, st.integers(1, 8), st.integers(0, 16), st.integers(0, 16), st.integers(0, 99))
def test_pad_and_crop_shift_exactly(size, pad, top, left, seed):
    assume(max(top, left) <= 2 * pad)
    variation = Variation(pad=pad, top=top, left=left)
    points, labels = noise_points(size, seed), noise_labels(size, seed)
    shift = torch.tensor([pad - left, pad - top, 0.0])
    torch.testing.assert_close(variation.points(points, size), points + shift, atol=1e-5, rtol=0)
    padded = torch.zeros(size[0] + 2 * pad, size[1] + 2 * pad, dtype=torch.uint8)
    padded[pad : pad + size[0], pad : pad + size[1]] = labels
    assert torch.equal(variation.labels(labels), padded[top : top + size[0], left : left + size[1]])


@given(SIZES, st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_a_mask_grows_with_its_points(size, taller, wider, seed):
    labels, points = noise_labels(size, seed), noise_points(size, seed)
    target = (size[0] * taller, size[1] * wider)
    grown = resize_labels(labels, target)
    assert torch.equal(grown, labels.repeat_interleave(taller, 0).repeat_interleave(wider, 1))
    assert torch.equal(resize_labels(grown, size), labels)  # and back: the centre of each block
    for before, after in zip(points.tolist(), resize_points(points, size, target).tolist(), strict=True):
        assert label_at(grown, after) == label_at(labels, before)


@given(SIZES)
def test_normalised_coordinates_are_corner_aligned(size):
    height, width = size
    corners = torch.tensor([[0.5, 0.5, 2], [width - 0.5, height - 0.5, 2], [width / 2, height / 2, 1], [-0.5, 1, 2]])
    expected = torch.tensor([[-1, -1, 2], [1, 1, 2], [0, 0, 1]])
    normalised = normalise_points(corners, size)
    torch.testing.assert_close(normalised[:3], expected.float(), atol=1e-5, rtol=0)
    assert normalised[3, 2] == 0


EVERYTHING = ("keypoints", "surface", "parts", "hidden", "occluders", "yaw", "occlusion", "occluder")


def write_truth(root):
    """A rendered set of 40 x 80 images with four surface points, the first one hidden, the last one outside."""
    folder = write_annyville(root, size=(40, 80))
    for labels in (folder / "truth").glob("*.json"):
        steps = np.array([[16, 32, 0], [48, 64, 1], [80, 96, 1], [-16, 128, 1]], np.int16)
        rows = len(json.loads(labels.read_text()))
        shift = np.arange(rows, dtype=np.int16)[:, None, None] * np.array([16, 0, 0], np.int16)
        np.save(labels.with_suffix(".surface.npy"), steps + shift)


def test_surface_points_are_read_in_the_order_of_the_labels(tmp_path):
    write_truth(tmp_path)
    first, second = (Truth(sample).surface for sample in load_dataset("annyville-occluded", tmp_path).train)
    assert first.tolist() == [[1, 2, 1], [3, 4, 2], [5, 6, 2], [-1, 8, 2]]
    assert (second - first).tolist() == [[1, 0, 0]] * 4


@pytest.mark.parametrize("cache", [False, True])
def test_all_truth_of_a_sample(tmp_path, cache):
    write_truth(tmp_path)
    samples = load_dataset("annyville-occluded", tmp_path).train
    plain = ImageDataset(samples, (40, 20), truth=EVERYTHING, cache=cache)[1]
    truth, small = Truth(samples[1]), resize_labels(Truth(samples[1]).labels, (40, 20))
    assert plain["parts"].dtype == torch.uint8
    assert torch.equal(plain["parts"], parts_of(small)) and torch.equal(plain["hidden"], hidden_of(small))
    assert torch.equal(plain["occluders"], occluders_of(small))
    assert (plain["yaw"], plain["occlusion"], plain["occluder"]) == (truth.yaw, truth.occlusion, "car")
    assert plain["keypoints"].shape == (17, 3)
    flip = Augmentation(flip=1.0, pad=0, erasing=0.0)
    flipped = ImageDataset(samples, (40, 20), flip, truth=EVERYTHING, cache=cache)[1]
    assert flipped["yaw"] == -truth.yaw
    torch.testing.assert_close(
        flipped["keypoints"][list(COCO_MIRROR)] * torch.tensor([-1, 1, 1]), plain["keypoints"], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        flipped["surface"][[2, 3, 0, 1]] * torch.tensor([-1, 1, 1]), plain["surface"], atol=1e-5, rtol=0
    )
    assert plain["surface"][:, 2].tolist() == [1, 2, 2, 0] and plain["surface"].shape == (4, 3)
    assert torch.equal(flipped["hidden"], plain["hidden"].flip(1))


def test_truth_leaves_the_image_alone(tmp_path):
    write_truth(tmp_path)
    samples = load_dataset("annyville-occluded", tmp_path).train
    alone, with_truth = (ImageDataset(samples, (40, 20), Augmentation(), truth=t) for t in ((), EVERYTHING))
    assert set(alone[0]) == {"image", "identity", "camera", "index"}
    for epoch in range(4):
        alone.set_epoch(epoch)
        with_truth.set_epoch(epoch)
        assert torch.equal(alone[0]["image"], with_truth[0]["image"])


def test_batches_carry_truth(tmp_path):
    write_truth(tmp_path)
    samples = load_dataset("annyville-occluded", tmp_path).train
    loader = torch.utils.data.DataLoader(ImageDataset(samples, (40, 20), truth=EVERYTHING), batch_size=2)
    batch = next(iter(loader))
    assert batch["parts"].shape == (2, 40, 20) and batch["parts"].dtype == torch.uint8
    assert batch["keypoints"].shape == (2, 17, 3) and batch["occluder"] == ["car", "car"]


def test_what_is_no_truth_is_told(tmp_path):
    folder = write_annyville(tmp_path)
    sample = load_dataset("annyville-occluded", tmp_path).query[0]
    with pytest.raises(MatlibError, match="list of names from keypoints, .*got 'part'"):
        ImageDataset([sample], truth=("part",))
    labels = folder / "truth" / "query.json"
    labels.write_text(json.dumps({sample.path.name: {"keypoints": [[1, 2, 3]], "yaw": 0}}))
    with pytest.raises(MatlibError, match="query.json .*render the set again"):
        Truth(sample)
    write_annyville(tmp_path)
    with pytest.raises(MatlibError, match="no .*query.surface.npy: .*render the set again"):
        Truth(sample).surface
    labels.with_suffix(".surface.npy").write_bytes(b"cut")
    with pytest.raises(MatlibError, match="query.surface.npy cannot be read"):
        Truth(sample).surface
    mask = folder / "truth" / "query" / f"{sample.path.stem}.png"
    Image.fromarray(np.full((80, 40), 77, np.uint8)).save(mask)
    with pytest.raises(MatlibError, match="holds the label 77.*render the set again"):
        ImageDataset([sample], truth=("parts",))[0]
