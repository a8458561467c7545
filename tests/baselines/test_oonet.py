"""OONet: local features by joints, what confidence weighs, its terms, and a training step."""

import pytest
import torch
from torch.nn import functional as F

from matlib.baselines.oonet import (GROUPS, LIMB_PAIRS, OONet, confident_identity_loss, group_maps, joint_features,
                                    summed_descriptor, symmetry_loss, weighted_descriptor)
from matlib.baselines.pose import heat_maps, in_pixels
from matlib.config import LossConfig, profile
from matlib.data.transforms import COCO_MIRROR
from matlib.models.method import Step

SMALL = profile("smoke").change({"model.weights": "none"})


def build(**changes):
    torch.manual_seed(0)
    return OONet(SMALL.change({f"model.{name}": value for name, value in changes.items()}).model, identities=5)


def pose(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(batch, 17, 2, generator=generator) * 2 - 1
    return torch.cat([places, torch.full((batch, 17, 1), 2.0)], dim=2)


def test_every_joint_is_in_one_group_and_pairs_are_those_that_a_mirror_exchanges():
    assert sorted(joint for group in GROUPS for joint in group) == list(range(17))
    for left, right in LIMB_PAIRS:
        assert COCO_MIRROR[GROUPS[left][0]] == GROUPS[right][0] != GROUPS[left][0]
    assert len({group for pair in LIMB_PAIRS for group in pair}) == 12


def test_features_against_a_slow_loop():
    features, maps = torch.randn(2, 5, 4, 3), torch.rand(2, 17, 4, 3)
    vectors, confidences = joint_features(features, maps, 7.0)
    for b in range(2):
        peaks = [sum(maps[b, j].max() for j in group) / len(group) for group in GROUPS]
        for k, group in enumerate(GROUPS):
            weight = torch.exp(7 * sum(maps[b, j] for j in group))
            expected = sum(weight[y, x] * features[b, :, y, x] for y in range(4) for x in range(3)) / weight.sum()
            torch.testing.assert_close(vectors[b, k], expected)
            torch.testing.assert_close(confidences[b, k], peaks[k] / sum(peaks))
        whole = features[b].flatten(1)
        torch.testing.assert_close(vectors[b, 13], whole.mean(1) + whole.max(1).values)
    assert (confidences[:, 13] == 1).all()


def test_a_group_without_response_has_no_confidence_and_the_mean_of_all_cells():
    features, maps = torch.randn(2, 5, 4, 3), torch.rand(2, 17, 4, 3)
    maps[:, 9] = 0
    maps[1] = 0
    vectors, confidences = joint_features(features, maps)
    assert (confidences[:, 5] == 0).all() and (confidences[1, :13] == 0).all() and confidences[0, 6] > 0
    torch.testing.assert_close(vectors[:, 5], features.mean((2, 3)))
    torch.testing.assert_close(confidences[0, :13].sum(), torch.tensor(1.0))


def test_maps_of_another_size_are_resampled_without_aligned_corners():
    features, maps = torch.randn(2, 5, 4, 3), torch.rand(2, 17, 8, 6)
    halved = F.avg_pool2d(maps, 2)  # what bilinear sampling at half the size is, where corners are not aligned
    for one, other in zip(joint_features(features, maps), joint_features(features, halved)):
        torch.testing.assert_close(one, other)


def test_the_head_sums_maps_and_averages_maxima():
    maps = torch.zeros(1, 17, 4, 3)
    maps[0, 0, 1, 1] = maps[0, 3, 1, 1] = 1.0
    maps[0, 5, 2, 2] = 0.6
    grouped, confidences = group_maps(maps)
    assert grouped[0, 0, 1, 1] == 2
    torch.testing.assert_close(confidences[0, :2], torch.tensor([0.4, 0.6]))


def test_an_unseen_joint_is_neither_trained_nor_compared():
    vectors, confidences = torch.randn(2, 14, 6), torch.rand(2, 14) + 0.1
    confidences[:, 4] = 0
    other = vectors.clone()
    other[:, 4] += 5
    for measure in (summed_descriptor, weighted_descriptor):
        torch.testing.assert_close(measure(vectors, confidences), measure(other, confidences))
    logits = [torch.randn(2, 3, requires_grad=True) for _ in range(14)]
    confident_identity_loss(logits, torch.tensor([0, 2]), confidences, 0.1).backward()
    assert all((scores.grad.abs().sum() == 0) == (k == 4) for k, scores in enumerate(logits))


def test_terms_in_closed_form():
    confidences = torch.rand(3, 2)
    uniform = [torch.zeros(3, 7), torch.zeros(3, 7)]
    loss = confident_identity_loss(uniform, torch.tensor([0, 1, 2]), confidences)
    torch.testing.assert_close(loss, confidences.sum(1).mean() * torch.tensor(7.0).log())

    vectors, confidences = torch.zeros(1, 14, 3), torch.ones(1, 14)
    vectors[0, 1] = torch.tensor([1.0, 2.0, 2.0])  # the left shoulder alone
    confidences[0, 1], confidences[0, 2] = 0.25, 1.0
    torch.testing.assert_close(symmetry_loss(vectors, confidences), torch.tensor((1 - 0.75) * (1.25 / 2) * 9))


def test_the_symmetry_of_limbs_against_a_slow_loop():
    vectors, confidences = torch.randn(3, 14, 5), torch.rand(3, 14)
    expected = 0.0
    for b in range(3):
        for left, right in ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12)):
            one, other = confidences[b, left], confidences[b, right]
            expected += (1 - abs(one - other)) * (one + other) / 2 * (vectors[b, left] - vectors[b, right]).norm()**2
    torch.testing.assert_close(symmetry_loss(vectors, confidences), expected / 3)
    confidences[:, [3, 4]] = 0
    vectors[:, 4] += 5
    unseen = symmetry_loss(vectors, confidences)
    vectors[:, 3] -= 5
    torch.testing.assert_close(symmetry_loss(vectors, confidences), unseen)


