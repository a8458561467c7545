"""Curves and comparisons of runs, from their records."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from matlib.ablations import Row, row_config
from matlib.report.figures.style import INK, PALETTE, SMALL, as_text
from matlib.report.tables import METRICS


def losses(record: dict, names: Sequence[str] | None = None) -> Figure:
    """Every loss of a run by epoch, one small panel each, as in the record."""
    frame = pd.DataFrame([{"epoch": entry["epoch"], **entry["losses"]} for entry in record["history"]])
    return _panels(frame, names or [name for name in frame.columns if name != "epoch"])


def diagnostics(record: dict) -> Figure:
    """What tells a collapse (``matlib.runs.diagnostics``) by epoch, one small panel each."""
    frame = pd.DataFrame([{"epoch": entry["epoch"], "gradient_norm": entry["gradient_norm"], **entry["diagnostics"]}
                          for entry in record["history"]])
    return _panels(frame, [name for name in frame.columns if name != "epoch"])


def gradient_norms(record: dict) -> Figure:
    """The size of the gradient in each module by epoch, on a logarithmic scale."""
    frame = pd.DataFrame([{"epoch": entry["epoch"], "module": as_text(name), "norm": norm}
                          for entry in record["history"] for name, norm in entry["gradient_norms"].items() if norm > 0])
    figure, ax = plt.subplots(figsize=(7, 3))
    sns.lineplot(frame, x="epoch", y="norm", hue="module", ax=ax, marker="o", markersize=3)
    ax.set(yscale="log", ylabel="gradient norm")
    ax.legend(title="", bbox_to_anchor=(1.02, 1), loc="upper left")
    return figure


def motion_gain(record: dict) -> Figure:
    """The feature consistency by epoch, under the model's flow and under none: the flow is worth the difference."""
    frame = pd.DataFrame([{"epoch": entry["epoch"], "learned flow": entry["diagnostics"]["consistency_flow"],
                           "no motion": entry["diagnostics"]["consistency_identity"]} for entry in record["history"]])
    figure, ax = plt.subplots(figsize=(6, 2.6))
    sns.lineplot(frame.melt("epoch", var_name="flow", value_name="divergence"), x="epoch", y="divergence", hue="flow",
                 ax=ax, marker="o", markersize=3)
    ax.set(yscale="log")
    ax.legend(title="")
    return figure


def _panels(frame: pd.DataFrame, names: Sequence[str]) -> Figure:
    columns = 4
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(9, 1.7 * rows), squeeze=False, sharex=True)
    for ax, name in zip(grid.flat, names):
        sns.lineplot(frame, x="epoch", y=name, ax=ax, marker="o", markersize=3, linewidth=1.5)
        ax.set(title=as_text(name), ylabel="", xlabel="epoch")
        ax.title.set_fontsize(9)
        ax.tick_params(labelsize=8)
    for ax in list(grid.flat)[len(names):]:
        ax.set_axis_off()
    return figure


def compare(frame: pd.DataFrame, metric: str, order: Sequence[str], labels: Sequence[str], title: str) -> Figure:
    """A metric of several rows as points with their mean, one point a seed."""
    figure, ax = plt.subplots(figsize=(7, 0.45 * len(order) + 0.9))
    sns.stripplot(frame, x=metric, y="name", order=order, ax=ax, size=5, alpha=0.7, color=PALETTE[0])
    sns.pointplot(frame, x=metric, y="name", order=order, ax=ax, linestyle="none", marker="|", markersize=16,
                  color=PALETTE[1], errorbar=None)
    ax.set(xlabel=title, ylabel="", yticks=range(len(order)), yticklabels=labels)
    return figure


def rungs(panels: Mapping[str, pd.DataFrame], metric: str, labels: Mapping[str, str], title: str) -> Figure:
    """A metric of rows as a ladder, from the first name of ``labels`` at the top down, a panel for each test: a point a
    training, a bar at the mean."""
    order = [name for name in labels if any(name in set(frame["name"]) for frame in panels.values())]
    figure, axes = plt.subplots(1, len(panels), figsize=(8, 0.3 * len(order) + 1), sharey=True, squeeze=False)
    for ax, (name, frame) in zip(axes[0], panels.items()):
        style = {"data": frame, "x": metric, "y": "name", "order": order, "ax": ax}
        sns.stripplot(**style, size=4, alpha=0.7, color=PALETTE[0], jitter=False)
        sns.pointplot(**style, linestyle="none", marker="|", markersize=13, color=PALETTE[1], errorbar=None)
        ax.set(xlabel=title, ylabel="", yticks=range(len(order)), yticklabels=[labels[each] for each in order])
        ax.set_title(name, fontsize=10)
        ax.grid(axis="x", alpha=0.3)
    return figure


