"""Every ambiguity of the paper is a setting, is told on the options page, and trains."""

import functools
from typing import Literal, get_origin, get_type_hints

import pytest
import torch

from matlib import options
from matlib.config import DataConfig, LossConfig, ModelConfig, profile
from matlib.models import build_model
from matlib.objective import Objective
from matlib.records import write_record

CHAPTERS = ("features", "keypoints", "equivariance", "motion", "parts", "objective")
#: Settings with readings that are no reading of the paper: which network it is.
ROWS = {"model.architecture"}
SMALL = {"model.weights": "none", "model.trunk_cut": "features.3", "model.width": 16, "loss.separation": 0.0}
# Where another setting is needed for a reading to make sense at this size.
WITH = {"model.keypoints": {"loss.equivariance": 0.0}}


def test_every_setting_with_readings_is_on_the_page():
    known = {option.name for option in options.OPTIONS}
    for section, kind in (("model", ModelConfig), ("loss", LossConfig), ("data", DataConfig)):
        for name, hint in get_type_hints(kind).items():
            if get_origin(hint) is Literal and f"{section}.{name}" not in ROWS:
                assert f"{section}.{name}" in known


@pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.name)
def test_an_option_is_told_whole(option):
    assert option.chapter in CHAPTERS and option.question.endswith("?") and option.reason
    assert option.readings[0] == option.default and len(set(option.readings)) == len(option.readings) > 1
    assert option.literal is None or option.literal in option.readings


@functools.cache
def model_of(config):
    torch.manual_seed(0)
    return build_model(config, 4).train()


@pytest.mark.parametrize("name, reading", [(o.name, r) for o in options.OPTIONS for r in o.readings[1:]], ids=str)
def test_every_reading_takes_a_step(name, reading, rng):
    if name == "model.output_stride":
        reading = 2  # the small trunk does not reach 32
    config = profile("smoke").change({**SMALL, "model.output_stride": 4, name: reading, **WITH.get(name, {})})
    objective = Objective(model_of(config.model), config.loss)
    objective.zero_grad()
    images, identities = torch.randn(8, 3, 64, 32, generator=rng), torch.arange(4).repeat_interleave(2)
    joints = torch.cat([torch.rand(8, 17, 2, generator=rng) - 0.5, torch.full((8, 17, 1), 2.0)], dim=2)
    terms, output = objective(images, identities, joints=joints if config.model.keypoints == "external" else None)
    terms["total"].backward()
    gradients = [p.grad for p in objective.parameters() if p.grad is not None]
    assert terms["total"].isfinite() and gradients and all(g.isfinite().all() for g in gradients)


def record_of(tmp_path, name, seed, value, changes=None):
    config = profile("laptop").change({"name": name, "seed": seed, **(changes or {})})
    write_record(tmp_path / name / f"seed{seed}", {
        "config": config.to_dict(), "data": {"name": "d", "fingerprint": "f"}, "metrics": {"d": {"mAP": value}},
        "seconds": {}})


def test_an_effect_is_the_difference_to_the_full_model_of_the_same_seed(tmp_path):
    for seed, value in ((0, 0.30), (1, 0.40)):
        record_of(tmp_path, "full", seed, value)
        record_of(tmp_path, "fc", seed, value + 0.05 + 0.02 * seed, {"loss.fc_on": "parts"})
    record_of(tmp_path, "two", 0, 0.9, {"loss.fc_on": "parts", "loss.fc_pairs": "all"})  # two changes
    record_of(tmp_path, "alone", 7, 0.9, {"loss.fc_pairs": "all"})  # no full model of its seed
    found = options.effects([tmp_path])
    assert found[["option", "reading", "seeds"]].values.tolist() == [["loss.fc_on", "parts", 2]]
    assert found["change"].item() == pytest.approx(6.0)
    assert "parts: +6.0 (laptop, n = 2)" in options.html_table("parts", found)
    assert "Measured" not in options.html_table("motion", found)
