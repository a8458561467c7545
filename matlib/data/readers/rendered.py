"""Reading Annyville: each of its sets lies as the real set that it stands in for, and that set's reader reads it.

Beside each set's folder is a manifest, written last: a folder without its manifest is one whose rendering was
interrupted.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import logging
from collections.abc import Callable
from pathlib import Path

from matlib.data.formats import IMAGE_SUFFIXES
from matlib.data.readers.folders import MissingDatasetError
from matlib.data.readers.options import one_of
from matlib.data.samples import ReIDDataset, everyone_asks
from matlib.references import REFERENCES

TRAINED_ON = "annyville-holistic"
ASKING = ("queries", "everyone")
RECIPE = ("generator", "protocol", "preset", "seed", "camera_spread", "likeness")

logger = logging.getLogger(__name__)


def annyville_reader(read_twin: Callable[..., ReIDDataset]) -> Callable[..., ReIDDataset]:
    """A reader of the twin of a real set, with the options of the real set's reader ``read_twin``, and ``asking``:
    ``queries``, as published, or ``everyone``, which makes a query of each image of a query's person."""
    own = inspect.Parameter("asking", inspect.Parameter.KEYWORD_ONLY, default=ASKING[0])

    def read(name: str, root: Path, other_roots: tuple[str, ...] = (), asking: object = ASKING[0],
             **options: object) -> ReIDDataset:
        one_of(own.name, asking, ASKING, name)
        folder, fingerprint = find_annyville(name, root)
        dataset = read_twin(name, folder, other_roots, **options)
        if asking == "everyone":
            dataset = everyone_asks(dataset)
        trained_on = None if dataset.train else TRAINED_ON
        recipe = read_recipe(folder)
        _tell_other_pixels(folder, recipe, fingerprint)
        return dataclasses.replace(dataset, rendered=fingerprint, recipe=recipe, trained_on=trained_on)

    twin = inspect.signature(read_twin)
    read.__signature__ = twin.replace(parameters=[*twin.parameters.values(), own])
    return read


def find_annyville(name: str, root: Path) -> tuple[Path, str]:
    """Folder and fingerprint of a set: its folder is the one of this name in ``root``, or ``root`` if of this name.

    Raises MissingDatasetError, with the command that renders the set, where it is missing or unfinished.
    """
    folder = root if root.name == name and root.is_dir() and not (root / name).exists() else root / name
    manifest = folder.parent / f"{name}.json"
    command = (
        f"python -m matlib.annyville --preset small --protocol {name.removeprefix('annyville-')} --out"
        f" {folder.parent}"
    )
    if not folder.is_dir():
        raise MissingDatasetError(
            f"{name} is not in {root}: there is no folder {folder}; render it with `{command}`"
        )
    try:
        written = json.loads(manifest.read_text(encoding="utf-8"))
        fingerprint, counts = str(written["fingerprint"]), dict(written["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        if (folder / ".unfinished").is_dir() and not manifest.exists():
            raise MissingDatasetError(
                f"{name} in {folder} is unfinished: run the same command again, it resumes, such as `{command}`"
            ) from None
        raise MissingDatasetError(
            f"{name} in {folder} has no whole manifest {manifest}: delete both and render the set again, such as with"
            f" `{command}`"
        ) from None
    found = {
        split: sum(path.suffix.lower() in IMAGE_SUFFIXES for path in (folder / split).rglob("*"))
        for split in counts
    }
    if found != counts:
        raise MissingDatasetError(
            f"{name} in {folder} has lost or gained images since it was rendered (it has {found}, its"
            f" manifest says {counts}); delete {folder} and {manifest} and run `{command}`"
        )
    return folder, fingerprint


def read_recipe(folder: Path) -> str | None:
    """All that a rendered set's pictures depend on besides the processor, in one line; None where its manifest does not
    say all of it."""
    written = json.loads(folder.with_name(f"{folder.name}.json").read_text(encoding="utf-8"))
    return json.dumps({key: written[key] for key in RECIPE}) if set(RECIPE) <= set(written) else None


@functools.cache
def _tell_other_pixels(folder: Path, recipe: str | None, pixels: str) -> None:
    reference = REFERENCES.get(recipe or "")
    if reference not in (None, pixels):
        logger.info("%s is the set of the reference records; its pixels are rounded otherwise in places (%s for %s), "
                    "as another processor does", folder, pixels[:8], reference[:8])
