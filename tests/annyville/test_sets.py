"""What a written set promises: names, splits, truth, manifest."""

from __future__ import annotations

import json
import re
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from matlib.annyville import KEYPOINT_NAMES, PART_NAMES, PRESETS, PROTOCOLS, plan, read_manifest, summary
from matlib.annyville.partial import Cut, cut_out
from matlib.annyville.plan import Item, count_files, person_seed, picture_seed, plan_items
from matlib.annyville.render import KEYPOINT_TOLERANCE, Picture
from matlib.annyville.truth import HIDDEN, OCCLUDER, SURFACE_POINTS, SURFACE_UNIT
from matlib.annyville.writer import fingerprint
from matlib.data import Truth, load_dataset

MARKET = r"(-1|\d{4})_c[1-6]s[1-6]_\d{6}_\d{2}\.jpg"
DUKE = r"\d{4}_c[1-8]_f\d{7}\.jpg"
PATTERNS = {
    "holistic": dict.fromkeys(("bounding_box_train", "query", "bounding_box_test"), MARKET),
    "occluded": dict.fromkeys(("bounding_box_train", "query", "bounding_box_test"), DUKE),
    "occluded-pairs": dict.fromkeys(
        ("occluded_body_images", "whole_body_images"), r"(\d{3})/\1_0[1-5]\.tif"
    ),
    "partial-pairs": dict.fromkeys(
        ("partial_body_images", "occluded_body_images", "whole_body_images"), r"\d{3}_00[1-5]\.jpg"
    ),
    "partial-single": {
        "Probe": r"[1-9]\d*\.jpg",
        "Gallery": r"[1-9]\d*\.jpg",
        "partial_iLIDS_Probe_nocrop": r"\d{3}\.jpg",
    },
}
TRAINED = ["holistic", "occluded"]
PAIRED = ["occluded-pairs", "partial-pairs", "partial-single"]
protocols = pytest.mark.parametrize("protocol", PROTOCOLS)
summed = cache(summary)


@cache
def planned(protocol: str, preset: str) -> list[Item]:
    return plan_items(protocol, PRESETS[preset], 0)


@pytest.fixture(autouse=True)
def plans_once(monkeypatch):
    """The checks of shapes and types make a large plan take seconds."""
    names = {sizes: name for name, sizes in PRESETS.items()}
    monkeypatch.setattr(plan, "plan_items", lambda protocol, sizes, seed: planned(protocol, names[sizes]))


def _truth(folder: Path, split: str) -> dict:
    return json.loads((folder / "truth" / f"{split}.json").read_text())


def _mask(folder: Path, split: str, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "truth" / split / f"{Path(name).stem}.png"))


@protocols
def test_names_follow_the_twin_and_every_picture_has_its_truth(town, protocol):
    folder, sizes = town / f"annyville-{protocol}", PRESETS["tiny"]
    lists = {"Probe.txt", "Gallery.txt"} if protocol == "partial-single" else set()
    assert {p.name for p in folder.iterdir()} == {*PATTERNS[protocol], *lists, "truth"}
    for split, pattern in PATTERNS[protocol].items():
        paths = [p for p in (folder / split).rglob("*") if p.is_file()]
        names = [p.relative_to(folder / split).as_posix() for p in paths]
        assert names and all(re.fullmatch(pattern, name) for name in names)
        truth = _truth(folder, split)
        assert sorted(truth) == sorted(p.name for p in paths)
        assert {p.stem for p in (folder / "truth" / split).iterdir()} == {p.stem for p in paths}
        for path in paths:
            row, mask = truth[path.name], _mask(folder, split, path.name)
            with Image.open(path) as image:
                assert image.mode == "RGB" and image.size == mask.shape[::-1]
            if "cut" not in row:
                assert mask.shape == (sizes.height, sizes.width)
            assert set(np.unique(mask)) <= {*range(len(PART_NAMES)), HIDDEN, OCCLUDER}
            assert len(row["keypoints"]) == len(KEYPOINT_NAMES)
            assert {v for _, _, v in row["keypoints"]} <= {0, 1, 2}
            assert -180 <= row["yaw"] <= 180


TWINS = {
    "holistic": ("market1501", "Market-1501-v15.09.15"),
    "occluded": ("occluded_duke", "Occluded_Duke"),
    "occluded-pairs": ("occluded_reid", "Occluded_REID"),
    "partial-pairs": ("partial_reid", "Partial-REID_Dataset"),
    "partial-single": ("partial_ilids", "Partial_iLIDS"),
}


