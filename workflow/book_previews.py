"""What stands behind a link of the prose, for those who point at it or reach it with the keyboard: equations, captions
of figures and tables, entries of the references, first words about a function. A Sphinx extension.

Each page holds what its links lead to, since a page that is opened as a file may not read another one;
``_static/previews.js`` shows it.
"""

import re
from functools import cache
from pathlib import Path

from sphinx.application import Sphinx

LINK = re.compile(r'<a class="reference internal" href="(([\w-]*)(?:\.html)?#([^"]+))"')
#: Places that links lead to, with what is shown of each.
PLACES = [re.compile(pattern, re.DOTALL) for pattern in (
    r'<div class="math[^>]* id="([^"]+)">(?:(?!</div>).)*?(\\\[.*?\\\])</div>',
    r'<figcaption id="([^"]+)-caption">(.*?)</figcaption>',
    r'<figure[^>]* id="([^"]+)">(?:(?!<figure).)*?<figcaption>(.*?)</figcaption>',
    r'<table[^>]* id="([^"]+)">\s*<caption>(.*?)</caption>',
    r'<div class="citation" id="([^"]+)"[^>]*>.*?</span>\s*<p>(.*?)</p>',
    r'<dt class="sig[^>]* id="([^"]+)">(?:(?!<dt).)*?</dt>\s*<dd><p>(.*?)</p>')]
#: Links lead from where they stand, and names stand once on a page.
DROPPED = re.compile(r'<a class="headerlink".*?</a>|</?a\b[^>]*>| (?:class="caption-\w+"|id="[^"]*")', re.DOTALL)


def add_previews(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    places = cache(lambda page: _places((site / f"{page}.html").read_text()))
    for name in app.env.found_docs:
        path = site / f"{name}.html"
        content = path.read_text()
        shown = {link: places(page or name).get(target) for link, page, target in LINK.findall(content)}
        held = "".join(f'<template data-preview="{link}">{words}</template>' for link, words in shown.items() if words)
        path.write_text(content.replace("</article>", f"{held}</article>", 1))


def _places(content: str) -> dict[str, str]:
    return {name: DROPPED.sub("", shown) for place in PLACES for name, shown in place.findall(content)}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", add_previews)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
