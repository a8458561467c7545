"""ISP: the clustering of an identity's cells, pooling over predicted parts, when labels change, and a training step."""

import pytest
import torch
from torch.nn import functional as F

from matlib.baselines.isp import (ISP, UNLABELLED, body_parts, foreground_cells, from_the_top, k_means, pseudo_labels,
                                  segmentation_loss, semantic_features)
from matlib.config import profile
from matlib.errors import MatlibError
from matlib.evaluation.visible_parts import part_distances
from matlib.models.method import Step

SMALL = profile("smoke").change({"model.weights": "none", "model.method.parts": 4})
SIZE = (8, 4)  # of the map of 64 x 32 pixels


def build(**changes):
    torch.manual_seed(0)
    return ISP(SMALL.change({f"model.{name}": value for name, value in changes.items()}).model, identities=5)


def person(images, parts, size=(12, 6), seed=0):
    """Features of a body whose parts lie above each other, each image's body at another height; and the true labels."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    labels = torch.zeros(images, height, width, dtype=torch.uint8)
    for image in range(images):
        top = image % 2
        for part in range(1, parts):
            labels[image, top + 2 * (part - 1):top + 2 * part, 1:5] = part
    directions = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]
    lengths = torch.where(labels > 0, 5.0, 0.5) * (0.9 + 0.2 * torch.rand(labels.shape, generator=generator))
    return (directions[labels.long()] * lengths[..., None]).movedim(-1, 1).contiguous(), labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("contrast", [False, True])
def test_parts_of_distinct_looks_are_found_and_numbered_from_the_top(seed, contrast):
    features, labels = person(images=6, parts=4, seed=seed)
    assert torch.equal(body_parts(features, 4, seed, contrast), labels)


def test_labels_do_not_depend_on_the_order_of_images_or_on_other_identities():
    features = torch.randn(9, 12, 8, 4).relu()
    identities = torch.tensor([2, 7, 2, 2, 7, 2, 7, 7, 2])
    labels = pseudo_labels(features, identities, 5, seed=3)
    assert labels.dtype == torch.uint8 and labels.shape == (9, 8, 4)
    order = torch.randperm(9)
    assert torch.equal(pseudo_labels(features[order], identities[order], 5, seed=3), labels[order])
    others = torch.where((identities == 7)[:, None, None, None], torch.rand_like(features), features)
    assert torch.equal(pseudo_labels(others, identities, 5, seed=3)[identities == 2], labels[identities == 2])
    for identity in (2, 7):
        own = labels[identities == identity]
        means = [(own == part).nonzero()[:, 1].float().mean() for part in range(1, 5)]
        assert means == sorted(means) and own.unique().tolist() == [0, 1, 2, 3, 4]


def test_labels_change_with_the_seed_only():
    features, identities = torch.randn(4, 12, 8, 4).relu(), torch.zeros(4, dtype=torch.long)
    first = pseudo_labels(features, identities, 5, seed=0)
    torch.rand(3)
    assert torch.equal(pseudo_labels(features, identities, 5, seed=0), first)
    assert any(not torch.equal(pseudo_labels(features, identities, 5, seed=seed), first) for seed in range(1, 6))


@pytest.mark.parametrize("contrast", [False, True])
def test_the_foreground_lies_nearer_to_the_larger_mean_share(contrast):
    features = torch.randn(5, 12, 8, 4) * torch.rand(5, 1, 8, 4)
    features[:, :, 0, 0] = 0
    shares = torch.stack([image.norm(dim=0) / image.norm(dim=0).max() for image in features])
    if contrast:
        shares = 1 / (1 + torch.exp(-5 * (2 * shares - 1) - 3))
    found = foreground_cells(features, contrast=contrast)
    middle = (shares[found].mean() + shares[~found].mean()) / 2
    clear = (shares - middle).abs() > 0.01  # twenty rounds may end a little early
    assert torch.equal(found[clear], (shares > middle)[clear]) and clear.float().mean() > 0.9
    assert shares[found].min() >= shares[~found].max() and not found[:, 0, 0].any()
    scaled = features * torch.tensor([1.0, 2.0, 4.0, 8.0, 0.5])[:, None, None, None]
    assert torch.equal(foreground_cells(scaled, contrast=contrast), found)


def test_a_cell_without_response_is_no_foreground():
    features = torch.zeros(2, 3, 8, 4)
    assert foreground_cells(features) is None
    features[0, :, :4] = 1.0
    assert torch.equal(foreground_cells(features), features.any(dim=1))


@pytest.mark.parametrize("features", [torch.zeros(2, 6, 8, 4), torch.ones(2, 6, 8, 4),
                                      torch.cat([torch.ones(2, 6, 4, 4), torch.zeros(2, 6, 4, 4)], dim=2)])
def test_identities_that_cannot_be_clustered_have_equal_bands(features):
    labels = pseudo_labels(features, torch.zeros(2, dtype=torch.long), 5)
    assert torch.equal(labels, torch.arange(1, 5).repeat_interleave(2)[None, :, None].expand(2, 8, 4).to(torch.uint8))


def test_k_means_ends_where_lloyd_rests_and_permutes_with_its_points():
    centres = 20 * torch.eye(4)
    truth = torch.arange(40) % 4
    points = centres[truth] + torch.randn(40, 4)
    clusters = k_means(points, 4, seed=1)
    means = torch.stack([points[clusters == cluster].mean(0) for cluster in range(4)])
    assert torch.equal(torch.cdist(points, means).argmin(1), clusters)
    assert len({(int(a), int(b)) for a, b in zip(truth, clusters)}) == 4
    order = torch.randperm(40)
    assert torch.equal(k_means(points[order], 4, seed=1), clusters[order])
    assert k_means(points[:3], 4) is None and k_means(points[:1].repeat(9, 1), 2) is None
    assert k_means(points[:4], 4).sort().values.tolist() == [0, 1, 2, 3]


def test_clusters_are_numbered_by_their_mean_row():
    clusters, rows = torch.tensor([2, 2, 0, 0, 1, 1]), torch.tensor([0, 1, 9, 3, 5, 0])
    assert from_the_top(clusters, rows).tolist() == [0, 0, 2, 2, 1, 1]


def test_pooled_parts_and_background_make_up_the_global_vector():
    features, logits = torch.randn(3, 7, 8, 4), torch.randn(3, 5, 8, 4)
    whole, foreground, parts = semantic_features(features, logits)
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    background = (features * shares[:, :1]).mean((2, 3))
    torch.testing.assert_close(foreground + background, whole)
    for part in range(4):
        torch.testing.assert_close(parts[:, part], (features * shares[:, part + 1:part + 2]).mean((2, 3)))
    torch.testing.assert_close(whole, features.mean((2, 3)))
    torch.testing.assert_close(foreground, parts.sum(1))


def test_the_segmentation_loss_reads_each_cell_once_and_not_what_is_covered():
    cells = torch.randint(0, 5, (3, 12, 6), dtype=torch.uint8)
    logits = torch.randn(3, 5, 12, 6, requires_grad=True)
    image = F.interpolate(cells[:, None].float(), (96, 48), mode="nearest")[:, 0].to(torch.uint8)
    torch.testing.assert_close(segmentation_loss(logits, image), F.cross_entropy(logits, cells.long()))
    image[:, :32] = UNLABELLED
    loss = segmentation_loss(logits, image)
    torch.testing.assert_close(loss, F.cross_entropy(logits[:, :, 4:], cells[:, 4:].long()))
    loss.backward()
    assert (logits.grad[:, :, :4] == 0).all() and (logits.grad[:, :, 4:] != 0).all()
    assert segmentation_loss(logits, torch.full_like(image, UNLABELLED)) == 0


def test_processes_that_see_different_numbers_of_cells_train_their_mean(monkeypatch):
    logits, pseudo = torch.randn(4, 5, *SIZE), torch.randint(0, 5, (4, 64, 32), dtype=torch.uint8)
    pseudo[0] = UNLABELLED
    pseudo[1, :40] = UNLABELLED
    whole, counts = segmentation_loss(logits, pseudo), torch.tensor([3 * 4, 2 * 8 * 4])
    monkeypatch.setattr("matlib.baselines.isp.gather", lambda own: counts)
    halves = [segmentation_loss(logits[part], pseudo[part]) for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(halves) / 2, whole)


def batches(images, identities):
    return lambda: iter(zip(images.split(3), identities.split(3)))


def test_labels_are_made_before_every_second_epoch_until_five_sixths_of_them():
    model = build().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    images, identities = torch.randn(8, 3, 64, 32), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    made = {epoch: model.begin_epoch(epoch, 12, batches(images, identities)) for epoch in range(12)}
    assert [epoch for epoch in range(12) if made[epoch] is not None] == [0, 2, 4, 6, 8, 10]
    late = [model.begin_epoch(epoch, 120, batches(images[:4], identities[:4])) for epoch in range(98, 104)]
    assert [labels is not None for labels in late] == [True, False, True, False, False, False]
    assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert made[0].shape == (8, *SIZE) and made[0].dtype == torch.uint8 and made[0].max() <= 3
    again = build(**{"method.every": 4, "method.until": 0.5})
    few = [again.begin_epoch(epoch, 12, batches(images, identities)) for epoch in range(12)]
    assert [epoch for epoch in range(12) if few[epoch] is not None] == [0, 4]
    assert torch.equal(few[4], made[4])
    assert torch.equal(made[2], pseudo_labels(model.eval().features(images).detach().half(), identities, 4, seed=2))


@pytest.mark.parametrize("changes", [{}, {"method.attention": False, "neck": "none", "method.margin": 0.3}])
def test_a_step_trains_every_parameter_by_the_weighted_terms(changes):
    model = build(**changes).train()
    step = Step(torch.randn(6, 3, 64, 32), torch.tensor([0, 0, 3, 3, 4, 4]))
    pseudo = F.interpolate(torch.randint(0, 4, (6, 1, *SIZE)).float(), (64, 32))[:, 0].to(torch.uint8)
    output = model(step.images, pseudo)
    terms = model.losses(output, step)
    total = model.total(terms, step)
    assert len(terms) == 7
    torch.testing.assert_close(total, sum(terms.values()) - 0.9 * terms["segmentation"])
    torch.testing.assert_close(terms["triplet_part"], step.triplet(output.part_features.flatten(1),
                                                                   changes.get("method.margin")))
    total.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert torch.isfinite(total)


def test_cells_learn_their_labels():
    model = build().train()
    images, identities = torch.randn(8, 3, 64, 32), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    cells = model.begin_epoch(0, 1, batches(images, identities))
    pseudo = F.interpolate(cells[:, None].float(), (64, 32))[:, 0].to(torch.uint8)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(15):
        loss = segmentation_loss(model(images, pseudo).part_logits, pseudo)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]


def test_parts_that_win_no_cell_are_invisible_and_do_not_count():
    model = build().eval()
    with torch.no_grad():
        output = model(torch.randn(4, 3, 64, 32))
        output.part_logits[:2, 2] = -100.0
        output.part_logits[2:, 2, 0, 0] = 100.0
        described = model.describe(output)
    winners = output.part_logits.softmax(1).argmax(1)
    expected = torch.tensor([[float((image == part).any()) for part in (1, 2, 3)] for image in winners])
    assert torch.equal(described.visibilities, expected) and expected[:, 1].tolist() == [0, 0, 1, 1]
    distances = part_distances(described, described)
    after, parts = output.after, output.after["part"].unflatten(1, (3, 32))
    for a in range(4):
        for b in range(4):
            whole = [torch.cat([after["global"][i], after["foreground"][i]]) for i in (a, b)]
            far = [1 - F.cosine_similarity(*whole, dim=0)]
            far += [1 - F.cosine_similarity(parts[a, k], parts[b, k], dim=0) for k in range(3)
                    if expected[a, k] and expected[b, k]]
            torch.testing.assert_close(distances[a, b], sum(far) / len(far), atol=1e-5, rtol=1e-4)


def test_all_vectors_as_one():
    model = build(**{"method.compare": "whole"}).eval()
    images = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        output, alone = model(images), model.describe(model(images[1:2]))
    vector = model.describe(output)
    assert vector.shape == (3, 5 * 32)
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(alone[0], vector[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(F.cosine_similarity(vector[:, :96], output.after["part"]), torch.ones(3))


def test_the_published_recipe_is_a_run():
    config = profile("paper").change(ISP.published)
    assert config.data.erasing == 0.5 and ISP.Settings(**config.model.method).margin == 0.3


def test_what_is_wrong_is_said():
    with pytest.raises(MatlibError, match="model.method.part"):
        build(**{"method.part": 2})
    with pytest.raises(MatlibError, match="stripes"):
        build(**{"method.parts": 10}).begin_epoch(0, 1, batches(torch.randn(2, 3, 64, 32), torch.tensor([0, 0])))
    model = build().train()
    step = Step(torch.randn(4, 3, 64, 32), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(MatlibError, match="begin_epoch"):
        model.losses(model(step.images), step)
