"""What a training leaves after each epoch to go on from, and whether that can be gone on from."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from matlib.errors import MatlibError
from matlib.runs import checkpoints
from matlib.runs.records import check_history

#: What the optimisers of ``matlib.training`` keep of each parameter.
_KEPT = {"AdamW": {"step", "exp_avg", "exp_avg_sq"}, "SGD": {"momentum_buffer"}}


def read_state(path: Path, optimizer: torch.optim.Optimizer, fresh: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The state to go on from; ``fresh`` holds the states of a training's parts at its start, by name.

    ``steps`` are those of an epoch. Raises MatlibError where a part is missing, or is not that of such a training.
    """
    state = checkpoints.read(path)
    try:
        check_history(state["history"])
        if not isinstance(state["fingerprint"], str):
            raise TypeError("the fingerprint is no text")
        _check_optimizer(state["optimizer"], optimizer, bool(state["history"]))
        for name, own in fresh.items():
            _check_alike(state[name], own, name)
        if state["schedule"]["last_epoch"] != steps * len(state["history"]):
            raise ValueError("its history and its schedule are not of the same length")
        return state
    except KeyError as error:
        why = f"it has no {error.args[0]}"
    except (TypeError, ValueError, AttributeError) as error:
        why = str(error).partition("\n")[0][:200]
    raise MatlibError(f"{path} is damaged, and no training can go on from it ({why}); delete it, and the run is "
                      "trained anew from its first epoch")


def _check_alike(found: Any, fresh: Any, name: str) -> None:
    """Raises TypeError where two values differ in more than their numbers."""
    number = isinstance(fresh, int | float) and not isinstance(fresh, bool)
    if number and isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
        return
    if number or type(found) is not type(fresh):
        raise TypeError(f"its {name} is of a wrong type")
    if isinstance(fresh, dict):
        if found.keys() != fresh.keys():
            raise TypeError(f"its {name} has other fields")
        for key in fresh:
            _check_alike(found[key], fresh[key], f"{name}.{key}")
    if isinstance(fresh, list | tuple):
        if len(found) != len(fresh):
            raise TypeError(f"its {name} is of another length")
        for one, other in zip(found, fresh):
            _check_alike(one, other, name)


def _check_optimizer(found: Any, optimizer: torch.optim.Optimizer, stepped: bool) -> None:
    """Raises TypeError for settings and moments that are not of these parameters."""
    inner = getattr(optimizer, "optimizer", optimizer)  # Accelerate wraps it
    kept = _KEPT[type(inner).__name__]
    own = inner.state_dict()
    _check_alike(found["param_groups"], own["param_groups"], "optimizer")
    numbers = [number for group in own["param_groups"] for number in group["params"]]
    parameters = dict(zip(numbers, (p for group in inner.param_groups for p in group["params"])))
    if [n for group in found["param_groups"] for n in group["params"]] != numbers or not found["state"].keys() <= \
            parameters.keys() or stepped and not found["state"]:
        raise TypeError("its optimizer is one of other parameters")
    for number, values in found["state"].items():
        if values and values.keys() != kept:
            raise TypeError("its optimizer is another one")
        for name, value in values.items():
            shape = () if name == "step" else parameters[number].shape
            if not isinstance(value, torch.Tensor) or value.shape != shape or not value.isfinite().all():
                raise TypeError(f"its optimizer's {name} is not that of its parameter")
