"""Test a trained model on any data set, as the paper tests one trained on Market-1501 on sets without training images.

    python -m matlib.testing --run runs/laptop/full/seed0 --dataset partial_reid --root data --set query=occluded

The result is a record of its own beside the run's, with the run's configuration and provenance.
"""

import argparse
import dataclasses
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from matlib.data import ReIDDataset, fingerprint, load_dataset
from matlib.data.readers.options import parse_options, spelled, title
from matlib.errors import command_line, program
from matlib.evaluation import evaluate_model
from matlib.runs import records
from matlib.runs.checkpoints import load_model

logger = logging.getLogger(__name__)


def evaluate_run(run: Path | str, dataset: str, root: Path | str, **options: object) -> dict[str, Any]:
    """The record of a run's model on another data set, measured now or, for the same images, before.

    ``options`` are those of ``load_dataset``. Records, files and metrics of a set carry its options in their names.

    Raises MatlibError where the run or the data set is missing or damaged, or has no such option.
    """
    data = load_dataset(dataset, root, **options)
    file = record_name(data, options)
    data = dataclasses.replace(data, name=title(data.name, options))

    def measure(data: ReIDDataset, device: torch.device) -> dict[str, Any]:
        model, config = load_model(run)
        return {"metrics": {data.name: evaluate_model(model, data, config.data, device)}}

    return tested_record(Path(run), data, file, measure)


def record_name(data: ReIDDataset, options: Mapping[str, object], prefix: str = "record") -> str:
    """The file of the record of a test: the set's name and options, in characters that any disk takes."""
    return re.sub(r"[^\w .=+-]", "-", "-".join([prefix, data.name, *spelled(options)])) + ".json"


def tested_record(run: Path, data: ReIDDataset, name: str,
                  measure: Callable[[ReIDDataset, torch.device], dict[str, Any]]) -> dict[str, Any]:
    """The record ``name`` beside a run's own: the one there, if of this training and these images, or a new one.

    It is the run's own with what ``measure`` gives for the data, what was tested, where, and how long that took.
    """
    trained, path = records.read_record(run), run / name
    tested = {"name": data.name, "fingerprint": fingerprint(data)}
    if path.exists():
        earlier = records.read_record(path)
        same_training = all(earlier.get(key) == trained.get(key) for key in ("config", "history"))
        if same_training and earlier.get("tested") == tested:
            return earlier
    started = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    record = trained | measure(data, device) | {"tested": tested, "run": records.provenance(1, device)}
    record["seconds"] = trained["seconds"] | {"evaluation": time.perf_counter() - started}
    records.write_record(run, record, name)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(prog=program("matlib.testing"), description="Test a trained model on a data set.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished training run")
    parser.add_argument("--dataset", required=True, help="name of the data set, as partial_reid")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds the data sets; default data")
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE",
                        help="its options, as query=occluded")
    arguments = parser.parse_args()
    record = evaluate_run(arguments.run, arguments.dataset, arguments.root, **parse_options(arguments.set))
    (name, metrics), = record["metrics"].items()
    logger.info("%s on %s: rank-1 %.1f, rank-3 %.1f, mAP %.1f (%d queries, %d gallery images)", arguments.run,
                name, *(100 * metrics[k] for k in ("rank1", "rank3", "mAP")), metrics["queries"],
                metrics["gallery"])


if __name__ == "__main__":
    command_line(main)
