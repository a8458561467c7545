"""The ceiling: pooling over true parts sees the person alone, and says which parts are there."""

import pytest
import torch

from matlib.config import profile
from matlib.models import build_model
from matlib.models.true_parts import TRUE_PART_GROUPS, part_weights

CONFIG = profile("smoke").change({"model.architecture": "true_parts", "model.weights": "none"}).model


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(CONFIG, identities=5).eval()


def test_every_label_of_a_mask_belongs_to_one_group():
    assert sorted(label for labels in TRUE_PART_GROUPS.values() for label in labels) == list(range(1, 14))


def test_weights_are_the_shares_that_the_parts_cover():
    labels = torch.randint(14, (3, 32, 16), dtype=torch.uint8)
    labels[0, :8, :8] = 64  # hidden pixels count as no part
    weights = part_weights(labels, (4, 2))
    assert weights.shape == (3, 1 + len(TRUE_PART_GROUPS), 4, 2)
    torch.testing.assert_close(weights.sum(1), torch.ones(3, 4, 2))
    cell = labels[1, 8:16, 8:]
    expected = [sum(int((cell == label).sum()) for label in group) / 64 for group in TRUE_PART_GROUPS.values()]
    torch.testing.assert_close(weights[1, 1:, 1, 1], torch.tensor(expected))
    assert weights[0, 0, 0, 0] == 1


def test_what_lies_outside_the_person_does_not_count(model):
    """Beyond the trunk's reach: its receptive field is wider than a cell."""
    parts = torch.zeros(1, 192, 32, dtype=torch.uint8)
    parts[:, :16] = 1
    images = torch.randn(1, 3, 192, 32)
    changed = images.clone()
    changed[:, :, 128:] += 1
    torch.testing.assert_close(model(images, parts).descriptor, model(changed, parts).descriptor)
    changed[:, :, :16] += 1
    assert not torch.allclose(model(images, parts).descriptor, model(changed, parts).descriptor)


def test_parts_that_are_not_there_are_invisible(model):
    parts = torch.zeros(2, 64, 32, dtype=torch.uint8)
    parts[0, :32], parts[0, 32:] = 1, 9
    output = model(torch.randn(2, 3, 64, 32), parts)
    names = list(TRUE_PART_GROUPS)
    assert {names[i] for i in output.visibility[0].nonzero().flatten()} == {"head", "shanks"}
    assert not output.visibility[1].any() and torch.isfinite(output.descriptor).all()
