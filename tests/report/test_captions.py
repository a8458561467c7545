"""What notebooks show: numbered, captioned and described figures and tables whose text can be read."""

import re

import matplotlib
import pandas as pd
import pytest
from bs4 import BeautifulSoup

matplotlib.use("Agg")

from matlib.errors import MatlibError
from matlib.report import captions, figures
from matlib.report.figures.style import INK


def plot(width: float = 5.0):
    figures.setup()
    figure, ax = figures.plt.subplots(figsize=(width, 2))
    ax.plot([0, 1], [0, 1], marker="o", label="a line")
    ax.set(title="title", xlabel="amount")
    ax.legend()
    return figure


def parsed(shown: captions.Shown) -> BeautifulSoup:
    return BeautifulSoup(shown._repr_html_(), "html.parser")


def test_a_figure_has_its_label_caption_and_words_and_is_closed():
    figure = plot()
    page = parsed(captions.figure(figure, "fig-lines", "Lines of `x < 1` and $K$.", 'One line, "steep".', "Run: a"))
    shown = page.find("figure", id="fig-lines")
    assert shown.figcaption.get_text() == "Lines of x < 1 and $K$. Run: a."
    assert shown.figcaption.code.get_text() == "x < 1"
    assert shown.svg["role"] == "img" and shown.svg["aria-label"] == 'One line, "steep".'
    assert not figures.plt.fignum_exists(figure.number)


def test_ink_is_the_pages_own_and_text_is_text():
    page = parsed(captions.figure(plot(), "fig-ink", "A line.", "A line."))
    assert INK not in str(page) and "currentColor" in str(page)
    assert {"title", "amount", "a line"} <= {text.get_text() for text in page.find_all("text")}


@pytest.mark.parametrize("width", [3.0, 14.0])
def test_no_text_is_smaller_than_11_pixels_in_the_column(width):
    svg = parsed(captions.figure(plot(width), "fig-wide", "A line.", "A line.")).svg
    shown = float(re.search(r"width: (\d+)px", svg["style"])[1])
    scale = min(shown, captions.COLUMN) / float(svg["viewbox"].split()[2])
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", str(svg))]
    assert sizes and min(sizes) * scale >= 11
    assert shown <= captions.COLUMN + 1


def test_two_figures_on_a_page_share_no_id():
    first, second = (parsed(captions.figure(plot(), f"fig-{name}", "A line.", "A line.")) for name in ("one", "two"))
    ids = [[element["id"] for element in page.find_all(id=True)] for page in (first, second)]
    assert not set(ids[0]) & set(ids[1]) and all(len(own) == len(set(own)) for own in ids)
    for page, own in zip((first, second), ids):
        assert set(re.findall(r'(?:url\(|xlink:href=")#([\w-]+)', str(page))) <= set(own)


def test_a_table_has_its_caption_above_it():
    shown = parsed(captions.table(pd.DataFrame({"a": [1.25]}, index=["<b>"]), "tab-one", "One number.")).figure
    assert [child.name for child in shown.find_all(recursive=False) if child.name != "style"] == ["figcaption", "table"]
    assert "<b>" in shown.table.get_text() and not shown.table.find("b")


@pytest.mark.parametrize(("label", "caption", "alt"), [
    ("lines", "A line.", "A line."), ("tab-lines", "A line.", "A line."), ("fig-Lines", "A line.", "A line."),
    ("fig-lines", " ", "A line."), ("fig-lines", "A line.", "")])
def test_a_figure_without_label_caption_or_words_is_refused(label, caption, alt):
    with pytest.raises(MatlibError):
        captions.figure("<svg></svg>", label, caption, alt)


def test_a_table_without_label_or_caption_is_refused():
    for label, caption in (("fig-one", "A number."), ("tab-one", "")):
        with pytest.raises(MatlibError):
            captions.table(pd.DataFrame({"a": [1]}), label, caption)


def test_what_comes_from_a_record_is_plain_text():
    hostile = "<script>x</script> `code` $a$ & more"
    page = parsed(captions.table(pd.DataFrame({"a": [1]}), "tab-one", "A number.", hostile))
    assert not page.find(["script", "code"])
    assert page.figcaption.get_text() == f"A number. {hostile}."
    assert "$" not in str(captions.table(pd.DataFrame({"a": [1]}), "tab-one", "A.", hostile).html)
