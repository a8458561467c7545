"""Pictures of motion (Equations 3 to 8): flows as arrows, and one image of a person in the pose of another."""

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from matlib.data import Sample
from matlib.data.joints.limbs import part_frames, part_masks
from matlib.geometry import Keypoints, blend_motions, coordinate_grid, local_motions, upsample
from matlib.models import MATOutput
from matlib.report.figures.images import label_row, scale_of, show_image, to_image_frame, to_pixels
from matlib.report.figures.looks import TRUE_PARTS, Look, add_legend, without_truth


def true_flow(reference: Sample, source: Sample) -> tuple[Float[Tensor, "1 h w 2"], Float[Tensor, "parts h w"]]:
    """The flow between two rendered images, from their labels, at the reference's own size; and its true part maps."""
    maps = part_masks(reference)
    motions = local_motions(part_frames(reference), part_frames(source), *maps.shape[-2:])
    return blend_motions(maps, motions), maps[0]


def learned_flow(model: nn.Module, output: MATOutput, reference: int, source: int, size: tuple[int, int]
                 ) -> tuple[Float[Tensor, "1 h w 2"], Float[Tensor, "parts h w"]]:
    """The flow that the model sees between two images of its batch, and the part maps, drawn at ``size``."""
    scale = scale_of(model, output)
    keypoints = to_image_frame(output.keypoints, scale)
    maps = upsample(output.part_maps[[reference]], size, scale)[0]
    one, other = (Keypoints(*(t[[i]] for t in keypoints)) for i in (reference, source))
    return blend_motions(maps[None], local_motions(one, other, *size)), maps


def draw_flow(axes: plt.Axes, flow: Float[Tensor, "1 h w 2"], maps: Float[Tensor, "parts h w"], every: int = 8,
              look: Look | None = None) -> None:
    """Arrows over the reference, from where a pixel is to where it is in the source, in the colour of its part; pale
    for one that ``look`` has no true part for."""
    height, width = flow.shape[1:3]
    start = coordinate_grid(height, width)[every // 2::every, every // 2::every].reshape(-1, 2)
    end = flow[0, every // 2::every, every // 2::every].reshape(-1, 2)
    part = maps.argmax(dim=0)[every // 2::every, every // 2::every].flatten().numpy()
    shown = part > 0
    (x, y), (u, v) = (to_pixels(points, (height, width)).T for points in (start, end))
    colours = (look or without_truth(len(maps) - 1)).colours[part]
    axes.quiver(x[shown], y[shown], (u - x)[shown], (v - y)[shown], color=colours[shown], angles="xy", scale_units="xy",
                scale=1, width=0.009, edgecolor="white", linewidth=0.3)


def flow_arrows(rows: list[tuple[str, np.ndarray, np.ndarray, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]],
                look: Look) -> Figure:
    """A pair of images a row: reference, source, and over the reference the true and the learned flow.

    Args:
        rows: label, reference and source (h, w, 3), then (flow, part maps) from the labels and from the model.
        look: how the model's parts are drawn.
    """
    figure, grid = plt.subplots(len(rows), 4, figsize=(6.4, 3.1 * len(rows)), squeeze=False)
    for i, (axes, (label, reference, source, true, learned)) in enumerate(zip(grid, rows)):
        titles = ["reference $A$", "source $B$", "true flow", "learned flow"] if i == 0 else [""] * 4
        for ax, picture, title in zip(axes, (reference, source, reference, reference), titles):
            show_image(ax, picture, title)
        for ax, (flow, maps), drawn in zip(axes[2:], (true, learned), (TRUE_PARTS, look)):
            height, width = flow.shape[1:3]
            ax.images[0].set_extent((-0.5, width - 0.5, height - 0.5, -0.5))
            draw_flow(ax, flow, maps, max(2, width // 16), drawn)
            ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        label_row(axes[0], label)
    add_legend(figure, TRUE_PARTS, look)
    return figure


def as_picture(image: Float[Tensor, "1 3 h w"]) -> np.ndarray:
    """A tensor in 0..1 as ``show_image`` takes it."""
    return image[0].permute(1, 2, 0).clamp(0, 1).numpy()


def body_error(one: Float[Tensor, "1 3 h w"], other: Float[Tensor, "1 3 h w"], maps: Float[Tensor, "parts h w"]
               ) -> float:
    """Mean absolute difference of two images, in 0..1, on the body: where part 0 is not the most likely."""
    body = maps.argmax(dim=0) > 0
    return float((one - other).abs().mean(dim=1)[0][body].mean()) if body.any() else float("nan")
