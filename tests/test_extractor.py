"""A trained model on one's own pictures: kinds of input, order, search, files, and the sentences for what is wrong."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from matlib import extractor as command
from matlib.config import profile
from matlib.data import Sample
from matlib.errors import MatlibError
from matlib.evaluation import extract_descriptors
from matlib.extractor import Extractor, Index
from matlib.models import build_model
from matlib.runs.checkpoints import model_state, save


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, with a model on its ImageNet trunk that was not trained further."""
    torch.manual_seed(0)
    config = profile("smoke")
    model = build_model(config.model, identities=3)
    folder = tmp_path_factory.mktemp("run")
    save(folder / "checkpoint.pt", model_state(model, config, 3))
    return folder


@pytest.fixture(scope="module")
def extractor(run):
    return Extractor(run, device="cpu", batch_size=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven pictures of noise in several sizes and formats, without loss."""
    folder = tmp_path_factory.mktemp("my pictures")
    generator = np.random.default_rng(0)
    for i, name in enumerate(["b.png", "a 走.PNG", "sub/c.bmp", "sub/d.tif", "sub/deep/e.png", "f.png", "g.png"]):
        blocks = generator.integers(0, 256, (5 + i % 2, 4, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks.repeat(12, axis=0).repeat(9, axis=1)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def test_descriptors_are_those_of_the_evaluation(extractor, folder):
    paths = sorted(folder.rglob("[a-z]*.*[gGfp]"))
    descriptors = extractor(paths)
    expected = extract_descriptors(extractor.model, [Sample(path, 0, 0) for path in paths], extractor.config.data)
    assert len(paths) == 7
    torch.testing.assert_close(descriptors, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(7))
    distances = 1 - descriptors @ descriptors.T
    assert (distances + torch.eye(7) > 1e-3).all()  # the pictures differ, and so do their descriptors
    torch.testing.assert_close(extractor(paths[::-1]), descriptors.flip(0), atol=1e-6, rtol=0)


def test_all_kinds_of_pictures_are_the_same_picture(extractor, folder):
    path = folder / "b.png"
    image = Image.open(path)
    array = np.array(image)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    same = [
        path, str(path), image, image.convert("RGBA"), array, np.asfortranarray(array), array / 255,
        (array / 255).astype("f4"), tensor, tensor / 255, tensor.to(torch.float64) / 255,
    ]  # fmt: skip
    descriptors = extractor(same)
    torch.testing.assert_close(descriptors, descriptors[:1].expand(len(same), -1), atol=1e-6, rtol=0)
    for batch in (np.stack([array] * 2), torch.stack([tensor] * 2), [path, array]):
        torch.testing.assert_close(extractor(batch), descriptors[:2], atol=1e-6, rtol=0)
    for single in same:
        assert extractor(single).shape == (1, descriptors.shape[1])


def test_grey_pictures(extractor):
    grey = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    descriptors = extractor([grey, np.stack([grey] * 3, axis=-1), Image.fromarray(grey)])
    torch.testing.assert_close(descriptors, descriptors[:1].expand(3, -1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_read_as_their_files_are(extractor, tmp_path, orientation):
    """Turned by their EXIF, 16 bits scaled, palettes and alpha converted: by path and as objects."""
    pixels = np.random.default_rng(orientation).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    deep = pixels[..., 0].astype(np.uint16) * 257
    images = {
        "rgb.png": Image.fromarray(pixels), "palette.png": Image.fromarray(pixels).quantize(16),
        "alpha.png": Image.fromarray(pixels).convert("LA"), "deep.png": Image.fromarray(deep),
    }  # fmt: skip
    for name, image in images.items():
        image.save(tmp_path / name, exif=exif)
        assert torch.equal(command._rgb(Image.open(tmp_path / name)), command._rgb(tmp_path / name))
    for array in (deep, deep.astype(">u2")):
        assert torch.equal(command._rgb(array), command._rgb(pixels[..., 0]))
    assert torch.equal(command._rgb(Image.fromarray(deep)), command._rgb(pixels[..., 0]))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_what_is_refused_by_path_is_refused_as_an_image(extractor, tmp_path, mode):
    image = Image.new(mode, (8, 16), 3)
    image.save(tmp_path / "a.tif")
    for picture in (image, tmp_path / "a.tif"):
        with pytest.raises(MatlibError, match="its values have 32 bits"):
            extractor(picture)
    whole = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:4000])
    for picture in (Image.open(whole), whole):
        with pytest.raises(MatlibError, match="cannot be read"):
            extractor(picture)


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        ([], "there are no pictures"),
        (np.zeros((3, 40, 30), np.uint8), r"an array is \(height, width, 3\); got shape \(3, 40, 30\)"),
        (torch.zeros(40, 30, 3), r"a tensor is \(3, height, width\); got shape \(40, 30, 3\)"),
        (torch.zeros(3, 0, 4), r"got shape \(3, 0, 4\)"),
        (torch.zeros(7), r"got shape \(7,\)"),
        (np.full((4, 4, 3), 255.0), "0 to 1 as floating-point numbers; got float64 from 255 to 255"),
        (np.zeros((4, 4, 3), np.int64), "got int64 from 0 to 0"),
        (torch.full((3, 4, 4), torch.nan), "got float32 from nan to nan"),
        ([None], "got NoneType"),
        (None, "got NoneType"),
        (5, "got int"),
        (np.full((4, 4, 3), "a"), "the values of a picture are numbers; got an array of <U1"),
        (np.full((4, 4, 3), None), "got an array of object"),
        (np.zeros((4, 4, 3), complex), "real numbers; got complex128"),
        (np.zeros((4, 4, 3), bool), "got bool from 0 to 0"),
        (np.zeros((4, 4, 3), np.int16), "got int16 from 0 to 0"),
        (Image.new("RGB", (0, 4)), "it has no pixels"),
        ("nothing.jpg", "there is no picture at nothing.jpg"),
    ],
)
def test_what_is_no_picture_is_told(extractor, picture, sentence, unchecked):
    with pytest.raises(MatlibError, match=sentence):
        extractor(picture)


def test_compare(extractor, folder):
    a, b = folder / "b.png", folder / "f.png"
    assert extractor.compare(a, a) == pytest.approx(0, abs=1e-6)
    assert extractor.compare(a, b) == pytest.approx(extractor.compare(b, a), abs=1e-6)
    assert extractor.compare(a, b) > 1e-3


def test_a_folder_is_searched_nearest_first(extractor, folder, tmp_path):
    index = extractor.index(folder)
    names = ["a 走.PNG", "b.png", "f.png", "g.png", "sub/c.bmp", "sub/d.tif", "sub/deep/e.png"]
    assert [path.relative_to(folder).as_posix() for path in index.paths] == names
    for path in index.paths:
        matches = index.search(extractor(path)[0], count=5)
        assert len(matches) == 5 and matches[0].path == path and matches[0].distance == pytest.approx(0, abs=1e-6)
        distances = [extractor.compare(path, match.path) for match in matches]
        assert distances == sorted(distances)
        assert distances == pytest.approx([match.distance for match in matches], abs=1e-5)
        others = set(index.paths) - {match.path for match in matches}
        assert all(extractor.compare(path, other) >= distances[-1] - 1e-5 for other in others)
    index.save(tmp_path / "new" / "index.npz")
    loaded = Index.load(tmp_path / "new" / "index.npz")
    assert loaded.paths == index.paths and torch.equal(loaded.descriptors, index.descriptors)


def test_equal_distances_stay_in_order(folder):
    paths = tuple(folder / f"{i}.png" for i in range(40))
    index = Index(paths, torch.nn.functional.normalize(torch.ones(40, 4), dim=1))
    assert [match.path for match in index.search(torch.full((4,), 0.5), 40)] == list(paths)
    with pytest.raises(MatlibError, match="a whole number from 0; got -1"):
        index.search(torch.full((4,), 0.5), -1)
    with pytest.raises(MatlibError, match="has 3 numbers, those of the index 4: make both with the same model"):
        index.search(torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_query_of_any_precision_and_shape_finds_the_same(dtype):
    descriptors = torch.nn.functional.normalize(torch.randn(20, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    index = Index(tuple(Path(f"{i}.png") for i in range(20)), descriptors)
    expected = index.search(descriptors[3])
    assert expected[0].path == Path("3.png")
    query = descriptors[3].to(dtype)
    for same in (query, query[None], query.numpy(), query[None].numpy()):
        found = index.search(same)
        assert [m.path for m in found] == [m.path for m in expected]
        assert [m.distance for m in found] == pytest.approx([m.distance for m in expected], abs=2e-3)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (torch.full((2, 4), 0.5), r"one descriptor, \(4,\); got shape \(2, 4\)"),
        (torch.tensor(1.0), r"got shape \(\)"),
        (torch.tensor([1, 0, 0, 0]), "no L2-normalised descriptor"),
        (torch.full((4,), torch.nan), "no L2-normalised descriptor"),
        (torch.full((4,), torch.inf), "no L2-normalised descriptor"),
        (torch.ones(4), "no L2-normalised descriptor"),
        (None, "the values of a query are numbers; got NoneType"),
        ("abcd", "the values of a query are numbers"),
        (np.full(4, 0.5, object), "got an array of object"),
        (torch.empty(4, device="meta"), "the values of a query are numbers"),
    ],
)
def test_what_is_no_query_is_told(query, sentence, unchecked):
    with pytest.raises(MatlibError, match=sentence):
        Index((Path("a"),), torch.full((1, 4), 0.5)).search(query)


@pytest.mark.parametrize("count", [-1, 1.5, "3", None, float("nan")])
def test_what_is_no_count_is_told(count, unchecked):
    with pytest.raises(MatlibError, match="the count of pictures to find is a whole number from 0"):
        Index((Path("a"),), torch.full((1, 4), 0.5)).search(torch.full((4,), 0.5), count)


@pytest.mark.parametrize("laid_out", [
    lambda query: query[::-1].copy()[::-1], lambda query: query.astype(">f4"),
    lambda query: query.astype(np.longdouble), lambda query: np.stack([query, query], axis=1)[:, 0],
    lambda query: query[None], np.ndarray.tolist,
])
def test_how_a_query_lies_in_memory_does_not_matter(laid_out, unchecked):
    descriptors = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    index = Index(tuple(map(Path, "abcde")), descriptors)
    assert index.search(laid_out(descriptors[3].numpy()), 1) == index.search(descriptors[3], 1)


def test_an_index_is_refused_once_the_model_was_changed(run, folder):
    """Weights count as they are when the index is searched, and so does the mode that the model was left in."""
    changed = Extractor(run, device="cpu")
    index = changed.index(folder)
    changed.model.train()
    assert changed.search(index, folder / "b.png", 1)[0].path == folder / "b.png"
    next(changed.model.parameters()).data.view(-1)[0] += 1e-3
    with pytest.raises(MatlibError, match="made with another model: make it anew"):
        changed.search(index, folder / "b.png")


def test_an_index_of_another_model_is_refused(extractor, folder, tmp_path):
    path = folder / "b.png"
    Index((path,), extractor(path), extractor.digest).save(tmp_path / "index.npz")
    index = Index.load(tmp_path / "index.npz")
    assert extractor.search(index, path)[0].path == path
    config = extractor.config.change({"data.height": extractor.size[0] + 32})
    for changed, weights in ((config, 0.0), (extractor.config, 1e-3)):
        model = copy.deepcopy(extractor.model)
        next(model.parameters()).data += weights
        save(tmp_path / "other.pt", model_state(model, changed, 3))
        with pytest.raises(MatlibError, match="made with another model: make it anew"):
            Extractor(tmp_path / "other.pt", device="cpu").search(index, path)
    with pytest.raises(MatlibError, match="does not say which model made it"):
        extractor.search(Index((path,), extractor(path)), path)


def test_an_index_moves_with_its_pictures(tmp_path, monkeypatch):
    """A path of a folder that is named from here is found from everywhere; one beside the index moves along."""
    monkeypatch.chdir(tmp_path)
    inside, outside = Path("one/pictures/a.png"), Path("other/b.png")
    Index((inside, outside), torch.full((2, 4), 0.5)).save("one/index.vectors")
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "one").rename(tmp_path / "moved")
    loaded = Index.load(tmp_path / "moved" / "index.vectors")
    assert loaded.paths == (tmp_path / "moved" / "pictures" / "a.png", tmp_path / outside)


def test_places_without_pictures_are_told(extractor, tmp_path):
    with pytest.raises(MatlibError, match="holds no pictures"):
        extractor.index(tmp_path)
    with pytest.raises(MatlibError, match="none is not a folder"):
        extractor.index(tmp_path / "none")
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(MatlibError, match="half.jpg cannot be read as an image"):
        extractor.index(tmp_path)
    with pytest.raises(MatlibError, match="there is no index at"):
        Index.load(tmp_path / "none.npz")
    with pytest.raises(MatlibError, match="is not an index of matlib"):
        Index.load(tmp_path / "half.jpg")
    np.savez(tmp_path / "flat.npz", paths=np.array(["a", "b"]), descriptors=np.zeros(2, np.float32))
    with pytest.raises(MatlibError, match="is not an index of matlib"):
        Index.load(tmp_path / "flat.npz")
    with pytest.raises(MatlibError, match="there is no checkpoint at"):
        Extractor(tmp_path)


def test_a_model_that_is_given_the_truth_is_refused(run, monkeypatch):
    monkeypatch.setattr("matlib.models.mat.MAT.truth", ("parts",))
    with pytest.raises(MatlibError, match="is given true parts, which one's own pictures do not have"):
        Extractor(run)


def test_the_command_line(run, folder, tmp_path, monkeypatch, caplog):
    def say(*arguments):
        caplog.clear()
        monkeypatch.setattr("sys.argv", ["matlib.extractor", "--run", str(run), *map(str, arguments)])
        command.main()
        return [record.getMessage() for record in caplog.records if record.name == command.__name__]

    caplog.set_level("INFO")
    query = folder / "b.png"
    assert say("compare", query, query) == ["0.0000"]
    assert say("index", folder, "--out", tmp_path / "index.npz") == []
    assert say("index", folder, "--out", tmp_path / "index.vectors") == []
    listed = say("search", query, tmp_path / "index.npz", "--count", 4)
    assert listed == say("search", query, tmp_path / "index.vectors", "--count", 4)
    assert listed == say("search", query, folder, "--count", 4)
    assert [line.split()[0] for line in listed] == ["1", "2", "3", "4"]  # without the query itself
    with pytest.raises(MatlibError, match="--count is 1 or more; got 0"):
        say("search", query, folder, "--count", 0)
    extractor = Extractor(run, device="cpu")
    nearest = extractor.index(folder).search(extractor(query)[0], 5)[1:]
    assert [line.split(maxsplit=1)[1] for line in listed] == [f"{m.distance:.4f}  {m.path}" for m in nearest]


def test_bad_pictures_are_left_out_and_told(run, extractor, folder, tmp_path, monkeypatch, caplog):
    for name in ("b.png", "f.png", "g.png"):
        shutil.copy(folder / name, tmp_path / name)
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "z.png").write_bytes((folder / "b.png").read_bytes()[:60])
    index = extractor.index(tmp_path)
    assert [path.name for path in index.paths] == ["b.png", "f.png", "g.png"]
    assert [path.name for path in index.left_out] == ["c.jpg", "z.png"]
    torch.testing.assert_close(index.descriptors, extractor(list(index.paths)), atol=1e-6, rtol=0)
    with pytest.raises(MatlibError, match="c.jpg cannot be read as an image"):
        extractor.index(tmp_path, strict=True)

    def status(*arguments):
        caplog.clear()
        monkeypatch.setattr("sys.argv", ["matlib.extractor", "--run", str(run), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            command.main()
        assert "2 of 5 pictures were left out" in caplog.text
        assert "c.jpg cannot be read" in caplog.text and "z.png cannot be read" in caplog.text
        return end.value.code

    out = tmp_path / "index"
    assert status("index", tmp_path, "--out", out) == status("search", tmp_path / "b.png", tmp_path) == 3
    assert Index.load(out).paths == index.paths
    monkeypatch.setattr("sys.argv", [*command.sys.argv, "--strict"])
    with pytest.raises(MatlibError, match="c.jpg cannot be read as an image"):
        command.main()


@pytest.mark.parametrize("arguments", [["index", "none", "--out"], ["export"]])
@pytest.mark.parametrize("name", ["file/below/out", ".", "a" * 5000, "a" * 5000 + "/b"])
def test_a_target_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch, arguments, name):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("sys.argv", ["x", "--run", str(tmp_path / "none"), *arguments, str(tmp_path / name)])
    with pytest.raises(MatlibError, match="cannot be written .*name a file in a folder that can be written to") as told:
        command.main()
    assert len(str(told.value)) < 400


def test_what_an_export_needs_is_told(extractor, monkeypatch, tmp_path):
    monkeypatch.setattr("matlib.export.find_spec", lambda name: None)
    with pytest.raises(MatlibError, match=r"exporting needs onnx and onnxscript: pip install -e '.\[export\]'"):
        extractor.export(tmp_path / "model.onnx")
