"""Which picture files are the same picture: one file under several paths, or copies of equal bytes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from matlib.data.samples import ReIDDataset, Sample

_PROBE = 4096

logger = logging.getLogger(__name__)


def same_pictures(paths: Iterable[Path]) -> list[list[Path]]:
    """The paths in groups, each of one picture; paths that no other path equals are in none.

    Files of one size are looked into, first at 4 KiB in their middle, where even pictures of one camera differ; whole
    files are read only where these are equal. Empty files are no pictures, and equal none.

    Raises OSError for a file that cannot be read.
    """
    spellings: dict[tuple[int, int], list[Path]] = {}
    sizes: dict[Path, int] = {}
    for path in dict.fromkeys(paths):
        status = path.stat()
        file = spellings.setdefault((status.st_dev, status.st_ino), [])
        file.append(path)
        sizes[file[0]] = status.st_size
    equal = _parted([list(filter(sizes.get, sizes))], sizes.__getitem__)
    equal = _parted(equal, lambda path: _middle(path, sizes[path]))
    equal = _parted(equal, _content)
    files = {group[0]: group for group in spellings.values()}
    groups = [[path for first in group for path in files.pop(first)] for group in equal]
    return groups + [group for group in files.values() if len(group) > 1]


def tell_copies(dataset: ReIDDataset) -> None:
    """Warn where a published set is not what it should be: queries among their own matches, or training images tested.

    Only pictures of one person are compared, which reads few files. A gallery image of the query's own camera is left
    out of the test, so that it may be the query itself.
    """
    both = {sample.path for sample in dataset.train} & {s.path for s in (*dataset.query, *dataset.gallery)}
    if both:
        logger.warning("%s: %d images are in the lists of training and test, such as %s; fetch the lists again",
                       dataset.root, len(both), min(both).name)
    found = [pair for people in _people(dataset) for pair in _found_by_themselves(people)]
    if found:
        query, copy = min(found)
        logger.warning("%s: %d queries are in the gallery too, from another camera, such as %s, which is %s: they find "
                       "themselves; unpack the set again", dataset.root, len(found), query.path, copy.path)


def _people(dataset: ReIDDataset) -> Iterable[tuple[list[Sample], list[Sample]]]:
    """The query and the gallery images of each person who is asked for."""
    people: dict[int, tuple[list[Sample], list[Sample]]] = {sample.identity: ([], []) for sample in dataset.query}
    for side, samples in enumerate((dataset.query, dataset.gallery)):
        for sample in samples:
            if sample.identity in people:
                people[sample.identity][side].append(sample)
    return people.values()


def _found_by_themselves(person: tuple[list[Sample], list[Sample]]) -> Iterable[tuple[Sample, Sample]]:
    query, gallery = person
    for group in same_pictures(sample.path for sample in (*query, *gallery)):
        here = [sample for sample in gallery if sample.path in group]
        for sample in query:
            other = next((s for s in here if s.camera != sample.camera), None)
            if sample.path in group and other is not None:
                yield sample, other


def _parted(groups: Iterable[list[Path]], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    """Each group parted by a key, without the paths that are alone then."""
    parted = []
    for group in groups:
        parts: dict[Hashable, list[Path]] = {}
        for path in group:
            parts.setdefault(key(path), []).append(path)
        parted += [part for part in parts.values() if len(part) > 1]
    return parted


def _middle(path: Path, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(max(0, size - _PROBE) // 2)
        return hashlib.blake2b(file.read(_PROBE)).digest()


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
