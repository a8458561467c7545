"""One way to show a figure or a table: with a caption that says what it shows, and a figure with its content in words.

What is shown is one piece of HTML, which any notebook displays with its caption. On a page of the book it also has a
number, and prose refers to it: {numref}`fig-flow`. ``workflow/book_captions.py`` reads what is written here.
"""

import html
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from matlib.ablations import Row
from matlib.errors import MatlibError
from matlib.report import tables
from matlib.report.figures.style import INK

#: Pixels of a page's text column: a figure that is wider is made smaller, its letters not.
COLUMN = 680
_ROOT = re.compile(r'.*?<svg [^>]*?width="([\d.]+)pt"[^>]*?viewBox="([^"]+)"[^>]*>', re.DOTALL)
_NOISE = re.compile(r"""<metadata>.*?</metadata>|<style [^>]*>.*?</style>|<!--.*?-->|font-family: [^;"]*; |"""
                    r"""transform="rotate\(-0 [^"]*\)"|^ +""", re.DOTALL | re.MULTILINE)
_ID = re.compile(r' id="([^"]+)"')
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Shown:
    """What a notebook displays when a cell ends with it, or ``display`` is given it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def figure(picture: Figure | str, label: str, caption: str, alt: str, of: str = "") -> Shown:
    """A figure with its caption below it.

    Args:
        picture: a matplotlib figure, which is closed; or HTML.
        label: ``fig-`` and a name of its own in the book.
        caption: what is shown, and what its marks mean; words between backticks are code, between dollars math.
        alt: what there is to see, for those who do not see it.
        of: which data and runs; all of it plain text, so that it may come from records.

    Raises MatlibError where a label, a caption or the words are missing.
    """
    _check("fig", label, caption)
    if not alt.strip():
        raise MatlibError(f"the figure {label} needs alt, its content in words")
    if isinstance(picture, Figure):
        body = svg(picture, label, alt)
        plt.close(picture)
    else:
        body = f'<div role="group" aria-label="{html.escape(alt)}">{picture}</div>'
    return Shown(f'<figure class="shown figure" id="{label}">{body}{_caption(caption, of)}</figure>')


def table(content: pd.DataFrame | Styler | str, label: str, caption: str, of: str = "") -> Shown:
    """A table with its caption above it.

    Args:
        content: a table, styled or not, or its HTML.
        label: ``tab-`` and a name of its own in the book.
        caption, of: as for ``figure``.

    Raises MatlibError where the label or the caption is missing.
    """
    _check("tab", label, caption)
    content = tables.show(content) if isinstance(content, pd.DataFrame) else content
    body = content if isinstance(content, str) else content.to_html()
    return Shown(f'<figure class="shown table" id="{label}">{_caption(caption, of)}{body}</figure>')


def differences(rows: Iterable[Row], frame: pd.DataFrame, label: str, of: str) -> Shown | None:
    """``tables.differences`` to the full model, with what their intervals hold; None where there are none."""
    pairs = tables.differences(rows, frame)
    note = tables.interval_note(tables.training_deviation(frame, ["rank1", "mAP"]))
    caption = (f"Each row less the full model, query by query, in points, with {note}; n trainings of the row. An "
               "interval that holds 0 is a difference that chance explains.")
    return table(pairs, label, caption, of) if len(pairs) else None


def provenance(frame: pd.DataFrame, label: str) -> Shown:
    """``tables.provenance`` of all records of a frame."""
    return table(tables.provenance(frame), label, "The records of this page; each seed leads to its own.")


def svg(picture: Figure, label: str, alt: str) -> str:
    """The figure as SVG to stand within HTML: its ink is that of the text around it, its ids are the label's own."""
    for _ in range(3):  # what stands outside of the axes keeps its size, so that once may not do
        file = io.StringIO()
        picture.savefig(file, format="svg", bbox_inches="tight", pad_inches=0.03, dpi=130)
        text = file.getvalue()
        root = _ROOT.match(text)
        width = float(root[1]) * 4 / 3
        if width <= COLUMN:
            break
        picture.set_size_inches(picture.get_size_inches() * COLUMN / (width + 1))
    body = _NOISE.sub("", text[root.end():].replace(INK, "currentColor"))
    used = set(re.findall(r"#([\w-]+)", body))
    body = _ID.sub(lambda found: f' id="{label}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r'(url\(|xlink:href=")#', rf"\1#{label}-", body)
    return (f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="{root[2]}" style="width: {width:.0f}px; '
            f'max-width: 100%; height: auto; stroke-linejoin: round" xmlns="http://www.w3.org/2000/svg" '
            f'xmlns:xlink="http://www.w3.org/1999/xlink">{body}')


def _check(kind: str, label: str, caption: str) -> None:
    if not re.fullmatch(rf"{kind}-[a-z0-9-]+", label):
        raise MatlibError(f"a label is {kind}- and small letters, digits and dashes, as {kind}-flow; got {label!r}")
    if not caption.strip():
        raise MatlibError(f"{label} needs a caption")


def _caption(text: str, of: str) -> str:
    words = _CODE.sub(r"<code>\1</code>", _escaped(text))
    names = _escaped(of).replace("$", "&#36;")
    return f"<figcaption>{words}{f' {names}.' if of else ''}</figcaption>"


def _escaped(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False)
