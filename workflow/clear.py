"""Moves a run of other settings or images out of a run's folder before the build trains there; notes what is wanted.

    python workflow/clear.py NOTE --parameters JSON

It is a step of its own, before the training's: what Snakemake finds in the folder when the training starts, and gives
back when that fails, is then of the wanted run or not there. The parameters are those of book/training.ipynb.
"""

import argparse
import json
import sys
from pathlib import Path

from guard import end_with_parent

from matlib.ablations import row_config
from matlib.errors import MatlibError
from matlib.runs.earlier import set_aside
from matlib.runs.records import write_atomically


def clear(note: Path, profile: str, row: str, seed: int, dataset: str, root: str, out: str) -> None:
    """Raises MatlibError where the data or the earlier run cannot be read, or it is being trained."""
    config = row_config(row, profile, seed, {"data.dataset": dataset, "data.root": root})
    if moved := set_aside(config, out):
        print(f"{row}: an earlier run, of other settings or images, is now in {moved}", flush=True)
    write_atomically(note, (json.dumps(config.to_dict(), indent=1, sort_keys=True) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("note", type=Path)
    parser.add_argument("--parameters", type=json.loads, required=True, metavar="JSON")
    options = parser.parse_args()
    end_with_parent()
    try:
        clear(options.note, **options.parameters)
    except MatlibError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
