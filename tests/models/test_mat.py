"""The assembled network: shapes, partition of unity, pooling, the options, and what makes parts differ at the start."""

import itertools
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import torch

from matlib.config import ModelConfig, profile
from matlib.models import build_model
from matlib.models.parts import part_visibility, pool_parts
from matlib.models.transformer import Attention, sine_position

SMALL = profile("smoke").change({"model.weights": "none", "model.dropout": 0.0})


def build(**changes):
    torch.manual_seed(0)
    return build_model(SMALL.change({f"model.{k}": v for k, v in changes.items()}).model, identities=7)


@pytest.mark.parametrize("size", [(64, 32), (72, 40)])
@pytest.mark.parametrize("parts", [3, 6, 10, 17])
def test_shapes(parts, size):
    model = build(parts=parts).eval()
    output = model(torch.randn(2, 3, *size))
    h, w, d = -(-size[0] // 8), -(-size[1] // 8), 32
    assert output.features.shape == (2, d, h, w)
    assert output.part_maps.shape == (2, parts + 1, h, w)
    assert output.keypoints.positions.shape == (2, parts, 2) and output.keypoints.jacobians.shape == (2, parts, 2, 2)
    assert output.descriptor.shape == (2, (parts + 1) * d)
    torch.testing.assert_close(output.part_maps.sum(1), torch.ones(2, h, w))
    torch.testing.assert_close(output.heatmaps.sum((2, 3)), torch.ones(2, parts))
    torch.testing.assert_close(output.descriptor.norm(dim=1), torch.ones(2))
    assert output.keypoints.positions.abs().max() <= 1


def test_the_paper_profile_has_the_sizes_of_its_parts():
    model = build_model(profile("paper").change({"model.weights": "none"}).model, identities=702)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    d, layer = 256, 4 * (256 * 256 + 256) + 2 * 256 * 2048 + 2048 + 256 + 4 * 256
    assert count["trunk"] == 25_557_032 - 2048 * 1000 - 1000  # ResNet-50 without its classifier
    assert count["reduce"] == 2048 * d + 2 * d
    assert count["encoder"] == 6 * layer + 2 * d
    assert count["decoder"] == layer + 4 * (d * d + d) + 2 * d + 2 * d + 11 * d
    assert count["part_heads"] == 10 * d * 702 + 2 * 10 * d
    assert model(torch.zeros(2, 3, 256, 128)).features.shape == (2, 256, 16, 8)


def test_an_image_is_described_alike_alone_and_in_a_batch():
    model = build().eval()
    images = torch.randn(3, 3, 64, 32)
    torch.testing.assert_close(model(images).descriptor[1:2], model(images[1:2]).descriptor, atol=1e-5, rtol=1e-4)


def test_locate_is_the_keypoint_branch_of_the_full_pass():
    model = build().eval()
    images = torch.randn(2, 3, 64, 32)
    both = model.locate(images), model(images).keypoints
    torch.testing.assert_close(both[0].positions, both[1].positions)
    torch.testing.assert_close(both[0].jacobians, both[1].jacobians)


def test_jacobians_start_at_the_identity():
    for jacobian in ("map", "query", "none"):
        jacobians = build(jacobian=jacobian).eval()(torch.randn(2, 3, 64, 32)).keypoints.jacobians
        torch.testing.assert_close(jacobians, torch.eye(2).expand_as(jacobians))


def _options():
    for name, kind in get_type_hints(ModelConfig).items():
        for value in get_args(kind) if get_origin(kind) is Literal else ():
            if (name, value) != ("keypoints", "external"):
                yield name, value
    yield from [("norm_first", False), ("embed_sigmoid", True), ("encoder_layers", 0), ("decoder_layers", 0)]


@pytest.mark.parametrize("name, value", list(_options()))
def test_every_option_gives_a_model_whose_parameters_all_learn(name, value):
    model = build(**{name: value}).train()
    output = model(torch.randn(4, 3, 64, 32))
    torch.testing.assert_close(output.part_maps.sum(1), torch.ones_like(output.part_maps[:, 0]))
    loss = (output.global_logits.logsumexp(1) + sum(logits.logsumexp(1) for logits in output.part_logits)).sum()
    loss = loss + output.keypoints.positions.square().sum() + output.keypoints.jacobians.square().sum()
    loss.backward()
    still = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert still == [] and torch.isfinite(loss)


def test_with_a_zero_target_all_parts_start_as_one_and_with_query_they_differ():
    images = torch.randn(2, 3, 64, 32)

    def spread(target):
        positions = build(decoder_target=target, parts=6).eval()(images).keypoints.positions
        return torch.cdist(positions, positions).mean().item()

    assert spread("zero") < 0.1 * spread("query")


@pytest.mark.parametrize("rows", [dict(decoder_layers=0), dict(decoder_layers=0, encoder_layers=0)])
def test_without_a_decoder_the_embeddings_are_the_same_for_every_image(rows):
    model = build(**rows).eval()
    _, features, queries = model._decode(torch.randn(3, 3, 64, 32))
    torch.testing.assert_close(queries, queries[:1].expand_as(queries))


def test_pooling_against_a_slow_loop():
    features, weights = torch.randn(2, 5, 4, 3), torch.rand(2, 4, 4, 3)
    pooled, shrunk = pool_parts(features, weights), pool_parts(features, weights, "gap")
    for b, k in itertools.product(range(2), range(3)):
        total, mass = torch.zeros(5), 0.0
        for y, x in itertools.product(range(4), range(3)):
            total += weights[b, k + 1, y, x] * features[b, :, y, x]
            mass += weights[b, k + 1, y, x].item()
        torch.testing.assert_close(pooled[b, k], total / mass)
        torch.testing.assert_close(shrunk[b, k], total / 12)


def test_pooling_ignores_what_only_the_background_sees():
    features, weights = torch.randn(1, 5, 4, 3), torch.rand(1, 4, 4, 3)
    weights[:, 1:, 0] = 0
    other = features.clone()
    other[:, :, 0] += 100
    torch.testing.assert_close(pool_parts(features, weights), pool_parts(other, weights))


def test_visibility_of_a_part_that_some_cell_shows_and_of_one_that_none_does():
    maps = torch.zeros(1, 4, 2, 3)
    maps[0, :, 0, 0] = torch.tensor([0.1, 0.7, 0.2, 0.0])
    maps[0, :, 1, 2] = torch.tensor([0.5, 0.1, 0.4, 0.0])
    assert part_visibility(maps, "off") is None
    torch.testing.assert_close(part_visibility(maps, "max"), torch.tensor([[0.7, 0.4, 0.0]]))
    torch.testing.assert_close(part_visibility(maps, "argmax"), torch.tensor([[1.0, 0.0, 0.0]]))


def test_plain_attention_is_equation_1():
    x = torch.randn(2, 6, 8)
    expected = torch.softmax(x @ x.transpose(1, 2) / 8**0.5, dim=-1) @ x
    torch.testing.assert_close(Attention(8, 2, 0.0, "plain")(x, x, x), expected)


def test_sine_positions_tell_all_cells_apart():
    cells = sine_position(16, 8, 64).flatten(0, 1)
    assert (torch.cdist(cells, cells) + torch.eye(128) * 9).min() > 0.1
    assert cells.abs().max() <= 1
