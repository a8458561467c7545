"""What ranked lists show is what the evaluator ranks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from matlib.data import ReIDDataset, Sample
from matlib.evaluation import evaluate
from matlib.evaluation.choices import disputed_choices, labels_of
from matlib.report import ranked


@pytest.fixture
def data(tmp_path):
    def side(name, labels):
        return tuple(Sample(tmp_path / name / f"{i}.jpg", *label) for i, label in enumerate(labels))
    return ReIDDataset("made up", Path("x"), (), side("query", [(1, 0), (2, 1), (9, 0)]),
                       side("gallery", [(1, 0), (3, 0), (1, 1), (2, 0), (2, 1), (1, 2)]))


def test_a_ranked_list_is_the_gallery_by_distance_less_the_own_cameras_images(data):
    distances = np.array([[0.0, 0.3, 0.1, 0.3, 0.2, 0.9]] * 3)
    assert ranked.ranked_list(distances, data, 0, 9).tolist() == [2, 4, 1, 3, 5]
    assert ranked.ranked_list(distances, data, 1, 2).tolist() == [0, 2]


def test_the_hardest_queries_have_the_lowest_precision_and_a_match(data):
    distances = np.array([[0.9, 0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.9, 0.0, 0.1], [0.1] * 6])
    metrics = evaluate(distances, *labels_of(data))
    assert ranked.hardest_queries(metrics).tolist() == [1, 0]
    assert ranked.hardest_queries(metrics, 1).tolist() == [1]


def test_the_histogram_counts_every_pair_that_is_ranked(data):
    figure = ranked.distance_histogram(np.random.default_rng(0).random((3, 6)), data)
    labels = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    ranked.plt.close(figure)
    assert labels == {"same identity", "other identity"}


def test_each_disputed_choice_is_the_usual_rule_but_for_one_thing():
    generator = np.random.default_rng(0)
    side = tuple(Sample(Path("x"), int(identity), int(camera))
                 for identity, camera in zip(generator.integers(0, 8, 60), generator.integers(0, 3, 60)))
    labels = labels_of(ReIDDataset("made up", Path("x"), (), side[:20], side[20:]))
    query, gallery = (torch.from_numpy(generator.normal(size=(n, 5))).float() for n in (20, 40))
    names = list(choices := disputed_choices(query, gallery, labels))
    usual, trapezoid, zero, kept, last, _, euclidean, _ = choices.values()
    assert trapezoid.rank(1) == usual.rank(1) and trapezoid.mAP < usual.mAP
    assert zero.mAP == pytest.approx(usual.mAP * usual.valid_queries.mean())
    assert kept.valid_queries.sum() >= usual.valid_queries.sum() and kept.mAP != usual.mAP
    assert (last.average_precisions >= usual.average_precisions).all()
    assert euclidean.mAP != usual.mAP and names[0].startswith("usual")
