"""The data sets by name."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matlib.data.folders import Layout
from matlib.data.market import SPLITS, read_market_layout
from matlib.data.pairs import (
    OCCLUDED_REID_ROOTS,
    PARTIAL_ILIDS_ROOTS,
    PARTIAL_REID_ROOTS,
    read_occluded_reid,
    read_partial_ilids,
    read_partial_reid,
)
from matlib.data.rendered import read_annyville
from matlib.data.samples import ReIDDataset
from matlib.errors import MatlibError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """A set: its folder's names, and its reader ``(name, root, other_roots, **options)``."""

    roots: tuple[str, ...]
    read: Callable[..., ReIDDataset]
    images: tuple[int, int, int] | None = None
    """How many training, query and gallery images every evaluation reads; None where that is a setting."""


def _market_entry(title: str, roots: tuple[str, ...], cameras: int, images: tuple[int, int, int]) -> _Entry:
    layout = Layout(title, roots, (SPLITS,))

    def read(name: str, root: Path, other_roots: tuple[str, ...]) -> ReIDDataset:
        return read_market_layout(name, layout, root, cameras, other_roots)

    return _Entry(roots, read, images)


_ENTRIES = {
    "market1501": _market_entry(
        "Market-1501",
        ("Market-1501-v15.09.15", "Market-1501", "market1501", "Market1501"),
        cameras=6,
        images=(12_936, 3_368, 15_913),
    ),
    "dukemtmc": _market_entry(
        "DukeMTMC-reID",
        ("DukeMTMC-reID", "dukemtmc-reid", "dukemtmcreid", "dukemtmc"),
        cameras=8,
        images=(16_522, 2_228, 17_661),
    ),
    "occluded_duke": _market_entry(
        "Occluded-Duke",
        ("Occluded_Duke", "Occluded-DukeMTMC-reID", "Occluded-DukeMTMC", "Occluded-Duke", "occluded_duke"),
        cameras=8,
        images=(15_618, 2_210, 17_661),
    ),
    "occluded_reid": _Entry(OCCLUDED_REID_ROOTS, read_occluded_reid, (0, 1_000, 1_000)),
    "partial_reid": _Entry(PARTIAL_REID_ROOTS, read_partial_reid, (0, 300, 300)),
    "partial_ilids": _Entry(PARTIAL_ILIDS_ROOTS, read_partial_ilids, (0, 119, 119)),
    "annyville-holistic": _Entry(("annyville-holistic",), read_annyville),
    "annyville-occluded": _Entry(("annyville-occluded",), read_annyville),
}


def dataset_names() -> list[str]:
    """The names that ``load_dataset`` knows."""
    return list(_ENTRIES)


def load_dataset(name: str, root: str | os.PathLike[str], **options: object) -> ReIDDataset:
    """Read the lists of a data set; the images themselves are read by ``ImageDataset``.

    Parameters
    ----------
    name: one of ``dataset_names()``.
    root: the folder that holds the sets, such as ``data``; the set's own folder, or its archive (zip, tar,
        tar.gz), may be given as well. Which folder names are accepted is said in ``data/README.md``.
    options: of the set: ``query`` of ``partial_reid`` (``"partial"`` or ``"occluded"``).

    Raises MatlibError, in one sentence that says how to mend it, for an unknown name or option, and for a set
    that is missing, empty, half unpacked or half rendered.
    """
    if name not in _ENTRIES:
        raise MatlibError(f"there is no data set {name!r}; data sets are {', '.join(_ENTRIES)}")
    entry = _ENTRIES[name]
    known = [p.name for p in inspect.signature(entry.read).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise MatlibError(
                f"{name} has no option {option!r}; its options are: {', '.join(known) or 'none'}"
            )
    others = tuple(r for other, e in _ENTRIES.items() if other != name for r in e.roots)
    dataset = entry.read(name, Path(root).expanduser(), others, **options)
    images = (len(dataset.train), len(dataset.query), len(dataset.gallery))
    if entry.images not in (None, images):
        logger.warning(
            "%s in %s has %d training, %d query and %d gallery images, but %d, %d and %d are what is"
            " published: it is not wholly unpacked, or another version",
            name,
            dataset.root,
            *images,
            *entry.images,
        )
    return dataset
