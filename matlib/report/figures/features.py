"""Pictures of features (Equation 1): what the cells of a map have in common, and what one cell attends to."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from matlib.geometry import coordinate_grid, upsample
from matlib.report.figures.images import in_image, show_image, to_pixels

_YELLOW = np.array([1.0, 0.85, 0.1])


def feature_colours(features: Float[Tensor, "b d h w"]) -> np.ndarray:
    """(b, h, w, 3): the first three principal components of all cells as red, green, blue, each stretched to 0..1."""
    cells = features.detach().permute(0, 2, 3, 1).flatten(0, 2)
    centred = cells - cells.mean(dim=0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    values = centred @ directions.T
    low, high = values.quantile(0.02, dim=0), values.quantile(0.98, dim=0)
    colours = ((values - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return colours.view(features.shape[0], *features.shape[2:], 3).numpy()


@torch.no_grad()
def attention_weights(model: nn.Module, images: Float[Tensor, "b 3 height width"], layer: int = -1
                      ) -> Float[Tensor, "b n n"]:
    """What each cell attends to in one encoder layer, the mean over heads: rows sum to 1."""
    caught: list[tuple[Tensor, Tensor, Tensor]] = []
    attention = model.encoder.layers[layer].attention
    handle = attention.register_forward_pre_hook(lambda module, inputs: caught.append(inputs))
    model(images)
    handle.remove()
    query, key, value = caught[0]
    if attention.projected is None:
        return (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(dim=-1)
    return attention.projected(query, key, value, need_weights=True)[1]


def attention_rows(images: np.ndarray, weights: Float[Tensor, "b n n"], cells: tuple[int, int],
                   asked: list[tuple[int, int]], scale: tuple[float, float]) -> Figure:
    """What a few cells (row, column; crosses) attend to, over each image: from grey, the least, to yellow, the most.

    Args:
        images: (b, H, W, 3).
        weights: of ``attention_weights``.
        cells: height and width of the feature map.
        scale: ``geometry.receptive_field_scale``.
    """
    figure, grid = plt.subplots(len(asked), len(images), figsize=(1.05 * len(images), 2.1 * len(asked)), squeeze=False)
    size = images.shape[1:3]
    places = in_image(coordinate_grid(*cells), scale)
    for axes, (row, column) in zip(grid, asked):
        for ax, image, own in zip(axes, images, weights):
            heat = upsample(own[row * cells[1] + column].view(1, 1, *cells), size, scale)[0, 0]
            heat = ((heat - heat.min()) / (heat.max() - heat.min()).clamp_min(1e-9)).numpy()[..., None]
            grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2)
            show_image(ax, 0.6 * grey * (1 - 0.8 * heat) + 0.8 * heat * _YELLOW)
            ax.plot(*to_pixels(places[row, column], size), marker="+", color="white", markersize=9, markeredgewidth=1.6)
    return figure


def similarity_maps(position: Float[Tensor, "h w c"], asked: list[tuple[int, int]]) -> Figure:
    """Cosine of the position embedding of some cells (crosses) with that of every cell."""
    directions = nn.functional.normalize(position, dim=-1)
    figure, axes = plt.subplots(1, len(asked), figsize=(1.3 * len(asked) + 0.8, 2.3))
    for ax, (row, column) in zip(axes, asked):
        shown = ax.imshow((directions @ directions[row, column]).numpy(), cmap="viridis", vmax=1)
        ax.plot(column, row, marker="+", color="white", markersize=9, markeredgewidth=1.6)
        ax.set_axis_off()
    figure.colorbar(shown, ax=axes, label="cosine", shrink=0.8)
    return figure
