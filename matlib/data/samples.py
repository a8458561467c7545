"""What a data set is: three lists of images, each with its identity and its camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """One image of one person: where it lies, who it shows, and which camera took it (counted from 0)."""

    path: Path
    identity: int
    camera: int


@dataclass(frozen=True)
class ReIDDataset:
    """A re-identification data set: training images, and the query and gallery images of its test.

    ``train`` has identities 0..N-1, numbered in the order of the identities on disk, so that they are
    classes. ``query`` and ``gallery`` keep the identities on disk, so that they compare with each other. Each
    sequence is sorted by file name. Boxes marked as junk (identity -1 in Market-1501) are left out
    everywhere, as all evaluators ignore them; distractors (identity 0) stay in the gallery: they match no
    query, but may be ranked. A set that is made for testing only has an empty ``train``.
    """

    name: str
    root: Path
    """The set's own folder."""
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    trained_on: str | None = None
    """Name of the set that trains the models tested on this one; None for a set with training images of its own."""
    rendered: str | None = None
    """Fingerprint in the manifest of a rendered (Annyville) set; None for photographs."""
    recipe: str | None = None
    """What a rendered set was made of, in one line: its identity, whose pixels differ between processors."""
    labels: str | None = None
    """Digest of identities and cameras that do not stand in the file names (one's own data); None where they do."""

    @property
    def num_train_identities(self) -> int:
        """The number of classes among the training images."""
        return len({sample.identity for sample in self.train})


def relabel(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The same samples with identities 0..N-1, in the order of their identities."""
    samples = tuple(samples)
    label = {identity: index for index, identity in enumerate(sorted({s.identity for s in samples}))}
    return tuple(sample._replace(identity=label[sample.identity]) for sample in samples)


def everyone_asks(data: ReIDDataset) -> ReIDDataset:
    """The same test with every image of a query's person as a query, and all images as the gallery.

    For small sets, whose few queries would say little. (An image is no match of itself: its own camera's are left out.)
    """
    images = (*data.query, *data.gallery)
    asked = {sample.identity for sample in data.query}
    return dataclasses.replace(data, query=tuple(s for s in images if s.identity in asked), gallery=images)
