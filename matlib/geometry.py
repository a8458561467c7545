"""Coordinates, motions and deformations of the paper's Sections 3.3 to 3.5; no model knowledge.

Points are (x, y), each axis in [-1, 1] and corner-aligned: -1 and 1 are the *centres* of the first and the
last cell. Jacobians are `J[..., i, j] = d out_i / d in_j` in these units, which are anisotropic on maps that
are not square.

Every public function computes in float32 (in float64 where an argument is float64), also under autocast, and
multiplies small matrices elementwise: TF32 matrix products would cost the coordinates half of their digits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

# The run-time checks take `float` literally: an integer would be refused.
Number = float | int

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Keypoints(NamedTuple):
    """K keypoints an image, with the local linear motion around each.

    Attributes:
        positions: (x, y) in [-1, 1], corner-aligned on the feature map.
        jacobians: `J[i, j] = d image_i / d abstract_j` at the keypoint (Equation 4's factors).
    """

    positions: Float[Tensor, "b k 2"]
    jacobians: Float[Tensor, "b k 2 2"]


def full_precision(function: _Function) -> _Function:
    """Decorate a function to run outside autocast, on floating-point tensors and keypoints of one dtype.

    Float64 where any of them is float64, and float32 otherwise.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        tensors = [t for value in (*args, *kwargs.values()) for t in _floating_tensors(value)]
        if not tensors:
            return function(*args, **kwargs)
        dtype = torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32
        with torch.autocast(tensors[0].device.type, enabled=False):
            return function(*(_cast(value, dtype) for value in args),
                            **{name: _cast(value, dtype) for name, value in kwargs.items()})

    return wrapper  # type: ignore[return-value]


def _floating_tensors(value: Any) -> list[Tensor]:
    candidates = value if isinstance(value, Keypoints) else (value,)
    return [t for t in candidates if isinstance(t, Tensor) and t.is_floating_point()]


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Keypoints):
        return Keypoints(*(t.to(dtype) for t in value))
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise `ValueError` where the option `name` has a value that is none of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def coordinate_grid(
    height: int, width: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Float[Tensor, "{height} {width} 2"]:
    """The (x, y) of every cell of a map, corner-aligned; an axis of one cell has the coordinate 0.

    Raises:
        ValueError: the height or the width is not positive.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a coordinate grid needs a positive height and width, not {height} x {width}")
    x, y = (
        2 * (torch.arange(size, dtype=dtype, device=device) / (size - 1)) - 1
        if size > 1
        else torch.zeros(1, dtype=dtype, device=device)
        for size in (width, height)
    )
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1)


def _grid_of(maps: Tensor) -> Float[Tensor, "h w 2"]:
    return coordinate_grid(*maps.shape[-2:], dtype=maps.dtype, device=maps.device)


@full_precision
def soft_argmax(
    logits: Float[Tensor, "b k h w"], temperature: Number = 0.1
) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b k 2"]]:
    """Heatmaps and keypoint positions of Equation 2: a spatial softmax and its expected coordinate.

    Args:
        logits: scores of every keypoint at every cell.
        temperature: the logits are divided by it before the softmax.

    Returns:
        Heatmaps that sum to 1 over the cells, and positions (x, y) in [-1, 1].

    Raises:
        ValueError: the temperature is not positive, or `logits` has not four axes.
    """
    _check_axes("logits", logits, "(B, K, h, w)")
    if not temperature > 0:
        raise ValueError(f"the temperature of the soft-argmax must be positive, not {temperature}")
    flat = logits.flatten(2)
    # Shifted before the division: huge logits over a small temperature would overflow.
    shifted = flat - flat.detach().amax(dim=-1, keepdim=True)
    heatmaps = (shifted / temperature).softmax(dim=-1).view_as(logits)
    return heatmaps, _expected_coordinate(heatmaps)


def _expected_coordinate(weights: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k 2"]:
    return (weights[..., None] * _grid_of(weights)).sum(dim=(2, 3))


@full_precision
def pool_jacobians(
    heatmaps: Float[Tensor, "b k h w"], jacobian_maps: Float[Tensor, "b 4*k h w"]
) -> Float[Tensor, "b k 2 2"]:
    """One Jacobian a keypoint: the mean of its Jacobian map, weighted by its heatmap.

    Args:
        heatmaps: sum to 1 over the cells.
        jacobian_maps: channel 4k + c belongs to keypoint k; c = xx, xy, yx, yy (output axis first).

    Raises:
        ValueError: there are not four maps a heatmap, of its size.
    """
    _check_axes("heatmaps", heatmaps, "(B, K, h, w)")
    batch, count, height, width = heatmaps.shape
    if jacobian_maps.shape != (batch, 4 * count, height, width):
        raise ValueError(f"heatmaps of shape {tuple(heatmaps.shape)} need Jacobian maps of shape "
                         f"{(batch, 4 * count, height, width)}, not {tuple(jacobian_maps.shape)}")
    maps = jacobian_maps.view(batch, count, 2, 2, height, width)
    return (heatmaps[:, :, None, None] * maps).sum(dim=(-2, -1))


@full_precision
def bound_jacobians(jacobians: Float[Tensor, "*shape 2 2"], reach: Number = 0.9) -> Float[Tensor, "*shape 2 2"]:
    """Jacobians kept from mirroring or flattening their part; those near the identity stay as they are.

    `I + reach tanh(|R| / reach) R / |R|` with `R = J - I` and the Frobenius norm: no singular value is below
    `1 - reach`, so no determinant is below `(1 - reach)^2`. The cited code bounds nothing.

    Args:
        reach: farthest from the identity, in (0, 1).

    Raises:
        ValueError: the reach is outside of (0, 1).
    """
    if not 0 < reach < 1:
        raise ValueError(f"the reach of bounded Jacobians must lie in (0, 1), not {reach}")
    identity = torch.eye(2, dtype=jacobians.dtype, device=jacobians.device)
    rest = jacobians - identity
    # Not a plain norm: its gradient at the identity, where training starts, does not exist.
    distance = (rest.square().sum(dim=(-2, -1), keepdim=True) + 1e-12).sqrt()
    return identity + reach * torch.tanh(distance / reach) * rest / distance


@full_precision
def centroids(part_maps: Float[Tensor, "b parts h w"]) -> Float[Tensor, "b parts-1 2"]:
    """The centre of mass of every part but the background.

    The literal reading of Equation 5's "location of the segment", to be put in for `Keypoints.positions`.
    A part without mass lies at the map's centre.

    Args:
        part_maps: not negative; index 0, the background, is left out.

    Raises:
        ValueError: there is no part beside the background.
    """
    _check_axes("part_maps", part_maps, "(B, K + 1, h, w)")
    if part_maps.shape[1] < 2:
        raise ValueError("part_maps holds the background alone: at least one part is needed")
    parts = part_maps[:, 1:]
    mass = parts.sum(dim=(2, 3)).clamp_min(1e-6)
    return _expected_coordinate(parts) / mass[..., None]


@full_precision
def inverse_2x2(
    matrices: Float[Tensor, "*shape 2 2"], min_abs_det: Number = 1e-3
) -> Float[Tensor, "*shape 2 2"]:
    """The inverse of 2x2 matrices, finite and with finite gradients for singular ones too.

    Adjugate over determinant. A determinant smaller in size than `min_abs_det` is replaced by `min_abs_det`
    with the same sign (0 counts as positive); elsewhere the inverse is exact.

    Raises:
        ValueError: the last two axes are not 2 x 2.
    """
    if matrices.shape[-2:] != (2, 2):
        raise ValueError(f"inverse_2x2 needs matrices of shape (..., 2, 2), not {tuple(matrices.shape)}")
    a, b, c, d = matrices.flatten(-2).unbind(-1)
    det = a * d - b * c
    floor = torch.where(det < 0, -min_abs_det, min_abs_det).to(det.dtype)
    det = torch.where(det.abs() < min_abs_det, floor, det)
    adjugate = torch.stack((d, -b, -c, a), dim=-1).unflatten(-1, (2, 2))
    return adjugate / det[..., None, None]


@full_precision
def multiply_2x2(left: Float[Tensor, "*#shape 2 2"], right: Float[Tensor, "*#shape 2 2"]) -> Tensor:
    """The matrix product of 2x2 matrices in full float32 (no TF32); leading axes broadcast."""
    return (left[..., :, :, None] * right[..., None, :, :]).sum(dim=-2)


def _transform(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices * vectors[..., None, :]).sum(dim=-1)


@full_precision
def local_motions(
    reference: Keypoints,
    source: Keypoints,
    height: int,
    width: int,
    *,
    visible: Bool[Tensor, "b k"] | None = None,
) -> Float[Tensor, "b parts {height} {width} 2"]:
    """The motion of every part: for every cell of the reference a position in the source (Equations 3 to 5).

    `G_k(z) = p_source + J_source J_reference^-1 (z - p_reference)` for k = 1..K, and `G_0(z) = z` for the
    background. The paper's arrows run the other way; a grid that resamples the source on the reference's
    cells must run this way.

    Args:
        reference: the image whose frame the result lives in (A in Equations 10 to 12).
        source: the image that is to be warped (B).
        height, width: of the reference's map.
        visible: where false, the part moves with the identity (it is seen in one image only, for instance).

    Returns:
        (B, K + 1, h, w, 2); index 0 is the identity.

    Raises:
        ValueError: the two images' keypoints differ in shape, or `visible` does not fit them.
    """
    check_keypoints(reference, source)
    shape = reference.positions.shape[:2]
    if visible is not None and visible.shape != shape:
        raise ValueError(f"visible must have the keypoints' shape {tuple(shape)}, not {tuple(visible.shape)}")
    positions = reference.positions
    grid = coordinate_grid(height, width, dtype=positions.dtype, device=positions.device)
    linear = multiply_2x2(source.jacobians, inverse_2x2(reference.jacobians))
    offsets = grid - positions[:, :, None, None]  # (B, K, h, w, 2)
    motions = source.positions[:, :, None, None] + _transform(linear[:, :, None, None], offsets)
    if visible is not None:
        motions = torch.where(visible[:, :, None, None, None], motions, grid)
    background = grid.expand(shape[0], 1, height, width, 2)
    return torch.cat((background, motions), dim=1)


def check_keypoints(first: Keypoints, second: Keypoints) -> None:
    """Raise `ValueError` where the keypoints of two images have no shapes of keypoints, or not the same."""
    shape = first.positions.shape
    if len(shape) != 3 or shape[-1] != 2:
        raise ValueError(f"keypoint positions must have shape (B, K, 2), not {tuple(shape)}")
    if second.positions.shape != shape:
        raise ValueError(f"the keypoints of the two images differ in shape: {tuple(shape)} and "
                         f"{tuple(second.positions.shape)}")
    for keypoints in (first, second):
        if keypoints.jacobians.shape != (*shape, 2):
            raise ValueError(f"positions of shape {tuple(shape)} need Jacobians of shape {(*shape, 2)}, "
                             f"not {tuple(keypoints.jacobians.shape)}")


@full_precision
def blend_motions(
    part_maps: Float[Tensor, "b parts h w"], motions: Float[Tensor, "b parts h w 2"]
) -> Float[Tensor, "b h w 2"]:
    """The dense flow of Equation 7, `G(z) = sum_k M_k(z) G_k(z)`, on the grid of the reference.

    Args:
        part_maps: of the *reference* image; they must sum to 1 over the parts.
        motions: from `local_motions`.

    Raises:
        ValueError: the maps and the motions do not fit each other.
    """
    _check_axes("part_maps", part_maps, "(B, K + 1, h, w)")
    if motions.shape != (*part_maps.shape, 2):
        raise ValueError(f"part maps of shape {tuple(part_maps.shape)} need motions of shape "
                         f"{(*part_maps.shape, 2)}, not {tuple(motions.shape)}")
    return (part_maps[..., None] * motions).sum(dim=1)


@full_precision
def warp(
    features: Float[Tensor, "b c source_h source_w"], flow: Float[Tensor, "b h w 2"], padding: str = "zeros"
) -> Float[Tensor, "b c h w"]:
    """Resample a map at the flow's positions, bilinearly: the product of Equations 8 and 11.

    Args:
        features: of the source image.
        flow: for every cell of the result, the position (x, y) in `features` that it is read from.
        padding: what lies outside: "zeros", or "border" (the nearest cell).

    Raises:
        ValueError: the padding is unknown, or the batches differ.
    """
    check_choice("padding", padding, ("zeros", "border"))
    _check_axes("features", features, "(B, C, h, w)")
    if flow.ndim != 4 or flow.shape[-1] != 2 or len(flow) != len(features):
        raise ValueError(f"features of shape {tuple(features.shape)} need a flow of shape "
                         f"({len(features)}, h, w, 2), not {tuple(flow.shape)}")
    return F.grid_sample(features, flow, mode="bilinear", padding_mode=padding, align_corners=True)


def receptive_field_scale(
    image_size: tuple[int, int], feature_size: tuple[int, int], stride: int
) -> tuple[float, float]:
    """How far the centres of a trunk's cells reach across the image: (a_x, a_y), mostly a little below 1.

    Cell m of a stride-s trunk looks at pixel s m, so that the feature coordinate u belongs to the image
    coordinate x = a (u + 1) - 1 with a = s (w - 1) / (W - 1). Used by `ThinPlateSpline.warp_images`, and to
    draw keypoints.

    Args:
        image_size, feature_size: (height, width).
        stride: pixels a cell.

    Raises:
        ValueError: a size is below 2, or the stride is not positive.
    """
    if min(*image_size, *feature_size) < 2 or stride < 1:
        raise ValueError("a receptive-field scale needs sizes of at least 2 and a positive stride, not an "
                         f"image of {image_size}, features of {feature_size} and a stride of {stride}")
    (image_h, image_w), (feature_h, feature_w) = image_size, feature_size
    return stride * (feature_w - 1) / (image_w - 1), stride * (feature_h - 1) / (image_h - 1)


@full_precision
def upsample(
    maps: Float[Tensor, "b parts h w"], size: tuple[int, int], scale: tuple[float, float]
) -> Float[Tensor, "b parts height width"]:
    """A feature map at an image's size, bilinearly, each cell at the place that it looks at.

    Args:
        maps: on the feature map's cells; beyond the centres of the outer ones they go on as there.
        size: the image's (height, width).
        scale: from `receptive_field_scale`.
    """
    _check_axes("maps", maps, "(B, C, h, w)")
    grid = (coordinate_grid(*size).to(maps) + 1) / maps.new_tensor(scale) - 1
    grid = grid.expand(len(maps), *grid.shape)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=True)


class ThinPlateSpline:
    """A batch of known deformations T, from the warped image Y to the original X: `Y(z) = X(T(z))` (Eq. 13).

    `T(z) = A z + b + sum_i w_i U(r_i)` with theta = [A | b], the control points c_i and the control
    parameters w_i.

    * metric "l1": as in the first-order motion model: r_i the L1 distance of z and c_i,
      U(r) = r^2 log(r + 1e-6), and one scalar displacement, added to x and to y alike. Not a thin-plate
      spline proper: T' jumps across the control points' rows and columns.
    * metric "euclidean": the thin-plate spline, U(r) = r^2 log r with the Euclidean distance, one
      displacement an axis.

    Args:
        theta: (B, 2, 3).
        control_points: (1, n, 2), the same for the whole batch.
        control_params: (B, 1, n) for "l1", (B, 2, n) for "euclidean". A batch of one goes with any other
            batch. All three are brought to the dtype and the device of the points that are warped.
        metric: "l1" or "euclidean".

    Raises:
        ValueError: the metric is unknown or the shapes do not fit.
    """

    def __init__(
        self,
        theta: Float[Tensor, "..."],
        control_points: Float[Tensor, "..."],
        control_params: Float[Tensor, "..."],
        metric: str = "l1",
    ) -> None:
        check_choice("metric", metric, ("l1", "euclidean"))
        _check_spline_shapes(theta, control_points, control_params, channels=1 if metric == "l1" else 2)
        batch = max(len(theta), len(control_params))
        self.theta = theta.expand(batch, -1, -1)
        self.control_points = control_points
        self.control_params = control_params.expand(batch, -1, -1)
        self.metric = metric

    @classmethod
    def random(
        cls,
        batch: int,
        *,
        generator: torch.Generator,
        sigma_affine: Number = 0.05,
        sigma_tps: Number = 0.005,
        points: int = 5,
        metric: str = "l1",
        mirror: Number = 0.0,
    ) -> ThinPlateSpline:
        """Draw deformations near the identity, one an image, as the first-order motion model does.

        Args:
            batch: how many.
            generator: a CPU generator, so that the draw is the same on every device; bring the result there
                with `to`.
            sigma_affine: standard deviation of theta around the identity.
            sigma_tps: standard deviation of the control parameters. The "euclidean" kernel is weaker: about
                0.0125 there displaces as far as 0.005 does with "l1".
            points: control points an axis, on a corner-aligned grid.
            metric: "l1" or "euclidean".
            mirror: the share of images, in [0, 1], that are mirrored left to right before they are deformed.

        Raises:
            ValueError: a number is out of its range, or the metric is unknown.
        """
        check_choice("metric", metric, ("l1", "euclidean"))
        if batch < 1 or points < 2:
            raise ValueError(f"random deformations need a batch >= 1 and >= 2 control points an axis, "
                             f"not {batch} and {points}")
        if sigma_affine < 0 or sigma_tps < 0:
            raise ValueError(f"the deviations of random deformations must not be negative, "
                             f"not {sigma_affine} and {sigma_tps}")
        if not 0 <= mirror <= 1:
            raise ValueError(f"the share of mirrored images must lie in [0, 1], not {mirror}")
        channels = 1 if metric == "l1" else 2
        noise = torch.randn(batch, 2, 3, generator=generator)
        weights = torch.randn(batch, channels, points * points, generator=generator)
        control_points = coordinate_grid(points, points).view(1, points * points, 2)
        theta = torch.eye(2, 3) + sigma_affine * noise
        if mirror:
            theta[torch.rand(batch, generator=generator) < mirror, :, 0] *= -1
        return cls(theta, control_points, sigma_tps * weights, metric)

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def mirrors(self) -> Bool[Tensor, "b"]:
        """Whose affine part turns left into right."""
        return torch.linalg.det(self.theta[:, :, :2]) < 0

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> ThinPlateSpline:
        """Some of the deformations (a rank's share of a global draw); an integer gives a batch of one."""
        rows = [index] if isinstance(index, int) else index
        return ThinPlateSpline(self.theta[rows], self.control_points, self.control_params[rows], self.metric)

    def to(self, device: torch.device | str) -> ThinPlateSpline:
        """The same deformations on another device."""
        tensors = (t.to(device) for t in (self.theta, self.control_points, self.control_params))
        return ThinPlateSpline(*tensors, self.metric)

    @full_precision
    def warp_points(self, points: Float[Tensor, "_ n 2"]) -> Float[Tensor, "_ n 2"]:
        """T(z): where in the original image the points of the warped image come from.

        Args:
            points: (B, N, 2), or (1, N, 2) for the same points in every image.

        Raises:
            ValueError: the points' shape or batch does not fit.
        """
        self._check_points(points)
        theta, params = self.theta.to(points), self.control_params.to(points)
        affine = _transform(theta[:, None, :, :2], points) + theta[:, None, :, 2]
        kernel = self._kernel(self._offsets(points))  # (1 or B, N, n)
        return affine + (kernel[:, :, None] * params[:, None]).sum(dim=-1)

    @full_precision
    def jacobian(self, points: Float[Tensor, "_ n 2"]) -> Float[Tensor, "_ n 2 2"]:
        """T'(z) in closed form, differentiable with respect to the points.

        Where T has a kink ("l1", on a control point's row or column) it is the mean of both sides.

        Args:
            points: as in `warp_points`.

        Raises:
            ValueError: the points' shape or batch does not fit.
        """
        self._check_points(points)
        theta, params = self.theta.to(points), self.control_params.to(points)
        gradient = self._kernel_gradient(self._offsets(points))  # (1 or B, N, n, 2)
        return theta[:, None, :, :2] + (params[:, None, :, :, None] * gradient[:, :, None]).sum(dim=-2)

    @full_precision
    def warp_images(
        self, images: Float[Tensor, "b c h w"], scale: tuple[Number, Number] = (1.0, 1.0)
    ) -> Float[Tensor, "b c h w"]:
        """The warped images Y(z) = X(T(z)), bilinear, with reflection outside.

        Args:
            images: the originals X.
            scale: (a_x, a_y) of `receptive_field_scale`. T is then applied in the coordinates of a trunk's
                feature map, z -> a (T((z + 1) / a - 1) + 1) - 1, so that keypoints found there obey it.
                (1, 1) leaves it out, as the first-order motion model does.

        Raises:
            ValueError: the batch does not fit, or a scale is not positive.
        """
        _check_axes("images", images, "(B, C, H, W)")
        if len(self) not in (1, len(images)):
            raise ValueError(f"{len(self)} deformations do not fit a batch of {len(images)} images")
        if min(scale) <= 0:
            raise ValueError(f"the scale of an image warp must be positive, not {scale}")
        grid = _grid_of(images)
        points = grid.view(1, -1, 2)
        if tuple(scale) == (1.0, 1.0):
            warped = self.warp_points(points)
        else:
            a = points.new_tensor(scale)
            warped = a * (self.warp_points((points + 1) / a - 1) + 1) - 1
        flow = warped.view(len(self), *grid.shape).expand(len(images), *grid.shape)
        return F.grid_sample(images, flow, mode="bilinear", padding_mode="reflection", align_corners=True)

    def _check_points(self, points: Tensor) -> None:
        if points.ndim != 3 or points.shape[-1] != 2:
            raise ValueError(f"points must have shape (B, N, 2), not {tuple(points.shape)}")
        if len(points) != len(self) and 1 not in (len(points), len(self)):
            raise ValueError(f"{len(self)} deformations do not fit the points of {len(points)} images")

    def _offsets(self, points: Tensor) -> Float[Tensor, "_ n controls 2"]:
        return points[:, :, None] - self.control_points.to(points)[:, None]

    def _kernel(self, offsets: Float[Tensor, "b n controls 2"]) -> Float[Tensor, "b n controls"]:
        """U(r), the same for both axes."""
        if self.metric == "l1":
            r = offsets.abs().sum(dim=-1)
            return r.square() * torch.log(r + 1e-6)
        squared = offsets.square().sum(dim=-1)
        return 0.5 * squared * _safe_log(squared)

    def _kernel_gradient(self, offsets: Float[Tensor, "b n controls 2"]) -> Float[Tensor, "b n controls 2"]:
        """dU/dz: U'(r) sign(z - c) for the L1 distance, (2 log r + 1)(z - c) for the Euclidean one."""
        if self.metric == "l1":
            r = offsets.abs().sum(dim=-1, keepdim=True)
            return (2 * r * torch.log(r + 1e-6) + r.square() / (r + 1e-6)) * offsets.sign()
        return (_safe_log(offsets.square().sum(dim=-1, keepdim=True)) + 1) * offsets


def _check_spline_shapes(
    theta: Tensor, control_points: Tensor, control_params: Tensor, channels: int
) -> None:
    if theta.ndim != 3 or theta.shape[1:] != (2, 3):
        raise ValueError(f"theta must have shape (B, 2, 3), not {tuple(theta.shape)}")
    if control_points.ndim != 3 or len(control_points) != 1 or control_points.shape[-1] != 2:
        raise ValueError(f"control_points must have shape (1, n, 2), not {tuple(control_points.shape)}")
    count = control_points.shape[1]
    if control_params.ndim != 3 or control_params.shape[1:] != (channels, count):
        raise ValueError(f"{count} control points of this metric need control_params of shape "
                         f"(B, {channels}, {count}), not {tuple(control_params.shape)}")
    if len(theta) != len(control_params) and 1 not in (len(theta), len(control_params)):
        raise ValueError(f"theta and control_params differ in batch: {len(theta)} and {len(control_params)}")


def _safe_log(values: Tensor) -> Tensor:
    """The logarithm, finite at zero: there it multiplies something that vanishes."""
    return torch.log(values.clamp_min(torch.finfo(values.dtype).tiny))


def _check_axes(name: str, tensor: Tensor, expected: str) -> None:
    if tensor.ndim != 4:
        raise ValueError(f"{name} must have shape {expected}, not {tuple(tensor.shape)}")
