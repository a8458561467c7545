"""The light of the moment: exposure follows it, places and lenses stay."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from matlib.annyville.camera import CAMERAS
from matlib.annyville.weather import COMPENSATION, ROOFED, WEATHERS, daylight, moment

LIGHT = {"sun_strength", "sky_strength", "warmth", "gain"}


def test_the_odds_are_a_distribution():
    assert sum(odds for odds, _ in WEATHERS) == pytest.approx(1)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.name)
def test_only_light_and_exposure_change(camera):
    rng = np.random.default_rng(0)
    for _ in range(10):
        changed, tint = moment(camera, rng)
        assert {f.name for f in fields(camera) if getattr(camera, f.name) != getattr(changed, f.name)} <= LIGHT
        np.testing.assert_allclose(tint * daylight(camera), daylight(changed), rtol=1e-6)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.name)
def test_automatic_exposure_takes_back_most_of_the_change(camera):
    rng = np.random.default_rng(1)
    for _ in range(10):
        changed, _ = moment(camera, rng)
        brighter = daylight(changed).mean() / daylight(camera).mean()
        exposed = brighter * changed.gain / camera.gain
        assert np.log(exposed) == pytest.approx((1 - COMPENSATION) * np.log(brighter), abs=1e-9)


def test_under_a_roof_the_sky_does_not_matter():
    """Grey skies make the ratio of sun to sky of an open camera fall far; of a roofed one it hardly moves."""
    rng = np.random.default_rng(2)
    for camera in CAMERAS:
        ratios = [m.sun_strength / m.sky_strength for m, _ in (moment(camera, rng) for _ in range(60))]
        spread = max(ratios) / min(ratios)
        assert (spread < 1.6) == (camera.sun_strength < ROOFED), camera.name
