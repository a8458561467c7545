"""Readers on trees built as the real ones are, with what goes wrong in them."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from builders import (
    DUKE,
    MSMT17_FOLDERS,
    write_annyville,
    write_image,
    write_market,
    write_msmt17,
    write_occluded_duke_lists,
    write_occluded_reid,
    write_partial_ilids,
    write_partial_reid,
    write_small_market,
)

from matlib.data import Sample, dataset_names, fingerprint, load_dataset, training_set
from matlib.data.readers.counts import COUNTS, PAPER, Count, Counts, difference, published
from matlib.errors import MatlibError


def described(samples):
    return [(s.path.name, s.identity, s.camera) for s in samples]


def test_market_with_traps(tmp_path):
    root = tmp_path / "run_12_c3" / "0099_c5"  # a folder's name must not be read as an image's
    folder = write_market(
        root / "Market-1501-v15.09.15",
        [
            "0011_c6s1_000001_01.jpg",
            "0002_c1s1_000451_03.jpg",
            "0002_c2s1_000451_03.JPG",
            "-1_c1s1_000009_01.jpg",
        ],
        ["0001_c1s1_000001_01 Ünïcode 走.jpeg", "0013_c4s2_000001_01.png"],
        [
            "0013_c1s1_000001_01.jpg.jpg",
            "0000_c3s1_000001_01.jpg",
            "-1_c2s1_000001_01.jpg",
            "0001_c2s1_000001_01.JPEG",
        ],
    )
    (folder / "query" / "Thumbs.db").write_bytes(b"x")
    (folder / "query" / "readme_c1.txt").write_text("0005_c1s1")
    (folder / "query" / "._0005_c1s1_000001_01.jpg").write_bytes(b"what macOS leaves")
    (folder / "query" / "0005_c1s1_000009_01.jpg").mkdir()
    (folder / "bounding_box_test" / "0007_c1s1_000009_01.jpg").symlink_to(tmp_path / "gone.jpg")
    (folder / "bounding_box_test" / "0008_c1s1_000000_01.jpg").write_bytes(b"")
    dataset = load_dataset("market1501", root)
    assert dataset.root == folder
    assert described(dataset.train) == [
        ("0002_c1s1_000451_03.jpg", 0, 0),
        ("0002_c2s1_000451_03.JPG", 0, 1),
        ("0011_c6s1_000001_01.jpg", 1, 5),
    ]
    assert described(dataset.query) == [
        ("0001_c1s1_000001_01 Ünïcode 走.jpeg", 1, 0),
        ("0013_c4s2_000001_01.png", 13, 3),
    ]
    assert described(dataset.gallery) == [
        ("0000_c3s1_000001_01.jpg", 0, 2),
        ("0001_c2s1_000001_01.JPEG", 1, 1),
        ("0008_c1s1_000000_01.jpg", 8, 0),
        ("0013_c1s1_000001_01.jpg.jpg", 13, 0),
    ]
    assert dataset.num_train_identities == 2
    assert all(isinstance(s, Sample) and s.path.parent.parent == folder for s in dataset.gallery)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("market1501", "market1501"),
        ("market1501", "market1501/Market-1501-v15.09.15"),
        ("market1501", "."),
        ("dukemtmc", "DukeMTMC-reID"),
        ("dukemtmc", "dukemtmc-reid/DukeMTMC-reID"),
        ("dukemtmc", "dukemtmcreid"),
        ("msmt17", "msmt17"),
        ("market1501", "market-1501 V15.09.15"),
        ("occluded_duke", "Occluded_Duke"),
        ("occluded_duke", "Occluded-DukeMTMC-reID"),
    ],
)
def test_folder_names_that_are_in_use(tmp_path, name, folder):
    write_small_market(tmp_path / folder)
    for root in {tmp_path, tmp_path / folder}:
        dataset = load_dataset(name, str(root))
        assert dataset.root == tmp_path / folder and len(dataset.gallery) == 2 and dataset.trained_on is None


def test_duke_names(tmp_path):
    write_market(
        tmp_path / "DukeMTMC-reID",
        ["0001_c8_f0044158.jpg"],
        ["0005_c2_f0046985.jpg"],
        ["0005_c5_f0051341.jpg"],
    )
    dataset = load_dataset("dukemtmc", tmp_path)
    assert [(s.identity, s.camera) for s in dataset.train + dataset.query + dataset.gallery] == [
        (0, 7),
        (5, 1),
        (5, 4),
    ]


def test_a_set_is_not_taken_for_another(tmp_path):
    folder = write_small_market(tmp_path / "Market-1501-v15.09.15")
    with pytest.raises(MatlibError, match="the name of another set"):
        load_dataset("occluded_duke", folder)
    write_image(folder / "query" / "0003_c7s1_000001_01.jpg")
    with pytest.raises(MatlibError, match="of camera 7, but Market-1501 has cameras 1 to 6"):
        load_dataset("market1501", tmp_path)


@pytest.mark.parametrize("suffix", [".tif", ".TIF", ".jpg", ".png"])
def test_occluded_reid_has_a_folder_for_each_person(tmp_path, suffix):
    folder = write_occluded_reid(tmp_path / "run_12_c3" / "Occluded_REID", people=11, suffix=suffix)
    (folder / "whole_body_images" / "011" / "Thumbs.db").write_bytes(b"x")
    dataset = load_dataset("occluded_reid", tmp_path / "run_12_c3")
    assert dataset.train == () and dataset.trained_on == "market1501"
    for samples, camera in ((dataset.query, 0), (dataset.gallery, 1)):
        assert described(samples) == [
            (f"{person:03}_{image:02}{suffix}", person, camera) for person in range(1, 12) for image in (1, 2)
        ]
    assert {s.path.parent.parent.name for s in dataset.query} == {"occluded_body_images"}


def test_occluded_reid_without_the_people_s_folders(tmp_path):
    folder = write_occluded_reid(tmp_path / "one" / "Occluded_REID")
    nested = load_dataset("occluded_reid", tmp_path / "one")
    for image in list(folder.rglob("*.tif")):
        image.rename(image.parent.parent / image.name)
    flat = load_dataset("occluded_reid", tmp_path / "one")
    assert described(flat.query) == described(nested.query) and described(flat.gallery) == described(
        nested.gallery
    )


def test_an_image_in_another_person_s_folder_is_told(tmp_path):
    folder = write_occluded_reid(tmp_path / "Occluded_REID") / "whole_body_images"
    (folder / "001" / "001_01.tif").rename(folder / "002" / "001_01.tif")
    with pytest.raises(
        MatlibError, match="001_01.tif lies in the folder of identity 2 but has the name of identity 1"
    ):
        load_dataset("occluded_reid", tmp_path)


def test_partial_reid_and_its_query_folder(tmp_path):
    folder = write_partial_reid(tmp_path / "Partial_REID")
    (folder / ".DS_Store").write_bytes(b"x")
    dataset = load_dataset("partial_reid", tmp_path)
    assert dataset.train == () and dataset.num_train_identities == 0 and dataset.trained_on == "market1501"
    assert {s.path.parent.name for s in dataset.query} == {"partial_body_images"}
    assert described(dataset.query)[:3] == [
        ("001_001.jpg", 1, 0),
        ("001_002.jpg", 1, 0),
        ("002_001.jpg", 2, 0),
    ]
    assert described(dataset.gallery)[-1] == ("003_002.jpg", 3, 1)
    occluded = load_dataset("partial_reid", tmp_path, query="occluded")
    assert {s.path.parent.name for s in occluded.query} == {"occluded_body_images"}
    assert occluded.gallery == dataset.gallery
    with pytest.raises(MatlibError, match="partial, occluded; got 'whole'"):
        load_dataset("partial_reid", tmp_path, query="whole")


@pytest.mark.parametrize("renamed", [False, True])
def test_partial_ilids_in_both_layouts(tmp_path, renamed):
    folder = write_partial_ilids(tmp_path / "Partial_iLIDS", people=11)
    if renamed:
        (folder / "Probe").rename(folder / "partial_body_images")
        (folder / "Gallery").rename(folder / "whole_body_images")
    dataset = load_dataset("partial_ilids", tmp_path)
    assert (
        sorted(s.identity for s in dataset.query)
        == sorted(s.identity for s in dataset.gallery)
        == list(range(1, 12))
    )
    assert {s.camera for s in dataset.query} == {0} and {s.camera for s in dataset.gallery} == {1}


@pytest.mark.parametrize(
    ("name", "folder", "splits"),
    [
        ("occluded_reid", "OccludedREID", ("query", "gallery")),
        ("occluded_reid", "Occluded_REID", ("query", "bounding_box_test")),
        (
            "occluded_reid",
            "ICME2018_Occluded-Person-Reidentification_datasets/Occluded_REID",
            ("occluded_body_images", "whole_body_images"),
        ),
        ("occluded_reid", "occluded_reid/Occluded_REID", ("occluded_body_images", "whole_body_images")),
        ("partial_reid", "partial_reid/PartialREID", ("partial_body_images", "whole_body_images")),
        ("partial_ilids", "PartialiLIDS", ("query", "gallery")),
        ("partial_ilids", "partial_ilids_fpr/PartialILIDS", ("Probe", "Gallery")),
    ],
)
def test_layouts_of_pairs_that_are_in_use(tmp_path, name, folder, splits):
    """The second number of a name is no camera: FastReID's reading of it loses a match of each query."""
    for split in splits:
        for image in ("0002_c3s3_01.jpg", "0002_02.jpg", "0001_01.jpg"):
            write_image(tmp_path / folder / split / image)
    dataset = load_dataset(name, tmp_path)
    assert dataset.root == tmp_path / folder and dataset.trained_on == "market1501"
    assert described(dataset.query) == [
        ("0001_01.jpg", 1, 0),
        ("0002_02.jpg", 2, 0),
        ("0002_c3s3_01.jpg", 2, 0),
    ]
    assert described(dataset.gallery) == [(image, person, 1) for image, person, _ in described(dataset.query)]


