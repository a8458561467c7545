"""What must not change: under bfloat16 by more than its rounding; not at all through a file, or with image size."""

import dataclasses

import pytest
import torch

from matlib.config import profile
from matlib.models import build_model
from matlib.models.external_keypoints import group_joints
from matlib.models.keypoints import KeypointBranch
from matlib.models.parts import PartBranch, pool_parts
from matlib.objective import Objective
from matlib.runs import checkpoints
from matlib.training import lay_out, memory_format

SMALL = profile("smoke").change({"model.weights": "none", "model.trunk_cut": "features.3", "model.output_stride": 4})


def step(parts=3, size=(64, 32)):
    config = SMALL.change({"model.parts": parts})
    torch.manual_seed(0)
    objective = Objective(build_model(config.model, 4).train(), config.loss)
    images = torch.randn(8, 3, *size, generator=torch.Generator().manual_seed(1))
    return objective, images, torch.arange(4).repeat_interleave(2)


def test_bfloat16_gives_the_losses_of_float32_up_to_rounding():
    objective, images, identities = step()
    exact, _ = objective(images, identities)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, output = objective(images, identities)
    for name, value in exact.items():
        assert rounded[name].dtype == torch.float32
        torch.testing.assert_close(rounded[name], value, rtol=0.1, atol=0.05, msg=lambda m: f"{name}: {m}")
    for tensor in (output.part_maps, output.heatmaps, *output.keypoints, output.descriptor):
        assert tensor.dtype == torch.float32
    torch.testing.assert_close(output.part_maps.sum(dim=1), torch.ones_like(output.part_maps[:, 0]))


@pytest.mark.parametrize("jacobian", ["map", "query"])
def test_what_places_keypoints_and_parts_does_not_round_under_autocast(jacobian, rng):
    branches = KeypointBranch(3, 32, 0.1, jacobian, "learned", False, "tanh"), PartBranch(32, "softmax", "fixed", False)
    for parameter in branches[0].parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=rng)  # Jacobians that start at the identity would hide it
    queries, features = torch.randn(2, 4, 32, generator=rng), torch.randn(2, 32, 6, 4, generator=rng)
    joints = torch.cat([torch.rand(2, 17, 2, generator=rng), torch.full((2, 17, 1), 2.0)], dim=2)

    def answers():
        keypoints, heatmaps = branches[0](queries[:, 1:], features)
        maps, weights = branches[1](queries, features)
        external = [tensor for how in ("identity", "limb", "lstsq")
                    for tensor in group_joints(joints, 3, (64, 32), jacobian=how)[0]]
        return [*keypoints, heatmaps, maps, pool_parts(features, weights), *external]

    exact = answers()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = answers()
    assert all(map(torch.equal, exact, rounded))


def test_bfloat16_gradients_point_the_same_way():
    def gradient(precise):
        objective, images, identities = step()
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            total = objective(images, identities)[0]["total"]
        total.backward()
        return torch.cat([p.grad.flatten() for p in objective.model.part_branch.parameters()])

    assert torch.nn.functional.cosine_similarity(gradient(True), gradient(False), dim=0) > 0.95


@pytest.mark.parametrize("parts, size", [(3, (71, 37)), (6, (33, 65)), (10, (71, 37)), (17, (33, 65))])
def test_odd_sizes_train(parts, size):
    objective, images, identities = step(parts, size)
    terms, output = objective(images, identities)
    terms["total"].backward()
    assert output.part_maps.shape == (8, parts + 1, -(-size[0] // 4), -(-size[1] // 4))
    assert terms["total"].isfinite()
    assert all(p.grad.isfinite().all() for p in objective.parameters() if p.grad is not None)


@pytest.mark.parametrize("changes", [{"channels_last": False}, {"compile": "eager"}])
def test_memory_format_and_compilation_change_the_rounding_alone(changes):
    def outputs(config):
        objective, images, _ = step()
        model = lay_out(objective.model, config)
        with torch.no_grad():
            output = model(images.to(memory_format=memory_format(config)))
        return output.global_logits, output.descriptor, output.part_maps, *output.keypoints

    for plain, other in zip(outputs(SMALL.train), outputs(dataclasses.replace(SMALL.train, **changes)), strict=True):
        torch.testing.assert_close(other, plain, rtol=1e-3, atol=1e-5)


def test_a_checkpoint_brings_back_every_bit(tmp_path):
    objective, images, identities = step()
    objective(images, identities)  # batch statistics are part of the state
    path = tmp_path / checkpoints.CHECKPOINT
    checkpoints.save(path, checkpoints.model_state(objective.model, SMALL, 4))
    loaded, config = checkpoints.load_model(path)
    assert config == SMALL
    with torch.no_grad():
        one, other = objective.model.eval()(images), loaded(images)
    for name in ("descriptor", "part_maps", "heatmaps", "features"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert torch.equal(one.keypoints.positions, other.keypoints.positions)
    assert torch.equal(one.keypoints.jacobians, other.keypoints.jacobians)
