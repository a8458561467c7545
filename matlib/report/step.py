"""The file that ``benchmarks/step.py`` writes: where the time of a training step goes."""

import json
from pathlib import Path
from typing import Any

from matlib.config import RunConfig
from matlib.errors import MatlibError


def read_step(path: Path | str) -> dict[str, Any]:
    """Its content. Raises MatlibError for a file that lacks what the page shows of it."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        RunConfig.from_dict(found["config"])
        numbers = [*found["shares"].values(), found["second_pass"], found["images"], found["copies"]]
        words = [found["config"]["profile"], *(found["run"][key] for key in ("commit", "date", "hardware"))]
        if not found["shares"] or not all(isinstance(x, int | float) for x in numbers) \
                or not all(isinstance(x, str) for x in words):
            raise TypeError
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MatlibError):
        raise MatlibError(f"{str(path)[:200]} is not a file of a step's times; write it anew with "
                          "python benchmarks/step.py --json FILE") from None
