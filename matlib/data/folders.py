"""Finding a data set's folder, or its archive, below the folder that the user names, or saying why not.

A set is described by its ``Layout``: under which folder names it is published and which sub-folders it must
have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matlib.data.archives import ARCHIVE_SUFFIXES, is_archive, unpacked
from matlib.errors import MatlibError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Layout:
    """How a set lies on disk."""

    title: str
    """What people call it."""
    roots: tuple[str, ...]
    """Names of its folder that are met, the first one is its authors'."""
    splits: tuple[tuple[str, ...], ...]
    """Alternatives of the sub-folders it needs, the first one is its authors'."""


class MissingDatasetError(MatlibError):
    """A set that is not there, or not complete."""


def locate(layout: Layout, root: Path, other_roots: Iterable[str] = ()) -> tuple[Path, tuple[str, ...]]:
    """The set's own folder, and which of its alternatives of sub-folders it has.

    Parameters
    ----------
    layout: the set.
    root: the folder that holds the sets, or the set's own folder, or its archive. Where it holds the archive
        only, the archive is unpacked (see ``matlib.data.archives``).
    other_roots: folder names of other sets: ``root`` itself is not taken for the set when it has such a name.

    Raises MissingDatasetError, in one sentence that says what was looked for, what was found and where it
    belongs.
    """
    if not root.exists():
        raise MissingDatasetError(
            f"the data folder {root} does not exist; make it and put {layout.title} into"
            f" {root / layout.roots[0]}"
        )
    if is_archive(root):
        return _locate_in_archives(layout, [root])
    candidates = [
        folder
        for folder in _candidates(layout, root)
        if folder != root or root.absolute().name not in other_roots
    ]
    found = _first_match(layout, candidates)
    if found is not None:
        return found
    archives = _archives(layout, root)
    if archives:
        return _locate_in_archives(layout, archives)
    raise MissingDatasetError(_why_not(layout, root, candidates))


def _locate_in_archives(layout: Layout, archives: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    for archive in archives:
        folder = unpacked(archive)
        found = _first_match(layout, _candidates(layout, folder))
        if found is not None:
            return found
    needed = _listed(layout.splits[0])
    raise MissingDatasetError(
        f"{layout.title} is not complete: {needed} are not all in {folder}, which holds {_contents(folder)}; "
        f"if {archive} is sound, delete {folder} and it is unpacked again"
    )


def list_images(folder: Path, *, below: bool = False) -> list[Path]:
    """The image files in a folder, sorted by name, without hidden files and those of other kinds.

    With ``below``, those in its sub-folders follow, one level deep, folder by folder in the order of their names.
    """
    with os.scandir(folder) as entries:
        shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    images = [folder / entry.name for entry in shown
              if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
    if below:
        images += [image for entry in shown if entry.is_dir() for image in list_images(folder / entry.name)]
    return images


def _candidates(layout: Layout, root: Path) -> list[Path]:
    """Folders that may be the set's own: the root, one below, or two (``market1501/Market-1501``)."""
    below = [root / name for name in layout.roots]
    return [root, *below, *(folder / name for folder in below for name in layout.roots)]


def _archives(layout: Layout, root: Path) -> list[Path]:
    paths = (root / f"{name}{suffix}" for name in layout.roots for suffix in ARCHIVE_SUFFIXES)
    return [path for path in paths if path.is_file()]


def _first_match(layout: Layout, candidates: Iterable[Path]) -> tuple[Path, tuple[str, ...]] | None:
    for folder in candidates:
        for splits in layout.splits:
            if all((folder / split).is_dir() for split in splits):
                return folder, splits
    return None


def _why_not(layout: Layout, root: Path, candidates: Sequence[Path]) -> str:
    needed = layout.splits[0]
    for folder in candidates:
        present = [split for split in needed if (folder / split).is_dir()]
        if present or (folder != root and folder.is_dir()):
            missing = [split for split in needed if split not in present]
            return (
                f"{layout.title} in {folder} is not complete: {_listed(missing)} missing, it holds "
                f"{_contents(folder)}; unpack the whole set into that folder"
            )
    looked = ", ".join(str(root / name) for name in layout.roots)
    itself = (
        f"and in {root} itself"
        if root in candidates
        else f"but not in {root} itself, the name of another set"
    )
    return (
        f"{layout.title} is not in {root}: looked for {_listed(needed)} in {looked}, {itself}, and for the"
        f" archive {layout.roots[0]}.zip; {root} holds {_contents(root)}; put the set into"
        f" {root / layout.roots[0]}"
    )


def _contents(folder: Path, most: int = 8) -> str:
    """What a folder holds, in words."""
    if not folder.is_dir():
        return "nothing: it is not a folder"
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    if not names:
        return "nothing"
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
