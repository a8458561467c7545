"""HOReID: what the graph passes on, what the matching finds and trains, and what the second stage says."""

import pytest
import torch
from torch.nn import functional as F

from matlib.baselines.horeid import (SKELETON, GraphLayer, HOReID, MatchingNet, deviation_gaps, directed_adjacency,
                                     exchanged, hardest_by_cosine, permutation_loss, soft_permutation,
                                     verification_distance, verification_input, verification_loss)
from matlib.baselines.oonet import confident_identity_loss, joint_features
from matlib.baselines.pose import heat_maps, in_pixels
from matlib.config import LossConfig, profile
from matlib.models.descriptions import Pyramid, join
from matlib.models.method import Step

SMALL = profile("smoke").change({"model.weights": "none"})


def build(**changes):
    torch.manual_seed(0)
    return HOReID(SMALL.change({f"model.{name}": value for name, value in changes.items()}).model, identities=5)


def pose(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(batch, 17, 2, generator=generator) * 2 - 1
    return torch.cat([places, torch.full((batch, 17, 1), 2.0)], dim=2)


def test_adjacency_against_a_slow_loop():
    preferences = torch.rand(2, len(SKELETON))
    adjacency = directed_adjacency(preferences)
    for b in range(2):
        expected = torch.zeros(14, 14)
        for edge, (i, j) in enumerate(SKELETON):
            expected[i, j], expected[j, i] = 2 * preferences[b, edge], 2 * (1 - preferences[b, edge])
        expected[:, 13] = 1
        torch.testing.assert_close(adjacency[b], expected / expected.sum(1, keepdim=True))
    torch.testing.assert_close(adjacency.sum(2), torch.ones(2, 14))
    assert torch.equal(adjacency[:, 13], F.one_hot(torch.tensor(13), 14).float().expand(2, 14))


def test_the_skeleton_is_a_body_and_its_mirror_image():
    assert len(set(SKELETON)) == 16 and all(i < j for i, j in SKELETON) and list(SKELETON) == sorted(SKELETON)
    mirror = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]
    assert {tuple(sorted((mirror[i], mirror[j]))) for i, j in SKELETON} == set(SKELETON)


def test_gaps_are_how_much_more_one_end_deviates_from_the_whole():
    nodes = torch.randn(2, 14, 5)
    gaps = deviation_gaps(nodes)
    for edge, (i, j) in enumerate(SKELETON):
        expected = (nodes[:, i] - nodes[:, 13]).abs() - (nodes[:, j] - nodes[:, 13]).abs()
        torch.testing.assert_close(gaps[:, edge], expected)


def test_a_graph_layer_is_its_formula():
    torch.manual_seed(1)
    layer = GraphLayer(6).eval()
    torch.nn.init.normal_(layer.preference.weight)
    layer.norm.running_var.fill_(3.0)
    nodes = torch.randn(3, 14, 6)
    scores = 20 * 15 * deviation_gaps(nodes) @ layer.preference.weight[0] / (3 + layer.norm.eps) ** 0.5
    expected = directed_adjacency(scores.sigmoid()) @ nodes @ layer.merged.weight.T
    torch.testing.assert_close(layer(nodes), expected.relu() + nodes @ layer.own.weight.T)


def test_joints_hear_their_neighbours_and_the_whole_and_the_whole_hears_none():
    torch.manual_seed(1)
    layer = GraphLayer(6).eval()
    nodes = torch.randn(1, 14, 6)
    reached = torch.autograd.functional.jacobian(layer, nodes)[0, :, :, 0].abs().sum((1, 3)) > 0  # (14, 14)
    expected = torch.eye(14, dtype=torch.bool)
    expected[:, 13] = True
    for i, j in SKELETON:
        expected[i, j] = expected[j, i] = True
    assert torch.equal(reached & expected, reached) and torch.equal(reached[13], expected[13])
    assert reached.sum() > 0.8 * expected.sum()  # the ReLU may silence some


