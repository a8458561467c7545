"""The ceiling: pooling over true parts sees the person alone, and says which parts are there."""

import pytest
import torch

from matlib.ablations import idle_settings, row_config
from matlib.config import profile
from matlib.errors import MatlibError
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


def taken_apart(**settings):
    torch.manual_seed(0)
    own = {f"model.method.{name}": value for name, value in settings.items()}
    changes = {"model.architecture": "true_parts", "model.weights": "none", **own}
    return build_model(profile("smoke").change(changes).model, identities=5).eval()


IMAGES = torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(1))
PARTS = torch.randint(14, (3, 64, 32), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


def test_without_its_ingredients_it_is_the_baseline():
    bare = taken_apart(person=False, cut="nothing")
    config = profile("smoke").change({"model.architecture": "baseline", "model.weights": "none"}).model
    baseline = build_model(config, identities=5).eval()
    baseline.load_state_dict(bare.state_dict())
    torch.testing.assert_close(bare(IMAGES, PARTS).descriptor, baseline(IMAGES).descriptor)
    assert torch.is_tensor(bare.describe(bare(IMAGES, PARTS)))


def test_rows_of_a_person_who_fills_the_image_are_rows_of_the_image():
    whole = torch.full_like(PARTS, 2)
    of_person, of_image = taken_apart(cut="rows", rows=4), taken_apart(cut="rows", rows=4, person=False)
    torch.testing.assert_close(of_person(IMAGES, whole).descriptor, of_image(IMAGES, PARTS).descriptor)
    assert of_person(IMAGES, whole).part_features.shape[1] == 4


def test_a_row_without_the_person_is_invisible():
    legs = torch.zeros_like(PARTS)
    legs[:, 48:] = 9
    visible = taken_apart(cut="rows", rows=4)(IMAGES, legs).visibility
    assert visible.tolist() == [[0, 0, 0, 1]] * 3
    assert taken_apart(cut="rows", rows=4, person=False)(IMAGES, legs).visibility.all()


def test_all_parts_are_compared_as_one_vector():
    model = taken_apart(distance="all")
    output = model(IMAGES, PARTS)
    assert model.describe(output) is output.descriptor
    torch.testing.assert_close(taken_apart().describe(output).parts.flatten(1),
                               output.descriptor[:, output.global_feature.shape[1]:])


def test_encoded_cells_see_the_whole_image():
    torch.manual_seed(0)
    images, changed = torch.randn(2, 1, 3, 192, 32)
    changed[:, :, :64] = images[:, :, :64]
    parts = torch.zeros(1, 192, 32, dtype=torch.uint8)
    parts[:, :16] = 1
    plain, encoded = taken_apart(), taken_apart(encoded=True)
    assert torch.allclose(plain(images, parts).descriptor, plain(changed, parts).descriptor, atol=1e-6)
    assert not torch.allclose(encoded(images, parts).descriptor, encoded(changed, parts).descriptor, atol=1e-6)


def test_parts_of_nobody_are_refused():
    with pytest.raises(MatlibError, match="body parts are of the person"):
        taken_apart(person=False)


def test_only_an_encoder_reads_the_transformers_sizes():
    with_encoder, without = (row_config(row, "smoke") for row in ("true_parts_encoded", "true_parts"))
    assert "model.width" in idle_settings(without) and "model.width" not in idle_settings(with_encoder)
    assert "model.part_head" in idle_settings(row_config("true_person", "smoke"))
