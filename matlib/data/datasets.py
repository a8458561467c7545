"""The data sets by name."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from matlib.data.readers.copies import tell_copies
from matlib.data.readers.counts import count_dataset, difference, published
from matlib.data.readers.market import DUKEMTMC, MARKET1501, read_dukemtmc, read_market1501
from matlib.data.readers.msmt17 import ROOTS as MSMT17_ROOTS
from matlib.data.readers.msmt17 import read_msmt17
from matlib.data.readers.occluded_duke import OCCLUDED_DUKE, read_occluded_duke
from matlib.data.readers.own import read_csv, read_folder
from matlib.data.readers.pairs import (
    OCCLUDED_REID_ROOTS,
    PARTIAL_ILIDS_ROOTS,
    PARTIAL_REID_ROOTS,
    read_occluded_reid,
    read_partial_ilids,
    read_partial_reid,
)
from matlib.data.readers.rendered import annyville_reader
from matlib.data.samples import ReIDDataset
from matlib.errors import MatlibError, did_you_mean

logger = logging.getLogger(__name__)


class _Entry(NamedTuple):
    """A set: its folder's names, and its reader ``(name, root, other_roots, **options)``."""

    roots: tuple[str, ...]
    read: Callable[..., ReIDDataset]


_ENTRIES = {
    "market1501": _Entry(MARKET1501.roots, read_market1501),
    "dukemtmc": _Entry(DUKEMTMC.roots, read_dukemtmc),
    "occluded_duke": _Entry(OCCLUDED_DUKE.roots, read_occluded_duke),
    "occluded_reid": _Entry(OCCLUDED_REID_ROOTS, read_occluded_reid),
    "partial_reid": _Entry(PARTIAL_REID_ROOTS, read_partial_reid),
    "partial_ilids": _Entry(PARTIAL_ILIDS_ROOTS, read_partial_ilids),
    "msmt17": _Entry(MSMT17_ROOTS, read_msmt17),
    "annyville-holistic": _Entry(("annyville-holistic",), annyville_reader(read_market1501)),
    "annyville-occluded": _Entry(("annyville-occluded",), annyville_reader(read_dukemtmc)),
    "annyville-occluded-pairs": _Entry(("annyville-occluded-pairs",), annyville_reader(read_occluded_reid)),
    "annyville-partial-pairs": _Entry(("annyville-partial-pairs",), annyville_reader(read_partial_reid)),
    "annyville-partial-single": _Entry(("annyville-partial-single",), annyville_reader(read_partial_ilids)),
    "folder": _Entry((), read_folder),
    "csv": _Entry((), read_csv),
}


def dataset_names() -> list[str]:
    """The names that ``load_dataset`` knows."""
    return list(_ENTRIES)


def dataset_options(name: str) -> list[str]:
    """The names of the options that ``load_dataset`` takes for a set. Raises MatlibError for an unknown set."""
    if not isinstance(name, str) or name not in _ENTRIES:
        raise MatlibError(
            f"there is no data set {name!r}; data sets are {', '.join(_ENTRIES)}{did_you_mean(name, _ENTRIES)}"
        )
    parameters = inspect.signature(_ENTRIES[name].read).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def load_dataset(name: str, root: str | os.PathLike[str], **options: object) -> ReIDDataset:
    """Read the lists of a data set; the images themselves are read by ``ImageDataset``.

    Parameters
    ----------
    name: one of ``dataset_names()``; ``"folder"`` and ``"csv"`` are for one's own images (``matlib.data.readers.own``).
    root: the folder that holds the sets, such as ``data``; the set's own folder, or its archive (zip, tar,
        tar.gz), may be given as well. Which folder names are accepted is said in ``data/README.md``. For ``"csv"``
        it is the file.
    options: readings of a set that are in dispute, each described, with the reason for its default, where the set
        is read: ``query`` and ``shot`` of ``partial_reid``, ``version`` of ``partial_ilids``
        (``matlib.data.readers.pairs``), ``duke`` and ``training`` of ``occluded_duke``, ``validation`` and ``version``
        of ``msmt17``, ``cameras`` and ``title`` of ``folder`` and ``csv``, ``asking`` of rendered sets
        (``matlib.data.readers.rendered``).

    Raises MatlibError, in one sentence that says how to mend it, for an unknown name or option, and for a set
    that is missing, empty, half unpacked or half rendered, or that may not be read. Numbers of images other than the
    published ones are told in a warning.
    """
    known = dataset_options(name)
    for option in options:
        if option not in known:
            raise MatlibError(
                f"{name} has no option {option!r}; its options are: {', '.join(known) or 'none'}"
                f"{did_you_mean(option, known)}"
            )
    if not isinstance(root, str | os.PathLike) or isinstance(os.fspath(root), bytes):
        raise MatlibError(f"the root of {name} is the name of a folder or a file, not {root!r}")
    others = tuple(r for other, e in _ENTRIES.items() if other != name for r in e.roots)
    try:
        dataset = _ENTRIES[name].read(name, Path(os.path.expanduser(root)), others, **options)
        if dataset.labels is None and dataset.rendered is None:
            tell_copies(dataset)
    except OSError as error:
        raise MatlibError(
            f"{name} cannot be read: {str(error.filename)[:200]}: {error.strerror}; mend that, or name another folder"
        ) from error
    expected = published(name, options)
    differs = expected and difference(name, count_dataset(dataset), expected)
    if differs:
        logger.warning(
            "%s in %s is not as published: %s; it is not wholly unpacked, or another version",
            name,
            dataset.root,
            differs,
        )
    return dataset


def training_set(dataset: ReIDDataset, root: str | os.PathLike[str]) -> ReIDDataset:
    """The set whose training images train the models that are tested on ``dataset``: itself, or another in ``root``.

    Raises MatlibError where that set is missing.
    """
    return dataset if dataset.trained_on is None else load_dataset(dataset.trained_on, root)
