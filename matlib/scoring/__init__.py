"""What a run has found without labels, against the truth of a rendered set: keypoints, parts, motion.

``python -m matlib.scoring`` scores a run. What needs scikit-learn is imported when it is asked for, so that the command
can say in a sentence that it is missing.
"""

from importlib import import_module
from typing import Any

__all__ = ["score_model", "score_run", "score_truth"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("matlib.scoring.scores"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