def test_the_two_versions_of_partial_ilids(tmp_path, caplog):
    fpr = tmp_path / "PartialILIDS"
    for folder in ("Probe", "Gallery"):
        write_image(fpr / folder / "0007_1.jpg")
    assert load_dataset("partial_ilids", tmp_path).root == fpr
    assert "images of FPR (version='fpr')" in caplog.text
    with pytest.raises(
        MatlibError, match="is not what was asked for: by its file names it is version 'fpr', not 'dsr'"
    ):
        load_dataset("partial_ilids", tmp_path, version="dsr")
    dsr = write_partial_ilids(tmp_path / "partial_ilids" / "Partial_iLIDS")
    assert load_dataset("partial_ilids", tmp_path).root == dsr  # though the other's folder comes first
    assert load_dataset("partial_ilids", tmp_path, version="dsr").root == dsr
    assert load_dataset("partial_ilids", tmp_path, version="fpr").root == fpr
    with pytest.raises(MatlibError, match="one of None, dsr, fpr; got 'cvpr'"):
        load_dataset("partial_ilids", tmp_path, version="cvpr")


def test_single_shots_of_partial_reid_part_its_gallery(tmp_path):
    write_partial_reid(tmp_path / "Partial_REID", people=4, images=5)
    everything = load_dataset("partial_reid", tmp_path)
    shots = [load_dataset("partial_reid", tmp_path, shot=shot) for shot in (1, 2, 3, 4, 5)]
    assert all([s.identity for s in shot.gallery] == [1, 2, 3, 4] for shot in shots)
    assert sorted(sample for shot in shots for sample in shot.gallery) == list(everything.gallery)
    assert all(shot.query == everything.query for shot in shots)
    assert len({fingerprint(dataset) for dataset in (everything, *shots)}) == 6
    with pytest.raises(MatlibError, match="shot of partial_reid is one of None, 1, 2, 3, 4, 5; got 6"):
        load_dataset("partial_reid", tmp_path, shot=6)


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("root", ["MSMT17_{}", "msmt17/MSMT17_{}", "MSMT17", "run_12_c3/msmt17"])
def test_msmt17(tmp_path, version, root):
    folder = write_msmt17(tmp_path / root.format(version), version)
    dataset = load_dataset("msmt17", (tmp_path / root.split("/")[0]) if "run" in root else tmp_path)
    assert dataset.root == folder and dataset.trained_on is None
    train, test = MSMT17_FOLDERS[version]
    assert [(s.identity, s.camera) for s in dataset.train] == [
        (p, 13 - i) for p in range(3) for i in range(4)
    ]
    assert {s.path.relative_to(folder).parts[0] for s in dataset.train} == {train}
    assert [(s.identity, s.camera) for s in dataset.query] == [(0, 0), (1, 0)]
    assert [(s.identity, s.camera) for s in dataset.gallery] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert all(s.path.is_file() for s in (*dataset.train, *dataset.query, *dataset.gallery))
    alone = load_dataset("msmt17", folder, validation=False)
    assert (
        len(alone.train) == 9 and set(alone.train) < set(dataset.train) and alone.gallery == dataset.gallery
    )
    assert fingerprint(alone) != fingerprint(dataset)