def test_soft_permutation_against_a_slow_sinkhorn():
    affinities = torch.randn(3, 5, 5, dtype=torch.float64) / 50
    found = soft_permutation(affinities)
    votes = torch.exp(200 * affinities)
    slow = votes / votes.sum(2, keepdim=True) + 1e-10
    for _ in range(10):
        slow = slow / slow.sum(1, keepdim=True)
        slow = slow / slow.sum(2, keepdim=True)
    torch.testing.assert_close(found, slow)
    torch.testing.assert_close(found.sum(2), torch.ones(3, 5, dtype=torch.float64))
    assert (found.sum(1) - 1).abs().max() > 1e-12  # the columns do so only in the limit


def test_soft_permutation_finds_the_order_of_separated_nodes_and_follows_it():
    torch.manual_seed(1)
    nodes = F.normalize(torch.randn(2, 14, 64), dim=2)
    order = torch.randperm(14)
    found = soft_permutation(nodes @ nodes[:, order].mT)
    expected = torch.zeros(14, 14)
    expected[order, torch.arange(14)] = 1
    torch.testing.assert_close(found, expected.expand(2, 14, 14), atol=1e-3, rtol=0)

    affinities = torch.randn(2, 14, 14) / 50
    torch.testing.assert_close(soft_permutation(affinities[:, :, order]), soft_permutation(affinities)[:, :, order],
                               atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("spread", [0.0, 1.0, 1e4])
def test_affinities_of_any_size_give_finite_gradients(spread):
    torch.manual_seed(1)
    affinities = (spread * torch.randn(4, 14, 14)).requires_grad_()
    loss = permutation_loss(soft_permutation(affinities))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(affinities.grad).all()


def test_permutation_loss_is_the_cross_entropy_to_the_identity():
    permutation = torch.rand(3, 14, 14) * 0.98 + 0.01
    target = torch.eye(14).expand(3, 14, 14)
    expected = F.binary_cross_entropy(permutation, target, reduction="sum") / (3 * 14)
    torch.testing.assert_close(permutation_loss(permutation), expected)
    assert permutation_loss(target) < 1e-5 < permutation_loss(target.flip(1))
    torch.testing.assert_close(permutation_loss(target.flip(1)), torch.tensor(200.0))  # no row is right: 100 an entry


def test_nodes_are_exchanged_by_the_permutation_and_its_transpose():
    torch.manual_seed(1)
    nodes, order = torch.randn(1, 14, 3), torch.randperm(14)
    permutation = torch.eye(14)[order].T[None]  # node order[k] of the first graph is node k of the second
    of_second, of_first = exchanged(permutation, nodes, nodes[:, order])
    torch.testing.assert_close(of_second, nodes)
    torch.testing.assert_close(of_first, nodes[:, order])


def test_the_hardest_are_those_of_the_angles():
    torch.manual_seed(1)
    vectors, identities = torch.randn(8, 3) * torch.rand(8, 1) * 9, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    positives, negatives = hardest_by_cosine(vectors, identities)
    cosines = F.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    for i in range(8):
        same = [j for j in range(8) if identities[j] == identities[i] and j != i]
        other = [j for j in range(8) if identities[j] != identities[i]]
        assert positives[i] == min(same, key=lambda j: cosines[i, j])
        assert negatives[i] == max(other, key=lambda j: cosines[i, j])


def test_verification_in_closed_form():
    like, unlike = torch.randn(5), torch.randn(5)
    expected = (F.binary_cross_entropy(like.sigmoid(), torch.ones(5))
                + F.binary_cross_entropy(unlike.sigmoid(), torch.zeros(5)))
    torch.testing.assert_close(verification_loss(like, unlike), expected)
    first, second = torch.randn(2, 4, 14, 3)
    found = verification_input(first, second)
    torch.testing.assert_close(found.unflatten(1, (14, 3)).sum(2), 10 * F.cosine_similarity(first, second, dim=2))
    torch.testing.assert_close(verification_input(first * torch.rand(4, 14, 1), 5 * second), found)


def test_permuting_the_nodes_of_one_graph_permutes_s_and_leaves_what_the_other_receives():
    torch.manual_seed(1)
    net = MatchingNet(6, 8).double()
    first, second = torch.randn(2, 4, 14, 6, dtype=torch.float64) / 9
    order = torch.randperm(14)
    one, other = net(first, second).permutation, net(first, second[:, order]).permutation
    torch.testing.assert_close(one[:, :, order], other, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(one @ second, other @ second[:, order], atol=1e-3, rtol=1e-3)


def test_the_matching_net_is_its_formula():
    torch.manual_seed(1)
    net = MatchingNet(6, 8).double()
    first, second = torch.randn(2, 3, 14, 6, dtype=torch.float64) / 9

    def embed(layer, nodes):
        both = [nodes @ linear.weight.T + linear.bias for linear in (layer.neighbours, layer.own)]
        return sum(torch.where(x > 0, x, x / 5) for x in both)

    def match(layer, x, y):
        weight = (net.affinities[layer].weight + net.affinities[layer].weight.T) / 2
        return soft_permutation(torch.einsum("pic,cd,pjd->pij", x, weight, y))

    x, y = embed(net.nodes[0], first), embed(net.nodes[0], second)
    s = match(0, x, y)
    x, y = (torch.cat(pair, dim=2) @ net.cross.weight.T + net.cross.bias for pair in ((x, s @ y), (y, s.mT @ x)))
    s = match(1, embed(net.nodes[1], x), embed(net.nodes[1], y))
    product = verification_input(first + s @ second, second + s.mT @ first)
    found = net(first, second)
    torch.testing.assert_close(found.permutation, s)
    torch.testing.assert_close(found.logits, product @ net.verifier.weight[0] + net.verifier.bias)


def test_the_matching_net_learns_which_joint_is_which():
    torch.manual_seed(1)
    net, joints = MatchingNet(16, 16), torch.randn(14, 16)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(60):
        first, second = (joints + 0.3 * torch.randn(2, 16, 14, 16)).unbind(0)
        loss = permutation_loss(net(first, second).permutation)
        first_loss = loss.item() if step == 0 else first_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * first_loss
    winners = net(first, second).permutation.argmax(2)
    assert (winners == torch.arange(14)).float().mean() > 0.9


def test_nothing_of_the_matching_reaches_trunk_graph_or_heads():
    model = build().train()
    step = Step(torch.randn(4, 3, 64, 32), torch.tensor([0, 0, 3, 3]))
    terms = model.losses(model(step.images, pose(4)), step)
    (terms["permutation"] + terms["verification"]).backward()
    reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert reached == {"matching"}


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_a_step_trains_every_parameter(margin):
    model = build(**{"method.margin": margin}).train()
    step = Step(torch.randn(4, 3, 64, 32), torch.tensor([0, 0, 3, 3]), config=LossConfig(label_smoothing=0.1))
    output = model(step.images, pose(4))
    terms = model.losses(output, step)
    for of, logits in (("local", output.logits), ("graph", output.graph_logits)):
        expected = confident_identity_loss(logits, step.identities, output.confidences, 0.1)
        torch.testing.assert_close(terms[f"identity_{of}"], expected)
    positives, negatives = hardest_by_cosine(output.graph_after[:, 13], step.identities)
    like, unlike = (model.matching(output.graph_after, output.graph_after[others]) for others in (positives, negatives))
    torch.testing.assert_close(terms["permutation"], permutation_loss(like.permutation), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(terms["verification"], verification_loss(like.logits, unlike.logits))
    torch.testing.assert_close(terms["triplet_local"], step.triplet(output.vectors[:, 13], margin or None))
    torch.testing.assert_close(terms["triplet_graph"], step.triplet(output.graph[:, 13], margin or None))
    total = model.total(terms, step)
    expected = sum(terms[f"{term}_{of}"] for term in ("identity", "triplet") for of in ("local", "graph"))
    torch.testing.assert_close(total, expected + terms["permutation"] / 200 + terms["verification"] / 10)
    total.backward()
    still = [name for name, p in model.named_parameters() if p.requires_grad and not p.grad.isfinite().all()]
    assert still == [] and torch.isfinite(total)


def test_the_matching_is_trained_from_a_sixth_of_the_epochs_on():
    model = build().train()
    step = Step(torch.randn(4, 3, 64, 32), torch.tensor([0, 0, 3, 3]))
    trained = []
    for epoch in range(12):
        model.begin_epoch(epoch, 12, list)
        model.zero_grad()
        terms = model.losses(model(step.images, pose(4)), step)
        model.total(terms, step).backward()
        gradients = [p.grad for p in model.matching.parameters()]
        assert all(gradient is not None for gradient in gradients)
        trained.append(any(gradient.any() for gradient in gradients))
        assert trained[-1] == (terms["verification"].item() > 0)
    assert trained == [False] * 2 + [True] * 10


@pytest.mark.parametrize("sign", ["intended", "published"])
def test_the_second_stage_is_the_verification_of_each_pair(sign):
    model = build(**{"method.second_sign": sign, "method.second_neighbours": 5, "method.second_share": 0.5}).eval()
    torch.nn.init.normal_(model.matching.verifier.weight)
    with torch.no_grad():
        described = join([model.describe(model(torch.randn(n, 3, 64, 32), pose(n, n))) for n in (20, 1)])
        assert isinstance(described, Pyramid) and described.vectors.shape == (21, 14, model.trunk.channels)
        assert (described.second.neighbours, described.second.share) == (5, 0.5)
        torch.testing.assert_close(described.first.norm(dim=1), torch.ones(21))
        distances = described.second.distances(described, described)  # 441 pairs: more than at once
        assert distances.shape == (21, 21) and ((distances >= 0) & (distances <= 1)).all()
        for q, g in [(0, 0), (3, 17), (20, 2), (19, 20)]:
            logit = model.matching(described.vectors[q:q + 1], described.vectors[g:g + 1]).logits[0]
            expected = (-logit if sign == "intended" else logit).sigmoid()
            torch.testing.assert_close(distances[q, g], expected, atol=1e-4, rtol=1e-3)
    assert distances.std() > 1e-3


def test_the_intended_sign_ranks_likely_pairs_first_and_the_published_one_last():
    likely, unlikely = torch.tensor(0.9), torch.tensor(0.2)
    assert verification_distance(likely) < verification_distance(unlikely)
    assert verification_distance(likely, "published") > verification_distance(unlikely, "published")


def test_the_network_is_local_features_and_two_graph_layers():
    model = build(**{"method.sharpness": 3.0, "method.sigma": 0.6}).eval()
    images, joints = torch.randn(2, 3, 64, 32), pose(2)
    with torch.no_grad():
        output, features = model(images, joints), model.trunk(images)
        vectors, _ = joint_features(features, heat_maps(in_pixels(joints, (64, 32)), (64, 32), (8, 4), 0.6), 3.0)
        torch.testing.assert_close(output.vectors, vectors)
        one, other = model.graph_layers
        torch.testing.assert_close(output.graph, other(one(vectors)))


def test_the_first_stage_compares_each_vector_of_the_graph_by_confidence():
    model = build().eval()
    with torch.no_grad():
        output = model(torch.randn(2, 3, 64, 32), pose(2))
    graph, weights = output.graph_after, output.confidences

    def product(i, j):
        return sum((weights[i, k] * weights[j, k]).sqrt() * (graph[i, k] @ graph[j, k]) for k in range(14))

    first = model.describe(output).first
    torch.testing.assert_close(first[0] @ first[1], product(0, 1) / (product(0, 0) * product(1, 1)).sqrt())


def test_one_image_is_described_as_in_a_batch():
    model = build().eval()
    images, joints = torch.randn(3, 3, 64, 32), pose(3)
    joints[2, :, 2] = 0
    with torch.no_grad():
        alone, together = model.describe(model(images[1:2], joints[1:2])), model.describe(model(images, joints))
    torch.testing.assert_close(alone.first[0], together.first[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone.vectors[0], together.vectors[1], atol=1e-5, rtol=1e-4)


def test_the_published_recipe_is_a_run():
    config = profile("paper").change(HOReID.published)
    settings = HOReID.Settings(**config.model.method)
    assert (settings.margin, settings.second_sign, settings.permutation) == (0.3, "published", 1.0)