def forest(panels: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Differences with their intervals (columns ``value``, ``low``, ``high``), a panel for each test on the same axes,
    a line at 0; a column ``paper``, where there is one, as hollow diamonds."""
    order = list(dict.fromkeys(name for frame in panels.values() for name in frame.index))
    figure, axes = plt.subplots(1, len(panels), figsize=(8, 0.32 * len(order) + 1), sharex=True, sharey=True,
                                squeeze=False)
    for ax, (name, frame) in zip(axes[0], panels.items()):
        at = [len(order) - 1 - order.index(each) for each in frame.index]
        ax.errorbar(frame["value"], at, xerr=[frame["value"] - frame["low"], frame["high"] - frame["value"]],
                    fmt="o", markersize=4, color=PALETTE[0], elinewidth=1.2, label="here")
        if "paper" in frame:
            ax.plot(frame["paper"], at, linestyle="none", marker="D", fillstyle="none", markersize=6, color=PALETTE[1],
                    label="the paper")
        ax.axvline(0, color=INK, linewidth=0.8)
        ax.set(xlabel=title, yticks=range(len(order)), yticklabels=order[::-1], ylim=(-0.6, len(order) - 0.4))
        ax.set_title(textwrap.fill(name, 60 // len(panels)), fontsize=10)
    if any("paper" in frame for frame in panels.values()):
        axes[0][-1].legend()
        _legend_above(figure, axes[0][-1])
    return figure


def by_parts(frame: pd.DataFrame, rows: Sequence[Row], metrics: Mapping[str, str]) -> Figure:
    """Table 2 as lines over K: left the paper's, right ours, a point a run, a row of panels a metric.

    The band is as high as the paper's lines reach, around our mean: what it calls an effect, beside our seeds.
    """
    figure, grid = plt.subplots(len(metrics), 2, figsize=(7.5, 2.5 * len(metrics)), squeeze=False, sharex=True)
    parts = {row.name: row_config(row.name, "paper").model.parts for row in rows}
    ours = frame[frame["name"].isin(parts)].assign(parts=lambda runs: runs["name"].map(parts))
    for (left, right), (metric, title) in zip(grid, metrics.items()):
        paper = [row.paper[list(METRICS).index(metric)] for row in rows]
        left.plot(list(parts.values()), paper, marker="D", fillstyle="none", color=PALETTE[1])
        sns.lineplot(ours, x="parts", y=metric, ax=right, errorbar="sd", err_style="bars", marker="", color=PALETTE[0])
        sns.scatterplot(ours, x="parts", y=metric, ax=right, s=14, alpha=0.7, color=PALETTE[0])
        middle, half = ours[metric].mean(), (max(paper) - min(paper)) / 2
        right.axhspan(middle - half, middle + half, color=PALETTE[1], alpha=0.15, linewidth=0)
        left.set(ylabel=f"{title}, %", xticks=list(parts.values()), xlabel="K")
        right.set(ylabel="", xlabel="K")
    grid[0][0].set_title("the paper, Occluded-Duke", fontsize=10)
    grid[0][1].set_title("measured here", fontsize=10)
    return figure


def step_shares(found: dict) -> Figure:
    """Each part's share of a training step, as ``benchmarks/step.py`` writes them, in the order of the step."""
    shares = {as_text(name): 100 * share for name, share in found["shares"].items()}
    figure, ax = plt.subplots(figsize=(6.5, 2.6))
    sns.barplot(x=list(shares.values()), y=list(shares), ax=ax, color=PALETTE[0])
    ax.bar_label(ax.containers[0], fmt="%.1f", padding=3, fontsize=SMALL)
    ax.set(xlabel="share of a training step, %", ylabel="", xlim=(0, 1.15 * max(shares.values())))
    return figure


def trade(frame: pd.DataFrame, scores: Sequence[str], metric: str = "rank1", title: str = "rank-1, %") -> Figure:
    """Scores against the truth over a retrieval metric: a panel a score, a point a run, colour and shape by row."""
    figure, axes = plt.subplots(1, len(scores), figsize=(3.2 * len(scores), 3.4), squeeze=False)
    for ax, score in zip(axes[0], scores):
        sns.scatterplot(frame, x=metric, y=score, hue="row", style="row", ax=ax, s=60, legend=ax is axes[0][-1])
        ax.set(xlabel=title, ylabel=f"{score}, %")
    _legend_above(figure, axes[0][-1])
    return figure


def by_knob(frame: pd.DataFrame, knob: str, metric: str, labels: dict[str, str], titles: tuple[str, str]) -> Figure:
    """A metric against a setting, a line a ``name`` in the order of ``labels``: the mean over seeds, each as a point.

    ``titles`` are those of the two axes.
    """
    figure, ax = plt.subplots(figsize=(7, 3.2))
    names = [name for name in labels if name in set(frame["name"])]
    shown = frame.assign(rung=frame["name"].map(labels))
    style = {"data": shown, "x": knob, "y": metric, "hue": "rung", "hue_order": [labels[n] for n in names], "ax": ax}
    sns.lineplot(**style, errorbar=None, linewidth=1.5)
    sns.scatterplot(**style, s=14, alpha=0.7, legend=False)
    ax.set(xlabel=titles[0], ylabel=titles[1], ylim=(0, None), xticks=sorted(frame[knob].unique()))
    ax.legend(title=None, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=SMALL)
    return figure


def by_amount(frame: pd.DataFrame, amount: str, scores: Sequence[str]) -> Figure:
    """Scores in percent against an amount, on a logarithmic axis: a panel a score, a colour a name, a point a run."""
    columns = min(2, len(scores))
    lines = -(-len(scores) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(3.8 * columns, 2.8 * lines), squeeze=False)
    ticks = sorted(frame[amount].unique())
    for ax, score in zip(grid.flat, scores):
        style = {"data": frame, "x": amount, "y": score, "hue": "name", "ax": ax}
        sns.lineplot(**style, errorbar=None, legend=False)
        sns.scatterplot(**style, style="name", s=45, legend=ax is grid[0][0])
        ax.set(xscale="log", xticks=ticks, xticklabels=[f"{tick:g}" for tick in ticks], ylabel=f"{score}, %")
        ax.minorticks_off()
    for ax in grid.flat[len(scores):]:
        ax.set_axis_off()
    _legend_above(figure, grid[0][0])
    return figure


def _legend_above(figure: Figure, axes: Axes) -> None:
    """The legend of one panel, if it has one, over all of them."""
    if (own := axes.get_legend()) is not None:
        handles, labels = axes.get_legend_handles_labels()
        own.remove()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=SMALL)