def test_a_sum_does_not_tell_the_order_of_local_vectors_and_a_row_does():
    vectors, confidences = torch.randn(2, 14, 6), torch.rand(2, 14)
    order = torch.cat([torch.arange(13).roll(1), torch.tensor([13])])
    for descriptor, channels, alike in ((summed_descriptor, 12, True), (weighted_descriptor, 84, False)):
        described, reordered = descriptor(vectors, confidences), descriptor(vectors[:, order], confidences[:, order])
        assert described.shape == (2, channels)
        torch.testing.assert_close(described.norm(dim=1), torch.ones(2))
        assert torch.allclose(described, reordered, atol=1e-6) == alike


def test_a_row_weighs_vectors_by_the_root_of_their_confidence():
    vectors, confidences = torch.randn(2, 14, 6), torch.rand(2, 14)
    described = weighted_descriptor(vectors, confidences)
    torch.testing.assert_close(described.norm(dim=1), torch.ones(2))
    weighted = torch.einsum("k,kc,kc->", (confidences[0] * confidences[1]).sqrt(), vectors[0], vectors[1])
    lengths = (confidences * vectors.square().sum(2)).sum(1).sqrt()
    torch.testing.assert_close(described[0] @ described[1], weighted / lengths.prod())


def test_the_descriptor_is_the_weighed_sum_of_local_vectors_beside_four_times_the_global_one():
    model = build().eval()
    with torch.no_grad():
        output = model(torch.randn(2, 3, 64, 32), pose(2))
        described = model.describe(output)
    for b in range(2):
        unit = [vector / vector.abs().sum() for vector in output.after[b]]
        local = sum(output.confidences[b, k].sqrt() * unit[k] for k in range(13))
        torch.testing.assert_close(described[b], F.normalize(torch.cat([local, 4 * unit[13]]), dim=0))


@pytest.mark.parametrize("compare", ["sum", "concat"])
def test_the_length_of_a_trained_vector_is_not_compared(compare):
    model = build(**{"method.compare": compare}).eval()
    with torch.no_grad():
        output = model(torch.randn(2, 3, 64, 32), pose(2))
        described = model.describe(output)
        output.after = output.after * (torch.rand(2, 14, 1) + 0.5)
    torch.testing.assert_close(model.describe(output), described)
    assert described.shape == (2, model.trunk.channels * (2 if compare == "sum" else 14))


def test_the_network_reads_its_settings():
    model = build(**{"method.sharpness": 3.0, "method.sigma": 0.6}).eval()
    images, joints = torch.randn(2, 3, 64, 32), pose(2)
    with torch.no_grad():
        output, features = model(images, joints), model.trunk(images)
    maps = heat_maps(in_pixels(joints, (64, 32)), (64, 32), (8, 4), 0.6)
    vectors, confidences = joint_features(features, maps, 3.0)
    torch.testing.assert_close(output.vectors, vectors)
    torch.testing.assert_close(output.confidences, confidences)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_a_step_trains_every_parameter(margin):
    model = build(**{"method.margin": margin}).train()
    step = Step(torch.randn(4, 3, 64, 32), torch.tensor([0, 0, 3, 3]), config=LossConfig(label_smoothing=0.1))
    output = model(step.images, pose(4))
    assert output.vectors.shape == output.after.shape == (4, 14, model.trunk.channels)
    terms = model.losses(output, step)
    assert terms.keys() == model.weights.keys()
    smooth = [F.cross_entropy(logits, step.identities, reduction="none", label_smoothing=0.1)
              for logits in output.logits]
    expected = sum((output.confidences[:, k] * entropy).mean() for k, entropy in enumerate(smooth))
    torch.testing.assert_close(terms["identity"], expected)
    torch.testing.assert_close(terms["triplet"], step.triplet(output.vectors[:, 13], margin or None))
    model.total(terms, step).backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_one_image_is_described_as_in_a_batch_and_where_no_joint_is_seen():
    model = build().eval()
    images, joints = torch.randn(3, 3, 64, 32), pose(3)
    joints[2, :, 2] = 0
    with torch.no_grad():
        together = model.describe(model(images, joints))
        alone = model.describe(model(images[1:2], joints[1:2]))
    torch.testing.assert_close(alone[0], together[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    assert (together[2, :model.trunk.channels] == 0).all()


def test_the_published_recipe_is_a_run():
    config = profile("paper").change(OONet.published)
    settings = OONet.Settings(**config.model.method)
    assert config.train.images_per_identity == 6 and (settings.margin, settings.sharpness) == (0.3, 1.0)
