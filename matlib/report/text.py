"""What comes from a record, a file or its name, as text on a page: nothing in it acts as Markdown, HTML or math."""

import re
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
