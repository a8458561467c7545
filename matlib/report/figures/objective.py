"""Pictures of the objective (Equations 9 and 15 to 17)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from matlib.report.figures.style import INK, PALETTE


def weighted_terms(frame: pd.DataFrame) -> Figure:
    """Each weighted term of Equation 9 as a bar; columns ``term``, ``weighted`` and ``network``."""
    figure, ax = plt.subplots(figsize=(7, 0.34 * frame["term"].nunique() + 0.9))
    sns.barplot(frame, x="weighted", y="term", hue="network", ax=ax)
    ax.set(xlabel="weight × value", ylabel="")
    ax.legend(title="")
    return figure


def triplets(distances: dict[str, tuple[Float[Tensor, "b"], Float[Tensor, "b"]]]) -> Figure:
    """Hardest positive against hardest negative of every anchor, a panel a network; below the line a triplet is won."""
    figure, grid = plt.subplots(1, len(distances), figsize=(3.2 * len(distances), 3), squeeze=False)
    for ax, (title, (positive, negative)) in zip(grid[0], distances.items()):
        limit = 1.05 * float(max(positive.max(), negative.max()))
        ax.plot([0, limit], [0, limit], color=INK, linewidth=1)
        ax.scatter(negative.numpy(), positive.numpy(), s=16, alpha=0.8, color=PALETTE[0])
        ax.set(title=title, xlabel="nearest other person, $d_{an}$", ylabel="farthest own image, $d_{ap}$",
               xlim=(0, limit), ylim=(0, limit))
    return figure


def soft_margin(scale: float) -> Figure:
    """Equation 17 and its slope over d_ap - d_an, with plain and with squared distances of typical size ``scale``."""
    difference = np.linspace(-1.5, 1.5, 200)
    figure, axes = plt.subplots(1, 2, figsize=(6.6, 2.5))
    for label, factor in (("distances", 1.0), ("squared distances", 2 * scale)):
        x = factor * difference  # (d + e)^2 - d^2 is about 2 d e
        axes[0].plot(difference, np.logaddexp(0, x), label=label)
        axes[1].plot(difference, factor / (1 + np.exp(-x)), label=label)
    axes[0].set(xlabel="$d_{ap} - d_{an}$", ylabel="loss")
    axes[1].set(xlabel="$d_{ap} - d_{an}$", ylabel="slope")
    axes[0].legend()
    return figure
