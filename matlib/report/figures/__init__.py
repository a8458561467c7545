"""The paper's figures, and the pictures that the chapters need, from records, checkpoints and images alone.

All are matplotlib figures with a transparent ground and greys that can be read on white and on black.
"""

import matplotlib.pyplot as plt

from matlib.report.figures.images import (
    contact_sheet,
    draw_keypoints,
    image_rows,
    load_images,
    part_picture,
    scale_of,
    show_image,
)
from matlib.report.figures.labels import label_sheet, occlusion_histogram
from matlib.report.figures.looks import TRUE_PARTS, add_legend, of_groups
from matlib.report.figures.pipeline import figure2, figure2_linked, figure2_svg
from matlib.report.figures.records import (
    by_amount,
    by_knob,
    by_parts,
    compare,
    diagnostics,
    forest,
    gradient_norms,
    losses,
    motion_gain,
    rungs,
    step_shares,
    trade,
)
from matlib.report.figures.results import figure1, figure3, parts_by_k
from matlib.report.figures.rows import learning_curves, query_scatter, rank_curves
from matlib.report.figures.skeleton import skeletons
from matlib.report.figures.style import INK, part_colours, setup

__all__ = [
    "INK", "TRUE_PARTS", "add_legend", "by_amount", "by_knob", "by_parts", "compare", "contact_sheet",
    "diagnostics", "draw_keypoints", "figure1", "figure2", "figure2_linked", "figure2_svg", "figure3", "forest",
    "gradient_norms", "image_rows", "label_sheet", "learning_curves", "load_images",
    "losses", "motion_gain", "occlusion_histogram", "of_groups", "part_colours", "part_picture", "parts_by_k",
    "plt", "query_scatter", "rank_curves", "rungs", "scale_of", "setup", "show_image", "skeletons", "step_shares",
    "trade",
]
