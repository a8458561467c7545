"""The library's reference: docstrings as autodoc reads them, and links from the prose. A Sphinx extension.

Inline code that names one function, class or module of the reference leads to it, as `geometry.warp` or `warp(...)`
do; a bare word may be anything, and `data.joints` is a setting.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains.python import PythonDomain

PAGES = re.compile(r"api(_\w+)?")
NAME = re.compile(r"(?=.*[._(]|[A-Z]+[a-z]+[A-Z])([A-Za-z][\w.]*)(?:\(.*\))?")
RANGED = re.compile(r"[~\w.]*\bAnnotated\[([~\w.]+), [~\w.]*\bRange\([^)]*\)\]")
BAR = re.compile(r"``.*?``|\|", re.DOTALL)


def configure(app: Sphinx, config: Config) -> None:
    config.autodoc_default_options = {"members": True, "no-value": True, "ignore-module-all": True}
    config.autodoc_inherit_docstrings = False  # an override says what is its own
    config.autodoc_member_order = "bysource"
    config.autodoc_typehints_format = "short"
    config.autodoc_preserve_defaults = True
    config.napoleon_use_ivar = True
    config.nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries have no page here
    config.toc_object_entries = False  # hundreds of names would stand in the menu


def plain_bars(app: Sphinx, what: str, name: str, thing: object, options: dict, lines: list[str]) -> None:
    """Bars in docstrings are absolute values and norms, not substitutions; code keeps its own."""
    lines[:] = BAR.sub(lambda found: r"\|" if found[0] == "|" else found[0], "\n".join(lines)).split("\n")


def plain_types(app: Sphinx, what: str, name: str, thing: object, options: dict, signature: str | None,
                returns: str | None) -> tuple[str | None, str | None]:
    """Without the ranges of settings, which their own error messages say."""
    return RANGED.sub(r"\1", signature) if signature else signature, returns


def link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if PAGES.fullmatch(docname):
        return
    domain = app.env.get_domain("py")
    for literal in list(doctree.findall(nodes.literal)):
        found = find(domain, literal.astext())
        if found and not isinstance(literal.parent, nodes.reference):
            page, anchor = found
            address = app.builder.get_relative_uri(docname, page) + f"#{anchor}"
            reference = nodes.reference("", "", internal=True, refuri=address)
            literal.replace_self(reference)
            reference += literal


def find(domain: PythonDomain, text: str) -> tuple[str, str] | None:
    """Page and anchor of the one thing that a text names: by the end of its full name, or by a package that has it."""
    named = NAME.fullmatch(text)
    if not named:
        return None
    words = named[1].split(".")

    def means(full: list[str]) -> bool:
        return full[-len(words):] == words or (
            words[0] == "matlib" and full[-1] == words[-1] and full[:len(words) - 1] == words[:-1])

    found = {(entry.docname, entry.node_id) for name, entry in domain.objects.items()
             if PAGES.fullmatch(entry.docname) and means(name.split("."))}
    return found.pop() if len(found) == 1 else None


def setup(app: Sphinx) -> dict[str, bool]:
    for extension in ("sphinx.ext.autodoc", "sphinx.ext.napoleon"):
        app.setup_extension(extension)
    app.connect("config-inited", configure)
    app.connect("autodoc-process-signature", plain_types)
    app.connect("autodoc-process-docstring", plain_bars, priority=900)
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
