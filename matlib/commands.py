"""The console command ``matlib``: lists all that can be done from a command line, and starts it.

    matlib                          the list
    matlib train --row full ...     the same as python -m matlib.training --row full ...
    matlib train --help
"""

import sys
from importlib import import_module

from matlib import __version__
from matlib.errors import MatlibError, command_line, did_you_mean

#: Where each command lives, and what it does.
COMMANDS = {
    "render": ("matlib.annyville.__main__", "render Annyville, the data set of drawn pedestrians"),
    "check-data": ("matlib.data.__main__", "read a data set, count it, compare it with the published numbers"),
    "detect-joints": ("matlib.data.joints.detect", "find people's joints in the photographs of a set"),
    "own-joints": ("matlib.data.joints.from_run", "write a run's own keypoints as the joints of a set"),
    "train": ("matlib.training", "train a row of a table, or one's own settings of it"),
    "test": ("matlib.testing", "test a trained run on another data set"),
    "score": ("matlib.scoring.scores", "score a run's keypoints, parts and motion against the truth"),
    "difficulty": ("matlib.report.difficulty", "measure what chance and colour get on a rendered set"),
    "extract": ("matlib.extractor", "descriptors, searches and comparisons of one's own pictures"),
    "export": ("matlib.export", "write a trained model as ONNX"),
}


def start(command: str) -> None:
    """Run a command with the process's arguments. What it imports is imported here, so that a lack is one sentence."""
    command_line(lambda: import_module(COMMANDS[command][0]).main())


def main() -> None:
    """The console command. The first argument chooses what is run; the others are its own."""
    sys.path.append("")  # as for `python -m`, a method of one's own may lie where the command is started
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(_list())
    elif name == "--version":
        print(f"matlib {__version__}")
    elif name in COMMANDS:
        sys.argv = [f"matlib {name}", *rest]
        start(name)
    else:
        command_line(lambda: _unknown(name))


def _list() -> str:
    lines = [f"  {name:15}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: matlib COMMAND [OPTIONS]", "",
                      "An executable reproduction of the Motion-Aware Transformer for occluded person re-ID.", "",
                      *lines, "", "matlib COMMAND --help says what its options are."])


def _unknown(name: str) -> None:
    raise MatlibError(f"matlib has no command {name!r}; it has {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}")


if __name__ == "__main__":
    main()
