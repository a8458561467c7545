"""matlib: an executable reproduction of "Motion-Aware Transformer For Occluded Person Re-identification" (2022)."""

__version__ = "0.1.0"
