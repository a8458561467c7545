"""Market-1501's layout, in which DukeMTMC-reID, Occluded-Duke and Annyville come too.

Three folders, ``bounding_box_train``, ``query`` and ``bounding_box_test``, of images whose names begin with
the identity and the camera (from 1): ``0002_c1s1_000451_03.jpg`` in Market-1501, ``0002_c1_f0044158.jpg`` in
DukeMTMC.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from matlib.data.readers.folders import Layout, MissingDatasetError, list_pictures, locate
from matlib.data.samples import ReIDDataset, Sample, relabel
from matlib.errors import MatlibError

SPLITS = ("bounding_box_train", "query", "bounding_box_test")
JUNK = -1

MARKET1501 = Layout("Market-1501", ("Market-1501-v15.09.15", "Market-1501", "market1501"), (SPLITS,))
DUKEMTMC = Layout("DukeMTMC-reID", ("DukeMTMC-reID", "dukemtmcreid", "dukemtmc", "duke"), (SPLITS,))

_NAME = re.compile(r"(-1|\d{1,18})_c(\d{1,9})")

logger = logging.getLogger(__name__)


def read_market1501(name: str, root: Path, other_roots: tuple[str, ...] = ()) -> ReIDDataset:
    """Market-1501 (Zheng et al., ICCV 2015). Raises MatlibError as ``read_market_layout`` does."""
    return read_market_layout(name, MARKET1501, root, 6, other_roots)


def read_dukemtmc(name: str, root: Path, other_roots: tuple[str, ...] = ()) -> ReIDDataset:
    """DukeMTMC-reID (Zheng et al., ICCV 2017). Raises MatlibError as ``read_market_layout`` does."""
    return read_market_layout(name, DUKEMTMC, root, 8, other_roots)


def read_market_layout(
    name: str, layout: Layout, root: Path, cameras: int, other_roots: tuple[str, ...] = ()
) -> ReIDDataset:
    """Read a set in Market-1501's layout.

    Parameters
    ----------
    name, layout, root, other_roots: the set and where to look for it, as in ``matlib.data.readers.folders.locate``.
    cameras: how many cameras the set has; a file of another camera is refused.

    Raises MatlibError for a missing or incomplete set, and for a camera that the set does not have.
    """
    folder, splits = locate(layout, root, other_roots)
    train, query, gallery = (read_split(folder / split, layout.title, cameras) for split in splits)
    return ReIDDataset(name=name, root=folder, train=relabel(train), query=query, gallery=gallery)


def read_split(folder: Path, title: str, cameras: int) -> tuple[Sample, ...]:
    """The images of one folder, sorted by file name; junk is left out, cameras are counted from 0.

    Raises MatlibError for a folder without such images, and for a camera that the set does not have.
    """
    samples = parse(list_pictures(folder), title, cameras)
    if not samples:
        raise MissingDatasetError(
            f"{title} is not complete: {folder} holds no image with a name like 0002_c1s1_000451_03.jpg; "
            f"unpack the whole set into {folder.parent}"
        )
    return samples


def parse(paths: Iterable[Path], title: str, cameras: int) -> tuple[Sample, ...]:
    """Images with identity and camera read from their names; junk is left out, other names too, with a warning.

    Raises MatlibError for a camera that the set does not have.
    """
    samples, strangers = [], []
    for path in paths:
        match = _NAME.match(path.name)  # the base name only: a folder may be called run_12_c3
        if match is None:
            strangers.append(path)
            continue
        identity, camera = int(match[1]), int(match[2])
        if not 1 <= camera <= cameras:
            raise MatlibError(
                f"{path} is of camera {camera}, but {title} has cameras 1 to {cameras}: is it another data"
                " set?"
            )
        if identity != JUNK:
            samples.append(Sample(path, identity, camera - 1))
    if strangers:
        logger.warning(
            "%s: left out %d images whose names do not begin with identity and camera, such as %s",
            strangers[0].parent,
            len(strangers),
            strangers[0].name,
        )
    return tuple(samples)
