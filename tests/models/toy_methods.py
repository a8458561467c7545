"""Two methods that matlib does not know, as a user would write them; ``test_own_method`` runs them by its commands."""

from dataclasses import dataclass

import torch
from torch import nn

from matlib.models import Method
from matlib.models.descriptions import PartDescriptors
from matlib.models.heads import IdentityHead


@dataclass
class Output:
    feature: torch.Tensor
    after: torch.Tensor
    logits: torch.Tensor


class Largest(Method):
    """Global max pooling: one vector an image."""

    @dataclass(frozen=True)
    class Settings:
        power: float = 1.0

    weights = {"triplet": 0.5}

    def __init__(self, config, identities):
        super().__init__(config, identities)
        self.scores = IdentityHead(self.trunk.channels, identities, config.neck)

    def forward(self, images):
        feature = self.trunk(images).float().amax(dim=(2, 3)) * self.settings.power
        return Output(feature, *self.scores(feature))

    def losses(self, output, step):
        return {"identity": step.identity(output.logits), "triplet": step.triplet(output.feature)}

    def describe(self, output):
        return nn.functional.normalize(output.after, dim=1)


class AtJoints(Largest):
    """The features at the shoulders and hips, where a detector found them."""

    truth = ("joints",)
    also_reads = frozenset({"data.joints"})
    joints = (5, 6, 11, 12)

    def forward(self, images, joints):
        features = self.trunk(images).float()
        places = joints[:, None, self.joints, :2]
        parts = nn.functional.grid_sample(features, places, align_corners=True)[:, :, 0].transpose(1, 2)
        output = Output(features.mean(dim=(2, 3)), *self.scores(features.mean(dim=(2, 3))))
        output.parts, output.seen = parts, joints[:, self.joints, 2] == 2
        return output

    def describe(self, output):
        return PartDescriptors(output.parts, output.seen, output.after)


class Unfinished(Method):
    """Says neither what it is trained by nor what of it is compared."""

    def forward(self, images):
        return self.trunk(images)
