"""Finding a data set's folder, or its archive, below the folder that the user names, or saying why not.

A set is described by its ``Layout``: under which folder names it is met and what its folder must hold.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matlib.data.formats import IMAGE_SUFFIXES, OTHER_PICTURES
from matlib.data.readers.archives import ARCHIVE_SUFFIXES, is_archive, stem, unpacked
from matlib.errors import MatlibError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """How a set lies on disk."""

    title: str
    """What people call it."""
    roots: tuple[str, ...]
    """Names of its folder that are met, the first one is its authors'; case, spaces and ``-_.`` do not matter."""
    splits: tuple[tuple[str, ...], ...]
    """Alternatives of the folders and files it needs, the first one is its authors'."""
    refuse: Callable[[Path, tuple[str, ...]], str | None] = lambda folder, splits: None
    """Why a folder with these splits is not what is wanted, as in "it is version 1"; None if it is."""


class MissingDatasetError(MatlibError):
    """A set that is not there, or not complete."""


def locate(layout: Layout, root: Path, other_roots: Iterable[str] = ()) -> tuple[Path, tuple[str, ...]]:
    """The set's own folder, and which of its alternatives of content it has.

    Parameters
    ----------
    layout: the set.
    root: the folder that holds the sets, or the set's own folder, or its archive. Where it holds the archive
        only, the archive is unpacked (see ``matlib.data.readers.archives``).
    other_roots: folder names of other sets: ``root`` itself is not taken for the set when it has such a name.

    Raises MissingDatasetError, in one sentence that says what was looked for, what was found and where it
    belongs.
    """
    in_the_way = next((place for place in root.absolute().parents if place.is_file()), None)
    if in_the_way is not None:
        raise MissingDatasetError(f"the data folder {root} would lie below the file {in_the_way}; name another folder")
    if not root.exists():
        raise MissingDatasetError(
            f"the data folder {root} does not exist; make it and put {layout.title} into"
            f" {root / layout.roots[0]}"
        )
    if is_archive(root):
        return _locate_in_archives(layout, [root])
    if not root.is_dir():
        raise MissingDatasetError(
            f"{root} is neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)}); name the folder that holds"
            f" {layout.roots[0]}"
        )
    candidates = [
        folder
        for folder in _candidates(layout, root)
        if folder != root or _plain(root.absolute().name) not in map(_plain, other_roots)
    ]
    matches = _matches(layout, candidates)
    found = _accepted(layout, matches)
    if found is not None:
        return found
    archives = _archives(layout, root)
    if archives:
        return _locate_in_archives(layout, archives)
    raise MissingDatasetError(_why_not(layout, root, candidates, matches))


class Pictures:
    """What lies in a folder, as far as it is named like a picture; hidden files are left alone.

    Attributes
    ----------
    read: the names of the pictures that are read, sorted; lost: of links that lead nowhere; others: of pictures in
    formats that are not read; folders: of sub-folders, linked ones too.
    """

    def __init__(self, folder: Path) -> None:
        self.read: list[str] = []
        self.lost: list[str] = []
        self.others: list[str] = []
        self.folders: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                kind = self._kind(entry)
                if kind is not None:
                    kind.append(entry.name)
        self.read.sort()

    def _kind(self, entry: os.DirEntry[str]) -> list[str] | None:
        if entry.name.startswith("."):
            return None
        if entry.is_dir():
            return self.folders
        suffix = Path(entry.name).suffix.lower()
        if suffix in OTHER_PICTURES and entry.is_file():
            return self.others
        if suffix not in IMAGE_SUFFIXES:
            return None
        return self.read if entry.is_file() else self.lost if entry.is_symlink() else None


