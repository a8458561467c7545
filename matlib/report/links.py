"""Cells of a table that lead to the records their number comes from.

A link's address is the file of a record, as a notebook in ``book/`` sees it, so that JupyterLab opens the file. The
book's build (``workflow/book_records.py``) makes it the record's place among the record pages; for a mean over
several runs, the place where just these runs are averaged: they stand in ``data-records``.
"""

import os
from collections.abc import Iterable
from html import escape
from typing import Any
from urllib.parse import quote

FOLDER = "book"  # of the notebooks, in the folder in which they run


class Linked(str):
    """The text of a cell, with the files of the records that each piece of it comes from.

    Tables that hold such texts keep them only as ``dtype=object``: pandas' strings forget them.
    """

    pieces: tuple[tuple[str, tuple[str, ...]], ...]


def linked(text: str, paths: Iterable[str]) -> Linked:
    """One text that comes from the records in these files; without any it stays plain."""
    return listing([(text, paths)])


def listing(pieces: Iterable[tuple[str, Iterable[str]]]) -> Linked:
    """Several, with commas between them."""
    kept = tuple((text, tuple(map(str, paths))) for text, paths in pieces)
    result = Linked(", ".join(text for text, _ in kept))
    result.pieces = kept
    return result


def cell(value: Any) -> str:
    """A cell's HTML: floats with one decimal, texts escaped, linked ones as links."""
    if isinstance(value, Linked):
        return ", ".join(_anchor(text, paths) for text, paths in value.pieces)
    return f"{value:.1f}" if isinstance(value, float) else escape(str(value), quote=False)


def _anchor(text: str, paths: tuple[str, ...]) -> str:
    shown = escape(text, quote=False)
    if not paths:
        return shown
    addresses = [quote(os.path.relpath(path, FOLDER).replace(os.sep, "/")) for path in paths]
    return f'<a class="record" href="{addresses[0]}" data-records="{" ".join(addresses)}">{shown}</a>'
