"""Every ambiguity of the paper is a setting, is told on the options page, and trains."""

import functools
from typing import Literal, get_args, get_origin, get_type_hints

import pandas as pd
import pytest
import torch

from matlib.ablations import idle_settings, changed_settings, row_config
from matlib.config import DataConfig, LossConfig, ModelConfig, differences, profile
from matlib.models import build_model
from matlib.objective import Objective
from matlib.report import options
from matlib.runs.records import write_record

CHAPTERS = ("features", "keypoints", "equivariance", "motion", "parts", "objective")
#: Settings with readings that are no reading of the paper: which network it is.
ROWS = {"model.architecture"}
SMALL = {"model.weights": "none", "model.trunk_cut": "features.3", "model.width": 16, "loss.separation": 0.0}
# Where another setting is needed for a reading to make sense at this size.
EXTERNAL = {"model.keypoints": "external", "loss.equivariance": 0.0}  # nothing is left to be equivariant
WITH = {"model.keypoints": EXTERNAL, "model.external_jacobian": EXTERNAL,
        "model.detach_trunk": {"model.part_source": "backbone"}, "model.window": {"model.windows": "rows"},
        "model.outside": {"model.windows": "rows"},
        "loss.fc_pairs": {"loss.fc_norm": "channel"}}


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


@pytest.mark.parametrize("name, of_a_profile", [("laptop", {"model.encoder_layers"}), ("paper", set())])
def test_the_row_as_printed_has_every_literal_reading(name, of_a_profile):
    settings = row_config("literal", name).flat
    for option in options.OPTIONS:
        if option.literal is not None and option.name not in of_a_profile:
            assert settings[option.name] == option.literal, option.name


@functools.cache
def model_of(config):
    torch.manual_seed(0)
    return build_model(config, 4).train()


def joints_of(images, rng):
    """Seventeen visible joints in the middle of each image."""
    return torch.cat([torch.rand(images, 17, 2, generator=rng) - 0.5, torch.full((images, 17, 1), 2.0)], dim=2)


def config_of(name, reading):
    if name == "model.output_stride":
        reading = 2  # the small trunk does not reach 32
    return profile("smoke").change({**SMALL, "model.output_stride": 4, **WITH.get(name, {}), name: reading})


def step_of(config, rng, state=None):
    """The total and the gradients of one step, from the given weights or the network's first ones."""
    model = model_of(config.model)
    if state is not None:
        model.load_state_dict(state)
    objective = Objective(model, config.loss)
    objective.zero_grad()
    images, identities = torch.randn(8, 3, 64, 32, generator=rng), torch.arange(4).repeat_interleave(2)
    truth = (joints_of(8, rng),) if config.model.keypoints == "external" else ()
    total = objective(images, identities, truth=truth)[0]["total"]
    total.backward()
    return total, [p.grad.clone() for p in objective.parameters() if p.grad is not None]


READINGS = [(o.name, r) for o in options.OPTIONS for r in o.readings[1:]]


@pytest.mark.parametrize("name, reading", READINGS, ids=str)
def test_every_reading_takes_a_step(name, reading, rng):
    total, gradients = step_of(config_of(name, reading), rng)
    assert total.isfinite() and gradients and all(g.isfinite().all() for g in gradients)


#: Options of the model that leave its parameters as they are.
SAME_NETWORK = {"model.norm_first", "model.decoder_target", "model.embed_sigmoid", "model.temperature",
                "model.jacobian_bound", "model.external_jacobian", "model.map_activation", "model.part_pool",
                "model.detach_trunk", "model.global_pool", "model.windows", "model.window", "model.outside",
                "model.pool_floor"}
LOSSES = {option.name for option in options.OPTIONS if option.name.startswith("loss.")}
OF_A_STEP = SAME_NETWORK | LOSSES - {"loss.motion_warmup_epochs",  # which the training loop reads
                                     "loss.eq_statistics"}  # which the test reads


@pytest.mark.parametrize("name, reading", [o for o in READINGS if o[0] in OF_A_STEP], ids=str)
def test_every_reading_makes_another_step_of_the_same_network(name, reading, rng):
    config = config_of(name, reading)
    default = config.change({name: next(o for o in options.OPTIONS if o.name == name).default})
    state = {key: value + 0.05 * torch.randn(value.shape, generator=rng) if "keypoint_branch" in key else value
             for key, value in model_of(config.model).state_dict().items()}  # Jacobians start at the identity
    (one, ones), (other, others) = (step_of(c, torch.Generator().manual_seed(7), state) for c in (config, default))
    assert one != other or any(not torch.equal(a, b) for a, b in zip(ones, others))


