"""A method of one's own trains, goes on, is tested, ranked, tabled, exported, without a change in matlib."""

import json
import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

from matlib import training
from matlib.ablations import idle_settings, row_config
from matlib.annyville.writer import generate
from matlib.config import RunConfig
from matlib.data import load_dataset
from matlib.errors import MatlibError
from matlib.export import PixelsToDescriptors, export_onnx
from matlib.models import build_model, method_class
from matlib.report import tables
from matlib.runs.checkpoints import load_model
from matlib.runs.records import read_record
from matlib.scoring.scores import score_model

HERE = Path(__file__).parent
SMALL = ("train.epochs=2", "model.trunk_cut=features.3", "model.output_stride=4", "model.weights=none")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("town")
    generate("occluded", "tiny", 0, folder, workers=1)
    return folder


def command(module: str, *arguments: object) -> str:
    environment = os.environ | {"PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[1]}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", f"matlib.{module}", *map(str, arguments)], capture_output=True,
                          text=True, env=environment, cwd=HERE)
    assert done.returncode == 0, done.stderr
    return done.stderr


def trained(method: str, data: Path, out: Path, *settings: str) -> dict:
    command("training", "--profile", "smoke", "--row", f"toy_methods:{method}", "--root", data, "--out", out, "--set",
            *SMALL, *settings)
    return read_record(out)


