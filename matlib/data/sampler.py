"""Batches of P identities with K images each, for the batch-hard triplet loss (Hermans et al., 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from matlib.errors import MatlibError


class IdentitySampler(Sampler[list[int]]):
    """A ``batch_sampler``: lists of indices, K images of each of P identities, one identity after another.

    In an epoch there are ``max(1, images // (P * K), ceil(identities / P))`` batches (``len``), so that every
    identity is met at least once. Identities come in rounds, each in a new random order; so do the images of
    an identity. Within a batch, identities are distinct, and so are the K images of an identity that has as
    many; one that has fewer is repeated, all of its images (nearly) equally often.

    The batches depend on the seed and the epoch only. With ``num_processes`` > 1 each process makes the same
    global batches and takes its share: process r has the identities [r * P / n, (r + 1) * P / n) of each. (So
    the loader needs no further sharding.)

    Parameters
    ----------
    identities: of each image, in the order of the data set.
    identities_per_batch: P, in the global batch.
    images_per_identity: K.
    seed: of the order.
    rank, num_processes: which share of each batch to yield.

    Raises MatlibError for P or K below 1, fewer identities than P, and P that the processes cannot share
    equally.
    """

    def __init__(
        self,
        identities: Sequence[int],
        identities_per_batch: int = 16,
        images_per_identity: int = 4,
        seed: int = 0,
        *,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        self.identities_per_batch = identities_per_batch
        self.images_per_identity = images_per_identity
        self.seed = seed
        self.epoch = 0
        self._images = _group(identities)
        self._check(num_processes, rank)
        share = identities_per_batch * images_per_identity // num_processes
        self._share = slice(rank * share, (rank + 1) * share)
        by_images = len(identities) // (identities_per_batch * images_per_identity)
        self._length = max(1, by_images, math.ceil(len(self._images) / identities_per_batch))

    def set_epoch(self, epoch: int) -> None:
        """Order the next batches as in this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = _Rounds(np.arange(len(self._images)), generator)
        images = [_Rounds(indices, generator) for indices in self._images]
        for _ in range(self._length):
            chosen = order.take(self.identities_per_batch)
            batch = np.concatenate([images[identity].take(self.images_per_identity) for identity in chosen])
            yield batch[self._share].tolist()

    def _check(self, num_processes: int, rank: int) -> None:
        per_batch, found = self.identities_per_batch, len(self._images)
        if per_batch < 1 or self.images_per_identity < 1:
            raise MatlibError(
                f"a batch needs at least 1 identity and 1 image of each; got {per_batch} identities per batch"
                f" and {self.images_per_identity} images per identity"
            )
        if found < per_batch:
            raise MatlibError(
                f"a batch of {per_batch} identities cannot be made of the {found} in the training set: "
                f"lower identities_per_batch to {found} or less, or take a larger set"
            )
        if num_processes < 1 or per_batch % num_processes:
            raise MatlibError(
                f"{per_batch} identities per batch cannot be shared equally by {num_processes} processes: "
                "make identities_per_batch a multiple of the number of processes"
            )
        if not 0 <= rank < num_processes:
            raise MatlibError(
                f"rank counts from 0 to {num_processes - 1} with {num_processes} processes; got {rank}"
            )


class _Rounds:
    """Items in random order, again and again; those taken together are distinct if there are enough."""

    def __init__(self, items: np.ndarray, generator: np.random.Generator) -> None:
        self._items = items
        self._generator = generator
        self._left = items[:0]

    def take(self, count: int) -> np.ndarray:
        """The next ``count`` items; with fewer items than that, each of them (nearly) equally often."""
        if count > len(self._items):
            rounds = [
                self._generator.permutation(self._items) for _ in range(math.ceil(count / len(self._items)))
            ]
            return np.concatenate(rounds)[:count]
        taken, self._left = self._left[:count], self._left[count:]
        if len(taken) < count:
            shuffled = self._generator.permutation(self._items)
            recent = np.isin(shuffled, taken)  # these come last in the new round
            shuffled = np.concatenate([shuffled[~recent], shuffled[recent]])
            missing = count - len(taken)
            taken, self._left = np.concatenate([taken, shuffled[:missing]]), shuffled[missing:]
        return taken


def _group(identities: Sequence[int]) -> list[np.ndarray]:
    """Indices of the images of each identity, in the order of the identities."""
    identities = np.asarray(identities, dtype=np.int64)
    order = np.argsort(identities, kind="stable")
    _, starts = np.unique(identities[order], return_index=True)
    return np.split(order, starts[1:]) if len(order) else []
