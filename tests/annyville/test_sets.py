"""What a written set promises: names, splits, truth, manifest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from matlib.annyville import KEYPOINT_NAMES, PART_NAMES, PRESETS, read_manifest
from matlib.annyville.plan import SPLITS, plan_items
from matlib.annyville.render import KEYPOINT_TOLERANCE
from matlib.annyville.truth import HIDDEN, OCCLUDER
from matlib.annyville.writer import fingerprint

MARKET = re.compile(r"^(-1|\d{4})_c([1-8])s([1-6])_(\d{6})_(\d{2})\.jpg$")
DUKE = re.compile(r"^(\d{4})_c([1-8])_f(\d{7})\.jpg$")
PATTERN = {"holistic": MARKET, "occluded": DUKE}
protocols = pytest.mark.parametrize("protocol", ["holistic", "occluded"])


def _truth(folder: Path, split: str) -> dict:
    return json.loads((folder / "truth" / f"{split}.json").read_text())


@protocols
def test_names_follow_the_twin_and_every_picture_has_its_truth(town, protocol):
    folder = town / f"annyville-{protocol}"
    sizes = PRESETS["tiny"]
    for split in SPLITS:
        names = {p.name for p in (folder / split).iterdir()}
        assert names and all(PATTERN[protocol].match(n) for n in names)
        truth = _truth(folder, split)
        assert set(truth) == names
        assert {p.stem for p in (folder / "truth" / split).iterdir()} == {n[:-4] for n in names}
        for name, row in truth.items():
            with Image.open(folder / split / name) as image:
                assert image.size == (sizes.width, sizes.height)
                assert image.mode == "RGB"
            mask = np.asarray(Image.open(folder / "truth" / split / f"{name[:-4]}.png"))
            assert mask.shape == (sizes.height, sizes.width)
            assert set(np.unique(mask)) <= {*range(len(PART_NAMES)), HIDDEN, OCCLUDER}
            assert len(row["keypoints"]) == len(KEYPOINT_NAMES)
            assert {v for _, _, v in row["keypoints"]} <= {0, 1, 2}
            assert -180 <= row["yaw"] <= 180


@protocols
@pytest.mark.parametrize("preset", PRESETS)
def test_plan(protocol, preset):
    sizes = PRESETS[preset]
    items = plan_items(protocol, sizes, 3)
    of = {split: [i for i in items if i.split == split] for split in SPLITS}
    assert len({(i.split, i.name) for i in items}) == len(items)
    assert len({(i.person, i.camera, i.k) for i in items}) == len(items)
    train = {i.identity for i in of["bounding_box_train"]}
    assert train == set(range(1, sizes.train_identities + 1))
    assert not train & {i.identity for s in SPLITS[1:] for i in of[s]}
    for query in of["query"]:
        assert any(g.identity == query.identity and g.camera != query.camera for g in of["bounding_box_test"])
    shares = {split: np.mean([i.occluded for i in of[split]]) for split in SPLITS}
    if protocol == "occluded":
        assert shares["query"] == 1
        assert 0.08 <= shares["bounding_box_test"] <= 0.12
        assert 0.10 <= shares["bounding_box_train"] <= 0.20
    else:
        assert not any(shares.values())
        gallery = {i.identity for i in of["bounding_box_test"]}
        assert {-1, 0} <= gallery


def test_large_has_twenty_thousand_pictures_of_a_thousand_identities():
    items = plan_items("occluded", PRESETS["large"], 0)
    assert len(items) == 20_000
    assert PRESETS["large"].train_identities + PRESETS["large"].test_identities == 1000


def test_queries_are_occluded_by_a_fifth_to_seven_tenths(town):
    folder = town / "annyville-occluded"
    rows = _truth(folder, "query")
    assert all(0.2 <= r["occlusion"] <= 0.7 and r["occluder"] for r in rows.values())
    for name, row in rows.items():
        mask = np.asarray(Image.open(folder / "truth" / "query" / f"{name[:-4]}.png"))
        shown = ((mask > 0) & (mask < HIDDEN)).sum()
        hidden = (mask == HIDDEN).sum()
        assert hidden / (hidden + shown) == pytest.approx(row["occlusion"], abs=0.03)


@protocols
def test_whole_people_are_whole(town, protocol):
    for split in SPLITS:
        for row in _truth(town / f"annyville-{protocol}", split).values():
            assert row["occluder"] or row["occlusion"] <= 0.05


@protocols
def test_visible_keypoints_lie_on_the_person(town, protocol):
    """Within 3 pixels of a pixel of the person (a keypoint is inside the body, a limb is thin at this
    size)."""
    folder = town / f"annyville-{protocol}"
    for split in SPLITS:
        for name, row in _truth(folder, split).items():
            if name.startswith("-1"):
                continue
            mask = np.asarray(Image.open(folder / "truth" / split / f"{name[:-4]}.png"))
            i, j = np.nonzero((mask > 0) & (mask < HIDDEN))
            for x, y, v in row["keypoints"]:
                if v == 2:
                    assert np.hypot(j + 0.5 - x, i + 0.5 - y).min() < 3, (name, x, y)
    assert KEYPOINT_TOLERANCE < 0.2


@protocols
def test_left_and_right_are_the_persons_own(town, protocol):
    """Someone who faces the camera has the left shoulder on the right of the picture; seen from behind, on
    the left."""
    seen = 0
    for split in SPLITS:
        for row in _truth(town / f"annyville-{protocol}", split).values():
            left, right = row["keypoints"][5][0], row["keypoints"][6][0]
            if abs(row["yaw"]) < 45:
                assert left > right
                seen += 1
            elif abs(row["yaw"]) > 135:
                assert left < right
                seen += 1
    assert seen > 10


@protocols
def test_manifest_counts_and_cites_the_pictures(town, protocol):
    folder = town / f"annyville-{protocol}"
    manifest = read_manifest(folder)
    assert manifest["counts"] == {s: len(list((folder / s).glob("*.jpg"))) for s in SPLITS}
    assert manifest["fingerprint"] == fingerprint(folder)
    assert (manifest["preset"], manifest["seed"], manifest["protocol"]) == ("tiny", 0, protocol)
    assert not (folder / ".unfinished").exists()


def test_cameras_differ_more_than_pictures_of_one_camera(town):
    """Mean colour of a picture's border tells the cameras apart: they are different places."""
    by_camera: dict[str, list[np.ndarray]] = {}
    folder = town / "annyville-holistic" / "bounding_box_train"
    for path in folder.iterdir():
        pixels = np.asarray(Image.open(path), float)
        by_camera.setdefault(path.name.split("_")[1][:2], []).append(pixels[:, [0, 1, -2, -1]].mean((0, 1)))
    means = np.stack([np.mean(v, 0) for v in by_camera.values()])
    within = np.mean([np.std(v, 0).mean() for v in by_camera.values()])
    assert len(means) == PRESETS["tiny"].cameras
    assert np.std(means, 0).mean() > 0.5 * within
