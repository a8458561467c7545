"""Reading Annyville: Market-1501's layout, with a manifest beside each set's folder that is written last.

A folder without its manifest is one whose rendering was interrupted.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from matlib.data.folders import Layout, MissingDatasetError, list_images
from matlib.data.market import SPLITS, read_market_layout
from matlib.data.samples import ReIDDataset

CAMERAS = 8


def read_annyville(name: str, root: Path, other_roots: tuple[str, ...] = ()) -> ReIDDataset:
    """Read ``annyville-<protocol>`` from the folder of this name in ``root``, or from ``root`` of this name.

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
        raise MissingDatasetError(
            f"{name} in {folder} is unfinished (its manifest {manifest} is not there or not whole): run the"
            f" same command again, it resumes, such as `{command}`"
        ) from None
    found = {split: len(list_images(folder / split)) if (folder / split).is_dir() else 0 for split in SPLITS}
    if found != counts:
        raise MissingDatasetError(
            f"{name} in {folder} has lost or gained images since it was rendered (it has {found}, its"
            f" manifest says {counts}); delete {folder} and {manifest} and run `{command}`"
        )
    dataset = read_market_layout(name, Layout(name, (name,), (SPLITS,)), folder, CAMERAS, other_roots)
    return dataclasses.replace(dataset, rendered=fingerprint)
