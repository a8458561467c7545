"""Images as tensors: reading, normalising, augmenting, and keypoints that stay on what they mark."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from builders import write_annyville, write_image
from PIL import Image
from torch.utils.data import DataLoader

from matlib.data import Augmentation, IdentitySampler, ImageDataset, Sample, load_dataset
from matlib.data.images import read_image
from matlib.data.transforms import COCO_MIRROR, IMAGENET_MEAN, IMAGENET_STD, Variation
from matlib.errors import MatlibError


def pixels(image):
    """An item's image as values 0..1."""
    return image * torch.tensor(IMAGENET_STD)[:, None, None] + torch.tensor(IMAGENET_MEAN)[:, None, None]


def noise_samples(folder, count=6, size=(20, 40)):
    generator = np.random.default_rng(0)
    samples = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.fromarray(generator.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(path)
        samples.append(Sample(path, index // 2, index % 2))
    return samples


def test_the_test_transform(tmp_path):
    samples = [Sample(write_image(tmp_path / "a.png", (31, 77), (255, 128, 0)), 4, 2)]
    item = ImageDataset(samples, (48, 24))[0]
    assert item["image"].shape == (3, 48, 24) and item["image"].dtype == torch.float32
    expected = torch.tensor([255, 128, 0])[:, None, None].expand(3, 48, 24) / 255
    torch.testing.assert_close(pixels(item["image"]), expected, atol=1e-5, rtol=0)
    assert (item["identity"], item["camera"], item["index"]) == (4, 2, 0)
    assert "keypoints" not in item


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_other_kinds_of_pictures_become_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (10, 20), "white").convert(mode).save(path)
    image = ImageDataset([Sample(path, 0, 0)], (20, 10))[0]["image"]
    torch.testing.assert_close(pixels(image), torch.ones(3, 20, 10), atol=1e-5, rtol=0)


def test_a_photograph_stands_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    pixels = np.zeros((16, 8, 3), np.uint8)
    pixels[:8] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert torch.equal(read_image(tmp_path / "a.png"), torch.from_numpy(np.rot90(pixels, -1).copy()).permute(2, 0, 1))
    exif_bytes = b"Exif\0\0no header of a TIFF"
    Image.fromarray(pixels).save(tmp_path / "b.png", exif=exif_bytes)
    assert read_image(tmp_path / "b.png").shape == (3, 16, 8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_become_eight_and_are_not_clipped(tmp_path, suffix):
    steps = np.array([[0, 255, 256], [30000, 65279, 65535]], np.uint16)
    Image.fromarray(steps).save(tmp_path / f"a{suffix}")
    assert read_image(tmp_path / f"a{suffix}")[1].tolist() == [[0, 0, 1], [117, 254, 255]]


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pictures_whose_range_nobody_tells_are_refused(tmp_path, kind):
    Image.fromarray(np.ones((2, 2), kind)).save(tmp_path / "a.tif")
    with pytest.raises(MatlibError, match="a.tif cannot be read as an image.*32 bits: save it with 8"):
        read_image(tmp_path / "a.tif")


def test_one_pixel_is_a_picture(tmp_path):
    Image.new("RGB", (1, 1), (7, 8, 9)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").flatten().tolist() == [7, 8, 9]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "gone"])
def test_a_damaged_image_is_named(tmp_path, damage, cache):
    samples = noise_samples(tmp_path, 2) + [Sample(tmp_path / "0005_c1.jpg", 0, 0)]
    write_image(samples[-1].path, (60, 120))
    content = samples[-1].path.read_bytes()
    samples[-1].path.write_bytes(
        {"empty": b"", "cut": content[: len(content) // 2], "text": b"hello" * 99, "gone": b""}[damage]
    )
    if damage == "gone":
        samples[-1].path.unlink()
    sentence = "0005_c1.jpg " + (
        "is gone" if damage == "gone" else "cannot be read as an image; delete it or restore"
    )
    with pytest.raises(MatlibError, match=sentence):
        ImageDataset(samples, (16, 8), cache=cache)[2]


def test_the_cache_changes_nothing(tmp_path):
    samples = noise_samples(tmp_path)
    plain, cached = (ImageDataset(samples, (32, 16), Augmentation(), cache=cache) for cache in (False, True))
    for sample in samples:
        sample.path.rename(sample.path.with_suffix(".hidden"))  # the cached one reads no file any more
    later = [cached[i]["image"] for i in range(6)]
    for sample in samples:
        sample.path.with_suffix(".hidden").rename(sample.path)
    for index in range(6):
        torch.testing.assert_close(plain[index]["image"], later[index], atol=0, rtol=0)
        torch.testing.assert_close(cached[index]["image"], later[index], atol=0, rtol=0)


def collect(dataset, sampler, workers, epochs=(0, 1)):
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers, persistent_workers=workers > 0)
    batches = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        dataset.set_epoch(epoch)
        batches += [(batch["index"], batch["image"]) for batch in loader]
    return batches


def test_augmentation_depends_on_seed_epoch_and_place_only(tmp_path):
    samples = noise_samples(tmp_path)
    sampler = IdentitySampler([s.identity for s in samples], 2, 3)

    def run(workers, seed=0, epochs=(0, 1)):
        return collect(ImageDataset(samples, (24, 12), Augmentation(), seed=seed), sampler, workers, epochs)

    one = run(0)
    torch.manual_seed(5)
    np.random.seed(5)
    for (i, a), (j, b) in zip(one, run(2), strict=True):  # workers that live through both epochs
        assert torch.equal(i, j) and torch.equal(a, b)
    for (i, a), (j, b) in zip(one, run(0, seed=1), strict=True):
        assert torch.equal(i, j) and not torch.equal(a, b)
    dataset = ImageDataset(samples, (24, 12), Augmentation(erasing=1.0))
    first = dataset[0]["image"]
    dataset.set_epoch(1)
    assert not torch.equal(dataset[0]["image"], first)


def test_copies_in_a_batch_differ(tmp_path):
    dataset = ImageDataset(noise_samples(tmp_path), (24, 12), Augmentation())
    items = dataset.__getitems__([3, 3, 1, 3])
    assert [item["index"] for item in items] == [3, 3, 1, 3]
    assert torch.equal(items[0]["image"], dataset[3]["image"])
    assert len({item["image"].numpy().tobytes() for item in items}) == 4


def test_flip_pad_and_crop_give_what_they_should(tmp_path):
    image = torch.randint(1, 256, (3, 30, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    generator = np.random.default_rng(0)
    flips = Augmentation(flip=1.0, pad=0, erasing=0.0)
    flipped = Variation.draw(flips, (30, 20), generator).image(image)
    torch.testing.assert_close(pixels(flipped), image.flip(2) / 255, atol=1e-5, rtol=0)
    black = torch.zeros(3, 50, 40)
    black[:, 10:40, 10:30] = image / 255
    windows = {
        black[:, t : t + 30, left : left + 20].mul(255).round().byte().numpy().tobytes()
        for t in range(21)
        for left in range(21)
    }
    seen = set()
    for _ in range(60):
        crops = Augmentation(flip=0.0, pad=10, erasing=0.0)
        cropped = Variation.draw(crops, (30, 20), generator).image(image)
        seen.add(pixels(cropped).mul(255).round().byte().numpy().tobytes())
    assert seen <= windows and len(seen) > 40


def test_erasing_fills_a_rectangle_with_the_mean():
    image = torch.full((3, 128, 64), 255, dtype=torch.uint8)
    generator = np.random.default_rng(0)
    areas = []
    for _ in range(200):
        erased = Variation.draw(Augmentation(flip=0.0, pad=0), (128, 64), generator).image(image)
        hole = (erased == 0).all(0)
        if hole.any():
            rows, columns = hole.any(1), hole.any(0)
            assert hole.sum() == rows.sum() * columns.sum()  # a full rectangle
            assert 0.25 < rows.sum() / columns.sum() < 4
            areas.append(float(hole.float().mean()))
    assert 70 < len(areas) < 130  # about half
    assert 0.01 < min(areas) < 0.06 and 0.3 < max(areas) < 0.42


def draw_keypoints(folder, split, size):
    """Spread the keypoints, off the pixels' centres, and draw each as a disc of its own brightness
    (``brightness``).
    """
    path = folder / "truth" / f"{split}.json"
    labels = json.loads(path.read_text())
    rows, columns = np.mgrid[: size[1], : size[0]]
    for name, label in labels.items():
        image = np.zeros(size[::-1])
        for k, keypoint in enumerate(label["keypoints"]):
            x, y = size[0] * (0.153 + 0.33 * (k % 3)), size[1] * (0.103 + 0.15 * (k // 3))
            keypoint[:2] = x, y
            image += brightness(k) * np.clip(4.5 - np.hypot(columns + 0.5 - x, rows + 0.5 - y), 0, 1)
        Image.fromarray(image.round().astype(np.uint8)).save(folder / split / name, format="PNG")
    path.write_text(json.dumps(labels))


def brightness(k):
    return 50 + 10 * k


def test_keypoints_stay_on_what_they_mark(tmp_path):
    size, (height, width) = (90, 150), (200, 100)
    folder = write_annyville(tmp_path, size=size)
    draw_keypoints(folder, "bounding_box_train", size)
    samples = load_dataset("annyville-occluded", tmp_path).train
    dataset = ImageDataset(samples, (height, width), Augmentation(pad=20), truth=("keypoints",), cache=True)
    visibilities, flips, centred = Counter(), 0, 0
    for epoch in range(12):
        dataset.set_epoch(epoch)
        item = dataset[epoch % 2]
        values = pixels(item["image"])[0] * 255
        erased = (item["image"] == 0).all(0)
        flipped = bool(item["keypoints"][0, 0] > 0)  # the nose was drawn on the left
        flips += flipped
        assert item["keypoints"].shape == (17, 3)
        for k, (x, y, v) in enumerate(item["keypoints"].tolist()):
            visibilities[v] += 1
            assert (v == 0) == (max(abs(x), abs(y)) > 1)
            if v == 0:
                continue
            drawn = COCO_MIRROR[k] if flipped else k  # a flip makes left to right
            column, row = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
            i, j = round(row), round(column)
            assert v == (1 if drawn % 4 == 3 or erased[i, j] else 2)
            if not erased[i, j]:
                assert values[i, j] == pytest.approx(brightness(drawn), abs=2)
                centre = centre_of_mass(values, erased, i, j)
                if centre is not None:
                    centred += 1
                    assert centre == pytest.approx((row, column), abs=0.1)
    assert min(visibilities.values()) > 5 and len(visibilities) == 3 and 2 < flips < 10 and centred > 50


def centre_of_mass(values, erased, i, j, reach=9):
    """(row, column) of the centre of the disc around pixel (i, j); None if it is not wholly in the image."""
    window = slice(i - reach, i + reach + 1), slice(j - reach, j + reach + 1)
    if min(i, j) < reach or values[window].shape != (2 * reach + 1, 2 * reach + 1) or erased[window].any():
        return None
    mass = values[window].double()
    offsets = torch.arange(-reach, reach + 1.0, dtype=torch.float64)
    row, column = (mass.sum(1) * offsets).sum(), (mass.sum(0) * offsets).sum()
    return i + float(row / mass.sum()), j + float(column / mass.sum())


def test_keypoints_without_augmentation_in_closed_form(tmp_path):
    folder = write_annyville(tmp_path, size=(40, 80))
    path = folder / "truth" / "query.json"
    labels = json.loads(path.read_text())
    label = next(iter(labels.values()))
    label["keypoints"][0] = [20.0, 40.0, 2]  # the middle
    label["keypoints"][1] = [-5.0, 10.0, 2]  # outside
    label["keypoints"][3] = [2.0, 78.0, 1]  # the centre of the last row's first pixel
    label["keypoints"][2] = [1.0, 79.5, 1]
    path.write_text(json.dumps(labels))
    keypoints = ImageDataset(load_dataset("annyville-occluded", tmp_path).query, (20, 10), truth=("keypoints",))[0][
        "keypoints"
    ]
    assert keypoints[0].tolist() == pytest.approx([0, 0, 2])
    assert keypoints[1, 2] == 0
    # four pixels become one, whose centre is 0.5 from its edges; the last centre, 19.5, is at 1
    assert keypoints[2].tolist() == pytest.approx(
        [2 * (1 / 4 - 0.5) / 9 - 1, 2 * (79.5 / 4 - 0.5) / 19 - 1, 0], abs=1e-5
    )
    assert keypoints[3].tolist() == pytest.approx([-1, 1, 1], abs=1e-5)


def test_photographs_have_no_keypoints(tmp_path):
    samples = noise_samples(tmp_path)
    with pytest.raises(MatlibError, match="only rendered"):
        ImageDataset(samples, truth=("keypoints",))
