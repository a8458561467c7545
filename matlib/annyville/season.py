"""The season of a picture: one for all plants in it, in the place and before the person.

A camera hangs for months (see `weather`): the season is drawn for each picture, and fits what the person wears. Plants
are made and stored as in summer. A season turns their colour c (linear light, luminance Y) to

    c + share * (Y * tint - c)

with the season's tint, of luminance 1 but for how bright its leaves are. share is the season's, times how far the plant
follows the seasons: little for evergreens and grass, 1 for leaves that fall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from .mesh import Layer, Mesh
from .textures import linear, noise3

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
DECIDUOUS, HEDGE, GRASS, EVERGREEN = 1.0, 0.45, 0.35, 0.1  # how far plants follow the seasons
LEAF_HOLES = 9.0  # gaps between what is left of the leaves: a metre has so many


@dataclass(frozen=True)
class Season:
    """share: of a leaf's colour that the season replaces; thin: share of the leaves that are down; tint and second:
    linear colours (3,), luminance near 1, of two leaves of one plant."""

    name: str
    share: float
    thin: float
    tint: Float[np.ndarray, "3"]
    second: Float[np.ndarray, "3"]

    def turned(
        self, colour: Float[np.ndarray, "3 n"], plant: float | Float[np.ndarray, "n"], mixture: float | np.ndarray = 0.5
    ) -> Float[np.ndarray, "3 n"]:
        """Linear colours of plants in this season. plant: how far each follows it, 0..1; mixture: of the two tints."""
        tint = self.tint[:, None] + mixture * (self.second - self.tint)[:, None]
        return colour + np.float32(self.share) * plant * ((LUMINANCE @ colour) * tint - colour)

    def dressed(self, mesh: Mesh) -> Mesh:
        """A mesh whose plants are as they are in this season: in its colours, and with gaps where leaves are down."""
        plants = np.array([layer.plant for layer in mesh.layers])
        if self.share == 0 or not plants.any():
            return mesh
        layers = tuple(self._layer(layer) if layer.plant else layer for layer in mesh.layers)
        falling = mesh.faces[plants[mesh.face_layer] == DECIDUOUS]
        clip = mesh.clip.copy()
        if self.thin and len(falling):
            ids = np.unique(falling)
            clip[ids, 1] = noise3(LEAF_HOLES * mesh.points[ids]) - self.thin
        return replace(mesh, layers=layers, clip=clip)

    def _layer(self, layer: Layer) -> Layer:
        def material(p, u, offset):
            mixture = np.clip(2 * noise3(p * 3.1 + 11) - 0.5, 0, 1)
            return self.turned(layer.material(p, u, offset).T, layer.plant, mixture).T

        return replace(layer, material=material)


def _tint(srgb: tuple[int, int, int], brightness: float) -> Float[np.ndarray, "3"]:
    colour = linear(srgb)
    return brightness * colour / (LUMINANCE @ colour)


SEASONS = (
    Season("spring", 0.55, 0.0, _tint((150, 184, 70), 1.35), _tint((176, 196, 92), 1.5)),
    Season("summer", 0.0, 0.0, np.ones(3, np.float32), np.ones(3, np.float32)),
    Season("autumn", 0.9, 0.2, _tint((196, 140, 44), 1.35), _tint((168, 76, 40), 1.0)),
    Season("winter", 0.85, 0.42, _tint((138, 104, 68), 0.9), _tint((112, 84, 58), 0.7)),
)
ODDS = {"summer": (0.25, 0.65, 0.10, 0.0), "mild": (0.40, 0.10, 0.40, 0.10), "winter": (0.10, 0.0, 0.30, 0.60)}


def draw_season(clothes: str, rng: np.random.Generator) -> Season:
    """A season in which one wears clothes for "summer", "mild" weather or "winter"; early or late in it."""
    season = SEASONS[int(rng.choice(len(SEASONS), p=ODDS[clothes]))]
    share, thin = rng.uniform(0.7, 1.0), rng.uniform(0.5, 1.0)
    return replace(season, share=season.share * float(share), thin=season.thin * float(thin))
