"""The same picture in two roles: one file by several ways, or copies of equal bytes."""

import os
import random
import shutil

import pytest
from builders import write_image, write_market, write_occluded_duke_lists, write_partial_reid, DUKE
from test_own import write_csv

from matlib.data import load_dataset
from matlib.data.readers import copies
from matlib.data.readers.copies import same_pictures
from matlib.errors import MatlibError


def alike(groups):
    return sorted(sorted(path.name for path in group) for group in groups)


def test_pictures_are_the_same_by_file_or_bytes(tmp_path):
    bytes_ = random.Random(0).randbytes(20_000)
    changed = {"a": bytes_, "copy": bytes_, "end": bytes_[:-1] + b"?", "middle": bytes_[:9000] + b"?" + bytes_[9001:],
               "longer": bytes_ + b"?", "empty": b"", "empty too": b""}
    for name, content in changed.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "soft").symlink_to("a")
    os.link(tmp_path / "longer", tmp_path / "hard")
    found = same_pictures([*tmp_path.iterdir(), tmp_path / "a"])
    assert alike(found) == [["a", "copy", "soft"], ["hard", "longer"]]


def test_files_of_other_sizes_are_not_read(tmp_path, monkeypatch):
    for size in range(1, 9):
        (tmp_path / str(size)).write_bytes(bytes(size))
    monkeypatch.setattr(copies, "_middle", None)
    assert same_pictures(tmp_path.iterdir()) == []


#: How a second line may name the picture a.jpg, and what has to be done for it.
SPELLINGS = {
    "the same": ("a.jpg", lambda root: None),
    "dots": ("../set/./a.jpg", lambda root: None),
    "absolute": ("{root}/a.jpg", lambda root: None),
    "a link": ("link.jpg", lambda root: (root / "link.jpg").symlink_to("a.jpg")),
    "a hard link": ("hard.jpg", lambda root: os.link(root / "a.jpg", root / "hard.jpg")),
    "a linked folder": ("here/a.jpg", lambda root: (root / "here").symlink_to(".", target_is_directory=True)),
    "a copy": ("copy.jpg", lambda root: shutil.copy(root / "a.jpg", root / "copy.jpg")),
    "a copy of another suffix": ("copy.png", lambda root: shutil.copy(root / "a.jpg", root / "copy.png")),
}


@pytest.fixture(params=SPELLINGS)
def second(request, tmp_path):
    """A folder with a.jpg to d.jpg, and another name of a.jpg in it."""
    for name in "abcd":
        write_image(tmp_path / "set" / f"{name}.jpg")
    name, make = SPELLINGS[request.param]
    make(tmp_path / "set")
    return tmp_path / "set", name.format(root=tmp_path / "set")


def listed(second, *lines):
    root, name = second
    return write_csv(root / "list.csv", [line.format(name) for line in lines])


def test_a_query_that_would_find_itself_is_refused_by_both_lines(second):
    file = listed(second, "a.jpg,1,1,query", "b.jpg,1,2,gallery", "c.jpg,2,2,gallery", "{},1,2,gallery")
    for options in ({}, {"cameras": "ignored"}):
        with pytest.raises(MatlibError, match=r"are query and gallery.*line 2 \(a.jpg\) and line 5 \(") as error:
            load_dataset("csv", file, **options)
        assert second[1] in str(error.value) and "\n" not in str(error.value)


def test_a_picture_of_two_identities_is_refused_in_any_split(second):
    for split, other in (("gallery", "gallery"), ("query", "gallery"), ("train", "query"), ("train", "train")):
        if split == other and second[1] != "copy.jpg":
            continue  # twice in a split, which is told before
        file = listed(second, "c.jpg,1,1,query", "d.jpg,1,2,gallery", f"a.jpg,1,1,{split}", f"{{}},2,1,{other}")
        with pytest.raises(MatlibError, match=r"line 4 \(a.jpg\) and line 5 \(.* of identity '1' and of '2'"):
            load_dataset("csv", file)


def test_training_images_in_the_test_are_a_warning(second, caplog):
    file = listed(second, "c.jpg,1,1,query", "d.jpg,1,2,gallery", "b.jpg,1,2,train", "a.jpg,1,1,train", "{},1,1,query")
    assert len(load_dataset("csv", file).train) == 2
    assert "1 training images are in the test too, such as line 5 (a.jpg), which is line 6" in caplog.text


