"""Figures 1 and 3: what a trained model sees in the images of one person."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import nn

from matlib.config import DataConfig
from matlib.data import Sample
from matlib.data.truth import is_rendered
from matlib.report.figures.images import (
    draw_keypoints,
    image_rows,
    label_row,
    load_images,
    part_picture,
    scale_of,
    show_image,
)
from matlib.report.figures.looks import TRUE_PARTS, Look, add_legend
from matlib.report.figures.parts import over, true_part_picture


@torch.no_grad()
def figure1(model: nn.Module, config: DataConfig, rows: Sequence[tuple[str, Sequence[Sample]]], look: Look) -> Figure:
    """Figure 1: for each group of images of one identity (occluded, whole) a row of pictures an image.

    Columns as in the paper: the image, its keypoints, its part map, the parts over the image; and, where the images are
    rendered, the true parts, which the paper could not have.
    """
    samples = [sample for _, group in rows for sample in group]
    labels = [label for label, group in rows for _ in group]
    images, shown = load_images(samples, config)
    output = model.eval()(images)
    size = (config.height, config.width)
    scale = scale_of(model, output)
    truth = [true_part_picture(sample) for sample in samples] if is_rendered(samples) else None
    titles = ["image", "keypoints", "parts", "parts over image"] + (["true parts"] if truth else [])
    figure_size = (1.15 * len(titles), 2.25 * len(samples))
    figure, grid = plt.subplots(len(samples), len(titles), figsize=figure_size, squeeze=False)
    for i, axes in enumerate(grid):
        parts = part_picture(output.part_maps[i], size, scale, look)
        for ax, picture, title in zip(axes, (shown[i], shown[i], parts, shown[i], truth and truth[i]), titles):
            show_image(ax, picture, title if i == 0 else "")
        if output.keypoints is not None:
            draw_keypoints(axes[1], output.keypoints.positions[i], size, scale, look)
        axes[3].imshow(parts * (1, 1, 1, 0.55))
        label_row(axes[0], labels[i])
    add_legend(figure, look, *([TRUE_PARTS] if truth else []))
    return figure


@torch.no_grad()
def parts_by_k(networks: Sequence[tuple[str, nn.Module, DataConfig, Look]], samples: Sequence[Sample]) -> Figure:
    """The part maps of several networks over the same images: a row a network, under its label."""
    figure, grid = plt.subplots(len(networks), len(samples), figsize=(1.1 * len(samples), 2.2 * len(networks)),
                                squeeze=False)
    for axes, (label, model, config, look) in zip(grid, networks):
        images, shown = load_images(samples, config)
        output, size = model.eval()(images), (config.height, config.width)
        for i, ax in enumerate(axes):
            show_image(ax, shown[i], "")
            ax.imshow(part_picture(output.part_maps[i], size, scale_of(model, output), look) * (1, 1, 1, 0.55))
        label_row(axes[0], label)
    add_legend(figure, *[look for *_, look in networks])
    return figure


@torch.no_grad()
def figure3(model: nn.Module, config: DataConfig, people: Sequence[Sequence[Sample]], look: Look) -> Figure:
    """Figure 3: a person a row in several poses, its parts laid over each; beside, where known, the true ones."""
    samples = [sample for person in people for sample in person]
    images, shown = load_images(samples, config)
    output = model.eval()(images)
    size = (config.height, config.width)
    scale = scale_of(model, output)
    pictures = iter([over(image, part_picture(maps, size, scale, look))
                     for image, maps in zip(shown, output.part_maps)])
    rendered = is_rendered(samples)
    rows = [[p for sample in person for p in [next(pictures)] + ([true_part_picture(sample)] if rendered else [])]
            for person in people]
    titles = ["parts", "true"] * len(people[0]) if rendered else []
    figure = image_rows(rows, titles, [f"person {person[0].identity}" for person in people], width=0.95)
    add_legend(figure, look, *([TRUE_PARTS] if rendered else []))
    return figure
