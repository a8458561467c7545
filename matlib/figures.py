"""The paper's figures, and the pictures that the chapters need, from records, checkpoints and images alone.

All are matplotlib figures with a transparent ground and greys that can be read on white and on black.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor, nn

from matlib.config import DataConfig
from matlib.data import ImageDataset, Sample, Truth
from matlib.data.images import read_image
from matlib.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from matlib.data.truth import NUM_PARTS
from matlib.geometry import receptive_field_scale, upsample
from matlib.models import MATOutput

INK = "#7f8794"  # text and lines: 4 : 1 against both white and the book's dark ground


def setup() -> None:
    """Style of all figures; in a notebook they become vector pictures."""
    sns.set_theme(style="ticks", palette="deep", rc={
        "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.titlecolor": INK, "axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True,
        "svg.fonttype": "path", "svg.hashsalt": "matlib"})
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
        if get_ipython() is not None:
            set_matplotlib_formats("svg")
    except ImportError:  # outside a notebook there is nothing to set
        pass


def part_colours(parts: int) -> np.ndarray:
    """(K + 1, 4): one colour a part, the same in all figures; part 0, the background, is transparent."""
    colours = np.array(sns.color_palette("husl", parts))
    order = np.argsort(np.arange(parts) * 7 % parts, kind="stable") if parts % 7 else np.arange(parts)
    return np.vstack([[0, 0, 0, 0], np.c_[colours[order], np.ones(parts)]])


def load_images(samples: Sequence[Sample], config: DataConfig) -> tuple[Float[Tensor, "b 3 h w"], np.ndarray]:
    """The images as the model takes them, and as they are shown: (b, h, w, 3) in 0..1."""
    dataset = ImageDataset(samples, (config.height, config.width))
    images = torch.stack([dataset[i]["image"] for i in range(len(samples))])
    return images, (images.permute(0, 2, 3, 1).numpy() * IMAGENET_STD + IMAGENET_MEAN).clip(0, 1)


def show_image(axes: Axes, image: np.ndarray, title: str = "") -> None:
    axes.imshow(image)
    axes.set_axis_off()
    axes.set_title(title, fontsize=8)


def draw_keypoints(axes: Axes, positions: Float[Tensor, "k 2"], size: tuple[int, int], scale: tuple[float, float]) -> None:
    """Keypoints of a feature map over the image of (height, width) ``size``; ``scale`` as in the losses."""
    height, width = size
    image_frame = np.asarray(scale) * (positions.numpy() + 1) - 1
    x, y = ((image_frame + 1) / 2 * (width - 1, height - 1)).T
    colours = part_colours(len(positions))[1:]
    axes.scatter(x, y, c=colours, s=26, edgecolors="white", linewidths=0.8, zorder=3)


def part_picture(maps: Float[Tensor, "q h w"], size: tuple[int, int], scale: tuple[float, float]) -> np.ndarray:
    """(H, W, 4): the most likely part of each pixel in its colour."""
    return part_colours(len(maps) - 1)[upsample(maps[None], size, scale)[0].argmax(0).numpy()]


def scale_of(model: nn.Module, output: MATOutput, size: tuple[int, int]) -> tuple[float, float]:
    """How far the feature map reaches over the image (see ``geometry.receptive_field_scale``)."""
    return receptive_field_scale(size, tuple(output.features.shape[-2:]), model.trunk.stride)


@torch.no_grad()
def figure1(model: nn.Module, config: DataConfig, rows: Sequence[tuple[str, Sequence[Sample]]]) -> Figure:
    """Figure 1: for each group of images of one identity (occluded, whole) a row of pictures an image.

    Columns as in the paper: the image, its keypoints, its part map, the parts over the image; and, where the images are
    rendered, the true parts, which the paper could not have.
    """
    samples = [sample for _, group in rows for sample in group]
    labels = [label for label, group in rows for _ in group]
    images, shown = load_images(samples, config)
    output = model.eval()(images)
    size = (config.height, config.width)
    scale = scale_of(model, output, size)
    truth = [_true_parts(sample) for sample in samples] if is_rendered(samples) else None
    titles = ["image", "keypoints", "parts", "parts over image"] + (["true parts"] if truth else [])
    figure, grid = plt.subplots(len(samples), len(titles), figsize=(1.15 * len(titles), 2.25 * len(samples)), squeeze=False)
    for i, axes in enumerate(grid):
        parts = part_picture(output.part_maps[i], size, scale)
        for ax, picture, title in zip(axes, (shown[i], shown[i], parts, shown[i], truth and truth[i]), titles):
            show_image(ax, picture, title if i == 0 else "")
        if output.keypoints is not None:
            draw_keypoints(axes[1], output.keypoints.positions[i], size, scale)
        axes[3].imshow(parts * (1, 1, 1, 0.55))
        axes[0].text(-0.08, 0.5, labels[i], transform=axes[0].transAxes, rotation=90, ha="right", va="center", fontsize=8)
    return figure


def is_rendered(samples: Sequence[Sample]) -> bool:
    """Whether the images come with the truth of a rendered set."""
    return all((sample.path.parent.parent / "truth").is_dir() for sample in samples)


def _true_parts(sample: Sample) -> np.ndarray:
    return part_colours(NUM_PARTS)[Truth(sample).parts.numpy()]


#: Joints that a line connects, COCO's numbers.
_LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
          (0, 5), (0, 6))


def label_sheet(samples: Sequence[Sample], config: DataConfig) -> Figure:
    """What is known of rendered images: above, the joints, seen (filled) or hidden (ring); below, parts and what is hidden.

    Hidden parts of the person are white; an occluder beside the person is grey.
    """
    figure, grid = plt.subplots(2, len(samples), figsize=(1.1 * len(samples), 4.5), squeeze=False)
    for above, below, sample in zip(*grid, samples):
        truth, image = Truth(sample), read_image(sample.path).permute(1, 2, 0).numpy()
        show_image(above, image, f"{truth.occluder or 'whole'}\n{truth.occlusion:.0%} hidden")
        x, y, seen = truth.keypoints.T.numpy()
        for one, other in _LIMBS:
            above.plot(x[[one, other]], y[[one, other]], color="white", linewidth=0.9, alpha=0.8)
        filled = np.where((seen == 2)[:, None], sns.color_palette("deep")[2], (0, 0, 0))
        above.scatter(x[seen > 0], y[seen > 0], s=12, c=np.c_[filled, seen == 2][seen > 0], edgecolors="white",
                      linewidths=0.7, zorder=3)
        show_image(below, image)
        below.imshow(part_colours(NUM_PARTS)[truth.parts.numpy()] * (1, 1, 1, 0.65))
        below.imshow(truth.occluders.numpy()[..., None] * np.array([0.5, 0.5, 0.5, 0.55]))
        below.imshow(truth.hidden.numpy()[..., None] * np.array([1.0, 1.0, 1.0, 0.75]))
    return figure


def occlusion_histogram(frame: pd.DataFrame) -> Figure:
    """Share of the person that is hidden, a panel a split; columns ``split``, ``occlusion`` (in 0..1)."""
    splits = list(frame["split"].unique())
    figure, grid = plt.subplots(1, len(splits), figsize=(9, 2.2), squeeze=False, sharex=True)
    for ax, split in zip(grid[0], splits):
        sns.histplot(frame[frame["split"] == split], x="occlusion", bins=np.linspace(0, 0.8, 17), stat="percent", ax=ax)
        ax.set(title=split, xlabel="share of the person hidden", ylabel="images, %" if split == splits[0] else "")
    return figure


def losses(record: dict, names: Sequence[str] | None = None) -> Figure:
    """Every loss of a run by epoch, one small panel each, as in the record."""
    frame = pd.DataFrame([{"epoch": entry["epoch"], **entry["losses"]} for entry in record["history"]])
    return _panels(frame, names or [name for name in frame.columns if name != "epoch"])


def diagnostics(record: dict) -> Figure:
    """What tells a collapse (``matlib.diagnostics``) by epoch, one small panel each."""
    frame = pd.DataFrame([{"epoch": entry["epoch"], "gradient_norm": entry["gradient_norm"], **entry["diagnostics"]}
                          for entry in record["history"]])
    return _panels(frame, [name for name in frame.columns if name != "epoch"])


def _panels(frame: pd.DataFrame, names: Sequence[str]) -> Figure:
    columns = 4
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(9, 1.7 * rows), squeeze=False, sharex=True)
    for ax, name in zip(grid.flat, names):
        sns.lineplot(frame, x="epoch", y=name, ax=ax, marker="o", markersize=3, linewidth=1.5)
        ax.set(title=name.replace("_", " "), ylabel="", xlabel="epoch")
        ax.title.set_fontsize(9)
        ax.tick_params(labelsize=8)
    for ax in list(grid.flat)[len(names):]:
        ax.set_axis_off()
    return figure


def figure2() -> Figure:
    """Figure 2 redrawn: the pipeline from image to losses. The equations are the paper's."""
    figure, ax = plt.subplots(figsize=(10, 4.9))
    ax.set(xlim=(0, 100), ylim=(0, 50))
    ax.set_axis_off()
    blue, green, orange, purple, grey = "#cfe0f5", "#d3ecd6", "#fbe2c5", "#e4d8f2", "#e3e6ea"
    boxes = {
        "image": (0, 20, 9, 10, "images of\none identity\nA, B, C, D", grey),
        "trunk": (13, 20, 10, 10, "CNN trunk\n$\\mathcal{F}$", blue),
        "encoder": (27, 20, 11, 10, "transformer\nencoder, Eq. 1\n$f_g$", blue),
        "decoder": (42, 33, 11, 10, "decoder\nK + 1 part\nqueries", blue),
        "keypoints": (57, 38, 13, 9, "keypoint branch\nheatmaps, $p$, $J$\nEq. 2, 4", green),
        "parts": (57, 24, 13, 9, "part branch\nmaps $M$\n0 is background", orange),
        "flow": (75, 31, 11, 9, "motion flow\n$G = \\sum M^k G_k$\nEq. 3, 5-7", green),
        "pool": (57, 10, 13, 8, "weighted pooling\n$f^{part}$", orange),
        "equivariance": (89, 40, 11, 8, "$\\mathcal{L}_{eq}$\nEq. 13, 14", purple),
        "consistency": (89, 28, 11, 8, "$\\mathcal{L}_{fc}$\nEq. 8, 10-12", purple),
        "local": (89, 10, 11, 8, "$\\mathcal{L}_{id}^p$, $\\mathcal{L}_t^p$\nEq. 16, 17", purple),
        "global": (89, 0, 11, 8, "$\\mathcal{L}_{id}^g$, $\\mathcal{L}_t^g$\nEq. 15, 17", purple),
    }
    for x, y, w, h, text, colour in boxes.values():
        ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=1", facecolor=colour,
                                    edgecolor=INK, linewidth=0.8))
        ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=8, color="#20242b", linespacing=1.35)

    def arrow(start: str, end: str, bend: str = "arc3,rad=0", sides: tuple[str, str] = ("right", "left")) -> None:
        points = [_side(boxes[name], side) for name, side in zip((start, end), sides)]
        ax.add_patch(FancyArrowPatch(*points, arrowstyle="-|>", mutation_scale=9, color=INK, linewidth=1,
                                     connectionstyle=bend, shrinkA=1, shrinkB=1))

    for start, end in [("image", "trunk"), ("trunk", "encoder"), ("decoder", "keypoints"), ("decoder", "parts"),
                       ("keypoints", "flow"), ("parts", "flow"), ("flow", "consistency"), ("keypoints", "equivariance"),
                       ("pool", "local")]:
        arrow(start, end)
    arrow("encoder", "decoder", "angle3,angleA=90,angleB=0", ("top", "left"))
    arrow("encoder", "pool", "angle3,angleA=-60,angleB=180", ("bottom", "left"))
    arrow("encoder", "global", "angle3,angleA=-90,angleB=180", ("bottom", "left"))
    arrow("parts", "pool", sides=("bottom", "top"))
    return figure


