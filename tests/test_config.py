"""The configuration: what it accepts, what it refuses, and that nothing is lost on the way to disk and back."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlib import config
from matlib.ablations import ROWS, TABLE_1, TABLE_2, row_config
from matlib.config import Range, RunConfig, differences, profile, profile_names, read_value
from matlib.errors import MatlibError


@given(st.sampled_from(profile_names()), st.sampled_from(sorted(ROWS)), st.integers(0, 99), st.floats(1e-6, 10))
def test_a_configuration_survives_json(name, row, seed, lr):
    config = row_config(row, name, seed, {"train.lr": lr})
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_types_of_settings_are_read_once_for_all_records(monkeypatch):
    values = profile("laptop").to_dict()
    RunConfig.from_dict(values)
    monkeypatch.setattr(config, "get_type_hints", lambda *_, **__: pytest.fail("read again"))
    assert RunConfig.from_dict(values).to_dict() == values


@given(st.integers(1, 40), st.booleans())
def test_strings_of_a_command_line_mean_what_python_values_mean(parts, cache):
    typed = profile("paper").change({"model.parts": parts, "data.cache": cache, "train.optimizer": "sgd"})
    spelled = profile("paper").change({"model.parts": str(parts), "data.cache": str(cache), "train.optimizer": "sgd"})
    assert typed == spelled and typed.model.parts == parts and typed.data.cache is cache


@pytest.mark.parametrize("name, value, said", [
    ("model.nonsense", 3, "model.nonsense"),
    ("nonsense.parts", 3, "nonsense.parts"),
    ("model", 3, "model"),
    ("model.parts", "three", "model.parts"),
    ("model.parts", 2.5, "model.parts"),
    ("model.parts", 0, "model.parts"),
    ("model.norm_first", 7, "model.norm_first"),
    ("model.pos_embed", "somewhere", "add_qk"),
    ("model.width", 30, "model.width"),
    ("model.heads", 0, "model.heads"),
    ("train.images_per_identity", 1, "triplet"),
    ("train.epochs", 0, "train.epochs"),
    ("train.epochs", "1e999", "train.epochs"),
    ("train.lr", "1e999", "train.lr"),
    ("seed", -1, "seed"),
    ("seed", 1 << 32, "seed"),
    ("model.dropout", 1.5, "model.dropout"),
    ("loss.tps_points", 1, "loss.tps_points"),
    ("data.pad", -1, "data.pad"),
    ("data.workers", -1, "data.workers"),
    ("data.erasing", -0.1, "data.erasing"),
    ("train.warmup_epochs", -2, "train.warmup_epochs"),
    ("train.momentum", 1, "train.momentum"),
    ("train.clip", -1, "train.clip"),
    ("train.step_epochs", 0, "train.step_epochs"),
    ("loss.label_smoothing", 2, "loss.label_smoothing"),
    ("loss.equivariance", -1, "loss.equivariance"),
    ("model.width", 0, "model.width"),
    ("model.feedforward", 0, "model.feedforward"),
    ("model.parts", 1, "model.parts"),
    ("model.parts", "9" * 5000, "model.parts"),
    ("model.parts", 10 ** 400, "model.parts"),
    ("model.parts", "[" * 100_000, "model.parts"),
    ("data.height", 8, "data.height"),
    ("data.width", 15, "data.width"),
])
def test_a_wrong_setting_is_one_sentence_that_names_it(name, value, said):
    with pytest.raises(MatlibError) as error:
        profile("laptop").change({name: value})
    assert said in str(error.value) and "\n" not in str(error.value)


def _numbers() -> list[tuple[str, type]]:
    """Every number among the settings, by dotted name."""
    config = profile("paper")
    return [(name, type(value)) for name, value in config.flat.items() if type(value) in (int, float)]


@pytest.mark.parametrize("name, kind", _numbers())
@settings(max_examples=15)
@given(data=st.data())
def test_no_number_is_without_a_range(name, kind, data):
    """Below 0, beyond any sense, and not finite: refused as a value and as a word, and in a section made by hand."""
    far = 1 << 32
    numbers = st.integers() if kind is int else st.floats(allow_nan=False, allow_infinity=False)
    value = data.draw(numbers.filter(lambda n: n < 0 or n >= far))
    section, _, key = name.rpartition(".")
    for made in (value, str(value)):
        with pytest.raises(MatlibError, match=name):
            profile("paper").change({name: made})
    for made in (value, math.nan, math.inf, -math.inf) if kind is float else (value,):
        with pytest.raises(MatlibError, match=name):
            RunConfig(**{section: dataclasses.replace(getattr(RunConfig(), section), **{key: made})}
                      if section else {key: made})


@given(st.integers(-3, 8), st.integers(0, 5), st.integers(1, 3), st.booleans(), st.booleans())
def test_a_range_has_what_its_words_say(value, low, size, above, below):
    allowed = Range(low, low + size, above, below)
    inside = [n for n in range(low, low + size + 1) if not (above and n == low) and not (below and n == low + size)]
    assert (value in allowed) == (value in inside) and math.nan not in allowed
    assert ("above" in str(allowed)) == above and ("below" in str(allowed)) == below


def test_unknown_profiles_and_rows_are_named_with_the_known_ones():
    with pytest.raises(MatlibError, match="paper, town, laptop, smoke"):
        profile("desktop")
    with pytest.raises(MatlibError, match="encoder_only"):
        row_config("encoders", "smoke")


@pytest.mark.parametrize(("name", "meant"), [
    ("parts", "model.parts"), ("model.part", "model.parts"), ("train.epoch", "train.epochs"), ("LR", "train.lr")])
def test_a_near_miss_of_a_setting_is_told_what_is_meant(name, meant):
    with pytest.raises(MatlibError, match=rf"no setting '{name}'; did you mean {meant}\?"):
        profile("laptop").change({name: 6})


@pytest.mark.parametrize(("name", "meant"), [("parts", "model.parts"), ("stripe", "model.method.stripes"),
                                             ("fc_on", "loss.fc_on")])
def test_a_method_s_near_miss_is_told_what_is_meant(name, meant):
    @dataclasses.dataclass(frozen=True)
    class Settings:
        stripes: int = 2

    with pytest.raises(MatlibError, match=rf"no setting model.method.{name}; it has stripes; did you mean {meant}\?"):
        config.read_settings(Settings, {name: 6})


def test_numbers_of_numpy_are_numbers():
    changed = profile("laptop").change({"model.parts": np.int64(6), "train.lr": np.float32(0.5),
                                        "data.cache": np.bool_(False), "data.root": Path("a")})
    assert json.loads(json.dumps(changed.to_dict())) == changed.to_dict() and changed.model.parts == 6
    for wrong in (None, 3, ["a"], np.arange(2)):
        with pytest.raises(MatlibError, match="data.root takes a value of type str"):
            profile("laptop").change({"data.root": wrong})


def test_a_change_changes_nothing_else():
    before = profile("paper")
    after = before.change({"model.parts": 6, "seed": 3})
    assert differences(before, after) == ["seed", "model.parts"]
    assert before == profile("paper")


def test_where_the_data_lies_makes_no_other_run():
    assert differences(profile("paper"), profile("paper").change({"data.root": "elsewhere", "data.workers": 9})) == []


def test_options_of_the_data_set_are_settings():
    plain = profile("paper")
    one = plain.change({"data.options.validation": "false", "data.options.version": "V1"})
    assert one.data.options == {"validation": False, "version": "V1"} and plain.data.options == {}
    assert RunConfig.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert differences(plain, one) == differences(one, plain) == ["data.options.validation", "data.options.version"]
    assert differences(one, one.change({"data.options.duke": "elsewhere"})) == []
    assert one.change({"data.options": {"shot": 1}}).data.options == {"shot": 1}
    with pytest.raises(MatlibError, match="data.options.NAME=VALUE"):
        plain.change({"data.options": "query=occluded"})


def test_records_of_before_there_were_options_are_read():
    before = profile("laptop").to_dict()
    del before["data"]["options"]
    assert RunConfig.from_dict(before) == profile("laptop")


@pytest.mark.parametrize("word, value", [("True", True), ("false", False), ("None", None), ("3", 3), ("V1", "V1"),
                                         (2, 2)])
def test_words_of_a_command_line(word, value):
    assert read_value(word) == value and type(read_value(word)) is type(value)


def test_rows_differ_from_the_full_model_in_what_they_say_alone():
    for row in ROWS.values():
        changed = set(differences(row_config("full", "paper"), row_config(row.name, "paper")))
        assert changed <= {"name", *row.changes} and (changed or row.name == "full")


def test_the_tables_are_the_papers():
    assert [row.paper[3] for row in TABLE_1] == [38.8, 54.7, 57.3, 56.9, 58.8, 54.3]
    assert [row_config(row.name, "paper").model.parts for row in TABLE_2] == [3, 6, 10, 17]


def test_the_paper_profile_is_section_4_2():
    config = profile("paper")
    assert (config.data.height, config.data.width, config.train.epochs) == (256, 128, 100)
    assert config.train.identities_per_batch * config.train.images_per_identity == 64
    assert (config.train.optimizer, config.train.lr, config.train.momentum, config.train.weight_decay) == (
        "sgd", 0.01, 0.9, 1e-4)
    loss = config.loss
    assert (loss.identity_global, loss.triplet_global, loss.identity_part, loss.triplet_part) == (1, 1, 1, 1)
    assert (loss.equivariance, loss.consistency) == (10, 5)
    assert all(value == 0 for name, value in dataclasses.asdict(loss).items()
               if name in ("separation", "concentration", "diversity", "entropy", "background", "foreground"))


def test_settings_of_mat_answer_to_the_name_that_other_methods_settings_have():
    def row(name, **changes):
        return row_config(name, "laptop", changes={key.replace("__", "."): value for key, value in changes.items()})

    changed = row("full", model__method__parts="6", model__method__windows="rows")
    assert changed == row("full", model__parts=6, model__windows="rows")
    assert row("parts_6", model__method__parts=3).model.parts == 3
    assert row("following", model__method__detach_trunk="true") == row("following")
    for both in (3, 6):
        with pytest.raises(MatlibError, match="model.parts is given twice, also as model.method.parts; leave one"):
            row("full", model__method__parts=6, model__parts=both)
    with pytest.raises(MatlibError, match="model.parts is at least 1 and at most 1000000; got 0"):
        row("full", model__method__parts=0)
    assert row("isp", model__method__parts=6).model.method == {"parts": 6}  # its own, not MAT's
    assert row("full", **{"model.architecture": "matlib.baselines.isp:ISP"}, model__method__parts=6).model.parts == 10
    assert profile("laptop").change({"model.method.parts": 4}).model.method == {"parts": 4}  # of no method yet
