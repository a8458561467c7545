"""How many gallery images are nearer to a query than a given one: all that a ranking metric needs.

A metric asks for the ranks of the matches only, a few of thousands of images. So nothing is sorted but, in each row,
the distances up to that of a far match, and the matches look up their places among them.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

_NEAR = 8  # near are the images up to a match if they are fewer than one in so many
_FAR = 4  # so many farther matches of a query, at most, are counted one by one
_TIED_ELEMENTS = 1 << 22  # of a matrix of booleans


def values_at(distances: np.ndarray | Tensor, rows: Int64[np.ndarray, " p"], columns: Int64[np.ndarray, " p"]
              ) -> np.ndarray:
    """The distances of some pairs, in the CPU's memory."""
    if isinstance(distances, Tensor):
        index = (torch.from_numpy(places).to(distances.device) for places in (rows, columns))
        return distances[tuple(index)].cpu().numpy()
    return distances[rows, columns]


def count_nearer(distances: np.ndarray | Tensor, columns: Int64[np.ndarray, " b"], rows: Int64[np.ndarray, " p"],
                 items: Int64[np.ndarray, " p"], values: np.ndarray) -> Int64[np.ndarray, " p"]:
    """For each of p pairs, how many images of a block stand before it in its row.

    Before it stand those at a smaller distance and, at the same one, those earlier in the gallery.

    Args:
        distances: (c, b), c queries and a block of the gallery; an array, or a tensor (for GPUs). NaN is nowhere.
        columns: the gallery's indices of the block's columns, ascending.
        rows: each pair's row, ascending.
        items, values: its gallery image, in the block or not, and its distance.
    """
    if not len(rows):
        return np.zeros(0, np.int64)
    position = np.searchsorted(columns, items)
    inside = np.minimum(position, len(columns) - 1)
    alone = (position == inside) & (values_at(distances, rows, inside) == values)
    if isinstance(distances, Tensor):
        return _count_in_tensor(distances, rows, position, values, alone)
    before, order = np.empty(len(rows), np.int64), np.lexsort((values, rows))
    rows, position, values, alone = (part[order] for part in (rows, position, values, alone))
    bounds = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1], True]).tolist()
    for start, stop in zip(bounds, bounds[1:]):
        before[order[start:stop]] = _count_in_row(
            distances[rows[start]], position[start:stop], values[start:stop], alone[start:stop])
    return before


def _count_in_row(row: np.ndarray, position: Int64[np.ndarray, " m"], values: np.ndarray, alone: Bool[np.ndarray, " m"]
                  ) -> Int64[np.ndarray, " m"]:
    """The same for one row and its matches, by ascending distance.

    The few matches that are far away are counted one by one: each costs a pass over the row, but to sort as far as they
    are would cost more.

    Args:
        position: how many of the row's images are earlier in the gallery.
        alone: whether the image at that position is at the match's distance; if no other is, none is tied before it.
    """
    before, left = np.empty(len(values), np.int64), len(values)
    while left:
        candidates = row <= values[left - 1]
        if len(values) - left == _FAR or np.count_nonzero(candidates) * _NEAR < len(row):
            break
        left -= 1
        before[left] = _count_before(row, position[left], values[left])
    if not left:
        return before
    near = row[candidates.nonzero()[0]]  # faster than row[candidates]
    near.sort()
    below = near.searchsorted(values[:left])
    before[:left] = below
    equal = near.searchsorted(values[:left], side="right") - below
    for tied in (equal > alone[:left]).nonzero()[0]:
        before[tied] = _count_before(row, position[tied], values[tied])
    return before


def _count_before(row: np.ndarray, position: np.integer, value: np.generic) -> np.integer:
    return np.count_nonzero(row[:position] <= value) + np.count_nonzero(row[position:] < value)


def _count_in_tensor(distances: Tensor, rows: np.ndarray, position: np.ndarray, values: np.ndarray, alone: np.ndarray
                     ) -> Int64[np.ndarray, " p"]:
    """The same for all rows at once: on a GPU to sort whole rows costs little, and small steps cost much."""
    device, matches = distances.device, np.bincount(rows, minlength=len(distances))
    places = np.arange(len(rows)) - (np.cumsum(matches) - matches)[rows]
    wanted = np.zeros((len(distances), matches.max()), values.dtype)
    wanted[rows, places] = values
    ordered, wanted = distances.contiguous().sort(dim=1).values, torch.from_numpy(wanted).to(device)
    if ordered.is_floating_point():  # searchsorted takes NaN, which stands last, for small
        ordered.masked_fill_(ordered.isnan(), torch.inf)
    before, up_to = (torch.searchsorted(ordered, wanted, right=right).cpu().numpy()[rows, places]
                     for right in (False, True))
    tied = np.flatnonzero(up_to - before > alone)
    column = torch.arange(distances.shape[1], device=device)
    for some in np.array_split(tied, -(-len(tied) * len(column) // _TIED_ELEMENTS) or 1):
        row, stop, value = (torch.from_numpy(part[some]).to(device) for part in (rows, position, values))
        equal = (distances[row] == value[:, None]) & (column < stop[:, None])
        before[some] += equal.sum(1).cpu().numpy()
    return before