@pytest.fixture(scope="module", params=["Largest", "AtJoints"])
def run(request, data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp(request.param)
    trained(request.param, data, out, "data.joints=noisy")
    return out


def assert_same_metrics(*records: dict) -> None:
    one, other = ({k: v for k, v in record["metrics"]["annyville-occluded"].items() if k != "seconds"}
                  for record in records)
    assert one == other


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def test_its_terms_and_their_weights_are_its_own(run):
    losses = read_record(run)["history"][0]["losses"]
    assert set(losses) == {"identity", "triplet", "total"}
    assert losses["total"] == pytest.approx(losses["identity"] + 0.5 * losses["triplet"], rel=1e-5)


def test_it_stands_in_the_tables_under_its_name(run):
    line, = tables.load_records([run]).to_dict("records")
    assert line["name"].startswith(read_record(run)["config"]["name"] + ", model.trunk_cut=features.3")
    assert 0 < line["mAP"] <= 100


def test_it_is_tested_as_it_was_trained(run, data):
    command("testing", "--run", run, "--dataset", "annyville-occluded", "--root", data)
    assert_same_metrics(read_record(run), json.loads((run / "record-annyville-occluded.json").read_text()))


def test_settings_of_its_own_change_its_training_and_stand_in_its_title(data, tmp_path):
    one = trained("Largest", data, tmp_path / "one", "model.method.power=3")
    assert tables.load_records([tmp_path / "one"])["name"].iloc[0].endswith("model.method.power=3")
    assert load_model(tmp_path / "one")[0].settings.power == 3.0
    assert one["config"]["model"]["method"] == {"power": 3}


def test_a_setting_that_it_lacks_is_a_sentence():
    config = row_config("toy_methods:Largest", "smoke", changes={"model.weights": "none", "model.method.size": 3})
    with pytest.raises(MatlibError, match="no setting model.method.size; it has power"):
        build_model(config.model, 4)


@pytest.mark.parametrize("name, words", [
    ("nowhere:Largest", "no module 'nowhere'"), ("toy_methods:Nothing", "no method Nothing"),
    ("toy_methods:Output", "no method Output"), ("toy methods:Largest", "module:Class"), ("mad", "module:Class")])
def test_a_method_that_is_not_there_is_a_sentence(name, words):
    with pytest.raises(MatlibError, match=words):
        build_model(row_config("full", "smoke", changes={"model.architecture": name}).model, 4)


def test_settings_of_other_methods_are_idle():
    config = row_config("toy_methods:Largest", "smoke")
    idle = idle_settings(config)
    assert {"loss.consistency", "model.parts", "data.joints"} <= idle and "model.trunk" not in idle
    assert "data.joints" not in idle_settings(row_config("toy_methods:AtJoints", "smoke"))


def test_a_cut_off_training_goes_on_to_the_same_end(run, data, tmp_path, monkeypatch):
    config, out = RunConfig.from_dict(read_record(run)["config"]), tmp_path / "run"

    def stop(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training._Run, "_log", stop)
        training.train(config, out)
    assert not (out / "record.json").exists()
    whole, resumed = read_record(run), training.train(config, out)
    for one, other in zip(whole["history"], resumed["history"], strict=True):
        assert one["losses"] == other["losses"]
    assert_same_metrics(whole, resumed)


def test_one_vector_an_image_is_exported_and_parts_are_refused(run, data, tmp_path):
    model, config = load_model(run)
    images = torch.randint(256, (2, 3, 64, 32), dtype=torch.uint8)
    if model.truth:
        with pytest.raises(MatlibError, match="AtJoints compares PartDescriptors"):
            model.vector(model(images.float(), torch.zeros(2, 17, 3)))
        return
    command("export", "--run", run, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    exported, = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(exported), PixelsToDescriptors(model)(images), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("name", "words"), [
    ("toy_methods:Unfinished", "toy_methods:Unfinished lacks what every method has: describe, losses"),
    ("wrong_methods:Alone", r"does not begin its __init__ with super\(\).__init__\(config, identities\)"),
    ("wrong_methods:Plain", "Plain.Settings is no dataclass"),
    ("wrong_methods:Bare", "Bare.Settings gives no default for power: each setting needs one"),
    ("wrong_methods:Sized", "Sized.Settings.sizes, a setting, is of type tuple: it can be bool, int"),
    ("wrong_methods:Spelled", "Spelled.Settings.power takes a value of type int, not 'three'"),
    ("wrong_methods:Misread", "settings that there are not: model.widht"),
    ("wrong_methods:settable", "has no method settable.*did you mean Settable"),
    ("wrong_methods:Word", "the truth of wrong_methods:Word is a tuple"),
    ("wrong_methods:Unknown", "the truth of wrong_methods:Unknown is a tuple"),
])
def test_what_a_method_lacks_is_a_sentence(name, words):
    with pytest.raises(MatlibError, match=words):
        build_model(row_config(name, "smoke", changes={"model.weights": "none"}).model, 4)


@pytest.mark.parametrize(("setting", "word", "value"), [
    ("pool", "none", "none"), ("pool", "max", "max"), ("file", "2024", "2024"), ("file", "true", "true"),
    ("file", "none", "none"), ("file", "a.txt", "a.txt"), ("times", "4", 4)])
def test_a_word_that_looks_like_a_number_or_nothing_is_a_word_where_the_setting_is_one(setting, word, value):
    config = row_config("wrong_methods:Settable", "smoke", changes={
        "model.weights": "none", f"model.method.{setting}": word})
    assert getattr(build_model(config.model, 4).settings, setting) == value


def test_a_value_that_is_none_of_a_settings_is_told():
    config = row_config("wrong_methods:Settable", "smoke", changes={"model.method.times": 3})
    with pytest.raises(MatlibError, match="model.method.times is one of 1, 2, 4; got 3"):
        build_model(config.model, 4)


@pytest.mark.parametrize("line", ["import nosuchpackage", "def broken(:", "raise ValueError('no')"])
def test_a_module_that_stops_while_it_is_imported_is_told_and_its_records_are_read(tmp_path, monkeypatch, line):
    name = f"stops_{len(line)}"
    (tmp_path / f"{name}.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MatlibError, match=f"the module {name} of model.architecture={name}:A cannot be imported: "):
        method_class(f"{name}:A")
    assert idle_settings(row_config(f"{name}:A", "smoke")) == set()


@pytest.mark.parametrize(("name", "words"), [
    ("Nothing", "of 2 it gave NoneType"), ("One", r"of 2 it gave a tensor \(\d+,\)"),
    ("Mistyped", "a weight for tripet, which is no term of its losses; did you mean triplet"),
    ("Rows", "each a tensor of one number"), ("Numbers", "each a tensor of one number"),
    ("Empty", "at least one term by name"), ("Summed", "has a term 'total'"),
])
def test_what_a_method_gives_wrongly_is_told_before_an_epoch_is_over(data, tmp_path, name, words):
    config = row_config("toy_methods:Largest", "smoke", 0, {
        **dict(setting.split("=") for setting in SMALL), "model.architecture": f"wrong_methods:{name}",
        "data.dataset": "annyville-occluded", "data.root": str(data)})
    with pytest.raises(MatlibError, match=words):
        training.train(config, tmp_path)
    assert not (tmp_path / "resume.pt").exists()


def test_what_has_no_vector_is_not_exported(tmp_path):
    config = row_config("vpm", "smoke", changes={"model.weights": "none"})
    with pytest.raises(MatlibError, match="VPM compares PartDescriptors"):
        export_onnx(build_model(config.model, 4), config, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_its_vector_has_length_1_whatever_it_describes():
    torch.manual_seed(0)
    model = build_model(row_config("wrong_methods:Long", "smoke", changes={"model.weights": "none"}).model, 4).eval()
    output = model(torch.randn(3, 3, 64, 32))
    described, vector = model.describe(output), model.vector(output)
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vector * described.norm(dim=1, keepdim=True), described)
    assert (described.norm(dim=1) > 1.5).all()


def test_who_is_given_joints_reads_where_they_come_from():
    class AtJoints(method_class("toy_methods:AtJoints")):
        also_reads = frozenset()

    assert "data.joints" in AtJoints.reads(row_config("toy_methods:AtJoints", "smoke"))


def test_the_console_command_finds_a_method_where_it_is_started(data):
    """As `python -m` does; -P keeps Python from looking there by itself, as it does for an installed command."""
    started = [sys.executable, "-P", "-c", "from matlib.commands import main; main()"]
    done = subprocess.run([*started, "train", "--row", "toy_methods:Unfinished", "--root", data, "--out", "x"],
                          capture_output=True, text=True, cwd=HERE,
                          env=os.environ | {"PYTHONPATH": str(HERE.parents[1])})
    assert "toy_methods:Unfinished lacks what every method has" in done.stderr


def test_what_cannot_be_done_with_a_method_is_a_sentence(data, tmp_path):
    for name, words, do in (
            ("AtJoints", "given true joints beside the picture", lambda *made: export_onnx(*made, tmp_path / "x.onnx")),
            ("Largest", "has neither keypoints nor parts", lambda *made: score_model(
                made[0], load_dataset("annyville-occluded", data).query, made[1]))):
        config = row_config(f"toy_methods:{name}", "smoke", changes={"model.weights": "none"})
        with pytest.raises(MatlibError, match=words):
            do(build_model(config.model, 4), config)
