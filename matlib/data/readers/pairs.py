"""The small sets of partly visible people: test images only, in pairs of folders, without camera labels.

Having no cameras, their queries are given camera 0 and their galleries camera 1, so that the Market protocol,
which drops gallery images of the query's identity *and* camera, drops nothing. Some evaluators read the second
number of a file name, which counts the images of a person, as a camera instead; they lose one match in five.
Methods tested on these sets are trained on Market-1501; ``train`` is empty here.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path

from matlib.data.readers.folders import Layout, MissingDatasetError, Pictures, list_pictures, locate
from matlib.data.readers.options import one_of
from matlib.data.samples import ReIDDataset, Sample
from matlib.errors import MatlibError

QUERY_CAMERA, GALLERY_CAMERA = 0, 1
TRAINED_ON = "market1501"

PARTIAL_REID_QUERIES = ("partial", "occluded")
PARTIAL_REID_SHOTS = (None, 1, 2, 3, 4, 5)
PARTIAL_ILIDS_VERSIONS = (None, "dsr", "fpr")

OCCLUDED_REID_ROOTS = ("Occluded_REID", "ICME2018_Occluded-Person-Reidentification_datasets")
PARTIAL_REID_ROOTS = ("Partial-REID_Dataset", "Partial_REID")
PARTIAL_ILIDS_ROOTS = ("Partial_iLIDS", "partial_ilids_fpr")

OCCLUDED_REID_SPLITS = ("occluded_body_images", "whole_body_images")
QUERY_AND_GALLERY = ("query", "gallery")  # FastReID's
QUERY_AND_TEST = ("query", "bounding_box_test")  # of copies renamed to Market-1501's layout

_IDENTITY = re.compile(r"\d+")

logger = logging.getLogger(__name__)


def read_occluded_reid(name: str, root: Path, other_roots: tuple[str, ...] = ()) -> ReIDDataset:
    """Occluded-REID (Zhuo et al., ICME 2018): 200 people, with 5 occluded queries and 5 whole gallery images each.

    Each person has a folder (``occluded_body_images/001/001_01.tif``); copies without these folders are read
    too, and so are those of FastReID (``query``, ``gallery``) and of DPM (``query``, ``bounding_box_test``).

    Raises MatlibError for a missing or incomplete set, and for an image in another person's folder.
    """
    splits = (OCCLUDED_REID_SPLITS, QUERY_AND_GALLERY, QUERY_AND_TEST)
    return read_pairs(name, Layout("Occluded-REID", OCCLUDED_REID_ROOTS, splits), root, other_roots)


def read_partial_reid(
    name: str,
    root: Path,
    other_roots: tuple[str, ...] = (),
    *,
    query: str = "partial",
    shot: int | None = None,
) -> ReIDDataset:
    """Partial-REID (Zheng et al., ICCV 2015): 60 people, with 5 query and 5 whole-body gallery images each.

    Parameters
    ----------
    name, root, other_roots: the set and where to look for it, as in ``matlib.data.readers.folders.locate``.
    query: which of its two folders asks: ``"partial"``, the crops of the visible part, or ``"occluded"``, the
        pictures that they were cropped from. Both are in use, and they are not comparable. The default follows
        the paper's words ("five partial images"), and FastReID, BPBReID and AGW; PVPM, KPR and HPNet take the
        other.
    shot: None searches all 300 gallery images, as FastReID, BPBReID, KPR, PVPM and PGFA do. 1 to 5 keep only
        that image of each person, so that a query has one match: the mean over the five is the single-shot
        protocol of the set's first papers (AMC+SWM, DSR, SFR), whose rank-1 is lower.

    Raises MatlibError for another value of an option, and for a missing or incomplete set.
    """
    one_of("query", query, PARTIAL_REID_QUERIES, name)
    one_of("shot", shot, PARTIAL_REID_SHOTS, name)
    splits = ((f"{query}_body_images", "whole_body_images"),)
    dataset = read_pairs(name, Layout("Partial-REID", PARTIAL_REID_ROOTS, splits), root, other_roots)
    return dataset if shot is None else _single_shot(dataset, shot)


def read_partial_ilids(
    name: str, root: Path, other_roots: tuple[str, ...] = (), *, version: str | None = None
) -> ReIDDataset:
    """Partial-iLIDS (as in He et al., CVPR 2018): 119 people, one cropped query and one whole image each.

    The authors' folders are ``Probe`` and ``Gallery``; copies that call them ``partial_body_images`` and
    ``whole_body_images``, or ``query`` and ``gallery``, are read as well. The identity is the number that a file
    name begins with.

    Parameters
    ----------
    name, root, other_roots: the set and where to look for it, as in ``matlib.data.readers.folders.locate``.
    version: the images of two papers of the same authors go by this name: ``"dsr"`` (CVPR 2018), named by the
        identity alone (``7.jpg``), which PGFA passes on and most papers measure, and ``"fpr"`` (ICCV 2019), with
        longer names. HPNet scores 68.9 % rank-1 on the first and 72.0 % on the second. None reads what is there,
        "dsr" where both are, and warns where it is "fpr".

    Raises MatlibError for another value of ``version``, and for a missing or incomplete set.
    """
    one_of("version", version, PARTIAL_ILIDS_VERSIONS, name)
    splits = (("Probe", "Gallery"), ("partial_body_images", "whole_body_images"), QUERY_AND_GALLERY)

    def not_version(wanted: str):
        def refuse(folder: Path, splits: tuple[str, ...]) -> str | None:
            found = _ilids_version(folder / splits[0])
            return None if found == wanted else f"by its file names it is version {found!r}, not {wanted!r}"

        return refuse

    def read(wanted: str) -> ReIDDataset:
        layout = Layout("Partial-iLIDS", PARTIAL_ILIDS_ROOTS, splits, not_version(wanted))
        return read_pairs(name, layout, root, other_roots)

    if version is not None:
        return read(version)
    dataset = read_pairs(name, Layout("Partial-iLIDS", PARTIAL_ILIDS_ROOTS, splits), root, other_roots)
    if _ilids_version(dataset.query[0].path.parent) == "dsr":
        return dataset
    try:
        return read("dsr")
    except MissingDatasetError:
        logger.warning(
            "%s: by their names these are the images of FPR (version='fpr'); numbers on them do not compare with those"
            " on DSR's",
            dataset.root,
        )
        return dataset


def read_pairs(
    name: str, layout: Layout, root: Path, other_roots: tuple[str, ...] = (), trained_on: str = TRAINED_ON
) -> ReIDDataset:
    """Read a set that is a query folder and a gallery folder, whose images are named after their identity.

    Parameters
    ----------
    name, layout, root, other_roots: the set and where to look for it, as in ``matlib.data.readers.folders.locate``.
    trained_on: the set whose training images train the models that are tested on this one.

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
    named = [(path, _identity(path, folder)) for path in list_pictures(folder, numbered=True)]
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
    if path.parent != folder and int(path.parent.name) != int(match[0]):
        raise MatlibError(
            f"{path} lies in the folder of identity {int(path.parent.name)} but has the name of identity"
            f" {int(match[0])}: restore it from the archive"
        )
    return int(match[0])


def _single_shot(dataset: ReIDDataset, shot: int) -> ReIDDataset:
    """The gallery cut down to the ``shot``-th image of each person, from 1, in the order of their names."""
    images: dict[int, list[Sample]] = {}
    for sample in dataset.gallery:
        images.setdefault(sample.identity, []).append(sample)
    gallery = tuple(own[shot - 1] for own in images.values() if len(own) >= shot)
    return dataclasses.replace(dataset, gallery=gallery)


def _ilids_version(folder: Path) -> str:
    """``dsr`` where all names are a plain number, ``fpr`` otherwise."""
    return "dsr" if all(Path(name).stem.isdecimal() for name in Pictures(folder).read) else "fpr"
