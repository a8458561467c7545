"""Renders the book with Jupyter Book; the site appears under its name only when it is whole.

    python workflow/book_html.py BOOK SITE --pages NOTEBOOK ... --config FILE --log FILE

BOOK has the texts, the executed notebooks take the place of its own. Where rendering fails, the earlier site stays.
"""

import argparse
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from guard import end_with_parent

from matlib.errors import MatlibError, not_written


def render(book: Path, pages: list[Path], config: Path, site: Path, log: Path) -> None:
    """Raises MatlibError where the disk refuses, or with what Jupyter Book says where that fails."""
    new = site.with_name("new")
    try:
        shutil.rmtree(new, ignore_errors=True)  # left by a build that was killed
        _copy(book, pages, new / "book")
        _jupyter_book(new / "book", new, config, log)
        _exchange(new / "_build" / "html", site)
    except OSError as error:
        raise not_written(site, error) from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _copy(book: Path, pages: list[Path], target: Path) -> None:
    texts = [path for path in book.rglob("*") if path.is_file() and path.suffix not in (".ipynb", ".json")]
    for path, place in [*((text, text.relative_to(book)) for text in texts), *((page, page.name) for page in pages)]:
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / place)


def _jupyter_book(book: Path, out: Path, config: Path, log: Path) -> None:
    command = ["jupyter-book", "build", book, "--path-output", out, "--config", config,
               "-n", "-W", "--keep-going", "-q"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode and os.strerror(errno.ENOSPC) in done.stdout:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    log.write_text(done.stdout)
    if done.returncode:
        raise MatlibError(f"the book could not be rendered:\n{done.stdout}")


def _exchange(made: Path, site: Path) -> None:
    old = site.with_name("old")
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.rename(old)
    made.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("book", type=Path)
    parser.add_argument("site", type=Path)
    parser.add_argument("--pages", type=Path, nargs="+", required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    end_with_parent()
    try:
        render(options.book, options.pages, options.config, options.site, options.log)
    except MatlibError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
