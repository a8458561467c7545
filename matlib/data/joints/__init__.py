"""External keypoints: the truth of rendered images, a noisy detector's, or a cache of a real one's (Table 1, row 6)."""

from matlib.data.joints.sources import DetectorErrors, JointSource, joint_source

__all__ = ["DetectorErrors", "JointSource", "joint_source"]
