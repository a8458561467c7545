"""A run in the way is told by its settings or its images, and set aside with all its files."""

import dataclasses
import json

import pytest
from builders import write_annyville
from filelock import FileLock

from matlib.ablations import row_config
from matlib.data import load_dataset
from matlib.data.fingerprints import fingerprint, known_as
from matlib.errors import MatlibError
from matlib.runs import checkpoints, earlier, records


@pytest.fixture
def config(tmp_path):
    write_annyville(tmp_path)
    return row_config("full", "smoke", 0, {"data.root": str(tmp_path)})


def finish(out, config, images="abc123"):
    data = {"name": "annyville-occluded", "fingerprint": images}
    records.write_record(out, {"config": config.to_dict(), "data": data, "metrics": {}, "seconds": {}})
    (out / checkpoints.CHECKPOINT).write_bytes(b"weights")
    (out / "training.partial.ipynb").write_text("{}")


def stop(out, config, images="abc123"):
    content = {"config": config.to_dict(), "identities": 2, "model": {}, "fingerprint": images}
    checkpoints.save(out / earlier.RESUME, content)


@pytest.mark.parametrize("leave", [finish, stop])
def test_the_same_run_is_let_be(tmp_path, config, leave):
    out = tmp_path / "run"
    earlier.check_same(config, frozenset({"abc123"}), out)
    assert earlier.set_aside(config, out) is None  # nothing there yet
    leave(out, config.change({"data.workers": 3}))  # where data lie and how they are read makes no other run
    before = sorted(out.iterdir())
    earlier.check_same(config, frozenset({"abc123"}), out)
    assert earlier.set_aside(config, out) is None and sorted(out.iterdir()) == before


@pytest.mark.parametrize("leave", [finish, stop])
@pytest.mark.parametrize(("changes", "images", "what"), [
    ({"loss.consistency": 1.0}, "abc123", "another configuration (loss.consistency differ)"),
    ({}, "other", "other images of annyville-occluded")])
def test_another_run_is_named_and_set_aside_whole(tmp_path, config, leave, changes, images, what):
    out = tmp_path / "run"
    for number in (1, 2):
        leave(out, config.change(changes), images)
        files = {path.name for path in out.iterdir() if path.is_file() and path.suffix != ".ipynb"} - {".lock"}
        with pytest.raises(MatlibError) as error:
            earlier.check_same(config, frozenset({"abc123"}), out)
        assert what in str(error.value)
        moved = earlier.set_aside(config, out)
        assert moved == out / f".earlier-{number}" and {path.name for path in moved.iterdir()} == files
        earlier.check_same(config, frozenset({"abc123"}), out)
    assert records.find_records(tmp_path) == []
    if leave is finish:
        assert json.loads((moved / records.RECORD).read_text())["data"]["fingerprint"] == images
        assert (out / "training.partial.ipynb").exists()  # the notebook that is being executed stays where it is


@pytest.mark.parametrize(("changes", "images"), [({"loss.consistency": 1.0}, "abc123"), ({}, "other")])
def test_the_wanted_runs_state_stays_where_another_record_lies_beside_it(tmp_path, config, changes, images):
    out = tmp_path / "run"
    finish(out, config.change(changes), images)
    stop(out, config)
    state = (out / earlier.RESUME).read_bytes()
    moved = earlier.set_aside(config, out)
    assert {path.name for path in moved.iterdir()} == {records.RECORD, checkpoints.CHECKPOINT}
    assert (out / earlier.RESUME).read_bytes() == state and not (out / records.RECORD).exists()
    assert earlier.set_aside(config, out) is None


def test_a_run_in_training_is_not_set_aside(tmp_path, config):
    out = tmp_path / "run"
    finish(out, config, "other")
    with FileLock(out / ".lock"), pytest.raises(MatlibError, match="another training is writing"):
        earlier.set_aside(config, out)
    assert (out / records.RECORD).exists()


def test_a_run_of_before_recipes_is_known_by_the_pixels_of_its_set(tmp_path, config):
    data = load_dataset(config.data.dataset, config.data.root)
    recent = dataclasses.replace(data, recipe='{"seed": 99}', rendered="pixels")
    assert known_as(recent) == {fingerprint(recent), "pixels"} and fingerprint(recent) != "pixels"
    finish(tmp_path / "run", config, images="pixels")
    earlier.check_same(config, known_as(recent), tmp_path / "run")
    assert known_as(dataclasses.replace(data, recipe=None, rendered=None)) == {
        fingerprint(dataclasses.replace(data, recipe=None, rendered=None))}
