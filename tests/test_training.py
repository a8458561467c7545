"""Training: a run that goes on is the run that never stopped, two processes are one, and nothing finished is lost."""

import dataclasses
import errno
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import write_annyville
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from matlib import testing, training
from matlib.ablations import row_config
from matlib.config import profile
from matlib.errors import MatlibError, command_line
from matlib.report import tables
from matlib.runs import checkpoints, records
from matlib.runs.launch import run
from matlib.testing import evaluate_run

IDENTITIES, CAMERAS = 6, 2


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A set in Market-1501's layout whose identities are colours, so that it can be learnt in a few steps."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 215, size=(2 * IDENTITIES, 3))
    for identity, colour in enumerate(colours, start=1):
        splits = ["bounding_box_train"] if identity <= IDENTITIES else ["query", "bounding_box_test"]
        for split in splits:
            for camera in range(1, CAMERAS + 1):
                for number in range(2):
                    noise = rng.normal(0, 25, size=(64, 32, 3))
                    path = folder / "market1501" / split / f"{identity:04d}_c{camera}s1_{number:06d}_00.jpg"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(path)
    return folder


def config(root: Path, row: str = "full", **changes):
    return row_config(row, "smoke", 0, {"data.dataset": "market1501", "data.root": str(root),
                                        "train.epochs": 2, **changes})


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> Path:
    """A finished run of the full model; tests that change it take a copy."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    training.train(config(root), out)
    return out


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copied"))


def weights(out: Path) -> dict[str, torch.Tensor]:
    return checkpoints.read(out / checkpoints.CHECKPOINT)["model"]


@pytest.mark.parametrize("changes", [{}, {"model.teacher_decay": 0.9, "loss.eq_mirror": "pairs"}], ids=str)
def test_a_run_that_was_stopped_ends_with_the_same_bits(root, tmp_path, monkeypatch, changes):
    original = training._Run.epoch

    def die_in_the_second_epoch(self, epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        original(self, epoch)

    training.train(config(root, **changes), tmp_path / "whole")
    monkeypatch.setattr(training._Run, "epoch", die_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        training.train(config(root, **changes), tmp_path / "parts")
    assert not (tmp_path / "parts" / records.RECORD).exists()
    monkeypatch.undo()
    torch.rand(7)  # another state of the global generator must not matter
    training.train(config(root, **changes), tmp_path / "parts")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not (tmp_path / "parts" / training.RESUME).exists()


def test_a_damaged_state_stops_a_training_before_its_first_step(root, tmp_path, monkeypatch):
    def die(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training._Run, "_log", die)  # after the first epoch's state is written
    with pytest.raises(KeyboardInterrupt):
        training.train(config(root), tmp_path)
    path = tmp_path / training.RESUME
    state = checkpoints.read(path)
    moments = state["optimizer"]["state"]
    moments[next(iter(moments))]["exp_avg"] = torch.zeros(7)
    checkpoints.save(path, state)
    monkeypatch.setattr(training._Run, "epoch", None)
    with pytest.raises(MatlibError, match=f"{path} is damaged, .*; delete it"):
        training.train(config(root), tmp_path)


def test_the_record_holds_what_its_number_depends_on(root, finished):
    record = records.read_record(finished)
    assert records.RunConfig.from_dict(record["config"]) == config(root)
    assert {"commit", "hardware", "torch", "date", "processes"} <= record["run"].keys()
    assert len(record["history"]) == 2 and record["data"]["fingerprint"]
    metrics = record["metrics"]["market1501"]
    assert 0 <= metrics["rank1"] <= metrics["rank3"] <= metrics["rank10"] <= 1 and metrics["queries"] == 24


def test_the_checkpoint_is_the_model_that_was_measured(root, copied):
    record = records.read_record(copied)
    again = evaluate_run(copied, "market1501", root)
    for name in ("rank1", "rank5", "mAP", "mINP"):
        assert again["metrics"]["market1501"][name] == pytest.approx(record["metrics"]["market1501"][name])


def test_the_test_of_an_earlier_training_is_not_taken_for_this_ones(root, copied):
    evaluate_run(copied, "market1501", root)
    record = records.read_record(copied)
    record["history"] = record["history"][:1]
    records.write_record(copied, record)
    assert evaluate_run(copied, "market1501", root)["training"] == testing._training(record)


def test_a_test_keeps_its_options_apart(copied, tmp_path, monkeypatch, caplog):
    """Partial-REID's two query folders: one set, two records."""
    for folder, color in (("partial_body_images", 50), ("occluded_body_images", 150), ("whole_body_images", 250)):
        images = tmp_path / "Partial_REID" / folder
        images.mkdir(parents=True)
        for identity in (1, 2):
            Image.new("RGB", (8, 16), (color, 99 * identity, 0)).save(images / f"{identity:03}_001.png")
    evaluate_run(copied, "partial_reid", tmp_path)
    record = evaluate_run(copied, "partial_reid", tmp_path, shot=1, query="occluded")
    assert list(record["metrics"]) == ["partial_reid (query=occluded, shot=1)"] == [record["tested"]["name"]]
    assert {path.name for path in copied.glob("record-*")} == {
        "record-partial_reid.json", "record-partial_reid-query=occluded-shot=1.json"}
    assert set(tables.load_records([copied]).tested_on) >= {"partial_reid", "partial_reid (query=occluded, shot=1)"}
    line = ["testing", "--run", str(copied), "--dataset", "partial_reid", "--root", str(tmp_path), "--set"]
    monkeypatch.setattr("sys.argv", [*line, "query=occluded", "shot=1"])
    monkeypatch.setattr("matlib.testing.load_model", None)  # not measured again
    with caplog.at_level(logging.INFO):
        testing.main()
    assert "partial_reid (query=occluded, shot=1): rank-1" in caplog.text
    for wrong, sentence in (("querry=1", "partial_reid has no option 'querry'; its options are: query, shot"),
                            ("shot=true", "shot of partial_reid is one of None, 1, 2, 3, 4, 5; got True")):
        monkeypatch.setattr("sys.argv", [*line, wrong])
        with pytest.raises(MatlibError, match=sentence):
            testing.main()


