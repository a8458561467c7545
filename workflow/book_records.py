"""Record pages: every record that a page of the book shows, one click from the number. A Sphinx extension.

Pages are made for the reference records and for whatever else a table's links name (``matlib.report.links``); the
links are turned to them. The page `records` lists them all, by the directive ``{record-index}``.
"""

import json
import re
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from matlib.report import record_pages
from matlib.report.links import FOLDER
from matlib.report.record_pages import Run

BOOK = Path(__file__).resolve().parents[1] / "book"
LINK = re.compile(r'<a class="record" href="[^"]*" data-records="([^"]*)">')


class Records:
    """Which page and anchor has which run, and which mean of runs."""

    def __init__(self, sources: Path) -> None:
        self.runs: dict[Path, Run] = {}
        self.pages: dict[str, list[Run]] = {}
        self.means: dict[tuple[Path, ...], str] = {}  # runs that a page averages: the anchor of their mean
        linked = list(dict.fromkeys(_linked(sources)))
        known = [folder for folder in sorted(BOOK.iterdir()) if next(folder.rglob("record*.json"), None)]
        own = {folder for group in linked for folder in group if not any(map(folder.is_relative_to, known))}
        for run in record_pages.find_runs([*known, *sorted(own)]):
            self.runs[run.folder] = run
            self.pages.setdefault(_page(run), []).append(run)
        rows: dict[tuple[str, str], dict[Path, None]] = {}
        for run in self.runs.values():
            rows.setdefault((_page(run), run.row), {})[run.folder] = None
        for group in [*linked, *(tuple(row) for row in rows.values())]:
            if len(group) > 1:
                self.means.setdefault(group, f"{self.runs[group[0]].row}-mean{len(self.means) + 1}")

    def address(self, group: Sequence[Path]) -> str:
        """The place of a run, or of the mean of several: a page and an anchor."""
        run = self.runs[group[0]]
        return f"{_page(run)}#{self.means[tuple(group)] if len(group) > 1 else run.anchor}"

    def body(self, page: str) -> str:
        """The HTML of a page."""
        rows: dict[str, list[Run]] = {}
        for run in self.pages[page]:
            rows.setdefault(run.row, []).append(run)
        sections = []
        for runs in rows.values():
            folders = {run.folder for run in runs}
            means = {anchor: group for group, anchor in self.means.items() if group[0] in folders}
            sections.append(record_pages.row_section(runs, means, _root(runs[0].folder), self._beside))
        return f"<h1>Records: {page.replace('-', ' ')}</h1>" + "".join(sections)

    def _beside(self, folder: Path) -> str:
        """A run's address for another record page."""
        page, _, anchor = self.address([folder]).partition("#")
        return f"{page}.html#{anchor}"


def _linked(sources: Path) -> Iterator[tuple[Path, ...]]:
    """The folders of the runs that each link in the executed notebooks names."""
    for path in sorted(sources.glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            for output in cell.get("outputs", []):
                for names in LINK.findall("".join(output.get("data", {}).get("text/html", ""))):
                    yield _folders(names)


def _folders(names: str) -> tuple[Path, ...]:
    return tuple((Path(FOLDER) / unquote(name)).resolve().parent for name in unescape(names).split())


def _root(folder: Path) -> Path:
    """Where shown paths begin: the book's folder, or the one in which it is built."""
    return BOOK.parent if folder.is_relative_to(BOOK) else Path.cwd()


def _page(run: Run) -> str:
    root = BOOK if run.folder.is_relative_to(BOOK) else Path.cwd()
    return record_pages.page_of(run, root if run.folder.is_relative_to(root) else run.folder.parents[3])


class RecordIndex(Directive):
    """The list of all record pages."""

    def run(self) -> list[nodes.Node]:
        records = self.state.document.settings.env.app.records
        pages = {f"records/{page}.html": runs for page, runs in records.pages.items()}
        return [nodes.raw("", record_pages.index(pages, BOOK.parent), format="html")]


def find(app: Sphinx) -> None:
    app.records = Records(Path(app.srcdir)) if (Path(app.srcdir) / "records.md").exists() else None


def make_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    for page in app.records.pages if app.records else ():
        body = app.records.body(page)
        yield f"records/{page}", {"title": f"Records: {page.replace('-', ' ')}", "body": body}, "page.html"


def turn_links(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Links to the files of records become links to their pages."""
    def turned(found: re.Match) -> str:
        page, _, anchor = app.records.address(_folders(found[1])).partition("#")
        return f'<a class="record" href="{app.builder.get_relative_uri(pagename, f"records/{page}")}#{anchor}">'

    if app.records and "body" in context:
        context["body"] = LINK.sub(turned, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("record-index", RecordIndex)
    app.connect("builder-inited", find)
    app.connect("html-collect-pages", make_pages)
    app.connect("html-page-context", turn_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
