"""A model's test: plain descriptors, or parts weighted by how much of them an image shows."""

import numpy as np
import pytest
import torch
from builders import write_annyville
from PIL import Image

from matlib.config import profile
from matlib.data import ReIDDataset, Sample, load_dataset
from matlib.evaluation import evaluate, describe_images, extract_descriptors, part_distances, rank_model
from matlib.models import build_model

CONFIG = profile("smoke").change({"model.weights": "none"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four identities, each seen by four cameras: noise under random part masks."""
    generator = np.random.default_rng(0)
    samples = []
    for identity in range(4):
        root = tmp_path_factory.mktemp("data")
        read = load_dataset("annyville-occluded", write_annyville(root, size=(32, 64)).parent)
        for camera, sample in enumerate((*read.train, *read.query, *read.gallery)):
            folder, name = sample.path.parent, sample.path.stem
            for path, values in ((sample.path, generator.integers(256, size=(64, 32, 3))),
                                 (folder.parent / "truth" / folder.name / f"{name}.png",
                                  np.kron(generator.integers(14, size=(4, 2)), np.ones((16, 16))))):
                Image.fromarray(values.astype(np.uint8)).save(path)
            samples.append(Sample(sample.path, identity, camera))
    return ReIDDataset("noise", root, (), tuple(samples[::4]), tuple(s for s in samples if s.camera))


def model(**changes):
    torch.manual_seed(0)
    return build_model(CONFIG.change({f"model.{k}": v for k, v in changes.items()}).model, identities=3)


def rank_by(distances, data):
    labels = [[s.identity for s in part] for part in (data.query, data.gallery)]
    labels += [[s.camera for s in part] for part in (data.query, data.gallery)]
    return evaluate(distances, *labels)


def test_without_visibility_the_descriptor_as_a_whole_is_compared(data):
    plain = model()
    query, gallery = (extract_descriptors(plain, part, CONFIG.data) for part in (data.query, data.gallery))
    assert rank_model(plain, data, CONFIG.data).mAP == rank_by(1 - query.double() @ gallery.double().T, data).mAP < 1


@pytest.mark.parametrize("changes", [{"visibility": "max"}, {"visibility": "argmax"}, {"architecture": "true_parts"}])
def test_with_visibility_the_parts_are_weighted_by_it(data, changes):
    weighted = model(**changes)
    query, gallery = (describe_images(weighted, part, CONFIG.data) for part in (data.query, data.gallery))
    assert rank_model(weighted, data, CONFIG.data).mAP == rank_by(part_distances(query, gallery), data).mAP < 1
    whole = torch.cat([gallery.global_features, gallery.parts.flatten(1)], dim=1)
    torch.testing.assert_close(whole, extract_descriptors(weighted, data.gallery, CONFIG.data))


def test_the_model_is_left_in_the_mode_it_was_in(data):
    for training in (True, False):
        plain = model().train(training)
        extract_descriptors(plain, data.query, CONFIG.data)
        assert plain.training is training
