"""The ladder of difficulty of a data set: what chance, colour, a plain network, and one that is told the parts get.

Colour needs no training and is measured on the spot (``matlib.evaluation.colour``); the networks' rungs are read from
the records of Table 1's baseline and of the same network pooled over the true visible parts.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from matlib.annyville import generate
from matlib.data import ReIDDataset, fingerprint, load_dataset
from matlib.evaluation.chance import expected_metrics
from matlib.evaluation.colour import rank_by_colour
from matlib.tables import spread

#: From the lowest to the highest that is expected: a rung's name, and what the book calls it.
RUNGS = {
    "chance": "chance",
    "whole image": "colour of the whole image",
    "centre": "colour of the image's centre",
    "true parts": "colour of the true visible parts",
    "baseline": "plain CNN",
    "true_parts": "CNN pooled over the true visible parts",
}
METRICS = {"rank1": "R-1", "mAP": "mAP"}


def rungs_without_learning(data: ReIDDataset) -> pd.DataFrame:
    """Chance and colour: one line a rung, ``name``, ``rank1`` and ``mAP`` in percent."""
    chance = expected_metrics(data.query, data.gallery)
    lines = [{"name": "chance", **{metric: chance[metric] for metric in METRICS}}]
    lines += [{"name": name, "rank1": m.rank(1), "mAP": m.mAP} for name, m in rank_by_colour(data).items()]
    frame = pd.DataFrame(lines)
    frame[list(METRICS)] *= 100
    return frame


def learned_rungs(data: ReIDDataset, records: pd.DataFrame) -> pd.DataFrame:
    """The records (``tables.load_records``) of runs that were trained and tested on these very images, of the rungs."""
    own = (records["fingerprint"] == fingerprint(data)) & (records["tested_on"] == records["trained_on"])
    return records[own & records["name"].isin(list(RUNGS))]


def ladder_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a rung: the mean over its runs, with the deviation where there are several, and their number."""
    def line(own: pd.DataFrame) -> dict[str, object]:
        measured = {title: spread(own[metric]) for metric, title in METRICS.items()}
        return measured | {"n": len(own)}

    return pd.DataFrame({label: line(frame[frame["name"] == name]) for name, label in RUNGS.items()}).T


def everyone_asks(data: ReIDDataset) -> ReIDDataset:
    """The same test with every image of a query's person as a query, and all images as the gallery.

    For small sets, whose few queries would say little. (An image is no match of itself: its own camera's are left out.)
    """
    images = (*data.query, *data.gallery)
    asked = {sample.identity for sample in data.query}
    return dataclasses.replace(data, query=tuple(s for s in images if s.identity in asked), gallery=images)


def colour_by_camera_spread(spreads: Sequence[float | int], seeds: Sequence[int]) -> pd.DataFrame:
    """The rungs without learning of tiny sets, rendered now, whose cameras are ``spreads`` times as different as usual.

    One line a spread, seed and rung: ``spread``, ``seed``, ``name``, ``rank1``, ``mAP`` (percent, see
    ``everyone_asks``). About five seconds a set, on one core.
    """
    frames = []
    for factor in spreads:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                generate("occluded", "tiny", seed, Path(folder), workers=1, camera_spread=float(factor))
                rungs = rungs_without_learning(everyone_asks(load_dataset("annyville-occluded", folder)))
            frames.append(rungs.assign(spread=factor, seed=seed))
    return pd.concat(frames, ignore_index=True)
