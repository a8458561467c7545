"""Figure 2 redrawn: the pipeline from image to losses."""

import io

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from matlib.report.figures.style import INK, setup

#: The page that explains each box.
_PAGES = {"image": "data", "trunk": "features", "encoder": "features", "decoder": "features", "keypoints": "keypoints",
          "parts": "parts", "flow": "motion", "pool": "parts", "equivariance": "equivariance", "consistency": "parts",
          "local": "objective", "global": "objective"}


def figure2(links: bool = False) -> Figure:
    """Figure 2 redrawn: the pipeline from image to losses. The equations are the paper's.

    With ``links`` each box of the SVG leads to the page that explains it.
    """
    setup()
    figure, ax = plt.subplots(figsize=(10, 4.9))
    ax.set(xlim=(0, 100), ylim=(0, 50))
    ax.set_axis_off()
    blue, green, orange, purple, grey = "#cfe0f5", "#d3ecd6", "#fbe2c5", "#e4d8f2", "#e3e6ea"
    boxes = {
        "image": (0, 20, 9, 10, "images of\none identity\nA, B, C, D", grey),
        "trunk": (13, 20, 10, 10, "CNN trunk\n$F$", blue),
        "encoder": (27, 20, 11, 10, "transformer\nencoder, Eq. 1\n$f_g$", blue),
        "decoder": (42, 33, 11, 10, "decoder\nK + 1 part\nqueries", blue),
        "keypoints": (57, 38, 13, 9, "keypoint branch\nheatmaps, $p$, $J$\nEq. 2, 4", green),
        "parts": (57, 24, 13, 9, "part branch\nmaps $M$\n0 is background", orange),
        "flow": (75, 31, 11, 9, "motion flow\n$G = \\sum M^k G_k$\nEq. 3, 5-7", green),
        "pool": (57, 10, 13, 8, "weighted pooling\n$f^{part}$", orange),
        "equivariance": (89, 40, 11, 8, "$L_{eq}$\nEq. 13, 14", purple),
        "consistency": (89, 28, 11, 8, "$L_{fc}$\nEq. 8, 10-12", purple),
        "local": (89, 10, 11, 8, "$L_{id}^p$, $L_t^p$\nEq. 16, 17", purple),
        "global": (89, 0, 11, 8, "$L_{id}^g$, $L_t^g$\nEq. 15, 17", purple),
    }
    for name, (x, y, w, h, text, colour) in boxes.items():
        url = f"{_PAGES[name]}.html" if links else None
        ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=1", facecolor=colour,
                                    edgecolor=INK, linewidth=0.8, url=url))
        ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=9.5, color="#20242b", linespacing=1.25,
                url=url)

    def arrow(start: str, end: str, bend: str = "arc3,rad=0", sides: tuple[str, str] = ("right", "left")) -> None:
        points = [_side(boxes[name], side) for name, side in zip((start, end), sides)]
        ax.add_patch(FancyArrowPatch(*points, arrowstyle="-|>", mutation_scale=9, color=INK, linewidth=1,
                                     connectionstyle=bend, shrinkA=1, shrinkB=1))

    for start, end in [("image", "trunk"), ("trunk", "encoder"), ("decoder", "keypoints"), ("decoder", "parts"),
                       ("keypoints", "flow"), ("parts", "flow"), ("flow", "consistency"), ("keypoints", "equivariance"),
                       ("pool", "local")]:
        arrow(start, end)
    arrow("encoder", "decoder", "angle3,angleA=90,angleB=0", ("top", "left"))
    arrow("encoder", "pool", "angle3,angleA=-60,angleB=180", ("bottom", "left"))
    arrow("encoder", "global", "angle3,angleA=-90,angleB=180", ("bottom", "left"))
    arrow("parts", "pool", sides=("bottom", "top"))
    return figure


def figure2_svg() -> str:
    """Figure 2 as an SVG file, the same bytes each time."""
    return _svg(figure2())


def figure2_linked() -> str:
    """Figure 2 for a page: inline SVG, as wide as the page, whose boxes are links."""
    svg = _svg(figure2(links=True))
    return svg[svg.index("<svg"):].replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    plt.close(figure)
    return buffer.getvalue()


def _side(box: tuple, side: str) -> tuple[float | int, float | int]:
    x, y, w, h = box[:4]
    return {"left": (x, y + h / 2), "right": (x + w, y + h / 2),
            "top": (x + w / 2, y + h), "bottom": (x + w / 2, y)}[side]
