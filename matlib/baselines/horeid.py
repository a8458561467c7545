"""HOReID: High-Order Information Matters: Learning Relation and Topology for Occluded Person Re-Identification
(Wang et al., CVPR 2020).

Three stages: local features of joints (``oonet``), which pass messages along the skeleton (``GraphLayer``), and which
are matched between two images (``MatchingNet``). The third says only how the nearest few of the gallery are ranked
again. External input: the joints.

Faithful: the graph layers, the matching and its losses, what is mined and when the matching starts, the descriptor,
which is of the graph's vectors alone.
Where the paper and its authors' code differ, the code is followed, but for one sign (``second_sign``): as published,
the verification's probability that two images show one person makes their distance larger.
Of our own:

* The matching's nodes are ``model.width`` wide. The graphs' rate of learning, a tenth in the original, is the trunk's.
* Sinkhorn's steps are computed on logarithms: the same values, and gradients that stay finite.
* The permutation loss counts 1/200 (``permutation``): through a softmax of 200 times the affinities its gradients are
  so large that clipping the norm of all would stop the trunk, which has no part in it. Adam does not notice.
* The original drops the first ReLU of its ResNet-50; the trunk here is whole.

In the original code the matching ignores the skeleton, as it does here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from matlib.baselines.oonet import VECTORS, confident_identity_loss, joint_features, weighted_descriptor
from matlib.baselines.pose import heat_maps, in_pixels
from matlib.baselines.recipes import AFTER_STRONG_BASELINE
from matlib.config import Count, ModelConfig, Positive, Share, Weight
from matlib.distributed import gather
from matlib.geometry import full_precision
from matlib.losses import hardest_pairs
from matlib.models.descriptions import Pyramid, SecondStage
from matlib.models.heads import PartHeads
from matlib.models.method import Batches, Method, Step

SKELETON = ((0, 1), (0, 2), (1, 2), (1, 3), (1, 7), (1, 8), (2, 4), (2, 7), (2, 8), (3, 5), (4, 6), (7, 8), (7, 9),
            (8, 10), (9, 11), (10, 12))
"""The edges between local vectors, as places in ``oonet.GROUPS``, the lower one first, in the original's order."""

MATCHING_FROM = 1 / 6
"""The share of the training after which the matching is trained: 20 of 120 epochs."""

_PAIRS_AT_ONCE = 256
_ALMOST_ONE = 1 - 1e-6


@dataclass
class HOReIDOutput:
    vectors: Float[Tensor, "b 14 c"]
    """13 local ones, and the global one last."""
    graph: Float[Tensor, "b 14 c"]
    """The vectors after the graph layers."""
    graph_after: Float[Tensor, "b 14 c"]
    """``graph`` after its necks: what is matched and compared."""
    logits: list[Tensor]
    graph_logits: list[Tensor]
    confidences: Float[Tensor, "b 14"]