def figure2_svg() -> str:
    """Figure 2 as an SVG file, the same bytes each time."""
    setup()
    buffer = io.StringIO()
    figure2().savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return buffer.getvalue()


def _side(box: tuple, side: str) -> tuple[float | int, float | int]:
    x, y, w, h = box[:4]
    return {"left": (x, y + h / 2), "right": (x + w, y + h / 2), "top": (x + w / 2, y + h), "bottom": (x + w / 2, y)}[side]


def contact_sheet(samples: Sequence[Sample], config: DataConfig, columns: int = 10, titles: Sequence[str] | None = None
                  ) -> Figure:
    """Images in rows, as they lie on disk, in the order given."""
    _, shown = load_images(samples, config)
    rows = -(-len(samples) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(0.92 * columns, 1.85 * rows + (0.2 if titles else 0)), squeeze=False)
    for ax in grid.flat:
        ax.set_axis_off()
    for i, (ax, image) in enumerate(zip(grid.flat, shown)):
        show_image(ax, image, titles[i] if titles else "")
    return figure


def compare(frame: pd.DataFrame, metric: str, order: Sequence[str], labels: Sequence[str], title: str) -> Figure:
    """A metric of several rows as points with their mean, one point a seed."""
    figure, ax = plt.subplots(figsize=(7, 0.45 * len(order) + 0.9))
    sns.stripplot(frame, x=metric, y="name", order=order, ax=ax, size=5, alpha=0.7, color=sns.color_palette("deep")[0])
    sns.pointplot(frame, x=metric, y="name", order=order, ax=ax, linestyle="none", marker="|", markersize=16,
                  color=sns.color_palette("deep")[3], errorbar=None)
    ax.set(xlabel=title, ylabel="", yticks=range(len(order)), yticklabels=labels)
    return figure


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(figure2_svg())
