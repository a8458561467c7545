"""Ranking in two stages: a cheap distance finds each query's candidates, a dear one puts these into order.

The k gallery images nearest to a query by the cosine of its first-stage vector are its candidates. They are ranked by

    (1 - share) (1 - cosine) + share second,

and all other images stand behind them, in the order of the first stage. The candidates are chosen before images of the
query's own camera are dropped, which so take places among the k, as in the programs of SFR (He et al., 2018) and FPR
(He et al., ICCV 2019). Those try many shares and print the one that does best on the test set; here it is fixed.

Equal distances are ranked in the order of the gallery, in both stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from matlib.errors import MatlibError
from matlib.evaluation.labels import Array, checked_labels
from matlib.evaluation.ranking import (Block, RankingMetrics, feature_blocks, gallery_step, plan, score_blocks,
                                       whole_rows)
from matlib.models.descriptions import Pyramid

_VECTOR_ELEMENTS = 1 << 24  # of queries that are compared with one gallery image at a time


def evaluate_pyramids(query: Pyramid, gallery: Pyramid, query_ids: Array, gallery_ids: Array, query_cameras: Array,
                      gallery_cameras: Array, *, max_rank: int = 50, average_precision: str = "plain",
                      unmatched: str = "skip") -> RankingMetrics:
    """Rank the gallery for each query in two stages, as the query side's ``second`` says, and score the ranking.

    Beside the descriptors, memory is needed for some numbers a candidate, and for blocks of bounded size: neither the
    matrix of all distances nor anything made of all gallery images' vectors is ever held.

    Labels and options are those of ``evaluate``. Raises MatlibError as it does, for sides of different make, and for
    second distances of another shape than that of the rows that were compared, or that are not finite.
    """
    labels = checked_labels(query_ids, gallery_ids, query_cameras, gallery_cameras)
    for side, pyramid, ids in (("query", query, labels.query_ids), ("gallery", gallery, labels.gallery_ids)):
        if len(pyramid) != len(ids):
            raise MatlibError(f"there are {len(pyramid)} {side} descriptors, but {len(ids)} {side}_ids")
    channels = [(side.first.shape[1], side.vectors.shape[2]) for side in (query, gallery)]
    if channels[0] != channels[1]:
        raise MatlibError(f"query and gallery differ in channels of (first, vectors), {channels[0]} and {channels[1]}; "
                          "both are to come from the same model")
    first = feature_blocks(query.first, gallery.first, "cosine")
    candidates, distances = _candidates(first, len(query), len(gallery), query.second.neighbours)
    share = query.second.share
    order = np.argsort((1 - share) * distances + share * _second_distances(query, gallery, candidates),
                       axis=1, kind="stable")
    places = np.argsort(order, axis=1).astype(np.float32)
    places -= candidates.shape[1] + 2  # below minus the cosine, which is at least -1 but for rounding

    def block_of(queries: np.ndarray) -> Block:
        block, chosen = first(queries), candidates[queries]

        def ranked(columns: np.ndarray | slice) -> Tensor:
            return _put(block(columns), np.arange(len(gallery))[columns], chosen, places[queries])
        return ranked

    return score_blocks(block_of, labels, plan(labels, gallery_step(query.first.shape[1])), max_rank,
                        average_precision, unmatched)


def _candidates(first: Callable[[np.ndarray], Block], queries: int, gallery: int, neighbours: int
                ) -> tuple[Int64[np.ndarray, "q k"], Float64[np.ndarray, "q k"]]:
    """Each query's nearest images by the first stage, in the order of the gallery, and their first distances."""
    count, items, distances = min(neighbours, gallery), [], []
    for rows in whole_rows(queries, gallery):
        block = first(rows)(slice(None))
        last = block.topk(count, dim=1, largest=False).values[:, -1:]
        nearer, tied = block < last, block == last
        room = count - nearer.sum(dim=1, keepdim=True)
        chosen = (nearer | tied & (tied.cumsum(dim=1, dtype=torch.int32) <= room)).nonzero()[:, 1].view(-1, count)
        items.append(chosen.cpu().numpy())
        distances.append(1 + block.gather(1, chosen).double().cpu().numpy())
    return np.concatenate(items), np.concatenate(distances)


def _second_distances(query: Pyramid, gallery: Pyramid, candidates: Int64[np.ndarray, "q k"]
                      ) -> Float64[np.ndarray, "q k"]:
    most = max(_VECTOR_ELEMENTS // query.vectors[0].numel(), 1)
    distances = torch.empty(candidates.size, dtype=torch.float64)
    for queries, images, places in _calls(torch.from_numpy(candidates), query.second.together, most):
        with torch.no_grad():
            some = query.second.distances(query.rows(queries), gallery.rows(images))
        if some.shape != (len(queries), len(images)):
            raise MatlibError(f"the second stage gave distances of the shape {tuple(some.shape)} for {len(queries)} "
                              f"queries and {len(images)} gallery images: it is to be ({len(queries)}, {len(images)})")
        distances[places] = some.flatten().to(distances)
    if not torch.isfinite(distances).all():
        raise MatlibError("the second stage's distances are not all finite: look at its vectors and weights")
    return distances.view(candidates.shape).numpy()


def _calls(candidates: Int64[Tensor, "q k"], together: str, most: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The queries and the images of each call of the second stage, one of one kind, and the pairs' places, row-major.

    A gallery image that many queries chose comes again after ``most`` of them.
    """
    count = candidates.shape[1]
    if together == "candidates":
        places = torch.arange(candidates.numel()).view_as(candidates)
        yield from zip(torch.arange(len(candidates)).split(1), candidates, places)
        return
    images, order = candidates.flatten().sort(stable=True)
    images, counts = images.unique_consecutive(return_counts=True)
    for image, pairs in zip(images.split(1), order.split(counts.tolist())):
        for places in pairs.split(most):
            yield places // count, image, places


def _put(distances: Tensor, columns: Int64[np.ndarray, " b"], candidates: Int64[np.ndarray, "c k"],
         places: Float32[np.ndarray, "c k"]) -> Tensor:
    """A block of first distances, in which those of candidates give way to their places."""
    at = np.searchsorted(columns, candidates)
    here = columns[np.minimum(at, len(columns) - 1)] == candidates
    rows, values = here.nonzero()[0], torch.from_numpy(places[here])
    distances[torch.from_numpy(rows), torch.from_numpy(at[here])] = values.to(distances)
    return distances
