"""Geometry against closed forms, slow loops, kornia and autograd."""

from __future__ import annotations

import math

import kornia
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from random_tensors import randn, random_keypoints

from matlib.geometry import (
    Keypoints,
    ThinPlateSpline,
    blend_motions,
    bound_jacobians,
    centroids,
    check_choice,
    coordinate_grid,
    full_precision,
    inverse_2x2,
    local_motions,
    multiply_2x2,
    pool_jacobians,
    receptive_field_scale,
    soft_argmax,
    upsample,
    warp,
)

METRICS = ("l1", "euclidean")


def random_part_maps(batch, count, height, width, rng, dtype=torch.float32):
    return randn(batch, count + 1, height, width, rng=rng, dtype=dtype).softmax(dim=1)


def random_spline(batch, rng, metric="l1", dtype=torch.float32, points=5, amplitude=1.0) -> ThinPlateSpline:
    channels = 1 if metric == "l1" else 2
    theta = torch.eye(2, 3, dtype=dtype) + 0.05 * amplitude * randn(batch, 2, 3, rng=rng, dtype=dtype)
    params = 0.01 * amplitude * randn(batch, channels, points**2, rng=rng, dtype=dtype)
    return ThinPlateSpline(theta, coordinate_grid(points, points, dtype=dtype).view(1, -1, 2), params, metric)


class TestFullPrecision:
    """Seen through a matrix product, which autocast runs in bfloat16."""

    @staticmethod
    @full_precision
    def product(keypoints, matrix, *, other=None, power=1):
        result = keypoints.jacobians @ matrix
        return (result if other is None else result @ other), power

    def test_leaves_autocast(self, rng):
        keypoints, matrix = random_keypoints(2, 3, rng), randn(2, 2, rng=rng)
        with torch.autocast("cpu", torch.bfloat16):
            result, _ = self.product(keypoints, matrix)
            assert (keypoints.jacobians @ matrix).dtype == torch.bfloat16
        assert torch.equal(result, keypoints.jacobians @ matrix)

    def test_brings_tensors_and_keypoints_to_the_widest_dtype(self, rng):
        keypoints, matrix = random_keypoints(2, 3, rng), randn(2, 2, rng=rng)
        halves = Keypoints(*(t.half() for t in keypoints))
        assert self.product(halves, matrix.bfloat16())[0].dtype == torch.float32
        assert self.product(halves, matrix, other=matrix.double(), power=3)[0].dtype == torch.float64

    def test_leaves_integers_alone(self):
        function = full_precision(lambda tensor, index, count: (index, count))
        index, count = function(torch.ones(1), torch.tensor([1]), 2)
        assert index.dtype == torch.int64 and count == 2


class TestCoordinateGrid:
    @pytest.mark.parametrize("size", [(16, 8), (8, 16), (5, 7), (2, 2), (3, 1)])
    def test_equals_kornia(self, size):
        oracle = kornia.geometry.create_meshgrid(*size).nan_to_num(0.0)
        torch.testing.assert_close(coordinate_grid(*size)[None], oracle)

    def test_corners_and_order(self):
        grid = coordinate_grid(3, 5)
        assert grid.shape == (3, 5, 2)
        assert grid[0, 0].tolist() == [-1, -1] and grid[0, -1].tolist() == [1, -1]
        assert grid[-1, 0].tolist() == [-1, 1] and grid[1, 2].tolist() == [0, 0]

    def test_single_cell_is_the_centre(self):
        assert coordinate_grid(1, 1).tolist() == [[[0, 0]]]

    @pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 2)])
    def test_refuses_empty(self, size):
        with pytest.raises(ValueError, match="positive height and width"):
            coordinate_grid(*size)


