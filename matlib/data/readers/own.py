"""One's own images as a data set: a folder, or a CSV file.

Identities and cameras may be numbers or any other names. Numbers stay as they are (cameras count from 0 in the
order of their numbers); as soon as one of them is no number, all are numbered from 0 in the order of the names.
Identity -1 is junk and is left out, as in Market-1501.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from matlib.data.formats import IMAGE_SUFFIXES
from matlib.data.readers.folders import Pictures, list_images, listed
from matlib.data.readers.market import JUNK
from matlib.data.readers.options import one_of
from matlib.data.readers.pairs import GALLERY_CAMERA, QUERY_CAMERA
from matlib.data.samples import ReIDDataset, Sample, relabel
from matlib.errors import MatlibError

SPLITS = ("train", "query", "gallery")
FOLDERS = {
    "train": "train",
    "query": "query",
    "gallery": "gallery",
    "bounding_box_train": "train",
    "bounding_box_test": "gallery",
}  # as Market-1501 calls them
COLUMNS = ("path", "identity", "camera", "split")
CAMERAS = ("named", "ignored")

_MARKET_NAME = re.compile(r"(-1|\d{1,18})_c(\d{1,9})")
_FOLDER_NAME = re.compile(r"([^_]+)_.+")

logger = logging.getLogger(__name__)


class _Row(NamedTuple):
    path: Path
    identity: str
    camera: str
    split: str


def read_folder(
    name: str, root: Path, other_roots: tuple[str, ...] = (), *, cameras: str = "named"
) -> ReIDDataset:
    """One's own images in folders: ``<split>/<identity>/<camera>_<anything>.jpg``.

    The splits are ``train``, ``query`` and ``gallery``; there is ``train``, or ``query`` and ``gallery``, or all
    three. The identity is the name of a folder, and the camera is what stands before the first underscore of a file's
    name, as in ``query/alice/entrance_0017.jpg``. Images may also lie in the splits' folders themselves, with names
    that begin as Market-1501's do: ``query/0007_c2_0017.jpg`` is identity 7 from camera 2; there ``bounding_box_train``
    and ``bounding_box_test`` are accepted for ``train`` and ``gallery``.

    Parameters
    ----------
    name: what the data set is called.
    root: the folder with the splits.
    cameras: ``"named"``, or ``"ignored"``: all queries get camera 0 and all gallery images 1, as in the sets without
        camera labels, so that images from the query's own camera are ranked too.

    Raises MatlibError for a missing folder, a name without a camera, or labels that allow no test (see ``read_csv``).
    """
    one_of("cameras", cameras, CAMERAS, name)
    if not root.is_dir():
        raise MatlibError(f"{root} is not a folder; name the one that holds {listed(SPLITS)}")
    found = {folder: split for folder, split in FOLDERS.items() if (root / folder).is_dir()}
    if not found:
        raise MatlibError(
            f"{root} holds none of the folders {listed(SPLITS)}; put images as"
            " <split>/<identity>/<camera>_<anything>.jpg, such as query/alice/entrance_0017.jpg"
        )
    if len(set(found.values())) < len(found):
        raise MatlibError(
            f"{root} holds the same split under two names ({listed(list(found))}): remove one of them"
        )
    rows = [row for folder, split in found.items() for row in _folder_rows(root / folder, split)]
    return _dataset(name, root, rows, cameras)


def read_csv(
    name: str, root: Path, other_roots: tuple[str, ...] = (), *, cameras: str = "named"
) -> ReIDDataset:
    """One's own images as a CSV file, with the columns ``path``, ``identity``, ``camera`` and ``split``.

    The columns may come in any order and among others. Paths are relative to the file's folder, or absolute; ``split``
    is ``train``, ``query`` or ``gallery``.

    Parameters
    ----------
    name: what the data set is called.
    root: the CSV file.
    cameras: as in ``read_folder``.

    Raises MatlibError, with the line's number, for a missing column or value, another split, a path that is not there,
    and a path that comes twice in a split; and, for the whole, where no query has a match: no identity of the queries
    is in the gallery, or only from the query's own camera.
    """
    one_of("cameras", cameras, CAMERAS, name)
    if not root.is_file():
        raise MatlibError(f"{root} is not a file; name the CSV file with the columns {listed(COLUMNS)}")
    try:
        with root.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_csv_rows(root, csv.DictReader(file, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MatlibError(f"{root} is not a CSV file in UTF-8 ({error}): save it as one") from None
    return _dataset(name, root.parent, rows, cameras)


def _folder_rows(folder: Path, split: str) -> list[_Row]:
    people = [folder / name for name in sorted(Pictures(folder).folders)]
    images = list_images(folder, people)
    flat = [path for path in images if path.parent == folder]
    inner = [(path, path.parent.name) for path in images if path.parent != folder]
    if flat and inner:
        raise MatlibError(
            f"{folder} holds images ({flat[0].name}) beside folders of people with images"
            f" ({inner[0][1]}/{inner[0][0].name}): which layout is meant? Put all into folders, or all beside"
            " each other with names like 0007_c2_0017.jpg"
        )
    if flat:
        return [
            _Row(path, *_fields(_MARKET_NAME, path, "<identity>_c<camera>, as 0007_c2_0017.jpg"), split)
            for path in flat
        ]
    return [
        _Row(
            path,
            person,
            *_fields(_FOLDER_NAME, path, "a camera and an underscore, as entrance_0017.jpg"),
            split,
        )
        for path, person in inner
    ]


def _fields(pattern: re.Pattern[str], path: Path, wanted: str) -> tuple[str, ...]:
    match = pattern.match(path.name)
    if match is None:
        raise MatlibError(
            f"the name of {path} does not begin with {wanted}: rename it, or list the images in a CSV file"
        )
    return match.groups()


def _csv_rows(file: Path, reader: csv.DictReader) -> Iterable[_Row]:
    header = [column.strip() for column in reader.fieldnames or ()]
    reader.fieldnames = header
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise MatlibError(
            f"{file} has no column {listed(missing)}; its first line, with commas between, is to hold"
            f" {listed(COLUMNS)}, but holds {', '.join(header) or 'nothing'}"
        )
    seen: dict[tuple[Path, str], int] = {}
    for record in reader:
        where = f"{file}, line {reader.line_num}"
        values = {column: (record[column] or "").strip() for column in COLUMNS}
        empty = [column for column, value in values.items() if not value]
        if empty:
            raise MatlibError(f"{where}: no {listed(empty)} given; each line is to hold {listed(COLUMNS)}")
        row = _Row(
            file.parent / os.path.expanduser(values["path"]),
            values["identity"],
            values["camera"],
            values["split"],
        )
        if row.split not in SPLITS:
            raise MatlibError(f"{where}: the split is one of {', '.join(SPLITS)}; got {row.split!r}")
        if row.path.suffix.lower() not in IMAGE_SUFFIXES:
            raise MatlibError(f"{where}: {row.path.name!r} is not an image ({', '.join(IMAGE_SUFFIXES)})")
        if not os.path.isfile(row.path):  # which no name is too long for
            raise MatlibError(f"{where}: there is no file {row.path}; paths are relative to {file.parent}")
        before = seen.setdefault((row.path, row.split), reader.line_num)
        if before != reader.line_num:
            raise MatlibError(
                f"{where}: {values['path']} was in {row.split} before, on line {before}; remove one of them"
            )
        yield row


def _dataset(name: str, root: Path, rows: Sequence[_Row], cameras: str) -> ReIDDataset:
    rows = [row for row in rows if row.identity != str(JUNK)]
    identities = _numbers((row.identity for row in rows), keep=True)
    numbers = _numbers((row.camera for row in rows), keep=False)
    lists: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for row in rows:
        lists[row.split].append(Sample(row.path, identities[row.identity], numbers[row.camera]))
    train, query, gallery = (tuple(sorted(lists[split])) for split in SPLITS)
    if not rows:
        raise MatlibError(f"{root} has no images in {listed(SPLITS)} ({', '.join(IMAGE_SUFFIXES)})")
    if bool(query) != bool(gallery):
        there, missing = ("query", "gallery") if query else ("gallery", "query")
        raise MatlibError(
            f"{root} has {there} images but no {missing} images; a test needs both, a training neither"
        )
    labels = hashlib.sha256(
        "\n".join(f"{row.identity}\0{row.camera}\0{cameras}" for row in sorted(rows)).encode()
    ).hexdigest()
    if cameras == "ignored":
        _check_apart(root, query, gallery)
        query = tuple(sample._replace(camera=QUERY_CAMERA) for sample in query)
        gallery = tuple(sample._replace(camera=GALLERY_CAMERA) for sample in gallery)
    if query:
        _check_matches(root, query, gallery)
    return ReIDDataset(name, root, relabel(train), query, gallery, labels=labels)


def _numbers(names: Iterable[str], *, keep: bool) -> dict[str, int]:
    """A number for each name: its own, if ``keep`` and all are numbers, otherwise its place among the sorted names."""
    names = set(names)
    if not all(re.fullmatch(r"\d{1,18}", name, re.ASCII) for name in names):  # more digits are a name, not a number
        return {name: place for place, name in enumerate(sorted(names))}
    if keep:
        return {name: int(name) for name in names}
    places = {number: place for place, number in enumerate(sorted({int(name) for name in names}))}
    return {name: places[int(name)] for name in names}


def _check_apart(root: Path, query: Sequence[Sample], gallery: Sequence[Sample]) -> None:
    both = sorted({sample.path for sample in query} & {sample.path for sample in gallery})
    if both:
        raise MatlibError(
            f"{len(both)} images of {root} are query and gallery, such as {both[0].name}: with cameras ignored they"
            " would find themselves; take them out of one of the two"
        )


def _check_matches(root: Path, query: Sequence[Sample], gallery: Sequence[Sample]) -> None:
    """Refuse a test in which no query has a match; warn of queries that have none."""
    people = {sample.identity for sample in gallery}
    places: dict[int, set[int]] = {}
    for sample in gallery:
        places.setdefault(sample.identity, set()).add(sample.camera)
    alone = [sample for sample in query if not places.get(sample.identity, set()) - {sample.camera}]
    if len(alone) < len(query):
        if alone:
            logger.warning(
                "%s: %d of %d queries have no match from another camera, such as %s; they are left out of the numbers",
                root,
                len(alone),
                len(query),
                alone[0].path.name,
            )
        return
    if not people & {sample.identity for sample in query}:
        raise MatlibError(
            f"no identity of the queries of {root} is in its gallery: identities are compared by name, so write"
            " the same person in the same way in both"
        )
    rule = (
        "the test leaves out gallery images from the query's own camera, which are too easy, so that no query has"
        " a match"
    )
    mend = "name each image's own camera, or load with cameras='ignored' if there is truly one or it is not known"
    if len({sample.camera for sample in (*query, *gallery)}) == 1:
        raise MatlibError(f"all query and gallery images of {root} have one camera: {rule}; {mend}")
    raise MatlibError(f"in {root} no query's identity is in the gallery from another camera: {rule}; {mend}")
