"""Re-ranking with k-reciprocal neighbours (Zhong et al., CVPR 2017), from features.

Among queries and gallery together, two images are k-reciprocal neighbours if each is among the k nearest of the other.
An image's set R of its k1-reciprocal neighbours is widened by the sets, of k1/2, of its members that lie in it by more
than two thirds, and encoded as a sparse vector: exp(-distance) for each member, with the sum 1. The vectors are
averaged over an image's k2 nearest. The Jaccard distance of two images is 1 less the sum of the element-wise minima of
their vectors over that of the maxima, and the new distance is (1 - weight) times it plus weight times the old one.

The old distances are squared Euclidean ones of L2-normalised features, each query's and gallery image's divided by the
largest that it has to any image, as in the authors' program. Each of a query's distances depends on the other queries
too: say so beside numbers that were re-ranked.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from scipy import sparse
from torch import Tensor, nn

from matlib.errors import MatlibError
from matlib.evaluation.labels import Array
from matlib.evaluation.ranking import checked_features, full_precision

_ROWS = 512  # images that are compared with all at a time


def rerank(query_features: Array, gallery_features: Array, *, k1: int = 20, k2: int = 6, weight: float = 0.3
           ) -> Float32[np.ndarray, "q g"]:
    """The re-ranked distances, in 0..1, for ``evaluate``.

    Beside this matrix and the features, memory for (queries + gallery) times some hundreds of numbers is needed; the
    distances of all images to all others are never held.

    Args:
        query_features, gallery_features: (queries, channels) and (gallery, channels), as for ``evaluate_features``.
        k1, k2: sizes of the neighbourhoods, the image itself not counted for k1 and counted for k2.
        weight: lambda, of the old distance.

    Raises MatlibError for features that do not fit or are not finite, and for sizes or a weight out of range.
    """
    query, gallery = (checked_features(side, len(side), name) for side, name in
                      ((query_features, "query"), (gallery_features, "gallery")))
    if query.shape[1] != gallery.shape[1]:
        raise MatlibError(f"query features have {query.shape[1]} channels and gallery features {gallery.shape[1]}: "
                          "they are to come from the same model")
    images = len(query) + len(gallery)
    if not 1 <= k2 <= k1 + 1 or k1 >= images or not 0 <= weight <= 1:
        raise MatlibError(f"k1 is to be below the {images} images, k2 between 1 and k1 + 1, weight between 0 and 1; "
                          f"got {k1}, {k2} and {weight}")
    features = nn.functional.normalize(torch.cat([query.float(), gallery.to(query.device).float()]), dim=1)
    nearest, largest, old = _neighbours(features, len(query), k1 + 1)
    members = _members(nearest, k1)
    mean = _relation(nearest[:, :k2]) / k2
    return _blend((mean @ _encode(members, features, largest)).tocsr(), old, weight)


def _neighbours(features: Float[Tensor, "n d"], queries: int, count: int
                ) -> tuple[Int64[np.ndarray, "n k"], Float32[np.ndarray, " n"], Float32[np.ndarray, "q g"]]:
    """Each image's nearest by ascending distance, its largest distance, and the queries' distances divided by it."""
    squares, nearest, largest, old = features.square().sum(1), [], [], []
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        with full_precision(features.device):
            distances = torch.addmm(squares[rows, None] + squares, features[rows], features.T, alpha=-2).clamp(min=0)
        nearest.append(distances.topk(count, largest=False).indices.cpu().numpy())
        largest.append(distances.amax(1).clamp(min=torch.finfo(torch.float32).tiny))
        if start < queries:
            old.append((distances[:queries - start, queries:] / largest[-1][:queries - start, None]).cpu().numpy())
    return np.concatenate(nearest), torch.cat(largest).cpu().numpy(), np.concatenate(old)


def _relation(columns: Int64[np.ndarray, "n k"]) -> sparse.csr_matrix:
    """1 where a row's image has a column's among its own."""
    n, k = columns.shape
    ends = np.arange(0, n * k + 1, k)
    return sparse.csr_matrix((np.ones(n * k, np.float32), columns.reshape(-1), ends), shape=(n, n))


def _members(nearest: Int64[np.ndarray, "n k"], k1: int) -> sparse.csr_matrix:
    """The widened sets of reciprocal neighbours, a row an image; which images are in it is all that its numbers say."""
    full, half = (one.multiply(one.T).tocsr() for one in
                  (_relation(nearest[:, :k1 + 1]), _relation(nearest[:, :round(k1 / 2) + 1])))
    common = full.multiply(full @ half.T).tocoo()  # for each member, how much of its own smaller set is in the set
    sizes = np.asarray(half.sum(axis=1)).reshape(-1)
    wide = common.data > sizes[common.col] * 2 / 3
    added = sparse.csr_matrix((np.ones(wide.sum(), np.float32), (common.row[wide], common.col[wide])), shape=full.shape)
    return (full + added @ half).tocsr()


def _encode(members: sparse.csr_matrix, features: Float[Tensor, "n d"], largest: Float32[np.ndarray, " n"]
            ) -> sparse.csr_matrix:
    """exp(-distance) of each image to its members, scaled to the sum 1."""
    pairs, values = members.tocoo(), []
    rows, columns = (torch.from_numpy(index.astype(np.int64)) for index in (pairs.row, pairs.col))
    for row, column in zip(rows.split(_ROWS * 8), columns.split(_ROWS * 8)):
        values.append((features[row] - features[column]).square().sum(1).cpu().numpy())
    weights = np.exp(-np.concatenate(values) / largest[pairs.row])
    weights /= np.bincount(pairs.row, weights=weights)[pairs.row]
    return sparse.csr_matrix((weights.astype(np.float32), (pairs.row, pairs.col)), shape=members.shape)


def _blend(vectors: sparse.csr_matrix, old: Float32[np.ndarray, "q g"], weight: float) -> Float32[np.ndarray, "q g"]:
    """The Jaccard distances of queries and gallery, blended with the old ones in their place."""
    columns = vectors[len(old):].tocsc()
    for i in range(len(old)):
        row = slice(vectors.indptr[i], vectors.indptr[i + 1])
        starts, stops = (columns.indptr[vectors.indices[row] + more] for more in (0, 1))
        counts = stops - starts
        places = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        minima = np.minimum(columns.data[places], np.repeat(vectors.data[row], counts))
        shared = np.bincount(columns.indices[places], weights=minima, minlength=old.shape[1])
        old[i] = weight * old[i] + (1 - weight) * (1 - shared / (2 - shared))  # both sums are 1: maxima are 2 - minima
    return old
