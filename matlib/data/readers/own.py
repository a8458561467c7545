"""One's own images as a data set: a folder, or a CSV file.

Identities and cameras may be numbers or any other names. Numbers stay as they are (cameras count from 0 in the
order of their numbers); as soon as one of them is no number, all are numbered from 0 in the order of the names. The
same number, written 7, 007 or 7.0, is the same name.
Identity -1 is junk and is left out, as in Market-1501.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import logging
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from matlib.data.formats import IMAGE_SUFFIXES
from matlib.data.readers.copies import same_pictures
from matlib.data.readers.folders import Pictures, list_images, listed
from matlib.data.readers.market import JUNK
from matlib.data.readers.options import one_of
from matlib.data.readers.own_names import own_name
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
_MARKET_IDENTITY = re.compile(r"(-1|\d{1,18})(?!\d)")
_FOLDER_NAME = re.compile(r"([^_]+)_.+")
_MEND = "rename it, list the images in a CSV file, or load with cameras='ignored' where the cameras are not known"

logger = logging.getLogger(__name__)


class _Row(NamedTuple):
    path: Path
    identity: str
    camera: str
    split: str
    where: str
    """What the user knows it by: its line, or its path."""


def read_folder(
    name: str, root: Path, other_roots: tuple[str, ...] = (), *, cameras: str = "named", title: str | None = None
) -> ReIDDataset:
    """One's own images in folders: ``<split>/<identity>/<camera>_<anything>.jpg``.

    The splits are ``train``, ``query`` and ``gallery``; there is ``train``, or ``query`` and ``gallery``, or all
    three. The identity is the name of a folder, and the camera is what stands before the first underscore of a file's
    name, as in ``query/alice/entrance_0017.jpg``. Images may also lie in the splits' folders themselves, with names
    that begin as Market-1501's do: ``query/0007_c2_0017.jpg`` is identity 7 from camera 2; there ``bounding_box_train``
    and ``bounding_box_test`` are accepted for ``train`` and ``gallery``.

    Parameters
    ----------
    name: the kind of set, with which its name begins.
    root: the folder with the splits.
    cameras: ``"named"``, or ``"ignored"``: all queries get camera 0 and all gallery images 1, as in the sets without
        camera labels, so that images from the query's own camera are ranked too; names need no camera then.
    title: what tables and records are to call it, after ``folder:``; None takes the folder's name and a digest.

    Where Market-1501's names lie in folders of people, ``query/0007/0007_c2_0017.jpg``, they are read as such.

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
    rows = [row for folder, split in found.items() for row in _folder_rows(root / folder, split, cameras)]
    _check_camera_names(root, rows)
    return _named(name, _dataset(root, root, rows, cameras), root, title)


def read_csv(
    name: str, root: Path, other_roots: tuple[str, ...] = (), *, cameras: str = "named", title: str | None = None
) -> ReIDDataset:
    """One's own images as a CSV file, with the columns ``path``, ``identity``, ``camera`` and ``split``.

    The columns may come in any order and among others. Paths are relative to the file's folder, or absolute; ``split``
    is ``train``, ``query`` or ``gallery``.

    Parameters
    ----------
    name: the kind of set, with which its name begins.
    root: the CSV file.
    cameras: as in ``read_folder``; the column ``camera`` is not looked at where they are ignored.
    title: as there; None takes the file's name and a digest.

    Raises MatlibError, with the line's number, for a missing column or value, a value too many, another split, a path
    that is not there, and a file that comes twice in a split; and, for the whole, where no query has a match: no
    identity of the queries is in the gallery, or only from the query's own camera; where a picture has two identities;
    and where a query is in the gallery too, other than from its own camera. That training pictures are tested is told
    in a warning. Copies of equal bytes are the same picture.
    """
    one_of("cameras", cameras, CAMERAS, name)
    if not root.is_file():
        raise MatlibError(f"{root} is not a file; name the CSV file with the columns {listed(COLUMNS)}")
    with root.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            rows = list(_csv_rows(root, reader, cameras))
        except (UnicodeDecodeError, csv.Error) as error:
            raise MatlibError(f"{root} is not a CSV file in UTF-8 ({error}, line {reader.line_num}): save it as one"
                              ) from None
    return _named(name, _dataset(root.parent, root, rows, cameras), root, title)


def _folder_rows(folder: Path, split: str, cameras: str) -> list[_Row]:
    people = [folder / name for name in sorted(Pictures(folder).folders)]
    images = list_images(folder, people)
    flat = [path for path in images if path.parent == folder]
    inner = [path for path in images if path.parent != folder]
    if flat and inner:
        raise MatlibError(
            f"{folder} holds images ({flat[0].name}) beside folders of people with images"
            f" ({inner[0].parent.name}/{inner[0].name}): which layout is meant? Put all into folders, or all beside"
            " each other with names like 0007_c2_0017.jpg"
        )
    labels = _labels_of_flat if flat else _labels_in_folder
    return [_Row(path, *labels(path, cameras), split, str(path.relative_to(folder.parent))) for path in images]


