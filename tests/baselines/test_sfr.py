"""SFR: what is trained, what is compared, and that a part of an image is rebuilt from the whole."""

import pickle

import pytest
import torch
from pyramids import IDENTITIES, SMALL, images, settled

from matlib.baselines.sfr import SFR, SFROutput
from matlib.config import RunConfig
from matlib.errors import MatlibError
from matlib.evaluation import evaluate_pyramids
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


def test_the_published_recipe_is_one_that_settings_can_say():
    config = RunConfig().change({**SFR.published, "model.weights": "none"})
    assert SFR(config.model, 3).weights["identity"] == 0
    model = SFR(config.change({"model.trunk": "mobilenet_v2"}).model, 3).eval()
    assert model(torch.zeros(1, 3, 384, 192)).spatial_features.shape == (1, 71, 1280)
