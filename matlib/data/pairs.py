"""The small sets of partly visible people: test images only, in pairs of folders, without camera labels.

Having no cameras, their queries are given camera 0 and their galleries camera 1, so that the Market protocol,
which drops gallery images of the query's identity *and* camera, drops nothing. Some evaluators read the second
number of a file name, which counts the images of a person, as a camera instead; they lose one match in five.
Methods tested on these sets are usually trained on Market-1501; ``train`` is empty here.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from matlib.data.folders import Layout, MissingDatasetError, list_images, locate
from matlib.data.samples import ReIDDataset, Sample
from matlib.errors import MatlibError

QUERY_CAMERA, GALLERY_CAMERA = 0, 1
TRAINED_ON = "market1501"

PARTIAL_REID_QUERIES = ("partial", "occluded")

OCCLUDED_REID_ROOTS = ("Occluded_REID", "Occluded-REID", "OccludedREID", "occluded_reid")
PARTIAL_REID_ROOTS = ("Partial-REID_Dataset", "Partial_REID", "Partial-REID", "partial_reid", "PartialREID")
PARTIAL_ILIDS_ROOTS = ("Partial_iLIDS", "Partial-iLIDS", "partial_ilids", "PartialiLIDS")

OCCLUDED_REID_SPLITS = ("occluded_body_images", "whole_body_images")

_IDENTITY = re.compile(r"\d+")

logger = logging.getLogger(__name__)


def read_occluded_reid(name: str, root: Path, other_roots: tuple[str, ...] = ()) -> ReIDDataset:
    """Occluded-REID (Zhuo et al., ICME 2018): 200 people, with 5 occluded queries and 5 whole gallery images each.

    Each person has a folder (``occluded_body_images/001/001_01.tif``); copies without these folders are read too.

    Raises MatlibError for a missing or incomplete set, and for an image in another person's folder.
    """
    return read_pairs(name, Layout("Occluded-REID", OCCLUDED_REID_ROOTS, (OCCLUDED_REID_SPLITS,)), root, other_roots)


def read_partial_reid(
    name: str, root: Path, other_roots: tuple[str, ...] = (), *, query: str = "partial"
) -> ReIDDataset:
    """Partial-REID (Zheng et al., ICCV 2015): 60 people, with 5 query and 5 whole-body gallery images each.

    ``query`` says which of its two folders asks: ``"partial"``, the crops of the visible part, or
    ``"occluded"``, the pictures that they were cropped from. Both are in use, and they are not comparable.
    The default follows the paper's words ("five partial images"), and FastReID, BPBReID and AGW; PVPM, KPR
    and HPNet take the other.

    Raises MatlibError for another value of ``query``, and for a missing or incomplete set.
    """
    if query not in PARTIAL_REID_QUERIES:
        raise MatlibError(f"query of {name} is one of {', '.join(PARTIAL_REID_QUERIES)}; got {query!r}")
    splits = ((f"{query}_body_images", "whole_body_images"),)
    return read_pairs(name, Layout("Partial-REID", PARTIAL_REID_ROOTS, splits), root, other_roots)


def read_partial_ilids(name: str, root: Path, other_roots: tuple[str, ...] = ()) -> ReIDDataset:
    """Partial-iLIDS (as in He et al., CVPR 2018): 119 people, one cropped query and one whole image each.

    The authors' folders are ``Probe`` and ``Gallery``; copies that call them ``partial_body_images`` and
    ``whole_body_images`` are read as well. The identity is the number that a file name begins with.

    Raises MatlibError for a missing or incomplete set.
    """
    splits = (("Probe", "Gallery"), ("partial_body_images", "whole_body_images"))
    return read_pairs(name, Layout("Partial-iLIDS", PARTIAL_ILIDS_ROOTS, splits), root, other_roots)


def read_pairs(
    name: str, layout: Layout, root: Path, other_roots: tuple[str, ...] = (), trained_on: str = TRAINED_ON
) -> ReIDDataset:
    """Read a set that is a query folder and a gallery folder, whose images are named after their identity.

    Parameters
    ----------
    name, layout, root, other_roots: the set and where to look for it, as in ``matlib.data.folders.locate``.
    trained_on: the set whose training images models are trained on that are tested on this one.

    Raises MatlibError for a missing or incomplete set, and for an image in another person's folder.
    """
    folder, (query, gallery) = locate(layout, root, other_roots)
    return ReIDDataset(
        name=name,
        root=folder,
        train=(),
        query=_read_folder(folder / query, layout.title, QUERY_CAMERA),
        gallery=_read_folder(folder / gallery, layout.title, GALLERY_CAMERA),
        trained_on=trained_on,
    )


def _read_folder(folder: Path, title: str, camera: int) -> tuple[Sample, ...]:
    """The images named by a number, which is the identity (``012_003.jpg``, ``7.jpg``, ``012/012_003.tif``)."""
    named = [(path, _identity(path, folder)) for path in list_images(folder, below=True)]
    samples = tuple(Sample(path, identity, camera) for path, identity in named if identity is not None)
    if not samples:
        raise MissingDatasetError(
            f"{title} is not complete: {folder} holds no image whose name begins with a number; "
            f"unpack the whole set into {folder.parent}"
        )
    if len(samples) < len(named):
        stranger = next(path.name for path, identity in named if identity is None)
        logger.warning(
            "%s: left out %d images whose names do not begin with a number, such as %s",
            folder,
            len(named) - len(samples),
            stranger,
        )
    return samples


def _identity(path: Path, folder: Path) -> int | None:
    """The first number of the file's name; where people have folders, it is the folder's number too."""
    match = _IDENTITY.match(path.name)
    if match is None:
        return None
    if path.parent != folder and path.parent.name.isdecimal() and int(path.parent.name) != int(match[0]):
        raise MatlibError(
            f"{path} lies in the folder of identity {int(path.parent.name)} but has the name of identity {int(match[0])}:"
            " restore it from the archive"
        )
    return int(match[0])
