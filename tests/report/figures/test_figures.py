"""Figures: things are drawn where they are."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

matplotlib.use("Agg")

from matlib.geometry import receptive_field_scale
from matlib.report import figures


@pytest.mark.parametrize("cell", [(0, 0), (3, 5), (7, 15)])
def test_a_keypoint_on_a_cell_is_drawn_on_the_pixel_that_the_cell_looks_at(cell):
    stride, size, grid = 8, (128, 64), (16, 8)
    scale = receptive_field_scale(size, grid, stride)
    position = torch.tensor([[2 * cell[0] / (grid[1] - 1) - 1, 2 * cell[1] / (grid[0] - 1) - 1]])
    figure, axes = figures.plt.subplots()
    figures.draw_keypoints(axes, position, size, scale)
    np.testing.assert_allclose(axes.collections[0].get_offsets()[0], (stride * cell[0], stride * cell[1]), atol=1e-4)


def test_runs_of_several_panels_have_one_legend_that_takes_room_from_none():
    frame = pd.DataFrame({"row": ["a", "b"], "name": ["a", "b"], "steps": [1, 2], "rank1": [1.0, 2.0],
                          "NMI": [3.0, np.nan], "flow error": [4.0, 5.0]})
    scores = ["NMI", "flow error"]
    for figure in (figures.trade(frame, scores), figures.by_amount(frame, "steps", scores)):
        assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b"]
        assert all(axes.get_legend() is None for axes in figure.axes)
        figures.plt.close(figure)


@pytest.mark.parametrize("parts", [0, 3, 6, 7, 10, 14, 17])
def test_every_part_has_a_colour_of_its_own_and_the_background_none(parts):
    colours = figures.part_colours(parts)
    assert colours.shape == (parts + 1, 4) and colours[0, 3] == 0 and (colours[1:, 3] == 1).all()
    assert len(np.unique(colours[1:].round(4), axis=0)) == parts


def test_figure_2_names_every_equation_of_the_objective():
    text = " ".join(t.get_text() for t in figures.figure2().axes[0].texts)
    assert all(f"Eq. {n}" in text for n in ("1", "2, 4", "3, 5-7", "8, 10-12", "13, 14", "15, 17", "16, 17"))


def test_figure_2_is_written_in_letters_of_every_font():
    assert not re.search("[\ue000-\uf8ff]", figures.figure2_linked())  # Unicode's private use


def test_the_introductions_picture_is_figure_2():
    """book/_static/figure2.svg, for the page that no kernel executes."""
    committed = Path(__file__).parents[3] / "book" / "_static" / "figure2.svg"
    assert committed.read_text() == figures.figure2_svg(), \
        "write it anew: python -m matlib.report.figures book/_static/figure2.svg"


def test_every_box_of_the_linked_figure_2_leads_to_a_page_of_the_book():
    pages = set(re.findall(r'xlink:href="(\w+)\.html"', figures.figure2_linked()))
    book = Path(__file__).parents[3] / "book"
    assert len(pages) >= 7 and all((book / f"{page}.ipynb").exists() for page in pages)
