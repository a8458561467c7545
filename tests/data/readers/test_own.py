"""One's own images: folders and CSV files, and what users get wrong in them."""

import pytest
from builders import write_image

from matlib.data import ImageDataset, fingerprint, load_dataset
from matlib.errors import MatlibError

FOLDER = [
    "train/zoë/entrance_1.jpg", "train/zoë/yard_1.JPG", "train/bob smith/entrance_0001.png",
    "query/alice/entrance_17.jpg", "query/carl/yard_1.jpg",
    "gallery/alice/yard_3.jpg", "gallery/alice/entrance_18.jpg",
    "gallery/dora/lift 2_1.jpg", "gallery/carl/lift 2_9.jpg",
]  # fmt: skip


def write_images(root, names=FOLDER):
    for name in names:
        write_image(root / name)
    return root


def described(samples):
    return [(s.path.name, s.identity, s.camera) for s in samples]


def test_a_folder_with_named_people_and_cameras(tmp_path):
    root = write_images(tmp_path / "run_12_c3")
    (root / "query" / "alice" / "notes_1.txt").write_text("x")
    (root / "query" / ".cache").mkdir()
    write_image(root / "query" / ".cache" / "a_1.jpg")
    dataset = load_dataset("folder", root)
    assert dataset.name.startswith("folder:run_12_c3-") and dataset.root == root and dataset.trained_on is None
    # people in the order of their names: alice, bob smith, carl, dora, zoë; cameras: entrance, lift 2, yard
    assert described(dataset.query) == [("entrance_17.jpg", 0, 0), ("yard_1.jpg", 2, 2)]
    assert described(dataset.gallery) == [
        ("entrance_18.jpg", 0, 0), ("yard_3.jpg", 0, 2), ("lift 2_9.jpg", 2, 1), ("lift 2_1.jpg", 3, 1),
    ]  # fmt: skip
    assert described(dataset.train) == [
        ("entrance_0001.png", 0, 0),
        ("entrance_1.jpg", 1, 0),
        ("yard_1.JPG", 1, 2),
    ]
    assert ImageDataset(dataset.query, (16, 8))[1]["identity"] == 2


@pytest.mark.parametrize(
    "folders", [("train", "query", "gallery"), ("bounding_box_train", "query", "bounding_box_test")]
)
def test_a_folder_with_market_s_names(tmp_path, folders):
    for folder, names in zip(
        folders, (["0040_c9_1.jpg"], ["0007_c2_1.jpg"], ["0007_c10_1.jpg", "-1_c2_1.jpg", "0000_c3.jpg"])
    ):
        write_images(tmp_path / folder, names)
    dataset = load_dataset("folder", tmp_path)
    assert described(dataset.query) == [("0007_c2_1.jpg", 7, 0)]  # cameras 2, 3, 9 and 10 become 0 to 3
    assert described(dataset.gallery) == [("0000_c3.jpg", 0, 1), ("0007_c10_1.jpg", 7, 3)]
    assert described(dataset.train) == [("0040_c9_1.jpg", 0, 2)]


@pytest.mark.parametrize("splits", [("train",), ("query", "gallery")])
def test_a_folder_may_be_for_training_or_for_testing_only(tmp_path, splits):
    write_images(tmp_path, [name for name in FOLDER if name.startswith(splits)])
    dataset = load_dataset("folder", tmp_path)
    assert bool(dataset.train) == ("train" in splits) and bool(dataset.query) == ("query" in splits)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "holds none of the folders train, query and gallery; put images as"),
        (["pictures/alice/a_1.jpg"], "holds none of the folders"),
        (["query/alice/a_1.jpg"], "has query images but no gallery images"),
        (["gallery/alice/a_1.jpg"], "has gallery images but no query images"),
        (
            ["train/alice/17.jpg"],
            "17.jpg does not begin with a camera and an underscore, as entrance_0017.jpg",
        ),
        (["train/alice_1.jpg"], "alice_1.jpg does not begin with <identity>_c<camera>"),
        (
            ["train/alice/a_1.jpg", "train/0007_c1.jpg"],
            r"holds images \(0007_c1.jpg\) beside folders of people",
        ),
        (["train/alice/a_1.jpg", "bounding_box_train/0007_c1.jpg"], "holds the same split under two names"),
        (["train/alice/a_1.txt"], "has no images in train, query and gallery"),
    ],
)
def test_folders_that_cannot_be_read_are_told(tmp_path, names, sentence):
    for name in names:
        if name.endswith(".txt"):
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text("no image")
        else:
            write_image(tmp_path / name)
    with pytest.raises(MatlibError, match=sentence):
        load_dataset("folder", tmp_path)


