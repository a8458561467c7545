"""What comes from a record, a file or its name, as text on a page: nothing in it acts as Markdown, HTML or math."""

import ast
import re
import textwrap
from collections.abc import Iterable
from html import escape
from typing import Any

from matlib.config import RunConfig


def plain(value: Any) -> str:
    """The value as it reads, for Markdown and HTML alike: one line, in which all but letters and digits is a reference.
    """
    line = " ".join(str(value).encode(errors="backslashreplace").decode().split())
    return re.sub(r"[^\w ]|_", lambda found: f"&#{ord(found[0])};", line)


def code(value: Any) -> str:
    """The same in the letters of code, which renderers leave alone when they look for math."""
    return f"<code>{plain(value)}</code>"


def without_docstrings(source: str) -> str:
    """Python code as it runs and with its comments, but for docstrings that stand on lines of their own."""
    lines, left_out = source.splitlines(keepends=True), set()
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and len(body) > 1 else None  # alone, it is the body
        if not isinstance(first, ast.Expr) or not isinstance(getattr(first.value, "value", None), str):
            continue
        if lines[first.lineno - 1].lstrip()[0] in "\"'rR":
            left_out |= set(range(first.lineno - 1, first.end_lineno))
            if lines[first.end_lineno:first.end_lineno + 1] == ["\n"]:
                left_out.add(first.end_lineno)
    return "".join(line for number, line in enumerate(lines) if number not in left_out)


def run_words(config: RunConfig) -> str:
    """Which run a page is about."""
    return f"row {code(config.name)}, {code(config.profile)} profile, seed {config.seed:d}"


def framed_table(columns: Iterable[str], lines: Iterable[Iterable[str]], caption: str = "") -> str:
    """A table as a page that no notebook makes prints it: the columns and caption are texts, the cells HTML."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (f'<div class="cell_output"><div class="text_html"><table class="dataframe">{title}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></div>")
