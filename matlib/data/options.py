"""Options of the readers."""

from __future__ import annotations

from collections.abc import Sequence

from matlib.errors import MatlibError


def one_of(option: str, value: object, choices: Sequence[object], name: str) -> None:
    """Raises MatlibError for a value that the option of the data set ``name`` does not have."""
    if value not in choices:
        raise MatlibError(f"{option} of {name} is one of {', '.join(map(str, choices))}; got {value!r}")
