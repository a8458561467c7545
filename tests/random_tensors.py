"""Random inputs for the tests of geometry and losses."""

import torch

from matlib.geometry import Keypoints


def randn(*shape, rng, dtype=torch.float32):
    return torch.randn(*shape, generator=rng, dtype=dtype)


def random_keypoints(batch, count, rng, dtype=torch.float32) -> Keypoints:
    """Well inside the map, with Jacobians near the identity."""
    positions = torch.rand(batch, count, 2, generator=rng, dtype=dtype) * 1.4 - 0.7
    noise = randn(batch, count, 2, 2, rng=rng, dtype=dtype)
    return Keypoints(positions, torch.eye(2, dtype=dtype) + 0.15 * noise)