def list_images(folder: Path, below: Iterable[Path] = ()) -> list[Path]:
    """The pictures directly in a folder, and then in its sub-folders ``below``, sorted by name in each.

    One warning each tells the pictures that are passed over: links that lead nowhere, formats that are not read, and
    what lies deeper, or in other sub-folders.
    """
    places = [folder, *below]
    found = {place: Pictures(place) for place in places}
    _tell_unread(folder, found)
    unread = [place / name for place in places for name in found[place].folders if place / name not in found]
    deeper = _walk(unread, places)
    _tell(folder, [place / name for place in deeper for name in deeper[place].read], "pictures in deeper folders",
          "move them up to where they are looked for")
    return [place / name for place in places for name in found[place].read]


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and everywhere below it, sorted; linked folders are followed, each folder once.

    One warning each tells links that lead nowhere, and pictures in formats that are not read.
    """
    found = _walk([folder])
    _tell_unread(folder, found)
    return sorted(place / name for place in found for name in found[place].read)


def _walk(folders: Iterable[Path], seen: Iterable[Path] = ()) -> dict[Path, Pictures]:
    """All folders from these on downwards, without those that were ``seen``, by whichever way they are met."""
    found, left = {}, sorted(folders, reverse=True)
    visited = {_identity(folder) for folder in seen}
    while left:
        place = left.pop()
        if _identity(place) not in visited:
            visited.add(_identity(place))
            found[place] = Pictures(place)
            left += [place / name for name in sorted(found[place].folders, reverse=True)]
    return found


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _tell_unread(folder: Path, found: dict[Path, Pictures]) -> None:
    _tell(folder, [place / name for place in found for name in found[place].lost], "links that lead nowhere")
    _tell(folder, [place / name for place in found for name in found[place].others], "pictures in other formats",
          f"those that are read are {', '.join(IMAGE_SUFFIXES)}, so convert them")


def _tell(folder: Path, left_out: Sequence[Path], what: str, mend: str = "") -> None:
    if left_out:
        example = min(left_out).relative_to(folder).as_posix()
        logger.warning("%s: left out %d %s, such as %s%s", folder, len(left_out), what, example, mend and f"; {mend}")


def list_pictures(folder: Path, *, numbered: bool = False) -> list[Path]:
    """The images in a folder of a published set, each picture once, sorted by name.

    Copies of a picture in another format, which conversions leave behind (``001_01.tif`` and ``001_01.jpg``), are
    left out, and told in a warning; the lossless one stays. With ``numbered``, the images in the sub-folders whose
    names are numbers follow, in the order of the names.
    """
    below = [folder / name for name in sorted(Pictures(folder).folders) if name.isdecimal()] if numbered else []
    images = list_images(folder, below)
    first: dict[Path, Path] = {}
    for image in sorted(images, key=lambda path: IMAGE_SUFFIXES.index(path.suffix.lower())):
        first.setdefault(image.with_suffix(""), image)
    pictures = [image for image in images if first[image.with_suffix("")] == image]
    if len(pictures) < len(images):
        copy = next(image for image in images if image not in first.values())
        logger.warning(
            "%s: left out %d copies of images in another format, such as %s beside %s",
            folder,
            len(images) - len(pictures),
            copy.name,
            first[copy.with_suffix("")].name,
        )
    return pictures


def read_lines(file: Path) -> list[str]:
    """The lines of a list of images. Raises MatlibError where it is not text."""
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise MatlibError(f"{file} is not a list in UTF-8: fetch it again") from None


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _locate_in_archives(layout: Layout, archives: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    reason = None
    for archive in archives:
        folder = unpacked(archive)
        matches = _matches(layout, _candidates(layout, folder))
        found = _accepted(layout, matches)
        if found is not None:
            return found
        if matches:
            reason = (
                f"{layout.title} in {matches[0][0]} is not what was asked for: {layout.refuse(*matches[0])}"
            )
    raise MissingDatasetError(
        reason
        or f"{layout.title} is not complete: {listed(layout.splits[0])} are not all in {folder}, which holds"
        f" {_contents(folder)}; if {archive} is sound, delete {folder} and it is unpacked again"
    )


def _candidates(layout: Layout, root: Path) -> list[Path]:
    """Folders that may be the set's own: the root, one below, or two (``market1501/Market-1501``)."""
    below = _named(layout, root)
    return [root, *below, *(inner for folder in below for inner in _named(layout, folder))]


def _named(layout: Layout, folder: Path) -> list[Path]:
    """The sub-folders with a name of the set, in the order of the names."""
    order = {_plain(name): place for place, name in reversed(list(enumerate(layout.roots)))}
    found = [path for path in folder.iterdir() if _plain(path.name) in order and path.is_dir()]
    return sorted(found, key=lambda path: (order[_plain(path.name)], path.name))


def _archives(layout: Layout, root: Path) -> list[Path]:
    order = {_plain(name): place for place, name in reversed(list(enumerate(layout.roots)))}
    found = [path for path in root.iterdir() if is_archive(path) and _plain(stem(path)) in order]
    return sorted(found, key=lambda path: (order[_plain(stem(path))], path.name))


def _plain(name: str) -> str:
    """A folder's name as far as it matters: ``Market-1501`` and ``market1501`` are the same."""
    return re.sub(r"[-_. ]", "", name.lower())


def _matches(layout: Layout, candidates: Iterable[Path]) -> list[tuple[Path, tuple[str, ...]]]:
    return [
        (folder, splits)
        for folder in candidates
        for splits in layout.splits
        if all(_holds(folder, split) for split in splits)
    ]


def _accepted(
    layout: Layout, matches: Iterable[tuple[Path, tuple[str, ...]]]
) -> tuple[Path, tuple[str, ...]] | None:
    return next((match for match in matches if layout.refuse(*match) is None), None)


def _holds(folder: Path, split: str) -> bool:
    """Whether a folder holds a sub-folder or, if the name has a suffix, a file of this name."""
    path = folder / split
    return path.is_file() if path.suffix else path.is_dir()


def _why_not(
    layout: Layout, root: Path, candidates: Sequence[Path], matches: Sequence[tuple[Path, tuple[str, ...]]]
) -> str:
    if matches:
        folder, splits = matches[0]
        return f"{layout.title} in {folder} is not what was asked for: {layout.refuse(folder, splits)}"
    for folder in candidates:
        present = max(([s for s in splits if _holds(folder, s)] for splits in layout.splits), key=len)
        if present or folder != root:
            needed = next(splits for splits in layout.splits if set(present) <= set(splits))
            missing = [split for split in needed if split not in present]
            return (
                f"{layout.title} in {folder} is not complete: {listed(missing)} missing, it holds "
                f"{_contents(folder)}; unpack the whole set into that folder"
            )
    looked = ", ".join(str(root / name) for name in layout.roots)
    itself = (
        f"and in {root} itself"
        if root in candidates
        else f"but not in {root} itself, the name of another set"
    )
    return (
        f"{layout.title} is not in {root}: looked for {listed(layout.splits[0])} in {looked}, {itself}, and for the"
        f" archive {layout.roots[0]}.zip; {root} holds {_contents(root)}; put the set into"
        f" {root / layout.roots[0]}"
    )


def _contents(folder: Path, most: int = 8) -> str:
    """What a folder holds, in words."""
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    if not names:
        return "nothing"
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