class HOReID(Method):
    """Local features, two graph layers, and a matching net for a second ranking of the nearest."""

    @dataclass(frozen=True)
    class Settings:
        sharpness: Positive = 10.0
        """Factor on the heat maps before the softmax over the cells."""
        sigma: Positive = 1.0
        """Of the heat maps, in cells."""
        margin: Weight = 0.0
        """Of the triplets' hinge; 0 is the soft margin; published: 0.3."""
        permutation: Weight = 0.005
        """Weight of the permutation loss; published: 1, where gradients are not clipped."""
        second_sign: Literal["intended", "published"] = "intended"
        """Of the verification in the second stage: ``published`` ranks unlike pairs first, as the authors' code."""
        second_share: Share = 0.9
        """Of the verification in the second stage's distance; 0 leaves the order of the first stage."""
        second_neighbours: Count = 8

    truth = ("joints",)
    also_reads = frozenset({"data.joints", "model.width"})
    ignores = frozenset({"model.descriptor"})
    # What cannot be said: Adam's own kind of weight decay, rounds of 200 steps in place of epochs, the second step at
    # round 70 (here 80).
    published = AFTER_STRONG_BASELINE | {
        "model.width": 1024, "model.method.margin": 0.3, "model.method.permutation": 1.0,
        "model.method.second_sign": "published",
    }

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__(config, identities)
        channels = self.trunk.channels
        self.graph_layers = nn.Sequential(GraphLayer(channels), GraphLayer(channels))
        self.local_heads, self.graph_heads = (PartHeads(VECTORS, channels, identities, config.neck, "per_part")
                                              for _ in range(2))
        self.matching = MatchingNet(channels, config.width)
        self.trains_matching = True

    @property
    def weights(self) -> dict[str, float]:
        return {"permutation": self.settings.permutation, "verification": 0.1}

    def begin_epoch(self, epoch: int, epochs: int, images: Batches) -> None:
        self.trains_matching = epoch >= MATCHING_FROM * epochs

    def forward(self, images: Float[Tensor, "b 3 height width"], joints: Float[Tensor, "b 17 3"]) -> HOReIDOutput:
        features = self.trunk(images).float()
        image_size = tuple(images.shape[-2:])
        maps = heat_maps(in_pixels(joints, image_size), image_size, tuple(features.shape[-2:]), self.settings.sigma)
        vectors, confidences = joint_features(features, maps, self.settings.sharpness)
        graph = self.graph_layers(vectors)
        graph_after, graph_logits = self.graph_heads(graph)
        return HOReIDOutput(vectors, graph, graph_after.unflatten(1, (VECTORS, -1)), self.local_heads(vectors)[1],
                            graph_logits, confidences)

    def losses(self, output: HOReIDOutput, step: Step) -> dict[str, Float[Tensor, ""]]:
        margin, smoothing = self.settings.margin or None, step.config.label_smoothing
        terms = {}
        for of, vectors, logits in (("local", output.vectors, output.logits),
                                    ("graph", output.graph, output.graph_logits)):
            terms[f"identity_{of}"] = confident_identity_loss(logits, step.identities, output.confidences, smoothing)
            terms[f"triplet_{of}"] = step.triplet(vectors[:, -1], margin)
        nodes = gather(output.graph_after.detach().float())
        return terms | self._matching_losses(nodes, gather(step.identities))

    def _matching_losses(self, nodes: Float[Tensor, "b 14 c"], identities: Int[Tensor, "b"]) -> dict[str, Tensor]:
        if not self.trains_matching:  # data-parallel wrappers want every parameter to have a gradient
            nothing = sum(parameter.sum() for parameter in self.matching.parameters()) * 0
            return {"permutation": nothing, "verification": nothing}
        positives, negatives = hardest_by_cosine(nodes[:, -1], identities)
        like, unlike = (self.matching(nodes, nodes[others]) for others in (positives, negatives))
        return {"permutation": permutation_loss(like.permutation),
                "verification": verification_loss(like.logits, unlike.logits)}

    def describe(self, output: HOReIDOutput) -> Pyramid:
        settings = self.settings
        stage = SecondStage(self.second_distances, settings.second_neighbours, settings.second_share,
                            together="candidates")  # the net is fast for several pairs at once
        return Pyramid(weighted_descriptor(output.graph_after.float(), output.confidences), output.graph_after, stage)

    @torch.no_grad()
    def second_distances(self, query: Pyramid, gallery: Pyramid) -> Float[Tensor, "q g"]:
        """The verification of all pairs, as distances in 0..1, on the device of the queries' vectors."""
        device = self.matching.verifier.weight.device
        rows, columns = torch.meshgrid(torch.arange(len(query)), torch.arange(len(gallery)), indexing="ij")
        logits = [self.matching(query.vectors[q].to(device), gallery.vectors[g].to(device)).logits
                  for q, g in zip(rows.flatten().split(_PAIRS_AT_ONCE), columns.flatten().split(_PAIRS_AT_ONCE))]
        distances = verification_distance(torch.cat(logits).sigmoid(), self.settings.second_sign)
        return distances.view(len(query), len(gallery)).to(query.vectors.device)


