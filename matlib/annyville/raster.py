"""Deterministic z-buffer in numpy: triangles to spans, spans to fragments, fragments to the nearest triangle.

Screen space: x to the right, y down, pixel (i, j) has its centre at (j + 0.5, i + 0.5). The inverse of the
depth and anything divided by the depth are affine over a triangle's picture, so each is three numbers a
triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

TRIANGLE_BITS = 20
DEPTH_SCALE = float(2**41)  # inverse depths up to 4 / m fit beside the triangle's number in 63 bits


@dataclass(frozen=True)
class Fragments:
    """The winning triangle of each covered pixel.

    pixels: flat indices, ascending (N,); triangles: (N,); weights: perspective-correct barycentric weights
    (N, 3); depth: metres along the optical axis (N,).
    """

    pixels: Int[np.ndarray, "n"]
    triangles: Int[np.ndarray, "n"]
    weights: Float[np.ndarray, "n 3"]
    depth: Float[np.ndarray, "n"]

    def where(self, keep: Bool[np.ndarray, "n"]) -> Fragments:
        """The fragments for which `keep` holds."""
        return Fragments(self.pixels[keep], self.triangles[keep], self.weights[keep], self.depth[keep])


def _planes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Barycentric functions p (3, 3, F) of triangles with corners x, y (3, F): weight_i = p[i, 0] x + p[i, 1]
    y + p[i, 2]."""
    following, last = [1, 2, 0], [2, 0, 1]
    planes = np.stack(
        [y[following] - y[last], x[last] - x[following], x[following] * y[last] - x[last] * y[following]], 1
    )
    return planes / (planes[0, 2] + planes[1, 2] + planes[2, 2])


def _count_up(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """start, start + 1, ... (count numbers) for every pair, one after the other."""
    return np.arange(count.sum()) + np.repeat(start - (np.cumsum(count) - count), count)


def _smallest(rows: np.ndarray) -> np.ndarray:
    return np.minimum(np.minimum(rows[0], rows[1]), rows[2])


def _largest(rows: np.ndarray) -> np.ndarray:
    return np.maximum(np.maximum(rows[0], rows[1]), rows[2])


def _affine(
    planes: np.ndarray,
    corner_values: np.ndarray,
    owner: np.ndarray,
    yc: np.ndarray,
    count: np.ndarray,
    xc: np.ndarray,
) -> np.ndarray:
    """Values at fragments of the affine functions that take `corner_values` (3, F) at the triangles'
    corners."""
    plane = planes[0] * corner_values[0] + planes[1] * corner_values[1] + planes[2] * corner_values[2]
    return np.repeat(plane[1][owner] * yc + plane[2][owner], count) + np.repeat(plane[0][owner], count) * xc


def rasterize(
    xy: Float[np.ndarray, "v 2"],
    inverse_depth: Float[np.ndarray, "v"],
    faces: Int[np.ndarray, "f 3"],
    height: int,
    width: int,
    *,
    clip: Float[np.ndarray, "v c"] | None = None,
    two_sided: Bool[np.ndarray, "f"] | None = None,
) -> Fragments:
    """Visible fragments of a triangle soup.

    A fragment counts where every channel of `clip`, interpolated in perspective, is positive. Triangles that
    turn their back (counter-clockwise in a frame whose y points down) are dropped unless `two_sided` says
    otherwise; with `two_sided` None all are kept. A triangle with a corner whose inverse depth is not
    positive is dropped. Ties go to the higher triangle number.
    """
    corner_ids = faces.T
    px, py = xy[:, 0].astype(np.float64), xy[:, 1].astype(np.float64)
    iz = inverse_depth.astype(np.float64)
    x, y = px[corner_ids], py[corner_ids]
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    top = np.maximum(np.ceil(_smallest(y) - 0.5), 0).astype(np.int64)
    bottom = np.minimum(np.floor(_largest(y) - 0.5), height - 1).astype(np.int64)
    keep = (np.abs(area) > 1e-9) & (bottom >= top) & (_largest(x) > 0) & (_smallest(x) < width)
    if two_sided is not None:
        keep &= two_sided | (area < 0)
    keep &= _smallest(iz[corner_ids]) > 0
    index = np.flatnonzero(keep)
    corner_ids, top, rows = corner_ids[:, index], top[index], (bottom - top)[index] + 1
    planes = _planes(x[:, index], y[:, index])

    # One entry a (triangle, row): the span where all three weights are >= 0. Repeats and flat arrays, not
    # fancy indexing, carry a triangle's numbers to its rows and a row's to its fragments: twice as fast.
    yc = _count_up(top, rows) + 0.5
    left = np.zeros(len(yc))
    right = np.full(len(yc), float(width))
    for a, b, c in planes:
        flat = np.where(a == 0, 1.0, a)
        cut = np.repeat(-b / flat, rows) * yc + np.repeat(-c / flat, rows)
        np.maximum(left, np.where(np.repeat(a > 0, rows), cut, 0.0), out=left)
        np.minimum(right, np.where(np.repeat(a < 0, rows), cut, float(width)), out=right)
    start = np.maximum(np.ceil(left - 0.5), 0).astype(np.int64)
    count = np.minimum(np.floor(right - 0.5), width - 1).astype(np.int64) - start + 1
    full = np.flatnonzero(count > 0)
    start, count, yc = start[full], count[full], yc[full]
    owner = np.repeat(np.arange(len(index)), rows)[full]

    iz_corners = iz[corner_ids]
    column = _count_up(start, count)
    xc = column + 0.5
    inverse = _affine(planes, iz_corners, owner, yc, count, xc)
    pixel = np.repeat((yc - 0.5).astype(np.int64) * width, count) + column
    local = np.repeat(owner, count)
    if clip is not None:
        inside = np.ones(len(pixel), bool)
        for channel in range(clip.shape[1]):
            value = np.ascontiguousarray(clip[:, channel])[corner_ids]
            where = (_smallest(value) <= 0)[owner]  # only triangles on a border need a look at each fragment
            if where.any():
                among = np.flatnonzero(np.repeat(where, count))
                kept = (
                    _affine(planes, iz_corners * value, owner[where], yc[where], count[where], xc[among]) > 0
                )
                inside[among[~kept]] = False
        pixel, inverse, local = pixel[inside], inverse[inside], local[inside]
    key = ((inverse * DEPTH_SCALE).astype(np.int64) << TRIANGLE_BITS) | local
    buffer = np.zeros(height * width, np.int64)
    np.maximum.at(buffer, pixel, key)
    hit = np.flatnonzero(buffer)
    local = buffer[hit] & ((1 << TRIANGLE_BITS) - 1)
    qy, qx = np.divmod(hit, width)
    qx, qy = qx + 0.5, qy + 0.5
    weights = np.empty((3, len(hit)))
    for i in range(3):
        plane = planes[i]
        weights[i] = (plane[0][local] * qx + plane[1][local] * qy + plane[2][local]) * iz_corners[i][local]
    total = weights[0] + weights[1] + weights[2]
    return Fragments(
        hit, index[local], (weights / total).T.astype(np.float32), (1 / total).astype(np.float32)
    )
