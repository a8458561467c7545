"""Readers on trees built as the real ones are, with what goes wrong in them."""

import logging
import os
import shutil
from pathlib import Path

import pytest
from builders import (
    write_annyville,
    write_image,
    write_market,
    write_occluded_reid,
    write_partial_ilids,
    write_partial_reid,
    write_small_market,
)

from matlib.data import Sample, dataset_names, fingerprint, load_dataset
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
        ("occluded_duke", "Occluded_Duke"),
        ("occluded_duke", "Occluded-DukeMTMC-reID"),
    ],
)
def test_folder_names_that_are_in_use(tmp_path, name, folder):
    write_small_market(tmp_path / folder)
    for root in {tmp_path, tmp_path / folder}:
        dataset = load_dataset(name, str(root))
        assert dataset.root == tmp_path / folder and len(dataset.gallery) == 2


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
    assert described(flat.query) == described(nested.query) and described(flat.gallery) == described(nested.gallery)


def test_an_image_in_another_person_s_folder_is_told(tmp_path):
    folder = write_occluded_reid(tmp_path / "Occluded_REID") / "whole_body_images"
    (folder / "001" / "001_01.tif").rename(folder / "002" / "001_01.tif")
    with pytest.raises(MatlibError, match="001_01.tif lies in the folder of identity 2 but has the name of identity 1"):
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


def test_unknown_names_and_options(tmp_path):
    with pytest.raises(
        MatlibError, match="no data set 'market'; data sets are market1501, .*annyville-occluded"
    ):
        load_dataset("market", tmp_path)
    with pytest.raises(MatlibError, match="market1501 has no option 'query'; its options are: none"):
        load_dataset("market1501", tmp_path, query="partial")
    with pytest.raises(MatlibError, match="partial_reid has no option 'probe'; its options are: query"):
        load_dataset("partial_reid", tmp_path, probe="partial")


REAL_SETS = [name for name in dataset_names() if not name.startswith("annyville")]


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
    assert "has 2 training, 1 query and 2 gallery images, but 12936, 3368 and 15913 are" in caplog.text


@pytest.mark.parametrize("name", ["annyville-holistic", "annyville-occluded"])
def test_annyville(tmp_path, name):
    command = f"python -m matlib.annyville --preset small --protocol {name[10:]} --out {tmp_path}"
    with pytest.raises(MatlibError, match="no folder") as caught:
        load_dataset(name, tmp_path)
    assert command in str(caught.value)
    folder = write_annyville(tmp_path, name, finished=False)
    with pytest.raises(MatlibError, match="unfinished.*run the same command again, it resumes") as caught:
        load_dataset(name, tmp_path)
    assert command in str(caught.value)
    manifest = tmp_path / f"{name}.json"
    manifest.write_text('{"finger')
    with pytest.raises(MatlibError, match="unfinished"):
        load_dataset(name, tmp_path)
    write_annyville(tmp_path, name)
    for root in (tmp_path, folder):
        dataset = load_dataset(name, root)
        assert [(s.identity, s.camera) for s in dataset.train] == [(0, 0), (1, 7)]
        assert fingerprint(dataset) == "abc123"
    shutil.rmtree(folder / "query")
    with pytest.raises(MatlibError, match="lost or gained images.*'query': 0"):
        load_dataset(name, tmp_path)


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