def _labels_of_flat(path: Path, cameras: str) -> tuple[str, str]:
    """Identity and camera of ``0007_c2_0017.jpg``; no camera where cameras are ignored."""
    if cameras == "ignored":
        return _match(_MARKET_IDENTITY, path, "<identity>, as 0007_0017.jpg", "rename it")[1], ""
    match = _match(_MARKET_NAME, path, "<identity>_c<camera>, as 0007_c2_0017.jpg", _MEND)
    return match[1], match[2]


def _labels_in_folder(path: Path, cameras: str) -> tuple[str, str]:
    """Identity and camera of ``alice/entrance_0017.jpg`` or ``0007/0007_c2_0017.jpg``."""
    person = path.parent.name
    if cameras == "ignored":
        return person, ""
    match = _MARKET_NAME.match(path.name)
    if match is None:
        return person, _match(_FOLDER_NAME, path, "a camera and an underscore, as entrance_0017.jpg", _MEND)[1]
    if not _same_number(match[1], person):
        raise MatlibError(
            f"{path} lies in the folder of {person!r} but has the name of identity {match[1]}, camera {match[2]}: put"
            f" it into a folder {match[1]}, or {_MEND}"
        )
    return person, match[2]


def _match(pattern: re.Pattern[str], path: Path, wanted: str, mend: str) -> re.Match[str]:
    match = pattern.match(path.name)
    if match is None:
        raise MatlibError(f"the name of {path} does not begin with {wanted}: {mend}")
    return match


def _same_number(one: str, other: str) -> bool:
    return one == other or (one.isdecimal() and other.isdecimal() and int(one) == int(other))


def _check_camera_names(root: Path, rows: Sequence[_Row]) -> None:
    """Refuse names that begin with their folder's, ``alice/alice_1.jpg``, and so with no camera.

    A single camera may well have the number of a person; that all have is no accident.
    """
    repeated = [row for row in rows if row.path.parent.name == row.identity and _same_number(row.camera, row.identity)]
    words = [row for row in repeated if not row.camera.isdecimal()]
    every = repeated if len(repeated) == len(rows) and len({row.identity for row in rows}) > 1 else []
    for row in words or every:
        if not _MARKET_NAME.match(row.path.name):
            raise MatlibError(
                f"the name of {row.path} begins with its folder's name in place of a camera and an underscore, as"
                f" entrance_0017.jpg: {_MEND}"
            )


def _csv_rows(file: Path, reader: Iterator[list[str]], cameras: str) -> Iterator[_Row]:
    needed = tuple(column for column in COLUMNS if cameras == "named" or column != "camera")
    header = _header(file, next(reader, []), needed)
    seen: dict[tuple[str, str], int] = {}
    for fields in reader:
        number = reader.line_num
        where = f"{file}, line {number}"
        if not fields:
            continue
        values = _values(where, header, fields)
        empty = [column for column in needed if not values.get(column)]
        if empty:
            raise MatlibError(f"{where}: no {listed(empty)} given; each line is to hold {listed(needed)}")
        path, split = file.parent / os.path.expanduser(values["path"]), values["split"]
        if split not in SPLITS:
            raise MatlibError(f"{where}: the split is one of {', '.join(SPLITS)}; got {split!r}")
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise MatlibError(f"{where}: {path.name!r} is not an image ({', '.join(IMAGE_SUFFIXES)})")
        if not os.path.isfile(path):  # which no name is too long for
            mend = ", and their folders are parted by /" if "\\" in values["path"] else ""
            raise MatlibError(
                f"{where}: there is no file {str(path)[:300]}; paths are relative to {file.parent}{mend}"
            )
        before = seen.setdefault((os.path.realpath(path), split), number)
        if before != number:
            raise MatlibError(
                f"{where}: {values['path']} was in {split} before, on line {before}; remove one of them"
            )
        camera = values["camera"] if cameras == "named" else ""
        yield _Row(path, values["identity"], camera, split, f"line {number} ({values['path']})")


def _header(file: Path, fields: Sequence[str], needed: Sequence[str]) -> list[str]:
    header = [column.strip() for column in fields]
    missing = [column for column in needed if column not in header]
    if missing:
        raise MatlibError(
            f"{file} has no column {listed(missing)}; its first line, with commas between, is to hold"
            f" {listed(needed)}, but holds {', '.join(header) or 'nothing'}"
        )
    twice = [column for column in header if column and header.count(column) > 1]
    if twice:
        raise MatlibError(f"{file}, line 1: there are two columns {twice[0]!r}; leave one, or give it another name")
    return header


