"""Files of weights that others have saved, read without running code."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from matlib.errors import MatlibError

_WRAPPERS = ("state_dict", "model")


def read_state_dict(path: Path, what: str = "trunk weights") -> dict[str, Tensor]:
    """The state dict in a file, also where a training loop wrapped it or its names.

    what: as which the file is named in the MatlibError that is raised for anything else, and for values that are not
    finite.
    """
    try:
        path.open("rb").close()  # torch.load raises OSError for damaged files, too
    except FileNotFoundError:
        raise MatlibError(f"there is no file of {what} at {path}") from None
    except OSError as error:
        raise MatlibError(f"the {what} {str(path)[:200]} cannot be read ({error.strerror}); "
                          "name a file") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if "not an allowed global" not in str(error):
            raise MatlibError(f"{path} is not a file of {what} ({type(error).__name__})") from None
        raise MatlibError(f"{path} holds Python objects beside tensors, which may run code and are not loaded: "
                          "where it was made, save model.state_dict() alone") from None
    except Exception as error:  # torch.load raises whatever its zip reader or unpickler meets
        raise MatlibError(f"{path} is not a file of {what} ({type(error).__name__})") from None
    return _unwrapped(content, path, what)


def _unwrapped(content: Any, path: Path, what: str) -> dict[str, Tensor]:
    while isinstance(content, dict) and (inner := [content[k] for k in _WRAPPERS if isinstance(content.get(k), dict)]):
        content = inner[0]
    if not isinstance(content, dict):
        raise MatlibError(f"{path} holds a {type(content).__name__}, not {what}; save model.state_dict()")
    state = {str(name).removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise MatlibError(f"{path} holds values that are not finite numbers in {broken[0]}; take a sound file")
    return state
