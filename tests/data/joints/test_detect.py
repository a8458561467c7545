"""The command that finds joints in photographs, with a detector that needs no weights."""

import sys
from urllib.error import URLError

import pytest
import torch
from builders import write_annyville

from matlib.data import load_dataset
from matlib.data.joints import detect
from matlib.data.joints import joint_source
from matlib.data.joints.joint_cache import cache_path, read_cache
from matlib.errors import MatlibError, command_line


class Stub(torch.nn.Module):
    """Finds three people, the large one at (1, 2); counts the images that it has seen, and dies after ``limit``."""

    def __init__(self, limit=99):
        super().__init__()
        self.seen, self.limit = 0, limit

    def forward(self, images):
        self.seen += len(images)
        if self.seen > self.limit:
            raise KeyboardInterrupt
        return [self._people(*image.shape[-2:]) for image in images]

    def _people(self, height, width):
        boxes = torch.tensor([[0.0, 0, width / 4, height], [0, 0, width, height], [0, 0, width, height]])
        keypoints = torch.stack([torch.tensor([x, 2.0, 1.0]).expand(17, 3) for x in (0.0, 1.0, 9.0)])
        return {"boxes": boxes, "scores": torch.tensor([0.99, 0.9, 0.4]), "keypoints": keypoints,
                "keypoints_scores": torch.arange(17.0).expand(3, 17)}


@pytest.fixture
def dataset(tmp_path):
    write_annyville(tmp_path)
    return load_dataset("annyville-occluded", tmp_path)


def test_the_person_that_fills_the_image_is_taken(dataset):
    detect.detect(dataset, Stub())
    joints = joint_source("cache", dataset).joints(dataset.query[0])
    assert joints[:, :2].unique(dim=0).tolist() == [[1.0, 2.0]]
    assert joints[:, 2].tolist() == [0.0, 0.0] + [2.0] * 15  # scores from 2 on


def test_nobody_found_is_an_image_without_joints(dataset, monkeypatch):
    monkeypatch.setattr(detect, "LEAST_PERSON", 1.0)
    assert set(detect.detect(dataset, Stub()).images.values()) == {None}
    assert not joint_source("cache", dataset).joints(dataset.query[0]).any()


def test_what_was_saved_is_not_detected_again(dataset, monkeypatch):
    monkeypatch.setattr(detect, "SAVE_EVERY", 2)
    with pytest.raises(KeyboardInterrupt):
        detect.detect(dataset, Stub(limit=3), batch=1)
    assert len(read_cache(dataset).images) == 2
    second = Stub()
    whole = detect.detect(dataset, second, batch=1)
    assert second.seen == 2 and len(whole.images) == 4 == len(read_cache(dataset).images)


def test_another_detectors_file_is_kept(dataset):
    found = detect.detect(dataset, Stub())
    found.detector = "somebody else's"
    found.write()
    before = cache_path(dataset).read_bytes()
    with pytest.raises(MatlibError, match="somebody else's"):
        detect.detect(dataset, Stub())
    assert cache_path(dataset).read_bytes() == before


def test_the_file_may_be_named(dataset, tmp_path):
    out = tmp_path / "elsewhere" / "mine.json"
    found = detect.detect(dataset, Stub(), out=out)
    assert not cache_path(dataset).exists() and read_cache(dataset, out) == found
    again = Stub()
    assert detect.detect(dataset, again, out=out) == found and not again.seen
    out.rename(cache_path(dataset))
    assert read_cache(dataset).images == found.images


@pytest.mark.parametrize("inside", [".", "a file/joints.json"])
def test_a_file_that_cannot_be_written_is_told_before_the_weights_are_read(dataset, tmp_path, monkeypatch, capsys,
                                                                           inside):
    (tmp_path / "a file").touch()
    monkeypatch.setattr(detect, "load_detector", lambda weights: pytest.fail("read"))
    assert "cannot be written" in run(tmp_path, monkeypatch, capsys, "--out", str(tmp_path / inside))


