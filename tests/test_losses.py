"""Losses against closed forms and slow loops, and where their gradients reach."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_tensors import randn, random_keypoints

from matlib.geometry import (
    Keypoints,
    ThinPlateSpline,
    blend_motions,
    centroids,
    local_motions,
    warp,
)
from matlib.losses import (
    background_loss,
    batch_hard_distances,
    concentration_loss,
    diversity_loss,
    entropy_loss,
    equivariance_loss,
    feature_consistency_gain,
    feature_consistency_loss,
    foreground_loss,
    identity_loss,
    separation_loss,
    triplet_loss,
)

DISTANCES = ("euclidean", "sqeuclidean")


class TestIdentityLoss:
    def test_equals_a_loop(self, rng):
        logits, identities = randn(5, 7, rng=rng), torch.tensor([0, 6, 3, 3, 1])
        expected = -sum(math.log(math.exp(row[y]) / sum(map(math.exp, row)))
                        for row, y in zip(logits.tolist(), identities.tolist(), strict=True)) / 5
        assert identity_loss(logits, identities).item() == pytest.approx(expected, abs=1e-5)

    def test_label_smoothing_spreads_the_target(self, rng):
        logits, identities, share = randn(4, 6, rng=rng), torch.tensor([0, 5, 2, 2]), 0.1
        target = torch.full((4, 6), share / 6)
        target[range(4), identities] += 1 - share
        expected = -(target * logits.log_softmax(1)).sum(1).mean()
        torch.testing.assert_close(identity_loss(logits, identities, share), expected)

    def test_uniform_logits_give_the_log_of_the_count(self):
        loss = identity_loss(torch.zeros(3, 10), torch.tensor([1, 2, 3]))
        assert loss.item() == pytest.approx(math.log(10))

    def test_huge_logits_are_finite(self):
        logits = torch.tensor([[1e30, -1e30, 0.0]], requires_grad=True)
        loss = identity_loss(logits, torch.tensor([2]))
        loss.backward()
        assert loss.isfinite() and logits.grad.isfinite().all()

    def test_autocast(self, rng):
        logits = randn(3, 4, rng=rng).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            loss = identity_loss(logits, torch.tensor([0, 1, 2], dtype=torch.int32))
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, identity_loss(logits.float(), torch.tensor([0, 1, 2])))

    @pytest.mark.parametrize("identities", [[0, 4], [-1, 2]])
    def test_refuses_an_identity_without_logit(self, identities):
        with pytest.raises(ValueError, match=r"identities must lie in \[0, 4\)"):
            identity_loss(torch.zeros(2, 4), torch.tensor(identities))

    def test_refuses_shapes_and_smoothing(self, unchecked):
        with pytest.raises(ValueError, match="needs logits"):
            identity_loss(torch.zeros(2, 4), torch.zeros(3, dtype=torch.long))
        with pytest.raises(ValueError, match="needs logits"):
            identity_loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
        with pytest.raises(ValueError, match="label_smoothing"):
            identity_loss(torch.zeros(1, 4), torch.zeros(1, dtype=torch.long), 1.5)


def slow_triplet(features, identities, distance):
    total, rows, ids = 0.0, features.double().tolist(), identities.tolist()
    for a, anchor in enumerate(rows):
        positives, negatives = [], []
        for b, other in enumerate(rows):
            d = sum((x - y) ** 2 for x, y in zip(anchor, other, strict=True))
            d = math.sqrt(d) if distance == "euclidean" else d
            if ids[a] != ids[b]:
                negatives.append(d)
            elif a != b:
                positives.append(d)
        total += math.log1p(math.exp(max(positives) - min(negatives)))
    return total / len(rows)


class TestTripletLoss:
    @given(st.integers(2, 4), st.integers(2, 4), st.sampled_from([1, 5, 30]), st.sampled_from(DISTANCES),
           st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_equals_a_loop_and_ignores_the_order(self, persons, images, size, distance, seed):
        rng = torch.Generator().manual_seed(seed)
        features = randn(persons * images, size, rng=rng)
        identities = torch.arange(persons).repeat_interleave(images) * 17
        loss = triplet_loss(features, identities, distance)
        assert loss.item() == pytest.approx(slow_triplet(features, identities, distance), rel=1e-4)
        order = torch.randperm(len(features), generator=rng)
        torch.testing.assert_close(triplet_loss(features[order], identities[order], distance), loss)

    def test_uneven_counts(self, rng):
        features, identities = randn(7, 3, rng=rng), torch.tensor([0, 1, 0, 1, 1, 2, 2])
        assert triplet_loss(features, identities).item() == pytest.approx(
            slow_triplet(features, identities, "euclidean"), rel=1e-5)

    @pytest.mark.parametrize("distance", DISTANCES)
    def test_equal_features_give_ln_2_and_a_finite_gradient(self, distance):
        features = torch.ones(4, 3, requires_grad=True)
        loss = triplet_loss(features, torch.tensor([0, 0, 1, 1]), distance)
        loss.backward()
        assert loss.item() == pytest.approx(math.log(2)) and features.grad.eq(0).all()

    @pytest.mark.parametrize("distance", DISTANCES)
    def test_gradient_equals_finite_differences(self, distance, rng):
        identities = torch.tensor([0, 0, 1, 1, 2, 2])
        features = randn(6, 3, rng=rng, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(lambda f: triplet_loss(f, identities, distance), features)

    def test_huge_distances_are_finite(self, rng):
        features = (1e12 * randn(4, 3, rng=rng)).requires_grad_()
        loss = triplet_loss(features, torch.tensor([0, 0, 1, 1]), "sqeuclidean")
        loss.backward()
        assert loss.isfinite() and features.grad.isfinite().all()

    def test_small_distances_survive_a_large_mean(self, rng):
        features = randn(8, 64, rng=rng, dtype=torch.float64) * 0.5
        identities = torch.arange(4).repeat_interleave(2)
        shifted = (features + 1000).float()
        assert triplet_loss(shifted, identities).item() == pytest.approx(
            triplet_loss(features, identities).item(), rel=1e-3)

    def test_statistics(self):
        features = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
        d_ap, d_an = batch_hard_distances(features, torch.tensor([0, 0, 1, 1]))
        assert d_ap.tolist() == [1, 1, 4, 4] and d_an.tolist() == [3, 2, 2, 6]

    @pytest.mark.parametrize("identities", [[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 0, 1]])
    def test_refuses_anchors_without_partner(self, identities):
        with pytest.raises(ValueError, match="a positive and a negative"):
            triplet_loss(torch.zeros(4, 2), torch.tensor(identities))

    def test_refuses_options_and_shapes(self, unchecked):
        with pytest.raises(ValueError, match="distance must be one of"):
            triplet_loss(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]), "cosine")
        with pytest.raises(ValueError, match="needs features"):
            triplet_loss(torch.zeros(4, 2), torch.tensor([0, 0, 1]))

    def test_autocast(self, rng):
        features, identities = randn(4, 8, rng=rng).bfloat16(), torch.tensor([0, 0, 1, 1])
        with torch.autocast("cpu", torch.bfloat16):
            loss = triplet_loss(features, identities)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, triplet_loss(features.float(), identities))


class TestEquivarianceLoss:
    @pytest.mark.parametrize("metric", ["l1", "euclidean"])
    @pytest.mark.parametrize("count", [3, 10])
    @pytest.mark.parametrize("mirror", [0.0, 1.0])
    def test_zero_for_an_equivariant_detector(self, metric, count, mirror, rng):
        spline = ThinPlateSpline.random(4, generator=rng, metric=metric, mirror=mirror)
        warped = random_keypoints(4, count, rng)
        original = Keypoints(spline.warp_points(warped.positions),
                             spline.jacobian(warped.positions) @ warped.jacobians)
        value, jacobian = equivariance_loss(original, warped, spline)
        assert value.item() == pytest.approx(0, abs=1e-6) and jacobian.item() == pytest.approx(0, abs=1e-5)

    def test_value_for_a_constant_detector(self, rng):
        spline = ThinPlateSpline.random(3, generator=rng)
        constant = Keypoints(torch.tensor([0.2, -0.3]).expand(3, 5, 2), torch.eye(2).expand(3, 5, 2, 2))
        value, jacobian = equivariance_loss(constant, constant, spline)
        point = torch.tensor([[[0.2, -0.3]]])
        torch.testing.assert_close(value, (point - spline.warp_points(point)).abs().mean())
        torch.testing.assert_close(jacobian, (torch.eye(2) - spline.jacobian(point)).abs().mean())
        assert value > 0.01 and jacobian > 0.01

    def test_equals_a_loop(self, rng):
        spline = ThinPlateSpline.random(2, generator=rng, metric="euclidean")
        original, warped = random_keypoints(2, 3, rng), random_keypoints(2, 3, rng)
        values, jacobians = [], []
        for b, k in itertools.product(range(2), range(3)):
            point = warped.positions[b, k].view(1, 1, 2)
            values.append((original.positions[b, k] - spline[b].warp_points(point)[0, 0]).abs())
            product = torch.linalg.inv(original.jacobians[b, k]) @ spline[b].jacobian(point)[0, 0]
            jacobians.append((torch.eye(2) - product @ warped.jacobians[b, k]).abs())
        expected = torch.stack(values).mean(), torch.stack(jacobians).mean()
        losses = equivariance_loss(original, warped, spline)
        torch.testing.assert_close(losses, expected, atol=1e-5, rtol=1e-5)

    def test_gradient_reaches_all_keypoints(self, rng):
        spline = ThinPlateSpline.random(2, generator=rng)
        both = random_keypoints(2, 3, rng), random_keypoints(2, 3, rng)
        leaves = [tensor.requires_grad_() for keypoints in both for tensor in keypoints]
        value, jacobian = equivariance_loss(Keypoints(*leaves[:2]), Keypoints(*leaves[2:]), spline)
        (value + jacobian).backward()
        assert all(leaf.grad.abs().amax(dim=tuple(range(2, leaf.ndim))).gt(0).all() for leaf in leaves)

    def test_singular_jacobians_are_finite(self, rng):
        spline, keypoints = ThinPlateSpline.random(2, generator=rng), random_keypoints(2, 3, rng)
        singular = torch.zeros(2, 3, 2, 2, requires_grad=True)
        _, jacobian = equivariance_loss(Keypoints(keypoints.positions, singular), keypoints, spline)
        jacobian.backward()
        assert jacobian.isfinite() and singular.grad.isfinite().all()

    def test_autocast(self, rng):
        spline = ThinPlateSpline.random(2, generator=rng)
        original, warped = (Keypoints(*(t.bfloat16() for t in random_keypoints(2, 3, rng))) for _ in range(2))
        with torch.autocast("cpu", torch.bfloat16):
            losses = equivariance_loss(original, warped, spline)
        assert all(x.dtype == torch.float32 for x in losses)
        floats = (Keypoints(*(t.float() for t in k)) for k in (original, warped))
        torch.testing.assert_close(losses, equivariance_loss(*floats, spline))

    def test_refuses(self, rng):
        spline = ThinPlateSpline.random(2, generator=rng)
        with pytest.raises(ValueError, match="differ in shape"):
            equivariance_loss(random_keypoints(2, 3, rng), random_keypoints(2, 4, rng), spline)
        with pytest.raises(ValueError, match="do not fit"):
            equivariance_loss(random_keypoints(3, 3, rng), random_keypoints(3, 3, rng), spline)


def consistency_batch(persons, images, count, size, rng, channels=6, dtype=torch.float64):
    batch = persons * images
    return {
        "features": randn(batch, channels, *size, rng=rng, dtype=dtype),
        "keypoints": random_keypoints(batch, count, rng, dtype),
        "part_maps": (3 * randn(batch, count + 1, *size, rng=rng, dtype=dtype)).softmax(dim=1),
        "identities": torch.arange(persons).repeat(images) * 5 - 3,
    }


def select(batch, images):
    """The same batch with other images in other places."""
    return {name: Keypoints(*(t[images] for t in value)) if name == "keypoints" else value[images]
            for name, value in batch.items()}


def slow_consistency(features, keypoints, part_maps, identities, *, on="features", norm="spatial",
                     pairs="reference", anchor="keypoint", visibility=None, padding="zeros"):
    """The loss, one pair and one distribution at a time."""
    if anchor == "centroid":
        keypoints = Keypoints(centroids(part_maps), keypoints.jacobians)
    sums = []
    for identity in sorted(set(identities.tolist())):
        group = [i for i, other in enumerate(identities.tolist()) if other == identity]
        ordered = list(itertools.permutations(group, 2))
        if pairs == "reference":
            ordered = [(group[0], b) for b in group[1:]]
        if pairs == "nearest":
            ordered = [min((pair for pair in ordered if pair[0] == a), key=lambda pair: _unlike(keypoints, *pair))
                       for a in group]
        divergences = []
        for a, b in ordered:
            motions = local_motions(Keypoints(*(t[a:a + 1] for t in keypoints)),
                                    Keypoints(*(t[b:b + 1] for t in keypoints)), *features.shape[2:]).clone()
            for k in range(motions.shape[1] - 1):
                if visibility is not None and not (visibility[a, k] and visibility[b, k]):
                    motions[0, k + 1] = motions[0, 0]
            flow = blend_motions(part_maps[a:a + 1], motions)
            maps = features if on == "features" else part_maps
            p, q = maps[a].flatten(1), warp(maps[b:b + 1], flow, padding)[0].flatten(1)
            if on == "features":
                axis = 1 if norm == "spatial" else 0
                p, q = p.softmax(axis), q.softmax(axis)
            else:
                axis = 0
                p, q = ((x + 1e-6) / (x + 1e-6).sum(0) for x in (p, q))
            lanes = zip(p.unbind(1 - axis), q.unbind(1 - axis), strict=True)
            single = [sum(x * math.log(x / y) for x, y in zip(u.tolist(), v.tolist(), strict=True))
                      for u, v in lanes]
            divergences.append(single if pairs == "best" else sum(single) / len(single))
        if pairs == "best":
            of = {a: [d for (first, _), d in zip(ordered, divergences, strict=True) if first == a] for a in group}
            divergences = [statistics.mean(map(min, zip(*cells, strict=True))) for cells in of.values()]
        sums.append(sum(divergences) * (len(group) - 1) / len(divergences))
    return sum(sums) / len(sums)


def _unlike(keypoints, a, b):
    """How differently two images' keypoints are arranged about their mean."""
    first, second = (points - points.mean(dim=0) for points in (keypoints.positions[a], keypoints.positions[b]))
    return (first - second).norm().item()


