"""PGFA: its guided vector, its rule of visibility, the score of its paper, and a training step."""

import dataclasses

import pytest
import torch

from matlib.baselines.pgfa import PGFA, ReducedHead, pose_guided_feature, stripe_visibility
from matlib.baselines.pose import heat_maps, in_pixels
from matlib.config import profile
from matlib.errors import MatlibError
from matlib.evaluation.visible_parts import part_distances
from matlib.models.method import Step

SMALL = profile("smoke").change({"model.weights": "none"})


def build(**changes):
    torch.manual_seed(0)
    return PGFA(SMALL.change({f"model.{name}": value for name, value in changes.items()}).model, identities=5)


def pose(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(batch, 17, 2, generator=generator) * 2 - 1
    return torch.cat([places, torch.full((batch, 17, 1), 2.0)], dim=2)


def test_the_guided_vector_against_a_slow_loop():
    features, maps = torch.randn(2, 5, 4, 3), torch.rand(2, 7, 4, 3)
    found = torch.rand(2, 7) > 0.5
    found[0, 0] = found[1, 2] = True
    vector = pose_guided_feature(features, maps, found)
    assert vector.shape == (2, 10)
    for b in range(2):
        for c in range(5):
            assert vector[b, c].item() == pytest.approx(features[b, c].mean().item(), abs=1e-6)
            means = [(maps[b, k] * features[b, c]).mean().item() for k in range(7) if found[b, k]]
            assert vector[b, 5 + c].item() == pytest.approx(max(means), abs=1e-6)


def test_an_empty_map_wins_over_negative_means_only_as_in_the_original():
    features, maps = -torch.rand(1, 5, 4, 3) - 0.1, torch.rand(1, 3, 4, 3)
    maps[:, 1] = 0
    found = torch.tensor([[True, False, True]])
    assert (pose_guided_feature(features, maps)[:, 5:] == 0).all()
    assert (pose_guided_feature(features, maps, found)[:, 5:] < 0).all()
    torch.testing.assert_close(pose_guided_feature(-features, maps, found), pose_guided_feature(-features, maps))


@pytest.mark.parametrize("found", [None, torch.zeros(2, 7, dtype=torch.bool)])
def test_without_a_pose_the_guided_half_is_zero(found):
    vector = pose_guided_feature(torch.randn(2, 5, 4, 3), torch.zeros(2, 7, 4, 3), found)
    assert (vector[:, 5:] == 0).all() and vector[:, :5].abs().sum() > 0


def test_a_stripe_is_visible_by_a_joint_strictly_inside_and_all_are_with_fewer_than_three():
    rows = torch.tensor([[1.0, 2.0, 3.0, 50.0], [30.0, 60.0, 61.0, 62.0], [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    found = torch.tensor([[True] * 4, [True] * 4, [True, True, True, False], [True, True, False, False]])
    expected = torch.tensor([[True, True, False], [False, False, True], [True, False, False], [True, True, True]])
    assert torch.equal(stripe_visibility(rows, found, 90, 3), expected)


def test_the_distance_is_the_shared_region_score_of_the_paper():
    model = build().eval()
    joints = pose(6)
    joints[:3, :, 1] = (joints[:3, :, 1] + 1) * 0.6 - 1  # nobody's lowest stripe is seen, but in the others
    with torch.no_grad():
        described = model.describe(model(torch.randn(6, 3, 64, 32), joints))
    assert not described.visibilities[:3, 2].any() and described.visibilities[3:].all()
    distances = part_distances(described, described)

    def cosine(a, b):
        return torch.nn.functional.cosine_similarity(a, b, dim=0)

    for i in range(6):
        for j in range(6):
            score, count = (cosine(described.global_features[i], described.global_features[j]) + 1) / 2, 1
            for k in range(3):
                if described.visibilities[i, k] and described.visibilities[j, k]:
                    score, count = score + (cosine(described.parts[i, k], described.parts[j, k]) + 1) / 2, count + 1
            torch.testing.assert_close(1 - distances[i, j] / 2, score / count, atol=1e-5, rtol=1e-5)
    hidden = described.parts.clone()
    hidden[:3, 2] = 100.0
    torch.testing.assert_close(part_distances(dataclasses.replace(described, parts=hidden), described), distances)


def test_raw_stripes_are_the_means_of_the_trunks_rows():
    model = build().eval()
    images, joints = torch.randn(2, 3, 96, 32), pose(2)
    with torch.no_grad():
        output, features = model(images, joints), model.trunk(images)
    raw, trained = model.describe(output), build(**{"method.compare": "trained"}).describe(output)
    for k in range(3):
        torch.testing.assert_close(raw.parts[:, k], features[:, :, 4 * k:4 * k + 4].mean((2, 3)), atol=1e-5, rtol=1e-4)
    assert trained.parts.shape == (2, 3, 32) and raw.parts.shape == (2, 3, model.trunk.channels)
    torch.testing.assert_close(trained.parts, output.stripes_after)


def test_the_network_leaves_joints_that_are_not_detected_out_of_the_global_vector():
    model, images, joints = build(**{"method.sigma": 1.5}).eval(), torch.randn(2, 3, 64, 32), pose(2)
    joints[0, 4:, 2] = 1
    with torch.no_grad():
        features = model.trunk(images)
        maps = heat_maps(in_pixels(joints, (64, 32)), (64, 32), (8, 4), 1.5)
        guided = pose_guided_feature(features, maps, joints[..., 2] == 2)
        assert not torch.allclose(guided, pose_guided_feature(features, maps))  # the trunk's features have both signs
        torch.testing.assert_close(model(images, joints).global_after, model.global_head(guided)[0])


def test_dropout_comes_before_the_classifier_too():
    head = ReducedHead(6, 8, 3, "bnneck", 0.5).train()
    head.reduce[0].eval()
    features = torch.randn(40, 6)
    after, logits = head(features)
    assert (after != 0).all() and not torch.allclose(logits, head.head.classifier(after))
    head.eval()
    after, logits = head(features)
    torch.testing.assert_close(logits, head.head.classifier(after))


def test_a_step_trains_every_parameter_and_lambda_shares_the_loss():
    model = build(**{"method.partial": 0.3, "method.dropout": 0.5}).train()
    step = Step(torch.randn(4, 3, 64, 32), torch.tensor([0, 0, 3, 3]))
    output = model(step.images, pose(4))
    terms = model.losses(output, step)
    total = model.total(terms, step)
    torch.testing.assert_close(total, 0.7 * terms["identity_global"] + 0.3 * terms["identity_part"])
    expected = sum(torch.nn.functional.cross_entropy(logits, step.identities) for logits in output.stripe_logits)
    torch.testing.assert_close(terms["identity_part"], expected)
    total.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert torch.isfinite(total)


def test_one_image_is_described_as_in_a_batch():
    model = build().eval()
    images, joints = torch.randn(3, 3, 64, 32), pose(3)
    with torch.no_grad():
        alone, together = model.describe(model(images[1:2], joints[1:2])), model.describe(model(images, joints))
    torch.testing.assert_close(alone.parts[0], together.parts[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone.global_features[0], together.global_features[1], atol=1e-5, rtol=1e-4)


def test_the_published_recipe_is_a_run():
    config = profile("paper").change(PGFA.published)
    assert config.data.height == 384 and PGFA.Settings(**config.model.method).dropout == 0.5


def test_settings_that_are_none_and_stripes_that_do_not_fit_are_said():
    with pytest.raises(MatlibError, match="model.method.strips"):
        build(**{"method.strips": 2})
    with pytest.raises(MatlibError, match="stripes"):
        build(**{"method.stripes": 9}).eval()(torch.randn(1, 3, 64, 32), pose(1))
