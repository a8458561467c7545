"""The whole book as one PDF, printed by chromium from the built site.

    python workflow/book_pdf.py SITE PDF

The pages stand in it in the order of the menu, and links between them lead from page to page of the PDF. The pages of
the records are left out: there are hundreds, of numbers.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from matlib.errors import MatlibError, not_written

HEAD = re.compile(r"<head>.*?</head>", re.DOTALL)
ARTICLE = re.compile(r"<article[^>]*>(.*)</article>", re.DOTALL)
MENU = re.compile(r'<nav class="bd-links[^>]*>(.*?)</nav>', re.DOTALL)
ENTRY = re.compile(r'<a class="reference internal" href="([\w-]+)\.html">')
FIRST = re.compile(r'url=([\w-]+)\.html')
LIVE = re.compile(r"<(script|template)\b.*?</\1>", re.DOTALL)
NAME = re.compile(r'\b(id|aria-labelledby|aria-describedby)="([^"]+)"')
LINK = re.compile(r'(<a\b[^>]*?\s)(?:xlink:)?href="(?![a-z]+:)([^"#]*?)(?:\.html)?(?:#([^"]*))?"')
USE = re.compile(r'url\(#|xlink:href="#')  # within drawings
FOOTER = '<div style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></div>'
STYLE = "article + article, nav + article { break-before: page; } article, nav { max-width: none; }"


def browser_program() -> str | None:
    """The browser that CHROMIUM names, or else Debian's."""
    return shutil.which(os.environ.get("CHROMIUM") or "chromium")


def whole(site: Path) -> str:
    """All pages of the menu as one, to lie in the site's folder."""
    first = FIRST.search((site / "index.html").read_text())[1]
    opening = (site / f"{first}.html").read_text()
    menu = MENU.search(opening)[1]
    pages = {name: (site / f"{name}.html").read_text() for name in dict.fromkeys([first, *ENTRY.findall(menu)])}
    head = next((text for text in pages.values() if "mathjax" in text), opening)
    articles = [f'<article class="bd-article" id="{name}--">{_within(ARTICLE.search(text)[1], name, pages)}</article>'
                for name, text in pages.items()]
    return (f'<!DOCTYPE html><html lang="en" data-theme="light">{HEAD.search(head)[0]}<style>{STYLE}</style>'
            f'<body><main class="bd-content">{articles[0]}<nav><h1>Contents</h1>{_within(menu, first, pages)}</nav>'
            f'{"".join(articles[1:])}</main></body></html>')


def _within(content: str, page: str, pages: dict[str, str]) -> str:
    """A page's content for a place among the others: its names are its own, links lead to where their pages stand."""
    def link(found: re.Match) -> str:
        to = found[2] or page
        return found[1] + (f'href="#{to}--{found[3] or ""}"' if to in pages else "")

    content = NAME.sub(rf'\1="{page}--\2"', LIVE.sub("", content))
    return USE.sub(rf"\g<0>{page}--", LINK.sub(link, content))


def print_site(site: Path, target: Path) -> None:
    """Raises MatlibError where there is no site, or nothing to print it with."""
    if not (site / "index.html").exists():
        raise MatlibError(f"there is no built book in {site}; make book builds it")
    program = browser_program()
    if not program:
        raise MatlibError("the PDF is printed by chromium, which is not installed (Debian: apt-get install chromium); "
                          "install it, or name another browser of its kind in CHROMIUM")
    from playwright.sync_api import sync_playwright  # where chromium is missing, that is said first

    page_file = site / "whole.html"
    try:
        page_file.write_text(whole(site))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(color_scheme="light")
            page.goto(page_file.resolve().as_uri(), timeout=0)  # all pages at once: minutes on a slow machine
            page.evaluate("() => window.MathJax?.startup?.promise?.then(() => 0)")
            page.pdf(path=target, format="A4", outline=True, tagged=True, print_background=True,
                     display_header_footer=True, header_template="<span></span>", footer_template=FOOTER,
                     margin={"top": "15mm", "bottom": "15mm", "left": "15mm", "right": "15mm"})
            browser.close()
    except OSError as error:
        raise not_written(target, error) from None
    finally:
        page_file.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("pdf", type=Path)
    options = parser.parse_args()
    try:
        print_site(options.site, options.pdf)
    except MatlibError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
