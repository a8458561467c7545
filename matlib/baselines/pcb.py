"""PCB: Beyond Part Models, Person Retrieval with Refined Part Pooling (Sun et al., ECCV 2018), without the refining.

The map is cut into horizontal stripes, each with an identity loss of its own, and images are compared stripe by stripe:
it knows nothing of what is hidden, and is what the later methods are measured by.

Faithful: the stripes' means; one reduction, batch normalisation and ReLU shared by all of them; a classifier each; the
sum of their losses and no other one; and that the means themselves are compared, not what the classifiers see.
Of our own:

* The authors cut windows of equal height, which on a map of 24 rows are the six bands of the paper, but overlap widely
  where their number does not divide the height. Here bands share a row at most; ``windows`` has theirs.
* The classifiers stand behind a BNNeck and have no bias, as all here; ``published`` has a bias in place of the neck.
* Refined part pooling, a second training, is not in the row that the paper quotes.

It needs no input beside the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.baselines.recipes import AFTER_PCB
from matlib.config import Count, ModelConfig, ShareBelowOne
from matlib.geometry import check_choice, full_precision
from matlib.models.heads import PartHeads
from matlib.models.method import Method, Step
from matlib.models.parts import pool_parts
from matlib.models.stripes import bands


@dataclass
class PCBOutput:
    """One pass of PCB; p stripes from top to bottom, of c channels, and d of them after the reduction."""

    stripes: Float[Tensor, "b p c"]
    reduced: Float[Tensor, "b p d"]
    reduced_after: Float[Tensor, "b p*d"]
    """After the necks."""
    logits: list[Tensor]


class PCB(Method):
    """p stripes, a classifier each, and the stripes' means compared.

    Raises MatlibError in ``forward`` for a map of fewer rows than stripes.
    """

    @dataclass(frozen=True)
    class Settings:
        stripes: Count = 6
        windows: Literal["adaptive", "original"] = "adaptive"
        """The rows of a stripe: ``stripe_maps``."""
        compare: Literal["raw", "trained"] = "raw"
        """The stripes that are compared: means of the trunk's cells, as in the original, or the reduced vectors."""
        dropout: ShareBelowOne = 0.0
        """Before the reduction; published: 0.5."""
        bias: bool = False
        """Of the classifiers; published: true."""

    also_reads = frozenset({"model.width"})
    ignores = frozenset({"loss.triplet_distance"})
    # Nesterov's momentum, ten times the rate for the reduction too, and batches drawn without regard of identities
    # cannot be said.
    published = AFTER_PCB | {
        "model.neck": "none", "model.method.windows": "original", "model.method.dropout": 0.5,
        "model.method.bias": True, "train.images_per_identity": 4,
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        self.reduce = nn.Sequential(nn.Dropout(self.settings.dropout),
                                    nn.Linear(self.trunk.channels, config.width, bias=False),
                                    nn.BatchNorm1d(config.width), nn.ReLU())
        self.stripe_heads = PartHeads(self.settings.stripes, config.width, identities, config.neck, "per_part",
                                      self.settings.bias)

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> PCBOutput:
        stripes = pool_stripes(self.trunk(images).float(), self.settings.stripes, self.settings.windows)
        reduced = self.reduce(stripes.flatten(0, 1)).unflatten(0, stripes.shape[:2])  # batch and stripes are one batch
        return PCBOutput(stripes, reduced, *self.stripe_heads(reduced))

    def losses(self, output: PCBOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        return {"identity": torch.stack([step.identity(logits) for logits in output.logits]).sum()}

    def describe(self, output: PCBOutput) -> Float[Tensor, "b e"]:
        """All stripes as one vector, each of the same length, so that each counts alike."""
        stripes = output.stripes
        if self.settings.compare == "trained":
            after = output.reduced_after.view_as(output.reduced)
            stripes = after if self.config.descriptor == "after" else output.reduced
        return join_stripes(stripes)


def stripe_maps(height: int, width: int, count: int, windows: str = "adaptive") -> Float[Tensor, "1 q height width"]:
    """Maps of ``count`` stripes from top to bottom, after an empty one (index 0, the background); q = count + 1.

    Args:
        windows: ``adaptive``: the ``bands``; ``original``: windows of h - (p - 1) s rows, every s = floor(h / p) rows,
            so that at 16 rows six windows of 6 rows start every 2 rows. Both are the same where p divides h.

    Raises MatlibError for more stripes than rows, ValueError for other windows.
    """
    check_choice("windows", windows, ("adaptive", "original"))
    maps = bands(height, width, count)
    if windows == "original":
        stride = height // count
        starts = stride * torch.arange(count)
        after_start = torch.arange(height) - starts[:, None]  # (p, height)
        inside = (after_start >= 0) & (after_start < height - starts[-1])
        maps[0, 1:] = inside[:, :, None].to(maps)
    return maps


def pool_stripes(features: Float[Tensor, "b c h w"], count: int, windows: str = "adaptive") -> Float[Tensor, "b p c"]:
    """The mean feature of each of p stripes, from top to bottom. Raises as ``stripe_maps``."""
    maps = stripe_maps(*features.shape[-2:], count, windows).to(features)
    return pool_parts(features, maps.expand(len(features), -1, -1, -1))


@full_precision
def join_stripes(stripes: Float[Tensor, "b p c"]) -> Float[Tensor, "b p*c"]:
    """A vector of length 1 of p stripes, each of length p^-1/2.

    The cosine of two is the mean cosine of their stripes; the authors' squared distance, of stripes of length 1, is 2 p
    times 1 less that.
    """
    return nn.functional.normalize(stripes, dim=2).flatten(1) / stripes.shape[1]**0.5
