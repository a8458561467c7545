"""Options of the readers: from a command line, into a reader, and into the name of what was read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from matlib.config import read_pairs, read_value
from matlib.errors import MatlibError

UNSPOKEN = ("duke", "title")
"""Options that say where images lie, not which ones are meant, or what a set's name says already."""


def parse_options(settings: Iterable[str]) -> dict[str, object]:
    """``["query=occluded", "shot=2"]`` as options of ``load_dataset``. Raises MatlibError as ``read_pairs``."""
    return {name: read_value(value) for name, value in read_pairs(settings, "query=occluded").items()}


def spelled(options: Mapping[str, object]) -> list[str]:
    """The options as a command line has them, sorted, without those that no name repeats."""
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in options.items()}
    return [f"{name}={words[name]}" for name in sorted(words) if name not in UNSPOKEN]


def title(name: str, options: Mapping[str, object]) -> str:
    """What a record calls a set: its name and, so that numbers that do not compare stay apart, its options."""
    return f"{name} ({', '.join(spelled(options))})" if spelled(options) else name


def one_of(option: str, value: object, choices: Sequence[object], name: str) -> None:
    """Raises MatlibError for a value that the option of the data set ``name`` does not have."""
    if not any(value == choice and type(value) is type(choice) for choice in choices):  # True is 1, but no shot
        raise MatlibError(f"{option} of {name} is one of {', '.join(map(str, choices))}; got {value!r}")
