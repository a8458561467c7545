"""Seasons: plants turn, nothing else does, and all of a picture is in one season."""

from __future__ import annotations

import numpy as np
import pytest

from matlib.annyville.background import render_background
from matlib.annyville.camera import CAMERAS
from matlib.annyville.occluders import BUILDERS
from matlib.annyville.season import DECIDUOUS, LUMINANCE, ODDS, SEASONS, draw_season

SEASON = {season.name: season for season in SEASONS}


def test_the_odds_are_distributions():
    for odds in ODDS.values():
        assert len(odds) == len(SEASONS) and sum(odds) == pytest.approx(1)


def test_people_dress_for_the_season():
    rng = np.random.default_rng(0)
    drawn = {clothes: {draw_season(clothes, rng).name for _ in range(200)} for clothes in ODDS}
    assert drawn["summer"] == {"spring", "summer", "autumn"}
    assert drawn["winter"] == {"spring", "autumn", "winter"} and drawn["mild"] == set(SEASON)


@pytest.mark.parametrize("name", SEASON)
def test_only_plants_turn(name):
    """The colour of what is no plant stays; a plant's goes the wanted share of the way to the tint."""
    season, rng = SEASON[name], np.random.default_rng(1)
    colour = rng.random((3, 50), np.float32)
    np.testing.assert_array_equal(season.turned(colour, np.zeros(50)), colour)
    full = season.turned(colour, 1.0, 0.0)
    wanted = (LUMINANCE @ colour) * season.tint[:, None]
    np.testing.assert_allclose(full, (1 - season.share) * colour + season.share * wanted, atol=1e-5)
    assert (full >= 0).all()


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_only_trees_and_bushes_follow(kind):
    mesh = BUILDERS[kind](np.random.default_rng(0))
    winter = SEASON["winter"].dressed(mesh)
    assert (winter is not mesh) == (kind in ("tree", "bush"))
    assert SEASON["summer"].dressed(mesh) is mesh


def test_leaves_fall_in_winter_and_the_trunk_stays():
    """Gaps open in deciduous foliage only, more of them the more leaves are down."""
    share = []
    for name in ("autumn", "winter"):
        mesh = next(
            tree for tree in (BUILDERS["tree"](np.random.default_rng(seed)) for seed in range(20))
            if any(layer.plant == DECIDUOUS for layer in tree.layers)
        )
        turned = SEASON[name].dressed(mesh)
        leaf = np.unique(mesh.faces[np.array([layer.plant for layer in mesh.layers])[mesh.face_layer] > 0])
        trunk = np.setdiff1d(np.arange(len(mesh.points)), leaf)
        assert (turned.clip[trunk] > 0).all()
        share.append((turned.clip[leaf, 1] <= 0).mean())
    assert 0 < share[0] < share[1] < 0.6


def test_places_know_their_plants():
    """Green pixels of the park are plants, and the underpass has none."""
    park, underpass = (render_background(CAMERAS[k], k, 0.2) for k in (2, 6))
    red, green, blue, plant = park.reshape(-1, 4).astype(int).T
    lush = (green > red + 12) & (green > blue + 12)
    assert lush.mean() > 0.3 and (plant[lush] > 0).mean() > 0.97
    assert not underpass[..., 3].any()
