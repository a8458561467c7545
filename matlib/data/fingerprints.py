"""Which files a number was measured on, in one word."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from matlib.data.samples import ReIDDataset
from matlib.references import REFERENCES, settled

LENGTH = 12


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
        return settled(dataset.rendered)
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
