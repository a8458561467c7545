"""Deterministic z-buffer in numpy: triangles to spans, spans to the nearest triangle of each pixel.

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
LONGEST = 16  # pixels: longer spans are cut, so that spans can be drawn side by side, pixel after pixel


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


def _smallest(rows: np.ndarray) -> np.ndarray:
    return np.minimum(np.minimum(rows[0], rows[1]), rows[2])


def _largest(rows: np.ndarray) -> np.ndarray:
    return np.maximum(np.maximum(rows[0], rows[1]), rows[2])


def _columns(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    out = np.empty((len(table), len(index)), table.dtype)
    for row, chosen in zip(table, out, strict=True):
        np.take(row, index, out=chosen, mode="clip")
    return out


@dataclass(frozen=True)
class _Spans:
    """Runs of pixels in a row of a triangle, the longest first: the triangle, the first pixel's row and column
    and the number of pixels, at most LONGEST."""

    owner: Int[np.ndarray, "s"]
    row: Int[np.ndarray, "s"]
    column: Int[np.ndarray, "s"]
    count: Int[np.ndarray, "s"]

    def where(self, keep: Bool[np.ndarray, "s"] | Int[np.ndarray, "t"]) -> _Spans:
        """The spans for which `keep` holds, or which it lists."""
        return _Spans(self.owner[keep], self.row[keep], self.column[keep], self.count[keep])


def _edges(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start x, start y and slope dx / dy (4 F) of the triangles' edges, from their upper ends downward.

    The first F are each triangle's long edge, once more the next F, then the upper and the lower short edges. An
    edge that two triangles share gets the same numbers in both, so that no gap opens between them.
    """
    x, y = list(x), list(y)
    for a, b in ((0, 1), (1, 2), (0, 1)):
        swap = y[a] > y[b]
        x[a], x[b] = np.where(swap, x[b], x[a]), np.where(swap, x[a], x[b])
        y[a], y[b] = np.minimum(y[a], y[b]), np.maximum(y[a], y[b])
    with np.errstate(divide="ignore", invalid="ignore"):
        long, upper, lower = ((x[b] - x[a]) / (y[b] - y[a]) for a, b in ((0, 2), (0, 1), (1, 2)))
    return np.stack([x[0], x[0], x[1]]), np.stack([y[0], y[0], y[1]]), np.stack([long, upper, lower])


def _spans(x: np.ndarray, y: np.ndarray, top: np.ndarray, rows: np.ndarray, width: int) -> _Spans:
    """The pixels whose centres lie in triangles with corners x, y (3, F), `rows` rows from `top` on."""
    count = len(top)
    owner = np.repeat(np.arange(count), rows)
    row = np.arange(len(owner)) + (top - (np.cumsum(rows) - rows))[owner]
    yc = row + 0.5
    start_x, start_y, slope = _edges(x, y)
    below = owner + count * (1 + (yc >= start_y[2][owner]))
    long = start_x[0][owner] + (yc - start_y[0][owner]) * slope[0][owner]
    start_x, start_y, slope = start_x.ravel(), start_y.ravel(), slope.ravel()
    short = start_x[below] + (yc - start_y[below]) * slope[below]
    column = np.ceil(np.maximum(np.minimum(long, short), 0) - 0.5).astype(np.int64)
    length = np.floor(np.minimum(np.maximum(long, short), width) - 0.5).astype(np.int64) - column + 1
    spans = _Spans(owner, row, column, length).where(np.flatnonzero(length > 0))
    if len(spans.count) and spans.count.max() > LONGEST:
        spans = _cut(spans)
    return spans.where(np.argsort((LONGEST - spans.count).astype(np.uint8), kind="stable"))


def _cut(spans: _Spans) -> _Spans:
    """The same pixels in spans of at most LONGEST."""
    pieces = (spans.count + LONGEST - 1) // LONGEST
    of = np.repeat(np.arange(len(pieces)), pieces)
    skipped = LONGEST * (np.arange(len(of)) - (np.cumsum(pieces) - pieces)[of])
    count = np.minimum(spans.count[of] - skipped, LONGEST)
    return _Spans(spans.owner[of], spans.row[of], spans.column[of] + skipped, count)


@dataclass(frozen=True)
class _Affine:
    """Functions constant + x * along + y * down of the screen, one a triangle."""

    constant: Float[np.ndarray, "f"]
    along: Float[np.ndarray, "f"]
    down: Float[np.ndarray, "f"]

    @classmethod
    def through(cls, x: np.ndarray, y: np.ndarray, area: np.ndarray, values: np.ndarray) -> _Affine:
        """The functions that take `values` (3, F) at the corners x, y (3, F) of triangles of twice that area."""
        one, two = values[1] - values[0], values[2] - values[0]
        along = (one * (y[2] - y[0]) - two * (y[1] - y[0])) / area
        down = (two * (x[1] - x[0]) - one * (x[2] - x[0])) / area
        return cls(values[0] - along * x[0] - down * y[0], along, down)

    def at(self, spans: _Spans) -> tuple[np.ndarray, np.ndarray]:
        """The value at the first pixel of each span, and the change a pixel."""
        along = self.along[spans.owner]
        down = self.down[spans.owner]
        return self.constant[spans.owner] + along * (spans.column + 0.5) + down * (spans.row + 0.5), along


