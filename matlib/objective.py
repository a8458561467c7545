"""All that one training step computes, from a batch of images to the weighted sum of a method's losses (Equation 9)."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from matlib.config import LossConfig
from matlib.errors import MatlibError, did_you_mean
from matlib.models.method import Method, Step


class Objective(nn.Module):
    """A method and its losses as one module, so that a data-parallel wrapper sees a single forward pass.

    Args:
        model: the method.
        config: weights and readings of the losses.
        seed: of what is random in the losses, as MAT's thin-plate splines, which depend on it and on the step alone.
    """

    def __init__(self, model: Method, config: LossConfig, seed: int = 0):
        super().__init__()
        self.model = model
        self.config = config
        self.seed = seed

    def forward(self, images: Float[Tensor, "b 3 height width"], identities: Int[Tensor, "b"], step: int = 0,
                motion: float = 1.0, truth: tuple[Tensor, ...] = ()) -> tuple[dict[str, Tensor], Any]:
        """The losses by name, unweighted, with their weighted sum as ``total``; and the method's output.

        Args:
            step: number of the training step.
            motion: factor in [0, 1] on lambda 5 and lambda 6 while they are ramped in.
            truth: what the method takes beside the images, as its ``truth`` and ``training_truth`` name it.
        """
        output = self.model(images, *truth)
        now = Step(images, identities, truth, step, motion, self.config, self.seed)
        terms = self.model.losses(output, now)
        _check(terms, self.model)
        return terms | {"total": self.model.total(terms, now)}, output


def _check(terms: Any, model: Method) -> None:
    """Raises MatlibError for what are no terms, and for a weight that misses its term by a letter: methods that train
    in stages have weights for terms of other stages, too."""
    name = type(model).__name__
    if not isinstance(terms, dict) or not terms or not all(isinstance(x, Tensor) and x.ndim == 0
                                                           for x in terms.values()):
        raise MatlibError(f"{name}.losses gives at least one term by name, each a tensor of one number")
    if "total" in terms:
        raise MatlibError(f"{name}.losses has a term 'total', which is what their sum is called; give it another name")
    for unknown in model.weights.keys() - terms.keys():
        if near := did_you_mean(unknown, terms.keys() - model.weights.keys()):
            raise MatlibError(f"{name} has a weight for {unknown}, which is no term of its losses{near}")
