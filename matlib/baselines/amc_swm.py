"""After AMC+SWM, partial person re-identification (Zheng, Li, Xiang, Liao, Lai and Gong, ICCV 2015): a reading of ours.

The original compares hand-crafted patches, one gallery image a person: a sparse code that is wary of ambiguous patches
(AMC, local to local), and a window that slides over the whole body (SWM, global to local). No program of it is public,
and its formulas could not be read; what is here follows their description in words, on a network's cells:

* A cell of the map, of length 1, is a patch. The network is the baseline, trained as it is; nothing more is learnt.
* AMC codes a patch y of the query by the patches D of all its candidates, x = argmin |y - D x|^2 / 2 + sum_i
  lambda (1 + mu a_i) |x_i|, where a_i, the ambiguity, is the mean cosine of patch i and its nearest ones in *other*
  images. A candidate's distance is the sum over y of |y - D_c x_c|, with its own patches and their part of x alone.
* SWM is the least mean absolute difference of the query's map and the rows that it covers of the candidate's, over all
  places from top to bottom.
* Their sum, each between 0 and 1 among a query's candidates, ranks these; the baseline's cosine finds them.

The original keeps a query's aspect ratio, and so knows how many rows it covers. Here images come stretched to one size,
and the ratio is lost: the window has every height from ``least_height`` of the map on, and the best counts.

The original's gallery has one image of a person, by another camera. Here candidates are all that the baseline finds,
those of the query's own camera among them, which are not ranked but code its patches with the others.

It needs no input beside the images. A query costs about a second of one core at 50 candidates of 72 cells of 96
channels, so it is for the partial sets; with several images of a person, each is a candidate by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from matlib.config import Count, ModelConfig, Positive, Share, Weight
from matlib.errors import MatlibError
from matlib.models.descriptions import Pyramid, SecondStage
from matlib.models.heads import IdentityHead
from matlib.models.method import Method, Step
from matlib.models.reconstruction import pyramid

_PENALTY = 3.0  # of the splitting in sparse_codes: any is right, this one is fast for patches of length 1


@dataclass
class AMCSWMOutput:
    """One pass of the baseline, with its map."""

    global_feature: Float[Tensor, "b c"]
    after_neck: Float[Tensor, "b c"]
    logits: Float[Tensor, "b identities"]
    features: Float[Tensor, "b c h w"]


class AMCSWM(Method):
    """The baseline, whose candidates are ranked again by their cells."""

    @dataclass(frozen=True)
    class Settings:
        """Of the match; all are readings of ours."""

        sparsity: Positive = 0.05  # lambda
        wariness: Weight = 1.0  # mu, of ambiguous patches; 0 is plain sparse coding
        alike: Count = 5  # so many nearest patches of other images say how ambiguous one is
        steps: Count = 100  # of the search for the code
        least_height: Share = 0.5  # of the window, in heights of the map; 1 lets nothing slide
        pool: Count = 1  # so many by so many cells make a patch
        neighbours: Count = 50

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        self.global_head = IdentityHead(self.trunk.channels, identities, config.neck)

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> AMCSWMOutput:
        features = self.trunk(images).float()
        feature = features.mean(dim=(2, 3))
        return AMCSWMOutput(feature, *self.global_head(feature), features)

    def losses(self, output: AMCSWMOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        return {"identity": step.identity(output.logits), "triplet": step.triplet(output.global_feature)}

    def describe(self, output: AMCSWMOutput) -> Pyramid:
        own = self.settings
        patches = pyramid(output.features, [own.pool], own.pool, with_global=False)
        match = partial(amc_swm, rows=output.features.shape[2] // own.pool, sparsity=own.sparsity,
                        wariness=own.wariness, alike=own.alike, steps=own.steps, least_height=own.least_height)
        return Pyramid(output.after_neck if self.config.descriptor == "after" else output.global_feature,
                       nn.functional.normalize(patches, dim=2),
                       SecondStage(match, own.neighbours, share=1.0, together="candidates"))


def amc_swm(query: Pyramid, candidates: Pyramid, rows: int, sparsity: float, wariness: float, alike: int, steps: int,
            least_height: float) -> Float[Tensor, "q g"]:
    """The sum of both distances, each from 0 to 1 among the candidates of a query.

    Args:
        rows: of the maps, whose cells are the vectors, row by row.
        the others: as in ``AMCSWM.Settings``.

    Raises MatlibError for a single candidate.
    """
    atoms = candidates.vectors
    penalties = sparsity * (1 + wariness * ambiguities(atoms, alike))
    maps = atoms.transpose(1, 2).unflatten(2, (rows, -1))
    return torch.stack([
        _from_0_to_1(patch_distances(patches, atoms, penalties, steps))
        + _from_0_to_1(sliding_distances(patches.T.unflatten(1, (rows, -1)), maps, least_height))
        for patches in query.vectors])


def ambiguities(atoms: Float[Tensor, "g n c"], alike: int) -> Float[Tensor, "g n"]:
    """The mean cosine of each patch, of length 1, and the so many patches of other images that are nearest to it.

    Raises MatlibError where there is no other image.
    """
    count, size, _ = atoms.shape
    if count < 2:
        raise MatlibError("AMC asks how alike the patches of other gallery images are, and there is one image: give a "
                          "gallery, and model.method.neighbours, of at least 2")
    means = []
    for i in range(count):
        others = torch.cat([atoms[:i], atoms[i + 1:]]).flatten(0, 1)
        means.append((atoms[i] @ others.T).topk(min(alike, len(others)), dim=1).values.mean(dim=1))
    return torch.stack(means)


def sparse_codes(patches: Float[Tensor, "p c"], atoms: Float[Tensor, "a c"], penalties: Float[Tensor, " a"],
                 steps: int = 100) -> Float[Tensor, "p a"]:
    """The code x of each patch y of least |y - D x|^2 / 2 + sum_i penalty_i |x_i|, D's columns being the atoms.

    By alternating directions (ADMM): cells of a network are so alike that shrinkage of gradients, accelerated or not,
    is far from the least after hundreds of steps. Atoms are to be about of length 1.
    """
    gram = atoms.double().T @ atoms.double() + _PENALTY * torch.eye(atoms.shape[1], dtype=torch.float64,
                                                                    device=atoms.device)
    inverse = torch.linalg.inv(gram).to(atoms)
    products = patches @ atoms.T
    codes = gaps = torch.zeros_like(products)
    for _ in range(steps):
        target = products + _PENALTY * (codes - gaps)
        free = (target - target @ atoms @ inverse @ atoms.T) / _PENALTY  # (D'D + I penalty)^-1 by an inverse of c by c
        sums = free + gaps
        codes = sums.sign() * (sums.abs() - penalties / _PENALTY).clamp_min(0)
        gaps = sums - codes
    return codes


def patch_distances(patches: Float[Tensor, "p c"], atoms: Float[Tensor, "g n c"], penalties: Float[Tensor, "g n"],
                    steps: int = 100) -> Float[Tensor, " g"]:
    """AMC: what each image's own patches leave of the query's, coded by those of all images together."""
    codes = sparse_codes(patches, atoms.flatten(0, 1), penalties.flatten(), steps).unflatten(1, atoms.shape[:2])
    return (patches[None] - torch.einsum("pgn,gnc->gpc", codes, atoms)).norm(dim=2).sum(dim=1)


def window_distances(probe: Float[Tensor, "c k w"], maps: Float[Tensor, "g c h w"]) -> Float[Tensor, " g"]:
    """SWM: the least mean absolute difference of the probe and k rows of each map."""
    height = probe.shape[1]
    places = [(maps[:, :, top:top + height] - probe).abs().mean(dim=(1, 2, 3))
              for top in range(maps.shape[2] - height + 1)]
    return torch.stack(places).amin(dim=0)


def sliding_distances(probe: Float[Tensor, "c h w"], maps: Float[Tensor, "g c h w"], least_height: float
                      ) -> Float[Tensor, " g"]:
    """``window_distances`` of the probe at the best of its heights, ``least_height`` h to h rows."""
    rows, width = maps.shape[2:]
    resized = (nn.functional.interpolate(probe[None], (height, width), mode="bilinear", antialias=True)[0]
               for height in range(max(math.ceil(least_height * rows), 1), rows + 1))
    return torch.stack([window_distances(some, maps) for some in resized]).amin(dim=0)


def _from_0_to_1(distances: Float[Tensor, " g"]) -> Float[Tensor, " g"]:
    """All 0 where they are all alike."""
    low, high = distances.aminmax()
    return (distances - low) / (high - low).clamp_min(torch.finfo(distances.dtype).tiny)
