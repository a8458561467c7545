"""Which files a number was measured on, in one word."""

from __future__ import annotations

import hashlib
from pathlib import Path

from matlib.data.samples import ReIDDataset

LENGTH = 12


def fingerprint(dataset: ReIDDataset) -> str:
    """A short name of the set's files, the same wherever the set lies, for the record of a run.

    Of a rendered set it is the fingerprint in its manifest, which stands for its seed, sizes and generator.
    Of photographs it is a SHA-256, cut to 12 characters, of the sorted (split, path in the set's folder,
    size) of all images that the protocol uses: it tells copies with other files or another split apart, not
    single changed pixels. Of one's own data its labels count too.
    """
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


def image_name(path: Path, root: Path) -> str:
    """An image's path in the set's folder; its whole path where a CSV file names it elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
