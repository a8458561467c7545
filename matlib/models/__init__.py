"""The network of sections 3.1-3.4, one idea a file, and its checkpoints."""

from torch import nn

from matlib.config import ModelConfig
from matlib.models.backbone import Trunk
from matlib.models.mat import MAT, Baseline, MATOutput

__all__ = ["MAT", "Baseline", "MATOutput", "Trunk", "build_model"]


def build_model(config: ModelConfig, identities: int) -> nn.Module:
    """The network a configuration describes, for so many training identities."""
    return (MAT if config.architecture == "mat" else Baseline)(config, identities)