def other_value(config, name):
    section, key = name.split(".")
    value, kind = getattr(getattr(config, section), key), get_type_hints(type(getattr(config, section)))[key]
    if get_origin(kind) is Literal:
        return next(reading for reading in get_args(kind) if reading != value)
    return not value if kind is bool else (2 * value or 1) if kind is int else value + 0.25


@pytest.mark.parametrize("row", ["baseline", "true_parts", "identity_only", "pretrained_keypoints", "full"])
@pytest.mark.parametrize("changes", ids=str, argvalues=[
    {}, {"loss.fc_on": "parts"}, {"model.jacobian": "none"}, {"loss.consistency": 0.0}])
def test_settings_that_nothing_reads_change_no_bit_of_a_step(row, changes, rng):
    config = row_config(row, "smoke", changes=changes)
    idle = idle_settings(config)
    images, identities = torch.randn(8, 3, 64, 32, generator=rng), torch.arange(4).repeat_interleave(2)
    given = {"true_parts": torch.randint(0, 14, (8, 64, 32), generator=rng, dtype=torch.uint8),
             "pretrained_keypoints": joints_of(8, rng)}
    truth = (given[row],) if row in given else ()

    def gradients(settings):
        objective = Objective(model_of(settings.model), settings.loss)
        objective.zero_grad()
        objective(images, identities, truth=truth)[0]["total"].backward()
        return [p.grad.clone() for p in objective.parameters() if p.grad is not None]

    changed = config.change({name: other_value(config, name) for name in idle})
    assert set(differences(config, changed)) == idle
    assert changed_settings(changed, row) == changed_settings(config, row)
    model_of.cache_clear()
    assert all(map(torch.equal, gradients(config), gradients(changed)))


def test_windows_around_somebody_elses_keypoints_read_them_without_any_motion_loss():
    around = row_config("following_truth", "laptop")
    assert "data.joints" not in idle_settings(around)
    assert "data.joints" in idle_settings(around.change({"model.windows": "rows"}))


def test_a_full_model_reads_all_but_somebody_elses_keypoints():
    others = {"data.joints", "model.external_jacobian", "model.window", "model.outside"}
    assert idle_settings(profile("laptop")) == idle_settings(profile("paper")) == others


def record_of(tmp_path, name, seed, precisions, changes=None, flow=None):
    """A run's record with its queries' average precisions and, where ``flow`` is given, that of its scores."""
    folder, config = tmp_path / name / f"seed{seed}", profile("laptop").change({"seed": seed, **(changes or {})})
    per_query = {"queries": "0 1 2 3", "identities": "1 1 2 2", "first_ranks": "1 1 1 1",
                 "average_precisions": " ".join(map(str, precisions)), "inverse_negative_penalties": "1 1 1 1"}
    base = {"config": config.to_dict(), "data": {"name": "d", "fingerprint": "f"}, "seconds": {"training": 1},
            "run": dict.fromkeys(("hardware", "commit", "date", "torch"), "") | {"processes": 1}}
    metrics = dict.fromkeys(("rank1", "rank3", "rank5", "rank10", "mINP"), 0.5)
    metrics |= {"mAP": sum(precisions) / 4, "queries": 4, "gallery": 9, "per_query": per_query}
    write_record(folder, base | {"metrics": {"d": metrics}})
    if flow is not None:
        scores = {"keypoints": {}, "parts": {}, "motion": {"learned": flow, "identity": 0.1}, "yardsticks": {}}
        write_record(folder, base | {"metrics": {}, "tested": base["data"], "scores": {"trained": scores}},
                     "record-scores-d.json")


