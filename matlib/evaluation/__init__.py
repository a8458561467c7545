"""Ranking metrics under the Market protocol, and a trained model's test (section 4.1 of the paper).

What needs scipy or scikit-learn, which training does without, is imported from its own file: ``reranking``,
``choices``, ``chance``, ``colour``, ``keypoints``, ``parts``.
"""

from matlib.evaluation.descriptors import (describe_images, evaluate_model, extract_descriptors, extract_raw,
                                           rank_model)
from matlib.evaluation.protocols import SingleShotMetrics, by_camera_pair, by_group, evaluate_single_shot
from matlib.evaluation.ranking import PerQuery, RankingMetrics, evaluate, evaluate_features
from matlib.evaluation.two_stage import evaluate_pyramids
from matlib.evaluation.uncertainty import Interval, bootstrap, bootstrap_difference, bootstrap_sum
from matlib.evaluation.visible_parts import PartDescriptors, evaluate_parts, part_distances

__all__ = ["Interval", "PartDescriptors", "PerQuery", "RankingMetrics", "SingleShotMetrics", "bootstrap",
           "bootstrap_difference", "bootstrap_sum", "by_camera_pair", "by_group", "describe_images", "evaluate",
           "evaluate_features", "evaluate_model", "evaluate_parts", "evaluate_pyramids", "evaluate_single_shot",
           "extract_descriptors", "extract_raw", "part_distances", "rank_model"]
