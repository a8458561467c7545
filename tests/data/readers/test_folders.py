"""No picture is passed over silently: it is read, or counted in one warning that names an example."""

import pytest
from builders import write_image, write_occluded_reid, write_small_market
from PIL import Image

from matlib.data import load_dataset
from matlib.data.formats import IMAGE_SUFFIXES
from matlib.data.readers.folders import pictures_below


def names(samples):
    return [sample.path.name for sample in samples]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if ": left out" in record.getMessage()]


@pytest.fixture
def own(tmp_path):
    for name in ("query/alice/hall_1.jpg", "gallery/alice/yard_1.jpg"):
        write_image(tmp_path / "own" / name)
    return tmp_path / "own"


@pytest.mark.parametrize("suffix", [".webp", ".WEBP", ".jfif", ".jpe", ".avif", ".Tiff"])
def test_every_suffix_that_pillow_reads_here_is_read(own, tmp_path, suffix, caplog):
    assert suffix.lower() in IMAGE_SUFFIXES
    write_image(own / "gallery" / "bob" / f"yard_2{suffix}")
    assert f"yard_2{suffix}" in names(load_dataset("folder", own).gallery) and not warnings(caplog)
    market = write_small_market(tmp_path / "market1501")
    write_image(market / "query" / f"0001_c4s1_000009_01{suffix}")
    assert f"0001_c4s1_000009_01{suffix}" in names(load_dataset("market1501", tmp_path).query)


@pytest.mark.parametrize(("name", "example"), [
    ("alice/hall_2.gif", "alice/hall_2.gif"), ("alice/hall_2.HEIC", "alice/hall_2.HEIC"), ("loose.ppm", "loose.ppm"),
    ("alice/monday/hall_2.jpg", "alice/monday/hall_2.jpg"), ("alice/a/b/c/hall_2.webp", "alice/a/b/c/hall_2.webp")])
def test_pictures_that_are_not_read_are_counted(own, name, example, caplog):
    for count in (1, 2):
        path = own / "query" / name.replace("hall_2", f"hall_{count + 1}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture")
    dataset = load_dataset("folder", own)
    assert names(dataset.query) == ["hall_1.jpg"]
    said, = warnings(caplog)
    assert example in said and f"left out {1 if name == 'loose.ppm' else 2} " in said and str(own / "query") in said


def test_what_is_no_picture_is_not_counted(own, caplog):
    for name in ("alice/Thumbs.db", "alice/notes.txt", ".hidden/a.jpg", "alice/.hidden/a.jpg", "alice/deeper/list.csv"):
        (own / "query" / name).parent.mkdir(parents=True, exist_ok=True)
        (own / "query" / name).write_bytes(b"x")
    load_dataset("folder", own)
    assert not warnings(caplog)


def test_linked_folders_are_read_or_counted(own, tmp_path, caplog):
    elsewhere = tmp_path / "elsewhere"
    write_image(elsewhere / "hall_7.jpg")
    (own / "query" / "carl").symlink_to(elsewhere, target_is_directory=True)
    assert names(load_dataset("folder", own).query) == ["hall_1.jpg", "hall_7.jpg"] and not warnings(caplog)
    (own / "query" / "carl").unlink()
    (own / "query" / "alice" / "more").symlink_to(elsewhere, target_is_directory=True)
    assert names(load_dataset("folder", own).query) == ["hall_1.jpg"]
    assert "1 pictures in deeper folders, such as alice/more/hall_7.jpg" in warnings(caplog)[0]


def test_links_in_a_circle_end(own, caplog):
    (own / "query" / "alice" / "round").symlink_to(own / "query", target_is_directory=True)
    (own / "query" / "alice" / "self").symlink_to(own / "query" / "alice", target_is_directory=True)
    assert names(load_dataset("folder", own).query) == ["hall_1.jpg"] and not warnings(caplog)
    assert len(pictures_below(own)) == 2


def test_published_sets_count_what_lies_deeper(tmp_path, caplog):
    market = write_small_market(tmp_path / "market1501")
    write_image(market / "query" / "more" / "0003_c1s1_000001_01.jpg")
    write_image(market / "query" / "0004_c1s1_000001_01.gif")
    load_dataset("market1501", tmp_path)
    assert [any(part in said for said in warnings(caplog)) for part in (
        "1 pictures in deeper folders, such as more/0003", "1 pictures in other formats, such as 0004")] == [True] * 2
    caplog.clear()
    occluded = write_occluded_reid(tmp_path / "Occluded_REID")
    load_dataset("occluded_reid", tmp_path)
    assert not warnings(caplog)
    write_image(occluded / "whole_body_images" / "001 more" / "001_09.tif")
    write_image(occluded / "whole_body_images" / "002" / "deeper" / "002_09.tif")
    load_dataset("occluded_reid", tmp_path)
    assert ["2 pictures in deeper folders, such as 001 more/001_09.tif" in said for said in warnings(caplog)] == [True]


def test_all_pictures_below_a_folder(tmp_path, caplog):
    """What the extractor describes."""
    for name in ("a/b/1.jpg", "2.webp", "c/3.PNG", ".hidden/4.jpg"):
        write_image(tmp_path / "one" / name)
    write_image(tmp_path / "two" / "5.jpg")
    (tmp_path / "one" / "link").symlink_to(tmp_path / "two", target_is_directory=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "one" / "6.gif")
    found = [path.relative_to(tmp_path / "one").as_posix() for path in pictures_below(tmp_path / "one")]
    assert found == ["2.webp", "a/b/1.jpg", "c/3.PNG", "link/5.jpg"]
    said, = warnings(caplog)
    assert "left out 1 pictures in other formats, such as 6.gif" in said
