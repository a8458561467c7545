"""Pictures of the chapters: they show what the functions of the library say."""

import hashlib
import math
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")

from builders import write_annyville

from matlib.ablations import row_config
from matlib.config import RunConfig, profile
from matlib.data import ImageDataset, load_dataset
from matlib.errors import MatlibError
from matlib.geometry import Keypoints, ThinPlateSpline, coordinate_grid
from matlib.models import build_model
from matlib.models.transformer import Encoder
from matlib.report import chapters, figures
from matlib.report.figures import features, images, keypoints, motion, objective, parts, splines
from matlib.runs import checkpoints, records

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("metric", ["l1", "euclidean"])
def test_unwarped_points_are_warped_to_where_they_were(metric, rng):
    spline = ThinPlateSpline.random(8, generator=rng, metric=metric)
    points = torch.rand(8, 20, 2, generator=rng) * 1.6 - 0.8
    back = spline.warp_points(splines.unwarp_points(spline, points))
    assert (back - points).norm(dim=-1).median() < 1e-5


def test_keypoints_in_the_images_frame_are_those_of_the_map_seen_from_the_image(rng):
    scale = (0.85, 0.93)
    own = Keypoints(torch.rand(2, 3, 2, generator=rng) - 0.5, torch.randn(2, 3, 2, 2, generator=rng))
    moved = images.to_image_frame(own, scale)
    step = torch.tensor([1e-3, -2e-3])
    there = own.positions + (own.jacobians @ step)  # a small step in the abstract frame
    a = torch.tensor(scale)
    torch.testing.assert_close(moved.positions + moved.jacobians @ step, a * (there + 1) - 1)


def test_corners_of_the_frame_are_the_centres_of_the_corner_pixels():
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    np.testing.assert_allclose(images.to_pixels(corners, (256, 128)), [[0, 0], [127, 255]])


def test_a_jacobian_is_drawn_as_what_it_makes_of_a_circle():
    figure, axes = figures.plt.subplots()
    own = Keypoints(torch.zeros(1, 1, 2), torch.tensor([[[[2.0, 0.0], [0.0, 1.0]]]]))
    keypoints.draw_frames(axes, own, (101, 101), radius=0.1)
    outline = axes.lines[0].get_xydata() - 50
    assert np.ptp(outline[:, 0]) == pytest.approx(2 * np.ptp(outline[:, 1]), rel=0.01) == pytest.approx(20, rel=0.02)


def test_of_no_keypoints_no_frame_is_drawn():
    figure, axes = figures.plt.subplots()
    keypoints.draw_frames(axes, Keypoints(torch.zeros(1, 0, 2), torch.zeros(1, 0, 2, 2)), (11, 11), radius=0.1)
    assert not axes.lines


def test_arrows_go_from_the_reference_to_the_source():
    maps = torch.zeros(2, 33, 17)
    maps[1] = 1
    flow = coordinate_grid(33, 17)[None] + torch.tensor([0.25, 0.5])
    figure, axes = figures.plt.subplots()
    motion.draw_flow(axes, flow, maps)
    arrows = axes.collections[0]
    np.testing.assert_allclose(arrows.U, 0.25 * 8, rtol=1e-5)
    np.testing.assert_allclose(arrows.V, 0.5 * 16, rtol=1e-5)


def test_the_background_has_no_arrows():
    maps = torch.zeros(2, 33, 17)
    maps[0], maps[1, 10:], maps[0, 10:] = 1, 1, 0
    figure, axes = figures.plt.subplots()
    motion.draw_flow(axes, coordinate_grid(33, 17)[None], maps)
    assert axes.collections[0].XY[:, 1].min() >= 10


def test_an_error_counts_on_the_body_alone():
    maps = torch.zeros(2, 4, 4)
    maps[1, :2], maps[0, 2:] = 1, 1
    one, other = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    other[:, :, :2] = 0.25
    assert motion.body_error(one, other, maps) == pytest.approx(0.25)


def test_equal_features_have_equal_colours_and_different_ones_have_not():
    maps = torch.zeros(1, 8, 4, 4)
    maps[:, 0, :2], maps[:, 1, 2:, :2], maps[:, 2, 3, 3] = 5.0, 3.0, 2.0
    colours = features.feature_colours(maps)[0]
    assert np.allclose(colours[0], colours[1]) and not np.allclose(colours[0, 0], colours[2, 0])


def test_attention_that_is_shown_is_the_encoders(rng):
    config = profile("smoke").change({"model.weights": "none", "model.attention": "plain"})
    for kind in ("plain", "multihead"):
        model = build_model(config.change({"model.attention": kind}).model, 2).eval()
        weights = features.attention_weights(model, torch.randn(2, 3, 64, 32, generator=rng))
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:2]))


def test_parts_are_named_by_what_they_mostly_lie_on():
    contents = torch.zeros(3, 14)
    contents[0, 0], contents[1, 2], contents[1, 1] = 1.0, 0.7, 0.3
    assert parts.part_names(contents) == ["part 0, the background map: most often background, 100%",
                                          "part 1: most often torso, 70%",
                                          "part 2: wins nowhere"]


