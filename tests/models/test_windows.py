"""Windows of part maps, the foreground's mean, pooling with a floor, and a trunk that the transformer does not move."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matlib.config import profile
from matlib.errors import MatlibError
from matlib.models import Step, build_model
from matlib.models.equation9 import motion_terms
from matlib.models.parts import in_windows, keypoint_windows, pool_parts, row_windows
from matlib.objective import Objective

SMALL = profile("smoke").change({"model.weights": "none", "model.dropout": 0.0})
IMAGES = torch.randn(4, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def build(**changes):
    torch.manual_seed(0)
    return build_model(SMALL.change({f"model.{k}": v for k, v in changes.items()}).model, identities=7).eval()


@given(st.integers(1, 6), st.floats(0.8, 5), st.integers(0, 99))
def test_windows_move_cells_between_parts_and_leave_the_background(parts, width, seed):
    logits = torch.randn(2, parts + 1, 12, 5, generator=torch.Generator().manual_seed(seed)).double()
    maps = logits.softmax(dim=1)
    windowed = in_windows(logits, row_windows(parts, 12, width)).softmax(dim=1)
    torch.testing.assert_close(windowed[:, 0], maps[:, 0])
    expected = maps[:, 1:] * row_windows(parts, 12, width).double().exp()
    shares = expected / expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(windowed[:, 1:], shares * (1 - maps[:, :1]), atol=1e-5, rtol=1e-3)


def test_a_row_window_is_a_bell_around_the_middle_of_its_stripe():
    windows = row_windows(6, 12, 1.5)[0, :, :, 0]
    assert windows.shape == (6, 12)
    torch.testing.assert_close(windows[2, 4:6], torch.full((2,), -0.5**2 / (2 * 1.5**2)))  # rows 4 and 5 are its stripe
    torch.testing.assert_close(windows, windows.flip(0, 1))  # upside down it is the same


def test_a_keypoint_window_is_highest_at_its_keypoint_and_counts_in_cells():
    corner, middle = torch.tensor([-1.0, -1.0]), torch.tensor([0.0, 0.0])
    windows = keypoint_windows(torch.stack([corner, middle])[None], (13, 7), 2.0)[0]
    assert windows[0, 0, 0] == 0 and windows[1, 6, 3] == 0
    torch.testing.assert_close(windows[0, 4, 3], torch.tensor(-(4.0**2 + 3**2) / 8))
    torch.testing.assert_close(windows[1, 6, 0], torch.tensor(-9.0 / 8))


@pytest.mark.parametrize("windows", ["rows", "keypoints"])
def test_wide_windows_are_none(windows):
    plain, wide = build(), build(windows=windows, window=1e4)
    torch.testing.assert_close(plain(IMAGES).part_maps, wide(IMAGES).part_maps)
    narrow = build(windows=windows, window=0.5)(IMAGES).part_maps
    torch.testing.assert_close(narrow[:, 0], plain(IMAGES).part_maps[:, 0])
    assert (narrow - plain(IMAGES).part_maps).abs().max() > 0.1


def test_windows_lie_around_external_keypoints_and_a_part_of_which_no_joint_is_seen_has_no_cells():
    model = build(windows="keypoints", window=0.7, keypoints="external", map_scale="learned")
    assert model.truth == ("joints",) and model.training_truth == ()
    joints = torch.tensor([0.0, 0.0, 2.0]).repeat(4, 17, 1)
    joints[:, 5:11, :2], joints[:, 11:, 2] = torch.tensor([-1.0, 1.0]), 0  # arms in a corner, legs not seen
    maps = model(IMAGES, joints).part_maps[:, 1:]
    assert maps[:, 2].max() < 1e-6
    winners = maps.argmax(dim=1)  # head in the middle, arms below on the left
    assert (winners[:, 4, 2] == 0).all() and (winners[:, 7, 0] == 1).all()
    moved = joints.clone()
    moved[:, :5, :2] = torch.tensor([1.0, 1.0])
    assert (model(IMAGES, moved).part_maps[:, 1:].argmax(dim=1)[:, 4, 0] == 1).all()  # nobody else is near
    nobody = joints * torch.tensor([1.0, 1.0, 0.0])
    torch.testing.assert_close(model(IMAGES, nobody).part_maps, build(keypoints="external", map_scale="learned")(
        IMAGES).part_maps, atol=1e-4, rtol=1e-3)  # none of the windows says more than another


@given(st.floats(0.5, 3), st.integers(0, 99))
def test_bounded_windows_leave_to_the_background_what_is_far_from_all_of_them(width, seed):
    logits = torch.randn(1, 3, 12, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    windows = keypoint_windows(torch.zeros(1, 2, 2, dtype=torch.double), (12, 6), width)
    maps, plain = in_windows(logits, windows, "background").softmax(dim=1), logits.softmax(dim=1)
    torch.testing.assert_close(maps[:, 1:] / maps[:, :1], plain[:, 1:] / plain[:, :1] * windows.exp())
    assert (maps[:, 0] >= plain[:, 0]).all()
    shared = in_windows(logits, windows, "parts").softmax(dim=1)
    torch.testing.assert_close(shared, plain)  # both parts have one window, which tells them nothing


def test_a_picture_in_which_no_joint_is_seen_still_has_a_finite_descriptor():
    model = build(windows="keypoints", keypoints="external", outside="background", global_pool="foreground")
    assert torch.isfinite(model(IMAGES, torch.zeros(4, 17, 3)).descriptor).all()


def test_the_foreground_is_what_no_cell_of_the_background_changes():
    model = build(global_pool="foreground")
    features, maps = torch.randn(2, 32, 8, 4), torch.rand(2, 4, 8, 4)
    maps[:, :, 4:] = torch.tensor([1.0, 0, 0, 0])[:, None, None]
    maps[:, :, :4] = torch.tensor([0, 0.5, 0.25, 0.25])[:, None, None]
    torch.testing.assert_close(model._pool(features, maps), features[:, :, :4].mean(dim=(2, 3)))
    assert build()._pool(features, maps).equal(features.mean(dim=(2, 3)))


@given(st.floats(0, 5), st.floats(0.01, 1))
def test_a_floor_shrinks_a_part_by_its_share_of_the_mass(floor, mass):
    features, weights = torch.ones(1, 3, 4, 2), torch.full((1, 2, 4, 2), mass)
    expected = 8 * mass / (8 * mass + floor)
    torch.testing.assert_close(pool_parts(features, weights, floor=floor), torch.full((1, 1, 3), expected),
                               atol=1e-4, rtol=1e-4)


def test_a_detached_trunk_learns_from_what_is_pooled_from_it_alone():
    step = Step(IMAGES, torch.tensor([0, 0, 1, 1]), config=SMALL.loss)

    def reached(term, **changes):
        model = build(**{"part_source": "backbone", "global_source": "backbone", **changes}).train()
        losses = model.losses(model(IMAGES), step)
        return any(g is not None and g.abs().max() > 0 for g in torch.autograd.grad(
            losses[term], [*model.trunk.parameters()], allow_unused=True))

    for term in ("identity_part", "equivariance_value"):
        assert reached(term)
    assert reached("identity_part", detach_trunk=True)
    assert not reached("equivariance_value", detach_trunk=True)


def test_consistency_compares_the_features_that_are_named():
    step = Step(IMAGES, torch.tensor([0, 0, 1, 1]), config=SMALL.loss)
    backbone = replace(step, config=replace(SMALL.loss, fc_source="backbone"))
    model = build(part_source="backbone").train()
    output = model(IMAGES)
    found = [motion_terms(model, output, each)["consistency"] for each in (step, backbone)]
    assert found[0] != found[1]
    output.features = output.trunk
    assert motion_terms(model, output, step)["consistency"] == found[1]
    free = replace(backbone, config=replace(backbone.config, fc_detach="none"))
    for detached in (False, True):  # the trunk is out of reach, whatever is compared
        model = build(part_source="backbone", detach_trunk=detached).train()
        loss = motion_terms(model, model(IMAGES), free)["consistency"]
        grads = torch.autograd.grad(loss, [*model.trunk.parameters()], allow_unused=True)
        assert any(g is not None for g in grads) is not detached


def test_settings_that_contradict_each_other_are_refused():
    for changes, reason in (({"model.detach_trunk": True}, "nothing to teach the trunk"),
                            ({"loss.fc_pairs": "best"}, "cell by cell: set loss.fc_norm=channel"),
                            ({"model.window": 0}, "above 0"), ({"model.pool_floor": -1}, "at least 0")):
        with pytest.raises(MatlibError, match=reason):
            build_model(SMALL.change(changes).model, identities=7)
