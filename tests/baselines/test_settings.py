"""Each compared method reads the settings that it says it reads, and no other ones."""

import pytest
import torch

from matlib.ablations import BESIDE_3, TABLE_3, row_config
from matlib.models import method_class
from matlib.models.method import Step

IDENTITIES = torch.arange(4).repeat_interleave(2)
ROWS = [row.name for row in (*TABLE_3, *BESIDE_3) if not row.name.endswith("_truth")]


def watched(section, prefix, seen):
    """The section of a configuration, which notes the names of what is asked of it."""
    names = vars(section).keys()

    class Watched(type(section)):
        def __getattribute__(self, name):
            seen.update({f"{prefix}.{name}"} if name in names else ())
            return super().__getattribute__(name)
    return Watched(**vars(section))


def settings_read(config):
    seen, images = set(), torch.randn(8, 3, 96, 48)
    model = method_class(config.model.architecture)(watched(config.model, "model", seen), 5).train()
    if not model.training_truth:
        model.begin_epoch(5, 6, lambda: iter(()))
    known = {"joints": torch.cat([torch.rand(8, 17, 2) * 2 - 1, torch.full((8, 17, 1), 2.0)], dim=2),
             "labels": torch.randint(3, (8, 96, 48), dtype=torch.uint8)}
    output = model(images, *(known[name] for name in model.truth + model.training_truth))
    model.losses(output, Step(images, IDENTITIES, config=watched(config.loss, "loss", seen)))
    with torch.no_grad():
        model.eval().describe(model(images, *(known[name] for name in model.truth)))
    return seen


@pytest.mark.parametrize("row", ROWS)
def test_a_method_reads_what_it_says(row):
    changes = {"model.weights": "none", "model.width": 96} | (
        {"model.method.compare": "trained"} if row == "pcb" else {})
    config = row_config(row, "smoke", changes=changes)
    said = {name for name in method_class(config.model.architecture).reads(config)
            if not name.startswith(("model.method", "data."))} - {"model.architecture"}
    assert settings_read(config) - {"model.method"} == said
