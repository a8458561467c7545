"""A trained model for use without matlib: ONNX, pixels in, descriptor out.

    python -m matlib.export --run runs/laptop/full/seed0 model.onnx
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from matlib.config import RunConfig
from matlib.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from matlib.errors import CommandParser, MatlibError, command_line, program
from matlib.folders import check_target
from matlib.runs.checkpoints import load_model
from matlib.runs.records import write_atomically

INPUT, OUTPUT = "images", "descriptors"
OPSET = 18
NEEDED = ("onnx", "onnxscript")


class PixelsToDescriptors(nn.Module):
    """A model that takes RGB values 0..255 as they come from a decoder, and gives the descriptors alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD)[:, None, None])

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b e"]:
        return self.model.vector(self.model((images.float() - self.mean) / self.std))


def export_onnx(model: nn.Module, config: RunConfig, path: Path) -> None:
    """Write a trained model as one ONNX file, for any number of images at a time.

    Its input ``images`` is uint8 (b, 3, height, width): RGB, resized to the model's size by antialiased bilinear
    interpolation (PIL's ``BILINEAR``, to a grey level); ImageNet's mean and deviation are taken off inside. Its output
    ``descriptors`` is float32 (b, e), L2-normalised. The size, and the run's settings, stand in the file's metadata.

    Raises MatlibError where the packages of the extra ``export`` are missing, for a model that needs labels beside the
    picture, and for one that compares more than a vector.
    """
    if model.truth:
        raise MatlibError(f"{config.name} is given true {' and '.join(model.truth)} beside the picture, and an "
                          "exported model is given pictures alone: export another row's run")
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise MatlibError(f"exporting needs {' and '.join(missing)}: pip install -e '.[export]' in a checkout")
    exported = PixelsToDescriptors(copy.deepcopy(model).cpu()).eval()
    images = torch.zeros((2, 3, config.data.height, config.data.width), dtype=torch.uint8)
    with torch.no_grad():
        exported(images)  # a method that has no vector says so
    with _quiet():
        program = torch.onnx.export(
            exported,
            (images,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props.update(
        height=str(config.data.height), width=str(config.data.width), config=json.dumps(config.to_dict())
    )
    with tempfile.TemporaryDirectory() as folder:  # the exporter writes to a path only
        file = Path(folder) / "model.onnx"
        program.save(file, external_data=False)
        write_atomically(path, file.read_bytes())


@contextlib.contextmanager
def _quiet():
    """Without the exporter's notes on its own progress, which say nothing about the model."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def main() -> None:
    parser = CommandParser(prog=program("matlib.export"), description="Write a trained model as ONNX.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished training run")
    parser.add_argument("out", type=Path, help="the .onnx file to write")
    arguments = parser.parse_args()
    check_target(arguments.out)
    export_onnx(*load_model(arguments.run), arguments.out)


if __name__ == "__main__":
    command_line(main)
