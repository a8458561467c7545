"""How many images and identities each published set has, and what the paper says it has (section 4.1).

The figures are those that the authors' lists give and every evaluation reads, after boxes of identity -1 are left out.
Where the paper's differ, ``PAPER`` says by what.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from matlib.data.samples import ReIDDataset, Sample


class Count(NamedTuple):
    images: int
    identities: int

    def __str__(self) -> str:
        return f"{self.images:,} images of {self.identities:,} identities"


@dataclass(frozen=True)
class Counts:
    """A set's three lists. ``train`` counts nothing where a set is for testing only."""

    train: Count
    query: Count
    gallery: Count
    cameras: int


class PaperFigure(NamedTuple):
    """What section 4.1 of the paper says where it is not what every evaluation reads."""

    split: str
    """``train``, ``query`` or ``gallery``; "" for the whole set."""
    images: int
    """As printed."""
    why: str


NOTHING = Count(0, 0)

COUNTS = {
    "market1501": Counts(Count(12_936, 751), Count(3_368, 750), Count(15_913, 751), cameras=6),
    "dukemtmc": Counts(Count(16_522, 702), Count(2_228, 702), Count(17_661, 1_110), cameras=8),
    "occluded_duke": Counts(Count(15_618, 702), Count(2_210, 519), Count(17_661, 1_110), cameras=8),
    "occluded_reid": Counts(NOTHING, Count(1_000, 200), Count(1_000, 200), cameras=2),
    "partial_reid": Counts(NOTHING, Count(300, 60), Count(300, 60), cameras=2),
    "partial_ilids": Counts(NOTHING, Count(119, 119), Count(119, 119), cameras=2),
    "msmt17": Counts(Count(32_621, 1_041), Count(11_659, 3_060), Count(82_161, 3_060), cameras=15),
}

PAPER = {
    "market1501": PaperFigure(
        "gallery",
        19_732,
        "it counts the whole folder with its 3,819 junk boxes, which every evaluation leaves out",
    ),
    "dukemtmc": PaperFigure(
        "",
        36_411,
        "the images are right, but its 1,404 identities are those that two cameras saw; 408 distractors"
        " are in the gallery besides",
    ),
    "occluded_duke": PaperFigure("train", 15_168, "two digits of 15,618 are exchanged"),
    "partial_reid": PaperFigure(
        "", 600, "it counts one query folder and the gallery; the set holds 900 images in three folders"
    ),
}

# MSMT17's list_train.txt alone, without the 2,373 images of list_val.txt.
MSMT17_WITHOUT_VALIDATION = Count(30_248, 1_041)


def published(name: str, options: dict[str, object]) -> Counts | None:
    """The counts of a set as it is read with these options of ``load_dataset``; None for a set of no fixed size."""
    counts = COUNTS.get(name)
    if name == "msmt17" and not options.get("validation", True):
        return replace(counts, train=MSMT17_WITHOUT_VALIDATION)
    if name == "occluded_duke" and options.get("training") == "dukemtmc":
        return replace(counts, train=COUNTS["dukemtmc"].train)
    if name == "partial_reid" and options.get("shot") is not None:
        return replace(counts, gallery=Count(60, 60))
    return counts


def count(samples: Iterable[Sample]) -> Count:
    samples = tuple(samples)
    return Count(len(samples), len({sample.identity for sample in samples}))


def count_dataset(dataset: ReIDDataset) -> Counts:
    """The counts of a data set that was loaded."""
    cameras = {sample.camera for sample in (*dataset.train, *dataset.query, *dataset.gallery)}
    return Counts(count(dataset.train), count(dataset.query), count(dataset.gallery), len(cameras))


def difference(name: str, found: Counts, expected: Counts) -> str | None:
    """In words, how a set differs from the published one; None where it does not.

    A figure that is the paper's slip is named as such.
    """
    words = []
    for split in ("train", "query", "gallery"):
        here, there = getattr(found, split), getattr(expected, split)
        if here != there:
            slip = PAPER.get(name)
            as_printed = slip is not None and (slip.split, slip.images) == (split, here.images)
            words.append(
                f"{split} has {here}, published are {there}"
                + (f" (the paper says {slip.images:,} too, but {slip.why})" if as_printed else "")
            )
    if found.cameras != expected.cameras:
        words.append(f"it was taken by {found.cameras} cameras, published are {expected.cameras}")
    return "; ".join(words) or None