@protocols
def test_the_reader_of_the_twin_reads_it(town, tmp_path, protocol):
    """Under the twin's folder name there is nothing by which its reader could tell the two apart."""
    twin, root = TWINS[protocol]
    (tmp_path / root).symlink_to(town / f"annyville-{protocol}")
    theirs, ours = load_dataset(twin, tmp_path), load_dataset(f"annyville-{protocol}", town)
    for split in ("train", "query", "gallery"):
        a, b = getattr(theirs, split), getattr(ours, split)
        assert [(s.path.name, *s[1:]) for s in a] == [(s.path.name, *s[1:]) for s in b]
    table = summed(protocol, "tiny")
    assert len(ours.query) == table["query"]["images"]
    assert len(ours.gallery) == table["gallery"]["images"] - table["gallery"]["junk"]
    assert len(ours.train) == table.get("train", {"images": 0})["images"]
    assert ours.rendered == read_manifest(town / f"annyville-{protocol}")["fingerprint"]
    assert ours.trained_on == (None if ours.train else "annyville-holistic")
    assert [Truth(s).labels.shape for s in ours.query]


def test_partial_pairs_can_ask_with_the_occluded_pictures(town):
    partial, occluded = (
        load_dataset("annyville-partial-pairs", town, query=query) for query in ("partial", "occluded")
    )
    assert [s.path.name for s in partial.query] == [s.path.name for s in occluded.query]
    assert all(Truth(s).occlusion <= 0.1 for s in partial.query)
    assert all(Truth(s).occlusion >= 0.2 for s in occluded.query)


@pytest.mark.parametrize("protocol", TRAINED)
@pytest.mark.parametrize("preset", PRESETS)
def test_plan_with_training(protocol, preset):
    sizes = PRESETS[preset]
    items = planned(protocol, preset)
    train, query, gallery = (
        [i for i in items if i.split == split] for split in ("bounding_box_train", "query", "bounding_box_test")
    )
    assert len({(i.split, i.name) for i in items}) == len(items)
    assert len({tuple(picture_seed(0, protocol, i)) for i in items}) == len(items)
    assert {i.identity for i in train} == set(range(1, sizes.train_identities + 1))
    assert not {i.identity for i in train} & {i.identity for i in query + gallery}
    seen = {(g.identity, g.camera) for g in gallery}
    cameras = {i.camera for i in items}
    assert all(any((q.identity, c) in seen for c in cameras - {q.camera}) for q in query)
    hidden = [np.mean([i.occluded for i in split]) for split in (train, query, gallery)]
    if protocol == "occluded":
        assert hidden[1] == 1 and 0.10 <= hidden[0] <= 0.20 and 0.08 <= hidden[2] <= 0.12
        assert len({i.camera for i in items}) == sizes.cameras
    else:
        assert not any(hidden)
        assert {-1, 0} <= {i.identity for i in gallery}
        assert len({i.camera for i in items}) == min(6, sizes.cameras)  # Market-1501 has six


@pytest.mark.parametrize("protocol", PAIRED)
@pytest.mark.parametrize("preset", PRESETS)
def test_plan_of_pairs(protocol, preset):
    """As many of each identity on both sides, by cameras of which none is on both sides."""
    items = planned(protocol, preset)
    kind, each = PROTOCOLS[protocol], 1 if protocol == "partial-single" else 5
    sides = {split: [i for i in items if split in dict(i.files)] for split in kind.splits}
    identities = {i.identity for i in items}
    assert identities == set(range(1, len(identities) + 1))
    for split, mine in sides.items():
        assert sorted(i.identity for i in mine) == sorted([*identities] * each), split
        assert {i.occluded for i in mine} == {split != kind.gallery}
    for identity in identities:
        asked, held = (
            {i.camera for i in sides[split] if i.identity == identity} for split in (kind.query, kind.gallery)
        )
        assert asked and held and not asked & held
    assert len({tuple(picture_seed(0, protocol, i)) for i in items}) == len(items)


def test_large_has_twenty_thousand_pictures_of_a_thousand_identities():
    for protocol in TRAINED:
        table = summed(protocol, "large")
        assert table["images"] == 20_000
        assert table["train"]["identities"] == table["query"]["identities"] == 500


@pytest.mark.parametrize(
    ("protocol", "query", "gallery", "identities"),
    [("occluded-pairs", 1000, 1000, 200), ("partial-pairs", 300, 300, 60), ("partial-single", 119, 119, 119)],
)
def test_large_pairs_have_the_numbers_of_their_twins(protocol, query, gallery, identities):
    table = summed(protocol, "large")
    assert (table["query"]["images"], table["gallery"]["images"]) == (query, gallery)
    assert table["query"]["identities"] == table["gallery"]["identities"] == identities
    assert "train" not in table and table["trained on"] == "annyville-holistic"


def test_nobody_is_in_two_protocols():
    seeds = [
        tuple(person_seed(0, protocol, person))
        for protocol in PROTOCOLS
        for person in {i.person for i in planned(protocol, "small")}
    ]
    assert len(set(seeds)) == len(seeds) > 500


