"""The network of sections 3.1-3.4, one idea a file, and its checkpoints."""

from torch import nn

from matlib.config import ModelConfig
from matlib.models.backbone import Trunk
from matlib.models.mat import MAT, Baseline
from matlib.models.output import MATOutput
from matlib.models.true_parts import TruePartPooling

__all__ = ["MAT", "Baseline", "MATOutput", "Trunk", "TruePartPooling", "build_model"]

_ARCHITECTURES = {"mat": MAT, "baseline": Baseline, "true_parts": TruePartPooling}


def build_model(config: ModelConfig, identities: int) -> nn.Module:
    """The network a configuration describes, for so many training identities."""
    return _ARCHITECTURES[config.architecture](config, identities)
