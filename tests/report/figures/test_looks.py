"""Parts are drawn by what they match, the same everywhere, and told apart by anybody."""

import itertools

import numpy as np
import pytest
import torch
from builders import write_annyville
from PIL import Image
from test_style import DICHROMATS, linear

from matlib.ablations import row_config
from matlib.config import profile
from matlib.data import ImageDataset, load_dataset
from matlib.data.truth import NUM_PARTS
from matlib.geometry import coordinate_grid
from matlib.models import MATOutput, build_model
from matlib.models.true_parts import TRUE_PART_GROUPS
from matlib.report import figures
from matlib.report.figures import looks, matching, motion
from matlib.report.figures.parts import part_rows, part_viewer
from matlib.report.figures.style import PARTS


def seen_by(kind: str, colours) -> list[np.ndarray]:
    return [(np.array(DICHROMATS[kind]) @ linear(colour)).clip(0, 1) ** (1 / 2.2) for colour in colours]


@pytest.mark.parametrize("kind", DICHROMATS)
@pytest.mark.parametrize("count, apart", [(len(TRUE_PART_GROUPS), 0.2), (10, 0.13)])
def test_colours_of_parts_differ_to_the_colour_blind(kind, count, apart):
    pairs = itertools.combinations(seen_by(kind, PARTS[:count]), 2)
    assert min(np.linalg.norm(one - other) for one, other in pairs) > apart


def test_a_learned_part_has_the_colour_of_the_true_parts_that_it_matches():
    look = looks.of_groups(["thighs", "", "head"])
    true = looks.TRUE_PARTS.colours
    np.testing.assert_array_equal(look.colours[1], true[7])  # the left thigh
    np.testing.assert_array_equal(look.colours[1], true[8])  # the right one
    np.testing.assert_array_equal(look.colours[3], true[1])
    assert look.hatched == [2] and list(look.legend()) == ["head", "thighs", looks.UNMATCHED]


def test_parts_that_match_none_are_hatched_each_its_own_way():
    look = looks.of_groups(["head", *[""] * 6])
    pictures = [look.paint(np.full((24, 24), part)) for part in range(2, 8)]
    for picture in pictures:
        assert len(np.unique(picture.reshape(-1, 4), axis=0)) == 2  # two tones
        assert np.ptp(picture[..., :3], axis=-1).max() == 0  # and no hue
    assert all((one != other).any() for one, other in itertools.combinations(pictures, 2))
    markers = [look.marker(part) for part in range(1, 8)]
    assert len({marker.shape for marker in markers}) == 7 and markers[0].shape == "o"


def test_the_background_is_transparent_and_a_matched_part_is_plain():
    picture = looks.of_groups(["head", ""]).paint(np.array([[0, 1, 1]]))
    assert picture[0, 0, 3] == 0 and (picture[0, 1] == picture[0, 2]).all() and picture[0, 1, 3] == 1


def test_without_truth_no_colour_is_explained():
    look = looks.without_truth(5)
    assert look.legend() == {} and look.hatched == []
    figure, _ = figures.plt.subplots()
    looks.add_legend(figure, look)
    assert not figure.legends
    figures.plt.close(figure)


def test_a_figure_has_one_legend_for_all_its_looks():
    figure, _ = figures.plt.subplots()
    looks.add_legend(figure, looks.of_groups(["feet", ""]), looks.of_groups(["head", "feet"]))
    legend, = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["head", "feet", looks.UNMATCHED]
    assert [patch.get_hatch() is not None for patch in legend.get_patches()] == [False, False, True]
    figures.plt.close(figure)


def test_a_picture_of_parts_a_keypoint_and_an_arrow_are_drawn_as_their_part_is():
    look = looks.of_groups(["torso", "", "feet"])
    maps = torch.zeros(4, 12, 6)
    maps[1, :4], maps[2, 4:8], maps[3, 8:] = 1, 1, 1
    picture = figures.part_picture(maps, (12, 6), (1.0, 1.0), look)
    np.testing.assert_array_equal(picture, look.paint(maps.argmax(0).numpy()))
    figure, axes = figures.plt.subplots()
    figures.draw_keypoints(axes, torch.zeros(3, 2), (12, 6), (1.0, 1.0), look)
    faces = [points.get_facecolor()[0] for points in axes.collections]
    np.testing.assert_allclose(faces[::2], look.colours[[1, 3]])
    assert np.ptp(faces[1][:3]) == 0 and faces[1][0] > 0.9
    motion.draw_flow(axes, coordinate_grid(12, 6)[None], maps, every=2, look=look)
    arrows = {tuple(colour) for colour in axes.collections[-1].get_facecolors()}
    assert arrows == {tuple(colour) for colour in look.colours[1:]}
    figures.plt.close(figure)


def test_maps_of_two_networks_and_the_truth_share_one_legend(rng):
    maps = torch.rand(2, 3, 4, 2, generator=rng)
    images = torch.rand(2, 16, 8, 3, generator=rng).numpy()
    rows = [("before", maps, looks.of_groups(["", ""])), ("after", maps, looks.of_groups(["head", "feet"]))]
    legend, = part_rows(images, rows, [], (1.0, 1.0)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["head", "feet", looks.UNMATCHED]
    view = part_viewer(images, maps, ["0", "1", "2"], (1.0, 1.0), rows[1][2])
    assert "head</span>" in view and looks.UNMATCHED not in view
    figures.plt.close("all")


class Knowing(torch.nn.Module):
    """Says the truth of the pictures that it is shown, in their order, with its parts in an order of its own."""

    def __init__(self, data, order):
        super().__init__()
        self.truth, self.order = (item["parts"].long() for item in data), order
        self.trunk = torch.nn.Identity()
        self.trunk.stride = 1

    def forward(self, images):
        parts = torch.stack([next(self.truth) for _ in images])
        maps = torch.stack([torch.isin(parts, torch.tensor(labels)) for labels in self.order], dim=1).float()
        nothing = torch.zeros(len(parts), 1)
        return MATOutput(nothing, nothing, nothing, features=maps, part_maps=maps, image_size=tuple(parts.shape[-2:]))


def test_a_network_that_knows_the_truth_is_drawn_as_the_truth(tmp_path):
    write_annyville(tmp_path)
    stripes = (np.arange(80) * (NUM_PARTS + 1) // 80).astype(np.uint8)[:, None].repeat(40, axis=1)
    for path in (tmp_path / "annyville-occluded" / "truth").rglob("*.png"):
        Image.fromarray(stripes).save(path)
    data = load_dataset("annyville-occluded", tmp_path)
    samples, config = [*data.query, *data.gallery], profile("smoke").data
    names = [*reversed(TRUE_PART_GROUPS)]
    truth = ImageDataset(samples, (config.height, config.width), truth=("parts",))
    model = Knowing(truth, [(0,), *[TRUE_PART_GROUPS[name] for name in names[:3]], (99,),
                            *[TRUE_PART_GROUPS[name] for name in names[3:]]])
    look = matching.look_of(model, config, samples)
    assert look.groups == (*names[:3], "", *names[3:])


def test_a_network_without_parts_has_no_look(tmp_path):
    write_annyville(tmp_path)
    data = load_dataset("annyville-occluded", tmp_path)
    config = row_config("baseline", "smoke", 0, {"model.weights": "none"})
    assert matching.look_of(build_model(config.model, 2), config.data, data.gallery) is None
