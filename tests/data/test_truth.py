"""The labels of rendered sets."""

import json

import numpy as np
import pytest
import torch
from builders import write_annyville
from PIL import Image

from matlib.data import ImageDataset, Truth, load_dataset
from matlib.errors import MatlibError


def test_the_labels_of_an_image(tmp_path):
    write_annyville(tmp_path, size=(40, 80))
    dataset = load_dataset("annyville-occluded", tmp_path)
    truth = Truth(dataset.query[0])
    assert (truth.occlusion, truth.occluder, truth.yaw) == (0.25, "car", -30.0)
    assert truth.keypoints.shape == (17, 3) and truth.keypoints[3, 2] == 1
    assert truth.labels.shape == (80, 40)
    assert truth.parts[1, :5].tolist() == [0, 1, 13, 0, 0]
    assert truth.hidden[1, :5].tolist() == [False, False, False, True, False]
    assert truth.occluders[1, :5].tolist() == [False, False, False, True, True]


def test_missing_labels_are_told(tmp_path):
    folder = write_annyville(tmp_path)
    sample = load_dataset("annyville-occluded", tmp_path).query[0]
    (folder / "truth" / "query" / f"{sample.path.stem}.png").write_bytes(b"cut")
    with pytest.raises(MatlibError, match="mask .*render the set again"):
        Truth(sample).labels
    labels = folder / "truth" / "query.json"
    labels.write_text("{}")
    with pytest.raises(MatlibError, match="says nothing about"):
        Truth(sample)
    for damaged in ("{", "5"):
        labels.write_text(damaged)
        with pytest.raises(MatlibError, match="cannot be read as labels"):
            Truth(sample)
    labels.unlink()
    with pytest.raises(MatlibError, match="only rendered"):
        Truth(sample)


@pytest.mark.parametrize(("key", "value"), [
    ("yaw", float("nan")), ("yaw", 181.0), ("occlusion", -0.01), ("occlusion", 1.2), ("occlusion", float("nan")),
    ("keypoints", [[float("inf"), 0.0, 2]] * 17)])
def test_numbers_that_no_picture_has_are_told(tmp_path, key, value):
    labels = write_annyville(tmp_path) / "truth" / "query.json"
    sample = load_dataset("annyville-occluded", tmp_path).query[0]
    rows = json.loads(labels.read_text())
    rows[sample.path.name][key] = value
    labels.write_text(json.dumps(rows))
    with pytest.raises(MatlibError, match=f"{labels} is damaged at {sample.path.name}; .*{key.removesuffix('s')}"):
        Truth(sample)


def test_images_in_folders_of_identities_have_their_labels(tmp_path):
    """Occluded-REID keeps a folder for each identity; the truth lies beside the folder above."""
    flat = load_dataset("annyville-occluded", write_annyville(tmp_path).parent).query[0]
    nested = flat._replace(path=flat.path.parent / "001" / flat.path.name)
    nested.path.parent.mkdir()
    flat.path.rename(nested.path)
    assert torch.equal(Truth(nested).keypoints, Truth(flat).keypoints)
    assert torch.equal(Truth(nested).labels, Truth(flat).labels)


@pytest.mark.parametrize("points", [
    np.zeros((1, 320, 2), np.int16), np.zeros((1, 320, 3)), np.zeros(1, np.int16), np.zeros((0, 320, 3), np.int16)])
def test_damaged_surface_points_are_told(tmp_path, points):
    folder = write_annyville(tmp_path)
    np.save(folder / "truth" / "query.surface.npy", points)
    with pytest.raises(MatlibError, match="surface.npy cannot be read; render the set again"):
        Truth(load_dataset("annyville-occluded", tmp_path).query[0]).surface


@pytest.mark.parametrize("cache", [False, True])
def test_a_mask_of_another_image_is_told(tmp_path, cache):
    folder = write_annyville(tmp_path, size=(40, 80))
    query = load_dataset("annyville-occluded", tmp_path).query
    Image.new("L", (40, 79)).save(folder / "truth" / "query" / f"{query[0].path.stem}.png")
    with pytest.raises(MatlibError, match="another size than the image; render the set again"):
        ImageDataset(query, (16, 8), truth=["parts"], cache=cache)[0]
