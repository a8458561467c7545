"""Names of what the truth files hold."""

from __future__ import annotations

PART_NAMES = (
    "background",
    "head",
    "torso",
    "left upper arm",
    "right upper arm",
    "left forearm and hand",
    "right forearm and hand",
    "left thigh",
    "right thigh",
    "left shank",
    "right shank",
    "left foot",
    "right foot",
    "carried",
)
HIDDEN = 64  # a pixel of the target that something nearer hides
OCCLUDER = 128  # any other pixel of the occluder

KEYPOINT_NAMES = (
    "nose",
    "left eye",
    "right eye",
    "left ear",
    "right ear",
    "left shoulder",
    "right shoulder",
    "left elbow",
    "right elbow",
    "left wrist",
    "right wrist",
    "left hip",
    "right hip",
    "left knee",
    "right knee",
    "left ankle",
    "right ankle",
)

SURFACE_POINTS = 320  # points of the skin that are followed in every picture
SURFACE_UNIT = 1 / 16  # pixels a step of their stored positions