def test_the_two_versions_of_msmt17(tmp_path, unchecked):
    second = write_msmt17(tmp_path / "MSMT17_V2", "V2")
    assert load_dataset("msmt17", tmp_path).root == second
    with pytest.raises(MatlibError, match="MSMT17 V1 in .*MSMT17_V2 is not complete: train and test missing"):
        load_dataset("msmt17", tmp_path, version="V1")
    first = write_msmt17(tmp_path / "MSMT17_V1")
    assert load_dataset("msmt17", tmp_path).root == first
    assert load_dataset("msmt17", tmp_path, version="V2").root == second
    with pytest.raises(MatlibError, match="validation of msmt17 is one of True, False; got 'merged'"):
        load_dataset("msmt17", tmp_path, validation="merged")


def test_msmt17_in_market_s_layout_cannot_tell_its_validation_images(tmp_path):
    names = ["0003_c15_0001.jpg"], ["0001_c10_0002.jpg"], ["0000_c1_0003.jpg"]
    write_market(tmp_path / "MSMT17", *names)
    dataset = load_dataset("msmt17", tmp_path)
    assert (dataset.train[0].camera, dataset.query[0].camera, dataset.gallery[0].identity) == (14, 9, 0)
    with pytest.raises(MatlibError, match="does not tell its validation images"):
        load_dataset("msmt17", tmp_path, validation=False)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "0000/0000_000_01_0303morning_0008_0.jpg",
            "list_query.txt, line 3, is not an image and an identity",
        ),
        ("0000/0000_000_xx_0303morning_0008_0.jpg 0", "line 3, is not an image and an identity"),
        ("../0000/0000_000_01_0303morning_0008_0.jpg 0", "line 3, is not an image and an identity"),
        (
            "0000/0000_000_16_0303morning_0008_0.jpg 0",
            "line 3, is of camera 16, but MSMT17 has cameras 1 to 15",
        ),
        (
            "0000/0000_009_01_0303morning_0008_0.jpg 0",
            "1 of the 3 images that .*list_query.txt names are not there, such as",
        ),
        ("0000/0000_000_01_0303noon_0000_1.jpg 0", "line 3, names 0000_000_01_0303noon_0000_1.jpg again"),
    ],
)
def test_damaged_lists_of_msmt17_are_told(tmp_path, line, sentence):
    file = write_msmt17(tmp_path / "MSMT17_V1") / "list_query.txt"
    file.write_text(file.read_text() + line)
    with pytest.raises(MatlibError, match=sentence):
        load_dataset("msmt17", tmp_path)


