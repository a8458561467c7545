"""The CNN trunk of section 3.1: image to feature maps F, from any torchvision network (ResNet-50 in the paper)."""

import math
from pathlib import Path
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from matlib.errors import MatlibError
from matlib.state_dicts import read_state_dict

BUNDLED_WEIGHTS = Path(__file__).parent / "weights"
_POOLS = (nn.MaxPool2d, nn.AvgPool2d)


class Trunk(nn.Module):
    """A torchvision network cut at a node, its last strides set to 1 until one cell is ``output_stride`` pixels.

    Removing the last stride without dilation is what the strong baseline (Luo et al. 2019) does to ResNet-50.

    Args:
        name: a torchvision classification model, as ``resnet50``.
        cut: the node whose output is taken; ``""`` is the last one that is still a map.
        output_stride: pixels per cell, a power of two up to the network's own.
        weights: ``imagenet``, ``none``, or the path of a state dict of that network, as it is, with ``module.`` before
            its names, or under ``state_dict`` or ``model``.

    Attributes:
        stride: pixels per cell. channels: of the output. start: in words, what the weights started from.

    Raises:
        MatlibError: for an unknown network or node, a stride out of reach, or weights that cannot be had.
    """

    def __init__(self, name: str, cut: str = "", output_stride: int = 16, weights: str = "imagenet"):
        super().__init__()
        network = _network(name)
        with torch.random.fork_rng(devices=[]):  # the probing passes below draw no random numbers that count
            cut = cut or _last_map(network)
            self.body = _cut_at(network, cut, name)
            self.start = _load(self.body, name, weights)
            _set_output_stride(self.body, output_stride, name)
            self.stride = output_stride
            self.channels = _probe(self.body).shape[1]

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b channels h w"]:
        return self.body(images)["map"]


def _network(name: str) -> nn.Module:
    if name not in list_models(module=None) or "." in name:
        raise MatlibError(f"torchvision has no model {name!r}; "
                          "as trunk name one of its classification models, as resnet50")
    return get_model(name, weights=None)


def _probe(body: nn.Module) -> Tensor:
    training = body.training
    with torch.no_grad():
        out = body.eval()(torch.zeros(1, 3, 256, 128))["map"]
    body.train(training)
    return out


def _last_map(network: nn.Module) -> str:
    """Name of the last node whose output still has two spatial dimensions."""
    nodes = [n for n in get_graph_node_names(network)[1] if n != "x"]
    with torch.no_grad():
        outputs = create_feature_extractor(network, nodes).eval()(torch.zeros(1, 3, 256, 128))
    maps = [n for n in nodes if isinstance(outputs[n], Tensor) and outputs[n].ndim == 4 and outputs[n].shape[-1] > 1]
    if not maps:
        raise MatlibError("this network has no feature map; choose a convolutional one, as resnet50")
    return maps[-1]


def _cut_at(network: nn.Module, cut: str, name: str) -> nn.Module:
    try:
        return create_feature_extractor(network, {cut: "map"})
    except ValueError:
        children = ", ".join(n for n, _ in network.named_children())
        raise MatlibError(f"{name} has no node {cut!r} to cut at; its stages are {children}") from None


def _set_output_stride(body: nn.Module, wanted: int, name: str) -> None:
    """Set the strides of the last down-sampling stages to 1; a stage is all strided modules with one input size."""
    strided = [m for m in body.modules() if isinstance(m, (nn.Conv2d, *_POOLS)) and _stride(m) == 2]
    stages: dict[int, list[nn.Module]] = {}
    hooks = [m.register_forward_hook(lambda m, i, o: stages.setdefault(i[0].shape[-2], []).append(m)) for m in strided]
    stride = _pixels_a_cell(256, _probe(body).shape[-2])
    for hook in hooks:
        hook.remove()
    for height in sorted(stages):
        if stride <= wanted:
            break
        for module in stages[height]:
            _remove_stride(module)
        stride //= 2
    height, width = _probe(body).shape[-2:]
    if {_pixels_a_cell(256, height), _pixels_a_cell(128, width)} != {wanted}:
        raise MatlibError(f"model.output_stride {wanted} cannot be reached with {name} cut there: "
                          f"it makes {height} x {width} cells of 256 x 128 pixels")


def _pixels_a_cell(pixels: int, cells: int) -> int:
    """The nearest power of two: a layer without padding may take a cell off the border."""
    return 2 ** round(math.log2(pixels / cells))


def _stride(module: nn.Module) -> int:
    return module.stride[0] if isinstance(module.stride, tuple) else module.stride


def _remove_stride(module: nn.Module) -> None:
    module.stride = (1, 1) if isinstance(module, nn.Conv2d) else 1
    if isinstance(module, _POOLS) and not module.padding:  # it would take cells off the map
        if module.kernel_size % 2:
            module.padding = module.kernel_size // 2
        else:
            module.kernel_size = 1


def _load(body: nn.Module, name: str, weights: str) -> str:
    if weights == "none":
        return "scratch"
    state, source = _imagenet(name) if weights == "imagenet" else (read_state_dict(Path(weights)), weights)
    own = body.state_dict()
    wrong = [k for k in own if not k.endswith("num_batches_tracked")
             and (k not in state or state[k].shape != own[k].shape)]
    if wrong:
        raise MatlibError(f"the weights in {source} are not those of {name}: {wrong[0]} is missing or of another shape")
    body.load_state_dict({k: state[k] for k in own if k in state}, strict=False)
    return f"ImageNet weights ({source})" if weights == "imagenet" else source


def _imagenet(name: str) -> tuple[dict[str, Tensor], str]:
    bundled = BUNDLED_WEIGHTS / f"{name}.pt"
    if bundled.exists():
        state = read_state_dict(bundled)
        return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, "shipped with matlib"
    try:
        return get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True), "torchvision"
    except (URLError, OSError, RuntimeError) as error:
        raise MatlibError(
            f"the ImageNet weights of {name} could not be downloaded ({error}); give a local file "
            f"(model.weights=/path/{name}.pth) or train from scratch (model.weights=none)") from None
