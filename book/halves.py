"""A method in thirty lines, for the page ``your_method``."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from matlib.config import Range
from matlib.models import Method
from matlib.models.descriptions import PartDescriptors
from matlib.models.heads import IdentityHead


@dataclass
class Output:
    halves: Tensor  # (b, 2, channels)
    after: Tensor   # the same after their necks
    logits: list[Tensor]


class Halves(Method):
    """The upper and the lower half of the image, compared one by one."""

    @dataclass(frozen=True)
    class Settings:
        upper: Annotated[float, Range(0.2, 0.8)] = 0.5  # share of the height that is the upper half

    def __init__(self, config, identities):
        super().__init__(config, identities)
        self.scores = torch.nn.ModuleList(IdentityHead(self.trunk.channels, identities, config.neck) for _ in range(2))

    def forward(self, images):
        features = self.trunk(images).float()  # (b, channels, h, w)
        cut = round(self.settings.upper * features.shape[2])
        halves = torch.stack([features[:, :, :cut].mean((2, 3)), features[:, :, cut:].mean((2, 3))], dim=1)
        after, logits = zip(*(head(half) for head, half in zip(self.scores, halves.unbind(1))))
        return Output(halves, torch.stack(after, dim=1), list(logits))

    def losses(self, output, step):
        return {"identity": sum(map(step.identity, output.logits)) / 2,
                "triplet": step.triplet(output.halves.flatten(1))}

    def describe(self, output):
        return PartDescriptors(output.after, torch.ones(output.after.shape[:2], device=output.after.device))