def test_all_images_from_one_camera(tmp_path):
    write_images(tmp_path, ["query/a/1_1.jpg", "gallery/a/1_2.jpg", "gallery/b/1_3.jpg"])
    with pytest.raises(
        MatlibError,
        match="have one camera: the test leaves out gallery images from the query's own camera"
        ".*name each image's own camera, or load with cameras='ignored'",
    ):
        load_dataset("folder", tmp_path)
    dataset = load_dataset("folder", tmp_path, cameras="ignored")
    assert {s.camera for s in dataset.query} == {0} and {s.camera for s in dataset.gallery} == {1}
    with pytest.raises(MatlibError, match="cameras of folder is one of named, ignored; got 'none'"):
        load_dataset("folder", tmp_path, cameras="none")


def test_matches_from_the_own_camera_only(tmp_path, caplog):
    write_images(tmp_path, ["query/a/1_1.jpg", "query/b/2_1.jpg", "gallery/a/1_2.jpg", "gallery/b/2_3.jpg"])
    with pytest.raises(MatlibError, match="no query's identity is in the gallery from another camera"):
        load_dataset("folder", tmp_path)
    write_image(tmp_path / "gallery" / "b" / "1_4.jpg")
    load_dataset("folder", tmp_path)
    assert "1 of 2 queries have no match from another camera, such as 1_1.jpg" in caplog.text


def test_no_common_identity(tmp_path):
    write_images(tmp_path, ["query/a/1_1.jpg", "gallery/A/2_2.jpg"])
    with pytest.raises(
        MatlibError, match="no identity of the queries .* write the same person in the same way"
    ):
        load_dataset("folder", tmp_path)