class TestSoftArgmax:
    @pytest.mark.parametrize("shape", [(2, 3, 16, 8), (1, 10, 7, 5), (3, 1, 8, 16)])
    @pytest.mark.parametrize("temperature", [0.1, 1.0])
    def test_equals_kornia(self, shape, temperature, rng):
        logits = randn(*shape, rng=rng)
        heatmaps, positions = soft_argmax(logits, temperature)
        oracle = kornia.geometry.subpix.spatial_softmax2d(logits, torch.tensor(temperature))
        torch.testing.assert_close(heatmaps, oracle, atol=1e-6, rtol=1e-4)
        expected = kornia.geometry.subpix.spatial_expectation2d(oracle, normalized_coordinates=True)
        torch.testing.assert_close(positions, expected, atol=1e-5, rtol=0)

    def test_follows_a_shift_of_the_map(self, rng):
        logits = torch.zeros(1, 1, 9, 9)
        logits[0, 0, 3, 5] = 10.0
        _, positions = soft_argmax(logits)
        torch.testing.assert_close(positions[0, 0], coordinate_grid(9, 9)[3, 5], atol=1e-5, rtol=0)

    @given(st.sampled_from([1e4, 1e30, 3e38]), st.integers(1, 4), st.integers(1, 4))
    @settings(max_examples=20, deadline=None)
    def test_huge_logits_are_finite(self, size, height, width):
        logits = torch.linspace(-1, 1, height * width).view(1, 1, height, width) * size
        logits.requires_grad_()
        heatmaps, positions = soft_argmax(logits, 0.1)
        positions.sum().backward()
        assert heatmaps.isfinite().all() and positions.isfinite().all() and logits.grad.isfinite().all()
        assert positions.abs().max() <= 1

    def test_single_cell(self):
        heatmaps, positions = soft_argmax(torch.full((2, 3, 1, 1), 5.0))
        assert heatmaps.eq(1).all() and positions.eq(0).all()

    def test_bfloat16_autocast_gives_float32(self, rng):
        logits = randn(2, 3, 6, 4, rng=rng)
        with torch.autocast("cpu", torch.bfloat16):
            heatmaps, positions = soft_argmax(logits.bfloat16())
        assert heatmaps.dtype == positions.dtype == torch.float32
        torch.testing.assert_close((heatmaps, positions), soft_argmax(logits.bfloat16().float()))

    def test_float64_stays(self, rng):
        assert soft_argmax(randn(1, 1, 3, 3, rng=rng, dtype=torch.float64))[1].dtype == torch.float64

    @pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
    def test_refuses_the_temperature(self, temperature):
        with pytest.raises(ValueError, match="temperature"):
            soft_argmax(torch.zeros(1, 1, 2, 2), temperature)

    def test_refuses_the_shape(self, unchecked):
        with pytest.raises(ValueError, match=r"logits must have shape \(B, K, h, w\)"):
            soft_argmax(torch.zeros(1, 2, 2))


class TestPoolJacobians:
    @pytest.mark.parametrize("count", [3, 10])
    def test_equals_a_loop(self, count, rng):
        heatmaps, _ = soft_argmax(randn(2, count, 5, 3, rng=rng))
        maps = randn(2, 4 * count, 5, 3, rng=rng)
        pooled = pool_jacobians(heatmaps, maps)
        for b in range(2):
            for k in range(count):
                xx, xy, yx, yy = ((heatmaps[b, k] * maps[b, 4 * k + c]).sum() for c in range(4))
                torch.testing.assert_close(pooled[b, k], torch.stack((xx, xy, yx, yy)).view(2, 2))

    def test_refuses_wrong_channels(self, unchecked):
        with pytest.raises(ValueError, match=r"need Jacobian maps of shape \(1, 12, 2, 2\)"):
            pool_jacobians(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))


class TestCentroids:
    def test_equals_a_loop_and_leaves_out_the_background(self, rng):
        maps, grid = random_part_maps(2, 3, 5, 4, rng), coordinate_grid(5, 4)
        result = centroids(maps)
        assert result.shape == (2, 3, 2)
        for b in range(2):
            for k in range(3):
                part = maps[b, k + 1, :, :, None]
                torch.testing.assert_close(result[b, k], (part * grid).sum((0, 1)) / part.sum())

    def test_empty_part_is_finite(self):
        maps = torch.zeros(1, 3, 4, 4, requires_grad=True)
        result = centroids(maps)
        result.sum().backward()
        assert result.eq(0).all() and maps.grad.isfinite().all()

    def test_refuses_background_alone(self, unchecked):
        with pytest.raises(ValueError, match="at least one part"):
            centroids(torch.ones(1, 1, 3, 3))


