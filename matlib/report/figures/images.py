"""Images as they are shown, and what is drawn over them: keypoints and part maps in the frame of the image."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from matlib.config import DataConfig
from matlib.data import ImageDataset, Sample
from matlib.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from matlib.geometry import Keypoints, receptive_field_scale, upsample
from matlib.models import MATOutput
from matlib.report.figures.looks import Look, without_truth
from matlib.report.figures.style import SMALL


def load_images(samples: Sequence[Sample], config: DataConfig) -> tuple[Float[Tensor, "b 3 h w"], np.ndarray]:
    """The images as the model takes them, and as they are shown: (b, h, w, 3) in 0..1."""
    dataset = ImageDataset(samples, (config.height, config.width))
    images = torch.stack([dataset[i]["image"] for i in range(len(samples))])
    return images, (images.permute(0, 2, 3, 1).numpy() * IMAGENET_STD + IMAGENET_MEAN).clip(0, 1)


def show_image(axes: Axes, image: np.ndarray, title: str = "") -> None:
    axes.imshow(image)
    axes.set_axis_off()
    axes.set_title(title, fontsize=SMALL)


def contact_sheet(samples: Sequence[Sample], config: DataConfig, columns: int = 10, titles: Sequence[str] | None = None
                  ) -> Figure:
    """Images in rows, as they lie on disk, in the order given."""
    _, shown = load_images(samples, config)
    rows = -(-len(samples) // columns)
    size = (0.92 * columns, 1.85 * rows + (0.2 if titles else 0))
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in grid.flat:
        ax.set_axis_off()
    for i, (ax, image) in enumerate(zip(grid.flat, shown)):
        show_image(ax, image, titles[i] if titles else "")
    return figure


def image_rows(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = (), labels: Sequence[str] = (),
               width: float = 1.15) -> Figure:
    """Pictures (h, w, 3 or 4) in rows, with a title over each column and a label beside each row."""
    columns = max(len(row) for row in rows)
    tall = width * rows[0][0].shape[0] / rows[0][0].shape[1]
    size = (width * columns + 0.2, tall * len(rows) + 0.3)
    figure, grid = plt.subplots(len(rows), columns, figsize=size, squeeze=False)
    for ax in grid.flat:
        ax.set_axis_off()
    for i, (axes, row) in enumerate(zip(grid, rows)):
        for j, (ax, picture) in enumerate(zip(axes, row)):
            show_image(ax, picture, titles[j] if i == 0 and titles else "")
        if labels:
            label_row(axes[0], labels[i])
    return figure


def label_row(axes: Axes, label: str) -> None:
    """A name beside the first picture of a row."""
    axes.text(-0.08, 0.5, label, transform=axes.transAxes, rotation=90, ha="right", va="center", fontsize=SMALL)


def to_pixels(points: Float[Tensor, "... 2"], size: tuple[int, int]) -> np.ndarray:
    """Pixels (x, y) of corner-aligned image coordinates; ``size`` is (height, width)."""
    height, width = size
    return ((points + 1) / 2 * torch.tensor([width - 1.0, height - 1.0])).numpy()


def in_image(points: Float[Tensor, "... 2"], scale: tuple[float, float]) -> Float[Tensor, "... 2"]:
    """Points of a feature map in the image's frame; ``scale`` is ``geometry.receptive_field_scale``'s."""
    return torch.tensor(scale, dtype=points.dtype) * (points + 1) - 1


def to_image_frame(keypoints: Keypoints, scale: tuple[float, float]) -> Keypoints:
    """Keypoints of a feature map, with their Jacobians, in the image's frame; ``scale`` as for ``in_image``."""
    jacobians = torch.tensor(scale, dtype=keypoints.jacobians.dtype)[:, None] * keypoints.jacobians
    return Keypoints(in_image(keypoints.positions, scale), jacobians)


def draw_keypoints(axes: Axes, positions: Float[Tensor, "k 2"], size: tuple[int, int], scale: tuple[float, float],
                   look: Look | None = None) -> None:
    """Keypoints of a feature map over the image of (height, width) ``size``; ``scale`` as for ``in_image``.

    Each is drawn as its part is in ``look``; without one, in a colour of its own.
    """
    scatter_keypoints(axes, to_pixels(in_image(positions, scale), size), look or without_truth(len(positions)))


def scatter_keypoints(axes: Axes, places: Float[np.ndarray, "k 2"], look: Look, size: int = 26) -> None:
    """Keypoints at their pixels (x, y); ``size`` in points squared."""
    for part, (x, y) in enumerate(places, 1):
        shape, face, edge = look.marker(part)
        axes.scatter(x, y, color=[face], marker=shape, s=size, edgecolors=edge, linewidths=0.8, zorder=3)


def part_picture(maps: Float[Tensor, "q h w"], size: tuple[int, int], scale: tuple[float, float],
                 look: Look | None = None) -> np.ndarray:
    """(H, W, 4): the most likely part of each pixel as ``look`` draws it; without one, in a colour of its own."""
    return (look or without_truth(len(maps) - 1)).paint(upsample(maps[None], size, scale)[0].argmax(0).numpy())


def scale_of(model: nn.Module, output: MATOutput) -> tuple[float, float]:
    """How far the feature map reaches over the image (see ``geometry.receptive_field_scale``).

    A share of the image that the model was given, and so the same at every size that it is drawn at.
    """
    return receptive_field_scale(output.image_size, tuple(output.features.shape[-2:]), model.trunk.stride)
