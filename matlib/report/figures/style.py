"""The look of all figures: a transparent ground, and an ink and colours that can be read on white and on black."""

import numpy as np
import seaborn as sns
from matplotlib.colors import to_rgb

INK = "#737980"  # text and lines; captions.figure makes it the ink of the page, in both themes
#: Told apart by the colour-blind (after Okabe and Ito's palette), and 3 : 1 or more on white and on the dark ground.
PALETTE = ("#0173b2", "#d55e00", "#009e73", "#2e9bd6", "#c26a9d", "#c97b00", "#8a8a8a")
#: Fills of parts, on any ground: the first seven are far apart to the colour-blind, and the first ten still differ
#: (chosen among Okabe and Ito's, and Tol's).
PARTS = ("#ddcc77", "#0077bb", "#d55e00", "#88ccee", "#882255", "#cc6677", "#332288", "#f0e442", "#117733", "#cc79a7",
         "#e69f00", "#56b4e9", "#aa4499", "#009988", "#cc3311", "#ccbb44", "#4477aa", "#999933", "#ee7733", "#aa3377")
SMALL = 9  # points, the size of the smallest text; with the width of a figure it makes 11 pixels on a page


def setup() -> None:
    """Style of all figures; in a notebook they become vector pictures."""
    sns.set_theme(style="ticks", palette=PALETTE, rc={
        "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.titlecolor": INK, "axes.spines.top": False, "axes.spines.right": False,
        "axes.labelsize": 10, "axes.titlesize": 10, "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "figure.constrained_layout.use": True, "svg.fonttype": "none", "svg.hashsalt": "matlib"})
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
        if get_ipython() is not None:
            set_matplotlib_formats("svg")
    except ImportError:  # outside a notebook there is nothing to set
        pass


def as_text(name: str) -> str:
    """A name from a record as a label: no formula, and no underscores."""
    return name.replace("_", " ").replace("$", r"\$")


def part_colours(parts: int) -> np.ndarray:
    """(K + 1, 4): one colour a part, the same in all figures; part 0, the background, is transparent.

    From the 21st part on they repeat.
    """
    colours = np.array([to_rgb(PARTS[k % len(PARTS)]) for k in range(parts)]).reshape(parts, 3)
    return np.vstack([[0, 0, 0, 0], np.c_[colours, np.ones(parts)]])