class TestInverse:
    def test_equals_torch(self, rng):
        matrices = torch.eye(2) + 0.3 * randn(4, 5, 2, 2, rng=rng)
        torch.testing.assert_close(inverse_2x2(matrices), torch.linalg.inv(matrices), atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("det", [2e-3, -2e-3, 0.5, -0.5])
    def test_exact_where_the_determinant_is_large_enough(self, det):
        matrix = torch.tensor([[det, 0.0], [0.3, 1.0]])
        torch.testing.assert_close(matrix @ inverse_2x2(matrix), torch.eye(2))

    @pytest.mark.parametrize("det", [0.0, 1e-5, -1e-5])
    def test_sign_and_floor_of_the_determinant(self, det):
        inverse = inverse_2x2(torch.tensor([[det, 0.0], [0.0, 1.0]]))
        torch.testing.assert_close(inverse[0, 0], torch.tensor(1000.0 if det >= 0 else -1000.0))

    @pytest.mark.parametrize("matrix", [[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 2.0, 4.0], [0.0, 1.0, 0.0, 1.0]])
    def test_singular_is_finite(self, matrix):
        matrix = torch.tensor(matrix).view(2, 2).requires_grad_()
        inverse = inverse_2x2(matrix)
        inverse.square().sum().backward()
        assert inverse.isfinite().all() and matrix.grad.isfinite().all()

    def test_refuses_the_shape(self, unchecked):
        with pytest.raises(ValueError, match="needs matrices"):
            inverse_2x2(torch.zeros(3, 3))

    def test_product_equals_matmul(self, rng):
        left, right = randn(3, 1, 2, 2, rng=rng), randn(4, 2, 2, rng=rng)
        torch.testing.assert_close(multiply_2x2(left, right), left @ right)


class TestBoundJacobians:
    @given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4), st.floats(0.1, 0.95))
    def test_none_mirrors_or_goes_farther_than_the_reach(self, numbers, reach):
        bounded = bound_jacobians(torch.tensor(numbers, dtype=torch.float64).view(2, 2), reach)
        assert torch.linalg.det(bounded) > 0.999 * (1 - reach) ** 2
        assert torch.linalg.norm(bounded - torch.eye(2)) < 1.001 * reach

    def test_those_near_the_identity_stay(self, rng):
        near = torch.eye(2) + 0.02 * randn(5, 2, 2, rng=rng)
        torch.testing.assert_close(bound_jacobians(near), near, atol=1e-4, rtol=0)

    def test_the_identity_has_a_gradient(self):
        start = torch.eye(2, dtype=torch.float64, requires_grad=True)
        jacobian = torch.autograd.functional.jacobian(bound_jacobians, start).view(4, 4)
        torch.testing.assert_close(jacobian, torch.eye(4, dtype=torch.float64))

    @pytest.mark.parametrize("reach", [0.0, 1.0, -0.5])
    def test_refuses_a_reach_that_bounds_nothing(self, reach):
        with pytest.raises(ValueError, match="reach"):
            bound_jacobians(torch.eye(2), reach)


class TestLocalMotions:
    @pytest.mark.parametrize("count", [1, 3, 10])
    @pytest.mark.parametrize("size", [(16, 8), (5, 7)])
    def test_equals_a_loop(self, count, size, rng):
        reference, source = random_keypoints(2, count, rng), random_keypoints(2, count, rng)
        motions = local_motions(reference, source, *size)
        grid = coordinate_grid(*size)
        assert motions.shape == (2, count + 1, *size, 2)
        for b in range(2):
            torch.testing.assert_close(motions[b, 0], grid)
            for k in range(count):
                linear = source.jacobians[b, k] @ torch.linalg.inv(reference.jacobians[b, k])
                for i, j in ((0, 0), (size[0] - 1, 1), (2, size[1] - 1)):
                    expected = source.positions[b, k] + linear @ (grid[i, j] - reference.positions[b, k])
                    torch.testing.assert_close(motions[b, k + 1, i, j], expected, atol=1e-5, rtol=1e-5)

    def test_sends_the_reference_keypoint_to_the_source_keypoint(self, rng):
        size, cell = (9, 5), (6, 1)
        reference, source = random_keypoints(2, 3, rng), random_keypoints(2, 3, rng)
        at_a_cell = coordinate_grid(*size)[cell].expand(2, 3, 2)
        motions = local_motions(Keypoints(at_a_cell, reference.jacobians), source, *size)
        torch.testing.assert_close(motions[:, 1:, cell[0], cell[1]], source.positions)

    @given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 10]), st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_identity_where_the_images_are_equal(self, height, width, count, seed):
        rng = torch.Generator().manual_seed(seed)
        keypoints = random_keypoints(2, count, rng, torch.float64)
        # Away from singular Jacobians, where the guarded inverse is no inverse.
        jacobians = keypoints.jacobians + torch.eye(2)
        keypoints = keypoints._replace(jacobians=jacobians)
        maps = random_part_maps(2, count, height, width, rng, torch.float64)
        flow = blend_motions(maps, local_motions(keypoints, keypoints, height, width))
        torch.testing.assert_close(flow, coordinate_grid(height, width, dtype=torch.float64).expand_as(flow))

    def test_invisible_parts_stay(self, rng):
        reference, source = random_keypoints(2, 3, rng), random_keypoints(2, 3, rng)
        visible = torch.tensor([[True, False, True], [False, True, True]])
        everything = local_motions(reference, source, 4, 3)
        motions = local_motions(reference, source, 4, 3, visible=visible)
        for b in range(2):
            for k in range(3):
                expected = everything[b, k + 1] if visible[b, k] else coordinate_grid(4, 3)
                torch.testing.assert_close(motions[b, k + 1], expected)

    def test_singular_jacobians_are_finite(self, rng):
        reference, source = random_keypoints(1, 3, rng), random_keypoints(1, 3, rng)
        jacobians = torch.zeros(1, 3, 2, 2, requires_grad=True)
        motions = local_motions(Keypoints(reference.positions, jacobians), source, 4, 3)
        motions.sum().backward()
        assert motions.isfinite().all() and jacobians.grad.isfinite().all()

    def test_autocast_keeps_float32(self, rng):
        reference, source = random_keypoints(2, 3, rng), random_keypoints(2, 3, rng)
        halves = [Keypoints(*(t.bfloat16() for t in k)) for k in (reference, source)]
        with torch.autocast("cpu", torch.bfloat16):
            motions = local_motions(*halves, 4, 3)
        assert motions.dtype == torch.float32
        floats = [Keypoints(*(t.float() for t in k)) for k in halves]
        torch.testing.assert_close(motions, local_motions(*floats, 4, 3))

    def test_refuses_different_counts(self, rng, unchecked):
        with pytest.raises(ValueError, match="differ in shape"):
            local_motions(random_keypoints(2, 3, rng), random_keypoints(2, 4, rng), 4, 3)
        positions, jacobians = random_keypoints(2, 3, rng)
        with pytest.raises(ValueError, match="need Jacobians"):
            broken = Keypoints(positions, jacobians[..., 0])
            local_motions(broken, broken, 4, 3)
        with pytest.raises(ValueError, match="positions must have shape"):
            broken = Keypoints(positions[0], jacobians)
            local_motions(broken, broken, 4, 3)

    def test_refuses_unfit_visibility(self, rng):
        keypoints = random_keypoints(2, 3, rng)
        with pytest.raises(ValueError, match="visible"):
            local_motions(keypoints, keypoints, 4, 3, visible=torch.ones(2, 4, dtype=torch.bool))


