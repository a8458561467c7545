"""Executes a notebook with papermill; the executed notebook appears under its name only when it is whole.

Its page shows the parameters once: those that were given are put in together with the defaults of the others, and the
cell of defaults is left out.

    python workflow/execute.py NOTEBOOK OUTPUT [--parameters JSON] [--show] [--gpus N]

With --show, what the notebook prints is printed here as it comes. Of N > 0 GPUs, one that no other notebook of this
build uses is chosen, unless the batch system has chosen already (CUDA_VISIBLE_DEVICES is set).
"""

import argparse
import ast
import fcntl
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from guard import alone, end_with_parent

import matlib
from matlib.errors import not_written

# Progress bars without widgets are what is wanted: a widget needs a network to show itself on a page.
NO_WIDGETS = "ignore:IProgress not found"

# papermill takes seconds to import; it is imported where it is used, so that the guard stands before it.


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """All parameters of the notebook, the given ones in place of their defaults.

    Raises ValueError for a parameter that the notebook's `parameters` cell does not name: papermill only warns.
    """
    from papermill import inspect_notebook

    known = inspect_notebook(notebook)
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ValueError(f"{notebook} has no parameter {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    return {name: ast.literal_eval(own["default"]) for name, own in known.items()} | parameters


def hide_defaults(notebook: Path) -> None:
    """Takes the cell of defaults off the page where another holds the values that were used."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    tagged = {tag: cell for cell in content.cells for tag in cell.metadata.get("tags", [])}
    if "injected-parameters" in tagged:
        tagged["parameters"].metadata.tags.append("remove-cell")
        nbformat.write(content, notebook)


class Lines:
    """A stream that writes whole lines only: notebooks that run side by side do not cut each other's lines."""

    def __init__(self) -> None:
        self.rest = ""

    def write(self, text: str) -> None:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            sys.stdout.write(line.rpartition("\r")[2] + "\n")

    def flush(self) -> None:
        sys.stdout.flush()


def choose_gpu(count: int) -> None:
    """Waits for one of the machine's GPUs and keeps it until this process ends."""
    while True:
        for index in range(count):
            lock = open(f".snakemake/gpu{index}.lock", "w")  # open, and so locked, for the life of the process
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = str(index)
                choose_gpu.held = lock
                return
        time.sleep(1)


def _run(*arguments: Any, starts: int = 4, **options: Any) -> None:
    """papermill, begun again where the kernel did not start: two that start at once may have chosen the same port."""
    from papermill import execute_notebook

    try:
        execute_notebook(*arguments, **options)
    except RuntimeError as error:
        if starts == 1 or "Kernel died before replying" not in str(error):
            raise
        _run(*arguments, starts=starts - 1, **options)


def execute(notebook: Path, output: Path, parameters: dict[str, Any], show: bool) -> None:
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError

    partial = output.with_name(f"{output.stem}.partial.ipynb")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run(notebook, partial, parameters, progress_bar=False, kernel_name="python3",
             stdout_file=Lines() if show else None, extra_arguments=["--IPKernelApp.log_level=CRITICAL"])
    except PapermillExecutionError as error:
        raise ValueError(f"{notebook}, cell {error.exec_count}: {error.ename}: {error.evalue} "
                         f"(as far as it came: {partial})") from None
    except DeadKernelError:
        raise ValueError(f"{notebook}: its kernel was killed, perhaps for want of memory; give the same command again "
                         f"(as far as it came: {partial})") from None
    _add_circumstances(partial)
    hide_defaults(partial)
    partial.replace(output)


def _add_circumstances(notebook: Path) -> None:
    """Says in the notebook with which versions it was executed, and whether a GPU was there, for the book's pages."""
    content = json.loads(notebook.read_text())
    found = {"python": platform.python_version(), "matlib": matlib.__version__}
    found |= {name: version(name) for name in ("torch", "numpy", "pandas", "matplotlib")}
    gpu = any(Path("/dev").glob("nvidia[0-9]*")) and os.environ.get("CUDA_VISIBLE_DEVICES") != ""
    content["metadata"]["matlib"] = {"versions": found, "gpu": gpu}
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--parameters", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--gpus", type=int, default=0)
    options = parser.parse_args()
    end_with_parent()
    os.environ["PYTHONWARNINGS"] = NO_WIDGETS
    try:
        known = check_parameters(options.notebook, options.parameters)
        with alone(options.output.with_name(f".{options.output.stem}.lock")):
            if options.gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
                choose_gpu(options.gpus)
            execute(options.notebook, options.output, known if options.parameters else {}, options.show)
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {not_written(options.output, error)}")
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
