"""The eight cameras of the town: where they hang, their lenses, their light, and how their sensors bend colour.

World frame: the camera stands above the origin at its height and looks along +y, tilted down; x is right, z is up,
the ground is z = 0; metres. Frame: FRAME_WIDTH x FRAME_HEIGHT pixels, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

FRAME_WIDTH, FRAME_HEIGHT = 1280, 720


@dataclass(frozen=True)
class Camera:
    """One fixed camera. Angles in degrees; `sun` is azimuth (0: from behind the camera, 90: from the right) and
    elevation; `paths` are the main walking directions as headings (0: toward the camera, 90: toward +x)."""

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

    @property
    def sun_direction(self) -> Float[np.ndarray, "3"]:
        """Unit vector toward the sun."""
        a, e = np.radians(self.sun[0]), np.radians(self.sun[1])
        return np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])

    def project(self, points: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n"]]:
        """Frame pixels and depth along the optical axis (metres) of world points."""
        s, c = np.sin(np.radians(self.pitch)), np.cos(np.radians(self.pitch))
        x, y, z = points[:, 0], points[:, 1], points[:, 2] - self.height
        depth = np.maximum(y * c - z * s, 0.05)
        u, v = self.focal * x / depth, -self.focal * (y * s + z * c) / depth
        cr, sr = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        xy = np.stack([FRAME_WIDTH / 2 + cr * u - sr * v, FRAME_HEIGHT / 2 + sr * u + cr * v], 1)
        return xy, depth

    def rays(self, xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """World directions (not unit: one metre along the optical axis) of frame pixels."""
        s, c = np.sin(np.radians(self.pitch)), np.cos(np.radians(self.pitch))
        cr, sr = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        a, b = (xy[:, 0] - FRAME_WIDTH / 2) / self.focal, (xy[:, 1] - FRAME_HEIGHT / 2) / self.focal
        u, v = cr * a + sr * b, -sr * a + cr * b
        return np.stack([u, c - v * s, -s - v * c], 1)


CAMERAS: tuple[Camera, ...] = (
    Camera("plaza", 4.2, 20.0, 1240.0, 0.4, 7.5, 13.0, "slabs", "concrete", 19.0, (0.0, 180.0, 35.0), (-55.0, 42.0), 1.9, 0.55, 0.06, 0.00,
           0.98, (1.01, 1.0, 0.98), 1.0, 0.90, 1.05, 0.5, 2.0, (84, 93), 0.10,
           (("bush", -5.5, 17.5, 0.0), ("bush", -4.4, 17.8, 40.0), ("bush", 5.3, 17.4, 90.0), ("sign", 2.6, 16.5, 15.0), ("bin", -2.2, 17.0, 0.0))),
    Camera("brick lane", 3.3, 15.0, 1080.0, -0.8, 6.0, 11.0, "brick", "brickwall", 14.0, (90.0, 270.0, 75.0), (70.0, 35.0), 1.6, 0.50, 0.10, 0.00,
           0.92, (1.07, 1.0, 0.89), 0.97, 0.93, 1.06, 0.6, 3.0, (80, 92), 0.15,
           (("barrier", 3.2, 12.8, 8.0), ("bin", -2.6, 13.2, 0.0), ("suitcase", -3.6, 13.3, 30.0))),
    Camera("park", 3.6, 17.0, 1150.0, 0.0, 6.5, 12.5, "grass", "hedge", 20.0, (0.0, 180.0, 200.0), (35.0, 50.0), 2.1, 0.60, 0.04, 0.02,
           1.00, (0.95, 1.02, 0.95), 1.03, 1.02, 1.04, 0.4, 2.0, (86, 94), 0.05,
           (("tree", -4.6, 14.5, 0.0), ("tree", 5.2, 16.5, 60.0), ("bush", 2.9, 16.5, 0.0), ("wall", -1.5, 18.5, 0.0))),
    Camera("car park", 4.8, 21.0, 1330.0, 1.2, 8.0, 14.0, "asphalt", "plaster", 22.0, (90.0, 270.0, 120.0, 300.0), (120.0, 55.0), 1.7, 0.62, 0.02, 0.02,
           1.12, (0.94, 1.0, 1.08), 1.02, 0.82, 0.96, 0.5, 2.5, (82, 93), 0.08,
           (("car", -4.4, 17.0, 80.0), ("car", 0.4, 17.6, 95.0), ("car", 5.0, 17.0, 84.0), ("pole", -7.0, 13.0, 0.0))),
    Camera("station", 3.0, 13.0, 1020.0, -0.5, 5.5, 10.0, "tiles", "panels", 13.0, (90.0, 270.0, 0.0), (10.0, 75.0), 0.55, 1.15, 0.03, 0.00,
           0.92, (1.06, 1.01, 0.90), 0.94, 0.84, 1.08, 0.7, 4.5, (78, 90), 0.18,
           (("pole", -3.2, 9.5, 0.0), ("pole", 3.6, 11.0, 0.0), ("bin", 1.8, 12.3, 0.0), ("suitcase", 2.5, 12.2, 20.0))),
    Camera("shopping street", 3.9, 18.0, 1120.0, 0.8, 6.5, 12.0, "cobble", "shops", 16.0, (60.0, 240.0, 300.0), (-100.0, 48.0), 1.5, 0.60, 0.05, 0.00,
           1.07, (1.01, 0.99, 1.01), 1.0, 1.00, 1.02, 0.5, 2.5, (82, 92), 0.08,
           (("sign", -3.4, 14.2, -10.0), ("bush", 1.0, 15.2, 0.0), ("bin", 4.1, 14.8, 0.0), ("car", -7.4, 14.5, 5.0))),
    Camera("underpass", 2.9, 12.0, 980.0, 0.0, 5.2, 9.5, "concrete", "graffiti", 13.0, (0.0, 180.0, 20.0, 200.0), (25.0, 80.0), 0.35, 1.05, 0.10, 0.03,
           0.86, (1.09, 1.01, 0.85), 0.93, 0.76, 1.05, 0.9, 6.5, (72, 88), 0.25,
           (("pole", -2.9, 9.0, 0.0), ("barrier", 2.8, 11.8, -10.0))),
    Camera("crossing", 5.4, 24.0, 1420.0, -1.0, 9.0, 15.0, "crossing", "windows", 24.0, (0.0, 180.0, 90.0, 270.0), (160.0, 38.0), 1.5, 0.55, 0.08, 0.04,
           1.05, (0.95, 1.0, 1.06), 1.04, 0.84, 0.96, 0.6, 2.5, (80, 92), 0.06,
           (("car", -6.0, 19.0, 92.0), ("car", 6.3, 20.5, 88.0), ("pole", 4.8, 15.5, 0.0), ("sign", -3.6, 18.5, 0.0))),
)  # fmt: skip
