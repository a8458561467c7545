"""Joints from outside: a detector's errors have the said amounts, and a file of detections is read and moved."""

import json
import shutil

import pytest
import torch
from builders import write_annyville, write_image

from matlib.data import Augmentation, ImageDataset, Truth, joint_source, load_dataset
from matlib.data.joints.sources import COCO_DEVIATIONS, OBJECT_SCALE, DetectorErrors
from matlib.data.joints.joint_cache import Detections, cache_path, read_cache
from matlib.data.transforms import COCO_MIRROR
from matlib.errors import MatlibError

EXACT = {"jitter": 0.0, "inversion": 0.0, "miss": 0.0}
HEIGHT = 100.0


@pytest.fixture
def dataset(tmp_path):
    write_annyville(tmp_path)
    return load_dataset("annyville-occluded", tmp_path)


def person() -> torch.Tensor:
    x, y = torch.linspace(10, 60, 17), torch.linspace(20, 20 + HEIGHT, 17)
    joints = torch.stack([x, y, torch.full((17,), 2.0)], dim=1)
    joints[3, 2] = 1
    return joints


def detected(count=800, **amounts) -> torch.Tensor:
    errors = DetectorErrors(**{**EXACT, **amounts})
    return torch.stack([errors(person(), f"{i}.jpg") for i in range(count)])


def test_without_errors_the_truth_comes_back():
    assert torch.equal(detected(count=3), person().expand(3, 17, 3))


def test_jitter_has_cocos_deviations_and_the_similarity_that_it_says():
    errors = detected(jitter=1.0)[..., :2] - person()[:, :2]
    sigma = OBJECT_SCALE * HEIGHT * torch.tensor(COCO_DEVIATIONS)
    torch.testing.assert_close(errors.std(dim=0), sigma[:, None].expand(17, 2), rtol=0.15, atol=0)
    similarity = torch.exp(-errors.square().sum(dim=2) / (2 * (2 * sigma) ** 2))
    assert similarity.mean().item() == pytest.approx(0.8, abs=0.01)


def test_misses_and_inversions_are_as_frequent_as_said():
    missed = detected(miss=0.3)[..., 2]
    assert set(missed.unique().tolist()) == {1.0, 2.0} and (missed[:, 3] == 1).all()
    assert (missed[:, [0, 1, 2, *range(4, 17)]] == 1).float().mean().item() == pytest.approx(0.3, abs=0.03)
    inverted = detected(inversion=0.2)
    mirrored = (inverted == person()[list(COCO_MIRROR)]).all(dim=2)
    assert torch.equal(mirrored, mirrored[:, list(COCO_MIRROR)])  # both of a pair
    assert mirrored[:, 1:].float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_errors_depend_on_the_images_name_and_the_seed_alone():
    cases = ("a", 0), ("a", 0), ("b", 0), ("a", 1)
    one, same, other, seeded = (DetectorErrors(seed=seed)(person(), name) for name, seed in cases)
    assert torch.equal(one, same) and not torch.equal(one, other) and not torch.equal(one, seeded)


def test_joints_move_with_the_image_as_the_truth_does(dataset):
    source = joint_source("truth", dataset)
    images = ImageDataset(dataset.train, (40, 20), Augmentation(flip=0.5, pad=4, erasing=1.0), truth=("keypoints",),
                          joints=source.joints)
    for epoch in range(6):
        images.set_epoch(epoch)
        for item in images.__getitems__([0, 1]):
            assert torch.equal(item["joints"], item["keypoints"])


def test_noisy_joints_are_near_the_truth_and_the_same_in_every_epoch(dataset):
    source = joint_source("noisy", dataset, seed=3)
    sample = dataset.train[0]
    assert torch.equal(source.joints(sample), source.joints(sample))
    assert not torch.equal(source.joints(sample), Truth(sample).keypoints)
    assert "seed=3" in source.origin


def detections(dataset) -> Detections:
    images = {f"bounding_box_train/{s.path.name}": [[k + 0.5, 2 * k, k / 16] for k in range(17)] for s in dataset.train}
    return Detections(dataset, "a detector", 0.5, images)