class TestFlow:
    def test_global_affine_motion_is_recovered_whatever_the_parts(self, rng):
        dtype = torch.float64
        linear = torch.eye(2, dtype=dtype) + 0.2 * randn(2, 2, rng=rng, dtype=dtype)
        shift = torch.tensor([0.2, -0.1], dtype=dtype)
        reference = random_keypoints(2, 4, rng, dtype)
        source = Keypoints(reference.positions @ linear.T + shift, linear @ reference.jacobians)
        maps = random_part_maps(2, 3, 6, 5, rng, dtype)  # four maps, all of them foreground
        maps = torch.cat((torch.zeros(2, 1, 6, 5, dtype=dtype), maps), dim=1)
        flow = blend_motions(maps, local_motions(reference, source, 6, 5))
        expected = coordinate_grid(6, 5, dtype=dtype) @ linear.T + shift
        torch.testing.assert_close(flow, expected.expand_as(flow))

    def test_background_stays_and_parts_blend(self, rng):
        motions = randn(1, 3, 2, 2, 2, rng=rng)
        maps = torch.zeros(1, 3, 2, 2)
        maps[0, 0, 0, 0] = maps[0, 2, 0, 1] = 1.0
        maps[0, 1:, 1] = 0.5
        flow = blend_motions(maps, motions)
        torch.testing.assert_close(flow[0, 0, 0], motions[0, 0, 0, 0])
        torch.testing.assert_close(flow[0, 0, 1], motions[0, 2, 0, 1])
        torch.testing.assert_close(flow[0, 1], motions[0, 1:, 1].mean(0))

    @pytest.mark.parametrize("size", [(16, 8), (7, 9)])
    def test_known_translation_is_undone(self, size, rng):
        """B is A's map moved by (+2, +1) cells: the flow from the two keypoints reads A back out of B."""
        height, width = size
        a = randn(2, 4, height, width, rng=rng)
        b = torch.zeros_like(a)
        b[..., 1:, 2:] = a[..., :-1, :-2]
        step = torch.tensor([2 * 2 / (width - 1), 2 * 1 / (height - 1)])
        eye = torch.eye(2).expand(2, 3, 2, 2)
        reference = random_keypoints(2, 3, rng)._replace(jacobians=eye)
        source = Keypoints(reference.positions + step, eye)
        maps = random_part_maps(2, 2, height, width, rng)
        maps = torch.cat((torch.zeros_like(maps[:, :1]), maps), dim=1)
        aligned = warp(b, blend_motions(maps, local_motions(reference, source, height, width)))
        inside = (..., slice(0, height - 1), slice(0, width - 2))
        torch.testing.assert_close(aligned[inside], a[inside], atol=1e-4, rtol=0)
        assert (b[inside] - a[inside]).abs().mean() > 0.5

    def test_refuses_unfit_motions(self, unchecked):
        with pytest.raises(ValueError, match="need motions of shape"):
            blend_motions(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4, 2))


