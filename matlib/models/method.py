"""What a method is: one file that says how it sees images, what it is trained by, and what of it is compared.

Nothing else names a method but its row in a table. Trainer, test, tables, optimiser and export ask it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from matlib import losses
from matlib.config import METHOD, LossConfig, MethodConfig, ModelConfig, RunConfig, read_settings
from matlib.distributed import gather
from matlib.models.backbone import Trunk
from matlib.errors import MatlibError
from matlib.models.descriptions import Description


#: Settings that a run of any method reads, but for those that it ``ignores``.
COMMON = frozenset({f"model.{own.name}" for own in fields(MethodConfig) if own.name != "method"}
                   | {"loss.label_smoothing", "loss.triplet_distance"})


Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""Gives images (b, 3, height, width) and identities (b,), batch by batch."""


@dataclass(frozen=True)
class Step:
    """What a method's losses may ask of a training step beside the network's output."""

    images: Float[Tensor, "b 3 height width"]
    identities: Int[Tensor, "b"]
    truth: tuple[Tensor, ...] = ()
    """What ``forward`` took beside the images."""
    number: int = 0
    """Of the step since the start of the training."""
    motion: float = 1.0
    """In 0..1: rises over ``loss.motion_warmup_epochs``."""
    config: LossConfig = field(default_factory=LossConfig)
    seed: int = 0

    def identity(self, logits: Float[Tensor, "b identities"]) -> Float[Tensor, ""]:
        """Softmax cross-entropy with the run's label smoothing."""
        return losses.identity_loss(logits, self.identities, self.config.label_smoothing)

    def triplet(self, features: Float[Tensor, "b d"], margin: float | None = None) -> Float[Tensor, ""]:
        """Batch-hard triplet loss, mined over the batch of all processes; soft margin unless one is given."""
        return losses.triplet_loss(gather(features), gather(self.identities), self.config.triplet_distance, margin)


class Method(nn.Module, ABC):
    """The base of every method: a trunk, and answers to all that the rest of matlib asks.

    A subclass adds its heads in ``__init__`` and writes ``forward``, ``losses`` and ``describe``. Whatever scores
    identities should be an ``IdentityHead``: those learn at ``train.head_lr`` times the rate.

    Args:
        config: the common settings; those of the method's own are in ``config.method``, and ``self.settings`` has them
            as the method's dataclass ``Settings``.
        identities: number of training identities.

    Raises MatlibError for a setting that the method does not have.
    """

    @dataclass(frozen=True)
    class Settings:
        """The method's own settings, ``--set model.method.NAME=VALUE``; the defaults are the published values."""

    truth: ClassVar[tuple[str, ...]] = ()
    """What forward takes beside the images, always: ``parts`` (b, height, width), the true part labels of rendered
    images; ``joints`` (b, 17, 3), COCO's, x and y in [-1, 1], corner-aligned, and v = 2 where detected, from the source
    that ``data.joints`` names."""
    training_truth: ClassVar[tuple[str, ...]] = ()
    """What it takes after these in training only: the same names, and ``labels`` (b, height, width), what
    ``begin_epoch`` gave for the training images, moved along with them; 255 where an image was padded or erased."""
    also_reads: ClassVar[frozenset[str]] = frozenset()
    """Dotted names of the settings of ``model`` and ``loss`` that the method reads beside ``COMMON``, as
    ``model.width``: runs that differ in others count as the same. Who is given joints reads ``data.joints`` as well."""
    ignores: ClassVar[frozenset[str]] = frozenset()
    """Those of ``COMMON`` that it does not read, as ``loss.triplet_distance`` where there are no triplets."""
    weights: ClassVar[dict[str, float]] = {}
    """Of the terms of ``losses`` in the sum that is trained; 1 where none is given."""
    published: ClassVar[dict[str, Any]] = {}
    """What the recipe ``published`` changes in a run, by dotted name: the paper's sizes, schedule and batch."""

    def __init__(self, config: ModelConfig, identities: int):
        super().__init__()
        self.config = config
        self.settings = read_settings(self.Settings, config.method)
        self.trunk = Trunk(config.trunk, config.trunk_cut, config.output_stride, config.weights)

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 height width"], *truth: Tensor) -> Any:
        """All that ``losses`` and ``describe`` need, as the method's own dataclass."""

    @abstractmethod
    def losses(self, output: Any, step: Step) -> dict[str, Float[Tensor, ""]]:
        """The terms of the objective by name, without their weights."""

    @abstractmethod
    def describe(self, output: Any) -> Description:
        """What is compared at test time: vectors (b, e), ``PartDescriptors`` or a ``Pyramid``."""

    def vector(self, output: Any) -> Float[Tensor, "b e"]:
        """One L2-normalised vector an image, for search engines and export: what is described, made of length 1.

        Raises MatlibError where the method compares more than that.
        """
        description = self.describe(output)
        if isinstance(description, Tensor):
            return nn.functional.normalize(description.float(), dim=1)
        raise MatlibError(f"{type(self).__name__} compares {type(description).__name__}, which one vector an image "
                          "does not hold; use a method that describes an image by a vector")

    def total(self, terms: dict[str, Tensor], step: Step) -> Float[Tensor, ""]:
        """The weighted sum of the terms."""
        return sum(self.weights.get(name, 1.0) * term for name, term in terms.items())

    def begin_epoch(self, epoch: int, epochs: int, images: Batches) -> UInt8[Tensor, "n h w"] | None:
        """Called before each epoch, counted from 0, in training mode.

        Args:
            images: gives the training images in their order, in batches without augmentation, with their identities.

        Returns:
            ``labels`` of all training images from now on, of any height and width; None leaves them as they are.
        """

    @classmethod
    def reads(cls, config: RunConfig) -> set[str]:
        """Dotted names of the settings of ``model``, ``loss`` and ``data.joints`` that such a run reads."""
        own = {name for name in config.flat if name.startswith(METHOD)}
        joints = {"data.joints"} if "joints" in cls.truth else set()
        return {*COMMON, *cls.also_reads, *own, *joints} - cls.ignores

    @classmethod
    def leaves_unused(cls, config: RunConfig) -> bool:
        """Whether some step reaches not all of the parameters, which data-parallel wrappers must be told."""
        return False