def test_a_list_that_is_no_text_is_told(tmp_path):
    folder = write_msmt17(tmp_path / "MSMT17_V1")
    (folder / "list_train.txt").write_bytes(b"0000/\xff\xfe_000_01.jpg 0\n")
    with pytest.raises(MatlibError, match="list_train.txt is not a list in UTF-8: fetch it again"):
        load_dataset("msmt17", tmp_path)


def test_a_missing_list_of_msmt17_is_told(tmp_path):
    (write_msmt17(tmp_path / "MSMT17_V1") / "list_val.txt").unlink()
    with pytest.raises(
        MatlibError,
        match="is not complete: list_val.txt missing, it holds list_gallery.txt, .*, test/, train/",
    ):
        load_dataset("msmt17", tmp_path)


@pytest.mark.parametrize("duke", ["DukeMTMC-reID", "Occluded_Duke/DukeMTMC-reID", "elsewhere/dukemtmc"])
def test_occluded_duke_from_duke_and_the_published_lists(tmp_path, duke):
    write_market(tmp_path / duke, *DUKE.values())
    lists = write_occluded_duke_lists(tmp_path / "Occluded_Duke")
    options = {"duke": tmp_path / "elsewhere"} if "elsewhere" in duke else {}
    for root in (tmp_path, lists):
        dataset = load_dataset("occluded_duke", root, **options)
        assert dataset.root == tmp_path / duke
        assert described(dataset.train) == [("0001_c1_f0044158.jpg", 0, 0), ("0007_c8_f0044158.jpg", 1, 7)]
        assert described(dataset.query) == [("0005_c2_f0046985.jpg", 5, 1), ("0005_c5_f0051341.jpg", 5, 4)]
        assert [s.path.parent.name for s in dataset.query] == ["query", "bounding_box_test"]
        assert described(dataset.gallery) == [("0005_c6_f0051341.jpg", 5, 5), ("0009_c1_f0051341.jpg", 9, 0)]
        assert all(s.path.is_file() for s in (*dataset.train, *dataset.query, *dataset.gallery))


