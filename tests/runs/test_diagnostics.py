"""Numbers that tell a collapse: what they are for outputs made by hand, and what is said."""

import pytest
import torch

from matlib.config import LossConfig, profile
from matlib.geometry import Keypoints
from matlib.losses import feature_consistency_loss
from matlib.models import MATOutput, build_model
from matlib.runs.diagnostics import collapses, diagnose, gradient_norms


def output(maps, positions=None, jacobians=None, features=None, heatmaps=None):
    batch, h, w = len(maps), *maps.shape[2:]
    count = maps.shape[1] - 1
    positions = torch.zeros(batch, count, 2) if positions is None else positions
    jacobians = torch.eye(2).expand(batch, count, 2, 2) if jacobians is None else jacobians
    return MATOutput(
        global_feature=torch.zeros(batch, 4), global_logits=torch.zeros(batch, 2), descriptor=torch.zeros(batch, 4),
        features=torch.ones(batch, 4, h, w) if features is None else features, part_maps=maps,
        keypoints=Keypoints(positions, jacobians),
        heatmaps=torch.full((batch, count, h, w), 1 / (h * w)) if heatmaps is None else heatmaps)


def one_hot(winner, parts):
    return torch.nn.functional.one_hot(winner, parts).permute(0, 3, 1, 2).float()


def test_shares_of_known_maps():
    winner = torch.zeros(2, 4, 4, dtype=torch.long)
    winner[:, :, 2:] = 1  # half of the cells
    winner[0, 0, 3] = 2
    values = diagnose(output(one_hot(winner, 5)))
    assert values["background_share"] == 0.5
    assert values["largest_part_share"] == pytest.approx(15 / 16)
    assert values["parts_in_use"] == 0.5
    assert values["part_entropy"] == 0.0
    assert values["heat_entropy"] == pytest.approx(1.0)


def test_distances_of_known_keypoints():
    positions = torch.tensor([[[0.0, 0.0], [0.3, 0.0], [0.0, 0.4]]]).repeat(2, 1, 1)
    values = diagnose(output(torch.full((2, 4, 3, 3), 0.25), positions))
    assert values["keypoint_spread"] == pytest.approx((0.3 + 0.4 + 0.5) / 3)
    assert values["nearest_keypoint"] == pytest.approx((0.3 + 0.3 + 0.4) / 3)
    assert values["keypoint_motion"] == 0.0


def test_consistency_under_the_flow_is_the_loss(rng):
    maps = torch.randn(6, 4, 8, 4, generator=rng).softmax(1)
    positions = torch.rand(6, 3, 2, generator=rng) - 0.5
    made = output(maps, positions, features=torch.randn(6, 4, 8, 4, generator=rng))
    identities = torch.arange(3).repeat_interleave(2)
    values = diagnose(made, identities, LossConfig(fc_norm="channel"))
    loss = feature_consistency_loss(made.features, made.keypoints, maps, identities, norm="channel")
    assert values["consistency_flow"] == pytest.approx(loss.item(), rel=1e-5)
    assert values["consistency_identity"] != values["consistency_flow"]


def test_gradient_norms_are_those_of_the_modules():
    model = build_model(profile("smoke").change({"model.weights": "none"}).model, 2)
    model.global_head.classifier.weight.grad = torch.full_like(model.global_head.classifier.weight, 2.0)
    norms = gradient_norms(model)
    assert norms["global_head"] == pytest.approx(2 * model.global_head.classifier.weight.numel() ** 0.5)
    assert norms["trunk"] == 0.0


COLLAPSED = {
    "keypoints have met in one point": output(torch.full((2, 4, 3, 3), 0.25)),
    "part maps are uniform": output(torch.full((2, 4, 3, 3), 0.25)),
    "background takes every cell": output(one_hot(torch.zeros(2, 3, 3, dtype=torch.long), 4)),
    "no cell is background": output(one_hot(torch.ones(2, 3, 3, dtype=torch.long), 4)),
    "one part takes the whole body": output(one_hot(torch.ones(2, 3, 3, dtype=torch.long), 4)),
    "all cells of an image are alike": output(torch.full((2, 4, 3, 3), 0.25),
                                              features=torch.arange(2.0).view(2, 1, 1, 1).expand(2, 4, 3, 3)),
    "Jacobian flattens or mirrors": output(torch.full((2, 4, 3, 3), 0.25),
                               jacobians=torch.diag(torch.tensor([1.0, -1.0])).expand(2, 3, 2, 2)),
    "heatmaps are flat": output(torch.full((2, 4, 3, 3), 0.25)),
    "keypoints stand still": output(torch.full((2, 4, 3, 3), 0.25)),
}


@pytest.mark.parametrize("what", COLLAPSED)
def test_a_collapse_is_named_with_what_helps(what):
    told = [sentence for sentence in collapses(diagnose(COLLAPSED[what])) if what in sentence]
    assert len(told) == 1 and ("loss." in told[0] or "model." in told[0])


def test_a_healthy_output_is_not_warned_of(rng):
    maps = one_hot(torch.randint(4, (4, 8, 4), generator=rng), 4)
    heat = torch.zeros(4, 3, 8, 4)
    heat[:, :, 2, 2] = 1.0
    made = output(maps, torch.rand(4, 3, 2, generator=rng) - 0.5,
                  features=torch.randn(4, 4, 8, 4, generator=rng), heatmaps=heat)
    assert collapses(diagnose(made)) == []