class GraphLayer(nn.Module):
    """Messages along the skeleton, whose strength between two joints depends on which deviates more from the whole.

    ReLU(W_m A f) + W_o f on nodes f, the last one global, with the rows of A of ``directed_adjacency``.
    """

    def __init__(self, width: int, sharpness: float = 20.0):
        super().__init__()
        self.sharpness = sharpness
        self.norm = nn.BatchNorm1d(width)
        self.preference = nn.Linear(width, 1, bias=False)
        self.merged = nn.Linear(width, width, bias=False)
        self.own = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.preference.weight, std=0.001)  # both directions of an edge start about equal

    def forward(self, nodes: Float[Tensor, "b 14 c"]) -> Float[Tensor, "b 14 c"]:
        return self.merged(self.adjacency(nodes) @ nodes).relu() + self.own(nodes)

    def adjacency(self, nodes: Float[Tensor, "b 14 c"]) -> Float[Tensor, "b 14 14"]:
        gaps = self.norm(15 * deviation_gaps(nodes).transpose(1, 2)).transpose(1, 2)
        return directed_adjacency((self.sharpness * self.preference(gaps)[..., 0]).sigmoid())


def deviation_gaps(nodes: Float[Tensor, "b 14 c"]) -> Float[Tensor, "b edges c"]:
    """|f_i - f_g| - |f_j - f_g| of the ends i < j of each edge of the skeleton, f_g being the global, last node."""
    deviations = (nodes - nodes[:, -1:]).abs()
    first, second = (list(ends) for ends in zip(*SKELETON))
    return deviations[:, first] - deviations[:, second]


def directed_adjacency(preferences: Float[Tensor, "b edges"]) -> Float[Tensor, "b 14 14"]:
    """A_ij = 2 p and A_ji = 2 (1 - p) for each edge i < j; what reaches node i is in row i, whose sum is 1.

    Before the rows are normalised, each local node hears the global one with weight 1, which hears only itself.
    """
    first, second = (list(ends) for ends in zip(*SKELETON))
    weights = preferences.new_zeros(len(preferences), VECTORS, VECTORS)
    weights[:, :, -1] = 1
    weights[:, first, second] = 2 * preferences
    weights[:, second, first] = 2 * (1 - preferences)
    return F.normalize(weights, p=1, dim=2)


class Matching(NamedTuple):
    permutation: Float[Tensor, "p 14 14"]
    """S: row i says which nodes of the second graph node i of the first one is."""
    logits: Float[Tensor, "p"]
    """Of the probability that the two images show one person."""


class MatchingNet(nn.Module):
    """Graph matching after PCA-GM (Wang et al., ICCV 2019): two layers of nodes and affinities, the first one crossed.

    Args:
        channels: of the nodes. width: of their embeddings.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.nodes = nn.ModuleList([NodeNet(channels, width), NodeNet(width, width)])
        self.affinities = nn.ModuleList([Affinity(width), Affinity(width)])
        self.cross = nn.Linear(2 * width, width)
        self.verifier = nn.Linear(VECTORS * channels, 1)

    def forward(self, first: Float[Tensor, "p 14 c"], second: Float[Tensor, "p 14 c"]) -> Matching:
        """S after the second layer, and the verification of the two graphs, each with what it has of the other."""
        one, other = self.nodes[0](first), self.nodes[0](second)
        of_other, of_one = exchanged(soft_permutation(self.affinities[0](one, other)), one, other)
        one, other = self.cross(torch.cat([one, of_other], dim=2)), self.cross(torch.cat([other, of_one], dim=2))
        permutation = soft_permutation(self.affinities[1](self.nodes[1](one), self.nodes[1](other)))
        of_second, of_first = exchanged(permutation, first, second)
        return Matching(permutation, self.verifier(verification_input(first + of_second, second + of_first))[:, 0])


class NodeNet(nn.Module):
    """The sum of two rectified linear maps of each node; the adjacency between them is the identity."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.neighbours = nn.Linear(channels, width)
        self.own = nn.Linear(channels, width)

    def forward(self, nodes: Float[Tensor, "p n c"]) -> Float[Tensor, "p n d"]:
        return F.leaky_relu(self.neighbours(nodes), 0.2) + F.leaky_relu(self.own(nodes), 0.2)


