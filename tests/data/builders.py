"""Builders of small data sets that lie on disk as the real ones do."""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, size=(12, 24), color=None) -> Path:
    """A picture of one colour, or else of its own, after its name and its folder's; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    color = color or tuple(hashlib.md5("/".join(path.parts[-2:]).encode("utf-8", "surrogateescape")).digest()[:3])
    Image.new("RGB", size, color).save(path)
    return path


def write_market(root: Path, train: list[str], query: list[str], gallery: list[str]) -> Path:
    for folder, names in (("bounding_box_train", train), ("query", query), ("bounding_box_test", gallery)):
        for name in names:
            write_image(root / folder / name)
    return root


def write_small_market(root: Path) -> Path:
    """A set without traps."""
    return write_market(
        root,
        ["0007_c1s1_000001_01.jpg", "0002_c2s1_000002_01.jpg"],
        ["0001_c1s1_000001_01.jpg"],
        ["0001_c2s1_000001_01.jpg", "0000_c3s1_000002_02.jpg", "-1_c1s1_000003_01.jpg"],
    )


def write_occluded_reid(root: Path, people=3, images=2, suffix=".tif") -> Path:
    for folder in ("occluded_body_images", "whole_body_images"):
        for person in range(1, people + 1):
            for image in range(1, images + 1):
                write_image(root / folder / f"{person:03}" / f"{person:03}_{image:02}{suffix}")
    return root


def write_partial_reid(root: Path, people=3, images=2) -> Path:
    for folder, color in (("partial", (250, 0, 0)), ("occluded", (0, 250, 0)), ("whole", (0, 0, 250))):
        for person in range(1, people + 1):
            for image in range(1, images + 1):
                write_image(root / f"{folder}_body_images" / f"{person:03}_{image:03}.jpg", color=color)
    return root


def write_partial_ilids(root: Path, people=4) -> Path:
    for person in range(1, people + 1):
        write_image(root / "Probe" / f"{person}.jpg")
        write_image(root / "Gallery" / f"{person}.jpg")
        write_image(root / "partial_iLIDS_Probe_nocrop" / f"{person:03}.jpg")
    return root


MSMT17_FOLDERS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}


def write_msmt17(root: Path, version="V1") -> Path:
    """Three people of four images train, one of them for validation; two people are searched for."""
    train, test = MSMT17_FOLDERS[version]
    lists = {"train": [], "val": [], "query": [], "gallery": []}
    for person in (2, 0, 1):
        for image in range(4):
            name = f"{person:04}/{person:04}_{image:03}_{14 - image:02}_0303morning_{image:04}_0.jpg"
            write_image(root / train / name)
            lists["val" if image == 3 else "train"].append(f"{name} {person}")
    for person in (1, 0):
        for image, split in enumerate(("query", "gallery", "gallery")):
            name = f"{person:04}/{person:04}_{image:03}_{image + 1:02}_0303noon_{image:04}_1.jpg"
            write_image(root / test / name)
            lists[split].append(f"{name} {person}")
    for split, lines in lists.items():
        (root / f"list_{split}.txt").write_text("\n".join(lines) + "\n")
    return root


DUKE = {
    "bounding_box_train": ["0001_c2_f0046182.jpg", "0001_c1_f0044158.jpg", "0007_c8_f0044158.jpg"],
    "query": ["0005_c2_f0046985.jpg"],
    "bounding_box_test": ["0005_c5_f0051341.jpg", "0005_c6_f0051341.jpg", "0009_c1_f0051341.jpg"],
}


def write_occluded_duke_lists(root: Path) -> Path:
    """The published lists for a DukeMTMC-reID of ``DUKE``: a query is moved over from the gallery."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "train.list").write_text("0007_c8_f0044158.jpg\n0001_c1_f0044158.jpg\n")
    (root / "query.list").write_text("0005_c5_f0051341.jpg\n0005_c2_f0046985.jpg\n")
    (root / "gallery.list").write_text("0009_c1_f0051341.jpg\n0005_c6_f0051341.jpg")  # without a last newline
    return root


def write_annyville(root: Path, name="annyville-occluded", *, size=(40, 80), finished=True) -> Path:
    """A rendered set with its labels, keypoints at random places; size is (width, height)."""
    folder = root / name
    generator = np.random.default_rng(0)
    images = {
        "bounding_box_train": ["0003_c1s1_000001_01.jpg", "0009_c6s1_000002_01.jpg"],
        "query": ["0001_c1s1_000001_01.jpg"],
        "bounding_box_test": ["0001_c2s1_000001_01.jpg"],
    }
    for split, names in images.items():
        labels = {}
        for image in names:
            write_image(folder / split / image, size)
            points = generator.uniform((6, 6), (size[0] - 7, size[1] - 7), (17, 2))
            visibility = np.where(np.arange(17) % 4 == 3, 1, 2)
            labels[image] = {
                "keypoints": [[*point, int(v)] for point, v in zip(points.tolist(), visibility)],
                "occlusion": 0.25,
                "occluder": "car",
                "yaw": -30.0,
            }
            mask = np.zeros(size[::-1], np.uint8)
            mask[1, :5] = [0, 1, 13, 64, 128]
            (folder / "truth" / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / "truth" / split / f"{Path(image).stem}.png")
        (folder / "truth" / f"{split}.json").write_text(json.dumps(labels))
    if finished:
        counts = {split: len(names) for split, names in images.items()}
        manifest = {"generator": "annyville", "protocol": name, "preset": "tiny", "seed": 0, "camera_spread": 1.0,
                    "fingerprint": "abc123"}
        (root / f"{name}.json").write_text(json.dumps(manifest | {"counts": counts}))
    return folder