class TestWarp:
    @pytest.mark.parametrize("size", [(16, 8), (5, 7), (1, 1), (1, 4)])
    def test_the_grid_itself_changes_nothing(self, size, rng):
        features = randn(2, 3, *size, rng=rng)
        warped = warp(features, coordinate_grid(*size).expand(2, *size, 2))
        torch.testing.assert_close(warped, features, atol=1e-5, rtol=1e-5)

    def test_reads_at_the_flow(self, rng):
        features = randn(1, 2, 3, 5, rng=rng)
        grid = coordinate_grid(3, 5)
        flow = torch.stack((grid[1, 4], grid[0, 1:3].mean(0))).view(1, 1, 2, 2)
        warped = warp(features, flow)
        torch.testing.assert_close(warped[0, :, 0, 0], features[0, :, 1, 4])
        torch.testing.assert_close(warped[0, :, 0, 1], features[0, :, 0, 1:3].mean(-1), atol=1e-5, rtol=1e-5)

    def test_padding(self):
        features, outside = torch.ones(1, 1, 3, 3), torch.full((1, 1, 1, 2), 5.0)
        assert warp(features, outside).item() == 0
        assert warp(features, outside, padding="border").item() == 1
        with pytest.raises(ValueError, match="padding must be one of"):
            warp(features, outside, padding="wrap")

    def test_mixed_dtypes_meet_in_the_wider(self):
        features, flow = torch.ones(1, 1, 2, 2).half(), torch.zeros(1, 2, 2, 2)
        assert warp(features, flow).dtype == torch.float32
        assert warp(features, flow.double()).dtype == torch.float64

    def test_refuses_unfit_flow(self, unchecked):
        for flow in (torch.zeros(1, 3, 3, 2), torch.zeros(2, 3, 3), torch.zeros(2, 2, 3, 3)):
            with pytest.raises(ValueError, match="need a flow of shape"):
                warp(torch.zeros(2, 1, 3, 3), flow)


def test_receptive_field_scale():
    assert receptive_field_scale((256, 128), (16, 8), 16) == pytest.approx((112 / 127, 240 / 255))
    a_x, a_y = receptive_field_scale((256, 128), (16, 8), 16)
    # Cell m looks at pixel 16 m: its feature coordinate must lead to that pixel's image coordinate.
    feature_x, image_x = coordinate_grid(16, 8)[0, :, 0], coordinate_grid(256, 128)[0, ::16, 0]
    torch.testing.assert_close(a_x * (feature_x + 1) - 1, image_x)
    assert a_y > a_x
    with pytest.raises(ValueError, match="at least 2"):
        receptive_field_scale((256, 128), (1, 1), 16)


def slow_spline(spline: ThinPlateSpline, b: int, point: list[float]) -> list[float]:
    """T(z) for one point in plain Python numbers."""
    theta, params = spline.theta[b].tolist(), spline.control_params[b].tolist()
    out = [row[0] * point[0] + row[1] * point[1] + row[2] for row in theta]
    for i, (cx, cy) in enumerate(spline.control_points[0].tolist()):
        dx, dy = point[0] - cx, point[1] - cy
        if spline.metric == "l1":
            r = abs(dx) + abs(dy)
            kernel = r**2 * math.log(r + 1e-6)
        else:
            r = math.hypot(dx, dy)
            kernel = r**2 * math.log(r) if r > 0 else 0.0
        for axis in range(2):
            out[axis] += kernel * params[axis if spline.metric == "euclidean" else 0][i]
    return out


def test_upsampled_maps_have_their_cells_where_they_look(rng):
    maps = randn(2, 4, 16, 8, rng=rng)
    large = upsample(maps, (128, 64), receptive_field_scale((128, 64), (16, 8), 8))
    torch.testing.assert_close(large[:, :, ::8, ::8], maps, atol=1e-4, rtol=1e-4)
    assert torch.equal(large[:, :, -1, -1], maps[:, :, -1, -1])  # beyond the last cell's centre


