"""What README and pages tell people to type is understood, as it stands there."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from execute import check_parameters
from pipeline import REPOSITORY

from matlib import commands
from matlib.errors import CommandParser, MatlibError
from matlib.training import parse_arguments

TEXTS = [REPOSITORY / "README.md", REPOSITORY / "data" / "README.md", *sorted((REPOSITORY / "book").glob("*.md")),
         *sorted((REPOSITORY / "book").glob("*.ipynb"))]
KNOWN = ("matlib", "python", "papermill", "make")
STARTS = r"matlib|python -m matlib\S*|papermill|make"


def _prose(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text()
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]
                       if cell["cell_type"] == "markdown")


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Of each text, the lines that are set apart as a shell's; one that a backslash ends goes on with the next."""
    for path in TEXTS:
        for line in re.sub(r"(?<!\\)\\\n", " ", _prose(path)).splitlines():
            if match := re.match(rf"(?:\$ |    )((?:[A-Z_]+=\S+ )?(?:{STARTS}) .*)", line):
                words = shlex.split(match[1], comments=True)
                yield path.name, words[next(i for i, word in enumerate(words) if word in KNOWN):]


def _notebook(words: list[str]) -> None:
    options = [words[i + 1:i + 3] for i, word in enumerate(words) if word == "-p"]
    lists = [words[i + 1].partition(":")[0] for i, word in enumerate(words) if word == "-y"]
    check_parameters(REPOSITORY / words[1], {name: "" for name in [*lists, *(name for name, _ in options)]})


def _make(words: list[str]) -> None:
    targets = [word for word in words[1:] if "=" not in word]
    subprocess.run(["make", "-n", "-o", ".venv/installed", *targets], cwd=REPOSITORY, capture_output=True, check=True)


class _Understood(Exception):
    """Its options are; nothing is done."""


def _matlib(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    homes = {command: module for command, (module, _) in commands.COMMANDS.items()}
    name, options = (homes[words[1]], words[2:]) if words[0] == "matlib" else (words[2], words[3:])
    if name == "matlib.training" and "my_module:MyMethod" not in options:
        parse_arguments(options)
    parse = CommandParser.parse_args

    def parse_only(*arguments: object) -> None:
        parse(*arguments)
        raise _Understood

    monkeypatch.setattr(CommandParser, "parse_args", parse_only)
    monkeypatch.setattr(sys, "argv", [name, *options])
    module = import_module(name)
    with pytest.raises(_Understood):
        (getattr(module, "main", None) or import_module(f"{name}.__main__").main)()


@pytest.mark.parametrize(("where", "words"), [pytest.param(where, words, id=f"{where}: {' '.join(words)[:70]}")
                                              for where, words in _commands()])
def test_a_command_is_understood(where, words, monkeypatch):
    if words[0] == "papermill":
        _notebook(words)
    elif words[0] == "make":
        _make(words)
    else:
        _matlib(words, monkeypatch)


@pytest.mark.parametrize("words", [["matlib", "train", "--rows", "full", "--out", "x"], ["matlib", "trian"],
                                   ["matlib", "train", "--row", "ful", "--out", "x"], ["make", "books"],
                                   ["papermill", "book/training.ipynb", "x", "-p", "rows", "full"],
                                   ["matlib", "train", "--row", "pcb", "\\", "--out", "x"]])
def test_one_that_is_not_would_be_found(words, monkeypatch):
    with pytest.raises((MatlibError, SystemExit, ValueError, KeyError, subprocess.CalledProcessError)):
        test_a_command_is_understood("", words, monkeypatch)


def test_there_are_commands_of_every_kind():
    assert {words[0] for _, words in _commands()} == set(KNOWN) and len([*_commands()]) > 40
