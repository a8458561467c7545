"""What comes from a record, a file or its name, as text on a page: nothing in it acts as Markdown, HTML or math."""

import re
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
