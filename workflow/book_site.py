"""What Jupyter Book leaves open about the site: who made it and how to cite it, and that no page loads or carries more
than it uses. A Sphinx extension; _config.yml names it.
"""

import importlib.util
import logging
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from fontTools import subset
from sphinx.application import Sphinx
from sphinx.config import Config

SOURCE = Path(__file__).parents[1]
#: Files that lie beside the pages, and that the footer links.
BESIDE = ("CITATION.cff", "LICENSE", "CHANGELOG.md")
#: The parts of MathJax that pages load, instead of a bundle with a menu and speech rules of half a megabyte. What its
#: package holds beside them is not copied: a page that needs \cancel, say, adds "cancel" here.
TEX = ["ams", "boldsymbol", "noundefined"]
MATHJAX = ["core", "input/tex-base", *(f"[tex]/{name}" for name in TEX), "output/chtml", "a11y/assistive-mml"]
MATHJAX_FILES = ["startup.js", "output/chtml/fonts/tex.js",
                 *(f"{part.replace('[tex]', 'input/tex/extensions')}.js" for part in MATHJAX)]
#: Live code (its address is on another host), and the design elements of pages that have none.
THEBE = re.compile("thebe", re.IGNORECASE)
DESIGN = re.compile("sphinx-design|design-tabs")
RULE = re.compile(r"([^{};]*)\{[^{}]*\}")  # of a style sheet; inside a @media block too
CLASS = re.compile(r"\.([a-zA-Z_-][\w-]*)")
SOURCE_MAP = re.compile(r"(/\*#|//#) sourceMappingURL=\S+?( ?\*/)?(\n|$)")
#: The whole icon set as a script (the fonts draw them too), and, on all but the search page, what searches.
ICON_SCRIPT = re.compile(r'\s*<script[^>]*/fontawesome\.js[^>]*></script>')
UNUSED_SCRIPTS = re.compile(
    r'\s*<script[^>]*[/"](?:fontawesome|searchtools|language_data|searchindex)\.js[^>]*></script>')
#: A page that is opened as a file may not read others, so that its search shows titles alone. Elsewhere excerpts are
#: of what a reader sees: not of folded code.
EXCERPTS = """
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
addEventListener("DOMContentLoaded", () => {
  const text = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll("details.hide, .page-needs").forEach(folded => folded.remove());
    return text(page.documentElement.outerHTML, anchor);
  };
});
"""
INDEX = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><meta http-equiv="refresh" content="0; url={page}"></head>
<body><p><a href="{page}">{title}</a></p></body>
</html>
"""


def configure(app: Sphinx, config: Config) -> None:
    options = config.html_theme_options
    for button in ("repository", "edit_page", "issues", "source"):
        options[f"use_{button}_button"] = bool(options.get("repository_url"))
    citation = yaml.safe_load((SOURCE / "CITATION.cff").read_text())
    if repository := options.get("repository_url"):
        options["launch_buttons"] = {"binderhub_url": "https://mybinder.org",  # .binder/environment.yml
                                     "notebook_interface": "jupyterlab"}
        if urlsplit(repository).hostname == "github.com":  # Colab opens no others
            options["launch_buttons"]["colab_url"] = "https://colab.research.google.com"
    options["extra_footer"] = footer(citation, options.get("repository_url"))
    config.html_extra_path = [*config.html_extra_path, *(str(SOURCE / name) for name in BESIDE)]
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = {"loader": {"load": MATHJAX}, "tex": {"packages": {"[+]": TEX}}}


def footer(citation: dict[str, Any], repository: str | None) -> str:
    """Version, changes, licence and how to cite, as HTML."""
    name = f"matlib {escape(str(citation['version']))}"
    if repository:
        name = f'<a href="{escape(repository)}">{name}</a>'
    authors = ", ".join(author["name"] for author in citation["authors"])
    paper = citation["references"][0]
    return (f'<p>{name} (<a href="CHANGELOG.md">changes</a>), '
            f'licence <a href="LICENSE">{escape(citation["license"])}</a>.</p>'
            f'<p>To cite it (<a href="CITATION.cff">CITATION.cff</a>): {escape(authors)}. '
            f'<cite>{escape(citation["title"])}</cite>, version {escape(str(citation["version"]))}. '
            f'And the paper that it reproduces: {escape(paper["authors"][0]["family-names"])} et al. '
            f'<cite>{escape(paper["title"])}</cite>, {escape(paper["identifiers"][0]["value"])}, {paper["year"]}.</p>')


def drop_unused_assets(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Of the files and scripts that extensions add to every page, keeps each once, and those that the page uses."""
    if pagename == "search":
        app.add_js_file(None, body=EXCERPTS)
    for name in BESIDE:  # pages lie in folders, too
        context["theme_extra_footer"] = context["theme_extra_footer"].replace(
            f'href="{name}"', f'href="{context["pathto"](name, resource=True)}"')
    context["body"] = context.get("body", "").replace(' role="list" class="citation-list"', ' class="citation-list"')
    for kind in ("css_files", "script_files"):
        kept = {}
        for asset in context[kind]:
            what = f"{asset.filename or ''}{getattr(asset, 'attributes', {}).get('body') or ''}"
            if not THEBE.search(what) and ("sd-" in context.get("body", "") or not DESIGN.search(what)):
                kept.setdefault(what, asset)
        context[kind] = list(kept.values())


