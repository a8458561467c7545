"""The network of sections 3.1-3.4, one idea a file, what every method has in common, and where methods are found."""

from importlib import import_module
from types import ModuleType

from matlib.config import ModelConfig, RunConfig
from matlib.errors import MatlibError, did_you_mean
from matlib.models.backbone import Trunk
from matlib.models.mat import MAT, Baseline
from matlib.models.method import Method, Step
from matlib.models.output import MATOutput
from matlib.models.true_parts import TruePartPooling

__all__ = ["MAT", "Baseline", "MATOutput", "Method", "Step", "Trunk", "TruePartPooling", "build_model", "method_class"]

#: Names that records of the first versions have; every other method is named by where it is, ``module:Class``.
_NAMED = {"mat": MAT, "baseline": Baseline, "true_parts": TruePartPooling}


def method_class(architecture: str) -> type[Method]:
    """The method that ``model.architecture`` names, ``mat``, ``baseline``, ``true_parts`` or ``module:Class``.

    The module is imported as Python finds it: one of matlib's, an installed one, or one in the working directory.

    Raises MatlibError where there is none.
    """
    if architecture in _NAMED:
        return _NAMED[architecture]
    module, colon, name = architecture.partition(":")
    if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise MatlibError(f"model.architecture is one of {', '.join(_NAMED)}, or a method of your own as module:Class; "
                          f"got {architecture!r}")
    found = vars(_module(module, architecture))
    method = found.get(name)
    if not _is_method(method):
        near = did_you_mean(name, [other for other, value in found.items() if _is_method(value)])
        raise MatlibError(f"the module {module} has no method {name}: a class that derives from "
                          f"matlib.models.Method{near}")
    if method.__abstractmethods__:
        missing = ", ".join(sorted(method.__abstractmethods__))
        raise MatlibError(f"{architecture} lacks what every method has: {missing}")
    if not isinstance(method.truth, tuple) or not set(method.truth) <= {"joints", "parts"}:
        raise MatlibError(f'the truth of {architecture} is a tuple of "joints" and "parts", as ("joints",); got '
                          f"{method.truth!r}")
    if unknown := {*method.also_reads, *method.ignores} - RunConfig().flat.keys():
        raise MatlibError(f"{architecture} says that it reads, or ignores, settings that there are not: "
                          f"{', '.join(sorted(unknown))}")
    return method


def _module(name: str, architecture: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise MatlibError(f"there is no module {name!r} for model.architecture={architecture}; start from the "
                              "folder that it lies in, or install it") from None
        raise MatlibError(f"the module {name} of model.architecture={architecture} cannot be imported: "
                          f"{type(error).__name__}: {error}") from error


def _is_method(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Method)


def build_model(config: ModelConfig, identities: int) -> Method:
    """The network a configuration describes, for so many training identities. Raises MatlibError as its method does."""
    model = method_class(config.architecture)(config, identities)
    if not hasattr(model, "settings"):
        raise MatlibError(f"{config.architecture} does not begin its __init__ with super().__init__(config, "
                          "identities)")
    return model
