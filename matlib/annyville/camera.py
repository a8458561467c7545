"""The eight cameras of the town: where they hang, their lenses, their light, and how their sensors bend
colour.

World frame: the camera stands above the origin at its height and looks along +y, tilted down; x is right, z
is up, the ground is z = 0; metres. Frame: FRAME_WIDTH x FRAME_HEIGHT pixels, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

FRAME_WIDTH, FRAME_HEIGHT = 1280, 720


@dataclass(frozen=True)
class Camera:
    """One fixed camera. Angles in degrees; `sun` is azimuth (0: from behind the camera, 90: from the right)
    and elevation; `paths` are the main walking directions as headings (0: toward the camera, 90: toward
    +x); `detail` is the share of the frame's pixels, along a side, that the sensor resolves."""

    name: str
    height: float
    pitch: float
    focal: float  # pixels
    roll: float
    near: float  # persons stand between these distances, metres
    far: float
    ground: str
    wall: str
    wall_at: float
    paths: tuple[float, ...]
    sun: tuple[float, float]
    sun_strength: float
    sky_strength: float
    warmth: float
    haze: float
    gain: float
    balance: tuple[float, float, float]
    gamma: float
    saturation: float
    contrast: float
    blur: float
    noise: float
    quality: tuple[int, int]
    vignette: float
    props: tuple[tuple[str, float, float, float], ...]  # kind, x, y, yaw
    detail: float = 1.0

    @property
    def sun_direction(self) -> Float[np.ndarray, "3"]:
        """Unit vector toward the sun."""
        a, e = np.radians(self.sun[0]), np.radians(self.sun[1])
        return np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])

    def project(
        self, points: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n"]]:
        """Frame pixels and depth along the optical axis (metres) of world points."""
        s, c = np.sin(np.radians(self.pitch)), np.cos(np.radians(self.pitch))
        x, y, z = points[:, 0], points[:, 1], points[:, 2] - self.height
        depth = np.maximum(y * c - z * s, 0.05)
        u, v = self.focal * x / depth, -self.focal * (y * s + z * c) / depth
        cr, sr = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        xy = np.stack([FRAME_WIDTH / 2 + cr * u - sr * v, FRAME_HEIGHT / 2 + sr * u + cr * v])
        return xy.T, depth

    def rays(self, xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """World directions (not unit: one metre along the optical axis) of frame pixels."""
        s, c = np.sin(np.radians(self.pitch)), np.cos(np.radians(self.pitch))
        cr, sr = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        a, b = (xy[:, 0] - FRAME_WIDTH / 2) / self.focal, (xy[:, 1] - FRAME_HEIGHT / 2) / self.focal
        u, v = cr * a + sr * b, -sr * a + cr * b
        return np.stack([u, c - v * s, -s - v * c], 1)


CAMERAS: tuple[Camera, ...] = (
    Camera(
        name="plaza", height=4.2, pitch=20.0, focal=1240.0, roll=0.4, near=7.5, far=13.0, ground="slabs",
        wall="concrete", wall_at=19.0, paths=(0.0, 180.0, 35.0), sun=(-55.0, 42.0), sun_strength=1.9,
        sky_strength=0.55, warmth=0.06, haze=0.0, gain=0.98, balance=(1.01, 1.0, 0.98), gamma=1.0,
        saturation=0.9, contrast=1.05, blur=0.5, noise=2.0, quality=(84, 93), vignette=0.1,
        props=(
            ("bush", -5.5, 17.5, 0.0),
            ("bush", -4.4, 17.8, 40.0),
            ("bush", 5.3, 17.4, 90.0),
            ("sign", 2.6, 16.5, 15.0),
            ("bin", -2.2, 17.0, 0.0),
        ),
    ),
    Camera(
        name="brick lane", height=3.3, pitch=15.0, focal=1080.0, roll=-0.8, near=6.0, far=11.0,
        ground="brick", wall="brickwall", wall_at=14.0, paths=(90.0, 270.0, 75.0), sun=(70.0, 35.0),
        sun_strength=1.6, sky_strength=0.5, warmth=0.1, haze=0.0, gain=0.92, balance=(1.07, 1.0, 0.89),
        gamma=0.97, saturation=0.93, contrast=1.06, blur=0.6, noise=3.0, quality=(80, 92), vignette=0.15,
        props=(
            ("barrier", 3.2, 12.8, 8.0),
            ("bin", -2.6, 13.2, 0.0),
            ("suitcase", -3.6, 13.3, 30.0),
        ),
    ),
    Camera(
        name="park", height=3.6, pitch=17.0, focal=1150.0, roll=0.0, near=6.5, far=12.5, ground="grass",
        wall="hedge", wall_at=20.0, paths=(0.0, 180.0, 200.0), sun=(35.0, 50.0), sun_strength=2.1,
        sky_strength=0.6, warmth=0.04, haze=0.02, gain=1.0, balance=(0.95, 1.02, 0.95), gamma=1.03,
        saturation=1.02, contrast=1.04, blur=0.4, noise=2.0, quality=(86, 94), vignette=0.05,
        props=(
            ("tree", -4.6, 14.5, 0.0),
            ("tree", 5.2, 16.5, 60.0),
            ("bush", 2.9, 16.5, 0.0),
            ("wall", -1.5, 18.5, 0.0),
        ),
    ),
    Camera(
        name="car park", height=4.8, pitch=21.0, focal=1330.0, roll=1.2, near=8.0, far=14.0,
        ground="asphalt", wall="plaster", wall_at=22.0, paths=(90.0, 270.0, 120.0, 300.0),
        sun=(120.0, 55.0), sun_strength=1.7, sky_strength=0.62, warmth=0.02, haze=0.02, gain=1.12,
        balance=(0.94, 1.0, 1.08), gamma=1.02, saturation=0.82, contrast=0.96, blur=0.5, noise=2.5,
        quality=(82, 93), detail=0.9, vignette=0.08,
        props=(
            ("car", -4.4, 17.0, 80.0),
            ("car", 0.4, 17.6, 95.0),
            ("car", 5.0, 17.0, 84.0),
            ("pole", -7.0, 13.0, 0.0),
        ),
    ),
    Camera(
        name="station", height=3.0, pitch=13.0, focal=1020.0, roll=-0.5, near=5.5, far=10.0,
        ground="tiles", wall="panels", wall_at=13.0, paths=(90.0, 270.0, 0.0), sun=(10.0, 75.0),
        sun_strength=0.55, sky_strength=1.15, warmth=0.03, haze=0.0, gain=0.92, balance=(1.06, 1.01, 0.9),
        gamma=0.94, saturation=0.84, contrast=1.08, blur=0.7, noise=4.5, quality=(78, 90), detail=0.75, vignette=0.18,
        props=(
            ("pole", -3.2, 9.5, 0.0),
            ("pole", 3.6, 11.0, 0.0),
            ("bin", 1.8, 12.3, 0.0),
            ("suitcase", 2.5, 12.2, 20.0),
        ),
    ),
    Camera(
        name="shopping street", height=3.9, pitch=18.0, focal=1120.0, roll=0.8, near=6.5, far=12.0,
        ground="cobble", wall="shops", wall_at=16.0, paths=(60.0, 240.0, 300.0), sun=(-100.0, 48.0),
        sun_strength=1.5, sky_strength=0.6, warmth=0.05, haze=0.0, gain=1.07, balance=(1.01, 0.99, 1.01),
        gamma=1.0, saturation=1.0, contrast=1.02, blur=0.5, noise=2.5, quality=(82, 92), vignette=0.08,
        props=(
            ("sign", -3.4, 14.2, -10.0),
            ("bush", 1.0, 15.2, 0.0),
            ("bin", 4.1, 14.8, 0.0),
            ("car", -7.4, 14.5, 5.0),
        ),
    ),
    Camera(
        name="underpass", height=2.9, pitch=12.0, focal=980.0, roll=0.0, near=5.2, far=9.5,
        ground="concrete", wall="graffiti", wall_at=13.0, paths=(0.0, 180.0, 20.0, 200.0),
        sun=(25.0, 80.0), sun_strength=0.35, sky_strength=1.05, warmth=0.1, haze=0.03, gain=0.86,
        balance=(1.09, 1.01, 0.85), gamma=0.93, saturation=0.76, contrast=1.05, blur=0.9, noise=6.5,
        quality=(72, 88), detail=0.55, vignette=0.25,
        props=(
            ("pole", -2.9, 9.0, 0.0),
            ("barrier", 2.8, 11.8, -10.0),
        ),
    ),
    Camera(
        name="crossing", height=5.4, pitch=24.0, focal=1420.0, roll=-1.0, near=9.0, far=15.0,
        ground="crossing", wall="windows", wall_at=24.0, paths=(0.0, 180.0, 90.0, 270.0),
        sun=(160.0, 38.0), sun_strength=1.5, sky_strength=0.55, warmth=0.08, haze=0.04, gain=1.05,
        balance=(0.95, 1.0, 1.06), gamma=1.04, saturation=0.84, contrast=0.96, blur=0.6, noise=2.5,
        quality=(80, 92), detail=0.8, vignette=0.06,
        props=(
            ("car", -6.0, 19.0, 92.0),
            ("car", 6.3, 20.5, 88.0),
            ("pole", 4.8, 15.5, 0.0),
            ("sign", -3.6, 18.5, 0.0),
        ),
    ),
)  # fmt: skip

#: What makes cameras differ in colour and exposure: the light before them, and their sensors.
_COLOUR = ("sun_strength", "sky_strength", "gain", "balance", "gamma", "saturation", "contrast")


def spread_cameras(spread: float) -> tuple[Camera, ...]:
    """The town's cameras, `spread` times as different in colour and exposure as they are by default.

    Each field of light and sensor moves from the geometric mean of all cameras, m: x becomes m (x / m)**spread. At
    0 all are alike in this (not in place, lens or ground); 1 gives CAMERAS itself.
    """
    if spread == 1:
        return CAMERAS
    moved: list[dict] = [{} for _ in CAMERAS]
    for name in _COLOUR:
        values = np.array([getattr(camera, name) for camera in CAMERAS])
        mean = np.exp(np.log(values).mean(0))
        for fields, value in zip(moved, (mean * (values / mean) ** spread).tolist(), strict=True):
            fields[name] = tuple(value) if isinstance(value, list) else value
    return tuple(replace(camera, **fields) for camera, fields in zip(CAMERAS, moved, strict=True))