def finish(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    write_index(site, str(app.config.root_doc), app.config.html_title)
    copy_mathjax(site / "_static" / "mathjax")
    trim(site)


def write_index(site: Path, root: str, title: str) -> None:
    (site / "index.html").write_text(INDEX.format(page=f"{root}.html", title=escape(title)))


def copy_mathjax(target: Path) -> None:
    package = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for name in MATHJAX_FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package / name, target / name)
    fonts = "output/chtml/fonts/woff-v2"
    shutil.copytree(package / fonts, target / fonts, dirs_exist_ok=True)


def trim(site: Path) -> None:
    """Takes out of a built site what no page uses; does nothing to a site that has been trimmed."""
    for page in pages_of(site):
        unused = ICON_SCRIPT if page.name == "search.html" else UNUSED_SCRIPTS
        page.write_text(unused.sub("", page.read_text()))
    static = site / "_static"
    for path in [*static.rglob("*.css"), *static.glob("scripts/*.js")]:
        path.write_text(SOURCE_MAP.sub("", path.read_text()))
    trim_theme(site, static)
    files = {path for path in static.rglob("*") if path.is_file() and static / "mathjax" not in path.parents}
    found = set(pages_of(site))
    while found:  # files that are named by pages, and by the styles and scripts among them
        texts = [path.read_text() for path in found if path.suffix in {".html", ".css", ".js"}]
        found = {path for path in files if any(path.name in text for text in texts)}
        files -= found
    for path in files:
        path.unlink()
    for folder in sorted((path for path in static.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def pages_of(site: Path) -> list[Path]:
    return [path for path in site.rglob("*.html") if site / "_static" not in path.parents]


def trim_theme(site: Path, static: Path) -> None:
    """Of the theme's rules leaves those whose classes pages or scripts name, of its icons those with a rule."""
    users = [*pages_of(site), *static.glob("*.js"), *static.glob("scripts/*.js")]
    words = {word for path in users for word in re.findall(r"[\w-]+", path.read_text())}
    words.add("bs-tooltip-auto")  # which a script puts together

    def keep(rule: re.Match) -> str:
        selectors = rule[1]
        if any(mark in selectors for mark in ("(", "\\", "/*")):  # not worth reading right
            return rule[0]
        return rule[0] if any(words.issuperset(CLASS.findall(each)) for each in selectors.split(",")) else ""

    theme = static / "styles" / "pydata-sphinx-theme.css"
    css = RULE.sub(keep, theme.read_text())
    theme.write_text(re.sub(r"url\([^)]*\.woff2\) format\(\"woff2\"\),", "", css))
    styles = "".join(path.read_text() for path in static.rglob("*.css"))
    glyphs = {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", styles)}
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)
    for path in static.glob("vendor/fontawesome/webfonts/*.ttf"):
        font = subset.load_font(path, subset.Options())
        subsetter = subset.Subsetter()
        subsetter.populate(unicodes=glyphs)
        subsetter.subset(font)
        font.save(path)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure)
    app.connect("html-page-context", drop_unused_assets, priority=900)  # after MathJax has been added
    app.connect("build-finished", finish, priority=900)  # after everything is copied
    return {"parallel_read_safe": True, "parallel_write_safe": True}
