"""The trunk: cut where asked, at the stride asked for, with the weights asked for."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet18

from matlib.errors import MatlibError
from matlib.models.backbone import Trunk, _remove_stride


@pytest.mark.parametrize("name, cut, stride, channels", [
    ("resnet18", "", 32, 512), ("resnet18", "", 16, 512), ("resnet18", "layer3", 8, 256),
    ("mobilenet_v2", "features.13", 8, 96), ("shufflenet_v2_x1_0", "", 16, 1024),
    ("densenet121", "", 16, 1024), ("densenet121", "", 8, 1024), ("vgg11", "features", 16, 512)])
def test_a_cell_is_as_many_pixels_as_asked(name, cut, stride, channels):
    trunk = Trunk(name, cut, stride, "none")
    images = torch.zeros(2, 3, 128, 64)
    assert (trunk.stride, trunk.channels) == (stride, channels)
    assert trunk(images).shape == (2, channels, 128 // stride, 64 // stride)


@pytest.mark.parametrize("stride, cells", [(8, (31, 15)), (16, (15, 7))])
def test_a_network_without_padding_may_lack_cells_at_the_border(stride, cells):
    assert Trunk("squeezenet1_1", "", stride, "none")(torch.zeros(1, 3, 256, 128)).shape[2:] == cells


def test_at_its_own_stride_the_trunk_is_torchvisions_network(tmp_path):
    network = resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    trunk = Trunk("resnet18", "layer4", 32, str(tmp_path / "resnet18.pth")).eval()
    images = torch.randn(2, 3, 64, 64)
    x = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    expected = network.layer4(network.layer3(network.layer2(network.layer1(x))))
    torch.testing.assert_close(trunk(images), expected)


def test_removing_the_last_stride_keeps_every_other_cell_of_the_strided_convolution(tmp_path):
    network = resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    images = torch.randn(1, 3, 64, 64)
    coarse = Trunk("resnet18", "layer4.0.conv1", 32, str(tmp_path / "w.pth")).eval()(images)
    fine = Trunk("resnet18", "layer4.0.conv1", 16, str(tmp_path / "w.pth")).eval()(images)
    torch.testing.assert_close(fine[..., ::2, ::2], coarse)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2, padding=1), nn.MaxPool2d(3, 2), nn.AvgPool2d(2, 2)], ids=str)
def test_a_pool_without_its_stride_keeps_the_map(pool):
    _remove_stride(pool)
    assert pool(torch.zeros(1, 1, 15, 8)).shape == (1, 1, 15, 8)


def test_the_bundled_weights_are_a_trained_networks():
    trunk = Trunk("mobilenet_v2", "features.13", 8, "imagenet")
    scratch = mobilenet_v2(weights=None).state_dict()
    state = trunk.body.state_dict()
    assert state.keys() <= scratch.keys()
    means = torch.cat([v for k, v in state.items() if k.endswith("running_mean")])
    assert means.abs().max() > 0.5  # a network that saw no image has zeros


@pytest.mark.parametrize("arguments, said", [
    (("resnet51",), "resnet51"),
    (("resnet18", "layer9", 16, "none"), "layer9"),
    (("resnet18", "", 3, "none"), "output_stride 3"),
    (("resnet18", "layer2", 32, "none"), "output_stride 32"),
    (("vgg11", "", 8, "none"), "7 x 7 cells"),
    (("resnet18", "", 16, "/nowhere/w.pth"), "/nowhere/w.pth")])
def test_what_cannot_be_built_is_said_in_one_sentence(arguments, said):
    with pytest.raises(MatlibError, match=said) as error:
        Trunk(*arguments)
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(mobilenet_v2(weights=None).state_dict(), tmp_path / "w.pth")
    with pytest.raises(MatlibError, match="not those of resnet18"):
        Trunk("resnet18", "", 16, str(tmp_path / "w.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(MatlibError, match="not a file of trunk weights"):
        Trunk("resnet18", "", 16, str(tmp_path / "text.pth"))
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:100_000])
    with pytest.raises(MatlibError, match="not a file of trunk weights"):
        Trunk("resnet18", "", 16, str(tmp_path / "w.pth"))


def test_weights_are_found_in_what_a_training_loop_wrapped_around_them(tmp_path):
    torch.manual_seed(0)
    network = resnet18(weights=None)
    state = network.state_dict()
    prefixed = {f"module.{name}": value for name, value in state.items()}
    for content in (state, prefixed, {"state_dict": prefixed, "epoch": 3}, {"model": state, "optimizer": {}}):
        torch.save(content, tmp_path / "w.pth")
        body = Trunk("resnet18", weights=str(tmp_path / "w.pth")).body.state_dict()
        assert all(torch.equal(body[name], state[name]) for name in body)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (torch.nn.Conv2d(1, 1, 1), r"holds Python objects beside tensors.*save model.state_dict\(\) alone"),
        ({"state_dict": {}, "best": np.float64(0.5)}, "holds Python objects beside tensors"),
        ([1, 2], "holds a list, not trunk weights"),
        ({"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}, "not finite numbers in conv1.weight"),
    ],
)
def test_other_weights_are_refused_for_the_true_reason(tmp_path, content, sentence):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(MatlibError, match=sentence):
        Trunk("resnet18", weights=str(tmp_path / "w.pth"))
