"""Which true parts a network's learned ones match, in the pictures of a rendered set."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.data import DataLoader

from matlib.config import DataConfig
from matlib.data import ImageDataset, Sample
from matlib.data.truth import is_rendered
from matlib.geometry import upsample
from matlib.report.figures.images import scale_of
from matlib.report.figures.looks import Look, of_groups, without_truth
from matlib.scoring.parts import count_pixels, match_groups, true_labels

#: So many pictures of a set are looked at, evenly spread.
MATCHED_IN = 160


@torch.no_grad()
def look_of(model: nn.Module, config: DataConfig, samples: Sequence[Sample]) -> Look | None:
    """How a network's parts are drawn, by where they lie in (``MATCHED_IN`` of) the pictures of a set; None for one
    without parts."""
    chosen = samples[::-(-len(samples) // MATCHED_IN)]
    rendered, size = is_rendered(chosen), (config.height, config.width)
    data = ImageDataset(chosen, size, truth=("parts", "occluders") if rendered else ())
    counts = []
    for batch in DataLoader(data, batch_size=32):
        output = model.eval()(batch["image"])
        if output.part_maps is None:
            return None
        count = output.part_maps.shape[1]
        if not rendered:
            return without_truth(count - 1)
        winners = upsample(output.part_maps, size, scale_of(model, output)).argmax(dim=1)
        counts.append(count_pixels(winners, true_labels(batch["parts"], batch["occluders"]), count).sum(axis=0))
    matched = {part: group for group, (part, _) in match_groups(sum(counts)).items()}
    return of_groups([matched.get(part, "") for part in range(1, count)])
