"""Identity heads: what turns a feature into class logits while training, and into a descriptor at test time."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class IdentityHead(nn.Module):
    """A batch normalisation whose bias stays 0 (the BNNeck of Luo et al. 2019) and a linear classifier, without bias
    unless it is asked for.

    Its parameters learn at ``train.head_lr`` times the rate of the others.
    """

    def __init__(self, width: int, identities: int, neck: str = "bnneck", bias: bool = False):
        super().__init__()
        self.neck = nn.BatchNorm1d(width) if neck == "bnneck" else nn.Identity()
        if neck == "bnneck":
            self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(width, identities, bias=bias)
        nn.init.normal_(self.classifier.weight, std=0.001)
        if bias:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Float[Tensor, "b d"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b n"]]:
        """The feature after the neck, and the logits."""
        after = self.neck(features)
        return after, self.classifier(after)


class PartHeads(nn.Module):
    """The local branch of Equation 16: one classifier on the concatenated parts (``concat``), or one a part."""

    def __init__(self, parts: int, width: int, identities: int, neck: str, kind: str, bias: bool = False):
        super().__init__()
        self.kind = kind
        if kind == "concat":
            self.heads = nn.ModuleList([IdentityHead(parts * width, identities, neck, bias)])
        else:
            self.heads = nn.ModuleList(IdentityHead(width, identities, neck, bias) for _ in range(parts))

    def forward(self, parts: Float[Tensor, "b k d"]) -> tuple[Float[Tensor, "b kd"], list[Float[Tensor, "b n"]]]:
        """All parts after the neck as one vector, and the logits of each classifier."""
        inputs = [parts.flatten(1)] if self.kind == "concat" else parts.unbind(1)
        after, logits = zip(*(head(x) for head, x in zip(self.heads, inputs, strict=True)))
        return torch.cat(after, dim=1), list(logits)
