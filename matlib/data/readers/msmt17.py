"""MSMT17: pictures in a folder for each person, and four lists that say which of them are used for what."""

from __future__ import annotations

import os
import re
from pathlib import Path

from matlib.data.readers.folders import Layout, locate, read_lines
from matlib.data.readers.market import SPLITS, read_market_layout
from matlib.data.readers.options import one_of
from matlib.data.samples import ReIDDataset, Sample, relabel
from matlib.errors import MatlibError

CAMERAS = 15
TRAIN, VALIDATION, QUERY, GALLERY = (f"list_{split}.txt" for split in ("train", "val", "query", "gallery"))
VERSIONS = {
    "V1": ("train", "test", TRAIN, VALIDATION, QUERY, GALLERY),
    "V2": ("mask_train_v2", "mask_test_v2", TRAIN, VALIDATION, QUERY, GALLERY),
}
ROOTS = ("MSMT17_V1", "MSMT17_V2", "MSMT17")

_LINE = re.compile(r"(?P<path>.+\S)\s+(?P<identity>\d+)")
_NAME = re.compile(r"\d+_\d+_(\d+)_")


def read_msmt17(
    name: str,
    root: Path,
    other_roots: tuple[str, ...] = (),
    *,
    validation: bool = True,
    version: str | None = None,
) -> ReIDDataset:
    """MSMT17 (Wei et al., CVPR 2018), 15 cameras.

    The camera is the third number of an image's name; the identity is the one that the list gives. A copy in
    Market-1501's layout, in which some projects keep it, is read too.

    Parameters
    ----------
    name, root, other_roots: the set and where to look for it, as in ``matlib.data.readers.folders.locate``.
    validation: whether the 2,373 images of ``list_val.txt`` train too. With them there are 32,621 training images,
        the number that the authors and the paper give, and which TransReID, SOLIDER, CLIP-ReID and light-reid
        train on; so this is the default. Without them, 30,248, as in torchreid and FastReID, which print 32,621
        all the same. The 1,041 people are the same.
    version: ``"V1"``, or ``"V2"``, in which faces are masked. None reads what is there, V1 where both are, as
        torchreid and FastReID do.

    Raises MatlibError for a missing or incomplete set, a list with a line of another kind, or listed images that
    are not there.
    """
    one_of("validation", validation, (True, False), name)
    one_of("version", version, (None, *VERSIONS), name)
    wanted = tuple(VERSIONS.values()) if version is None else (VERSIONS[version],)
    layout = Layout("MSMT17" if version is None else f"MSMT17 {version}", ROOTS, (*wanted, SPLITS))
    folder, splits = locate(layout, root, other_roots)
    if splits == SPLITS:
        if not validation or version is not None:
            raise MatlibError(
                f"{folder} holds MSMT17 in Market-1501's layout, which does not tell its validation images nor its"
                f" version: put the authors' folders and lists into {root / ROOTS[0]}, or leave these options out"
            )
        return read_market_layout(name, layout, folder, CAMERAS)
    train = _read_list(folder / TRAIN, folder / splits[0])
    if validation:
        train = tuple(sorted((*train, *_read_list(folder / VALIDATION, folder / splits[0]))))
    query, gallery = (_read_list(folder / file, folder / splits[1]) for file in (QUERY, GALLERY))
    return ReIDDataset(name=name, root=folder, train=relabel(train), query=query, gallery=gallery)


def _read_list(file: Path, images: Path) -> tuple[Sample, ...]:
    """The samples that a list names, sorted by path."""
    samples = {}
    for number, line in enumerate(read_lines(file), start=1):
        if line.strip():
            sample = _read_line(line, f"{file}, line {number}", images)
            if sample.path in samples:
                raise MatlibError(
                    f"{file}, line {number}, names {sample.path.name} again: fetch the list again"
                )
            samples[sample.path] = sample
    there = {
        folder: set(os.listdir(folder)) for folder in {path.parent for path in samples} if folder.is_dir()
    }
    missing = sorted(path for path in samples if path.name not in there.get(path.parent, ()))
    if missing or not samples:
        raise MatlibError(
            f"MSMT17 is not complete: {len(missing)} of the {len(samples)} images that {file} names are not there"
            + (f", such as {missing[0]}" if missing else "")
            + f"; unpack the whole set into {file.parent}"
        )
    return tuple(sorted(samples.values()))


def _read_line(line: str, where: str, images: Path) -> Sample:
    match = _LINE.fullmatch(line.strip())
    path = Path(match["path"]) if match else Path()
    name = _NAME.match(path.name)
    if name is None or path.is_absolute() or ".." in path.parts:
        raise MatlibError(
            f"{where}, is not an image and an identity, as in 0000/0000_000_01_0303morning_0008_0.jpg 0, but {line!r}:"
            " fetch the list again"
        )
    camera = int(name[1])
    if not 1 <= camera <= CAMERAS:
        raise MatlibError(
            f"{where}, is of camera {camera}, but MSMT17 has cameras 1 to {CAMERAS}: is it another data set?"
        )
    return Sample(images / path, int(match["identity"]), camera - 1)
