"""Pictures of thin-plate splines (Equations 13 and 14): a person bent, and keypoints that bend along or do not."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from matlib.geometry import ThinPlateSpline, inverse_2x2
from matlib.report.figures.images import scatter_keypoints, show_image, to_pixels
from matlib.report.figures.labels import LIMBS
from matlib.report.figures.looks import Look, add_legend


def unwarp_points(spline: ThinPlateSpline, points: Float[Tensor, "b n 2"], steps: int = 20) -> Float[Tensor, "b n 2"]:
    """Where points of the original lie in the warped image: T^-1, by Newton's method with the closed-form Jacobian."""
    found = points.clone()
    for _ in range(steps):
        residual = spline.warp_points(found) - points
        found = found - (inverse_2x2(spline.jacobian(found)) * residual[..., None, :]).sum(-1)
    return found


def bent_people(image: Float[Tensor, "3 h w"], joints: Float[Tensor, "17 2"], splines: Mapping[str, ThinPlateSpline]
                ) -> Figure:
    """One image under several deformations, with its joints and a grid that bend along.

    Args:
        image: values in 0..1.
        joints: in corner-aligned image coordinates.
        splines: batches of one, by the title of their picture.
    """
    figure, grid = plt.subplots(1, len(splines) + 1, figsize=(1.5 * (len(splines) + 1), 3.1))
    size = tuple(image.shape[1:])
    _show_bent(grid[0], image, joints, _grid_lines(), size, "original")
    for ax, (title, spline) in zip(grid[1:], splines.items()):
        lines = [unwarp_points(spline, line[None])[0] for line in _grid_lines()]
        _show_bent(ax, spline.warp_images(image[None])[0], unwarp_points(spline, joints[None])[0], lines, size, title)
    return figure


def _show_bent(axes: Axes, image: Float[Tensor, "3 h w"], joints: Float[Tensor, "17 2"],
               lines: list[Float[Tensor, "n 2"]], size: tuple[int, int], title: str) -> None:
    show_image(axes, image.permute(1, 2, 0).numpy().clip(0, 1), title)
    for line in lines:
        axes.plot(*to_pixels(line, size).T, color="white", linewidth=0.6, alpha=0.6)
    x, y = to_pixels(joints, size).T
    for one, other in LIMBS:
        axes.plot(x[[one, other]], y[[one, other]], color="#ffd23f", linewidth=1.1)
    axes.scatter(x, y, s=9, color="#ffd23f", zorder=3)
    axes.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))


def _grid_lines(count: int = 7) -> list[Float[Tensor, "n 2"]]:
    ticks, along = torch.linspace(-0.98, 0.98, count), torch.linspace(-1, 1, 60)
    return [torch.stack(pair, dim=1) for t in ticks for pair in ((t.expand(60), along), (along, t.expand(60)))]


def equivariance_arrows(images: np.ndarray, original: Float[Tensor, "b k 2"], returned: Float[Tensor, "b k 2"],
                        look: Look) -> Figure:
    """Keypoints of each image (dots), and those of its warped copy sent back by T (arrow heads): no arrow is no error.

    Args:
        images: (b, h, w, 3), originals.
        original, returned: p_X and T(p_Y), in image coordinates.
        look: how the keypoints' parts are drawn.
    """
    figure, grid = plt.subplots(1, len(images), figsize=(1.35 * len(images), 2.9), squeeze=False)
    for ax, image, start, end in zip(grid[0], images, original, returned):
        show_image(ax, image)
        (x, y), (u, v) = to_pixels(start, image.shape[:2]).T, to_pixels(end, image.shape[:2]).T
        ax.quiver(x, y, u - x, v - y, color="white", angles="xy", scale_units="xy", scale=1, width=0.012, zorder=2)
        scatter_keypoints(ax, np.c_[x, y], look)
    add_legend(figure, look)
    return figure
