"""Figures of a ranking: ranked lists, the hardest queries, and the distances of same and other identities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from jaxtyping import Float, Int64
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from matlib.config import DataConfig
from matlib.data import ReIDDataset
from matlib.evaluation import RankingMetrics
from matlib.report.figures import INK, add_legend, load_images, part_picture, scale_of, show_image
from matlib.report.figures.looks import Look
from matlib.report.figures.matching import look_of
from matlib.report.figures.style import PALETTE, SMALL

RIGHT, WRONG = PALETTE[2], PALETTE[1]


def ranked_list(distances: Float[np.ndarray, "q g"], data: ReIDDataset, query: int, count: int
                ) -> Int64[np.ndarray, " k"]:
    """The gallery's indices of a query's nearest images, those of its identity from its own camera left out."""
    own = data.query[query]
    junk = np.array([(one.identity, one.camera) == (own.identity, own.camera) for one in data.gallery])
    order = np.argsort(distances[query], kind="stable")
    return order[~junk[order]][:count]


def ranked_lists(distances: Float[np.ndarray, "q g"], data: ReIDDataset, config: DataConfig, queries: Sequence[int], *,
                 count: int = 8, model: nn.Module | None = None) -> Figure:
    """For each query a row: the query, and its nearest gallery images, framed green if right and red, dashed, if wrong.

    Above each gallery image stands its distance. With a model that has parts, its part maps lie over all images.
    """
    look = look_of(model, config, data.gallery) if model is not None else None
    lists = [ranked_list(distances, data, query, count) for query in queries]
    size = (0.95 * (count + 1), 2.15 * len(queries))
    figure, grid = plt.subplots(len(queries), count + 1, figsize=size, squeeze=False)
    for axes, query, nearest in zip(grid, queries, lists):
        own = data.query[query]
        samples = [own, *(data.gallery[i] for i in nearest)]
        images, shown = load_images(samples, config)
        for ax in axes[len(samples):]:
            ax.set_axis_off()
        for ax, image in zip(axes, shown):
            show_image(ax, image)
        if look is not None:
            _draw_parts(axes, model, images, (config.height, config.width), look)
        axes[0].set_title(f"query {query}", fontsize=SMALL)
        for ax, i in zip(axes[1:], nearest):
            _frame(ax, data.gallery[i].identity == own.identity)
            ax.set_title(f"{distances[query, i]:.3g}", fontsize=SMALL)
    if look is not None:
        add_legend(figure, look)
    return figure


def _frame(axes: Axes, right: bool) -> None:
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=RIGHT if right else WRONG, linewidth=2.5,
                  linestyle="-" if right else (0, (2, 1.5)))


@torch.no_grad()
def _draw_parts(axes: Sequence[Axes], model: nn.Module, images: torch.Tensor, size: tuple[int, int], look: Look
                ) -> None:
    output = model.eval()(images)
    scale = scale_of(model, output)
    for ax, maps in zip(axes, output.part_maps):
        ax.imshow(part_picture(maps, size, scale, look) * (1, 1, 1, 0.5))


def hardest_queries(metrics: RankingMetrics, count: int = 5) -> Int64[np.ndarray, " k"]:
    """The queries of lowest AP, the worst first; queries without a match are not among them."""
    return np.flatnonzero(metrics.valid_queries)[np.argsort(metrics.average_precisions, kind="stable")[:count]]


def distance_histogram(distances: Float[np.ndarray, "q g"], data: ReIDDataset) -> Figure:
    """The distances of pairs of one identity (from two cameras) and of different ones, each as a share of its kind."""
    (query_ids, query_cameras), (gallery_ids, gallery_cameras) = (
        np.array([(sample.identity, sample.camera) for sample in side]).T for side in (data.query, data.gallery))
    same = query_ids[:, None] == gallery_ids
    kept = ~(same & (query_cameras[:, None] == gallery_cameras))
    kinds = ["same identity", "other identity"]
    frame = pd.DataFrame({"distance": distances[kept], "pairs": np.where(same[kept], *kinds)})
    figure, ax = plt.subplots(figsize=(6, 2.4))
    sns.histplot(frame, x="distance", hue="pairs", hue_order=kinds, bins=60, stat="percent", common_norm=False,
                 element="step", ax=ax)
    ax.set(ylabel="pairs of the kind, %")
    ax.get_legend().set_title("")
    for text in ax.get_legend().get_texts():
        text.set_color(INK)
    return figure
