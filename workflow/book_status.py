"""The status page: when each notebook of the book was executed, for how long, with which versions, and whether it
passed. A Sphinx extension with one directive, ``{execution-status}``.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from matlib.report.text import framed_table

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


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("execution-status", ExecutionStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
