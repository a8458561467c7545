"""What a ranking scores that knows nothing: the expectation over all orders of the gallery, in closed form.

For a query with m matches among n gallery images (those of its identity and camera left out), a random order has a
match among its first k with probability 1 - C(n - m, k) / C(n, k), and the expected average precision

    (m - 1) / (n - 1) (1 - H_n / n) + H_n / n,    H_n = 1 + 1/2 + ... + 1/n

(Bestgen, The Prague Bulletin of Mathematical Linguistics 103, 2015).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import hypergeom

from matlib.data import Sample

RANKS = (1, 3, 5, 10)


def expected_metrics(query: Sequence[Sample], gallery: Sequence[Sample]) -> dict[str, float]:
    """Expected ``rank1``, ``rank3``, ``rank5``, ``rank10`` and ``mAP``, in 0..1, over the queries that have a match.

    NaN where none has.
    """
    people, places = Counter(s.identity for s in gallery), Counter((s.identity, s.camera) for s in gallery)
    junk = np.array([places[s.identity, s.camera] for s in query], dtype=int)
    matches = np.array([people[s.identity] for s in query], dtype=int) - junk
    n, m = len(gallery) - junk[matches > 0], matches[matches > 0]
    if not len(m):
        return dict.fromkeys((*(f"rank{k}" for k in RANKS), "mAP"), float("nan"))
    found = {f"rank{k}": float(hypergeom.sf(0, n, m, np.minimum(k, n)).mean()) for k in RANKS}
    return found | {"mAP": float(_expected_average_precision(n, m).mean())}


def _expected_average_precision(n: np.ndarray, m: np.ndarray) -> np.ndarray:
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, n.max() + 1))])[n]
    return (m - 1) / np.maximum(n - 1, 1) * (1 - harmonic / n) + harmonic / n
