"""The light of the moment: a camera hangs for months, under clear and grey skies, at noon and in the evening.

The sun's direction stays as it is stored in the camera (the empty view carries its shadows); its strength and colour
and the sky's change, and the camera's automatic exposure makes up for most of the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from .camera import Camera
from .shading import SKY, sun_colour

ROOFED = 0.8  # cameras with less sun than this hang under a roof: their light hardly changes
COMPENSATION = 0.75  # share (in the logarithm) of a change of brightness that automatic exposure takes back


@dataclass(frozen=True)
class Weather:
    """Factors on the strengths of sun and sky, and what is added to the sun's warmth."""

    sun: float
    sky: float
    warmth: float


WEATHERS = (
    (0.50, Weather(1.0, 1.0, 0.0)),
    (0.20, Weather(0.55, 1.25, 0.0)),  # thin cloud
    (0.20, Weather(0.10, 1.50, -0.02)),  # overcast
    (0.10, Weather(0.70, 0.60, 0.16)),  # evening
)


def daylight(camera: Camera) -> Float[np.ndarray, "3"]:
    """Linear light that falls on open ground."""
    sun = sun_colour(camera) * 0.55 * camera.sun_direction[2]
    return sun + camera.sky_strength * np.array(SKY)


def moment(camera: Camera, rng: np.random.Generator) -> tuple[Camera, Float[np.ndarray, "3"]]:
    """The camera at some other time, and the factors that turn the stored empty view's colours into that time's."""
    kind = rng.choice(len(WEATHERS), p=[odds for odds, _ in WEATHERS])
    weather = WEATHERS[kind][1] if camera.sun_strength >= ROOFED else WEATHERS[0][1]
    changed = replace(
        camera,
        sun_strength=camera.sun_strength * weather.sun * float(rng.uniform(0.88, 1.12)),
        sky_strength=camera.sky_strength * weather.sky * float(rng.uniform(0.92, 1.08)),
        warmth=camera.warmth + weather.warmth,
    )
    before, after = daylight(camera), daylight(changed)
    brighter = float(after.mean() / before.mean())
    return replace(changed, gain=camera.gain * brighter**-COMPENSATION), after / before
