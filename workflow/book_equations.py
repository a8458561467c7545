"""Links where the prose names an equation of the paper by its number, as in "Equation 9" or "Equations 10 to 12".

A Sphinx extension. A page gives an equation of the paper the target ``eq-9`` and ``\\tag{9}``.
"""

import re
from collections.abc import Iterator
from itertools import groupby

from docutils import nodes
from sphinx.application import Sphinx

NAMED = re.compile(r"\bEquations?\s+(\d+(?:(?:,|,? and| to| or)\s+\d+)*)")
NUMBER = re.compile(r"\d+")
#: What is no prose, or leads somewhere already.
APART = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.raw)


def link_equations(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for element in list(doctree.findall(nodes.TextElement)):
        if NAMED.search(element.astext()) and not any(isinstance(each, APART) for each in _upwards(element)):
            children = []
            for is_text, run in groupby(element.children, lambda child: isinstance(child, nodes.Text)):
                # a line's end is a text of its own
                children += _pieces(app, docname, "".join(map(nodes.Text.astext, run))) if is_text else run
            element[:] = children


def _pieces(app: Sphinx, docname: str, text: str) -> Iterator[nodes.Node]:
    """The text, with a link in the place of each equation's number; the first holds the word before it, too."""
    labels, start = app.env.get_domain("std").anonlabels, 0
    for named in NAMED.finditer(text):
        for number in NUMBER.finditer(text, named.start(1), named.end(1)):
            if label := labels.get(f"eq-{number[0]}"):
                begin = named.start() if number.start() == named.start(1) else number.start()
                address = app.builder.get_relative_uri(docname, label[0]) if label[0] != docname else ""
                yield nodes.Text(text[start:begin])
                yield nodes.reference("", text[begin:number.end()], internal=True, refuri=f"{address}#{label[1]}")
                start = number.end()
    yield nodes.Text(text[start:])


def _upwards(node: nodes.Node) -> Iterator[nodes.Node]:
    while node:
        yield node
        node = node.parent


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", link_equations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