def _draw(buffer: np.ndarray, width: int, spans: _Spans, inverse_depth: _Affine, positive: list[_Affine]) -> None:
    """Raise the z-buffer, which holds (inverse depth, triangle) packed, to what the spans show where all of
    `positive` are positive."""
    if not len(spans.count):
        return
    value, change = (DEPTH_SCALE * v for v in inverse_depth.at(spans))
    tests = [f.at(spans) for f in positive]
    pixel = spans.row * width + spans.column
    longer = np.cumsum(np.bincount(LONGEST - spans.count, minlength=LONGEST))[::-1]
    for k in range(int(spans.count[0])):  # the k-th pixel of every span that is so long
        m = int(longer[k])
        key = (value[:m] + k * change[:m]).astype(np.int64)
        key <<= TRIANGLE_BITS
        key |= spans.owner[:m]
        for first, step in tests:
            key *= first[:m] + k * step[:m] > 0
        np.maximum.at(buffer, pixel[:m] + k, key)


def _in_view(
    x: np.ndarray, y: np.ndarray, area: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which triangles with corners x, y (3, F) may cover a pixel's centre, and their first and last rows (floats)."""
    top = np.maximum(np.ceil(_smallest(y) - 0.5), 0)
    bottom = np.minimum(np.floor(_largest(y) - 0.5), height - 1)
    left, right = np.ceil(_smallest(x) - 0.5), np.floor(_largest(x) - 0.5)
    keep = (np.abs(area) > 1e-9) & (bottom >= top) & (right >= left) & (right >= 0) & (left < width)
    return keep, top, bottom


@dataclass(frozen=True)
class _Triangles:
    """What is left to draw, corner by corner: screen x, y (3, F), twice the signed area, inverse depth (3, F), and the
    place of the corners among the vertices (3, F)."""

    x: Float[np.ndarray, "3 f"]
    y: Float[np.ndarray, "3 f"]
    area: Float[np.ndarray, "f"]
    inverse_depth: Float[np.ndarray, "3 f"]
    corners: Int[np.ndarray, "3 f"]

    def clips(self, clip: Float[np.ndarray, "v c"]) -> tuple[list[_Affine], Bool[np.ndarray, "f"]]:
        """The clip channels over the inverse depth, and which triangles any of them may cut."""
        border, tests = np.zeros(len(self.area), bool), []
        for channel in np.ascontiguousarray(clip.T):
            value = channel[self.corners]
            border |= _smallest(value) <= 0
            tests.append(_Affine.through(self.x, self.y, self.area, self.inverse_depth * value))
        return tests, border

    def fragments(
        self, pixels: Int[np.ndarray, "n"], local: Int[np.ndarray, "n"], index: Int[np.ndarray, "f"], width: int
    ) -> Fragments:
        """Fragments of the pixels that the triangles `local` of these have won; index: their numbers in the soup."""
        qy, qx = np.divmod(pixels, width)
        x, y = _columns(self.x, local) - (qx + 0.5), _columns(self.y, local) - (qy + 0.5)
        shares = np.stack([x[i - 2] * y[i - 1] - x[i - 1] * y[i - 2] for i in range(3)])
        weights = shares * _columns(self.inverse_depth, local)
        total = weights[0] + weights[1] + weights[2]
        depth = (shares[0] + shares[1] + shares[2]) / total
        return Fragments(pixels, index[local], (weights / total).astype(np.float32).T, depth.astype(np.float32))


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
    corners = np.ascontiguousarray(faces.T)
    px, py = xy[:, 0].astype(np.float64), xy[:, 1].astype(np.float64)
    iz = inverse_depth.astype(np.float64)
    x, y = px[corners], py[corners]
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    keep, top, bottom = _in_view(x, y, area, height, width)
    if two_sided is not None:
        keep &= two_sided | (area < 0)
    if iz.min(initial=1.0) <= 0:
        keep &= _smallest(iz[corners]) > 0
    index = np.flatnonzero(keep)
    corners = _columns(corners, index)
    triangles = _Triangles(_columns(x, index), _columns(y, index), area[index], iz[corners], corners)
    top, rows = top[index].astype(np.int64), (bottom - top + 1)[index].astype(np.int64)
    spans = _spans(triangles.x, triangles.y, top, rows, width)
    depth_plane = _Affine.through(triangles.x, triangles.y, triangles.area, triangles.inverse_depth)
    buffer = np.zeros(height * width, np.int64)
    tests, border = triangles.clips(clip) if clip is not None else ([], np.zeros(len(index), bool))
    if border.any():
        on_border = border[spans.owner]
        _draw(buffer, width, spans.where(np.flatnonzero(on_border)), depth_plane, tests)
        spans = spans.where(np.flatnonzero(~on_border))
    _draw(buffer, width, spans, depth_plane, [])
    hit = np.flatnonzero(buffer)
    return triangles.fragments(hit, buffer[hit] & ((1 << TRIANGLE_BITS) - 1), index, width)
