"""Ranking metrics under the Market protocol, and a trained model's test (section 4.1 of the paper)."""

from matlib.evaluation.descriptors import evaluate_model, extract_descriptors, extract_parts, rank_model
from matlib.evaluation.visible_parts import PartDescriptors, evaluate_parts, part_distances
from matlib.evaluation.ranking import RankingMetrics, evaluate, evaluate_features

__all__ = ["PartDescriptors", "RankingMetrics", "evaluate", "evaluate_features", "evaluate_model", "evaluate_parts",
           "extract_descriptors", "extract_parts", "part_distances", "rank_model"]
