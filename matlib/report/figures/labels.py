"""What is known of rendered images."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from matlib.config import DataConfig
from matlib.data import Sample, Truth
from matlib.data.images import read_image
from matlib.report.figures.images import show_image
from matlib.report.figures.looks import TRUE_PARTS, add_legend
from matlib.report.figures.style import PALETTE

#: Joints that a line connects, COCO's numbers.
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
          (0, 5), (0, 6))


def label_sheet(samples: Sequence[Sample], config: DataConfig) -> Figure:
    """What is known of rendered images: above, the joints, seen (filled) or hidden (ring); below, the parts.

    Hidden parts of the person are white; an occluder beside the person is grey. Nothing is drawn outside an image.
    """
    figure, grid = plt.subplots(2, len(samples), figsize=(1.1 * len(samples), 4.5), squeeze=False)
    for above, below, sample in zip(*grid, samples):
        truth, image = Truth(sample), read_image(sample.path).permute(1, 2, 0).numpy()
        show_image(above, image, f"{truth.occluder or 'whole'}\n{truth.occlusion:.0%} hidden")
        x, y, seen = truth.keypoints.T.numpy()
        for one, other in LIMBS:
            above.plot(x[[one, other]], y[[one, other]], color="white", linewidth=0.9, alpha=0.8)
        filled = np.where((seen == 2)[:, None], to_rgb(PALETTE[2]), (0, 0, 0))
        above.scatter(x[seen > 0], y[seen > 0], s=12, c=np.c_[filled, seen == 2][seen > 0], edgecolors="white",
                      linewidths=0.7, zorder=3)
        above.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
        show_image(below, image)
        below.imshow(TRUE_PARTS.paint(truth.parts.numpy()) * (1, 1, 1, 0.65))
        below.imshow(truth.occluders.numpy()[..., None] * np.array([0.5, 0.5, 0.5, 0.55]))
        below.imshow(truth.hidden.numpy()[..., None] * np.array([1.0, 1.0, 1.0, 0.75]))
    add_legend(figure, TRUE_PARTS)
    return figure


def occlusion_histogram(frame: pd.DataFrame) -> Figure:
    """Share of the person that is hidden, a panel a split; columns ``split``, ``occlusion`` (in 0..1)."""
    splits = list(frame["split"].unique())
    figure, grid = plt.subplots(1, len(splits), figsize=(9, 2.2), squeeze=False, sharex=True)
    for ax, split in zip(grid[0], splits):
        sns.histplot(frame[frame["split"] == split], x="occlusion", bins=np.linspace(0, 0.8, 17), stat="percent", ax=ax)
        ax.set(title=split, xlabel="share of the person hidden", ylabel="images, %" if split == splits[0] else "")
    return figure