class TestFeatureConsistencyLoss:
    @pytest.mark.parametrize("pairs", ["reference", "all", "nearest"])
    @pytest.mark.parametrize(
        ("on", "norm"), [("features", "spatial"), ("features", "channel"), ("parts", "spatial")])
    @pytest.mark.parametrize("anchor", ["keypoint", "centroid"])
    def test_equals_a_loop(self, pairs, on, norm, anchor, rng):
        batch = consistency_batch(3, 4, 3, (5, 3), rng)
        options = {"pairs": pairs, "on": on, "norm": norm, "anchor": anchor}
        loss = feature_consistency_loss(**batch, **options)
        assert loss.item() == pytest.approx(slow_consistency(**batch, **options), rel=1e-9)
        assert loss > 0.01

    @pytest.mark.parametrize(("on", "norm"), [("features", "channel"), ("parts", "spatial")])
    def test_the_best_of_all_in_each_cell_equals_a_loop(self, on, norm, rng):
        batch = consistency_batch(3, 4, 3, (5, 3), rng)
        options = {"pairs": "best", "on": on, "norm": norm}
        loss = feature_consistency_loss(**batch, **options)
        assert loss.item() == pytest.approx(slow_consistency(**batch, **options), rel=1e-9)
        assert 0.01 < loss < feature_consistency_loss(**batch, **options | {"pairs": "all"})

    def test_what_stands_before_one_image_costs_nothing_where_another_agrees(self, rng):
        """Three equal images, of which one is covered in a corner: the best pair has no divergence there."""
        batch = consistency_batch(1, 3, 2, (6, 4), rng)
        batch = select(batch, [0, 0, 0])
        batch["features"] = batch["features"].clone()
        batch["features"][2, :, :3, :2] = 5 * randn(6, 3, 2, rng=rng, dtype=torch.float64)
        covered = feature_consistency_loss(**select(batch, [0, 1, 2]), norm="channel", pairs="all")
        kept = feature_consistency_loss(**select(batch, [0, 1, 2]), norm="channel", pairs="best", motion="identity")
        alone = feature_consistency_loss(**select(batch, [2, 0, 1]), norm="channel", motion="identity")
        assert covered > kept > 0
        assert kept.item() == pytest.approx(alone.item() / 3, rel=1e-6)  # only the covered image finds none that agrees

    def test_the_nearest_is_the_one_that_is_arranged_alike_wherever_it_stands(self, rng):
        batch = consistency_batch(1, 4, 3, (5, 3), rng)
        keypoints = batch["keypoints"]
        keypoints.positions[2] = keypoints.positions[0] + torch.tensor([0.3, -0.2])
        keypoints.positions[3] = keypoints.positions[1] - 0.4
        nearest = feature_consistency_loss(**batch, pairs="nearest")
        two = [feature_consistency_loss(**select(batch, pair), pairs="all") for pair in ([0, 2], [1, 3])]
        assert nearest.item() == pytest.approx(3 * sum(two).item() / 2, rel=1e-9)

    def test_the_best_needs_distributions_of_cells(self, rng):
        with pytest.raises(ValueError, match="cell by cell.*set norm to 'channel'"):
            feature_consistency_loss(**consistency_batch(1, 2, 2, (4, 3), rng), pairs="best")

    @pytest.mark.parametrize(("images", "count", "size"), [(2, 10, (4, 6)), (3, 1, (7, 2)), (4, 3, (1, 1))])
    def test_equals_a_loop_for_other_sizes(self, images, count, size, rng):
        batch = consistency_batch(2, images, count, size, rng)
        for norm, padding in itertools.product(("spatial", "channel"), ("zeros", "border")):
            options = {"norm": norm, "padding": padding}
            loss = feature_consistency_loss(**batch, **options)
            assert loss.item() == pytest.approx(slow_consistency(**batch, **options), rel=1e-9, abs=1e-12)

    def test_invisible_parts_move_with_the_identity(self, rng):
        batch = consistency_batch(2, 3, 4, (5, 3), rng)
        visibility = torch.rand(6, 4, generator=rng) < 0.7
        loss = feature_consistency_loss(**batch, visibility=visibility)
        assert loss.item() == pytest.approx(slow_consistency(**batch, visibility=visibility), rel=1e-9)
        everything = torch.ones_like(visibility)
        torch.testing.assert_close(feature_consistency_loss(**batch, visibility=everything),
                                   feature_consistency_loss(**batch))
        torch.testing.assert_close(feature_consistency_loss(**batch, visibility=~everything),
                                   feature_consistency_loss(**batch, motion="identity"))

    def test_a_part_without_a_jacobian_in_one_image_is_only_shifted_between_the_two(self, rng):
        batch = consistency_batch(1, 2, 3, (5, 4), rng)
        oriented = torch.tensor([[True, True, False], [True, False, True]])
        identity = torch.eye(2, dtype=torch.float64).expand(2, 3, 2, 2)
        jacobians = torch.cat((batch["keypoints"].jacobians[:, :1], identity[:, 1:]), dim=1)
        shifted = {**batch, "keypoints": Keypoints(batch["keypoints"].positions, jacobians)}
        loss = feature_consistency_loss(**batch, oriented=oriented)
        assert loss == feature_consistency_loss(**shifted) != feature_consistency_loss(**batch)

    @pytest.mark.parametrize("on", ["features", "parts"])
    def test_zero_for_equal_images(self, on, rng):
        batch = select(consistency_batch(2, 1, 3, (6, 4), rng), torch.tensor([0, 1, 1, 0, 0, 1]))
        assert feature_consistency_loss(**batch, on=on).item() == pytest.approx(0, abs=1e-6)

    def test_the_true_motion_beats_no_motion(self, rng):
        """B is A moved by two cells: with the keypoints moved alike the divergence falls."""
        height, width = 9, 12
        a = randn(1, 6, height, width + 2, rng=rng)
        features = torch.cat((a[..., 2:], a[..., :-2]))  # the second image: the same, two cells to the right
        position = torch.tensor([[[0.1, 0.0], [-0.2, 0.3]]])
        step = torch.tensor([2 * 2 / (width - 1), 0.0])
        keypoints = Keypoints(torch.cat((position, position + step)), torch.eye(2).expand(2, 2, 2, 2))
        maps = torch.zeros(2, 3, height, width)
        maps[:, 1:] = 0.5
        identities = torch.tensor([4, 4])
        flow, identity = feature_consistency_gain(features, keypoints, maps, identities)
        assert flow < 0.5 * identity
        torch.testing.assert_close(flow, feature_consistency_loss(features, keypoints, maps, identities))

    def test_gain_passes_options_and_has_no_gradient(self, rng):
        batch = consistency_batch(2, 2, 3, (4, 3), rng)
        batch["part_maps"].requires_grad_()
        flow, identity = feature_consistency_gain(**batch, on="parts", pairs="all")
        torch.testing.assert_close(flow, feature_consistency_loss(**batch, on="parts", pairs="all").detach())
        still = Keypoints(torch.zeros(4, 3, 2).double(), torch.eye(2).double().expand(4, 3, 2, 2))
        torch.testing.assert_close(identity, feature_consistency_loss(
            **{**batch, "keypoints": still}, on="parts", pairs="all").detach())
        assert not flow.requires_grad and not identity.requires_grad

    @pytest.mark.parametrize("pairs", ["reference", "all"])
    def test_ignores_the_order_of_the_identities(self, pairs, rng):
        batch = consistency_batch(3, 3, 3, (4, 5), rng)
        expected = feature_consistency_loss(**batch, pairs=pairs)
        # Interleaved to grouped: the order within each identity stays.
        order = batch["identities"].argsort(stable=True, descending=True)
        loss = feature_consistency_loss(**select(batch, order), pairs=pairs)
        torch.testing.assert_close(loss, expected)
        loss = feature_consistency_loss(**select(batch, torch.arange(8, -1, -1)), pairs=pairs)
        changed = not torch.isclose(loss, expected)
        assert changed == (pairs == "reference")

    @pytest.mark.parametrize("on", ["features", "parts"])
    @pytest.mark.parametrize("detach", ["features", "reference", "none"])
    @pytest.mark.parametrize("anchor", ["keypoint", "centroid"])
    def test_gradient_reaches_what_it_should(self, on, detach, anchor, rng):
        batch = consistency_batch(2, 3, 3, (5, 4), rng)
        leaves = {"features": batch["features"], "positions": batch["keypoints"].positions,
                  "jacobians": batch["keypoints"].jacobians, "part_maps": batch["part_maps"]}
        for leaf in leaves.values():
            leaf.requires_grad_()
        feature_consistency_loss(**batch, on=on, detach=detach, anchor=anchor).backward()
        first = torch.tensor([True, True, False, False, False, False])  # the references A

        def reached(name, images):
            gradient = leaves[name].grad
            return gradient is not None and bool(gradient[images].flatten(1).ne(0).any(1).all())

        def missed(name, images):
            gradient = leaves[name].grad
            return gradient is None or bool(gradient[images].eq(0).all())

        everything = torch.ones(6, dtype=torch.bool)
        assert reached("jacobians", everything)
        assert (reached if anchor == "keypoint" else missed)("positions", everything)
        assert reached("part_maps", first)
        others = reached if on == "parts" or anchor == "centroid" else missed
        assert others("part_maps", ~first)
        if on == "parts":
            assert missed("features", everything)
        else:
            assert (reached if detach == "none" else missed)("features", first)
            assert (missed if detach == "features" else reached)("features", ~first)

    def test_detaching_the_reference_parts_changes_the_target_only(self, rng):
        """The gradient of the detached loss is that of the loss against a constant copy of A's maps."""
        batch = consistency_batch(1, 2, 2, (4, 3), rng)
        maps = batch["part_maps"].requires_grad_()
        gradients = {}
        for detach in ("reference", "features", "none"):
            loss = feature_consistency_loss(**batch, on="parts", detach=detach)
            gradients[detach] = torch.autograd.grad(loss, maps)[0]
        torch.testing.assert_close(gradients["features"], gradients["none"])
        torch.testing.assert_close(gradients["reference"][1], gradients["none"][1])
        assert (gradients["reference"][0] - gradients["none"][0]).abs().max() > 1e-4
        motions = local_motions(*(Keypoints(*(t[i:i + 1] for t in batch["keypoints"])) for i in (0, 1)), 4, 3)
        p, q = ((x + 1e-6) / (x + 1e-6).sum(1, keepdim=True)
                for x in (maps[:1].detach(), warp(maps[1:], blend_motions(maps[:1], motions))))
        expected = torch.autograd.grad((p * (p / q).log()).sum(1).mean(), maps)[0]
        torch.testing.assert_close(gradients["reference"], expected)

    @pytest.mark.parametrize("norm", ["spatial", "channel"])
    def test_extremes_are_finite(self, norm, rng):
        batch = consistency_batch(2, 2, 3, (4, 3), rng, dtype=torch.float32)
        batch["features"] = (1e6 * batch["features"]).requires_grad_()
        maps = torch.zeros_like(batch["part_maps"])
        maps[:, 1] = 1.0
        batch["part_maps"] = maps.requires_grad_()
        far = Keypoints(batch["keypoints"].positions * 100, batch["keypoints"].jacobians * 0)
        for keypoints, on in itertools.product((batch["keypoints"], far), ("features", "parts")):
            loss = feature_consistency_loss(
                **{**batch, "keypoints": keypoints}, norm=norm, on=on, detach="none")
            gradients = torch.autograd.grad(loss, (batch["features"], maps), allow_unused=True)
            assert loss.isfinite() and all(g.isfinite().all() for g in gradients if g is not None)

    def test_autocast(self, rng):
        batch = consistency_batch(2, 2, 3, (4, 3), rng, dtype=torch.float32)
        batch["features"], batch["part_maps"] = batch["features"].bfloat16(), batch["part_maps"].bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            loss = feature_consistency_loss(**batch)
        assert loss.dtype == torch.float32
        floats = {**batch, "features": batch["features"].float(), "part_maps": batch["part_maps"].float()}
        torch.testing.assert_close(loss, feature_consistency_loss(**floats))

    @pytest.mark.parametrize("identities", [[0, 1, 2, 3], [0, 0, 0, 1], [0, 0, 1, 2]])
    def test_refuses_uneven_identities(self, identities, rng):
        batch = consistency_batch(2, 2, 3, (4, 3), rng)
        with pytest.raises(ValueError, match="same number"):
            feature_consistency_loss(**{**batch, "identities": torch.tensor(identities)})

    @pytest.mark.parametrize("option", ["on", "norm", "pairs", "detach", "anchor", "motion", "padding"])
    def test_refuses_unknown_options(self, option, rng):
        with pytest.raises(ValueError, match=f"{option} must be one of"):
            feature_consistency_loss(**consistency_batch(2, 2, 3, (4, 3), rng), **{option: "typo"})

    def test_refuses_unfit_shapes(self, rng, unchecked):
        batch = consistency_batch(2, 2, 3, (4, 3), rng)
        for name, value in (("part_maps", batch["part_maps"][..., :2]), ("identities", torch.tensor([0, 0])),
                            ("features", batch["features"][:2]), ("features", batch["features"][0]),
                            ("keypoints", Keypoints(*(t[:, :2] for t in batch["keypoints"])))):
            with pytest.raises(ValueError):
                feature_consistency_loss(**{**batch, name: value})
        with pytest.raises(ValueError, match="visible"):
            feature_consistency_loss(**batch, visibility=torch.ones(4, 2, dtype=torch.bool))


