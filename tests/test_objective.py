"""One training step: the sum of Equation 9, the ramp, the choice of images, and where gradients arrive."""

import pytest
import torch

from matlib.ablations import ROWS, row_config
from matlib.geometry import Keypoints
from matlib.models import build_model
from matlib.models.average import Average
from matlib.models.equation9 import _one_of_each, _twins
from matlib.models.method import Step
from matlib.objective import Objective


UNGUARDED = {f"loss.{name}": 0.0 for name in ("separation", "background", "foreground")}


def batch(config, identities=4, images=2):
    torch.manual_seed(1)
    y = torch.arange(identities).repeat_interleave(images)
    joints = torch.rand(len(y), 17, 3) * 2 - 1
    joints[..., 2] = 2
    return torch.randn(len(y), 3, config.data.height, config.data.width), y, joints


def objective(row="full", **changes):
    config = row_config(row, "smoke", 0, UNGUARDED | changes)
    torch.manual_seed(0)
    return Objective(build_model(config.model, 4), config.loss, seed=5), config


def test_the_total_is_equation_9():
    step, config = objective(**{"loss.consistency": 5.0})
    images, y, _ = batch(config)
    terms, _ = step(images, y)
    first_four = sum(terms[n] for n in ("identity_global", "triplet_global", "identity_part", "triplet_part"))
    expected = (first_four + 10 * (terms["equivariance_value"] + terms["equivariance_jacobian"])
                + 5 * terms["consistency"])
    torch.testing.assert_close(terms["total"], expected)


def test_before_the_ramp_only_the_identity_losses_count():
    step, config = objective()
    images, y, _ = batch(config)
    terms, _ = step(images, y, motion=0.0)
    torch.testing.assert_close(
        terms["total"], sum(terms[n] for n in ("identity_global", "triplet_global", "identity_part", "triplet_part")))


def test_guards_count_with_their_weight():
    step, config = objective(**{"loss.separation": 2.0, "loss.background": 0.5, "loss.entropy": 1.0,
                                "loss.diversity": 1.0, "loss.concentration": 1.0, "loss.foreground": 3.0})
    bare, _ = objective()
    images, y, _ = batch(config)
    terms, plain = step(images, y)[0], bare(images, y)[0]
    extra = (2 * terms["separation"] + 0.5 * terms["background"] + terms["entropy"] + terms["diversity"]
             + terms["concentration"] + 3 * terms["foreground"])
    torch.testing.assert_close(terms["total"], plain["total"] + extra)


@pytest.mark.parametrize("row", sorted(ROWS))
def test_every_row_of_the_tables_takes_a_step_that_lowers_its_loss(row):
    step, config = objective(row, **({} if row.startswith("parts") else {"model.parts": 3}))
    images, y, joints = batch(config)
    labels = torch.randint(3, (len(y), *images.shape[-2:]), dtype=torch.uint8)
    given = {"parts": labels, "labels": labels, "joints": joints}
    truth = tuple(given[name] for name in step.model.truth + step.model.training_truth)
    optimizer = torch.optim.SGD(step.parameters(), 1e-5)
    values = []
    for _ in range(4):
        optimizer.zero_grad()
        total = step(images, y, step=0, truth=truth)[0]["total"]
        total.backward()
        optimizer.step()
        values.append(total.item())
    assert values[-1] < values[0]


def test_splines_depend_on_seed_and_step_alone():
    step, config = objective()
    step.model.eval()
    images, y, _ = batch(config)

    def value(number):
        return step(images, y, step=number)[0]["equivariance_value"].item()

    assert value(3) == value(3) != value(4)


def test_a_warped_pass_on_one_image_of_each_identity():
    y = torch.tensor([5, 5, 2, 2, 9, 9])
    seen = {tuple(_one_of_each(y, torch.Generator().manual_seed(s)).tolist()) for s in range(60)}
    assert all(y[list(c)].tolist() == [5, 2, 9] for c in seen)
    assert len(seen) == 8  # every choice is drawn at some time


def test_keypoints_learn_from_the_motion_losses_alone():
    """Nothing else in Equation 9 reaches the keypoint branch (notes: only L_eq and L_fc train it)."""
    images, y, _ = batch(objective()[1])

    def reached(**weights):
        step, _ = objective(**weights)
        step(images, y)[0]["total"].backward()
        return {n.split(".")[1] for n, p in step.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}

    assert "keypoint_branch" not in reached(**{"loss.equivariance": 0.0, "loss.consistency": 0.0})
    assert "keypoint_branch" in reached(**{"loss.consistency": 0.0})
    assert "keypoint_branch" in reached(**{"loss.equivariance": 0.0})


