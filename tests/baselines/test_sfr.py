"""SFR: what is trained, what is compared, and that a part of an image is rebuilt from the whole."""

import pickle

import pytest
import torch
from pyramids import IDENTITIES, SMALL, images, settled

from matlib.ablations import row_config
from matlib.baselines.sfr import SFR, SFROutput, reconstruction_triplet_loss
from matlib.config import RunConfig, differences
from matlib.errors import MatlibError
from matlib.evaluation import evaluate_pyramids
from matlib.models import method_class
from matlib.models.descriptions import join
from matlib.models.method import Step
from matlib.models.reconstruction import reconstruction


def build(**settings):
    torch.manual_seed(0)
    changes = {name if "." in name else f"model.method.{name}": value for name, value in settings.items()}
    return SFR(SMALL.change(changes).model, identities=5)


def step():
    return Step(images(), IDENTITIES)


@pytest.mark.parametrize("settings, terms", [
    ({}, {"identity", "triplet"}), ({"reconstruction_triplet": 0.7}, {"identity", "triplet", "reconstruction"}),
    ({"reduce": False, "margin": 0.45, "identity": False}, {"identity", "triplet"}),
])
def test_all_that_is_trained_learns(settings, terms):
    model = build(**settings).train()
    output = model(images())
    found = model.losses(output, step())
    assert set(found) == terms
    model.total(found, step()).backward()
    still = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert still == []
    learns = model.global_head.classifier.weight.grad.abs().max() > 0
    assert learns == settings.get("identity", True)


def test_the_reconstruction_term_is_the_margin_of_the_mined_pairs():
    model = build(reconstruction_triplet=1.0, margin=0.45)
    output = model.train()(images())
    distances = torch.cdist(output.global_feature, output.global_feature)
    pairs = reconstruction(output.spatial_features, output.spatial_features, 1e-3)
    total = 0.0
    for i in range(6):
        same, others = ([j for j in range(6) if (IDENTITIES[j] == IDENTITIES[i]) == alike and j != i]
                        for alike in (True, False))
        positive, negative = max(same, key=distances[i].__getitem__), min(others, key=distances[i].__getitem__)
        total += torch.relu(pairs[i, positive] - pairs[i, negative] + 0.45) / 6
    torch.testing.assert_close(model.losses(output, step())["reconstruction"], total, rtol=1e-4, atol=1e-5)


def test_the_reconstruction_term_takes_any_vectors_and_teaches_these_alone():
    features = torch.randn(6, 4, dtype=torch.float16, requires_grad=True)
    vectors = (10 * torch.randn(6, 9, 5)).half().requires_grad_()  # more than channels, and long
    loss = reconstruction_triplet_loss(features, vectors, IDENTITIES, margin=0.45)
    loss.backward()
    assert loss.dtype == torch.float32 and loss >= 0
    assert features.grad is None and torch.isfinite(vectors.grad).all()


def test_the_second_distance_is_the_share_that_is_not_rebuilt():
    model = settled(build())
    pyramid = model.describe(model(images()))
    assert pyramid.vectors.shape == (6, 12, 32) and pyramid.first.shape == (6, 32)
    distances = pyramid.second.distances(pyramid, pyramid)
    plain = reconstruction(pyramid.vectors, pyramid.vectors, 5e-4)
    lengths = pyramid.vectors.norm(dim=2).mean(dim=1)
    torch.testing.assert_close(distances, plain / lengths[:, None], rtol=1e-3, atol=1e-4)
    assert (distances >= 0).all() and (distances <= 1).all() and distances.diagonal().max() < 0.001
    pickle.loads(pickle.dumps(pyramid))


def test_an_image_without_features_has_distances_all_the_same():
    model = build()
    nothing = SFROutput(torch.zeros(2, 32), torch.zeros(2, 32), torch.zeros(2, 5), torch.zeros(2, 12, 32))
    pyramid = model.describe(nothing)
    assert pyramid.second.distances(pyramid, pyramid).abs().max() < 1e-6


def test_images_of_other_sizes_are_compared_and_a_part_is_rebuilt_from_its_whole():
    model = settled(build(**{"share": 1.0, "model.width": 96}))
    wholes = images(5, (128, 64))
    parts = wholes[:, :, 32:96]
    gallery = join([model.describe(model(some)) for some in wholes.split(2)])
    query = model.describe(model(parts))
    assert query.vectors.shape[1] != gallery.vectors.shape[1]
    metrics = evaluate_pyramids(query, gallery, range(5), range(5), [0] * 5, [1] * 5)
    assert metrics.rank(1) == 1


def test_too_many_windows_are_refused_in_a_sentence():
    with pytest.raises(MatlibError, match="33 vectors of 32 channels spans all"):
        build()(images(2, (96, 48)))
    assert build(windows=1)(images(2, (96, 48))).spatial_features.shape == (2, 19, 32)


def test_the_whole_map_can_be_left_out():
    output = settled(build())(images(2))
    assert output.spatial_features.shape == (2, 12, 32)
    torch.testing.assert_close(output.spatial_features[:, -1], output.global_feature)
    windows = settled(build(whole=False))(images(2)).spatial_features
    torch.testing.assert_close(windows, output.spatial_features[:, :-1])


@pytest.mark.parametrize("settings, vectors", [({}, 71), ({"windows": 2, "whole": False}, 53)])
def test_the_published_recipe_is_one_that_settings_can_say(settings, vectors):
    own = {f"model.method.{name}": value for name, value in settings.items()}
    config = RunConfig().change({**SFR.published, **own, "model.weights": "none", "model.trunk": "mobilenet_v2"})
    model = SFR(config.model, 3).eval()
    assert model.weights["identity"] == 0
    output = model(torch.zeros(1, 3, 384, 192))
    assert output.spatial_features.shape == (1, vectors, 1280)
    assert torch.equal(model.describe(output).first, output.global_feature)  # no neck, as nothing would train it


@pytest.mark.parametrize("method", ["sfr", "fpr"])
def test_the_published_recipe_is_the_same_under_every_profile(method):
    laptop, paper = (row_config(method, name, changes={"recipe": "published"}) for name in ("laptop", "paper"))
    reads = method_class(laptop.model.architecture).reads(laptop) - {"model.width"}  # the trunk's own channels
    assert not reads.intersection(differences(laptop, paper))
    assert not [name for name in differences(laptop, paper) if name.startswith("train.") and name != "train.momentum"]