def _values(where: str, header: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """A line's values by column. Nothing is dropped: an unquoted comma, or a quote too many, would shift or hide some.
    """
    unnamed = [value for column, value in zip_longest(header, fields, fillvalue="") if not column and value.strip()]
    if unnamed:
        raise MatlibError(
            f"{where}: it holds more than the first line has columns for, such as {unnamed[0].strip()[:200]!r}; put"
            ' a value that holds a comma between quotes, as "a, b.jpg"'
        )
    if any("\n" in value or "\r" in value for value in fields):
        raise MatlibError(f"{where}: a value goes over several lines; close its quotes on its own line")
    return {column: value.strip() for column, value in zip(header, fields)}


def _named(kind: str, dataset: ReIDDataset, source: Path, title: str | None) -> ReIDDataset:
    return dataclasses.replace(dataset, name=own_name(kind, dataset, source, title))


def _dataset(root: Path, source: Path, rows: Sequence[_Row], cameras: str) -> ReIDDataset:
    """A set without a name. root: the folder that paths are relative to; source: what the user named, for messages."""
    rows = [row for row in rows if _one_spelling(row.identity) != str(JUNK)]
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
        "\n".join(f"{row.identity}\0{row.camera}\0{cameras}" for row in sorted(rows)).encode("utf-8", "surrogateescape")
    ).hexdigest()
    if cameras == "ignored":
        query = tuple(sample._replace(camera=QUERY_CAMERA) for sample in query)
        gallery = tuple(sample._replace(camera=GALLERY_CAMERA) for sample in gallery)
    if query:
        _check_matches(root, query, gallery)
    _check_pictures(source, rows, identities, numbers if cameras == "named" else None)
    return ReIDDataset("", root, relabel(train), query, gallery, labels=labels)


def _numbers(names: Iterable[str], *, keep: bool) -> dict[str, int]:
    """A number for each name: its own, if ``keep`` and all are numbers, otherwise its place among the sorted names."""
    spelled = {name: _one_spelling(name) for name in names}
    known = set(spelled.values())
    if not all(re.fullmatch(r"\d{1,18}", name) for name in known):  # more digits are a name, not a number
        places = {name: place for place, name in enumerate(sorted(known))}
    elif keep:
        places = {name: int(name) for name in known}
    else:
        places = {name: place for place, name in enumerate(sorted(known, key=int))}
    return {name: places[spelling] for name, spelling in spelled.items()}


def _one_spelling(name: str) -> str:
    """One for all ways to write a name: ``7`` for 007, 7.0 and full-width digits, one ``ë`` for both of Unicode's."""
    name = unicodedata.normalize("NFKC", name)
    number = re.fullmatch(r"(-?0*\d{1,18})(?:\.0+)?", name, re.ASCII)
    return str(int(number[1])) if number else name


def _check_pictures(
    source: Path, rows: Sequence[_Row], identities: Mapping[str, int], cameras: Mapping[str, int] | None
) -> None:
    """Refuse pictures of two identities, and queries that would find themselves; warn of tested training pictures.

    The test leaves out what the query's own camera took, so itself too, but where ``cameras`` are ignored (None).
    """
    places: dict[Path, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.path, []).append(place)

    def finds(query: _Row, copy: _Row) -> bool:
        return copy.split == "gallery" and (cameras is None or cameras[copy.camera] != cameras[query.camera])

    found, trained = [], []
    for group in [*same_pictures(places), *([path] for path, same in places.items() if len(same) > 1)]:
        same = [rows[place] for place in sorted(place for path in group for place in places[path])]
        other = next((row for row in same if identities[row.identity] != identities[same[0].identity]), None)
        if other is not None:
            raise MatlibError(
                f"in {source} {same[0].where} and {other.where} are the same picture, of identity"
                f" {same[0].identity!r} and of {other.identity!r}: leave it to the one whom it shows"
            )
        found += _pairs(same, "query", finds)
        trained += _pairs(same, "train", lambda one, copy: copy.split != "train")
    if found:
        one, copy = found[0]
        raise MatlibError(
            f"{len({one for one, _ in found})} images of {source} are query and gallery, such as {one.path.name}:"
            f" {one.where} and {copy.where} are the same picture, so that queries would find themselves; take them out"
            " of one of the two"
        )
    if trained:
        one, copy = trained[0]
        logger.warning(
            "%s: %d training images are in the test too, such as %s, which is %s: what is trained on them scores too"
            " well; take them out of one of the two", source, len({one for one, _ in trained}), one.where, copy.where)


def _pairs(same: Sequence[_Row], split: str, meets: Callable[[_Row, _Row], bool]) -> list[tuple[_Row, _Row]]:
    """Each of the rows in a split with the first one that it meets."""
    pairs = [(one, next((copy for copy in same if meets(one, copy)), None)) for one in same if one.split == split]
    return [(one, copy) for one, copy in pairs if copy is not None]


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
