"""Keypoints along a stride: what swings with a leg swings as far, and as often."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from matlib.report.figures.images import scatter_keypoints, show_image, to_pixels
from matlib.report.figures.looks import Look, add_legend, of_groups
from matlib.report.figures.style import INK

#: True joints that swing, COCO's numbers, and the group whose colour each has.
SWINGING = {9: "arms", 10: "arms", 13: "shanks", 14: "shanks", 15: "feet", 16: "feet"}


def gait(pictures: Float[np.ndarray, "n h w 3"], phases: Sequence[float], keypoints: Float[Tensor, "n k 2"],
         joints: Float[Tensor, "n 17 2"], look: Look) -> Figure:
    """Above, pictures of one person in the phases of a stride with the keypoints found in them; below, how far
    sideways each is from its own mean: left the keypoints, right the true wrists, knees and ankles, on the same axes.

    Args:
        phases: of the stride, 0..1.
        keypoints, joints: in image coordinates, corner-aligned.
        look: how the keypoints' parts are drawn.
    """
    count = len(pictures)
    figure = plt.figure(figsize=(7.1, 4.4))
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    for ax, picture, own in zip(above.subplots(1, count), pictures, keypoints):
        show_image(ax, picture)
        scatter_keypoints(ax, to_pixels(own, picture.shape[:2]), look, size=14)
    left, right = below.subplots(1, 2, sharex=True, sharey=True)
    _curves(left, phases, keypoints, look)
    swinging = of_groups(list(SWINGING.values()))
    _curves(right, phases, joints[:, list(SWINGING)], swinging, broken=[2, 4, 6])
    left.set(title="keypoints", xlabel="phase of the stride", ylabel="sideways of its mean,\n% of the width")
    right.set(title="true wrists, knees and ankles", xlabel="phase of the stride")
    add_legend(figure, look, swinging)
    return figure


def sideways(points: Float[Tensor, "n k 2"]) -> Float[Tensor, "n k"]:
    """How far each point is from its mean over the pictures, to the right, in percent of the width."""
    return 50 * (points[..., 0] - points[..., 0].mean(dim=0))


def _curves(axes: Axes, phases: Sequence[float], points: Float[Tensor, "n k 2"], look: Look,
            broken: Sequence[int] = ()) -> None:
    """A curve a part, edged with ink so that pale ones can be seen; the pale and the ``broken`` parts with dashes."""
    for part, curve in enumerate(sideways(points).T, 1):
        dashed = part in look.hatched or part in broken
        axes.plot(phases, curve, color=look.colours[part], linewidth=1.6, linestyle="--" if dashed else "-",
                  path_effects=[withStroke(linewidth=2.8, foreground=INK)])
