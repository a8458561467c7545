"""Which files a number was measured on, in one word."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from matlib.data.samples import ReIDDataset

LENGTH = 12


def _recipe(protocol: str, preset: str = "small", seed: int = 0, camera_spread: float = 1.0) -> str:
    return json.dumps({"generator": "annyville 3", "protocol": protocol, "preset": preset, "seed": seed,
                       "camera_spread": camera_spread, "likeness": 0.5})


#: The recipes of the reference records, which have no recipe, but the hash of the pixels where they were rendered.
REFERENCES = {
    _recipe("occluded"): "a00425ccca9f2176bbc0b3131c87c3553c65ee8eda0ff6b8e6e758bdb51b76e0",
    _recipe("occluded", preset="large"): "3661106df9ece966020f8717fbe2b834d8bf8dd950d5f9e3de8c3c4a79d6c67c",
    _recipe("occluded", seed=1): "c3c5ac6d92e12b24cf1fca76b029b67c112be4b9ffb1317a210abbba5f995d8a",
    _recipe("occluded", camera_spread=0.0): "4b7793908f7fc170f35f3b5527b09aa6b9b499b44f94c7e5069d0bd8ec44c799",
    _recipe("occluded", camera_spread=2.0): "6a462a48669f92617603468ea83a289b60253ecdd21c0c2acbdef7d0c626857d",
    _recipe("holistic"): "cc01503b7cdd309d55545956712cb0f02506e5d6f655250e727536315f480561",
    _recipe("partial-pairs"): "76cd5abb9c432ecd02c6b0342787688798cf22d9262eaf9e50ee49e34797c4c4",
    _recipe("partial-single"): "1578a73acef45b3e1bf1904e4f0f339d2d15826cd80c46c2459877bfafbfb607",
    _recipe("occluded-pairs"): "30c30ad87c4d28d2498e1d10591cb56786ec8da9ea1bdc8fe0124686935b350e",
}


def fingerprint(dataset: ReIDDataset) -> str:
    """A short name of the set's files, the same wherever the set lies, for the record of a run.

    Of a rendered set it names its recipe (generator, protocol, preset, seed, knobs) and not its pixels, which differ
    between processors: the name that the reference records have for that recipe, else its SHA-256. Where the manifest
    does not say the whole recipe, it is the manifest's own fingerprint, that of the pixels.
    Of photographs it is a SHA-256, cut to 12 characters, of the sorted (split, path in the set's folder,
    size) of all images that the protocol uses: it tells copies with other files or another split apart, not
    single changed pixels. Of one's own data its labels count too.
    """
    if dataset.recipe is not None:
        return REFERENCES.get(dataset.recipe) or hashlib.sha256(dataset.recipe.encode()).hexdigest()
    if dataset.rendered is not None:
        return dataset.rendered
    lines = sorted(
        f"{split}\0{image_name(sample.path, dataset.root)}\0{sample.path.stat().st_size}\n"
        for split in ("train", "query", "gallery")
        for sample in getattr(dataset, split)
    )
    if dataset.labels is not None:
        lines.append(dataset.labels)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:LENGTH]


def known_as(dataset: ReIDDataset) -> frozenset[str]:
    """The fingerprints that a run's record may have for these files: before recipes, a rendered set's was its pixels'.
    """
    return frozenset({fingerprint(dataset), dataset.rendered} - {None})


def image_name(path: Path, root: Path) -> str:
    """An image's path from the set's folder, also where a CSV file names it elsewhere: both may be moved together."""
    return Path(path.relative_to(root) if path.is_relative_to(root) else os.path.relpath(path, root)).as_posix()