def test_occluded_duke_s_lists_without_duke(tmp_path):
    lists = write_occluded_duke_lists(tmp_path / "Occluded_Duke")
    with pytest.raises(MatlibError, match="DukeMTMC-reID is not in"):
        load_dataset("occluded_duke", tmp_path)
    write_market(tmp_path / "DukeMTMC-reID", *DUKE.values())
    (lists / "query.list").write_text("0005_c2_f0046985.jpg\n0005_c2_f0000000.jpg\n")
    with pytest.raises(
        MatlibError, match="1 of the 2 images that .*query.list names are not in .*such as 0005_c2_f0000000"
    ):
        load_dataset("occluded_duke", tmp_path)


def test_occluded_duke_trained_on_all_of_duke(tmp_path):
    occluded = write_market(
        tmp_path / "Occluded_Duke", DUKE["bounding_box_train"][:1], DUKE["query"], DUKE["bounding_box_test"]
    )
    with pytest.raises(MatlibError, match="DukeMTMC-reID is not in"):
        load_dataset("occluded_duke", tmp_path, training="dukemtmc")
    duke = write_market(tmp_path / "DukeMTMC-reID", *DUKE.values())
    own = load_dataset("occluded_duke", tmp_path)
    more = load_dataset("occluded_duke", tmp_path, training="dukemtmc")
    assert len(own.train) == 1 and [s.identity for s in more.train] == [0, 0, 1]
    assert own.root == more.root == occluded and more.train[0].path.is_relative_to(duke)
    assert (own.query, own.gallery) == (more.query, more.gallery)
    assert fingerprint(own) != fingerprint(more)


def test_a_test_only_set_names_its_training_set_and_loads_it(tmp_path):
    write_partial_reid(tmp_path / "Partial_REID")
    tested = load_dataset("partial_reid", tmp_path)
    with pytest.raises(MatlibError, match="Market-1501 is not in"):
        training_set(tested, tmp_path)
    write_small_market(tmp_path / "market1501")
    trained = training_set(tested, tmp_path)
    assert trained.name == "market1501" and len(trained.train) == 2
    assert training_set(trained, tmp_path) is trained


def test_copies_in_another_format_are_left_out(tmp_path, caplog):
    """A conversion leaves both: every match would count twice."""
    folder = write_occluded_reid(tmp_path / "Occluded_REID", people=1)
    for image in list(folder.rglob("*.tif")):
        write_image(image.with_suffix(".JPG"))
    dataset = load_dataset("occluded_reid", tmp_path)
    assert [s.path.name for s in dataset.query] == ["001_01.tif", "001_02.tif"]
    assert (
        "left out 2 copies of images in another format, such as 001_01.JPG beside 001_01.tif" in caplog.text
    )


def test_the_same_name_in_two_lists_is_two_images(tmp_path):
    write_market(
        tmp_path / "market1501",
        ["0002_c1s1_000001_01.jpg"],
        ["0001_c1s1_000001_01.jpg"],
        ["0001_c1s1_000001_01.jpg", "0001_c2s1_000001_01.jpg"],
    )
    dataset = load_dataset("market1501", tmp_path)
    assert (
        dataset.query[0].path.name == dataset.gallery[0].path.name and dataset.query[0] != dataset.gallery[0]
    )