class TestGuards:
    def test_separation_equals_a_loop(self, rng):
        positions = randn(2, 4, 2, rng=rng) * 0.2
        expected = [math.exp(-(positions[b, k] - positions[b, m]).square().sum().item() / (2 * 0.15**2))
                    for b in range(2) for k in range(4) for m in range(4) if k != m]
        assert separation_loss(positions).item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)

    def test_separation_pushes_apart(self):
        positions = torch.tensor([[[0.0, 0.0], [0.1, 0.0]]], requires_grad=True)
        separation_loss(positions).backward()
        assert positions.grad[0, 0, 0] > 0 > positions.grad[0, 1, 0]  # a descent step moves them apart
        assert separation_loss(torch.zeros(1, 3, 2)).item() == 1
        with pytest.raises(ValueError, match="sigma"):
            separation_loss(torch.zeros(1, 3, 2), sigma=0.0)

    def test_concentration_of_known_heatmaps(self, unchecked):
        heatmaps = torch.zeros(1, 2, 5, 3)
        heatmaps[0, 0, 1, 2] = 1.0
        assert concentration_loss(heatmaps[:, :1]).item() == 0
        heatmaps[0, 1, 0, 0] = heatmaps[0, 1, 4, 2] = 0.5
        assert concentration_loss(heatmaps[:, 1:]).item() == pytest.approx(2)
        assert concentration_loss(heatmaps).item() == pytest.approx(1)
        with pytest.raises(ValueError, match="heatmaps must have shape"):
            concentration_loss(heatmaps[0])

    def test_diversity_equals_a_loop(self, rng):
        features = randn(3, 4, 6, rng=rng)
        expected = [torch.cosine_similarity(features[b, k], features[b, m], dim=0).item()
                    for b in range(3) for k in range(4) for m in range(4) if k != m]
        assert diversity_loss(features).item() == pytest.approx(sum(expected) / len(expected), abs=1e-6)

    def test_diversity_extremes(self):
        assert diversity_loss(torch.ones(2, 3, 5)).item() == pytest.approx(1)
        assert diversity_loss(torch.eye(4)[None]).item() == pytest.approx(0)
        empty = torch.zeros(1, 3, 5, requires_grad=True)
        loss = diversity_loss(empty)
        loss.backward()
        assert loss.item() == 0 and empty.grad.isfinite().all()

    @pytest.mark.parametrize("count", [3, 10])
    def test_entropy_range(self, count, rng):
        uniform = torch.full((2, count + 1, 4, 3), 1 / (count + 1))
        assert entropy_loss(uniform).item() == pytest.approx(1)
        decided = torch.zeros(2, count + 1, 4, 3)
        decided[:, 1] = 1.0
        decided.requires_grad_()
        loss = entropy_loss(decided)
        loss.backward()
        assert loss.item() == 0 and decided.grad.isfinite().all()
        maps = randn(2, count + 1, 4, 3, rng=rng).softmax(1)
        expected = torch.distributions.Categorical(maps.movedim(1, -1)).entropy().mean() / math.log(count + 1)
        torch.testing.assert_close(entropy_loss(maps), expected)

    def test_background_looks_at_the_border_columns_alone(self, rng):
        maps = randn(2, 4, 5, 6, rng=rng).softmax(1).requires_grad_()
        loss = background_loss(maps)
        loss.backward()
        values = maps.detach().tolist()
        expected = -sum(math.log(values[b][0][i][j]) for b in range(2) for i in range(5) for j in (0, 5)) / 20
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        assert maps.grad[:, 0][..., [0, 5]].lt(0).all() and maps.grad[:, 0, :, 1:5].eq(0).all()
        assert maps.grad[:, 1:].eq(0).all()

    @pytest.mark.parametrize(("size", "rows", "columns"), [((8, 6), range(2, 6), (2, 3)), ((5, 7), range(1, 4), (3,))])
    def test_foreground_looks_at_the_centre_alone(self, rng, size, rows, columns):
        maps = randn(2, 4, *size, rng=rng).softmax(1)
        values = maps.tolist()
        cells = [1 - values[b][0][i][j] for b in range(2) for i in rows for j in columns]
        assert foreground_loss(maps).item() == pytest.approx(-sum(map(math.log, cells)) / len(cells), rel=1e-4)

    def test_background_trains_a_saturated_map(self, unchecked):
        logits = torch.tensor([-80.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3).clone().requires_grad_()
        background_loss(logits.softmax(1)).backward()
        assert logits.grad.isfinite().all()
        assert logits.grad[0, 0, :, 0].sum().item() == pytest.approx(-0.5, rel=1e-3)
        assert background_loss(torch.zeros(1, 2, 3, 1)).isfinite()
        with pytest.raises(ValueError, match="part_maps must have shape"):
            background_loss(logits[0])

    @pytest.mark.parametrize(("loss", "shape"), [(separation_loss, (2, 1, 2)), (diversity_loss, (2, 1, 5)),
                                                 (entropy_loss, (2, 1, 3, 3))])
    def test_refuse_what_cannot_be_compared(self, loss, shape):
        with pytest.raises(ValueError, match="at least two"):
            loss(torch.ones(shape))

    @pytest.mark.parametrize(("loss", "shape"), [
        (separation_loss, (2, 3, 2)), (diversity_loss, (2, 3, 5)), (entropy_loss, (2, 3, 4, 3)),
        (background_loss, (2, 3, 4, 3)), (concentration_loss, (2, 3, 4, 3))])
    def test_autocast(self, loss, shape, rng):
        tensor = torch.rand(shape, generator=rng).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            result = loss(tensor)
        assert result.dtype == torch.float32
        torch.testing.assert_close(result, loss(tensor.float()))
        assert loss(tensor.double()).dtype == torch.float64