class TestThinPlateSpline:
    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_equals_a_loop(self, metric, dtype, rng):
        spline = random_spline(3, rng, metric, dtype)
        points = torch.rand(3, 6, 2, generator=rng, dtype=dtype) * 2.4 - 1.2
        points[:, 0] = spline.control_points[0, 7]
        warped = spline.warp_points(points)
        assert warped.dtype == dtype
        expected = torch.tensor(
            [[slow_spline(spline, b, p) for p in points[b].tolist()] for b in range(3)], dtype=dtype)
        tolerance = 1e-5 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(warped, expected, atol=tolerance, rtol=tolerance)

    def test_euclidean_equals_kornia(self, rng):
        spline = random_spline(3, rng, "euclidean")
        points = torch.rand(3, 9, 2, generator=rng) * 2 - 1
        affine = torch.cat((spline.theta[:, :, 2:].mT, spline.theta[:, :, :2].mT), dim=1)
        oracle = kornia.geometry.transform.warp_points_tps(
            points, spline.control_points.expand(3, -1, -1), spline.control_params.mT, affine)
        torch.testing.assert_close(spline.warp_points(points), oracle, atol=2e-6, rtol=0)

    @pytest.mark.parametrize("metric", METRICS)
    def test_jacobian_equals_autograd(self, metric, rng):
        spline = random_spline(2, rng, metric, torch.float64)
        points = torch.rand(2, 7, 2, generator=rng, dtype=torch.float64) * 2.4 - 1.2
        points[:, 0] = spline.control_points[0, 12]
        points.requires_grad_()
        warped = spline.warp_points(points)
        rows = [torch.autograd.grad(warped[..., i].sum(), points, retain_graph=True)[0] for i in range(2)]
        torch.testing.assert_close(spline.jacobian(points), torch.stack(rows, dim=-2), atol=1e-10, rtol=1e-10)

    @pytest.mark.parametrize("metric", METRICS)
    def test_jacobian_is_differentiable(self, metric, rng):
        spline = random_spline(2, rng, metric, torch.float64)
        points = (torch.rand(2, 3, 2, generator=rng, dtype=torch.float64) * 1.7 - 0.87).requires_grad_()
        assert torch.autograd.gradcheck(spline.jacobian, points)
        assert torch.autograd.gradcheck(spline.warp_points, points)

    @pytest.mark.parametrize("metric", METRICS)
    def test_finite_on_control_points(self, metric, rng):
        spline = random_spline(1, rng, metric)
        points = spline.control_points.clone().requires_grad_()
        (spline.warp_points(points).sum() + spline.jacobian(points).sum()).backward()
        assert spline.jacobian(points).isfinite().all() and points.grad.isfinite().all()

    @pytest.mark.parametrize("metric", METRICS)
    def test_batches_of_one_broadcast(self, metric, rng):
        full = random_spline(3, rng, metric)
        points = torch.rand(1, 4, 2, generator=rng)
        torch.testing.assert_close(full.warp_points(points), full.warp_points(points.expand(3, -1, -1)))
        one = ThinPlateSpline(full.theta[:1], full.control_points, full.control_params, metric)
        assert len(one) == 3
        torch.testing.assert_close(one[2].theta, full[0].theta)
        single = full[1]
        many = torch.rand(5, 4, 2, generator=rng)
        torch.testing.assert_close(single.warp_points(many)[3], single.warp_points(many[3:4])[0])
        torch.testing.assert_close(single.jacobian(many)[3], single.jacobian(many[3:4])[0])

    def test_indexing_takes_a_share(self, rng):
        spline = random_spline(6, rng)
        points = torch.rand(1, 4, 2, generator=rng)
        everything = spline.warp_points(points)
        for index in (slice(2, 4), [5, 0], torch.tensor([1, 3]), torch.tensor([True] + [False] * 5)):
            torch.testing.assert_close(spline[index].warp_points(points), everything[index])
        assert len(spline[-1]) == 1 and len(spline.to("cpu")) == 6
        torch.testing.assert_close(spline[-1].warp_points(points), everything[-1:])

    def test_random_is_deterministic_and_scaled(self):
        def draw(**options):
            return ThinPlateSpline.random(2000, generator=torch.Generator().manual_seed(3), **options)

        spline, again = draw(), draw()
        assert torch.equal(spline.theta, again.theta)
        assert torch.equal(spline.control_params, again.control_params)
        assert spline.theta.shape == (2000, 2, 3) and spline.control_params.shape == (2000, 1, 25)
        torch.testing.assert_close(spline.theta.mean(0), torch.eye(2, 3), atol=0.005, rtol=0)
        assert spline.theta.std(0).mean().item() == pytest.approx(0.05, rel=0.03)
        assert spline.control_params.std().item() == pytest.approx(0.005, rel=0.03)
        other = draw(metric="euclidean", points=4, sigma_tps=0.01)
        assert other.control_params.shape == (2000, 2, 16)
        assert other.control_params.std().item() == pytest.approx(0.01, rel=0.03)
        still = ThinPlateSpline.random(1, generator=torch.Generator(), sigma_affine=0, sigma_tps=0)
        point = torch.tensor([[[0.3, -0.4]]])
        torch.testing.assert_close(still.warp_points(point), point)

    def test_mirrored_before_they_are_bent(self, rng):
        def draw(**options):
            return ThinPlateSpline.random(400, generator=torch.Generator().manual_seed(3), **options)

        some, none, images = draw(mirror=0.25), draw(), torch.rand(400, 1, 6, 5, generator=rng)
        assert not none.mirrors.any() and some.mirrors.float().mean().item() == pytest.approx(0.25, abs=0.06)
        kept = ~some.mirrors
        points = torch.rand(1, 7, 2, generator=rng)
        torch.testing.assert_close(some[kept].warp_points(points), none[kept].warp_points(points))
        flat = draw(mirror=1.0, sigma_affine=0.0, sigma_tps=0.0)
        torch.testing.assert_close(flat.warp_images(images), images.flip(-1))

    def test_random_leaves_the_global_state_alone(self):
        before = torch.get_rng_state()
        ThinPlateSpline.random(2, generator=torch.Generator().manual_seed(0))
        assert torch.equal(before, torch.get_rng_state())

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [({"metric": "l3"}, "metric must be one of"), ({"points": 1}, "points"), ({"batch": 0}, "batch"),
         ({"sigma_affine": -0.1}, "negative"), ({"sigma_tps": -0.1}, "negative"),
         ({"mirror": 1.5}, "mirrored images"), ({"mirror": float("nan")}, "mirrored images")])
    def test_random_refuses(self, options, sentence):
        with pytest.raises(ValueError, match=sentence):
            ThinPlateSpline.random(**{"batch": 2, "generator": torch.Generator(), **options})

    @pytest.mark.parametrize(
        ("theta", "points", "params", "metric", "sentence"),
        [((1, 3, 2), (1, 4, 2), (1, 1, 4), "l1", "theta"),
         ((1, 2, 3), (2, 4, 2), (1, 1, 4), "l1", "control_points"),
         ((1, 2, 3), (1, 4, 2), (1, 2, 4), "l1", "control_params"),
         ((2, 2, 3), (1, 4, 2), (3, 1, 4), "l1", "batch"),
         ((1, 2, 3), (1, 4, 2), (1, 1, 4), "euclidean", "control_params"),
         ((1, 2, 3), (1, 4, 2), (1, 1, 4), "cosine", "metric")])
    def test_constructor_refuses(self, theta, points, params, metric, sentence):
        with pytest.raises(ValueError, match=sentence):
            ThinPlateSpline(torch.zeros(theta), torch.zeros(points), torch.zeros(params), metric)

    def test_refuses_unfit_points(self, rng, unchecked):
        spline = random_spline(2, rng)
        for bad in (torch.zeros(3, 4, 2), torch.zeros(4, 2), torch.zeros(2, 4, 3)):
            for method in (spline.warp_points, spline.jacobian):
                with pytest.raises(ValueError, match="points"):
                    method(bad)

    def test_autocast_keeps_float32(self, rng):
        spline, points = random_spline(2, rng), torch.rand(2, 3, 2, generator=rng).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            results = spline.warp_points(points), spline.jacobian(points)
        assert all(r.dtype == torch.float32 for r in results)
        points = points.float()
        torch.testing.assert_close(results, (spline.warp_points(points), spline.jacobian(points)))