def test_links_are_followed_and_lost_ones_told(tmp_path, caplog):
    folder = write_small_market(tmp_path / "elsewhere" / "big disk")
    (tmp_path / "market1501").symlink_to(folder, target_is_directory=True)
    store = write_image(tmp_path / "store" / "7.jpg")
    (folder / "query" / "0007_c5s1_000001_01.jpg").symlink_to(store)
    (folder / "query" / "0008_c5s1_000001_01.jpg").symlink_to(tmp_path / "gone.jpg")
    dataset = load_dataset("market1501", tmp_path)
    assert [(s.identity, s.camera) for s in dataset.query] == [(1, 0), (7, 4)]
    assert "left out 1 links that lead nowhere, such as 0008_c5s1_000001_01.jpg" in caplog.text


def test_the_order_on_disk_does_not_matter(tmp_path, monkeypatch):
    """Directories are listed in any order; lists and labels are the same."""
    write_market(
        tmp_path / "market1501",
        [f"{p:04}_c{c}s1_000001_01.jpg" for p in (9, 2, 40) for c in (3, 1)],
        ["0001_c1s1_000001_01.jpg"],
        ["0001_c2s1_000001_01.jpg"],
    )
    write_occluded_reid(tmp_path / "Occluded_REID", people=3)
    first = [load_dataset(name, tmp_path) for name in ("market1501", "occluded_reid")]
    assert [s.identity for s in first[0].train] == [0, 0, 1, 1, 2, 2]
    scan, iterate = os.scandir, Path.iterdir

    class Backwards(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(
        os, "scandir", lambda path: Backwards(sorted(scan(path), key=lambda e: e.name, reverse=True))
    )
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(sorted(iterate(self), reverse=True)))
    assert [load_dataset(name, tmp_path) for name in ("market1501", "occluded_reid")] == first


def test_a_file_in_place_of_a_folder(tmp_path):
    file = tmp_path / "x.rar"
    file.write_bytes(b"Rar!")
    with pytest.raises(MatlibError, match="x.rar is neither a folder nor an archive"):
        load_dataset("market1501", file)


def test_published_counts_follow_the_options():
    assert published("msmt17", {}).train == Count(32_621, 1_041)
    assert published("msmt17", {"validation": False}).train == Count(32_621 - 2_373, 1_041)
    assert published("occluded_duke", {"training": "dukemtmc"}).train == COUNTS["dukemtmc"].train
    assert published("partial_reid", {"shot": 2}).gallery == Count(60, 60)
    assert published("partial_reid", {"query": "occluded"}) == COUNTS["partial_reid"]
    assert published("annyville-holistic", {}) is None


def test_a_difference_is_told_in_words_and_the_paper_s_slip_is_named():
    right = COUNTS["occluded_duke"]
    assert difference("occluded_duke", right, right) is None
    slip = Counts(Count(PAPER["occluded_duke"].images, 702), right.query, right.gallery, right.cameras)
    assert difference("occluded_duke", slip, right) == (
        "train has 15,168 images of 702 identities, published are 15,618 images of 702 identities"
        " (the paper says 15,168 too, but two digits of 15,618 are exchanged)"
    )
    fewer = Counts(right.train, Count(2_209, 519), right.gallery, 7)
    assert difference("occluded_duke", fewer, right) == (
        "query has 2,209 images of 519 identities, published are 2,210 images of 519 identities;"
        " it was taken by 7 cameras, published are 8"
    )


def test_unknown_names_and_options(tmp_path):
    with pytest.raises(
        MatlibError, match="no data set 'market'; data sets are market1501, .*annyville-occluded"
    ):
        load_dataset("market", tmp_path)
    with pytest.raises(MatlibError, match="market1501 has no option 'query'; its options are: none"):
        load_dataset("market1501", tmp_path, query="partial")
    with pytest.raises(MatlibError, match="partial_reid has no option 'probe'; its options are: query, shot"):
        load_dataset("partial_reid", tmp_path, probe="partial")


REAL_SETS = [
    name for name in dataset_names() if not name.startswith("annyville") and name not in ("folder", "csv")
]


