"""PCB: which rows a stripe sees, what teaches it, and that each stripe counts alike."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from matlib.baselines.pcb import PCB, join_stripes, pool_stripes, stripe_maps
from matlib.config import profile
from matlib.errors import MatlibError
from matlib.evaluation.visible_parts import part_distances
from matlib.models import build_model
from matlib.models.descriptions import PartDescriptors
from matlib.models.method import Step

CONFIG = profile("smoke").change({"model.architecture": "matlib.baselines.pcb:PCB", "model.weights": "none"})
IDENTITIES = torch.arange(4).repeat_interleave(2)


def build(**changes):
    torch.manual_seed(0)
    return build_model(CONFIG.change({f"model.{k}": v for k, v in changes.items()}).model, identities=7)


def with_settings(**settings):
    return build(**{f"method.{name}": value for name, value in settings.items()})


def rows(height, count, windows):
    """First and last row of each stripe, by its map."""
    maps = stripe_maps(height, 2, count, windows)
    assert maps.shape == (1, count + 1, height, 2) and not maps[0, 0].any()
    assert (maps[..., 0] == maps[..., 1]).all()
    return [(int(stripe.nonzero().min()), int(stripe.nonzero().max())) for stripe in maps[0, 1:, :, 0]]


@pytest.mark.parametrize("windows", ["adaptive", "original"])
@pytest.mark.parametrize("height, count", [(24, 6), (12, 6), (7, 7), (8, 1)])
def test_where_the_count_divides_the_height_stripes_are_equal_bands(height, count, windows):
    each = height // count
    assert rows(height, count, windows) == [(i * each, (i + 1) * each - 1) for i in range(count)]


def test_stripes_of_sixteen_rows():
    assert rows(16, 6, "original") == [(i, i + 5) for i in (0, 2, 4, 6, 8, 10)]
    assert rows(16, 6, "adaptive") == [(0, 2), (2, 5), (5, 7), (8, 10), (10, 13), (13, 15)]


@pytest.mark.parametrize("windows", ["adaptive", "original"])
@pytest.mark.parametrize("height, count", list(itertools.product((6, 11, 13, 16, 24), (1, 3, 5, 6))))
def test_pooling_is_torchs(height, count, windows, rng):
    features = torch.randn(2, 5, height, 3, generator=rng, dtype=torch.float64)
    if windows == "adaptive":
        expected = F.adaptive_avg_pool2d(features, (count, 1))
    else:
        stride = height // count
        expected = F.avg_pool2d(features, (height - (count - 1) * stride, 3), (stride, 3))
    torch.testing.assert_close(pool_stripes(features, count, windows), expected[..., 0].mT, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("windows", ["adaptive", "original"])
def test_more_stripes_than_rows_are_a_sentence(windows):
    with pytest.raises(MatlibError, match="8 rows has no 9 stripes"):
        with_settings(stripes=9, windows=windows)(torch.zeros(2, 3, 64, 32))
    with pytest.raises(ValueError, match="windows must be one of adaptive, original, not 'even'"):
        stripe_maps(8, 4, 2, "even")


def test_a_stripe_sees_its_own_rows_in_any_order(rng):
    features = torch.randn(1, 4, 12, 6, generator=rng)
    changed = features.clone()
    changed[:, :, 4:6] = features[:, :, 4:6].flip(2, 3)
    changed[:, :, 8:] += 1
    before, after = pool_stripes(features, 6), pool_stripes(changed, 6)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    torch.testing.assert_close(before[:, 4:] + 1, after[:, 4:], rtol=1e-5, atol=1e-5)


def test_each_stripe_counts_alike_whatever_its_length_and_place(rng):
    stripes = torch.randn(5, 6, 8, generator=rng)
    joined = join_stripes(stripes)
    torch.testing.assert_close(joined.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(join_stripes(stripes * torch.rand(5, 6, 1, generator=rng).add(0.1)), joined)
    order = torch.randperm(6, generator=rng)
    exchanged = join_stripes(stripes[:, order])
    torch.testing.assert_close(exchanged @ exchanged.T, joined @ joined.T)


def test_the_distance_is_the_authors_and_that_of_parts_all_visible(rng):
    query, gallery = torch.randn(3, 6, 8, generator=rng), torch.randn(4, 6, 8, generator=rng)
    authors = torch.zeros(3, 4)
    for i, j in itertools.product(range(3), range(4)):
        one, other = (torch.cat([stripe / stripe.norm() for stripe in image]) for image in (query[i], gallery[j]))
        authors[i, j] = (one - other).square().sum()
    cosine = join_stripes(query) @ join_stripes(gallery).T
    torch.testing.assert_close(12 * (1 - cosine), authors)
    parts = part_distances(*(PartDescriptors(side, torch.ones(len(side), 6)) for side in (query, gallery)))
    torch.testing.assert_close(1 - cosine, parts)


@pytest.mark.parametrize("stripe", [0, 3])
def test_a_stripes_loss_teaches_its_own_rows_alone(stripe, rng):
    """In evaluation mode: the statistics of the shared normalisation would mix batch and stripes."""
    model = with_settings(stripes=4).eval()
    features = torch.randn(2, model.trunk.channels, 8, 4, generator=rng, requires_grad=True)
    model.trunk.forward = lambda images: features
    model(torch.zeros(2, 3, 64, 32)).logits[stripe].logsumexp(1).sum().backward()
    reached = features.grad.abs().amax(dim=(0, 1, 3)) > 0
    assert reached.nonzero().flatten().tolist() == [2 * stripe, 2 * stripe + 1]


def test_the_loss_is_the_sum_of_one_cross_entropy_a_stripe():
    model = with_settings(stripes=4).train()
    images = torch.randn(8, 3, 64, 32)
    output = model(images)
    assert output.stripes.shape == (8, 4, model.trunk.channels) and output.reduced.shape == (8, 4, 32)
    terms = model.losses(output, Step(images, IDENTITIES))
    expected = sum(F.cross_entropy(logits, IDENTITIES) for logits in output.logits)
    torch.testing.assert_close(terms["identity"], expected)
    assert len(output.logits) == 4 and set(terms) == {"identity"}
    terms["identity"].backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_the_published_classifiers_have_a_bias():
    own, published = with_settings(), with_settings(bias=True)
    assert all(head.classifier.bias is None for head in own.stripe_heads.heads)
    assert all((head.classifier.bias == 0).all() for head in published.stripe_heads.heads)
    assert profile("paper").change({"model.architecture": "matlib.baselines.pcb:PCB",
                                    **PCB.published}).model.method["bias"]


def test_normalisation_runs_over_batch_and_stripes_together():
    model = with_settings(stripes=4).train()
    reduced = model.reduce[1](model(torch.randn(8, 3, 64, 32)).stripes).flatten(0, 1)
    torch.testing.assert_close(model.reduce[2].running_mean, 0.1 * reduced.mean(0))
    torch.testing.assert_close(model.reduce[2].running_var, 0.9 + 0.1 * reduced.var(0))


@pytest.mark.parametrize("descriptor", ["after", "before"])
@pytest.mark.parametrize("compare", ["raw", "trained"])
def test_what_is_compared(compare, descriptor):
    model = build(**{"method.compare": compare, "descriptor": descriptor}).eval()
    for head in model.stripe_heads.heads:
        head.neck.running_mean += 1  # so that before and after differ
    output = model(torch.randn(2, 3, 64, 32))
    after = output.reduced_after.unflatten(1, (6, 32))
    assert not torch.allclose(after, output.reduced)
    expected = output.stripes if compare == "raw" else after if descriptor == "after" else output.reduced
    torch.testing.assert_close(model.vector(output), join_stripes(expected))


def test_dropout_is_off_where_images_are_described():
    model = with_settings(dropout=0.5)
    images = torch.randn(2, 3, 64, 32)
    first, second = (model.eval()(images).reduced for _ in range(2))
    assert torch.equal(first, second)
    first, second = (model.reduce.train()(torch.ones(4, model.trunk.channels)) for _ in range(2))
    assert not torch.equal(first, second)


def test_the_published_recipe_is_one_that_a_run_can_have():
    model = type(build())
    config = CONFIG.change(model.published | {"model.weights": "none", "model.trunk": "resnet18"})
    assert config.train.head_lr * config.train.lr == 0.1 and config.data.height // config.model.output_stride == 24
    settings = build_model(config.model, 5).settings
    assert settings.windows == "original" and settings.dropout == 0.5
