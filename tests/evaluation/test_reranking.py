"""Re-ranking against the paper's definitions with sets, one pair of images at a time."""

import numpy as np
import pytest
import torch

from matlib.errors import MatlibError
from matlib.evaluation import evaluate, evaluate_features, reranking
from matlib.evaluation.reranking import rerank


def slow_rerank(query, gallery, k1, k2, weight):
    features = np.concatenate([query, gallery]).astype(float)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    n, q = len(features), len(query)
    distance = np.array([[((a - b) ** 2).sum() for b in features] for a in features])
    distance /= distance.max(axis=1, keepdims=True)
    nearest = [sorted(range(n), key=lambda j: distance[i, j]) for i in range(n)]

    def reciprocal(i, k):
        return {j for j in nearest[i][:k + 1] if i in nearest[j][:k + 1]}

    vectors = np.zeros((n, n))
    for i in range(n):
        own = reciprocal(i, k1)
        wide = set(own)
        for j in own:
            other = reciprocal(j, round(k1 / 2))
            if 3 * len(other & own) > 2 * len(other):
                wide |= other
        for j in wide:
            vectors[i, j] = np.exp(-distance[i, j])
        vectors[i] /= vectors[i].sum()
    vectors = np.array([vectors[nearest[i][:k2]].mean(axis=0) for i in range(n)])
    jaccard = [[1 - np.minimum(vectors[i], vectors[j]).sum() / np.maximum(vectors[i], vectors[j]).sum()
                for j in range(q, n)] for i in range(q)]
    return (1 - weight) * np.array(jaccard) + weight * distance[:q, q:]


def clustered(generator, spread=0.7):
    centres = generator.normal(size=(9, 6))
    ids = [np.arange(25) % 9, np.arange(70) % 9]
    return [centres[side] + spread * generator.normal(size=(len(side), 6)) for side in ids], ids


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (7, 1, 0.0), (5, 3, 1.0), (94, 2, 0.5)])
def test_agrees_with_the_definitions(k1, k2, weight, monkeypatch):
    monkeypatch.setattr(reranking, "_ROWS", 16)  # 25 queries: the second block of rows has both sides
    (query, gallery), _ = clustered(np.random.default_rng(0))
    expected = slow_rerank(query, gallery, k1, k2, weight)
    result = rerank(query, torch.from_numpy(gallery), k1=k1, k2=k2, weight=weight)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_neighbours_help_where_identities_are_clusters():
    (query, gallery), ids = clustered(np.random.default_rng(1), spread=0.5)
    labels = (*ids, np.zeros(25, int), np.ones(70, int))
    before = evaluate_features(query, gallery, *labels).mAP
    assert evaluate(rerank(query, gallery, k1=7, k2=3), *labels).mAP > before + 0.02


@pytest.mark.parametrize(("options", "sentence"), [
    (dict(k1=95), "below the 95 images"), (dict(k2=0), "k2 between 1"), (dict(weight=1.5), "weight between 0 and 1")])
def test_bad_options_are_refused_in_a_sentence(options, sentence):
    (query, gallery), _ = clustered(np.random.default_rng(2))
    with pytest.raises(MatlibError, match=sentence):
        rerank(query, gallery, **options)


def test_features_of_two_models_are_refused():
    with pytest.raises(MatlibError, match="same model"):
        rerank(np.ones((2, 3)), np.ones((2, 4)))