def write_csv(path, lines, header="path,identity,camera,split"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


LINES = [
    "images/one picture.jpg,zoë,yard,query", '"images/b, c.jpg",zoë,hall,gallery', "images/c.jpg,bob,hall,gallery",
    "images/d.jpg,ann,roof,train",
]  # fmt: skip


def write_listed(root, lines=LINES):
    for line in lines:
        write_image(root / line.rsplit(",", 3)[0].strip('"'))
    return write_csv(root / "my list.csv", lines)


def test_a_csv_file(tmp_path):
    file = write_listed(tmp_path / "run_12_c3")
    dataset = load_dataset("csv", file)
    assert described(dataset.query) == [("one picture.jpg", 2, 2)]  # ann, bob, zoë; hall, roof, yard
    assert described(dataset.gallery) == [("b, c.jpg", 2, 0), ("c.jpg", 1, 0)]
    assert described(dataset.train) == [("d.jpg", 0, 1)]
    assert ImageDataset(dataset.query, (16, 8))[0]["camera"] == 2


def test_columns_in_any_order_among_others_and_absolute_paths(tmp_path):
    elsewhere = write_image(tmp_path / "elsewhere" / "e.jpg")
    write_image(tmp_path / "csv" / "q.jpg")
    file = write_csv(
        tmp_path / "csv" / "a.csv",
        ["query,8,note,0012,q.jpg", f"gallery,10,,012,{elsewhere}"],
        "\ufeffsplit, camera ,note,identity,path",
    )
    dataset = load_dataset("csv", file)
    assert described(dataset.query) == [("q.jpg", 12, 0)] and described(dataset.gallery) == [("e.jpg", 12, 1)]
    assert len(fingerprint(dataset)) == 12


def test_the_order_of_lines_and_the_place_do_not_matter(tmp_path):
    one = load_dataset("csv", write_listed(tmp_path / "one"))
    other = load_dataset("csv", write_listed(tmp_path / "two", LINES[::-1]))
    for split in ("train", "query", "gallery"):
        assert described(getattr(one, split)) == described(getattr(other, split))
    assert fingerprint(one) == fingerprint(other)


def test_labels_count_in_the_fingerprint(tmp_path):
    file = write_listed(tmp_path)
    first = fingerprint(load_dataset("csv", file))
    assert fingerprint(load_dataset("csv", file, cameras="ignored")) != first
    write_csv(file, [line.replace("bob", "eve") for line in LINES])
    assert fingerprint(load_dataset("csv", file)) != first


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("images/c.jpg,bob,hall,test", "line 6: the split is one of train, query, gallery; got 'test'"),
        ("images/c.jpg,bob,,train", "line 6: no camera given"),
        ("images/c.jpg,bob", "line 6: no camera and split given"),
        (",bob,hall,train", "line 6: no path given"),
        ("images/no.jpg,bob,hall,train", "line 6: there is no file .*no.jpg; paths are relative to"),
        ("images/c.jpg,bob,hall,gallery", "line 6: images/c.jpg was in gallery before, on line 4"),
        (f"{'a' * 300}.jpg,bob,hall,train", "line 6: there is no file"),
        ("~nobody_at_all/c.jpg,bob,hall,train", "line 6: there is no file"),
        ("my list.csv,bob,hall,train", "line 6: 'my list.csv' is not an image"),
        ("images\\c.jpg,bob,hall,train", "line 6: there is no file .*and their folders are parted by /"),
        ('"images/c.jpg,bob,hall,train', "is not a CSV file in UTF-8"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(tmp_path, line, sentence):
    file = write_listed(tmp_path)
    write_csv(file, [*LINES, line])
    with pytest.raises(MatlibError, match=sentence):
        load_dataset("csv", file)


def test_a_number_that_no_integer_holds_is_a_name(tmp_path):
    lines = [line.replace("zoë", "9" * 25).replace("bob", "7") for line in LINES]
    assert {sample.identity for sample in load_dataset("csv", write_listed(tmp_path, lines)).gallery} == {0, 1}


@pytest.mark.parametrize(("one", "other"), [
    ("007", "7"), ("7", "7.0"), ("\uff17", "7"), ("zo\u00eb", "zoe\u0308"), ("12.00", "0012"), ("-5", "-05")])
@pytest.mark.parametrize("also", ["8", "bob"])
def test_one_person_and_one_camera_in_two_spellings(tmp_path, also, one, other):
    """Also where others have names: a query must not find what its own camera took."""
    images = ["q.jpg", "same.jpg", "g.jpg", "o.jpg"]
    for name in images:
        write_image(tmp_path / name)
    lines = [f"q.jpg,{one},{one},query", f"same.jpg,{other},{other},gallery", f"g.jpg,{other},{also},gallery",
             f"o.jpg,{also},{also},gallery"]
    data = load_dataset("csv", write_csv(tmp_path / "a.csv", lines))
    query, = data.query
    found = {sample.path.name: (sample.identity == query.identity, sample.camera == query.camera)
             for sample in data.gallery}
    assert found == {"same.jpg": (True, True), "g.jpg": (True, False), "o.jpg": (False, False)}


@pytest.mark.parametrize("junk", ["-1", "-01", "-1.0"])
def test_junk_is_junk_however_it_is_written(tmp_path, junk):
    file = write_listed(tmp_path, [line.replace("bob", junk) for line in LINES])
    assert len(load_dataset("csv", file).gallery) == 1


def test_windows_files_are_read_alike(tmp_path):
    file = write_listed(tmp_path)
    plain = load_dataset("csv", file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_dataset("csv", file) == plain


def test_what_may_not_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()

    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(MatlibError, match="folder cannot be read: .*train: Permission denied; mend that"):
        load_dataset("folder", tmp_path)
    with pytest.raises(MatlibError, match="market1501 cannot be read: x+: File name too long"):
        load_dataset("market1501", "x" * 5000)


def test_files_that_are_no_such_csv(tmp_path):
    with pytest.raises(MatlibError, match="none.csv is not a file"):
        load_dataset("csv", tmp_path / "none.csv")
    with pytest.raises(
        MatlibError,
        match="has no column path, identity, camera and split; .*but holds path;identity;camera;split",
    ):
        load_dataset("csv", write_csv(tmp_path / "a.csv", [], "path;identity;camera;split"))
    (tmp_path / "b.csv").write_bytes(b"")
    with pytest.raises(MatlibError, match="but holds nothing"):
        load_dataset("csv", tmp_path / "b.csv")
    (tmp_path / "c.csv").write_bytes("path,identity,camera,split\nzoë.jpg,1,1,train".encode("latin-1"))
    with pytest.raises(MatlibError, match="is not a CSV file in UTF-8"):
        load_dataset("csv", tmp_path / "c.csv")
    with pytest.raises(MatlibError, match="has no images"):
        load_dataset("csv", write_csv(tmp_path / "d.csv", []))


def test_an_image_that_would_find_itself(tmp_path):
    file = write_listed(tmp_path, ["a.jpg,1,1,query", "b.jpg,1,1,gallery"])
    write_csv(file, ["a.jpg,1,1,query", "b.jpg,1,1,gallery", "a.jpg,1,1,gallery"])
    with pytest.raises(
        MatlibError, match="1 images .* are query and gallery, such as a.jpg: .* would find themselves"
    ):
        load_dataset("csv", file, cameras="ignored")


@pytest.mark.parametrize(("header", "line", "sentence"), [
    (None, "images/c, d.jpg,bob,hall,train", "line 6: it holds more than .* such as 'train'; put a value that holds a"),
    (None, "images/e.jpg,bob,hall,train,", None),
    (None, "images/e.jpg,bob,hall,train,,more", "line 6: .* such as 'more'"),
    ("path,identity,camera,split,", "images/e.jpg,bob,hall,train,unnamed", "line 6: .* such as 'unnamed'"),
    ("path,identity,camera,split,camera", "", "line 1: there are two columns 'camera'"),
    ("path,note,identity,camera,split, note", "", "line 1: there are two columns 'note'"),
    ("path,identity,camera,split,note", 'images/e.jpg,bob,hall,train,"a\nb"', "line 7: a value goes over several"),
])  # fmt: skip
def test_nothing_that_a_line_holds_is_dropped(tmp_path, header, line, sentence):
    file = write_listed(tmp_path)
    write_image(tmp_path / "images/e.jpg")
    write_csv(file, [*LINES, line], header or "path,identity,camera,split")
    if sentence is None:
        assert len(load_dataset("csv", file).train) == 2
    else:
        with pytest.raises(MatlibError, match=sentence):
            load_dataset("csv", file)


def test_market_s_names_in_folders_of_people(tmp_path):
    names = ["query/0009/0009_c1_x.jpg", "gallery/9/0009_c12_y.jpg", "gallery/0010/0010_c1s2_000_00.jpg"]
    dataset = load_dataset("folder", write_images(tmp_path, names))
    assert described(dataset.query) == [("0009_c1_x.jpg", 9, 0)]
    assert described(dataset.gallery) == [("0010_c1s2_000_00.jpg", 10, 0), ("0009_c12_y.jpg", 9, 1)]


@pytest.mark.parametrize(("names", "sentence"), [
    (["train/0007/0009_c1_x.jpg"], "in the folder of '0007' but has the name of identity 0009, camera 1"),
    (["train/alice/0009_c1_x.jpg"], "in the folder of 'alice' but has the name of identity 0009"),
    (["train/alice/alice_1.jpg", "train/bob/hall_1.jpg"], "alice_1.jpg begins with its folder's name in place"),
    (["train/001/001_01.jpg", "train/002/002_01.jpg"], "001_01.jpg begins with its folder's name in place of a camera"),
    (["train/alice/17.jpg"], "does not begin with a camera"),
    (["train/0007_17.jpg"], "does not begin with <identity>_c"),
])  # fmt: skip
def test_names_without_a_camera_and_the_mend_that_is_advised(tmp_path, names, sentence):
    write_images(tmp_path, names)
    with pytest.raises(MatlibError, match=f"{sentence}.*load with cameras='ignored'"):
        load_dataset("folder", tmp_path)
    dataset = load_dataset("folder", tmp_path, cameras="ignored")
    assert len(dataset.train) == len(names) and {sample.camera for sample in dataset.train} == {0}


def test_a_camera_may_have_a_person_s_number(tmp_path):
    dataset = load_dataset("folder", write_images(tmp_path, ["train/1/1_7.jpg", "train/1/2_7.jpg", "train/2/2_9.jpg"]))
    assert [sample.camera for sample in dataset.train] == [0, 1, 1]


def test_ignored_cameras_need_no_column(tmp_path):
    write_listed(tmp_path)
    lines = ["images/one picture.jpg,zoë,query", "images/c.jpg,zoë,gallery"]
    file = write_csv(tmp_path / "short.csv", lines, "path,identity,split")
    with pytest.raises(MatlibError, match="has no column camera"):
        load_dataset("csv", file)
    assert len(load_dataset("csv", file, cameras="ignored").gallery) == 1
    assert len(load_dataset("csv", write_listed(tmp_path, [line.replace(",hall,", ",,") for line in LINES]),
                            cameras="ignored").gallery) == 2


def test_own_sets_have_names_that_tell_them_apart(tmp_path):
    one, copy = (load_dataset("csv", write_listed(tmp_path / place)) for place in ("one", "copy"))
    other = load_dataset("csv", write_listed(tmp_path / "other", LINES[:3]))
    write_image(tmp_path / "copy" / "images" / "d.jpg", color=(0, 0, 0))
    changed = load_dataset("csv", tmp_path / "copy" / "my list.csv")
    assert one.name.startswith("csv:my_list-") and one.name == copy.name
    assert len({one.name, other.name, changed.name}) == 3
    strange = load_dataset("folder", write_images(tmp_path / "ca\udce9 a:b*" / ("x" * 90)))
    assert strange.name.startswith("folder:" + "x" * 40 + "-")
    odd = load_dataset("folder", write_images(tmp_path / "a:b*caf\udce9"))
    assert odd.name.startswith("folder:a_b_caf_-") and odd.name.encode()
    assert load_dataset("folder", odd.root, title="my own").name == "folder:my own"
    for title in ("a/b", "", ".hidden", "x" * 41, "a\nb"):
        with pytest.raises(MatlibError, match="title of folder is up to 40 letters"):
            load_dataset("folder", odd.root, title=title)


def test_names_that_are_no_utf8(tmp_path):
    root = write_images(tmp_path / "caf\udce9", ["train/zo\udceb/hall_\udcff1.jpg", "train/ann/hall_2.jpg"])
    dataset = load_dataset("folder", root)
    assert dataset.num_train_identities == 2 and fingerprint(dataset)
    assert ImageDataset(dataset.train, (16, 8))[1]["identity"] == 1