def run(tmp_path, monkeypatch, capsys, *more) -> str:
    monkeypatch.setattr(sys, "argv", ["detect", "--dataset", "annyville-occluded", "--root", str(tmp_path), *more])
    with pytest.raises(SystemExit):
        command_line(detect.main)
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_weights_that_cannot_be_had_are_one_sentence(dataset, tmp_path, monkeypatch, capsys):
    def refuse(*arguments, **named):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    said = run(tmp_path, monkeypatch, capsys)
    assert said.startswith("error: the weights of keypointrcnn") and "--weights" in said and "no network" in said
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    told = {"none.pth": "there is no file", "text.pth": "is not a file", "other.pth": "another network"}
    for name, words in told.items():
        assert words in run(tmp_path, monkeypatch, capsys, "--weights", str(tmp_path / name))


def published_like() -> dict[str, torch.Tensor]:
    """Weights as torchvision publishes them: batch normalisations are frozen, and some channels hardly vary."""
    torch.manual_seed(0)
    state = detect.keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.uniform_(1e-5, 2.0)
    return state


def test_the_detector_is_torchvisions_own_with_its_weights(tmp_path, monkeypatch):
    """As torchvision builds it when it loads its published weights; here others in their place."""
    state = published_like()
    torch.save(state, tmp_path / "weights.pth")
    monkeypatch.setattr(detect, "SIDES", (32, 64))
    monkeypatch.setattr(detect.KeypointRCNN_ResNet50_FPN_Weights, "get_state_dict", lambda *args, **named: state)
    theirs = detect.keypointrcnn_resnet50_fpn(weights="DEFAULT", min_size=32, max_size=64).eval()
    image = torch.rand(1, 3, 64, 32)
    for ours in (detect.load_detector(tmp_path / "weights.pth"), detect.load_detector()):
        with torch.no_grad():
            maps, expected = ours.backbone(image), theirs.backbone(image)
        for level in expected:
            torch.testing.assert_close(maps[level], expected[level])
        assert ours.state_dict().keys() >= theirs.state_dict().keys()
        assert all(torch.equal(ours.state_dict()[name], tensor) for name, tensor in theirs.state_dict().items())


@pytest.mark.parametrize("wrap", [
    lambda state: {f"module.{name}": value for name, value in state.items()}, lambda state: {"state_dict": state},
    lambda state: {"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}])
def test_weights_of_a_training_loop_are_read(tmp_path, wrap):
    state = published_like()
    torch.save(wrap(state), tmp_path / "weights.pth")
    loaded = detect.load_detector(tmp_path / "weights.pth").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_weights_that_would_run_code_or_are_not_finite_are_told(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    torch.save({"state_dict": published_like() | {"a": torch.tensor([float("nan")])}}, tmp_path / "nan.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, sentence in (("module.pth", "Python objects .* save model.state_dict"), ("nan.pth", "not finite .* in a"),
                           ("list.pth", "holds a list, not weights"), ("list.pth/below", "cannot be read"),
                           ("n" * 5000, "cannot be read .File name too long")):
        with pytest.raises(MatlibError, match=sentence) as error:
            detect.load_detector(tmp_path / name)
        assert len(str(error.value)) < 600


def test_torchvisions_detector_gives_what_is_read(monkeypatch):
    """The network itself, with random weights, on one image: nobody is found, or joints inside the image."""
    torch.manual_seed(0)
    network = detect.keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=32, max_size=64,
                                               box_score_thresh=0.0,
                                               rpn_post_nms_top_n_test=4, box_detections_per_img=2).eval()
    monkeypatch.setattr(detect, "LEAST_PERSON", 0.0)
    image = torch.rand(3, 80, 40)
    with torch.no_grad():
        joints = detect.best_person(image, network([image])[0])
    assert joints is not None and len(joints) == 17 and all(0 <= x <= 40 and 0 <= y <= 80 for x, y, _ in joints)
