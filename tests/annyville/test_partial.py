"""Where partial pictures are cut, against a search of every possible cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matlib.annyville.partial import LEAST_KEPT, MOST_HIDDEN, MOST_KEPT, SIDES, find_cut
from matlib.annyville.truth import HIDDEN, OCCLUDER

ALL = SIDES["partial-pairs"]


def _boxes(height: int, width: int):
    """Every part that one straight cut leaves."""
    for n in range(1, height + 1):
        yield "upper", (0, 0, width, n)
        yield "lower", (0, height - n, width, height)
    for n in range(1, width + 1):
        yield "left", (0, 0, n, height)
        yield "right", (width - n, 0, width, height)


def _searched(mask: np.ndarray, sides: tuple[str, ...]) -> float | None:
    body = ((mask > 0) & (mask <= HIDDEN)).sum()
    best = None
    for side, (left, top, right, bottom) in _boxes(*mask.shape):
        part = mask[top:bottom, left:right]
        seen, lost = ((part > 0) & (part < HIDDEN)).sum(), (part == HIDDEN).sum()
        share = seen / max(1, body)
        fits = lost <= MOST_HIDDEN * (seen + lost) and LEAST_KEPT <= share <= MOST_KEPT
        if side in sides and fits and (best is None or share > best):
            best = share
    return best


@given(st.integers(0, 10_000), st.sampled_from([ALL, ("upper",), ("lower", "left")]))
def test_no_other_cut_keeps_more(seed, sides):
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 2, 5, 13], (12, 7)).astype(np.uint8)
    i, j = rng.integers(0, 10), rng.integers(0, 6)
    mask[i : i + rng.integers(1, 12), j : j + rng.integers(1, 7)] = rng.choice([HIDDEN, OCCLUDER])
    cut, best = find_cut(mask, sides), _searched(mask, sides)
    assert (cut is None) == (best is None)
    if cut is not None:
        left, top, right, bottom = cut.box
        part = mask[top:bottom, left:right]
        assert cut.side in sides and (cut.side, cut.box) in set(_boxes(*mask.shape))
        assert cut.kept == pytest.approx(best)
        body = ((mask > 0) & (mask <= HIDDEN)).sum()
        assert ((part > 0) & (part < HIDDEN)).sum() / body == pytest.approx(cut.kept)


@pytest.mark.parametrize(
    ("hidden", "side", "box"),
    [
        (np.s_[12:, :], "upper", (0, 0, 10, 12)),
        (np.s_[:8, :], "lower", (0, 8, 10, 20)),
        (np.s_[:, 6:], "left", (0, 0, 6, 20)),
        (np.s_[:, :4], "right", (4, 0, 10, 20)),
    ],
)
def test_what_lies_opposite_the_occluder_remains(hidden, side, box):
    mask = np.full((20, 10), 2, np.uint8)
    mask[hidden] = HIDDEN
    cut = find_cut(mask, ALL)
    assert cut is not None and (cut.side, cut.box) == (side, box)
    assert cut.kept == pytest.approx(0.6)


def test_a_body_that_no_cut_suits_has_none():
    mask = np.zeros((20, 10), np.uint8)
    assert find_cut(mask, ALL) is None  # nobody
    mask[:] = 2
    mask[np.indices(mask.shape).sum(0) % 2 == 0] = HIDDEN
    assert find_cut(mask, ALL) is None  # half of whatever remains is hidden
    mask[:] = HIDDEN
    assert find_cut(mask, ALL) is None
    mask[:] = 2
    assert find_cut(mask, ("upper",)).kept == pytest.approx(0.8)  # at least a fifth goes
