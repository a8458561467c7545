"""The ladder of difficulty of a data set: what chance, colour, a plain network, and one that is told the parts get.

    python -m matlib.difficulty --dataset annyville-holistic --root data --out runs/rungs

Colour needs no training and is measured on the spot (``matlib.evaluation.colour``), or by this command, which leaves a
file of the rungs; the networks' rungs are read from the records of Table 1's baseline and of the same network pooled
over the true visible parts.
"""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from matlib.ablations import run_title
from matlib.annyville import generate
from matlib.annyville.writer import read_manifest
from matlib.data import ReIDDataset, fingerprint, load_dataset
from matlib.data.samples import everyone_asks
from matlib.data.readers.rendered import find_annyville
from matlib.errors import CommandParser, MatlibError, program
from matlib.evaluation.chance import expected_metrics
from matlib.evaluation.colour import rank_by_colour
from matlib.report.links import linked
from matlib.report.tables import NOT_RUN, spread
from matlib.runs.records import config_of, find_records, listed, provenance, write_record

logger = logging.getLogger(__name__)

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
        measured = {title: _cell(own, metric) for metric, title in METRICS.items()}
        return measured | {"n": len(own)}

    lines = {label: line(frame[frame["name"] == name]) for name, label in RUNGS.items()}
    return pd.DataFrame.from_dict(lines, orient="index", dtype=object)


def _cell(own: pd.DataFrame, metric: str) -> str:
    """``spread`` of a rung, leading to the records of its runs; chance and colour have none."""
    return linked(spread(own[metric]), own["path"].dropna() if "path" in own else [])


def write_rungs(dataset: str, root: Path | str, out: Path | str) -> Path:
    """Measure the rungs without learning, and write them to ``out`` as ``rungs-<dataset>.json``."""
    data = load_dataset(dataset, root)
    rungs = rungs_without_learning(data).set_index("name").to_dict("index")
    content = {"data": {"name": data.name, "fingerprint": fingerprint(data), **_made(dataset, Path(root))},
               "rungs": rungs, "queries": len(data.query), "gallery": len(data.gallery),
               "run": provenance(1, torch.device("cpu"))}
    return write_record(Path(out), content, f"rungs-{dataset}.json")


def _made(dataset: str, root: Path) -> dict[str, Any]:
    """How a rendered set was made, as far as its difficulty depends on it."""
    manifest = read_manifest(find_annyville(dataset, root)[0])
    return {key: manifest[key] for key in ("preset", "camera_spread")}


def rungs_by_set(folders: Sequence[Path | str] | Path) -> pd.DataFrame:
    """All rungs below the folders: ``set``, its ``preset`` and ``spread`` of cameras, ``name``, ``profile`` (of
    networks), ``rank1`` and ``mAP`` in percent, ``path`` of a network's record.

    A network counts where it was tested on the very images of the set's other rungs. Raises MatlibError for a damaged
    file.
    """
    folders = listed(folders)
    written = [_read_rungs(path) for folder in folders for path in sorted(Path(folder).rglob("rungs-*.json"))]
    sets = {(rungs["data"]["name"], rungs["data"]["fingerprint"]): {
        "set": rungs["data"]["name"], "preset": rungs["data"]["preset"],
        "spread": rungs["data"]["camera_spread"]} for rungs in written}
    lines = [sets[rungs["data"]["name"], rungs["data"]["fingerprint"]] | {"name": name, "profile": "", **metrics}
             for rungs in written for name, metrics in rungs["rungs"].items()]
    for record in find_records(*folders):
        tested, config = record.get("tested", record["data"]), config_of(record)
        of = sets.get((tested["name"], tested["fingerprint"]))
        if of and run_title(config) in RUNGS and record["metrics"]:
            measured = record["metrics"].get(tested["name"], {})
            if not METRICS.keys() <= measured.keys():
                raise MatlibError(f"{record['path']} is not a run's record: it has no {' and '.join(METRICS)} on "
                                  f"{tested['name']}; delete it and run the training again")
            percent = {metric: 100 * measured[metric] for metric in METRICS}
            lines.append(of | {"name": config.name, "profile": config.profile, "path": record["path"], **percent})
    return pd.DataFrame(lines, columns=["set", "preset", "spread", "name", "profile", *METRICS, "path"])


def _read_rungs(path: Path) -> dict:
    try:
        rungs = json.loads(path.read_text(encoding="utf-8"))
        data = {key: rungs["data"][key] for key in ("name", "fingerprint", "preset", "camera_spread")}
        measured = {name: {metric: float(of[metric]) for metric in METRICS} for name, of in rungs["rungs"].items()}
        if not all(isinstance(data[key], str) for key in ("name", "fingerprint", "preset")):
            raise TypeError
        return {"data": data | {"camera_spread": float(data["camera_spread"])}, "rungs": measured}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MatlibError(f"{path} is not a file of rungs; "
                          "delete it and run python -m matlib.difficulty again") from None


def sets_table(frame: pd.DataFrame, metric: str = "rank1") -> pd.DataFrame:
    """A line a rung that was measured, a column a set and preset, the small ones first; networks with their deviation
    over runs.

    Only sets whose cameras are as usual.
    """
    usual = frame[frame["spread"] == 1].sort_values("preset", ascending=False, kind="stable")  # tiny, small, large
    titles = usual["set"].str.removeprefix("annyville-") + ", " + usual["preset"]
    cells = {(name, title): _cell(own, metric) for (name, title), own in usual.groupby(["name", titles])}
    measured = {name: label for name, label in RUNGS.items() if name in set(usual["name"])}
    return pd.DataFrame({title: {label: cells.get((name, title), NOT_RUN) for name, label in measured.items()}
                         for title in dict.fromkeys(titles)}, dtype=object)


def rungs_by_spread(frame: pd.DataFrame, of: str) -> pd.DataFrame:
    """The rungs of a set in every spread of its cameras, in the preset in which there are several; else empty."""
    own = frame[frame["set"] == of]
    return own.groupby("preset").filter(lambda preset: preset["spread"].nunique() > 1)


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


def main() -> None:
    parser = CommandParser(prog=program("matlib.difficulty"),
                           description="Measure what chance and colour get on a rendered set.")
    parser.add_argument("--dataset", required=True, help="name of a rendered data set, as annyville-occluded")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds the data sets; default data")
    parser.add_argument("--out", type=Path, required=True, help="folder for the file of rungs")
    arguments = parser.parse_args()
    logger.info("rungs in %s", write_rungs(arguments.dataset, arguments.root, arguments.out))

