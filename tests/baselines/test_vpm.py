"""VPM: where a crop comes from, what regions learn from, and that hidden ones count neither in training nor test."""

import math

import pytest
import torch
from torch.nn import functional as F

from matlib.baselines.vpm import (Crop, crop_images, draw_spans, pool_regions, region_distances, region_labels,
                                  region_triplet_loss, visible_identity_loss, visible_regions, whole)
from matlib.config import profile
from matlib.errors import MatlibError
from matlib.evaluation.visible_parts import part_distances
from matlib.models import build_model
from matlib.models.descriptions import PartDescriptors
from matlib.models.method import Step

CONFIG = profile("smoke").change({"model.architecture": "matlib.baselines.vpm:VPM", "model.weights": "none",
                                  "model.method.rows": 4})
IDENTITIES = torch.arange(4).repeat_interleave(2)
IMAGES = torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(0))
GRID = {"rows": 4, "columns": 2, "locate": "cells"}


def build(**settings):
    torch.manual_seed(0)
    return build_model(CONFIG.change({f"model.method.{k}": v for k, v in settings.items()}).model, identities=7)


def spans(*pairs):
    return torch.tensor([start for start, _ in pairs]), torch.tensor([kept for _, kept in pairs])


def test_a_whole_image_has_equal_bands():
    for length, count in ((24, 6), (12, 6), (7, 7), (8, 1)):
        labels = region_labels(length, count, *spans((0.0, 1.0)))
        assert labels.tolist() == [[cell * count // length for cell in range(length)]]


def test_the_label_of_a_cell_is_the_band_of_its_centre(rng):
    kept = 0.5 + 0.5 * torch.rand(40, generator=rng, dtype=torch.float64)
    start = (1 - kept) * torch.rand(40, generator=rng, dtype=torch.float64)
    for length, count in ((24, 6), (16, 6), (12, 6), (12, 4), (9, 2)):
        centres = start[:, None] + kept[:, None] * (torch.arange(length) + 0.5) / length
        assert torch.equal(region_labels(length, count, start, kept), (centres * count).long())


def test_labels_by_the_formula_in_a_loop():
    (start, kept), h, p = spans((0.0, 0.5), (0.25, 0.75), (0.4, 0.6), (0.1, 0.7)), 24, 6
    labels = region_labels(h, p, start, kept)
    for image, (s, r) in enumerate(zip(start.tolist(), kept.tolist(), strict=True)):
        for j in range(1, h + 1):
            assert labels[image, j - 1] == sum(j > round((h * i / p - h * s) / r) for i in range(1, p))


def test_a_region_of_a_single_row_at_the_border_is_hidden():
    labels = torch.tensor([[0, 1, 1, 1, 2, 2], [0, 0, 1, 2, 2, 3], [1, 1, 1, 1, 1, 1]])
    two = visible_regions(labels, 4)
    assert two.tolist() == [[False, True, True, False], [True, True, True, False], [False, True, False, False]]
    assert visible_regions(labels, 4, least=1).tolist() == [[True, True, True, False], [True] * 4, two[2].tolist()]


@pytest.mark.parametrize("least_seen, rows", [(0.5, 2), (0.25, 1), (0.75, 3)])
def test_how_much_of_a_region_is_to_be_seen_goes_with_the_size_of_the_map(least_seen, rows):
    """With the top gone up to some share of a region, of 24 rows and 6 regions."""
    model = build(rows=6, least_seen=least_seen)
    logits = torch.zeros(1, 6, 24, 1)
    for left in range(4):
        kept = (20 + left) / 24
        crop = Crop(torch.tensor([[1 - kept, 0.0]]), torch.tensor([[kept, 1.0]]))
        labels, visible = model._truth(crop, logits)
        assert visible[0, 0] == ((labels == 0).sum() >= rows)


def test_a_crop_is_its_rows_and_columns_stretched():
    y, x = torch.meshgrid((torch.arange(64) + 0.5) / 64, (torch.arange(32) + 0.5) / 32, indexing="ij")
    image = torch.stack([y, x, torch.ones_like(x)])[None].expand(2, -1, -1, -1)
    crop = Crop(torch.tensor([[0.25, 0.0], [0.125, 0.25]]), torch.tensor([[0.5, 1.0], [0.75, 0.5]]))
    cropped = crop_images(image, crop)
    for i in range(2):
        (top, left), (tall, wide) = crop.start[i], crop.kept[i]
        torch.testing.assert_close(cropped[i], torch.stack([top + tall * y, left + wide * x, torch.ones_like(x)]))
    torch.testing.assert_close(crop_images(IMAGES, whole(8)), IMAGES)


def test_crops_keep_a_share_and_a_part(rng):
    torch.manual_seed(3)
    start, kept = draw_spans(4000, 0.5, 1.083)
    assert kept.min() >= 0.5 and kept.max() == 1
    assert (kept == 1).float().mean() == pytest.approx(0.083 / 0.583, abs=0.02)
    cut = kept < 1
    places = (start / (1 - kept))[cut]
    assert [(places - place).abs().lt(1e-3).float().mean().item() for place in (0, 0.5, 1)] == pytest.approx(
        [1 / 3] * 3, abs=0.03)
    for part, place in (("top", 0.0), ("middle", 0.5), ("bottom", 1.0)):
        start, kept = draw_spans(50, 0.5, 1.0, part)
        torch.testing.assert_close(start, place * (1 - kept))


def test_training_crops_and_test_does_not():
    model = build()
    seen = []
    model.trunk.register_forward_pre_hook(lambda trunk, arguments: seen.append(arguments[0]))
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(model.train()(IMAGES))
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], IMAGES)
    assert torch.equal(outputs[0].labels, outputs[1].labels) and not torch.equal(outputs[0].labels, outputs[2].labels)
    output = model.eval()(IMAGES)
    assert torch.equal(seen[3], IMAGES) and output.visible.all()
    assert torch.equal(output.labels, (torch.arange(8) // 2)[None, :, None].expand(8, 8, 1))


@pytest.mark.parametrize("settings, size", [({}, (4, 1)), ({"locate": "cells"}, (4, 4)), (GRID, (8, 4))])
def test_shapes(settings, size):
    model = build(**settings).train()
    (regions, columns), channels = size, model.trunk.channels
    output = model(IMAGES)
    assert output.regions.shape == (8, regions, channels) and len(output.logits) == regions + 1
    assert output.locator_logits.shape == (8, regions, 8, columns) and output.labels.shape == (8, 8, columns)
    assert output.visible.shape == output.scores.shape == (8, regions)
    torch.testing.assert_close(output.scores.sum(1), torch.ones(8))
    torch.testing.assert_close(output.regions.norm(dim=2), torch.ones(8, regions))


def test_the_regions_of_a_grid_go_row_by_row():
    output = build(**GRID).eval()(IMAGES)
    expected = torch.arange(8).view(4, 2).repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
    assert torch.equal(output.labels, expected.expand(8, 8, 4))
    visible = build(**GRID, least_kept=0.5, most_kept=1.0).train()(IMAGES).visible.view(8, 4, 2)
    assert not visible.all() and visible.any(dim=(1, 2)).all()
    assert torch.equal(visible, visible.any(2, keepdim=True) & visible.any(1, keepdim=True))


def test_pooling_is_the_mean_by_probability(rng):
    features, maps = torch.randn(2, 5, 6, 3, generator=rng), torch.randn(2, 4, 6, 1, generator=rng).softmax(1)
    pooled, scores = pool_regions(features, maps)
    torch.testing.assert_close(scores * 6, maps.sum((2, 3)))
    for image in range(2):
        for region in range(4):
            mean = sum(maps[image, region, y, 0] * features[image, :, y, x] for y in range(6) for x in range(3))
            torch.testing.assert_close(pooled[image, region], mean / (3 * maps[image, region].sum()))


def test_hidden_regions_teach_no_identity(rng):
    logits = torch.randn(6, 5, generator=rng, requires_grad=True)
    identities, visible = torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([1, 0, 1, 1, 0, 1]).bool()
    loss = visible_identity_loss(logits, identities, visible, 0.1)
    torch.testing.assert_close(loss, F.cross_entropy(logits[visible], identities[visible], label_smoothing=0.1))
    gradient, = torch.autograd.grad(loss, logits)
    assert torch.equal(gradient.abs().sum(1) > 0, visible)
    nothing = visible_identity_loss(logits, identities, torch.zeros(6, dtype=torch.bool))
    assert nothing == 0 and not torch.autograd.grad(nothing, logits)[0].any()


def test_processes_that_see_a_region_differently_often_train_the_mean_of_all_images(rng, monkeypatch):
    logits, identities = torch.randn(6, 5, generator=rng), torch.tensor([0, 1, 2, 3, 4, 0])
    visible = torch.tensor([1, 0, 0, 1, 1, 1]).bool()
    together = visible_identity_loss(logits, identities, visible)
    monkeypatch.setattr("matlib.baselines.vpm.gather", lambda counts: torch.tensor([1, 3]))
    apart = [visible_identity_loss(logits[half], identities[half], visible[half]) for half in (slice(3), slice(3, 6))]
    torch.testing.assert_close(sum(apart) / 2, together)


def test_the_locator_learns_from_the_labels_alone():
    model = build(dropout=0.0).train()
    output = model(IMAGES)
    terms = model.losses(output, Step(IMAGES, IDENTITIES))
    for name in ("identity", "identity_global", "triplet"):
        reached = torch.autograd.grad(terms[name], [*model.locator.parameters(), next(model.trunk.parameters())],
                                      retain_graph=True, allow_unused=True)
        assert reached[:2] == (None, None) and reached[2].any()
    assert all(grad.any() for grad in torch.autograd.grad(terms["locator"], [
        *model.locator.parameters(), next(model.trunk.parameters())]))


def test_the_terms_and_their_sum():
    model = build().train()
    output = model(IMAGES)
    assert not output.visible.all() and output.visible.any()
    step = Step(IMAGES, IDENTITIES)
    terms = model.losses(output, step)
    expected = sum(F.cross_entropy(output.logits[i][output.visible[:, i]], IDENTITIES[output.visible[:, i]])
                   for i in range(4))
    torch.testing.assert_close(terms["identity"], expected)
    torch.testing.assert_close(terms["identity_global"], F.cross_entropy(output.logits[4], IDENTITIES))
    cells = output.locator_logits.permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(terms["locator"], F.cross_entropy(cells, output.labels.flatten()))
    torch.testing.assert_close(model.total(terms, step), terms["identity"] + terms["identity_global"]
                               + 0.5 * terms["locator"] + 3 * terms["triplet"])
    model.total(terms, step).backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def slow_distance(a, b, w, v):
    total, weight = 0.0, 0.0
    for i in range(len(w)):
        total += w[i] * v[i] * (a[i] - b[i]).norm()
        weight += w[i] * v[i]
    return total / weight if weight else math.inf


def test_the_distance_of_regions(rng):
    query, gallery = torch.randn(3, 4, 5, generator=rng), torch.randn(2, 4, 5, generator=rng)
    seen, shown = torch.rand(3, 4, generator=rng), torch.rand(2, 4, generator=rng)
    seen[0], shown[1] = torch.tensor([1.0, 0, 0, 0.2]), torch.tensor([0, 0.5, 1, 0])
    distances = region_distances(query, gallery, seen, shown)
    expected = torch.tensor([[slow_distance(query[i], gallery[j], seen[i], shown[j]) for j in range(2)]
                             for i in range(3)])
    assert expected[0, 1] == math.inf
    torch.testing.assert_close(distances, expected)
    torch.testing.assert_close(region_distances(query, gallery, seen * 7, shown * 0.1), distances)
    changed = query.clone()
    changed[0, 1:3] += 100  # hidden
    torch.testing.assert_close(region_distances(changed, gallery, seen, shown)[0], distances[0])


@pytest.mark.parametrize("margin", [None, 0.5])
def test_the_triplet_pays_what_it_mines_by(margin, rng):
    regions, weights = torch.randn(8, 3, 5, generator=rng), torch.rand(8, 3, generator=rng)
    expected = []
    for a in range(8):
        apart = [slow_distance(regions[a], regions[b], weights[a], weights[b]) for b in range(8)]
        positive = max(d for b, d in enumerate(apart) if b != a and IDENTITIES[b] == IDENTITIES[a])
        negative = min(d for b, d in enumerate(apart) if IDENTITIES[b] != IDENTITIES[a])
        gap = positive - negative
        expected.append(F.softplus(gap) if margin is None else (gap + margin).clamp_min(0))
    torch.testing.assert_close(region_triplet_loss(regions, weights, IDENTITIES, margin), torch.stack(expected).mean())


def test_pairs_without_a_common_region_pull_and_push_nothing(rng):
    regions = torch.randn(4, 2, 5, generator=rng, requires_grad=True)
    weights = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    loss = region_triplet_loss(regions, weights, torch.tensor([0, 0, 1, 1]))
    gradient, = torch.autograd.grad(loss, regions)
    negatives = torch.stack([(regions[0, 0] - regions[2, 0]).norm(), (regions[1, 1] - regions[3, 1]).norm()])
    torch.testing.assert_close(loss, F.softplus(-negatives).mean())  # the positives are at no distance
    assert not gradient[weights == 0].any() and gradient[weights == 1].any() and gradient.isfinite().all()
    alone = region_triplet_loss(regions, weights, torch.tensor([0, 1, 0, 1]))  # no negative can be compared
    assert alone == 0 and not torch.autograd.grad(alone, regions)[0].any()


def test_the_triplet_may_take_the_truth_for_its_weights():
    losses = {}
    for how in ("located", "visible"):
        model = build(triplet_regions=how, margin=0.3).train()
        torch.manual_seed(1)
        output = model(IMAGES)
        weights = output.scores if how == "located" else output.visible.float()
        losses[how] = model.losses(output, Step(IMAGES, IDENTITIES))["triplet"]
        torch.testing.assert_close(losses[how], region_triplet_loss(output.regions, weights, IDENTITIES, 0.3))
    assert losses["located"] != losses["visible"]


def test_test_distances_are_the_programs_and_the_papers():
    model = build().eval()
    torch.nn.init.normal_(model.locator.weight)  # so that scores differ
    output = model(IMAGES)
    description = model.describe(output)
    parts, scores = output.regions, output.scores
    weights = scores[:, None] * scores
    squared = (parts[:, None] - parts).square().sum(3)
    program = (weights * squared).sum(2) / weights.sum(2)
    torch.testing.assert_close(2 * part_distances(description, description), program, rtol=1e-4, atol=1e-5)
    one, other = (PartDescriptors(parts[some], scores[some].square()) for some in (slice(4), slice(4, 8)))
    torch.testing.assert_close(part_distances(one, other, "euclidean"),
                               region_distances(parts[:4], parts[4:], scores[:4], scores[4:]), rtol=1e-3, atol=1e-4)


def test_the_locator_finds_where_crops_come_from():
    """On images whose brightness is the height in the box, the crops' true labels can be read off the cells."""
    model = build(most_kept=1.0).train()
    heights = ((torch.arange(64) + 0.5) / 64)[None, None, :, None].expand(16, 1, 64, 32)
    images = torch.cat([heights, heights, heights], dim=1)
    bumps = torch.linspace(0, 1, model.trunk.channels)[None, :, None, None]

    def look(crops):
        return torch.exp(-100 * (F.avg_pool2d(crops[:, :1], 8) - bumps).square())

    model.trunk.forward = look
    optimizer = torch.optim.Adam(model.locator.parameters(), lr=0.1)
    torch.manual_seed(0)
    for _ in range(120):
        output = model(images)
        optimizer.zero_grad()
        F.cross_entropy(output.locator_logits, output.labels).backward()
        optimizer.step()
    output = model(images)
    right = output.locator_logits.argmax(1) == output.labels
    assert len(output.labels.flatten(1).unique(dim=0)) > 8 and right.float().mean() > 0.95
    shown = torch.stack([(output.labels == region).float().mean(dim=(1, 2)) for region in range(4)], dim=1)
    assert (output.scores - shown).abs().mean() < 0.04


def test_settings_that_do_not_fit_are_sentences():
    with pytest.raises(MatlibError, match="with model.method.columns above 1, set model.method.locate=cells"):
        build(columns=2)
    with pytest.raises(MatlibError, match=r"channels_each \(7\) is to divide the trunk's 32 channels"):
        build(channels_each=7)
    with pytest.raises(MatlibError, match="8 cells along an axis has no 9 regions"):
        build(rows=9)(IMAGES)
    with pytest.raises(MatlibError, match="4 cells along an axis has no 5 regions"):
        build(columns=5, locate="cells")(IMAGES)
    with pytest.raises(MatlibError, match="most_kept is at least 1"):
        build(most_kept=0.5)


def test_the_published_recipe_is_one_that_a_run_can_have():
    config = CONFIG.change(type(build()).published | {
        "model.weights": "none", "model.trunk": "resnet18", "model.method.rows": 6})
    model = build_model(config.model, 5).train()
    assert model.locator.weight.shape == (6, 512 // 8, 1, 1)
    output = model(torch.randn(2, 3, config.data.height, config.data.width))
    assert output.labels.shape == (2, 24, 1) and (output.labels[:, 0] == 0).all()  # the top stays