@protocols
@pytest.mark.parametrize("preset", PRESETS)
def test_summary_counts_the_plan(protocol, preset):
    table, kind = summed(protocol, preset), PROTOCOLS[protocol]
    files = count_files(planned(protocol, preset), kind.splits)
    assert table["images"] == sum(files.values())
    for role in {"train", "query", "gallery"} & set(table):
        assert table[role]["images"] == files[table[role]["folder"]]
    assert table["query"]["occluded"] == (0 if protocol == "holistic" else 1)
    assert table["gallery"]["identities"] == table["query"]["identities"]
    assert (table["gallery"]["junk"] > 0) == (protocol == "holistic")
    assert (table["gallery"]["distractors"] > 0) == (protocol in TRAINED)


@pytest.mark.parametrize(
    ("protocol", "split"),
    [("occluded", "query"), *((p, "occluded_body_images") for p in PAIRED[:2]),
     ("partial-single", "partial_iLIDS_Probe_nocrop")],
)
def test_queries_are_occluded_by_a_fifth_to_seven_tenths(town, protocol, split):
    folder = town / f"annyville-{protocol}"
    rows = _truth(folder, split)
    assert all(0.2 <= r["occlusion"] <= 0.7 and r["occluder"] for r in rows.values())
    for name, row in rows.items():
        mask = _mask(folder, split, name)
        shown = ((mask > 0) & (mask < HIDDEN)).sum()
        hidden = (mask == HIDDEN).sum()
        assert hidden / (hidden + shown) == pytest.approx(row["occlusion"], abs=0.03)


@pytest.mark.parametrize(
    ("protocol", "partial", "uncut"),
    [
        ("partial-pairs", "partial_body_images", "occluded_body_images"),
        ("partial-single", "Probe", "partial_iLIDS_Probe_nocrop"),
    ],
)
def test_partial_pictures_are_parts_of_the_uncut_ones(town, protocol, partial, uncut):
    """Pixels, masks, points and shares of every partial picture against the picture that it was cut from."""
    folder = town / f"annyville-{protocol}"
    parts, wholes = _truth(folder, partial), _truth(folder, uncut)
    surfaces = [np.load(folder / "truth" / f"{s}.surface.npy") for s in (partial, uncut)]
    order = {name: row for row, name in enumerate(wholes)}
    for row, (name, part) in enumerate(parts.items()):
        twin = name if protocol == "partial-pairs" else f"{int(Path(name).stem):03}.jpg"
        cut, whole = part["cut"], wholes[twin]
        left, top, right, bottom = cut["box"]
        pixels, more = (np.asarray(Image.open(folder / s / n), float) for s, n in ((partial, name), (uncut, twin)))
        assert np.abs(pixels - more[top:bottom, left:right]).mean() < 3
        mask, complete = _mask(folder, partial, name), _mask(folder, uncut, twin)
        np.testing.assert_array_equal(mask, complete[top:bottom, left:right])
        body = ((complete > 0) & (complete <= HIDDEN)).sum()
        assert ((mask > 0) & (mask < HIDDEN)).sum() / body == pytest.approx(cut["kept"], abs=1e-3)
        assert 0.2 <= cut["kept"] <= 0.8 and part["occlusion"] <= 0.1
        points, others = np.array(part["keypoints"]), np.array(whole["keypoints"])
        np.testing.assert_allclose(points[:, :2], others[:, :2] - (left, top), atol=0.051)
        margin = np.minimum(points[:, :2], (right - left, bottom - top) - points[:, :2]).min(1)
        clear = np.abs(margin) > 0.1  # written coordinates are rounded
        np.testing.assert_array_equal(points[clear, 2], np.where(margin > 0, others[:, 2], 0)[clear])
        skin, all_skin = surfaces[0][row], surfaces[1][order[twin]]
        np.testing.assert_allclose(
            skin[:, :2] * SURFACE_UNIT, all_skin[:, :2] * SURFACE_UNIT - (left, top), atol=1e-6
        )
        assert not skin[~((skin[:, :2] >= 0) & (skin[:, :2] < 16 * np.array(mask.shape[::-1]))).all(1), 2].any()
    if protocol == "partial-single":
        assert {p["cut"]["side"] for p in parts.values()} == {"upper"}
    else:
        assert len({p["cut"]["side"] for p in parts.values()}) >= 3


