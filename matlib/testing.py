"""Test a trained model on any data set, as the paper tests one trained on Market-1501 on sets without training images.

    python -m matlib.testing --run runs/laptop/full/seed0 --dataset partial_reid --root data --set query=occluded

The result is a record of its own beside the run's, with the run's configuration and provenance.
"""

import dataclasses
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from matlib.data import ReIDDataset, fingerprint, load_dataset
from matlib.data.readers.options import parse_options, spelled, title
from matlib.errors import CommandParser, command_line, program
from matlib.evaluation import evaluate_model
from matlib.runs import records
from matlib.runs.checkpoints import load_model
from matlib.runs.folder import check_writable, run_folder

logger = logging.getLogger(__name__)


def evaluate_run(run: Path | str, dataset: str, root: Path | str, **options: object) -> dict[str, Any]:
    """The record of a run's model on another data set, measured now or, for the same images, before.

    ``options`` are those of ``load_dataset``. Records, files and metrics of a set carry its options in their names.

    Raises MatlibError where the run or the data set is missing or damaged, or has no such option.
    """
    run = run_folder(run)
    data = load_dataset(dataset, root, **options)
    file = record_name(data, options)
    data = dataclasses.replace(data, name=title(data.name, options))

    def measure(data: ReIDDataset, device: torch.device) -> dict[str, Any]:
        model, config = load_model(run)
        return {"metrics": {data.name: evaluate_model(model, data, config.data, device)}}

    def say(record: dict[str, Any]) -> None:
        metrics = record["metrics"][data.name]
        logger.info("%s on %s: rank-1 %.1f, rank-3 %.1f, mAP %.1f (%d queries, %d gallery images)", run, data.name,
                    *(100 * metrics[k] for k in ("rank1", "rank3", "mAP")), metrics["queries"], metrics["gallery"])

    return tested_record(run, data, file, measure, say)


def record_name(data: ReIDDataset, options: Mapping[str, object], prefix: str = "record") -> str:
    """The file of the record of a test: the set's name and options, in characters that any disk takes."""
    return re.sub(r"[^\w .=+-]", "-", "-".join([prefix, data.name, *spelled(options)])) + ".json"


def tested_record(run: Path, data: ReIDDataset, name: str,
                  measure: Callable[[ReIDDataset, torch.device], dict[str, Any]],
                  say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The record ``name`` beside a run's own: the one there, if of this training and these images, or a new one.

    It is the run's own with what ``measure`` gives for the data, what was tested, where, and how long that took; a
    digest of the training stands for its history. It is told with ``say`` before it is written, so that a full disk
    does not lose it.
    """
    trained, path = records.read_record(run), run / name
    tested = {"name": data.name, "fingerprint": fingerprint(data)}
    if path.exists():
        earlier = records.read_record(path)
        if _training(earlier) == _training(trained) and earlier.get("tested") == tested:
            say(earlier)
            return earlier
    check_writable(run)
    started = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    record = {name: value for name, value in trained.items() if name != "history"} | measure(data, device)
    record |= {"tested": tested, "training": _training(trained), "run": records.provenance(1, device)}
    record["seconds"] = trained["seconds"] | {"evaluation": time.perf_counter() - started}
    say(record)
    records.write_record(run, record, name)
    return record


def _training(record: dict[str, Any]) -> str:
    """A digest of a training's settings and history. Records of before keep the history of the run that was tested."""
    parts = json.dumps([record["config"], record.get("history")], sort_keys=True)
    return record.get("training", hashlib.sha256(parts.encode()).hexdigest())


def main() -> None:
    parser = CommandParser(prog=program("matlib.testing"), description="Test a trained model on a data set.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished training run")
    parser.add_argument("--dataset", required=True, help="name of the data set, as partial_reid")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds the data sets; default data")
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE",
                        help="its options, as query=occluded")
    arguments = parser.parse_args()
    evaluate_run(arguments.run, arguments.dataset, arguments.root, **parse_options(arguments.set))


if __name__ == "__main__":
    command_line(main)