class Affinity(nn.Module):
    """X (A + A') / 2 Y' of two sets of nodes, with a learned A that starts near the identity."""

    def __init__(self, width: int):
        super().__init__()
        spread = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.eye(width) + torch.empty(width, width).uniform_(-spread, spread))

    def forward(self, first: Float[Tensor, "p n d"], second: Float[Tensor, "p m d"]) -> Float[Tensor, "p n m"]:
        return first @ (self.weight + self.weight.T) @ second.mT / 2


def exchanged(permutation: Float[Tensor, "p n m"], first: Float[Tensor, "p n c"], second: Float[Tensor, "p m c"]
              ) -> tuple[Float[Tensor, "p n c"], Float[Tensor, "p m c"]]:
    """S Y and S' X: for each node what the other graph has in its place."""
    return permutation @ second, permutation.mT @ first


@full_precision
def soft_permutation(affinities: Float[Tensor, "p n m"], sharpness: float = 200.0, steps: int = 20,
                     floor: float = 1e-10) -> Float[Tensor, "p n m"]:
    """S: a softmax of each row of ``sharpness`` times the affinities, then so many normalisations (Sinkhorn).

    Columns are divided by their sums first, then rows, in turn; after an even number the rows sum to 1.

    Args:
        floor: added to the votes before, so that each column has some.
    """
    votes = (sharpness * affinities).log_softmax(dim=2)
    logs = torch.logaddexp(votes, torch.full_like(votes, math.log(floor)))
    for step in range(steps):
        logs = logs.log_softmax(dim=1 + step % 2)
    return logs.exp()


@full_precision
def permutation_loss(permutation: Float[Tensor, "p n n"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of S to the identity, summed over its entries, over n; the mean over the pairs.

    No logarithm counts for less than -100. A wrong entry above 1 - 1e-6 has no gradient: at 1 none would be finite.
    """
    target = torch.eye(permutation.shape[1]).to(permutation).expand_as(permutation)
    right = permutation.clamp_min(torch.finfo(permutation.dtype).tiny).log()
    wrong = torch.log1p(-permutation.clamp_max(_ALMOST_ONE))
    each = -torch.where(target > 0, right, wrong)
    exact = F.binary_cross_entropy(permutation.detach(), target, reduction="none")
    return (each + (exact - each).detach()).sum(dim=(1, 2)).mean() / permutation.shape[1]


@full_precision
def hardest_by_cosine(vectors: Float[Tensor, "b c"], identities: Int[Tensor, "b"]
                      ) -> tuple[Int[Tensor, "b"], Int[Tensor, "b"]]:
    """The image of the same identity with the least cosine, and the one of another with the largest, of each image."""
    directions = F.normalize(vectors, dim=1)
    return hardest_pairs(1 - directions @ directions.T, identities)


@full_precision
def verification_input(first: Float[Tensor, "p 14 c"], second: Float[Tensor, "p 14 c"]) -> Float[Tensor, "p e"]:
    """10 times the product, entry by entry, of the two graphs' nodes at length 1: what the verifier weighs."""
    return (10 * F.normalize(first, dim=2) * F.normalize(second, dim=2)).flatten(1)


@full_precision
def verification_loss(like: Float[Tensor, "p"], unlike: Float[Tensor, "p"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of the logits of pairs of one person, to 1, and of two, to 0; the sum of both means."""
    return F.softplus(-like).mean() + F.softplus(unlike).mean()


def verification_distance(probabilities: Float[Tensor, "..."], sign: str = "intended") -> Float[Tensor, "..."]:
    """1 - p; with the sign ``published`` p itself, so that pairs that look like one person's rank last."""
    return 1 - probabilities if sign == "intended" else probabilities
