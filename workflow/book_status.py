"""When each notebook of the book was executed, for how long, with which versions, and whether it passed: a page, by the
directive ``{execution-status}``; and under each notebook's title what it takes to run it. A Sphinx extension.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from matlib.report.text import framed_table

#: What a notebook needs that has such a parameter.
NEEDS = {"run": "a trained run", "runs": "trained runs", "records": "records of runs", "chosen_on": "records of runs",
         "ladder": "records of runs", "own": "records of runs"}
COLUMNS = ("page", "executed (UTC)", "seconds", "cells", "outcome", "versions")


class ExecutionStatus(Directive):
    """A line for each notebook, from what papermill and workflow/execute.py wrote into it."""

    def run(self) -> list[nodes.Node]:
        sources = Path(self.state.document.settings.env.srcdir)
        lines = [status(path.stem, json.loads(path.read_text())) for path in sorted(sources.glob("*.ipynb"))]
        return [nodes.raw("", framed_table(COLUMNS, lines), format="html")]


def status(name: str, notebook: dict[str, Any]) -> list[str]:
    """A notebook's line: cells of HTML."""
    execution = notebook["metadata"].get("papermill", {})
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    done = sum(cell.get("execution_count") is not None for cell in cells)
    if not execution.get("end_time"):
        outcome = "not executed"
    else:
        outcome = "failed" if execution.get("exception") or done < len(cells) else "passed"
    versions = notebook["metadata"].get("matlib", {}).get("versions", {})
    values = [(execution.get("end_time") or "–")[:16].replace("T", " "), f"{execution.get('duration') or 0:.0f}",
              f"{done} of {len(cells)}", outcome, ", ".join(f"{name} {number}" for name, number in versions.items())]
    return [f'<a href="{name}.html">{escape(name)}</a>', *map(escape, values)]


def needs(notebook: dict[str, Any]) -> list[str]:
    """What it takes to run an executed notebook, as HTML: by its execution and by the parameters that it was given."""
    execution, made = (notebook["metadata"].get(name, {}) for name in ("papermill", "matlib"))
    if not execution.get("end_time"):
        return []
    given = execution["parameters"]
    wants = [words for name, words in NEEDS.items() if given.get(name)]
    seconds = execution["duration"]
    time = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    lines = {"Time to run": time + {True: ", with a GPU", False: ", no GPU"}.get(made.get("gpu"), ""),
             "Needs": ", ".join(dict.fromkeys(wants)) or "nothing but the library",
             "Data": escape(given.get("dataset", "")) or ("several sets" if "root" in given else "")}
    return [f"<b>{title}</b> {words}" for title, words in lines.items() if words]


def on_colab(repository: str) -> str:
    """What brings library, records and data to Google Colab, which fetches a notebook alone, as HTML."""
    commands = (f"!git clone --depth 1 {repository} matlib && pip install -q -e matlib", "%cd matlib",
                "!python -m matlib.annyville")
    return "<b>On Colab</b> run first " + ", ".join(f"<code>{escape(command)}</code>" for command in commands)


def add_needs(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Puts ``needs`` below a notebook's title, and ``on_colab`` where there is a button to it."""
    path = Path(app.srcdir) / f"{pagename}.ipynb"
    if not path.exists():
        return
    lines, options = needs(json.loads(path.read_text())), app.config.html_theme_options
    if options.get("launch_buttons", {}).get("colab_url"):
        lines.append(on_colab(options["repository_url"]))
    if lines:
        items = "".join(f"<li>{line}</li>" for line in lines)
        shown = f'</h1>\n<ul class="page-needs" aria-label="What this page takes">{items}</ul>'
        context["body"] = context["body"].replace("</h1>", shown, 1)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("execution-status", ExecutionStatus)
    app.connect("html-page-context", add_needs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