@pytest.mark.parametrize("name", REAL_SETS)
def test_a_missing_set_is_told_in_a_sentence(tmp_path, name):
    (tmp_path / "holidays").mkdir()
    with pytest.raises(MatlibError, match=r"looked for .* holds holidays/; put the set into") as caught:
        load_dataset(name, tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(MatlibError, match="nowhere does not exist"):
        load_dataset(name, tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MatlibError, match="holds nothing"):
        load_dataset(name, empty)


def test_a_half_unpacked_set(tmp_path):
    folder = write_small_market(tmp_path / "market1501")
    shutil.rmtree(folder / "bounding_box_test")
    with pytest.raises(
        MatlibError, match="bounding_box_test missing, it holds bounding_box_train/, query/; unpack"
    ):
        load_dataset("market1501", tmp_path)
    (folder / "bounding_box_test").mkdir()
    with pytest.raises(MatlibError, match="bounding_box_test holds no image with a name like"):
        load_dataset("market1501", tmp_path)
    (tmp_path / "Occluded_Duke").mkdir()
    with pytest.raises(MatlibError, match="Occluded_Duke is not complete.*holds nothing"):
        load_dataset("occluded_duke", tmp_path)
    partial = write_partial_reid(tmp_path / "partial_reid")
    shutil.rmtree(partial / "whole_body_images")
    with pytest.raises(MatlibError, match="whole_body_images missing"):
        load_dataset("partial_reid", tmp_path)


def test_strange_images_and_unpublished_counts_are_told(tmp_path, caplog):
    folder = write_small_market(tmp_path / "market1501")
    write_image(folder / "query" / "cover.jpg")
    with caplog.at_level(logging.WARNING):
        dataset = load_dataset("market1501", tmp_path)
    assert len(dataset.query) == 1
    assert "such as cover.jpg" in caplog.text
    assert "train has 2 images of 2 identities, published are 12,936 images of 751 identities" in caplog.text
    assert "taken by 3 cameras, published are 6" in caplog.text


@pytest.mark.parametrize("name", ["annyville-holistic", "annyville-occluded"])
def test_annyville(tmp_path, name):
    command = f"python -m matlib.annyville --preset small --protocol {name[10:]} --out {tmp_path}"
    with pytest.raises(MatlibError, match="no folder") as caught:
        load_dataset(name, tmp_path)
    assert command in str(caught.value)
    folder = write_annyville(tmp_path, name, finished=False)
    (folder / ".unfinished").mkdir()
    with pytest.raises(MatlibError, match="unfinished: run the same command again, it resumes") as caught:
        load_dataset(name, tmp_path)
    assert command in str(caught.value)
    (folder / ".unfinished").rmdir()
    manifest = tmp_path / f"{name}.json"
    for damaged in (None, '{"finger', "5"):
        if damaged:
            manifest.write_text(damaged)
        with pytest.raises(MatlibError, match="no whole manifest .* delete both and render the set again") as caught:
            load_dataset(name, tmp_path)
        assert command in str(caught.value)
    write_annyville(tmp_path, name)
    for root in (tmp_path, folder):
        dataset = load_dataset(name, root)
        assert [(s.identity, s.camera) for s in dataset.train] == [(0, 0), (1, 5)]
        assert fingerprint(dataset) == "abc123"
    shutil.rmtree(folder / "query")
    with pytest.raises(MatlibError, match="lost or gained images.*'query': 0"):
        load_dataset(name, tmp_path)


def test_a_rendered_set_is_its_recipe_whatever_its_pixels_hash_to(tmp_path, caplog):
    folder = write_annyville(tmp_path, "annyville-occluded")
    manifest = folder.with_name(f"{folder.name}.json")
    written = json.loads(manifest.read_text())

    def named(pixels, **recipe):
        whole = {"generator": "annyville 3", "protocol": "occluded", "preset": "small", "likeness": 0.5}
        manifest.write_text(json.dumps(written | whole | {"fingerprint": pixels} | recipe))
        return fingerprint(load_dataset("annyville-occluded", tmp_path))

    with caplog.at_level(logging.INFO):
        assert named("af65a40e") == named("af65a40e") == named("other") != "other"
    assert named("af65a40e").startswith("a00425cc")  # that of the reference records
    assert [record.message.count("af65a40e for a00425cc") for record in caplog.records] == [1, 0]
    others = {named("same", **{key: value}) for key, value in (
        ("generator", "annyville 4"), ("protocol", "holistic"), ("preset", "tiny"), ("seed", 1), ("seed", 7),
        ("camera_spread", 2.0), ("likeness", 0.0))}
    assert len(others) == 7 and named("same") not in others and "same" not in others


def test_fingerprint_names_the_files_and_not_the_place(tmp_path):
    folder = write_small_market(tmp_path / "one" / "market1501")
    first = fingerprint(load_dataset("market1501", tmp_path / "one"))
    shutil.copytree(folder, tmp_path / "two" / "Market-1501-v15.09.15")
    assert fingerprint(load_dataset("market1501", tmp_path / "two")) == first
    image = folder / "query" / "0001_c1s1_000001_01.jpg"
    content = image.read_bytes()
    image.write_bytes(content + b"x")
    assert fingerprint(load_dataset("market1501", folder)) != first
    image.write_bytes(content)
    assert fingerprint(load_dataset("market1501", folder)) == first
    image.rename(image.with_name("0001_c1s1_000001_02.jpg"))
    assert fingerprint(load_dataset("market1501", folder)) != first


def test_the_query_folder_changes_the_fingerprint(tmp_path):
    write_partial_reid(tmp_path / "Partial_REID")
    one, other = (load_dataset("partial_reid", tmp_path, query=query) for query in ("partial", "occluded"))
    assert fingerprint(one) != fingerprint(other)


@pytest.fixture
def real_data(tmp_path) -> Path:
    """A copy of the archives of the real test sets, so that nothing is written beside the originals."""
    source = os.environ.get("MATLIB_REAL_DATA")
    if not source:
        pytest.skip("MATLIB_REAL_DATA does not name the folder with the real test sets")
    for archive in Path(source).glob("*.zip"):
        shutil.copyfile(archive, tmp_path / archive.name)
    return tmp_path


def test_the_real_sets(real_data, caplog):
    partial = load_dataset("partial_reid", real_data)
    occluded = load_dataset("partial_reid", real_data, query="occluded")
    ilids = load_dataset("partial_ilids", real_data)
    assert not caplog.records  # the published numbers of images
    for dataset, people, images in ((partial, 60, 5), (occluded, 60, 5), (ilids, 119, 1)):
        for side in (dataset.query, dataset.gallery):
            identities = [s.identity for s in side]
            assert sorted(identities) == sorted(list(range(1, people + 1)) * images)
    assert not set(partial.query) & set(occluded.query) and partial.gallery == occluded.gallery
    assert Path(ilids.query[0].path).parent.name == "Probe"


def test_the_command_line_looks_at_a_set(tmp_path, monkeypatch, caplog):
    from matlib.data import __main__ as command

    caplog.set_level(logging.INFO)
    folder = write_partial_reid(tmp_path / "Partial_REID")
    arguments = [
        "matlib.data",
        "partial_reid",
        "--root",
        str(tmp_path),
        "--set",
        "query=occluded",
        "shot=2",
        "--images",
    ]
    monkeypatch.setattr("sys.argv", arguments)
    command.main()
    said = [record.getMessage() for record in caplog.records if record.name == command.__name__]
    assert said == [
        f"partial_reid in {folder}, 2 cameras",
        "  train: none",
        "  query: 6 images of 3 identities, published are 300 images of 60 identities",
        "  gallery: 3 images of 3 identities, published are 60 images of 60 identities",
        "  for testing only; models are trained on market1501",
        "  the paper says 600 images: it counts one query folder and the gallery; the set holds 900 images in three"
        " folders",
        "  every image can be read",
    ]
    for name in ("001_001.jpg", "002_001.jpg"):
        image = folder / "occluded_body_images" / name
        image.write_bytes(image.read_bytes()[:300] if name.startswith("001") else b"")  # truncated, and empty
    with pytest.raises(
        MatlibError, match="2 of 9 images are damaged; the first: .*001_001.jpg cannot be read as an image"
    ):
        command.main()
    monkeypatch.setattr("sys.argv", ["matlib.data", "partial_reid", "--set", "query"])
    with pytest.raises(MatlibError, match="--set takes NAME=VALUE"):
        command.main()


@pytest.mark.parametrize("name", dataset_names())
def test_places_that_cannot_be_are_one_short_sentence(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    for place in ("file/below", "file/below/and/deeper", "n" * 5000, "caf\udce9"):
        with pytest.raises(MatlibError) as error:
            load_dataset(name, tmp_path / place)
        said = str(error.value)
        assert "\n" not in said and len(said) < 900 and "does not exist; make it" not in said or place == "caf\udce9"
