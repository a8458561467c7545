"""PVPM: its two stages, attention, the choice of visible parts, the terms and the weighted distance."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from matlib.baselines.pvpm import (PVPM, affinity_matrix, attended_parts, isolate_loss, likeness_within, matching_loss,
                                   pair_similarities, positive_pairs, pseudo_visibility, selections, visibility_loss)
from matlib.config import profile
from matlib.errors import MatlibError
from matlib.evaluation.visible_parts import part_distances
from matlib.models.method import Step

SMALL = profile("smoke").change({"model.weights": "none", "model.method.parts": 4})
IDENTITIES = torch.tensor([0, 0, 0, 3, 3, 3])


def build(**changes):
    torch.manual_seed(0)
    return PVPM(SMALL.change({f"model.{name}": value for name, value in changes.items()}).model, identities=5)


def pose(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(batch, 17, 2, generator=generator) * 2 - 1
    return torch.cat([places, torch.full((batch, 17, 1), 2.0)], dim=2)


def trained(model, epoch, steps=2):
    """A few steps of an epoch of three, begun as the trainer begins it."""
    model.train()
    model.begin_epoch(epoch, 3, list)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    for number in range(steps):
        step = Step(torch.randn(6, 3, 64, 32), IDENTITIES)
        output = model(step.images, pose(6, number))
        terms = model.losses(output, step)
        optimizer.zero_grad()
        model.total(terms, step).backward()
        optimizer.step()
    return terms, output


def changed(model, before):
    return {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_the_first_stage_is_pcb_and_leaves_the_pose_network():
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    terms, output = trained(model, epoch=0)
    assert set(terms) == {"identity"} and output.attention is None and output.visibilities is None
    torch.testing.assert_close(terms["identity"], sum(F.cross_entropy(logits, IDENTITIES) for logits in output.logits))
    assert changed(model, before) == {"trunk", "reductions", "part_heads"}
    model.begin_epoch(1, 3, list)
    images = torch.randn(6, 3, 64, 32)
    output = model(images, pose(6))
    with torch.no_grad():
        features = model.eval().trunk(images)
        model.train()
        stripes = model(images, pose(6, seed=4)).parts
        assert stripes.shape == (6, 4, model.trunk.channels) and torch.equal(stripes, output.parts)
    assert features.shape[2] == 8 and torch.equal(model.describe(output).visibilities, torch.ones(6, 4))


def test_the_second_stage_trains_the_pose_network_alone_with_all_else_in_evaluation_mode():
    model = build()
    trained(model, epoch=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    terms, output = trained(model, epoch=2)
    assert set(terms) == {"identity", "matching", "visibility", "isolate"}
    assert changed(model, before) == {"pose_net", "penalty", "mean_edges"}
    assert not any(module.training for part in (model.trunk, model.reductions, model.part_heads)
                   for module in part.modules())
    assert all(module.training for module in model.pose_net.modules())
    assert [name for name, p in model.pose_net.named_parameters() if p.grad is None] == []
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"pose_net"}
    total = model.total(terms, Step(torch.randn(6, 3, 64, 32), IDENTITIES))
    torch.testing.assert_close(total, terms["identity"] + terms["matching"] + terms["visibility"]
                               + 0.1 * terms["isolate"])
    model.eval()
    model.train()  # as an evaluation between leaves it
    assert model.training and model.pose_net.training and not model.trunk.training


def test_a_new_run_thaws_what_was_frozen_and_no_more():
    model = build()
    learn = {name for name, p in model.named_parameters() if p.requires_grad}
    model.train().begin_epoch(2, 3, list)
    model.begin_epoch(0, 3, list)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == learn
    assert "part_heads.heads.0.neck.bias" not in learn and all(module.training for module in model.modules())


@pytest.mark.parametrize("epochs, share, first", [(90, 2 / 3, 60), (8, 2 / 3, 5), (2, 2 / 3, 1), (1, 2 / 3, 0),
                                                  (10, 0.5, 5), (4, 0.0, 0)])
def test_the_second_stage_begins_after_the_first_share_of_epochs(epochs, share, first):
    model = build(**{"method.first_stage": share})
    stages = []
    for epoch in range(epochs):
        model.begin_epoch(epoch, epochs, list)
        stages.append(model.learns_pose)
    assert stages == [epoch >= first for epoch in range(epochs)] and stages[-1]


def test_moving_means_are_updated_after_use():
    model = build()
    model.train().begin_epoch(2, 3, list)
    torch.testing.assert_close(model.penalty, torch.full((4,), 0.9))
    assert (model.mean_edges == 0).all()
    penalty, mean_edges = model.penalty.clone(), model.mean_edges.clone()
    for number in range(3):
        step = Step(torch.randn(6, 3, 64, 32), IDENTITIES)
        output = model(step.images, pose(6, number))
        terms = model.losses(output, step)
        a, b = positive_pairs(IDENTITIES)
        similarities, edges = pair_similarities(output.parts[a], output.parts[b])
        affinity = affinity_matrix(similarities, edges, mean_edges)
        chosen = pseudo_visibility(affinity, penalty)
        torch.testing.assert_close(terms["visibility"], F.binary_cross_entropy(
            output.visibilities[a] * output.visibilities[b], chosen))
        penalty = 0.5 * penalty + 0.45 * similarities.mean(0)
        mean_edges = 0.5 * mean_edges + 0.5 * edges.mean(0)
        torch.testing.assert_close(model.penalty, penalty)
        torch.testing.assert_close(model.mean_edges, mean_edges)
    assert not model.penalty.requires_grad and not model.mean_edges.requires_grad


def test_attention_gives_each_cell_to_one_part():
    features, attention = torch.randn(2, 5, 4, 3), torch.rand(2, 3, 4, 3)
    attention[0, 1] = -1.0
    attention[1] *= 1e-5  # so faint that the constant counts
    parts = attended_parts(features, attention)
    for b, k in itertools.product(range(2), range(3)):
        mask = (attention[b].argmax(0) == k) * attention[b, k]
        expected = (features[b] * mask).mean((1, 2)) / (mask.mean() + 1e-6)
        torch.testing.assert_close(parts[b, k], expected)
    assert (parts[0, 1] == 0).all()


def test_isolate_is_zero_for_disjoint_maps_and_grows_with_what_they_share():
    maps = torch.rand(3, 4, 5, 2, requires_grad=True)
    expected = sum(F.cosine_similarity(maps[:, i].flatten(1), maps[:, j].flatten(1)).mean()
                   for i in range(4) for j in range(4) if i != j)
    torch.testing.assert_close(isolate_loss(maps), expected)
    masked = maps * torch.zeros_like(maps).scatter(1, maps.argmax(1, keepdim=True), 1.0)
    loss = isolate_loss(masked)
    assert abs(loss.item()) < 1e-6
    torch.testing.assert_close(isolate_loss(maps.detach()[:, :1].expand(-1, 4, -1, -1)), torch.tensor(12.0))


def test_pairs_are_all_of_the_same_person():
    a, b = positive_pairs(torch.tensor([4, 1, 4, 4, 1, 2]))
    assert list(zip(a.tolist(), b.tolist())) == [(0, 2), (0, 3), (1, 4), (2, 3)]
    with pytest.raises(MatlibError, match="images_per_identity"):
        positive_pairs(torch.tensor([0, 1, 2]))


def test_similarities_of_a_pair_by_loops():
    a, b = torch.randn(2, 2, 4, 6)
    a[0, 1] = 0
    similarities, edges = pair_similarities(a, b)
    for n, i, j in itertools.product(range(2), range(4), range(4)):
        expected = F.cosine_similarity(a[n, i] - a[n, j], b[n, i] - b[n, j], dim=0) if i != j else torch.tensor(0.0)
        torch.testing.assert_close(edges[n, i, j], expected)
        torch.testing.assert_close(similarities[n, i], F.cosine_similarity(a[n, i], b[n, i], dim=0))
    mean = torch.rand(4, 4)
    affinity = affinity_matrix(similarities, edges, mean + mean.T)
    torch.testing.assert_close(affinity, affinity.transpose(1, 2))
    torch.testing.assert_close(affinity, edges - mean - mean.T + torch.stack([torch.diag(s) for s in similarities]))
    torch.testing.assert_close(pair_similarities(a, a)[1][1], 1 - torch.eye(4))


@pytest.mark.parametrize("count", [2, 6])
def test_no_other_choice_is_worth_more_than_the_one_taken(count):
    affinity, penalty = torch.randn(40, count, count), torch.rand(count)
    affinity[0] = -affinity[0].abs()
    chosen = pseudo_visibility(affinity.requires_grad_(), penalty)

    def value(w, x):
        return sum(x[i] * w[i][j] * x[j] for i in range(count) for j in range(count)) - sum(
            p * x_i for p, x_i in zip(penalty.tolist(), x))

    for w, x in zip(affinity.tolist(), chosen.tolist()):
        best = max(itertools.product((0, 1), repeat=count), key=lambda other: value(w, other))
        assert value(w, x) == pytest.approx(value(w, best), abs=1e-5) and value(w, x) >= -1e-6
    assert not chosen.requires_grad and (chosen[0] == 0).all() and set(chosen.unique().tolist()) == {0.0, 1.0}


def test_selections_are_all_choices_none_first():
    assert selections(3).int().tolist() == [list(bits) for bits in itertools.product((0, 1), repeat=3)]


def test_the_matching_loss_by_loops_with_gradient_through_the_affinity():
    affinity, chosen = torch.randn(3, 4, 4, requires_grad=True), (torch.rand(3, 4) > 0.5).float()
    parts = torch.randn(2, 3, 4, 6)
    m = [likeness_within(image) for image in parts]
    for image, likeness in zip(parts, m):
        for n, i in itertools.product(range(3), range(4)):
            others = [F.cosine_similarity(image[n, i], image[n, j], dim=0) for j in range(4) if j != i]
            torch.testing.assert_close(likeness[n, i], torch.stack(others).mean())
    loss = matching_loss(affinity, chosen, *m)
    expected = torch.stack([-chosen[n] @ affinity[n] @ chosen[n] + 0.5 * (m[0][n] + m[1][n]) @ chosen[n]
                            for n in range(3)]).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    torch.testing.assert_close(affinity.grad, -chosen[:, :, None] * chosen[:, None] / 3)


def test_the_visibility_loss_is_least_where_both_images_show_what_was_chosen():
    a, b, chosen = torch.rand(5, 4), torch.rand(5, 4), (torch.rand(5, 4) > 0.5).float()
    seen = a * b
    expected = -(chosen * seen.log() + (1 - chosen) * (1 - seen).log()).mean()
    torch.testing.assert_close(visibility_loss(a, b, chosen), expected)
    assert visibility_loss(chosen, chosen, chosen) < 1e-6


def test_the_distance_weighs_by_the_product_of_both_visibilities():
    model = build().eval()
    with torch.no_grad():
        output = model(torch.randn(5, 3, 64, 32), pose(5))
    output.visibilities[1, 2] = 0.0
    distances = part_distances(model.describe(output), model.describe(output))
    v = output.visibilities
    for i, j in itertools.product(range(5), range(5)):
        weights = v[i] * v[j]
        far = 1 - F.cosine_similarity(output.parts[i], output.parts[j], dim=1)
        torch.testing.assert_close(distances[i, j], (weights * far).sum() / weights.sum(), atol=1e-5, rtol=1e-4)
    output.parts[1, 2] = 100.0
    hidden = part_distances(model.describe(output), model.describe(output))
    torch.testing.assert_close(hidden[1], distances[1])


def test_one_image_is_described_as_in_a_batch_and_by_its_pose():
    model = build().eval()
    images, joints = torch.randn(3, 3, 64, 32), pose(3)
    with torch.no_grad():
        alone, together = model.describe(model(images[1:2], joints[1:2])), model.describe(model(images, joints))
        other = model.describe(model(images, pose(3, seed=9)))
    torch.testing.assert_close(alone.parts[0], together.parts[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone.visibilities[0], together.visibilities[1], atol=1e-5, rtol=1e-4)
    for name in ("visibilities", "parts"):
        assert not torch.allclose(getattr(other, name), getattr(together, name))


def test_the_published_recipe_is_a_run_whose_isolate_loss_has_no_weight():
    config = profile("paper").change(PVPM.published)
    assert config.train.epochs == 90 and PVPM.Settings(**config.model.method).isolate == 0.0
    assert PVPM.leaves_unused(config)


def test_what_is_wrong_is_said():
    with pytest.raises(MatlibError, match="model.method.part"):
        build(**{"method.part": 2})
    with pytest.raises(MatlibError, match="model.method.first_stage"):
        build(**{"method.first_stage": 1.0})
    with pytest.raises(MatlibError, match="stripes"):
        build(**{"method.parts": 9}).train()(torch.randn(2, 3, 64, 32), pose(2))
