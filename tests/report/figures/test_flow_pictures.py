"""A learned flow is one motion, whatever size it is drawn at."""

import pytest
import torch

from matlib.config import profile
from matlib.geometry import Keypoints, receptive_field_scale
from matlib.models import build_model
from matlib.report.figures import scale_of
from matlib.report.figures.motion import learned_flow


@pytest.fixture(scope="module")
def found():
    model = build_model(profile("smoke").model, 2).eval()
    with torch.no_grad():
        output = model(torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0)))
    return model, output


@pytest.mark.parametrize("finer", [1, 3])
def test_a_flow_says_the_same_of_a_place_at_every_size(found, finer):
    """Corner-aligned grids of n and f (n - 1) + 1 points share every f-th point; between cells the maps are blended."""
    model, output = found
    generator = torch.Generator().manual_seed(1)
    output.keypoints = Keypoints(torch.rand(2, 3, 2, generator=generator) - 0.5,
                                 torch.eye(2) + 0.2 * torch.randn(2, 3, 2, 2, generator=generator))
    coarse, _ = learned_flow(model, output, 0, 1, (64, 32))
    fine, _ = learned_flow(model, output, 0, 1, (63 * finer + 1, 31 * finer + 1))
    torch.testing.assert_close(fine[:, ::finer, ::finer], coarse, atol=1e-4, rtol=1e-4)


def test_a_part_that_moves_moves_as_far_at_the_size_on_disk_as_at_the_networks(found):
    """One part everywhere, moved by a quarter of the map: a quarter of what the map covers of the image."""
    model, output = found
    output.part_maps = torch.zeros_like(output.part_maps)
    output.part_maps[:, 1] = 1
    still, eye = torch.zeros(2, 3, 2), torch.eye(2).expand(2, 3, 2, 2)
    output.keypoints = Keypoints(still + torch.tensor([[[0.0, 0.0]], [[0.0, 0.5]]]), eye)
    moved = 0.5 * receptive_field_scale((64, 32), tuple(output.features.shape[-2:]), model.trunk.stride)[1]
    for size in [(64, 32), (256, 128), (300, 100)]:
        flow, maps = learned_flow(model, output, 0, 1, size)
        start, _ = learned_flow(model, output, 0, 0, size)
        torch.testing.assert_close(flow - start, torch.tensor([0, moved]).expand_as(flow), atol=1e-5, rtol=1e-5)
        assert maps.shape[-2:] == size


def test_the_map_reaches_over_the_image_that_the_network_was_given(found):
    model, output = found
    cells = tuple(output.features.shape[-2:])
    assert scale_of(model, output) == receptive_field_scale((64, 32), cells, model.trunk.stride)
