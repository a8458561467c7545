"""A checkpoint that is damaged in any way is noticed when it is read, and the sentence says what to do."""

import pytest
import torch

from matlib.config import profile
from matlib.errors import MatlibError
from matlib.models import build_model
from matlib.runs.checkpoints import WEIGHTS, export_weights, find, load_model, model_state, read, save


@pytest.fixture(scope="module")
def content():
    config = profile("smoke").change({"model.weights": "none"})
    return model_state(build_model(config.model, identities=3), config, 3)


def test_a_sound_checkpoint_is_read_from_its_file_and_its_folder(content, tmp_path):
    save(tmp_path / "checkpoint.pt", content)
    for path in (tmp_path, tmp_path / "checkpoint.pt"):
        state = load_model(path)[0].state_dict()
        assert all(torch.equal(state[name], values) for name, values in content["model"].items())


def test_shared_weights_are_the_checkpoint(content, tmp_path):
    save(tmp_path / "run" / "checkpoint.pt", content)
    export_weights(tmp_path / "run", tmp_path / "shared" / WEIGHTS)
    for path in (tmp_path / "shared", tmp_path / "shared" / WEIGHTS):
        model, config = load_model(path)
        assert config.to_dict() == content["config"]
        assert all(torch.equal(model.state_dict()[name], values) for name, values in content["model"].items())
    assert find(tmp_path / "shared").name == WEIGHTS and find(tmp_path) is None


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: b"", lambda data: data[:8] + b"x" + data[9:],
                                    lambda data: data.replace(b'"matlib"', b'"natlib"')])
def test_damaged_shared_weights_are_told(content, tmp_path, damage):
    save(tmp_path / "checkpoint.pt", content)
    export_weights(tmp_path, tmp_path / "shared" / WEIGHTS)
    path = tmp_path / "shared" / WEIGHTS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MatlibError, match="or it is damaged: move it away"):
        load_model(path)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_told_with_a_mend(content, tmp_path, share):
    path = tmp_path / "checkpoint.pt"
    save(path, content)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(MatlibError, match="or it is damaged: move it away and run the training again"):
        load_model(tmp_path)


@pytest.mark.parametrize("change", [
    {"config": None}, {"config": []}, {"identities": "3"}, {"identities": 3.0}, {"identities": -1},
    {"identities": True}, {"fingerprint": None}, {"fingerprint": 5}, {"identities": 10**12},
    {"model": None}, {"model": {"a": 1}},
    {"model": {"a": torch.tensor([1.0, torch.nan])}},
    {"model": {"a": torch.tensor([torch.inf])}}])
def test_wrong_types_and_weights_that_are_no_numbers_are_told(content, tmp_path, change):
    save(tmp_path / "checkpoint.pt", content | change)
    with pytest.raises(MatlibError, match="or it is damaged: move it away"):
        read(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("dtype", [torch.int32, torch.float16, torch.float64, torch.bool])
def test_weights_of_another_type_are_not_rounded_in_silence(content, tmp_path, dtype):
    name = next(name for name, values in content["model"].items() if values.ndim > 1)
    save(tmp_path / "checkpoint.pt", content | {"model": content["model"] | {name: content["model"][name].to(dtype)}})
    with pytest.raises(MatlibError, match=f"holds {name} as {dtype}, and the model has it as torch.float32"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["a" * 5000, "a/" * 2500 + "b", "file/below"])
def test_paths_that_no_system_takes_are_told_in_one_sentence(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MatlibError, match="cannot be read .*name a run's folder, or its checkpoint") as told:
        load_model(tmp_path / name)
    assert len(str(told.value)) < 400
