"""Determinism, resuming, recognition, and one clear sentence for each thing that goes wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from matlib.annyville import PROTOCOLS, generate, writer
from matlib.annyville.__main__ import main
from matlib.annyville.camera import CAMERAS, spread_cameras
from matlib.annyville.wardrobe import LIKENESS, make_person
from matlib.errors import MatlibError, command_line


def _bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a set and its manifest, by relative name."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return files | {"manifest": writer.manifest_path(folder).read_bytes()}


@pytest.mark.parametrize(("protocol", "workers"), [("occluded-pairs", 2), ("partial-single", 3)])
def test_bytes_do_not_depend_on_the_number_of_workers(town, tmp_path, protocol, workers):
    folder = generate(protocol, "tiny", 0, tmp_path, workers=workers)
    assert _bytes(folder) == _bytes(town / f"annyville-{protocol}")


def test_a_killed_process_leaves_what_can_be_gone_on_with(town, tmp_path):
    """SIGKILL in the middle of rendering with two workers, which end too; then on, alone."""
    command = [sys.executable, "-m", "matlib.annyville", "--preset", "tiny", "--protocol", "partial-pairs"]
    process = subprocess.Popen(
        [*command, "--workers", "2", "--out", str(tmp_path)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    folder, count = tmp_path / "annyville-partial-pairs", 0
    try:
        while count < 6 and process.poll() is None:
            time.sleep(0.02)
            count = sum(1 for _ in folder.glob("*/*.jpg"))
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL and count >= 6
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _alive(process.pid):
        time.sleep(0.1)
    assert not _alive(process.pid), "workers outlived their parent"
    assert not writer.manifest_path(folder).exists()
    generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
    assert _bytes(folder) == _bytes(town / "annyville-partial-pairs")


def _alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_seed_gives_other_people(town, tmp_path, monkeypatch):
    items = writer.plan_items("holistic", writer.check_preset("tiny"), 1)
    first = items[0]
    seeds = [writer.person_seed(s, "holistic", first.person) for s in (0, 1)]
    assert seeds[0] != seeds[1]
    a, b = (make_person(np.random.default_rng(s)) for s in seeds)
    assert a.mesh.points.shape != b.mesh.points.shape or (a.mesh.points != b.mesh.points).any()


class _Stop(Exception):
    pass


@pytest.fixture
def few(monkeypatch, tmp_path) -> dict[str, bytes]:
    """Sets have the first six pictures only; the files of such a set of partial pictures."""
    whole = writer.plan_items
    monkeypatch.setattr(writer, "plan_items", lambda *a: whole(*a)[:6])
    return _bytes(generate("partial-pairs", "tiny", 0, tmp_path / "whole", workers=1))


@pytest.mark.parametrize("writes", [4, 16, 27, 33])
def test_an_interrupted_set_resumes_to_the_same_bytes(few, tmp_path, monkeypatch, writes):
    """Stopped between the files of a picture, with a stray part file left behind."""
    count = 0
    whole = writer.write_atomically

    def failing(path, data):
        nonlocal count
        count += 1
        if count == writes:
            path.with_name(f".{path.name}.1.part").write_bytes(data[:10])
            raise _Stop
        whole(path, data)

    monkeypatch.setattr(writer, "write_atomically", failing)
    with pytest.raises(_Stop):
        generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
    folder = tmp_path / "annyville-partial-pairs"
    assert not writer.manifest_path(folder).exists()
    before = {p: p.stat().st_mtime_ns for p in folder.glob("whole_body_images/*.jpg")}
    monkeypatch.setattr(writer, "write_atomically", whole)
    generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
    assert _bytes(folder) == few
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())  # nothing finished was made again


def test_a_finished_set_is_recognised_and_left_alone(town, monkeypatch):
    monkeypatch.setattr(writer, "_render_all", lambda *a: pytest.fail("rendered again"))
    assert generate("holistic", "tiny", 0, town, workers=1) == town / "annyville-holistic"


def test_a_power_cut_is_mended(few, tmp_path, monkeypatch):
    """Empty and damaged files that a crash of the machine may leave are made again, or named."""
    finish = writer._finish
    monkeypatch.setattr(writer, "_finish", lambda *a: None)
    folder = generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
    monkeypatch.setattr(writer, "_finish", finish)
    (folder / "partial_body_images" / "001_002.jpg").write_bytes(b"")
    (folder / "truth" / "whole_body_images" / "001_001.png").write_bytes(b"")
    records = folder / ".unfinished" / "whole_body_images"
    for damaged in (records / "001_002.json", records / "001_003.npy"):
        damaged.write_bytes(damaged.read_bytes()[:20])
        with pytest.raises(MatlibError, match=f"{damaged} is damaged"):
            generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
        damaged.unlink()
    generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
    assert _bytes(folder) == few


def test_a_run_that_ended_before_its_first_picture_goes_on(tmp_path, monkeypatch):
    """Whatever instant it was: a folder that holds anything of Annyville's is known for what it is."""
    made = Path.mkdir
    for stop in range(1, 9):
        count = 0

        def failing(self, *args, **kwargs):
            nonlocal count
            count += 1
            if count == stop:
                raise _Stop
            return made(self, *args, **kwargs)

        monkeypatch.setattr(Path, "mkdir", failing)
        with pytest.raises(_Stop):
            writer._prepare(tmp_path / str(stop), SETTINGS, ITEMS)
        monkeypatch.setattr(Path, "mkdir", made)
        assert len(writer._prepare(tmp_path / str(stop), SETTINGS, ITEMS)) == len(ITEMS)


