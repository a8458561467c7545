"""One model's test under every choice that published numbers differ in, one changed at a time."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from matlib.data import ReIDDataset
from matlib.evaluation.labels import Labels
from matlib.evaluation.protocols import SingleShotMetrics, evaluate_single_shot
from matlib.evaluation.ranking import RankingMetrics, evaluate, evaluate_features
from matlib.evaluation.reranking import rerank


def labels_of(data: ReIDDataset) -> Labels:
    """Identities and cameras of a data set's test, in the order in which ``evaluate`` takes them."""
    sides = [np.array([(sample.identity, sample.camera) for sample in side]) for side in (data.query, data.gallery)]
    return Labels(sides[0][:, 0], sides[1][:, 0], sides[0][:, 1], sides[1][:, 1])


def cosine_distances(query: Float[Tensor, "q d"], gallery: Float[Tensor, "g d"]) -> Float[np.ndarray, "q g"]:
    """1 - cosine of all pairs."""
    query, gallery = (torch.nn.functional.normalize(side, dim=1) for side in (query, gallery))
    return (1 - query @ gallery.T).numpy()


def disputed_choices(query: Float[Tensor, "q d"], gallery: Float[Tensor, "g d"], labels: Labels, *, seed: int = 0
                     ) -> dict[str, RankingMetrics | SingleShotMetrics]:
    """The metrics under the usual rule, the first entry, and with one of its choices changed each.

    ``query`` and ``gallery`` are features that nobody has normalised, so that cosine and Euclid can differ.
    """
    distances = cosine_distances(query, gallery)
    anywhere = labels._replace(query_cameras=np.full_like(labels.query_cameras, labels.gallery_cameras.min() - 1))
    own_camera = labels.query_cameras[:, None] == labels.gallery_cameras
    shot = evaluate_single_shot(distances, *labels, draws=10, seed=seed)
    return {
        "usual: cosine, plain AP, own camera's images of the identity dropped": evaluate(distances, *labels),
        "trapezoid AP": evaluate(distances, *labels, average_precision="trapezoid"),
        "queries without a match count 0": evaluate(distances, *labels, unmatched="zero"),
        "nothing dropped: the own camera's images are matches": evaluate(distances, *anywhere),
        "all of the own camera's images ranked last": evaluate(np.where(own_camera, 3, distances), *labels),
        "one gallery image an identity (mean of 10 draws)": shot,
        "Euclidean distance, not normalised": evaluate_features(query, gallery, *labels, metric="euclidean"),
        "k-reciprocal re-ranking": evaluate(rerank(query, gallery), *labels),
    }
