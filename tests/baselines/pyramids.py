"""What the tests of methods that rank in two stages share: a small network's settings, and images of three people."""

import torch

from matlib.config import profile

SMALL = profile("smoke").change({"model.weights": "none"})
IDENTITIES = torch.tensor([0, 0, 1, 1, 2, 2])


def settled(model):
    """At test, with the statistics of one batch: those of random weights at the start make its features vanish."""
    for norm in model.modules():
        if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
            norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images(16))
    return model.eval()


def images(n=6, size=(64, 32)):
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(1))
