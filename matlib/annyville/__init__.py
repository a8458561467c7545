"""Annyville: a small town of rendered pedestrians, with the truth about parts, keypoints and occluders.

`generate` writes a set in the folder layout and file names of the real set that it stands in for; the command
line is `python -m matlib.annyville --help`. Nothing else in matlib knows how the pictures are made.
"""

from .plan import PRESETS, PROTOCOLS, summary
from .truth import KEYPOINT_NAMES, PART_NAMES
from .writer import VERSION, generate, read_manifest

__all__ = ["KEYPOINT_NAMES", "PART_NAMES", "PRESETS", "PROTOCOLS", "VERSION", "generate", "read_manifest", "summary"]
