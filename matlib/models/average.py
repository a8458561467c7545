"""A network whose weights are the running mean of another's, to be aimed at (Tarvainen and Valpola, 2017)."""

import copy

import torch
from torch import nn


class Average(nn.Module):
    """Starts as a copy of a network and is led after it; has no parameters and is always in evaluation mode."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        for module in self.network.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach())

    def train(self, mode: bool = True) -> "Average":
        return super().train(False)

    @torch.no_grad()
    def follow(self, network: nn.Module, decay: float, step: int) -> None:
        """Keep ``decay`` of the old mean and take the rest from the network; less is kept in the first steps.

        Args:
            network: of the same names and shapes.
            decay: in [0, 1).
            step: since the start of the training.
        """
        kept, theirs = min(decay, (1 + step) / (10 + step)), network.state_dict()
        for name, own in self.network.state_dict().items():
            if own.is_floating_point():
                own.lerp_(theirs[name], 1 - kept)
            else:
                own.copy_(theirs[name])
