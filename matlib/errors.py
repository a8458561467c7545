"""The one exception that a user is meant to see, and how command lines read what they are given and show it."""

import argparse
import errno
import logging
import sys
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from pathlib import Path

_MENDS = {
    errno.ENOSPC: "make room and run the same command again", errno.EDQUOT: "make room and run the same command again",
    errno.EFBIG: "make room and run the same command again",
    errno.EACCES: "choose a place that you may write to", errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that you may write to", errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a file is in the way of a folder, choose another place",
    errno.EEXIST: "a file is in the way of a folder, choose another place",
    errno.EISDIR: "a folder has that name, choose another one",
}


class MatlibError(Exception):
    """Bad input in one clear sentence: what is wrong, and how to mend it.

    Command lines print the sentence and exit with status 2; notebooks show it as the last line of the traceback.
    """


def not_written(path: Path, error: OSError) -> MatlibError:
    """What the disk refused, with the mend that fits."""
    mend = _MENDS.get(error.errno, "run the same command again")
    return MatlibError(f"{path} could not be written ({error.strerror or error}); nothing that was finished is lost: "
                       f"{mend}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on a name that is not known, ``; did you mean model.parts?``; empty where none is near.

    A name's last part, as ``parts``, is enough.
    """
    def likeness(each: str) -> float:
        pairs = [(str(name).lower(), each.lower())]
        pairs += [tuple(word.rpartition(".")[2] for word in pairs[0])]
        return max(SequenceMatcher(None, *pair).ratio() for pair in pairs)

    found = {each: likeness(each) for each in known}
    near = [each for each, value in found.items() if value == max(found.values()) and value >= 0.8]
    return f"; did you mean {' or '.join(near)}?" if near else ""


class CommandParser(argparse.ArgumentParser):
    """An option that is given twice is refused: argparse would drop the first one without a word. So is a path of no
    letters, which would be the current folder."""

    def __init__(self, *arguments: object, **options: object):
        super().__init__(*arguments, **options)
        self.register("action", None, _Once)
        self.register("type", Path, _path)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; the current folder is .")
    return Path(text)


class _Once(argparse.Action):
    given = False

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object,
                 option_string: str | None = None) -> None:
        if self.given and option_string:
            parser.error(f"{option_string} is given twice; leave one")
        self.given = True
        setattr(namespace, self.dest, values)


def command_line(main: Callable[[], None]) -> None:
    """Run a command: log to stderr, and say a MatlibError, or a missing package, as a sentence in place of a traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        main()
    except MatlibError as error:
        # A data loader's worker raises the error again with its own traceback, which ends in the sentence.
        sentence = str(error).rpartition("matlib.errors.MatlibError: ")[2].strip()
        sys.exit(_fail(f"error: {sentence}", 2))
    except ModuleNotFoundError as error:
        package = (error.name or "matlib").partition(".")[0]
        if package == "matlib":
            raise
        sys.exit(_fail(f"error: the package {package} is missing; install what this command needs: "
                       "pip install -e '.[book]' in a checkout of matlib", 2))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted; the same command goes on from here", 130))


def program(module: str) -> str:
    """What a command's help calls it: as it was started, ``matlib train``, or ``python -m`` and its module."""
    return sys.argv[0] if sys.argv[0].startswith("matlib ") else f"python -m {module}"


def _fail(message: str, status: int) -> int:
    sys.stderr.write(message.encode(errors="backslashreplace").decode() + "\n")  # names may be no UTF-8
    return status
