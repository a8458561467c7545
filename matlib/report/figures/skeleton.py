"""Errors of joints where they are: on a person who stands and faces the camera."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from matlib.report.figures.labels import LIMBS
from matlib.report.figures.style import INK, PALETTE, SMALL

#: COCO's joints, x to the right and y down, in shares of an image's height; the person's left is on the right.
STANDING = np.array([
    (0, .09), (.015, .075), (-.015, .075), (.035, .085), (-.035, .085), (.1, .21), (-.1, .21), (.17, .34), (-.17, .34),
    (.21, .46), (-.21, .46), (.06, .5), (-.06, .5), (.075, .7), (-.075, .7), (.085, .9), (-.085, .9)])
_FACE = 5  # the first joints are of the face, and too near each other to be told apart
_HIPS = (11, 12)
_HEAD = STANDING[:_FACE].mean(axis=0)


def skeletons(panels: Mapping[str, Float[np.ndarray, "17"]]) -> Figure:
    """A person for each list of errors: around each joint a circle whose radius is its error, at the person's scale.

    Args:
        panels: by title, the mean error of each of COCO's joints in percent of the image's height; NaN is not drawn.
            The five of the face have one circle, their mean.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(2.35 * len(panels), 4.4), squeeze=False)
    for ax, (title, errors) in zip(axes[0], panels.items()):
        _person(ax, errors)
        ax.set_title(title, fontsize=10)
    return figure


def _person(axes: Axes, errors: Float[np.ndarray, "17"]) -> None:
    for one, other in LIMBS:
        axes.plot(*STANDING[[one, other]].T, color=INK, linewidth=1)
    for joint, (x, y) in [(0, _HEAD), *enumerate(STANDING[_FACE:], _FACE)]:
        error = errors[joint] if joint else errors[:_FACE].mean()
        if np.isnan(error):
            continue
        radius, side = error / 100, np.sign(x) or 1
        axes.add_patch(Circle((x, y), radius, facecolor=to_rgba(PALETTE[0], 0.25), edgecolor=PALETTE[0], linewidth=1))
        if joint in _HIPS:  # the hands are beside them
            axes.annotate(f"{error:.1f}", (x, y - radius), xytext=(0, 2), ha="center", va="bottom",
                          textcoords="offset points", fontsize=SMALL)
        else:
            axes.annotate(f"{error:.1f}", (x + side * radius, y), xytext=(3 * side, 0), va="center",
                          ha="left" if side > 0 else "right", textcoords="offset points", fontsize=SMALL)
    axes.set(xlim=(-0.38, 0.38), ylim=(1, 0), aspect="equal")
    axes.set_axis_off()