def test_the_part_view_needs_no_network_and_shows_the_winning_part(rng):
    maps = torch.zeros(1, 3, 4, 4)
    maps[:, 2] = 1.0
    names = ["a", 'b "quoted" </script>', "c"]
    view = parts.part_viewer(torch.rand(1, 16, 16, 3, generator=rng).numpy(), maps, names, (1.0, 1.0))
    assert "http" not in view and view.count("</script>") == 1
    assert 'data-part="2"' in view and 'data-part="1"' not in view
    assert view == parts.part_viewer(torch.rand(1, 16, 16, 3, generator=rng.manual_seed(7)).numpy(), maps,
                                     ["a", 'b "quoted" </script>', "c"], (1.0, 1.0))


def test_code_is_shown_without_its_docstring():
    shown = chapters.show_source(splines.unwarp_points).data
    assert "def unwarp_points" in shown and "Newton" not in shown and "inverse_2x2" in shown
    shown = chapters.show_source(Encoder).data
    assert "class Encoder" in shown and "def forward" in shown and '"""' not in shown


def test_without_a_run_the_network_is_untrained_and_says_so(tmp_path):
    network = chapters.load_network(tmp_path / "nothing", "smoke")
    assert not network.trained and "untrained" in network.words.data
    again = chapters.load_network(tmp_path / "nothing", "smoke")
    for one, other in zip(network.model.parameters(), again.model.parameters()):
        assert torch.equal(one, other)


@pytest.mark.parametrize("weights", sorted((REPOSITORY / "book" / "weights").rglob("weights.safetensors")), ids=str)
def test_weights_that_come_with_the_book_are_those_of_their_record(weights, monkeypatch):
    checksum, name = weights.with_name(f"{weights.name}.sha256").read_text().split()
    assert name == weights.name and hashlib.sha256(weights.read_bytes()).hexdigest() == checksum
    assert sum(file.stat().st_size for file in (REPOSITORY / "book" / "weights").rglob("*")) < 10 * 2**20
    monkeypatch.chdir(REPOSITORY)
    run = f"nowhere/{weights.parent.relative_to(REPOSITORY / 'book' / 'weights')}"
    network, record = chapters.load_network(run), records.read_record(weights.parent)
    assert network.shipped and "come with the book" in network.words.data
    assert network.config.to_dict() == RunConfig.from_dict(record["config"]).to_dict()
    assert sum(p.numel() for p in network.model.parameters()) == record["parameters"]


def test_a_run_of_ones_own_comes_before_the_books(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs", "book/weights"):
        saved(tmp_path / folder / "smoke" / "full" / "seed0", "full")
    own, shipped = Path("runs/smoke/full/seed0"), Path("book/weights/smoke/full/seed0")
    assert chapters.at_hand(own) == own and not chapters.load_network(own).shipped
    shutil.rmtree("runs")
    assert chapters.at_hand(own) == shipped and chapters.load_network(own).shipped
    assert chapters.at_hand("runs/smoke/full/seed1") == Path("runs/smoke/full/seed1")


def test_soft_margin_at_no_difference_is_ln_2():
    axes = objective.soft_margin(2.0).axes
    x, y = axes[0].lines[0].get_xydata().T
    assert np.interp(0.0, x, y) == pytest.approx(math.log(2), abs=1e-3)


def saved(tmp_path, row):
    changes = {"model.weights": "none", "model.trunk_cut": "features.3", "model.output_stride": 4}
    config = row_config(row, "smoke", 0, changes)
    state = checkpoints.model_state(build_model(config.model, 2), config, 2)
    checkpoints.save(tmp_path / checkpoints.CHECKPOINT, state)
    return tmp_path


@pytest.mark.parametrize("row, needs, branch", [("pretrained_keypoints", "keypoints", "keypoint"),
                                                ("baseline", "parts", "part")])
def test_a_run_without_what_a_page_shows_is_refused_in_a_sentence(tmp_path, row, needs, branch):
    with pytest.raises(MatlibError, match=f"row {row}. has no {branch} branch"):
        chapters.load_network(saved(tmp_path, row), needs=needs)


def test_a_network_without_keypoints_of_its_own_is_given_those_of_its_training(tmp_path):
    write_annyville(tmp_path)
    data = load_dataset("annyville-occluded", tmp_path)
    network = chapters.load_network(saved(tmp_path, "pretrained_keypoints"), needs="parts")
    joints, = chapters.training_truth(network, data, data.train)
    true = torch.stack([item["keypoints"] for item in ImageDataset(data.train, (64, 32), truth=("keypoints",))])
    assert joints.shape == true.shape == (2, 17, 3)
    assert 0 < (joints - true)[..., :2].abs().median() < 0.2  # noisy
    assert chapters.training_truth(chapters.load_network(tmp_path / "nothing", "smoke"), data, data.train) == ()


def test_a_network_that_is_given_joints_is_not_looked_at_without_them(monkeypatch, tmp_path):
    config = row_config("following_truth", "smoke", changes={"model.weights": "none", "model.parts": 3})
    monkeypatch.setattr(chapters, "find", lambda run: run)
    monkeypatch.setattr(chapters, "load_model", lambda run: (build_model(config.model, 2), config))
    with pytest.raises(MatlibError, match="given joints beside the picture, which this page has not"):
        chapters.load_network(tmp_path, needs="parts")
