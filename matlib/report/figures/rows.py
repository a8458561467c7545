"""Rows of a table beside each other: how they learn, how they rank, and what they make of single queries."""

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from cycler import cycler
from matplotlib.figure import Figure

from matlib.report.figures.style import INK, PALETTE, SMALL

_THIN, _THICK = 0.7, 1.8
_LINES = cycler(linestyle=["-", "--", ":"]) * cycler(color=PALETTE)


def learning_curves(frame: pd.DataFrame, title: str, beside: str) -> Figure:
    """A panel a row, on the same axes: a thin line a training, a thick one their mean where there are several.

    Args:
        frame: columns ``row``, ``seed``, ``epoch`` and ``value``.
        title: of the value.
        beside: the row whose mean stands in every panel as a broken line.
    """
    rows, columns = list(dict.fromkeys(frame["row"])), 4
    lines = -(-len(rows) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(7.1, 1.65 * lines + 0.3), squeeze=False, sharex=True,
                                sharey=True)
    other = frame[frame["row"] == beside].groupby("epoch")["value"].mean()
    for ax, row in zip(grid.flat, rows):
        own = frame[frame["row"] == row]
        for _, run in own.groupby("seed"):
            ax.plot(run["epoch"], run["value"], color=PALETTE[0], linewidth=_THIN)
        if own["seed"].nunique() > 1:
            ax.plot(own.groupby("epoch")["value"].mean(), color=PALETTE[0], linewidth=_THICK)
        if row != beside:
            ax.plot(other, color=INK, linewidth=1, linestyle="--")
        ax.set_title("\n".join(textwrap.wrap(f"{row}, n = {own['seed'].nunique()}", 22)), fontsize=SMALL)
    for ax in list(grid.flat)[len(rows):]:
        ax.set_axis_off()
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel(title, fontsize=10)
    return figure


def rank_curves(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """CMC: the share of queries with a right image among the first k, a panel a group of rows, on the same axes.

    Args:
        panels: by title; columns ``row``, ``rank`` and ``share`` in percent.
    """
    figure, axes = plt.subplots(len(panels), 1, figsize=(7.1, 3.1 * len(panels)), squeeze=False, sharex=True,
                                sharey=True)
    for ax, (title, frame) in zip(axes[:, 0], panels.items()):
        ax.set_prop_cycle(_LINES)
        for row, own in frame.groupby("row", sort=False):
            ax.plot(own["rank"], own["share"], label=row, linewidth=1.4)
        ax.set(title=title, ylabel="queries with a right image\namong the first k, %")
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=SMALL)
    axes[-1][0].set(xlabel="rank k", xticks=[1, *range(5, int(frame["rank"].max()) + 1, 5)])
    return figure


def query_scatter(panels: Mapping[str, pd.DataFrame], ours: str) -> Figure:
    """The AP of each query under two rows, a point a query, a panel for each other row, on the same axes.

    Args:
        panels: by the other row; columns ``ours`` and ``theirs``, in percent.
        ours: the name of the row that all are compared to.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(2.5 * len(panels) + 0.4, 2.9), squeeze=False, sharex=True,
                                sharey=True)
    for ax, (title, frame) in zip(axes[0], panels.items()):
        ax.plot([0, 100], [0, 100], color=INK, linewidth=0.8)
        ax.scatter(frame["theirs"], frame["ours"], s=12, alpha=0.6, color=PALETTE[0], linewidths=0)
        ax.set(aspect="equal", xlabel="\n".join(textwrap.wrap(f"AP, %: {title}", 26)))
    axes[0][0].set_ylabel(f"AP, %: {ours}")
    return figure
