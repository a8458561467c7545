"""MAT's own keypoints as joints: where they lie, which names they get, and that methods are given them."""

import dataclasses

import pytest
import torch
from builders import write_annyville, write_partial_reid

from matlib.config import profile
from matlib.data import ImageDataset, joint_source, load_dataset
from matlib.data.joints import from_run
from matlib.data.joints.joint_cache import cache_path, read_cache
from matlib.data.transforms import normalise_points, resize_points
from matlib.errors import MatlibError
from matlib.geometry import receptive_field_scale
from matlib.models import build_model
from matlib.runs.checkpoints import CHECKPOINT, model_state, save

CONFIG = profile("smoke").change({"model.weights": "none", "model.parts": 4, "data.dataset": "annyville-occluded"})


@pytest.fixture
def people(tmp_path):
    write_annyville(tmp_path)
    return load_dataset("annyville-occluded", tmp_path)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(CONFIG.model, 2).eval()


def test_points_lie_in_the_image_where_the_network_sees_them(people, model):
    samples, size = people.train, (CONFIG.data.height, CONFIG.data.width)
    found = from_run.find_points(model, samples, CONFIG, batch=1)
    images = ImageDataset(samples, size)
    for point, index in zip(found, range(len(samples)), strict=True):
        with torch.no_grad():
            output = model(images[index]["image"][None])
        disk = from_run.read_image(samples[index].path).shape[-2:]
        seen = normalise_points(resize_points(point, disk, size), size)
        scale = torch.tensor(receptive_field_scale(size, output.features.shape[-2:], model.trunk.stride))
        torch.testing.assert_close(seen[:, :2], scale * (output.keypoints.positions[0] + 1) - 1, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(point[:, 2], output.heatmaps[0].amax((1, 2)))
    torch.testing.assert_close(from_run.find_points(model, samples, CONFIG), found, atol=1e-4, rtol=1e-4)


def test_points_are_named_after_the_joints_that_they_follow(rng):
    joints = torch.cat([100 * torch.rand(30, 17, 2, generator=rng), torch.full((30, 17, 1), 2.0)], dim=2)
    order = torch.randperm(17, generator=rng)
    points = joints[:, order[:6], :2] + torch.randn(30, 6, 2, generator=rng)
    assert from_run.name_points(points, joints).tolist() == order[:6].tolist()

    more = torch.cat([joints[:, order, :2], torch.full((30, 2, 2), 1000.0)], dim=1)
    assert from_run.name_points(more, joints).tolist() == [*order.tolist(), -1, -1]


def test_a_joint_counts_where_it_is_visible_and_one_that_nobody_shows_gives_no_name(rng):
    joints = torch.cat([100 * torch.rand(30, 17, 2, generator=rng), torch.full((30, 17, 1), 2.0)], dim=2)
    points = joints[:, [3, 8], :2].clone()
    joints[:10, 3, :2], joints[:10, 3, 2] = 1e4, 1.0
    assert from_run.name_points(points, joints).tolist() == [3, 8]
    joints[:, 8, 2] = 0.0
    assert from_run.name_points(points, joints)[0] == 3 and from_run.name_points(points, joints)[1] not in (3, 8)


def test_no_two_points_have_one_name_though_all_follow_one_joint(rng):
    joints = torch.cat([torch.arange(17.0)[None, :, None].expand(5, 17, 2), torch.full((5, 17, 1), 2.0)], dim=2)
    points = joints[:, [9, 9, 9], :2]
    names = from_run.name_points(points, joints)
    assert sorted(names.tolist()) == [8, 9, 10]


def test_methods_are_given_them_on_rendered_sets_and_on_photographs(people, model, tmp_path):
    write_partial_reid(tmp_path / "Partial-REID_Dataset")
    photographs = load_dataset("partial_reid", tmp_path)
    for dataset in (people, photographs):
        found = from_run.write_points(dataset, model, CONFIG, people)
        assert read_cache(dataset) == found
        source = joint_source("cache", dataset)
        points = from_run.find_points(model, dataset.query, CONFIG)
        for sample, own in zip(dataset.query, points, strict=True):
            joints = source.joints(sample)
            detected = joints[:, 2] == 2
            assert detected.sum() == 4
            placed = {tuple(row) for row in joints[detected, :2].round(decimals=2).tolist()}
            assert placed == {tuple(row) for row in own[:, :2].round(decimals=2).tolist()}
        assert "own keypoints of full, seed 0" in source.origin


def test_a_threshold_leaves_out_points_that_are_nowhere_for_sure(people, model):
    from_run.write_points(people, model, CONFIG, people, threshold=1.01)
    assert not joint_source("cache", people).joints(people.query[0])[:, 2].any()


def test_what_cannot_be_is_a_sentence(people, model, tmp_path):
    no_points = CONFIG.change({"model.keypoints": "external", "data.joints": "noisy"})
    with pytest.raises(MatlibError, match="finds no keypoints of its own"):
        from_run.find_points(build_model(no_points.model, 2), people.train, no_points)
    with pytest.raises(MatlibError, match="with --people"):
        from_run.write_points(people, model, CONFIG, dataclasses.replace(people, rendered=None))
    found = from_run.write_points(people, model, CONFIG, people)
    found.detector = "somebody else's"
    found.write()
    before = cache_path(people).read_bytes()
    with pytest.raises(MatlibError, match="from another detector .somebody else's.: move it away"):
        from_run.write_points(people, model, CONFIG, people)
    assert cache_path(people).read_bytes() == before


def test_the_command_takes_a_run(people, model, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    config = CONFIG.change({"data.root": str(tmp_path)})
    save(run / CHECKPOINT, model_state(model, config, 2))
    out = tmp_path / "mine.json"
    from_run.main(["--run", str(run), "--dataset", "annyville-occluded", "--root", str(tmp_path), "--out", str(out)])
    assert not cache_path(people).exists() and len(read_cache(people, out).images) == 4