def test_a_file_twice_in_a_split(second):
    file = listed(second, "c.jpg,1,1,query", "d.jpg,1,2,gallery", "a.jpg,1,3,gallery", "{},1,3,gallery")
    if second[1] in ("hard.jpg", "copy.jpg", "copy.png"):  # a storage's savings, or a second take
        assert len(load_dataset("csv", file).gallery) == 3
    else:
        with pytest.raises(MatlibError, match="line 5: .* was in gallery before, on line 4"):
            load_dataset("csv", file)


def test_the_query_s_own_camera_leaves_it_out(second):
    """As in the sets whose gallery is the whole test; cameras 01 and 1 are one."""
    file = listed(second, "a.jpg,1,01,query", "b.jpg,1,2,gallery", "{},1,1,gallery")
    assert len(load_dataset("csv", file).gallery) == 2


def test_copies_in_folders_are_told_by_their_paths(tmp_path):
    for name in ("query/ann/yard_1.jpg", "gallery/ann/hall_1.jpg", "gallery/bob/hall_2.jpg"):
        write_image(tmp_path / name)
    shutil.copy(tmp_path / "query/ann/yard_1.jpg", tmp_path / "gallery/ann/hall_7.jpg")
    with pytest.raises(MatlibError, match="query/ann/yard_1.jpg and gallery/ann/hall_7.jpg are the same picture"):
        load_dataset("folder", tmp_path)
    (tmp_path / "gallery/ann/hall_7.jpg").rename(tmp_path / "gallery/bob/hall_7.jpg")
    with pytest.raises(MatlibError, match="ann/yard_1.jpg and gallery/bob/hall_7.jpg are .* 'ann' and of 'bob'"):
        load_dataset("folder", tmp_path)


def test_junk_may_be_a_copy_and_distractors_may_be_equal(tmp_path):
    for name in ("query/0007_c2_1.jpg", "gallery/0007_c3_1.jpg", "gallery/0000_c1_1.jpg"):
        write_image(tmp_path / name)
    shutil.copy(tmp_path / "query/0007_c2_1.jpg", tmp_path / "gallery/-1_c4_1.jpg")
    shutil.copy(tmp_path / "gallery/0000_c1_1.jpg", tmp_path / "gallery/0000_c2_1.jpg")
    assert len(load_dataset("folder", tmp_path).gallery) == 3


def test_published_sets_warn_and_are_read(tmp_path, caplog):
    partial = write_partial_reid(tmp_path / "Partial_REID")
    load_dataset("partial_reid", tmp_path)
    assert "find themselves" not in caplog.text
    shutil.copy(partial / "partial_body_images" / "002_001.jpg", partial / "whole_body_images" / "002_002.jpg")
    assert len(load_dataset("partial_reid", tmp_path).query) == 6
    assert "2 queries are in the gallery too" in caplog.text  # both are of one colour
    assert "whole_body_images/002_002.jpg" in caplog.text


def test_a_published_gallery_may_hold_the_query_under_its_own_camera(tmp_path, caplog):
    name = "0001_c1s1_000001_01.jpg"
    root = write_market(tmp_path / "market1501", ["0002_c1s1_000001_01.jpg"], [name], [name, "0001_c2s1_000001_01.jpg"])
    shutil.copy(root / "query" / name, root / "bounding_box_test" / name)
    load_dataset("market1501", tmp_path)
    assert "find themselves" not in caplog.text


def test_lists_that_train_on_the_test_are_told(tmp_path, caplog):
    lists = write_occluded_duke_lists(tmp_path / "Occluded_Duke")
    write_market(tmp_path / "DukeMTMC-reID", *DUKE.values())
    load_dataset("occluded_duke", tmp_path)
    assert "lists of training and test" not in caplog.text
    with (lists / "train.list").open("a") as file:
        file.write("0009_c1_f0051341.jpg\n")
    load_dataset("occluded_duke", tmp_path)
    assert "1 images are in the lists of training and test, such as 0009_c1_f0051341.jpg" in caplog.text