def test_an_effect_is_the_difference_to_all_trainings_of_the_full_model_query_by_query(tmp_path):
    for seed, values in ((0, [0.1, 0.2, 0.3, 0.4]), (1, [0.4, 0.3, 0.2, 0.1])):
        record_of(tmp_path, "full", seed, values, flow=0.09)
        record_of(tmp_path, "fc", seed, [v + 0.06 for v in values], {"loss.fc_on": "parts"}, flow=0.08)
    record_of(tmp_path, "two", 0, [0.9] * 4, {"loss.fc_on": "parts", "model.neck": "none"})  # both measured
    record_of(tmp_path, "alone", 7, [0.9] * 4, {"model.neck": "none"})
    found = options.effects([tmp_path])
    assert dict(zip(found["option"], found["seeds"])) == {"model.neck": 1, "loss.fc_on": 2}
    assert found["mAP"].tolist() == pytest.approx([6.0, 65.0]) == found["low"].tolist()  # all gain alike
    assert found["flow error"].tolist() == pytest.approx([-1.0, float("nan")], nan_ok=True)
    shown = options.effect_table("parts", found)
    assert shown.index.tolist() == ["loss.fc_on = parts"]
    assert shown.iloc[0].tolist() == ["+6.0 (+6.0 to +6.0)", "–", "-1.00", "–", "laptop, 8 epochs, f", "2"]
    assert options.effect_table("motion", found).empty
    record_of(tmp_path / "longer", "full", 0, [0.5] * 4, {"train.epochs": 24})
    record_of(tmp_path / "longer", "fc", 0, [0.4] * 4, {"train.epochs": 24, "loss.fc_on": "parts"})
    both = options.effect_table("parts", options.effects([tmp_path]))
    assert len(both) == 2 and set(both["trained"]) == {"laptop, 8 epochs, f", "laptop, 24 epochs, f"}


def test_an_option_that_needs_another_is_measured_against_the_run_that_has_that_one_alone(tmp_path):
    for name, value, changes in (("full", 0.5, {}), ("others", 0.4, EXTERNAL),
                                 ("noisy", 0.35, {**EXTERNAL, "data.joints": "noisy"})):
        record_of(tmp_path, name, 0, [value] * 4, changes)
    found = options.effects([tmp_path]).set_index("option")
    assert found["reading"].to_dict() == {"model.keypoints": "external",
                                         "data.joints": "noisy, given keypoints = external"}
    assert found["mAP"].to_dict() == pytest.approx({"model.keypoints": -10.0, "data.joints": -5.0})


def test_an_option_that_is_only_allowed_with_others_is_measured_against_the_run_that_has_these(tmp_path):
    sources = {"model.part_source": "backbone", "model.global_source": "backbone"}
    record_of(tmp_path, "full", 0, [0.5] * 4)
    record_of(tmp_path, "sources", 0, [0.6] * 4, sources)
    record_of(tmp_path, "detached", 0, [0.8] * 4, sources | {"model.detach_trunk": True})
    (line,) = options.effects([tmp_path]).itertuples()
    assert (line.option, line.mAP) == ("model.detach_trunk", pytest.approx(20.0))
    assert line.reading == "True, given part_source = backbone and global_source = backbone"


def test_what_no_training_reads_is_measured_on_the_same_networks(tmp_path):
    for seed, value in ((0, 0.5), (1, 0.3)):
        record_of(tmp_path, "full", seed, [value] * 4)
    record_of(tmp_path, "before", 0, [0.52] * 4, {"model.descriptor": "before"})
    (line,) = options.effects([tmp_path]).itertuples()
    assert (line.option, line.mAP, line.low) == ("model.descriptor", pytest.approx(2.0), pytest.approx(2.0))


def test_without_records_nothing_is_measured(tmp_path):
    assert options.effects([tmp_path]).empty and options.effect_table("parts", options.effects([tmp_path])).empty


def test_effects_stand_with_the_worst_first_and_single_trainings_apart():
    measured = pd.DataFrame({"option": ["a", "b", "c", "d"], "reading": ["1", "2", "3", "4"],
                             "trained": ["small"] * 3 + ["large"], "seeds": [2, 3, 1, 2], "mAP": [1.0, -5.0, -9.0, 0.0],
                             "low": [0.0, -6.0, -12.0, -1.0], "high": [2.0, -4.0, -6.0, 1.0]})
    found = options.by_severity(measured)
    assert {title: list(frame.index) for title, frame in found.items()} == {
        "large, several trainings of each reading": ["d = 4"], "small, one training of each reading": ["c = 3"],
        "small, several trainings of each reading": ["b = 2", "a = 1"]}
    assert found["small, one training of each reading"].loc["c = 3"].tolist() == [-9.0, -12.0, -6.0]
