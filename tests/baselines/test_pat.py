"""PAT: prototypes that find parts, masks that stand alone, parts that are to differ, and no motion."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from matlib.baselines.pat import PAT, pool_masks
from matlib.config import profile
from matlib.errors import MatlibError
from matlib.losses import triplet_loss
from matlib.models import MAT, build_model
from matlib.models.method import Step

CONFIG = profile("smoke").change({"model.architecture": "matlib.baselines.pat:PAT", "model.weights": "none",
                                  "model.parts": 4})
IDENTITIES = torch.arange(4).repeat_interleave(2)
IMAGES = torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def build(**changes):
    torch.manual_seed(0)
    return build_model(CONFIG.change({f"model.{k}": v for k, v in changes.items()}).model, identities=7)


@pytest.mark.parametrize("parts", [2, 14])
def test_shapes(parts):
    model = build(parts=parts).eval()
    output = model(IMAGES)
    assert output.part_masks.shape == (8, parts, 8, 4) and output.part_features.shape == (8, parts, 32)
    assert output.global_feature.shape == (8, 32) and [x.shape for x in output.part_logits] == [(8, 7)] * parts
    assert model.vector(output).shape == (8, (parts + 1) * 32)
    torch.testing.assert_close(model.vector(output).norm(dim=1), torch.ones(8))


def test_parts_are_the_means_under_their_masks(rng):
    features, masks = torch.randn(2, 5, 4, 3, generator=rng), torch.rand(2, 3, 4, 3, generator=rng)
    pooled = pool_masks(features, masks)
    for b, k in itertools.product(range(2), range(3)):
        total = sum(masks[b, k, y, x] * features[b, :, y, x] for y in range(4) for x in range(3))
        torch.testing.assert_close(pooled[b, k], total / masks[b, k].sum())


def test_a_mask_is_the_sigmoid_of_its_own_product_and_shares_cells_as_it_likes():
    """In training mode, here and below: untrained, the running statistics leave all cells of a map nearly alike."""
    model = build().train()
    before = model(IMAGES).part_masks
    assert before.min() > 0 and before.max() < 1 and before.std(dim=(2, 3)).min() > 1e-3
    assert before.sum(1).max() > 1.1  # with a background and a softmax it would be 1 at most
    model.decoder = shifted = ShiftedQuery(model.decoder)  # one prototype's answer changes, and no other's mask
    after = model(IMAGES).part_masks
    assert not torch.allclose(after[:, shifted.changed], before[:, shifted.changed])
    rest = [k for k in range(4) if k != shifted.changed]
    torch.testing.assert_close(after[:, rest], before[:, rest])


class ShiftedQuery(torch.nn.Module):
    changed = 2

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, cells, position):
        queries = self.decoder(cells, position)
        return queries + F.one_hot(torch.tensor(self.changed), queries.shape[1])[:, None]


def test_permuted_prototypes_are_permuted_parts():
    model = build(decoder_layers=2).train()
    before, order = model(IMAGES), torch.tensor([2, 0, 3, 1])
    assert (before.part_features[:, order] - before.part_features).abs().max() > 0.01
    model.decoder.queries.weight.data = model.decoder.queries.weight.data[order]
    after = model(IMAGES)
    torch.testing.assert_close(after.part_masks, before.part_masks[:, order])
    torch.testing.assert_close(after.part_features, before.part_features[:, order], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.global_feature, before.global_feature)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_the_terms_and_their_sum(margin):
    model = build(**{"method.margin": margin}).train()
    output, step = model(IMAGES), Step(IMAGES, IDENTITIES)
    terms = model.losses(output, step)
    parts = output.part_features
    expected = {"identity_global": F.cross_entropy(output.global_logits, IDENTITIES),
                "triplet_global": triplet_loss(output.global_feature, IDENTITIES, margin=margin or None),
                "identity_part": sum(F.cross_entropy(logits, IDENTITIES) for logits in output.part_logits) / 4,
                "triplet_part": sum(triplet_loss(parts[:, k], IDENTITIES, margin=margin or None) for k in range(4)) / 4,
                "diversity": sum(F.cosine_similarity(parts[:, i], parts[:, j]).mean()
                                 for i in range(4) for j in range(4) if i != j) / 12}
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=lambda text: f"{name}: {text}")
    torch.testing.assert_close(model.total(terms, step), sum(expected.values()))


def test_diversity_is_one_where_all_prototypes_are_one_and_less_where_they_differ():
    model = build().train()
    apart = model.losses(model(IMAGES), Step(IMAGES, IDENTITIES))["diversity"]
    queries = model.decoder.queries.weight
    queries.data = queries.data[:1].expand(4, -1).clone()
    alike = model.losses(model(IMAGES), Step(IMAGES, IDENTITIES))["diversity"]
    torch.testing.assert_close(alike, torch.tensor(1.0))
    assert apart < 0.9999


def test_diversity_parts_what_starts_alike():
    """By itself: parts start nearly equal, where a gradient could vanish."""
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    course = []
    for _ in range(40):
        loss = model.losses(model(IMAGES), Step(IMAGES, IDENTITIES))["diversity"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(loss.item())
    assert course[-1] < 0.5 < course[0]


@pytest.mark.parametrize("changes", [
    {}, {"pos_embed": "add_input"}, {"pos_embed": "concat"}, {"attention": "plain"}, {"norm_first": False},
    {"decoder_target": "zero"}, {"map_scale": "learned"}, {"embed_sigmoid": True}, {"encoder_layers": 0},
    {"decoder_layers": 0}, {"neck": "none"}])
def test_whatever_the_reading_all_parameters_learn(changes):
    model = build(**changes).train()
    step = Step(IMAGES, IDENTITIES)
    model.total(model.losses(model(IMAGES), step), step).backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("descriptor", ["after", "before"])
def test_what_is_compared(descriptor):
    model = build(descriptor=descriptor).eval()
    for head in (model.global_head, *model.part_heads.heads):
        torch.nn.init.normal_(head.neck.running_mean)  # so that before and after differ
    output = model(IMAGES)
    vectors = {"after": [output.global_after, output.parts_after],
               "before": [output.global_feature, output.part_features.flatten(1)]}
    expected = F.normalize(torch.cat(vectors[descriptor], dim=1), dim=1)
    assert not torch.allclose(*(torch.cat(both, dim=1) for both in vectors.values()))
    torch.testing.assert_close(model.vector(output), expected)


def test_it_has_mats_rooms_of_mats_sizes():
    mat = build_model(CONFIG.change({"model.architecture": "mat", "model.parts": 3}).model, identities=7)
    pat = build(parts=4)  # mat has a query more, for the background
    assert isinstance(mat, MAT)
    for room in ("trunk", "reduce", "encoder", "decoder", "global_head"):
        one, other = (getattr(model, room).state_dict() for model in (mat, pat))
        assert {name: x.shape for name, x in one.items()} == {name: x.shape for name, x in other.items()}


def test_it_reads_the_settings_that_change_it():
    unread = {"model.keypoints": "external", "model.map_activation": "sigmoid", "model.temperature": 1.0,
              "loss.equivariance": 0.0, "loss.diversity": 1.0, "model.part_head": "concat"}
    assert not PAT.reads(CONFIG) & unread.keys()
    model = build_model(CONFIG.change(unread).model, identities=7).eval()
    model.load_state_dict(build().state_dict())
    torch.testing.assert_close(model(IMAGES).part_features, build().eval()(IMAGES).part_features)


def test_one_part_is_a_sentence():
    config = CONFIG.change({"model.parts": 1, "loss.separation": 0.0})
    with pytest.raises(MatlibError, match="model.parts=1 has too few"):
        build_model(config.model, 7)


def test_the_published_recipe_is_one_that_a_run_can_have():
    config = CONFIG.change(PAT.published | {"model.weights": "none", "model.trunk": "resnet18"})
    assert build_model(config.model, 5).eval()(torch.zeros(1, 3, 256, 128)).part_masks.shape == (1, 14, 16, 8)
