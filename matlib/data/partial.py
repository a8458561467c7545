"""The two small sets of partly visible people: test images only, without camera labels.

Having no cameras, their queries are given camera 0 and their galleries camera 1, so that the Market protocol,
which drops gallery images of the query's identity *and* camera, drops nothing. Methods tested on them are
usually trained on Market-1501's training images; ``train`` is empty here.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from matlib.data.folders import Layout, MissingDatasetError, list_images, locate
from matlib.data.samples import ReIDDataset, Sample
from matlib.errors import MatlibError

QUERY_CAMERA, GALLERY_CAMERA = 0, 1

PARTIAL_REID_QUERIES = ("partial", "occluded")

PARTIAL_REID_ROOTS = ("Partial-REID_Dataset", "Partial_REID", "Partial-REID", "partial_reid", "PartialREID")
PARTIAL_ILIDS_ROOTS = ("Partial_iLIDS", "Partial-iLIDS", "partial_ilids", "PartialiLIDS")

_IDENTITY = re.compile(r"\d+")

logger = logging.getLogger(__name__)


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
    return _read_pairs(name, Layout("Partial-REID", PARTIAL_REID_ROOTS, splits), root, other_roots)


def read_partial_ilids(name: str, root: Path, other_roots: tuple[str, ...] = ()) -> ReIDDataset:
    """Partial-iLIDS (as in He et al., CVPR 2018): 119 people, one cropped query and one whole image each.

    The authors' folders are ``Probe`` and ``Gallery``; copies that call them ``partial_body_images`` and
    ``whole_body_images`` are read as well. The identity is the number that a file name begins with.

    Raises MatlibError for a missing or incomplete set.
    """
    splits = (("Probe", "Gallery"), ("partial_body_images", "whole_body_images"))
    return _read_pairs(name, Layout("Partial-iLIDS", PARTIAL_ILIDS_ROOTS, splits), root, other_roots)


def _read_pairs(name: str, layout: Layout, root: Path, other_roots: tuple[str, ...]) -> ReIDDataset:
    folder, (query, gallery) = locate(layout, root, other_roots)
    return ReIDDataset(
        name=name,
        root=folder,
        train=(),
        query=_read_folder(folder / query, layout.title, QUERY_CAMERA),
        gallery=_read_folder(folder / gallery, layout.title, GALLERY_CAMERA),
    )


def _read_folder(folder: Path, title: str, camera: int) -> tuple[Sample, ...]:
    """The images whose names begin with a number, which is the identity (``012_003.jpg``, ``7.jpg``)."""
    named = [(path, _IDENTITY.match(path.name)) for path in list_images(folder)]
    samples = tuple(Sample(path, int(match[0]), camera) for path, match in named if match)
    if not samples:
        raise MissingDatasetError(
            f"{title} is not complete: {folder} holds no image whose name begins with a number; "
            f"unpack the whole set into {folder.parent}"
        )
    if len(samples) < len(named):
        stranger = next(path.name for path, match in named if not match)
        logger.warning(
            "%s: left out %d images whose names do not begin with a number, such as %s",
            folder,
            len(named) - len(samples),
            stranger,
        )
    return samples