SETTINGS = writer.Settings("occluded-pairs", "tiny", 0).checked()
ITEMS = writer.plan_items("occluded-pairs", writer.check_preset("tiny"), 0)


@pytest.fixture
def copy(town, tmp_path) -> Path:
    """A copy of the finished holistic set that a test may spoil; its parent folder."""
    shutil.copytree(town / "annyville-holistic", tmp_path / "annyville-holistic")
    shutil.copy(town / "annyville-holistic.json", tmp_path)
    return tmp_path


def _fails(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        command_line(lambda: main([*arguments, "--workers", "1"]))
    assert ended.value.code == 2
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


def test_a_set_of_version_1_is_named(copy, capsys):
    """Its manifest has fewer settings."""
    path = copy / "annyville-holistic.json"
    manifest = json.loads(path.read_text()) | {"generator": "annyville 1"}
    del manifest["camera_spread"], manifest["likeness"]
    path.write_text(json.dumps(manifest))
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(copy))
    assert "annyville 1, preset tiny" in line and f"annyville {writer.VERSION}" in line and "None" not in line


@pytest.mark.parametrize(
    ("knob", "words"), [("camera-spread", "camera spread 1.0"), ("likeness", f"likeness {LIKENESS}")]
)
def test_another_knob_in_the_same_place_is_named(copy, capsys, knob, words):
    arguments = ("--preset", "tiny", "--protocol", "holistic", f"--{knob}", "0.25", "--out", str(copy))
    line = _fails(capsys, *arguments)
    assert words in line and f"{knob.replace('-', ' ')} 0.25" in line


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


def test_two_commands_do_not_write_into_one_folder(few, tmp_path):
    """The second is refused while the first holds the folder; afterwards it goes on."""
    folder = tmp_path / "annyville-partial-pairs"
    lock = folder / ".unfinished" / "lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(MatlibError, match=f"another command is writing into {folder}"):
        generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
    assert list(folder.rglob("*")) == [lock.parent, lock]
    generate("partial-pairs", "tiny", 0, tmp_path, workers=1)
    assert _bytes(folder) == few


def test_a_foreign_folder_is_not_written_into(tmp_path, capsys):
    (tmp_path / "annyville-holistic").mkdir()
    (tmp_path / "annyville-holistic" / "thesis.txt").write_text("mine")
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(tmp_path))
    assert "annyville-holistic" in line
    assert [p.name for p in (tmp_path / "annyville-holistic").iterdir()] == ["thesis.txt"]


