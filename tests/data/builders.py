"""Builders of small data sets that lie on disk as the real ones do."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, size=(12, 24), color=(90, 120, 30)) -> Path:
    """A picture of one colour; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
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


def write_annyville(root: Path, name="annyville-occluded", *, size=(40, 80), finished=True) -> Path:
    """A rendered set with its labels, keypoints at random places; size is (width, height)."""
    folder = root / name
    generator = np.random.default_rng(0)
    images = {
        "bounding_box_train": ["0003_c1s1_000001_01.jpg", "0009_c8s1_000002_01.jpg"],
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
        (root / f"{name}.json").write_text(json.dumps({"fingerprint": "abc123", "counts": counts}))
    return folder
