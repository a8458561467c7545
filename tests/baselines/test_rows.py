"""The rows of Table 3: under the roof and as published, each a method that describes an image."""

import pytest
import torch

from matlib.ablations import BESIDE_3, ROWS, TABLE_3, idle_settings, row_config, run_title
from matlib.config import RunConfig
from matlib.errors import MatlibError
from matlib.models import build_model
from matlib.models.descriptions import join

METHODS = [*TABLE_3, BESIDE_3[0]]
PUBLISHED = [row for row in METHODS if row.name != "amc_swm"]  # which learns nothing of its own
SMALL = {"model.weights": "none"}


def describe(config: RunConfig, images: int = 2):
    torch.manual_seed(0)
    model = build_model(config.model, 4).eval()
    joints = torch.cat([torch.rand(images, 17, 2) * 1.6 - 0.8, torch.full((images, 17, 1), 2.0)], dim=2)
    with torch.no_grad():
        pictures = torch.randn(images, 3, config.data.height, config.data.width)
        output = model(pictures, *([joints] if model.truth else []))
        return join([model.describe(output)])


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_a_method_as_published_describes_images_of_its_size(row):
    config = row_config(row.name, "paper", changes={"recipe": "published", **SMALL})
    assert len(describe(config)) == 2
    assert RunConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_a_methods_own_recipe_is_in_its_runs_title_and_changes_it(row):
    roof, own = (row_config(row.name, "paper", changes={"recipe": recipe}) for recipe in ("same_roof", "published"))
    assert run_title(roof) == row.name and run_title(own) == f"{row.name}, recipe=published"
    assert roof != own and own.recipe == "published"


@pytest.mark.parametrize("row", METHODS, ids=lambda row: row.name)
def test_what_a_method_does_not_read_changes_nothing_that_it_describes(row):
    config = row_config(row.name, "smoke", changes=SMALL)
    idle = {"model.parts", "model.width", "model.temperature", "model.dropout"} & idle_settings(config)
    other = {"model.width": 2 * config.model.width} if "model.width" in idle else {"model.dropout": 0.4}
    changed = config.change(other)
    before, after = describe(config), describe(changed)
    for one, other in zip(*([value] if isinstance(value, torch.Tensor) else [v for v in vars(value).values()
                            if isinstance(v, torch.Tensor)] for value in (before, after)), strict=True):
        torch.testing.assert_close(one, other)


def test_rows_with_joints_say_where_they_come_from():
    given = {name: row.changes["data.joints"] for name, row in ROWS.items() if "data.joints" in row.changes}
    assert set(given) == {"pvpm", "pgfa", "horeid", "oonet", "joints_fine", "pvpm_truth", "pgfa_truth", "horeid_truth",
                          "pvpm_own", "pgfa_own", "horeid_own", "pretrained_keypoints", "following_noisy",
                          "following_truth", "located_noisy", "located_truth"}
    sources = {"truth": "truth", "own": "cache"}
    assert all(sources.get(name.rpartition("_")[2], "noisy") == source for name, source in given.items())


@pytest.mark.parametrize("row", ["full", "amc_swm"])
def test_a_method_without_a_recipe_of_its_own_says_so(row):
    with pytest.raises(MatlibError, match="has no recipe of its own"):
        row_config(row, "paper", changes={"recipe": "published"})
