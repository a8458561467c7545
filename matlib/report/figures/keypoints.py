"""Pictures of keypoints (Equations 2 and 4): heatmaps, the point that is read off them, and the frame around it."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from matlib.geometry import Keypoints, upsample
from matlib.report.figures.images import draw_keypoints, in_image, label_row, show_image, to_image_frame, to_pixels
from matlib.report.figures.looks import Look, add_legend, without_truth

#: A circle and its radius that points along the first axis.
_CIRCLE = torch.stack((torch.linspace(0, 2 * torch.pi, 40).cos(), torch.linspace(0, 2 * torch.pi, 40).sin()), dim=1)


def draw_frames(axes: Axes, keypoints: Keypoints, size: tuple[int, int], radius: float, look: Look | None = None
                ) -> None:
    """Each keypoint's Jacobian as what it makes of a small circle, with the two axes' images as lines.

    Args:
        keypoints: of one image (batch of 1), in image coordinates.
        size: (height, width).
        radius: of the circle in the abstract frame.
        look: how parts are drawn; those that match no true part have broken lines.
    """
    look = look or without_truth(keypoints.positions.shape[1])
    for part, (position, jacobian) in enumerate(zip(keypoints.positions[0], keypoints.jacobians[0]), 1):
        outline, colour = to_pixels(position + radius * _CIRCLE @ jacobian.T, size), look.marker(part).face
        axes.plot(*outline.T, color=colour, linewidth=1.4, linestyle=":" if part in look.hatched else "-")
        for arm in (radius * jacobian).T:
            axes.plot(*to_pixels(torch.stack((position, position + arm)), size).T, color=colour, linewidth=1.2)
    axes.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))


def frames(pictures: Sequence[np.ndarray], keypoints: Sequence[Keypoints], radius: float, titles: Sequence[str],
           looks: Sequence[Look]) -> Figure:
    """Images with the frames of their keypoints, drawn as the look of each image has its parts."""
    figure, grid = plt.subplots(1, len(pictures), figsize=(1.5 * len(pictures), 3.1), squeeze=False)
    for ax, picture, own, title, look in zip(grid[0], pictures, keypoints, titles, looks):
        show_image(ax, picture, title)
        draw_frames(ax, own, picture.shape[:2], radius, look)
    add_legend(figure, *looks)
    return figure


def heatmap_sheet(rows: Sequence[tuple[str, np.ndarray, Float[Tensor, "k h w"], Float[Tensor, "k 2"], Look]],
                  scale: tuple[float, float], titles: Sequence[str] = (), most: int = 10) -> Figure:
    """The heatmaps of one image over it, one a picture, each with the point that it stands for.

    Args:
        rows: label, image (h, w, 3), heatmaps, positions on the feature map, how the keypoints' parts are drawn.
        scale: ``geometry.receptive_field_scale``.
        titles: of the columns; the keypoints' numbers where there are none.
        most: so many keypoints at most.
    """
    count = min(most, len(rows[0][2]))
    titles = titles or [f"$k={k + 1}$" for k in range(count)]
    figure, grid = plt.subplots(len(rows), count, figsize=(0.92 * count, 1.95 * len(rows)), squeeze=False)
    for i, (axes, (label, picture, heatmaps, positions, look)) in enumerate(zip(grid, rows)):
        size, colours = picture.shape[:2], look.colours[1:]
        heat = upsample(heatmaps[None], size, scale)[0]
        for k, ax in enumerate(axes):
            show_image(ax, picture.mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.6, titles[k] if i == 0 else "")
            strength = (heat[k] / heat[k].max()).clamp(0, 1).numpy()
            ax.imshow(np.dstack([np.broadcast_to(colours[k, :3], (*size, 3)), strength]))
            x, y = to_pixels(in_image(positions[k], scale), size)
            ax.plot(x, y, marker="+", color="white", markersize=8, markeredgewidth=1.5)
            ax.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))
        label_row(axes[0], label)
    add_legend(figure, *[look for *_, look in rows])
    return figure


def keypoint_rows(rows: Sequence[tuple[str, np.ndarray, Keypoints, Look]], scale: tuple[float, float],
                  radius: float = 0.12) -> Figure:
    """A row a network: the same images with the keypoints it finds in them, and their frames.

    Args:
        rows: label, images (b, h, w, 3), keypoints on the feature map, how the network's parts are drawn.
    """
    columns = len(rows[0][1])
    figure, grid = plt.subplots(len(rows), columns, figsize=(1.05 * columns, 2.15 * len(rows)), squeeze=False)
    for axes, (label, pictures, keypoints, look) in zip(grid, rows):
        for i, (ax, picture) in enumerate(zip(axes, pictures)):
            show_image(ax, picture)
            own = Keypoints(*(t[[i]] for t in keypoints))
            draw_frames(ax, to_image_frame(own, scale), picture.shape[:2], radius, look)
            draw_keypoints(ax, own.positions[0], picture.shape[:2], scale, look)
        label_row(axes[0], label)
    add_legend(figure, *[look for *_, look in rows])
    return figure
