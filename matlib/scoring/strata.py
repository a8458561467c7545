"""Groups of images by how much of the person is hidden, and of pairs of images by how far the person has turned."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

OCCLUSION_EDGES = (0.0, 0.05, 0.2, 0.4, 1.0)
"""Shares of the person that are hidden: whole (a sliver at most), little, much, most."""
TURN_EDGES = (0.0, 45.0, 90.0, 135.0, 180.0)
"""Degrees."""


def strata_of(values: Float[np.ndarray, " n"], edges: tuple[float, ...]) -> Int[np.ndarray, " n"]:
    """The index of the interval [edges[i], edges[i + 1]) that each value lies in; the last one is closed."""
    return np.digitize(values, edges[1:-1])


def strata_names(edges: tuple[float, ...], scale: float = 1.0, unit: str = "") -> list[str]:
    """``"0-5 %"`` and so on, for edges times ``scale``."""
    return [f"{low * scale:g}-{high * scale:g}{unit}" for low, high in zip(edges, edges[1:], strict=False)]


def occlusion_names() -> list[str]:
    return strata_names(OCCLUSION_EDGES, 100.0, " %")


def turn_names() -> list[str]:
    return strata_names(TURN_EDGES, unit=" degrees")


def turns(yaws: Float[np.ndarray, " n"], others: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The angle between two headings, 0..180 degrees."""
    return np.abs((yaws - others + 180) % 360 - 180)