def test_a_file_of_detections_is_a_source(dataset):
    found = detections(dataset)
    found.images[f"bounding_box_train/{dataset.train[1].path.name}"] = None
    found.write()
    source = joint_source("cache", dataset)
    joints = source.joints(dataset.train[0])
    assert joints[:, 0].tolist() == [k + 0.5 for k in range(17)]
    assert joints[:, 2].tolist() == [0.0] * 8 + [2.0] * 9
    assert not source.joints(dataset.train[1])[:, 2].any() and "a detector" in source.origin
    found.images[f"bounding_box_train/{dataset.train[0].path.name}"][0][0] += 1
    found.write()
    assert joint_source("cache", dataset).origin != source.origin
    with pytest.raises(MatlibError, match="says nothing about query/.*python -m matlib.data.joints.detect"):
        source.joints(dataset.query[0])


def test_a_missing_file_is_a_sentence_with_the_command(dataset):
    with pytest.raises(MatlibError, match="python -m matlib.data.joints.detect --dataset annyville-occluded") as error:
        joint_source("cache", dataset)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", [
    lambda text: text[:-10], lambda text: "[]", lambda text: text.replace("0.5, 0", '"x", 0', 1),
    lambda text: text.replace("0.5, 0", "NaN, 0", 1), lambda text: text.replace("[0.5, 0, 0.0], ", "", 1)])
def test_a_damaged_file_is_named(dataset, damage):
    detections(dataset).write()
    path = cache_path(dataset)
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    with pytest.raises(MatlibError, match="joints.json is damaged"):
        read_cache(dataset)


def test_photographs_have_no_truth(dataset):
    photographs = type(dataset)("market1501", dataset.root, dataset.train, dataset.query, dataset.gallery)
    for kind in ("truth", "noisy"):
        with pytest.raises(MatlibError, match="data.joints=cache"):
            joint_source(kind, photographs)


def test_the_file_is_plain_json(dataset):
    detections(dataset).write()
    assert json.loads(cache_path(dataset).read_text())["threshold"] == 0.5


def own(place, listed):
    """A CSV file that names a query in its own folder and a gallery image beside it, and the pictures."""
    write_image(place / "set" / "q.jpg")
    write_image(place / "beside" / "g.jpg")
    (place / "set" / "list.csv").write_text(f"path,identity,camera,split\nq.jpg,1,1,query\n{listed},1,2,gallery\n")
    return load_dataset("csv", place / "set" / "list.csv")


@pytest.mark.parametrize("listed", ["../beside/g.jpg", "{}/beside/g.jpg"])
def test_a_file_of_detections_moves_with_its_set(tmp_path, listed, monkeypatch):
    one = own(tmp_path / "one", listed.format(tmp_path / "one"))
    Detections(one, "a detector", 0.5, {"q.jpg": None, "../beside/g.jpg": [[1, 2, 3]] * 17}).write()
    assert str(tmp_path) not in cache_path(one).read_text()
    shutil.move(tmp_path / "one", tmp_path / "two")
    two = own(tmp_path / "two", listed.format(tmp_path / "two"))
    assert joint_source("cache", two).joints(two.gallery[0])[0].tolist() == [1, 2, 2]
    monkeypatch.chdir(tmp_path / "two")  # the same by a relative path
    here = load_dataset("csv", "set/list.csv")
    assert joint_source("cache", here).joints(here.gallery[0])[0].tolist() == [1, 2, 2]


def test_whole_paths_of_earlier_files_are_found(tmp_path):
    dataset = own(tmp_path, f"{tmp_path}/beside/g.jpg")
    cache_path(dataset).write_text(json.dumps({"detector": "mine", "threshold": 0.5, "images": {
        str(tmp_path / "set" / "q.jpg"): None, str(tmp_path / "beside" / "g.jpg"): [[1, 2, 3]] * 17}}))
    found = read_cache(dataset)
    assert found.joints(dataset.gallery[0])[0].tolist() == [1, 2, 2] and not found.joints(dataset.query[0]).any()
