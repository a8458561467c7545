"""Determinism, resuming, recognition, and one clear sentence for each thing that goes wrong."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from matlib.annyville import generate, writer
from matlib.annyville.__main__ import main
from matlib.errors import MatlibError


def _bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a set and its manifest, by relative name."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return files | {"manifest": writer.manifest_path(folder).read_bytes()}


def test_bytes_do_not_depend_on_the_number_of_workers(town, tmp_path):
    folder = generate("occluded", "tiny", 0, tmp_path, workers=2)
    assert _bytes(folder) == _bytes(town / "annyville-occluded")


def test_another_seed_gives_other_people(town, tmp_path, monkeypatch):
    items = writer.plan_items("holistic", writer.check_preset("tiny"), 1)
    first = items[0]
    seeds = [writer.person_seed(s, "holistic", first.person) for s in (0, 1)]
    assert seeds[0] != seeds[1]
    a, b = (writer.make_person(writer.np.random.default_rng(s)) for s in seeds)
    assert a.mesh.points.shape != b.mesh.points.shape or (a.mesh.points != b.mesh.points).any()


class _Stop(Exception):
    pass


def test_an_interrupted_set_resumes_to_the_same_bytes(town, tmp_path, monkeypatch):
    """Stopped in the middle of a picture's three files, with a stray part file left behind."""
    count = 0
    whole = writer.write_atomically

    def failing(path, data):
        nonlocal count
        count += 1
        if count == 100:
            path.with_name(f".{path.name}.1.part").write_bytes(data[:10])
            raise _Stop
        whole(path, data)

    monkeypatch.setattr(writer, "write_atomically", failing)
    with pytest.raises(_Stop):
        generate("holistic", "tiny", 0, tmp_path, workers=1)
    folder = tmp_path / "annyville-holistic"
    assert not writer.manifest_path(folder).exists()
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*/*.jpg")}
    assert 20 < len(before) < 60
    monkeypatch.setattr(writer, "write_atomically", whole)
    generate("holistic", "tiny", 0, tmp_path, workers=1)
    assert _bytes(folder) == _bytes(town / "annyville-holistic")
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())  # nothing finished was made again


def test_a_finished_set_is_recognised_and_left_alone(town, monkeypatch):
    monkeypatch.setattr(writer, "_render_all", lambda *a: pytest.fail("rendered again"))
    assert generate("holistic", "tiny", 0, town, workers=1) == town / "annyville-holistic"


@pytest.fixture
def copy(town, tmp_path) -> Path:
    """A copy of the finished holistic set that a test may spoil; its parent folder."""
    shutil.copytree(town / "annyville-holistic", tmp_path / "annyville-holistic")
    shutil.copy(town / "annyville-holistic.json", tmp_path)
    return tmp_path


def _fails(capsys, *arguments: str) -> str:
    assert main([*arguments, "--workers", "1"]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_another_seed_in_the_same_place_is_named(copy, capsys):
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--seed", "5", "--out", str(copy))
    assert "seed 0" in line and "seed 5" in line and "--out" in line


def test_another_version_in_the_same_place_is_named(copy, capsys, monkeypatch):
    monkeypatch.setattr(writer, "VERSION", "next")
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(copy))
    assert "annyville next" in line


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"generator": "annyville 1"}', "\udcff"])
def test_a_damaged_manifest_is_named(copy, capsys, text):
    path = copy / "annyville-holistic.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(copy))
    assert str(path) in line


def test_a_lost_picture_is_noticed(copy, capsys):
    next((copy / "annyville-holistic" / "query").glob("*.jpg")).unlink()
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(copy))
    assert "delete" in line


def test_a_foreign_folder_is_not_written_into(tmp_path, capsys):
    (tmp_path / "annyville-holistic").mkdir()
    (tmp_path / "annyville-holistic" / "thesis.txt").write_text("mine")
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(tmp_path))
    assert "annyville-holistic" in line
    assert [p.name for p in (tmp_path / "annyville-holistic").iterdir()] == ["thesis.txt"]


def test_an_unfinished_set_of_other_settings_is_named(tmp_path, capsys):
    note = tmp_path / "annyville-holistic" / ".unfinished" / "settings.json"
    note.parent.mkdir(parents=True)
    settings = {
        "generator": f"annyville {writer.VERSION}",
        "protocol": "holistic",
        "preset": "large",
        "seed": 0,
    }
    note.write_text(json.dumps(settings))
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(tmp_path))
    assert "preset large" in line and "preset tiny" in line


def test_a_target_that_is_a_file_is_named(tmp_path, capsys):
    (tmp_path / "data").write_text("")
    line = _fails(capsys, "--preset", "tiny", "--out", str(tmp_path / "data"))
    assert "cannot write" in line and "data" in line


def test_a_full_disk_is_named_and_leaves_no_half_file(tmp_path, capsys, monkeypatch):
    whole = Path.write_bytes
    count = 0

    def full(self, data):
        nonlocal count
        count += 1
        if count > 20:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return whole(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(tmp_path))
    assert "No space left on device" in line
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "huge"], ("huge", "tiny, small, large")),
        (["--protocol", "partial-pairs"], ("partial-pairs", "holistic, occluded")),
        (["--seed", "-1"], ("seed", "-1")),
    ],
)
def test_wrong_words_are_named_with_the_right_ones(tmp_path, capsys, arguments, words):
    line = _fails(capsys, "--preset", "tiny", "--out", str(tmp_path), *arguments)
    assert all(w in line for w in words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [0, -3, True])
def test_absurd_worker_counts_are_refused(tmp_path, workers):
    with pytest.raises(MatlibError, match="workers"):
        generate("holistic", "tiny", 0, tmp_path, workers=workers)


def test_an_interruption_at_the_keyboard_is_one_line(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_render_all", interrupted)
    assert main(["--preset", "tiny", "--out", str(tmp_path), "--workers", "1"]) == 130
    assert "run the same command again" in capsys.readouterr().err