def smooth_image(positions, height, width):
    """Blobs centred on the positions (B, N, 2): one channel each."""
    offsets = coordinate_grid(height, width) - positions[:, :, None, None]
    return torch.exp(-offsets.square().sum(-1) / 0.01)


def peak(images):
    """The centre of mass of every channel."""
    grid = coordinate_grid(*images.shape[-2:])
    return (images[..., None] * grid).sum((2, 3)) / images.sum((2, 3))[..., None]


class TestWarpImages:
    @pytest.mark.parametrize("size", [(32, 16), (15, 21)])
    @pytest.mark.parametrize("metric", METRICS)
    def test_every_pixel_reads_its_warped_point(self, metric, size, rng):
        spline, images = random_spline(2, rng, metric), torch.rand(2, 3, *size, generator=rng)
        flow = spline.warp_points(coordinate_grid(*size).view(1, -1, 2)).view(2, *size, 2)
        expected = F.grid_sample(images, flow, padding_mode="reflection", align_corners=True)
        assert torch.equal(spline.warp_images(images), expected)

    def test_content_direction(self):
        """T(z) = z + shift: what is at p in X is at p - shift in Y."""
        theta = torch.tensor([[[1.0, 0.0, 0.3], [0.0, 1.0, -0.2]]])
        spline = ThinPlateSpline(theta, coordinate_grid(5, 5).view(1, -1, 2), torch.zeros(1, 1, 25))
        position = torch.tensor([[[0.1, 0.2]]])
        warped = spline.warp_images(smooth_image(position, 65, 65))
        torch.testing.assert_close(peak(warped), torch.tensor([[[-0.2, 0.4]]]), atol=0.01, rtol=0)

    @pytest.mark.parametrize("metric", METRICS)
    def test_agrees_with_warp_points(self, metric, rng):
        """A blob at T(q) in X is found at q in Y."""
        spline = random_spline(2, rng, metric, amplitude=0.5)
        found_at = torch.rand(2, 4, 2, generator=rng) * 1.0 - 0.5
        warped = spline.warp_images(smooth_image(spline.warp_points(found_at), 129, 97))
        torch.testing.assert_close(peak(warped), found_at, atol=0.02, rtol=0)

    @pytest.mark.parametrize("metric", METRICS)
    def test_affine_part_equals_kornia(self, metric, rng):
        spline = ThinPlateSpline(random_spline(2, rng).theta, coordinate_grid(5, 5).view(1, -1, 2),
                                 torch.zeros(2, 1 if metric == "l1" else 2, 25), metric)
        images = torch.rand(2, 1, 9, 7, generator=rng)
        flow = F.affine_grid(spline.theta, [2, 1, 9, 7], align_corners=True)
        expected = kornia.geometry.remap(images, flow[..., 0], flow[..., 1], padding_mode="reflection",
                                         align_corners=True, normalized_coordinates=True)
        torch.testing.assert_close(spline.warp_images(images), expected, atol=1e-4, rtol=0)

    def test_registered_warp_applies_t_in_feature_coordinates(self, rng):
        """Strided samplings of X and of the registered Y are related by T in the samples' coordinates."""
        image_size, feature_size, stride = (129, 65), (16, 8), 8
        scale = receptive_field_scale(image_size, feature_size, stride)
        a = torch.tensor(scale)
        spline = random_spline(1, rng, amplitude=0.5)
        found_at = torch.rand(1, 3, 2, generator=rng) - 0.5  # feature coordinates in Y

        def to_image(u):
            return a * (u + 1) - 1

        originals = smooth_image(to_image(spline.warp_points(found_at)), *image_size)
        registered = peak(spline.warp_images(originals, scale=scale))
        plain = peak(spline.warp_images(originals))
        torch.testing.assert_close(registered, to_image(found_at), atol=0.02, rtol=0)
        errors = [(p - to_image(found_at)).abs().mean() for p in (registered, plain)]
        assert errors[0] < errors[1]

    def test_identity_and_unit_scale(self, rng):
        images = torch.rand(2, 3, 12, 7, generator=rng)
        still = random_spline(1, rng, amplitude=0.0)
        torch.testing.assert_close(still.warp_images(images), images, atol=1e-5, rtol=0)
        torch.testing.assert_close(still.warp_images(images, scale=(0.8, 0.9)), images, atol=1e-5, rtol=0)
        spline = random_spline(2, rng)
        assert torch.equal(spline.warp_images(images), spline.warp_images(images, scale=(1.0, 1.0)))
        nearly = spline.warp_images(images, scale=(1.0, 1.0 + 1e-7))
        torch.testing.assert_close(nearly, spline.warp_images(images), atol=1e-4, rtol=0)

    def test_refuses(self, rng, unchecked):
        spline = random_spline(2, rng)
        with pytest.raises(ValueError, match="do not fit"):
            spline.warp_images(torch.zeros(3, 1, 4, 4))
        with pytest.raises(ValueError, match="scale"):
            spline.warp_images(torch.zeros(2, 1, 4, 4), scale=(0.0, 1.0))
        with pytest.raises(ValueError, match="images must have shape"):
            spline.warp_images(torch.zeros(2, 4, 4))


def test_check_choice_names_the_option():
    with pytest.raises(ValueError, match="colour must be one of red, blue, not 'green'"):
        check_choice("colour", "green", ("red", "blue"))
