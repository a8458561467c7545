"""Boxes and bystanders: what a detector's crops and a crowd look like."""

from __future__ import annotations

import numpy as np

from matlib.annyville.camera import CAMERAS
from matlib.annyville.crop import draw_box
from matlib.annyville.crowd import Town, clothes, stranger
from matlib.annyville.wardrobe import make_person


def _town() -> Town:
    return Town(lambda _: np.zeros((1, 1, 3), np.uint8), lambda k: make_person(np.random.default_rng(abs(k))), CAMERAS)


def test_most_boxes_hold_the_whole_person_some_are_loose_and_some_cut():
    rng = np.random.default_rng(0)
    person = np.array([[500.0, 200.0], [580.0, 440.0]])  # 240 pixels high
    crops = [draw_box(person, 320, 160, rng) for _ in range(600)]
    heights = np.array([c.bottom - c.top for c in crops])
    cut = np.array([c.bottom < 440 - 8 or c.top > 200 + 8 for c in crops])
    assert 0.03 < cut.mean() < 0.14
    assert 0.05 < (heights > 1.15 * 240).mean() < 0.25
    assert all(abs((c.right - c.left) * 2 - (c.bottom - c.top)) < 1e-6 for c in crops)


def test_an_occluding_person_is_more_often_dressed_like_the_target_than_by_chance():
    town, rng = _town(), np.random.default_rng(3)
    target = town.person(5)

    def distance(person) -> float:
        return float(np.abs(clothes(person) - clothes(target)).sum())

    alike = np.mean([distance(stranger(town, rng, target)) for _ in range(40)])
    chance = np.mean([distance(stranger(town, rng)) for _ in range(40)])
    assert alike < 0.9 * chance
