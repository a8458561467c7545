"""Occluded-Duke: DukeMTMC-reID split anew, of which only lists of file names are published."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from matlib.data.readers.folders import Layout, MissingDatasetError, locate, read_lines
from matlib.data.readers.market import DUKEMTMC, SPLITS, parse, read_market_layout, read_split
from matlib.data.readers.options import one_of
from matlib.data.samples import ReIDDataset, relabel
from matlib.errors import MatlibError

CAMERAS = 8
LISTS = ("train.list", "query.list", "gallery.list")
TRAININGS = ("own", "dukemtmc")

OCCLUDED_DUKE = Layout(
    "Occluded-Duke", ("Occluded_Duke", "Occluded-DukeMTMC-reID", "Occluded-DukeMTMC"), (SPLITS, LISTS)
)


def read_occluded_duke(
    name: str,
    root: Path,
    other_roots: tuple[str, ...] = (),
    *,
    duke: str | os.PathLike[str] | None = None,
    training: str = "own",
) -> ReIDDataset:
    """Occluded-Duke (Miao et al., ICCV 2019): all queries are occluded, and about a tenth of the gallery is.

    It comes as folders in Market-1501's layout, or as DukeMTMC-reID with the three lists that its authors
    publish (``train.list``, ``query.list``, ``gallery.list``), which are then read without copying an image: a
    listed image that is not in its own split of DukeMTMC-reID is taken from ``bounding_box_test``, as the
    authors' script does.

    Parameters
    ----------
    name, root, other_roots: the set and where to look for it, as in ``matlib.data.readers.folders.locate``.
    duke: with lists, the folder that holds DukeMTMC-reID; None looks beside the lists' folder and in it.
    training: ``"own"``, the 15,618 images of the set's own list, is what its authors train on and nearly all
        others, and leaves out what resembles the test. ``"dukemtmc"`` takes DukeMTMC-reID's 16,522 of the same
        702 people, as HOReID's author says that they did; it needs DukeMTMC-reID in ``duke`` or ``root``.

    Raises MatlibError for another value of ``training``, and for a missing or incomplete set.
    """
    one_of("training", training, TRAININGS, name)
    folder, splits = locate(OCCLUDED_DUKE, root, other_roots)
    places = [Path(str(duke)).expanduser()] if duke is not None else [folder, root, folder.parent]
    if splits == SPLITS:
        dataset = read_market_layout(name, OCCLUDED_DUKE, folder, CAMERAS)
    else:
        dataset = _read_lists(name, folder, _locate_duke(places))
    if training == "dukemtmc":
        train = relabel(read_split(_locate_duke(places) / SPLITS[0], DUKEMTMC.title, CAMERAS))
        dataset = dataclasses.replace(dataset, train=train)
    return dataset


def _locate_duke(places: list[Path]) -> Path:
    """DukeMTMC-reID in one of the folders; the last one's error where it is in none."""
    for place in places[:-1]:
        try:
            return locate(DUKEMTMC, place, OCCLUDED_DUKE.roots)[0]
        except MissingDatasetError:
            continue
    return locate(DUKEMTMC, places[-1], OCCLUDED_DUKE.roots)[0]


def _read_lists(name: str, folder: Path, duke: Path) -> ReIDDataset:
    train, query, gallery = (
        parse(_listed_images(folder / file, duke, split), OCCLUDED_DUKE.title, CAMERAS)
        for file, split in zip(LISTS, SPLITS)
    )
    return ReIDDataset(name=name, root=duke, train=relabel(train), query=query, gallery=gallery)


def _listed_images(file: Path, duke: Path, split: str) -> list[Path]:
    """The images that a list names, sorted by name, where DukeMTMC-reID has them."""
    here, test = set(os.listdir(duke / split)), set(os.listdir(duke / SPLITS[2]))
    names = sorted({line.strip() for line in read_lines(file)} - {""})
    missing = [image for image in names if image not in here and image not in test]
    if missing or not names:
        raise MatlibError(
            f"{len(missing)} of the {len(names)} images that {file} names are not in {duke}"
            + (f", such as {missing[0]}" if missing else "")
            + ": fetch the list and DukeMTMC-reID again"
        )
    return [duke / (split if image in here else SPLITS[2]) / image for image in names]
