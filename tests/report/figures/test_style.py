"""Colours that can be seen: by anybody, on light and on dark."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from matlib.report.figures.style import PALETTE

GROUNDS = ("#ffffff", "#14181e", "#121212")  # of the book's themes


def linear(colour) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(colour) -> float:
    return float(linear(colour) @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("colour", PALETTE)
@pytest.mark.parametrize("ground", GROUNDS)
def test_lines_stand_out_from_both_grounds(colour, ground):
    """WCAG 2.1, 1.4.11: 3 : 1."""
    low, high = sorted((luminance(colour), luminance(ground)))
    assert (high + 0.05) / (low + 0.05) >= 3


#: What the colour-blind see of linear red, green and blue: Viénot, Brettel and Mollon, 1999.
DICHROMATS = {
    "protanope": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranope": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("kind", DICHROMATS)
def test_the_first_four_colours_differ_to_the_colour_blind(kind):
    seen = [(np.array(DICHROMATS[kind]) @ linear(colour)).clip(0, 1) ** (1 / 2.2) for colour in PALETTE[:4]]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 0.15
