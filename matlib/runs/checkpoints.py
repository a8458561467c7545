"""A trained model on disk: its weights with the configuration that they belong to.

A training writes ``checkpoint.pt``; what is given to others is ``weights.safetensors``, which holds no code by its
format. All that loads the one loads the other.
"""

import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from matlib.config import RunConfig
from matlib.errors import MatlibError
from matlib.models import build_model
from matlib.runs.records import write_atomically

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
MOST_IDENTITIES = 10_000_000
"""A checkpoint that claims more is damaged; its classifiers would fill the memory before that is noticed."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values, all or nothing. Raises MatlibError where the disk does not take them."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def read(path: Path) -> dict[str, Any]:
    """What ``save`` wrote. Raises MatlibError where there is no such file, it is something else, or it is damaged."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(0, "it is no file")
        file = path.open("rb")  # torch.load raises OSError for damaged files, too, and takes no name that is not UTF-8
    except FileNotFoundError:
        raise MatlibError(f"there is no checkpoint at {path}; name a finished run, or train the model first "
                          "(python -m matlib.training)") from None
    except (OSError, ValueError) as error:
        raise MatlibError(f"the checkpoint {str(path)[:200]} cannot be read "
                          f"({getattr(error, 'strerror', None) or error}): name a run's folder, or its checkpoint"
                          ) from None
    try:
        with file:
            content = (_read_safetensors(path) if path.suffix == Path(WEIGHTS).suffix
                       else torch.load(file, map_location="cpu", weights_only=True))
        if not isinstance(content, dict) or not {"config", "identities", "model"} <= content.keys():
            raise ValueError("no checkpoint")
        _check(content)
        return content
    except Exception:  # torch.load raises whatever its zip reader or unpickler meets
        if path.suffix not in (Path(CHECKPOINT).suffix, Path(WEIGHTS).suffix):
            raise MatlibError(f"{path} is not a checkpoint of matlib: name a run's folder, or its checkpoint") from None
        raise MatlibError(f"{path} is not a checkpoint of matlib, or it is damaged: move it away and run the training "
                          "again, or name a finished run") from None


def export_weights(run: Path | str, path: Path) -> None:
    """Write a run's checkpoint as safetensors, configuration and number of identities among its metadata.

    Raises MatlibError where the run has no checkpoint, or the disk does not take the file.
    """
    content = read(_file(run))
    about = {"config": content["config"], "identities": content["identities"]}
    tensors = {name: values.contiguous().clone() for name, values in content["model"].items()}
    write_atomically(path, safetensors.torch.save(tensors, {"matlib": json.dumps(about)}))


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["matlib"]) | {"model": {name: file.get_tensor(name) for name in file.keys()}}


def _check(content: dict[str, Any]) -> None:
    """Raises ValueError for other types than ``model_state`` gives, and for weights that are not finite."""
    identities, model = content["identities"], content["model"]
    if not isinstance(content["config"], dict) or not isinstance(model, dict):
        raise ValueError("no configuration or no weights")
    if not isinstance(content.get("fingerprint", ""), str):  # a state to resume from has one
        raise ValueError("no fingerprint")
    if type(identities) is not int or not 0 < identities < MOST_IDENTITIES:
        raise ValueError("no number of identities")
    for values in model.values():
        if not isinstance(values, torch.Tensor) or (values.is_floating_point() and not values.isfinite().all()):
            raise ValueError("no weights")


def model_state(model: nn.Module, config: RunConfig, identities: int) -> dict[str, Any]:
    return {"config": config.to_dict(), "identities": identities, "model": model.state_dict()}


def load_weights(model: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Raises MatlibError where the weights are those of another model, or of other types, which would be rounded."""
    for name, own in model.state_dict().items():
        if name in state and state[name].dtype != own.dtype:
            raise MatlibError(f"{path} holds {name} as {state[name].dtype}, and the model has it as {own.dtype}: name "
                              "a checkpoint as the training wrote it")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise MatlibError(f"{path} holds the weights of another model than its configuration describes "
                          f"({first})") from None


def load_model(path: Path | str) -> tuple[nn.Module, RunConfig]:
    """The trained model, in evaluation mode on the CPU, and its configuration; from a file or its run's folder.

    Raises MatlibError where there is no checkpoint, or it is not one of this model.
    """
    path = _file(path)
    content = read(path)
    config = RunConfig.from_dict(content["config"])
    model = build_model(config.change({"model.weights": "none"}).model, content["identities"])
    load_weights(model, content["model"], path)
    return model.eval(), config


def initial_model(path: Path | str) -> nn.Module:
    """A run's network as it was before its first step: the same seed, the same start of the trunk."""
    content = read(_file(path))
    config = RunConfig.from_dict(content["config"])
    torch.manual_seed(config.seed)
    return build_model(config.model, content["identities"]).eval()


def find(run: Path | str) -> Path | None:
    """The file of a run's weights; None where its folder has none."""
    return next((file for name in (CHECKPOINT, WEIGHTS) if os.path.exists(file := Path(run) / name)), None)


def _file(path: Path | str) -> Path:
    return find(path) or Path(path) / CHECKPOINT if os.path.isdir(path) else Path(path)