@pytest.mark.parametrize("count, twins", [(4, [1, 0, 3, 2]), (5, [1, 0, 3, 2, 4]), (1, [0])])
def test_twins_are_swapped_where_the_image_is_mirrored_alone(count, twins):
    keypoints = Keypoints(torch.rand(2, count, 2), torch.rand(2, count, 2, 2))
    swapped = _twins(keypoints, torch.tensor([True, False]))
    for before, after in zip(keypoints, swapped):
        assert torch.equal(after[0], before[0, twins]) and torch.equal(after[1], before[1])


def test_mirrored_images_are_other_images_for_the_equivariance_alone():
    images, y, _ = batch(objective()[1])

    def terms(mirror):
        step, _ = objective(**{"loss.eq_mirror": mirror})
        step.model.eval()
        return step(images, y, step=3)[0]

    none, same, pairs = (terms(mirror) for mirror in ("none", "same", "pairs"))
    for name in none.keys() - {"total", "equivariance_jacobian"}:  # all Jacobians start as the identity
        values = {terms[name].item() for terms in (none, same, pairs)}
        assert len(values) == (3 if name == "equivariance_value" else 1), name


def test_an_average_of_the_weights_follows_by_its_decay():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    average = Average(network)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(30):
        with torch.no_grad():
            for value in (*network.parameters(), *network.buffers()):
                value.add_(1)
        kept = min(0.7, (1 + step) / (10 + step))
        expected = {name: kept * value + (1 - kept) * network.state_dict()[name] if value.is_floating_point()
                    else network.state_dict()[name].clone() for name, value in expected.items()}
        average.follow(network, 0.7, step)
    torch.testing.assert_close(average.network.state_dict(), expected)
    assert not average.train().network.training and not list(average.parameters())


def test_the_motion_losses_aim_at_the_average_and_the_average_learns_nothing():
    step, config = objective(**{"model.teacher_decay": 0.9})
    plain = objective()[0]
    assert sum(p.numel() for p in step.parameters()) == sum(p.numel() for p in plain.parameters())
    images, y, _ = batch(config)
    still = [b.clone() for b in step.model.teacher.buffers()]
    with torch.no_grad():
        for part in (step.model.keypoint_branch, step.model.encoder):
            for p in part.parameters():
                p.add_(0.1 * torch.randn_like(p))
    terms, output = step(images, y, step=40)
    terms["total"].backward()
    aim = step.model.aim(output, Step(images, y, number=40))
    assert not all(torch.equal(a, b) for a, b in zip(step.model.teacher.buffers(), still))
    assert not torch.allclose(aim.keypoints.positions, output.keypoints.positions, atol=1e-3)
    assert not aim.keypoints.positions.requires_grad


@pytest.mark.parametrize("mirror", ["none", "same", "pairs"])
def test_jacobians_of_both_pictures_learn_where_positions_aim_at_an_average(mirror):
    """With one of its two Jacobians a constant, Equation 14 would shrink the other one from step to step."""
    def jacobian_term(decay):
        step, config = objective(**{"model.teacher_decay": decay, "loss.eq_mirror": mirror})
        step.eval()
        images, y, _ = batch(config)
        term = step(images, y, step=7)[0]["equivariance_jacobian"]
        return torch.autograd.grad(term, step.model.keypoint_branch.jacobian_map.parameters())

    torch.testing.assert_close(jacobian_term(0.9), jacobian_term(0.0))


def test_a_detector_of_which_mirror_and_frame_agree_has_no_loss(monkeypatch):
    """Positions in the middle and Jacobians on the diagonal: each picture's mirror image has the same ones."""
    step, config = objective(**{"loss.eq_mirror": "same", "loss.sigma_affine": 0.0, "loss.sigma_tps": 0.0})
    images, y, _ = batch(config)
    jacobian = torch.diag(torch.tensor([2.0, 3.0]))

    def found(features, queries):
        count = (len(features), config.model.parts)
        return Keypoints(torch.zeros(*count, 2), jacobian.expand(*count, 2, 2)), torch.ones(*count, *features.shape[2:])

    monkeypatch.setattr(step.model, "_locate", found)
    terms, _ = step(images, y)
    assert terms["equivariance_value"] < 1e-5 and terms["equivariance_jacobian"] < 1e-5


def test_what_batch_norm_keeps_comes_from_the_unbent_images_alone_where_that_is_wished():
    """Momenta are as before afterwards, and the loss itself does not ask."""
    def after(**changes):
        step, config = objective(**changes)
        images, y, _ = batch(config)
        terms, _ = step.train()(images, y, step=3)
        norms = [m for m in step.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert {norm.momentum for norm in norms} == {0.1}
        return terms, [norm.running_mean for norm in norms]

    without = after(**{"loss.equivariance": 0.0})[1]
    renewed, kept = after(), after(**{"loss.eq_statistics": "kept"})
    assert all(torch.equal(a, b) for a, b in zip(kept[1], without))
    assert not any(torch.equal(a, b) for a, b in zip(renewed[1], without))
    torch.testing.assert_close(kept[0], renewed[0])