def test_an_unfinished_set_of_other_settings_is_named(tmp_path, capsys):
    note = tmp_path / "annyville-holistic" / ".unfinished" / "settings.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps(writer.Settings("holistic", "large", 0).described()))
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(tmp_path))
    assert "preset large" in line and "preset tiny" in line


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null"])
def test_an_unfinished_set_with_a_damaged_note_is_named(tmp_path, capsys, text):
    note = tmp_path / "annyville-holistic" / ".unfinished" / "settings.json"
    note.parent.mkdir(parents=True)
    note.write_text(text)
    line = _fails(capsys, "--preset", "tiny", "--protocol", "holistic", "--out", str(tmp_path))
    assert str(tmp_path / "annyville-holistic") in line


def test_a_target_that_is_a_file_is_named(tmp_path, capsys):
    (tmp_path / "data").write_text("")
    line = _fails(capsys, "--preset", "tiny", "--out", str(tmp_path / "data"))
    assert "cannot write" in line and "data" in line


def test_a_target_that_may_not_be_written_is_named(tmp_path, capsys, monkeypatch):
    def refused(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refused)
    line = _fails(capsys, "--preset", "tiny", "--out", str(tmp_path / "data"))
    assert "cannot write" in line and "Permission denied" in line and str(tmp_path / "data") in line


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
        (["--protocol", "partial"], ("'partial'", "occluded-pairs, partial-pairs, partial-single")),
        (["--seed", "-1"], ("seed", "-1")),
        (["--camera-spread", "nan"], ("camera spread", "0 to 4", "nan")),
        (["--camera-spread", "inf"], ("camera spread", "inf")),
        (["--camera-spread", "-0.1"], ("camera spread", "-0.1")),
        (["--likeness", "1.01"], ("likeness", "0 to 1", "1.01")),
        (["--likeness", "nan"], ("likeness", "nan")),
    ],
)
def test_wrong_words_are_named_with_the_right_ones(tmp_path, capsys, arguments, words):
    preset = [] if "--preset" in arguments else ["--preset", "tiny"]
    line = _fails(capsys, *preset, "--out", str(tmp_path), *arguments)
    assert all(w in line for w in words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [0, -3, True, 10**9, 1.5])
def test_absurd_worker_counts_are_refused(unchecked, tmp_path, workers):
    with pytest.raises(MatlibError, match="workers must be from 1 to"):
        generate("holistic", "tiny", 0, tmp_path, workers=workers)


@pytest.mark.parametrize("settings", [{"seed": 0.5}, {"seed": True}, {"camera_spread": "2"}, {"likeness": True}])
def test_settings_of_the_wrong_kind_are_refused(unchecked, tmp_path, settings):
    with pytest.raises(MatlibError, match="must be a"):
        generate("holistic", "tiny", out=tmp_path, workers=1, **settings)


def test_the_cameras_are_as_different_as_wanted():
    """0: one colour for all; 1: the standard town; the logarithms of what differs grow in proportion."""
    fields = ("gain", "gamma", "saturation", "contrast", "balance", "sun_strength", "sky_strength")

    def logs(spread):
        rows = [[getattr(c, f) for f in fields] for c in spread_cameras(spread)]
        return np.array([np.log(np.hstack(row)) for row in rows])

    assert spread_cameras(1.0) is CAMERAS
    middle = logs(1.0).mean(0)
    for spread in (0.0, 0.5, 2.0):
        np.testing.assert_allclose(logs(spread) - middle, spread * (logs(1.0) - middle), atol=1e-9)
    assert [c.near for c in spread_cameras(0.0)] == [c.near for c in CAMERAS]


def test_all_writes_every_protocol_with_the_same_settings(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "matlib.annyville.__main__.generate", lambda *a, **k: made.append((a, k)) or Path(a[0])
    )
    arguments = ["--preset", "tiny", "--seed", "3", "--camera-spread", "2", "--likeness", "0.5", "--workers", "1"]
    main([*arguments, "--out", str(tmp_path)])
    assert [a[0] for a, _ in made] == list(PROTOCOLS)
    knobs = {"camera_spread": 2.0, "likeness": 0.5}
    assert all(a[1:] == ("tiny", 3, tmp_path, 1) and k == knobs for a, k in made)


def test_an_interruption_at_the_keyboard_is_one_line(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_render_all", interrupted)
    with pytest.raises(SystemExit) as ended:
        command_line(lambda: main(["--preset", "tiny", "--out", str(tmp_path), "--workers", "1"]))
    assert ended.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err
