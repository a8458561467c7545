"""Figures and tables of ``matlib.report.captions`` as Sphinx knows them: numbered, and found by {numref}.

A Sphinx extension; _config.yml names it. Pictures within a figure become files beside the page.
"""

import base64
import hashlib
import io
import re
from html import unescape
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

SHOWN = re.compile(r'<figure class="shown (figure|table)" id="([^"]+)">(.*)</figure>', re.DOTALL)
CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", re.DOTALL)
MARKUP = re.compile(r"<code>(?P<code>.*?)</code>|\$(?P<math>[^$]+)\$")
RASTER = re.compile(r'href="data:image/\w+;base64,([^"]+)"')


class shown_figure(nodes.General, nodes.Element):
    """Of a notebook's output; ``body`` is its HTML, its only child the caption."""


class shown_table(shown_figure):
    pass


class shown_caption(nodes.TextElement):
    pass


class NumberShown(SphinxTransform):
    """Puts a node with a caption and a name in the place of each output that ``captions`` made."""

    default_priority = 300  # before labels are collected

    def apply(self, **options: object) -> None:
        for raw in list(self.document.findall(nodes.raw)):
            if found := SHOWN.fullmatch(raw.astext().strip()):
                output = raw.parent.parent  # of all formats of the output
                output.replace_self(self.shown(*found.groups()))

    def shown(self, kind: str, label: str, content: str) -> nodes.Element:
        words = CAPTION.search(content)
        node = (shown_figure if kind == "figure" else shown_table)(body=content.replace(words[0], ""), names=[label])
        node += shown_caption("", "", *caption_nodes(words[1]))
        self.document.note_explicit_target(node)
        return node


def caption_nodes(text: str) -> list[nodes.Node]:
    """Text, code and math of a caption in HTML."""
    found, start = [], 0
    for mark in MARKUP.finditer(text):
        found.append(nodes.Text(unescape(text[start:mark.start()])))
        kind, inner = ("code", mark["code"]) if mark["code"] is not None else ("math", mark["math"])
        found.append((nodes.literal if kind == "code" else nodes.math)("", unescape(inner)))
        start = mark.end()
    return [*found, nodes.Text(unescape(text[start:]))]


def write_rasters(translator: HTML5Translator, content: str) -> str:
    """The HTML with each picture that it holds as a file, in the smaller format."""
    folder = Path(translator.builder.outdir) / translator.builder.imagedir

    def write(found: re.Match) -> str:
        data = base64.b64decode(found[1])
        name = f"{hashlib.sha256(data).hexdigest()[:20]}.webp"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            Image.open(io.BytesIO(data)).save(folder / name, lossless=True, method=2, quality=20)  # effort: 6 % for 4x
        return f'href="{translator.builder.imgpath}/{name}"'

    return RASTER.sub(write, content)


def visit_figure(translator: HTML5Translator, node: shown_figure) -> None:
    translator.body.append(f'<figure class="shown" id="{node["ids"][0]}">\n<div class="picture" tabindex="0">'
                           f'{write_rasters(translator, node["body"])}</div>\n')


def visit_table(translator: HTML5Translator, node: shown_table) -> None:
    translator.body.append(f'<figure class="shown" id="{node["ids"][0]}">\n')


def visit_caption(translator: HTML5Translator, node: shown_caption) -> None:
    translator.body.append(f'<figcaption id="{node.parent["ids"][0]}-caption">')
    translator.add_fignumber(node.parent)
    translator.body.append('<span class="caption-text">')


def depart_caption(translator: HTML5Translator, node: shown_caption) -> None:
    translator.body.append("</span>")
    translator.add_permalink_ref(node.parent, "Link to this figure or table")
    translator.body.append("</figcaption>\n")


def depart_figure(translator: HTML5Translator, node: shown_figure) -> None:
    translator.body.append("</figure>\n")


def depart_table(translator: HTML5Translator, node: shown_table) -> None:
    translator.body.append('<div class="output text_html pst-scrollable-table-container" role="region" tabindex="0" '
                           f'aria-labelledby="{node["ids"][0]}-caption">{node["body"]}</div>\n</figure>\n')


def title(node: shown_figure) -> str:
    return node[0].astext()


def number_by_chapter(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Every number begins with its chapter's, so that it stands once in the book and is none of the paper's; the first
    page, which no part can number, is chapter 0."""
    for page, kinds in env.toc_fignumbers.items():
        if any(len(number) < 2 for found in kinds.values() for number in found.values()):
            if page != app.config.root_doc:
                logger.warning("%s has numbered figures or tables and no chapter number: say `numbered: true` at its "
                               "part in book/_toc.yml", page)
            for found in kinds.values():
                found.update({label: (0, *number)[-2:] for label, number in found.items()})
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_enumerable_node(shown_figure, "figure", title, html=(visit_figure, depart_figure))
    app.add_enumerable_node(shown_table, "table", title, html=(visit_table, depart_table))
    app.add_node(shown_caption, html=(visit_caption, depart_caption))
    app.add_transform(NumberShown)
    app.connect("env-get-updated", number_by_chapter, priority=900)  # after Sphinx has numbered
    return {"parallel_read_safe": True, "parallel_write_safe": True}
