"""What is named as a run and is none: one sentence from every command, with the mend that fits."""

import errno
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from builders import write_annyville

from matlib.ablations import row_config
from matlib.data import fingerprint, load_dataset
from matlib.errors import MatlibError, command_line
from matlib.models import build_model
from matlib.report.chapters import load_network
from matlib.runs import checkpoints, records
from matlib.testing import evaluate_run

SET = "annyville-occluded"
COMMANDS = {
    "matlib.testing": ["--dataset", SET, "--root", "data"],
    "matlib.scoring": ["--dataset", SET, "--root", "data"],
    "matlib.extractor": ["compare", "a.jpg", "b.jpg"],
    "matlib.export": ["model.onnx"],
}
RUNS = {
    "missing": ("runs/gone", "there is no (run|checkpoint) at runs/gone.*train"),
    "a name of 5,000 letters": ("a" * 5000, "File name too long.*name"),
    "a name that is not UTF-8": (os.fsdecode(b"runs/\xff"), "there is no (run|checkpoint) at runs/.*train"),
    "some other file": ("a.jpg", "a.jpg is (a file, and a run is a folder; name the folder|not a checkpoint of matlib: "
                                 "name a run's folder)"),
    "a file below a file": ("a.jpg/run", "Not a directory.*name"),
    "its record": ("run/record.json", "run/record.json is (a file, and a run is a folder; name run$"
                                      "|not a checkpoint of matlib: name a run's folder)"),
    "an empty folder": ("empty", "there is no (record|checkpoint) at empty/"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with a run, a set and some file."""
    folder = tmp_path_factory.mktemp("work")
    write_annyville(folder / "data")
    config = row_config("full", "smoke", 0, {"model.weights": "none", "data.root": str(folder / "data")})
    run = folder / "run"
    checkpoints.save(run / checkpoints.CHECKPOINT, checkpoints.model_state(build_model(config.model, 3), config, 3))
    data = {"name": SET, "fingerprint": fingerprint(load_dataset(SET, folder / "data"))}
    records.write_record(run, {"config": config.to_dict(), "data": data, "metrics": {}, "seconds": {}})
    (folder / "a.jpg").write_bytes(b"no run")
    (folder / "empty").mkdir()
    return folder


def start(module, run, folder, capsys, monkeypatch):
    """What a command says of a run: in this process, so that eight of them take no minute."""
    main = import_module("matlib.scoring.scores" if module == "matlib.scoring" else module).main
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [module, "--run", run, *COMMANDS[module]])
    with pytest.raises(SystemExit) as stopped:
        command_line(main)
    assert stopped.value.code == 2
    return capsys.readouterr().err.removesuffix("\n")


@pytest.mark.parametrize("case", RUNS)
@pytest.mark.parametrize("module", COMMANDS)
def test_what_is_no_run_is_one_sentence_with_its_mend(module, case, folder, capsys, monkeypatch):
    run, said = RUNS[case]
    printed = start(module, run, folder, capsys, monkeypatch)
    assert printed.startswith("error: ") and "\n" not in printed and len(printed) < 500
    assert re.search(said, printed.removeprefix("error: ")), printed
    assert "delete it" not in printed and "move it away" not in printed  # it is not the run's fault


@pytest.mark.parametrize("module", ["matlib.testing", "matlib.scoring"])
def test_a_runs_checkpoint_is_told_from_its_folder(module, folder, capsys, monkeypatch):
    printed = start(module, "run/checkpoint.pt", folder, capsys, monkeypatch)
    assert printed == "error: run/checkpoint.pt is a file, and a run is a folder; name run"


def test_a_page_takes_the_checkpoint_for_its_run_and_a_missing_run_for_none(folder):
    assert load_network(folder / "run").trained and load_network(folder / "run" / "checkpoint.pt").trained
    for missing in ("gone", "a" * 5000, "empty"):
        assert not load_network(folder / missing, "smoke").trained
    with pytest.raises(MatlibError, match="a.jpg is not a checkpoint of matlib: name a run's folder"):
        load_network(folder / "a.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "run/checkpoint.pt"])
def test_what_is_read_for_a_record_and_is_none_is_not_to_be_deleted(folder, name):
    with pytest.raises(MatlibError, match=f"{name} is not a run's record; name a run's folder"):
        records.read_record(folder / name)


def test_a_run_may_have_a_name_that_is_not_utf_8(folder, tmp_path):
    named = tmp_path / os.fsdecode(b"run\xff")
    try:
        named.mkdir()
    except OSError:
        pytest.skip("the disk takes no such name")
    (named / checkpoints.CHECKPOINT).write_bytes((folder / "run" / checkpoints.CHECKPOINT).read_bytes())
    assert checkpoints.load_model(named)[1].name == "full"


def test_a_pipe_in_the_place_of_a_checkpoint_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / checkpoints.CHECKPOINT)
    with pytest.raises(MatlibError, match="it is no file"):
        checkpoints.load_model(tmp_path)


@pytest.mark.parametrize(("code", "mend"), [
    (errno.EROFS, "name a copy of the run in a folder that you may write to"),
    (errno.EACCES, "name a copy of the run in a folder that you may write to"), (errno.ENOSPC, "make room")])
def test_a_run_that_cannot_be_written_beside_is_told_before_the_work(folder, monkeypatch, code, mend):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("matlib.runs.folder.tempfile.TemporaryFile", fail)
    monkeypatch.setattr("matlib.testing.load_model", lambda run: pytest.fail("it works first"))
    with pytest.raises(MatlibError, match=f"run cannot be written into .*{mend}"):
        evaluate_run(folder / "run", SET, folder / "data")


def test_what_was_measured_is_said_before_it_is_written(folder, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")

    def full(run, record, name):
        assert "rank-1 50.0" in caplog.text
        raise MatlibError("the disk is full")

    metrics = {key: 0.5 for key in ("rank1", "rank3", "mAP")} | {"queries": 2, "gallery": 2}
    monkeypatch.setattr("matlib.testing.evaluate_model", lambda *_: metrics)
    monkeypatch.setattr(records, "write_record", full)
    with pytest.raises(MatlibError, match="the disk is full"):
        evaluate_run(folder / "run", SET, folder / "data")
    monkeypatch.undo()
    caplog.set_level("INFO")
    monkeypatch.setattr("matlib.testing.evaluate_model", lambda *_: metrics)
    evaluate_run(folder / "run", SET, folder / "data")
    assert json.loads((folder / "run" / f"record-{SET}.json").read_text())["metrics"] == {SET: metrics}


def test_the_commit_of_a_copy_inside_another_repository_is_unknown(tmp_path):
    """A copy in a subfolder, one at the top of the other repository, and one that git does not see at all."""
    package = Path(records.__file__).parents[1]
    program = ("import sys; sys.path.insert(0, sys.argv[1]); from matlib.runs import records; "
               "assert records.__file__.startswith(sys.argv[1]), records.__file__; print(records._commit())")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "other"], check=True)
    for place in (tmp_path, tmp_path / "lib" / "site-packages"):
        place.mkdir(parents=True, exist_ok=True)
        _copy(package, place / "matlib")
        done = subprocess.run([sys.executable, "-c", program, str(place)], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.strip() == "unknown", done.stderr
    own = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=package, capture_output=True, text=True)
    if own.returncode == 0:
        assert records._commit().startswith(own.stdout.strip())


def _copy(package, target):
    """The modules alone: what they draw with weighs more."""
    for path in package.rglob("*.py"):
        copy = target / path.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
