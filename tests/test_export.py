"""The exported model against the model itself, in onnxruntime."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from matlib.config import RunConfig, profile
from matlib.export import OPSET
from matlib.extractor import Extractor
from matlib.models import build_model
from matlib.models.transformer import Attention
from matlib.runs.checkpoints import model_state, save


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The full model on a trunk of two layers, its encoder left out: an export takes time by the layer."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    trunk = {"model.trunk": "alexnet", "model.trunk_cut": "features.2", "model.weights": "none"}
    config = profile("smoke").change(trunk | {"model.output_stride": 8, "model.parts": 2, "model.encoder_layers": 0})
    save(folder / "checkpoint.pt", model_state(build_model(config.model, 3), config, 3))
    extractor = Extractor(folder, device="cpu")
    extractor.export(folder / "new" / "model.onnx")
    return extractor, folder / "new" / "model.onnx"


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_descriptors_are_the_model_s(exported, batch):
    extractor, path = exported
    generator = np.random.default_rng(batch)
    pictures = generator.integers(0, 256, (batch, *extractor.size, 3), dtype=np.uint8)
    found = session(path).run(None, {"images": pictures.transpose(0, 3, 1, 2)})[0]
    expected = extractor(pictures).numpy()
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-6)
    others = extractor(255 - pictures).numpy()
    assert np.abs(found - others).max() > 1e-3  # the tolerance tells pictures apart


def test_pictures_of_another_size_resized_by_pil(exported):
    """What the docstring tells users without matlib to do."""
    extractor, path = exported
    height, width = extractor.size
    blocks = np.random.default_rng(0).integers(0, 256, (9, 5, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize((90, 210), Image.Resampling.BICUBIC)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    found = session(path).run(None, {"images": pixels[None]})[0]
    assert found @ extractor(image).numpy().T == pytest.approx(1, abs=1e-3)


def test_attention_without_heads_goes_too(tmp_path):
    torch.manual_seed(0)
    attention, inputs = Attention(8, 1, 0.0, "plain").eval(), torch.randn(3, 2, 4, 8).unbind()
    with torch.no_grad():
        torch.onnx.export(attention, inputs, tmp_path / "a.onnx", opset_version=OPSET, dynamo=True, verbose=False)
    found = session(tmp_path / "a.onnx").run(None, dict(zip(("query", "key", "value"), (t.numpy() for t in inputs))))[0]
    np.testing.assert_allclose(found, attention(*inputs).numpy(), atol=1e-6)


def test_the_file_is_one_and_says_what_it_is(exported):
    extractor, path = exported
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(path)
    onnx.checker.check_model(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert (int(metadata["height"]), int(metadata["width"])) == extractor.size
    assert RunConfig.from_dict(json.loads(metadata["config"])) == extractor.config
    assert extractor(np.zeros((9, 9, 3), np.uint8)).shape[0] == 1  # still in working order