def test_cutting_moves_everything_along():
    """A picture whose colours, points and mask say where they are."""
    height, width = 40, 20
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 6 * np.arange(height)[:, None], 12 * np.arange(width)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=100, subsampling=0)
    mask = np.full((height, width), 2, np.uint8)
    mask[:, 15:] = HIDDEN
    points = np.array([[3.0, 5.0, 2], [12.0, 5.0, 1], [12.0, 39.0, 2]] + [[0, 0, 0]] * 14)
    surface = np.zeros((SURFACE_POINTS, 3), np.int16)
    surface[:3] = points[:3] * (16, 16, 1)
    picture = Picture(stream.getvalue(), mask, points, surface, 0.25, "bin", 10.0, (100.0, 50.0, 40.0, 80.0))
    part = cut_out(picture, Cut("right", (10, 0, 20, 40), 0.25))
    assert part.mask.shape == (40, 10) and part.occlusion == 0.5
    assert part.box == (120.0, 50.0, 20.0, 80.0)
    np.testing.assert_array_equal(part.keypoints[:3], [[-7, 5, 0], [2, 5, 1], [2, 39, 2]])
    np.testing.assert_array_equal(part.surface[:3, :2], part.keypoints[:3, :2] * 16)
    shown = np.asarray(Image.open(BytesIO(part.jpeg)), int)
    assert np.abs(shown[..., 1] - pixels[:, 10:, 1]).mean() < 4


@protocols
def test_the_surface_lies_as_its_rows_say(town, protocol):
    """Seen points of the skin lie on the person of their own image (within 2 pixels), not of another row's; a few are
    seen through gaps that the mask, at the image's size, does not show."""
    folder = town / f"annyville-{protocol}"
    for split in PROTOCOLS[protocol].splits:
        rows = np.load(folder / "truth" / f"{split}.surface.npy", mmap_mode="r")
        names = list(_truth(folder, split))
        assert rows.dtype == np.int16 and rows.shape == (len(names), SURFACE_POINTS, 3)
        assert names == sorted(names)
        for name, points in zip(names, rows):
            mask = np.pad(_mask(folder, split, name), 2)
            person = (mask > 0) & (mask < HIDDEN)
            near = np.max([np.roll(person, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3)], 0)
            x, y = (np.floor(points[points[:, 2] == 1, :2].T * SURFACE_UNIT).astype(int)) + 2
            assert not len(x) or near[y, x].mean() > 0.95, (split, name)


@protocols
def test_whole_people_are_whole(town, protocol):
    for split in PROTOCOLS[protocol].splits:
        for row in _truth(town / f"annyville-{protocol}", split).values():
            assert row["occluder"] or row["occlusion"] <= 0.05


@protocols
def test_visible_keypoints_lie_on_the_person(town, protocol):
    """Within 4 pixels of a pixel of the person (a keypoint is inside the body, a limb is thin at this
    size)."""
    folder = town / f"annyville-{protocol}"
    for split in PROTOCOLS[protocol].splits:
        for name, row in _truth(folder, split).items():
            if name.startswith("-1"):
                continue
            mask = _mask(folder, split, name)
            i, j = np.nonzero((mask > 0) & (mask < HIDDEN))
            for x, y, v in row["keypoints"]:
                if v == 2:
                    assert np.hypot(j + 0.5 - x, i + 0.5 - y).min() < 4, (name, x, y)
    assert KEYPOINT_TOLERANCE < 0.2


@protocols
def test_left_and_right_are_the_persons_own(town, protocol):
    """Someone who faces the camera has the left shoulder on the right of the picture; seen from behind, on
    the left."""
    seen = 0
    for split in PROTOCOLS[protocol].splits:
        for row in _truth(town / f"annyville-{protocol}", split).values():
            left, right = row["keypoints"][5][0], row["keypoints"][6][0]
            if abs(row["yaw"]) < 45:
                assert left > right
                seen += 1
            elif abs(row["yaw"]) > 135:
                assert left < right
                seen += 1
    assert seen > 5


@protocols
def test_manifest_counts_and_cites_the_pictures(town, protocol):
    folder = town / f"annyville-{protocol}"
    manifest = read_manifest(folder)
    splits = PROTOCOLS[protocol].splits
    assert manifest["counts"] == {s: sum(p.is_file() for p in (folder / s).rglob("*")) for s in splits}
    for split in splits:
        hidden = [row["occlusion"] for row in _truth(folder, split).values() if row["occluder"]]
        told = manifest["occlusion"][split]
        assert told["occluded"] == pytest.approx(len(hidden) / manifest["counts"][split], abs=1e-3)
        spread = [min(hidden), np.median(hidden), max(hidden)] if hidden else None
        assert told["hidden"] == (spread and pytest.approx(spread, abs=1e-4))
    assert manifest["labels"]["parts"] == list(PART_NAMES)
    assert manifest["fingerprint"] == fingerprint(folder)
    assert (manifest["preset"], manifest["seed"], manifest["protocol"]) == ("tiny", 0, protocol)
    assert manifest["camera_spread"] == 1 and "CC0" in manifest["licence"]
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
