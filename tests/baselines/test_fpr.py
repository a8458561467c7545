"""FPR: the weights of the query's vectors, the foreground feature, and what the masks teach the occlusion unit."""

from functools import partial

import pytest
import torch
from pyramids import IDENTITIES, SMALL, images, settled

from matlib.baselines.fpr import FPR, foreground_feature, person_shares, shares_of_one
from matlib.baselines.sfr import rebuilt
from matlib.config import RunConfig
from matlib.errors import MatlibError
from matlib.evaluation import evaluate_pyramids
from matlib.models.descriptions import Pyramid, SecondStage
from matlib.models.method import Step
from matlib.models.reconstruction import reconstruction


def build(**settings):
    torch.manual_seed(0)
    return FPR(SMALL.change({f"model.method.{name}": value for name, value in settings.items()}).model, identities=5)


def person(n=6, size=(64, 32)):
    parts = torch.zeros(n, *size, dtype=torch.uint8)
    parts[:, 16:48, 8:24] = 3
    return parts


@pytest.mark.parametrize("settings, terms", [
    ({}, 4), ({"reduce": False, "margin": 0.3}, 4), ({"masks": True}, 5)])
def test_all_that_is_trained_learns(settings, terms):
    model = build(**settings).train()
    truth = (person(),) if model.training_truth else ()
    found = model.losses(model(images(), *truth), Step(images(), IDENTITIES, truth))
    assert len(found) == terms
    model.total(found, Step(images(), IDENTITIES)).backward()
    still = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert still == []


def test_the_foreground_feature_is_of_the_finest_windows_and_their_own_weights():
    model = settled(build())
    output = model(images())
    assert output.spatial_features.shape == (6, 8 + 3, 32)  # windows of 2 and of 4 cells on 8 x 4
    finest, probabilities = output.spatial_features[:, :8], output.scores[:, :8].sigmoid()
    for image in range(6):
        total = probabilities[image].sum()
        expected = sum(p / total * vector for p, vector in zip(probabilities[image], finest[image]))
        torch.testing.assert_close(output.foreground_feature[image], expected)
    assert (output.foreground_feature <= finest.amax(1) + 1e-6).all()  # in the hull of the vectors
    assert (output.foreground_feature >= finest.amin(1) - 1e-6).all()


def test_vectors_are_compared_at_length_one_under_the_querys_weights():
    model = settled(build())
    output = model(images())
    pyramid = model.describe(output)
    torch.testing.assert_close(pyramid.vectors.norm(dim=2), torch.ones(6, 11))
    torch.testing.assert_close(pyramid.weights.sum(dim=1), torch.ones(6))
    torch.testing.assert_close(pyramid.weights[0] / pyramid.weights[0, 0],
                               output.scores[0].sigmoid() / output.scores[0, 0].sigmoid())
    torch.testing.assert_close(pyramid.second.distances(pyramid, pyramid),
                               reconstruction(pyramid.vectors, pyramid.vectors, 1e-3, pyramid.weights))
    output.spatial_features = output.spatial_features * torch.rand(6, 11, 1).add(0.5)
    torch.testing.assert_close(model.describe(output).vectors, pyramid.vectors)


def test_equal_weights_are_sfrs_distance_and_a_weight_of_zero_takes_a_vector_away():
    vectors, gallery = torch.randn(2, 5, 12), torch.randn(3, 4, 12)
    equal = shares_of_one(torch.full((2, 5), 0.3))
    torch.testing.assert_close(reconstruction(vectors, gallery, 1e-3, equal), reconstruction(vectors, gallery, 1e-3))
    hidden = shares_of_one(torch.tensor([[1.0, 1, 0, 1, 0]] * 2))
    torch.testing.assert_close(reconstruction(vectors, gallery, 1e-3, hidden),
                               reconstruction(vectors[:, [0, 1, 3]], gallery, 1e-3))
    torch.testing.assert_close(foreground_feature(vectors, hidden), vectors[:, [0, 1, 3]].mean(1))


def test_an_occluder_that_is_told_costs_nothing():
    generator = torch.Generator().manual_seed(2)
    gallery = torch.randn(6, 5, 16, generator=generator)
    query = gallery.clone()
    query[:, 3:] = gallery.roll(1, 0)[:, 3:]  # two of five vectors show somebody else
    names = (range(6), range(6), [0] * 6, [1] * 6)

    def ranked(weights):
        second = SecondStage(partial(rebuilt, ridge=1e-3), neighbours=6, share=1.0)
        sides = Pyramid(torch.ones(6, 2), query, second, weights), Pyramid(torch.ones(6, 2), gallery, second)
        return rebuilt(*sides, 1e-3).diagonal().max(), evaluate_pyramids(*sides, *names)
    told, untold = (ranked(shares_of_one(torch.tensor([[1.0, 1, 1, p, p]] * 6))) for p in (0, 1))
    assert told[0] < 1e-2 < untold[0] and told[1].rank(1) == 1


def test_the_share_of_a_window_that_shows_the_person_against_the_pixels():
    parts = torch.randint(0, 14, (2, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    parts[:, 20:40] = 0
    shares = person_shares(parts, (8, 4), [2, 4], 2)
    expected = [[(image[y * 8:(y + k) * 8, x * 8:(x + k) * 8] > 0).float().mean()
                 for k in (2, 4) for y in range(0, 8 - k + 1, 2) for x in range(0, 4 - k + 1, 2)] for image in parts]
    torch.testing.assert_close(shares, torch.tensor(expected))


def test_masks_teach_the_unit_where_the_person_is():
    model, truth = build(masks=True).train(), person()
    pictures = images() * 0.1 + (truth > 0)[:, None] * 2.0
    step = Step(pictures, IDENTITIES, (truth,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    values = []
    for _ in range(15):
        loss = model.losses(model(pictures, truth), step)["mask"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    shares = person_shares(truth, (8, 4), [2, 4], 2)
    floor = torch.nn.functional.binary_cross_entropy(shares, shares)
    assert values[-1] - floor < 0.3 * (values[0] - floor)


def test_settings_and_images_that_do_not_fit_are_refused_in_a_sentence():
    assert build().training_truth == () and build(masks=True).training_truth == ("parts",)
    with pytest.raises(MatlibError, match="32 vectors of 32 channels spans all"):
        build()(images(2, (96, 48)))


def test_the_published_recipe_is_one_that_settings_can_say():
    config = RunConfig().change({**FPR.published, "model.weights": "none", "model.trunk": "mobilenet_v2"})
    assert FPR(config.model, 3).eval()(torch.zeros(1, 3, 384, 128)).spatial_features.shape == (1, 110, 1280)