def test_an_option_that_the_set_lacks_trains_nothing(root, tmp_path):
    with pytest.raises(MatlibError, match="market1501 has no option 'validation'; its options are: none"):
        training.train(config(root).change({"data.options.validation": "no"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_trained_again_and_another_one_is_refused(root, finished, monkeypatch):
    monkeypatch.setattr(training, "_Run", None)
    assert training.train(config(root), finished) == records.read_record(finished)
    with pytest.raises(MatlibError, match="model.architecture"):
        training.train(config(root, "baseline"), finished)


def test_two_trainings_into_one_folder_do_not_mix(root, tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(MatlibError, match="another training is writing"):
        training.train(config(root), tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / ".lock"]


def test_true_parts_come_to_training_with_the_images(tmp_path):
    write_annyville(tmp_path)
    settings = {"data.dataset": "annyville-occluded", "train.identities_per_batch": 2, "train.epochs": 1}
    record = training.train(config(tmp_path, "true_parts", **settings), tmp_path / "run")
    assert record["history"][0]["losses"].keys() >= {"identity_part", "triplet_part"}
    assert record["metrics"]["annyville-occluded"]["queries"] == 1


def test_colours_are_learnt(root, tmp_path):
    """A set that a colour histogram solves: rank-1 far above the 1/6 of chance."""
    record = training.train(config(root, "baseline", **{"train.epochs": 12}), tmp_path)
    assert record["metrics"]["market1501"]["rank1"] > 0.6
    assert record["history"][-1]["losses"]["total"] < record["history"][0]["losses"]["total"]


@pytest.mark.parametrize(("row", "size", "rates"), [
    ("pcb", (384, 128), (0.1, 0.1)),  # of the heads
    ("isp", (256, 128), (6.65e-5, 9.8e-5)),  # one and two of ten epochs of warm-up
])
def test_a_method_trains_by_its_published_recipe(root, tmp_path, row, size, rates):
    """All of it but the trunk and the number of people in a batch: sizes, optimiser, schedule, losses, margins."""
    small = profile("smoke").model
    changes = {"recipe": "published", "model.trunk": small.trunk, "model.trunk_cut": small.trunk_cut,
               "model.weights": "none", "train.identities_per_batch": 3}
    changes |= {"model.output_stride": small.output_stride} if row == "pcb" else {}
    record = training.train(config(root, row, **changes), tmp_path / "run")
    network, settings = checkpoints.load_model(tmp_path / "run")
    assert (settings.recipe, settings.data.height, settings.data.width) == ("published", *size)
    assert all(np.isfinite(epoch["losses"]["total"]) for epoch in record["history"])
    assert [epoch["learning_rate"] for epoch in record["history"]] == pytest.approx(rates)
    if row == "pcb":
        assert network.reduce[0].p == 0.5 and network.stripe_heads.heads[0].classifier.bias.any()
        assert isinstance(network.stripe_heads.heads[0].neck, torch.nn.Identity)
    else:
        assert network.settings.margin == 0.3 and network.trunk.stride == 4
        assert record["history"][0]["losses"].keys() >= {"triplet_part", "segmentation"}


def _train_apart(processes: int, root: Path, out: Path, *settings: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "matlib.training", "--processes", str(processes), "--profile", "smoke",
         "--row", "full", "--dataset", "market1501", "--root", str(root), "--out", str(out), "--set", "train.epochs=1",
         "model.dropout=0", "--set", "train.optimizer=sgd", "train.lr=0.01", *settings],
        check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240)


def test_two_processes_train_the_model_of_one(root, tmp_path):
    """Batch statistics, triplets, splines and augmentations are those of the global batch, whoever computes them."""
    for processes in (1, 2):  # the profile's larger weight magnifies rounding: another memory layout moves one as far
        _train_apart(processes, root, tmp_path / str(processes), "loss.consistency=5")
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    torch.manual_seed(0)
    start = checkpoints.build_model(config(root).model, IDENTITIES).state_dict()
    apart = {name: float((one[name] - two[name]).norm() / ((one[name] - start[name]).norm() + 1e-6))
             for name, value in one.items() if value.is_floating_point()}
    # Of the way that each tensor went. Without shared batch statistics the median is above 1.
    assert statistics.median(apart.values()) < 0.01 and max(apart.values()) < 0.2
    assert records.read_record(tmp_path / "2")["run"]["processes"] == 2


@given(st.lists(st.sets(st.sampled_from(["model.parts=5", "train.epochs=1", "data.pad=3", "data.options.a=7"]))))
def test_repeated_options_add_up(groups):
    line = [word for group in groups for word in ("--set", *sorted(group))]
    changes = dict(setting.split("=") for group in groups for setting in group)
    config, _, _ = training.parse_arguments(["--profile", "smoke", "--out", "run", *line])
    assert config == profile("smoke").change(changes)


@pytest.mark.parametrize("words", [
    ["--seed", "1", "--seed", "1"], ["--row", "full", "--profile", "smoke", "--row", "baseline"],
    ["--dataset", "a", "--data", "b"], ["--set", "model.parts=5", "train.epochs=1", "model.parts=6"],
    ["--set", "data.options.x=1", "--set", "data.options.x=2"], ["--seed", "1", "--set", "seed=2"],
    ["--dataset", "a", "--set", "data.dataset=a"], ["--set", "profile=paper"], ["--set", "name=baseline"],
])
def test_what_is_given_twice_is_refused(words, capsys):
    with pytest.raises((MatlibError, SystemExit)) as told:
        training.parse_arguments(["--out", "run", *words])
    assert "leave one" in str(told.value) + capsys.readouterr().err


@pytest.mark.parametrize(("row", "setting", "idle"), [
    ("isp", "model.parts=7", True), ("isp", "model.method.parts=7", False), ("full", "model.parts=7", False),
    ("baseline", "loss.equivariance=1", True), ("full", "train.epochs=1", False)])
def test_a_setting_that_nothing_reads_is_told(row, setting, idle, monkeypatch, caplog):
    monkeypatch.setattr(training, "in_processes", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["x", "--profile", "smoke", "--row", row, "--out", "run", "--set", setting])
    training.main()
    assert (f"nothing reads {setting.partition('=')[0]} in such a run" in caplog.text) == idle


def test_from_a_notebook_it_is_the_same_run(root, finished, tmp_path, capsys):
    losses = run(config(root), tmp_path)["history"][0]["losses"]
    assert losses == pytest.approx(records.read_record(finished)["history"][0]["losses"], rel=1e-2)
    assert "epoch 2/2" in capsys.readouterr().out


def test_bad_input_at_the_command_line_is_one_sentence(root, tmp_path, monkeypatch, capsys):
    common = ["--profile", "smoke", "--dataset", "market1501", "--root", str(root), "--out", str(tmp_path)]
    for arguments, said in [
        (["--profile", "desk", "--out", str(tmp_path)], "desk"),
        (["--profile", "smoke", "--dataset", "market", "--out", str(tmp_path)], "market"),
        (["--profile", "smoke", "--dataset", "market1501", "--root", str(tmp_path), "--out", str(tmp_path)],
         "market1501"),
        ([*common, "--set", "train.identities_per_batch=7"], "7 identities"),
        ([*common, "--set", "model.parts"], "NAME=VALUE"),
    ]:
        monkeypatch.setattr(sys, "argv", ["matlib.training", *arguments])
        with pytest.raises(SystemExit) as stop:
            command_line(training.main)
        printed = capsys.readouterr().err
        last = printed.strip().splitlines()[-1]
        assert stop.value.code == 2 and last.startswith("error: ") and said in last and "Traceback" not in printed


def test_a_launched_run_that_fails_says_why(root, tmp_path):
    with pytest.raises(MatlibError, match="7 identities"):
        run(config(root, **{"train.identities_per_batch": 7}), tmp_path)


def test_a_corrupt_image_is_named(root, tmp_path):
    copy = tmp_path / "data"
    for path in root.rglob("*.jpg"):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    broken = next((copy / "market1501" / "bounding_box_train").iterdir())
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(MatlibError, match=broken.name):
        training.train(config(copy), tmp_path / "run")


def test_a_full_disk_loses_nothing_that_was_finished(root, tmp_path, monkeypatch):
    real = os.fsync

    def full(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").read_bytes().startswith(b"{"):  # a record; the states are archives
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MatlibError, match="No space left"):
        training.train(config(root), tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / records.RECORD).exists() and not list(tmp_path.glob(".*part"))
    monkeypatch.setattr(training._Run, "epoch", None)  # nothing may be trained again
    assert training.train(config(root), tmp_path)["metrics"]


def _copy(root: Path, target: Path, keep=lambda path: True, rename=lambda name: name) -> Path:
    """The set with some of its images, under other names."""
    for path in filter(keep, root.rglob("*.jpg")):
        place = target / path.parent.relative_to(root) / rename(path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return target


def _damaged(root: Path, target: Path, side: str) -> Path:
    file = next((_copy(root, target) / "market1501" / side).iterdir())
    file.write_bytes(file.read_bytes()[:300])
    return target


@pytest.mark.parametrize("break_it, said", [
    (lambda root, to: _copy(root, to, lambda path: "query" not in str(path) or "_c1" in path.name,
                            lambda name: name.replace("_c2", "_c1").replace("_0000", "_0100" if "_c2" in name
                                                                            else "_0000")), "own camera"),
    (lambda root, to: _copy(root, to, lambda path: (path.parent.name, path.name[:4] < "0010") not in (
        ("query", False), ("bounding_box_test", True))), "not one identity of the queries is in the gallery"),
    (lambda root, to: _damaged(root, to, "query"), "cannot be read as an image"),
    (lambda root, to: _damaged(root, to, "bounding_box_test"), "cannot be read as an image"),
])
def test_a_test_that_would_fail_at_the_end_is_refused_before_the_first_epoch(root, tmp_path, monkeypatch, break_it,
                                                                             said):
    monkeypatch.setattr(training._Run, "epoch", None)  # nothing may be trained
    with pytest.raises(MatlibError, match=said):
        training.train(config(break_it(root, tmp_path / "data")), tmp_path / "run")


@pytest.mark.parametrize("side", ["query", "gallery"])
def test_half_a_test_is_refused_before_the_first_epoch(root, side):
    data = dataclasses.replace(training.load_dataset("market1501", root), **{side: ()})
    with pytest.raises(MatlibError, match=f"the {side} side is empty"):
        training._check_test(data, (), config(root).data)


def test_a_set_without_a_test_trains_and_says_so(root, tmp_path, caplog):
    _copy(root / "market1501" / "bounding_box_train", tmp_path / "mine" / "train",
          rename=lambda name: name.replace("_c", "/c"))
    one = config(root, "baseline", **{"train.epochs": 1}).change({
        "data.dataset": "folder", "data.root": str(tmp_path / "mine")})
    record = training.train(one, tmp_path / "run")
    assert record["metrics"] == {} and "trained on and not tested" in caplog.text
    assert records.read_record(tmp_path / "run") == record and weights(tmp_path / "run")
    assert tables.load_records([tmp_path / "run"]).empty


def test_the_weights_are_kept_when_the_test_fails(root, tmp_path, monkeypatch):
    def fail(*_):
        raise MatlibError("no room")

    monkeypatch.setattr(training, "evaluate_model", fail)
    with pytest.raises(MatlibError, match="no room"):
        training.train(config(root, "baseline", **{"train.epochs": 1}), tmp_path)
    assert weights(tmp_path) and not (tmp_path / records.RECORD).exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes it")
def test_fp16_without_a_gpu_is_refused(root, tmp_path):
    with pytest.raises(MatlibError, match="fp16 needs a GPU"):
        training.train(config(root, **{"train.mixed_precision": "fp16"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name, value", [
    ("GRADIENT_ACCUMULATION_STEPS", "4"), ("USE_FSDP", "true"), ("USE_DEEPSPEED", "true"), ("USE_MEGATRON_LM", "true"),
    ("DYNAMO_BACKEND", "INDUCTOR"), ("SPLIT_BATCHES", "true"), ("MIXED_PRECISION", "fp16"), ("USE_FSDP", "1")])
def test_nothing_of_the_environment_changes_a_training_unrecorded(root, tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(f"ACCELERATE_{name}", value)
    with pytest.raises(MatlibError, match=f"ACCELERATE_{name}={value} in the environment"):
        training.train(config(root), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("variables", [{"WORLD_SIZE": "two"}, {"LOCAL_RANK": "0"},
                                       {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}])
def test_half_of_a_launcher_is_refused(root, tmp_path, variables):
    """In a process of its own: Accelerate keeps what it finds for the life of one."""
    program = "from matlib.training import _accelerator as a, TrainConfig; a(TrainConfig(), False)"
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | variables, capture_output=True, text=True)
    assert "MatlibError: the environment asks for several processes" in done.stderr


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000])
def test_an_out_of_an_absurd_name_is_one_sentence(root, tmp_path, name):
    with pytest.raises(MatlibError, match="cannot write into .*File name too long"):
        training.train(config(root), tmp_path / name)


def test_what_its_launcher_always_sets_is_no_change(monkeypatch):
    for name, value in {"MIXED_PRECISION": "no", "GRADIENT_ACCUMULATION_STEPS": "1", "DYNAMO_BACKEND": "NO",
                        "DYNAMO_MODE": "default", "DYNAMO_USE_FULLGRAPH": "False", "USE_CPU": "False"}.items():
        monkeypatch.setenv(f"ACCELERATE_{name}", value)
    training._check_machine(profile("smoke").train)


def test_queries_whose_identity_the_gallery_lacks_are_counted(root, tmp_path, caplog):
    copy = tmp_path / "data"
    for path in root.rglob("*.jpg"):
        if path.parent.name == "bounding_box_test" and path.name.startswith("0007"):
            continue
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with caplog.at_level(logging.INFO):
        metrics = training.train(config(copy), tmp_path / "run")["metrics"]["market1501"]
    assert metrics["queries_without_match"] == 4 and metrics["queries"] == 20
    assert "no match in the gallery" in caplog.text


def test_a_damaged_record_and_a_foreign_checkpoint_are_named(root, copied):
    path = copied / checkpoints.CHECKPOINT
    content = checkpoints.read(path)
    checkpoints.save(path, content | {"config": config(root, **{"model.parts": 6}).to_dict()})
    with pytest.raises(MatlibError, match="another model"):
        checkpoints.load_model(copied)
    path.write_bytes(b"nothing")
    with pytest.raises(MatlibError, match="not a checkpoint"):
        checkpoints.load_model(path)
    (copied / records.RECORD).write_text(json.dumps({"config": {}})[:-2])
    with pytest.raises(MatlibError, match="not a run's record"):
        records.read_record(copied)
    with pytest.raises(MatlibError, match="no record"):
        records.read_record(copied / "elsewhere")


def test_a_set_for_testing_only_trains_nothing(tmp_path):
    for folder in ("partial_body_images", "whole_body_images"):
        (tmp_path / "Partial_REID" / folder).mkdir(parents=True)
        (tmp_path / "Partial_REID" / folder / "001_001.jpg").write_bytes(b"")
    config = profile("smoke").change({"data.dataset": "partial_reid", "data.root": str(tmp_path)})
    with pytest.raises(MatlibError, match="partial_reid has no training images; train on market1501, and test on it"):
        training.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
