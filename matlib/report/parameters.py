"""What a notebook's parameters may be, checked before anything is made of them.

papermill gives a notebook whatever it was given: a name where a list is wanted is a list of letters to Python, and a
folder that is not there is a table without lines.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matlib.errors import MatlibError


@dataclass(frozen=True)
class Kind:
    """What a parameter may be, in words, by an example in YAML, and as a test; ``found`` looks for what it names."""

    words: str
    example: str
    accepts: Callable[[Any], bool]
    found: Callable[[Path], bool] | None = None


def check_parameters(given: Mapping[str, Any], **kinds: Kind) -> None:
    """Check the parameters of a notebook; ``given`` holds their values by name, as ``globals()`` does.

    Of several folders some may be missing: a line is printed for each. Raises MatlibError for a value of another kind,
    and where none of a parameter's folders exists.
    """
    for name, kind in kinds.items():
        value = given[name]
        if not kind.accepts(value):
            raise MatlibError(f"{name} is {kind.words}, not {repr(value)[:100]}; with papermill: "
                              f"-y '{name}: {kind.example}'")
        if kind.found:
            _look_for(name, [value] if isinstance(value, str) else value, kind.found)


def _look_for(name: str, places: Sequence[str], found: Callable[[Path], bool]) -> None:
    what = "folder" if found is Path.is_dir else "file"
    missing = [place[:200] for place in places if not _is_there(place, found)]
    if len(missing) == len(places):
        raise MatlibError(f"{name}: there is no {what} {' and no '.join(missing)} in {Path.cwd()}; start the notebook "
                          f"in the root of the repository, or name a {what} that is there")
    for place in missing:
        print(f"{name}: there is no {what} {place}, so nothing of it is on this page")


def _is_there(place: str, found: Callable[[Path], bool]) -> bool:
    try:
        return found(Path(place))
    except (OSError, ValueError):  # a name that no system takes
        return False


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value < 2 ** 63


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _list_of(accepts: Callable[[Any], bool], least: int = 1) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and len(value) >= least and all(map(accepts, value))


def _place(value: Any) -> bool:
    return _list_of(lambda x: _number(x) and x <= 1)(value) and len(value) == 2


TEXT = Kind("a name", "NAME", _text)
TEXTS = Kind("a list of names", "[NAME, OTHER]", _list_of(_text, least=0))
FILE = Kind("the name of a file", "book/records/step.json", _text, Path.is_file)
FOLDER = Kind("the name of a folder", "book/trials", _text, Path.is_dir)
FOLDERS = Kind("a list of folders", "[book/records]", _list_of(_text), Path.is_dir)
SWITCH = Kind("true or false", "true", lambda value: isinstance(value, bool))
COUNT = Kind("a whole number from 1", "4", _whole(1))
SEED = Kind("a whole number from 0", "0", _whole(0))
SEEDS = Kind("a list of whole numbers from 0", "[0, 1]", _list_of(_whole(0)))
NUMBER = Kind("a number from 0", "0.05", _number)
NUMBERS = Kind("a list of numbers from 0", "[0, 1]", _list_of(_number))
TEMPERATURES = Kind("a list of numbers above 0", "[1.0, 0.1]", _list_of(lambda value: _number(value) and value > 0))
PLACES = Kind("a list of places [x, y], each from 0 to 1", "[[0.2, 0.5]]", _list_of(_place))
