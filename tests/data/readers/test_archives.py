"""Archives: honest, hostile and damaged ones."""

import gzip
import io
import lzma
import os
import random
import shutil
import signal
import stat
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from builders import write_partial_ilids, write_partial_reid

from matlib.data import load_dataset
from matlib.data.readers import archives
from matlib.data.readers.archives import Limits, unpack, unpacked
from matlib.errors import MatlibError


def write_zip(path, members):
    """members: (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def write_tar(path, members, mode="w"):
    """members: (name, content, type)."""
    with tarfile.open(path, mode) as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def archive_of(folder, path):
    """An archive of a folder, with the folder's name on top as publishers do."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = [p.relative_to(folder.parent).as_posix() for p in files]
    if path.suffix == ".zip":
        return write_zip(path, [(n, p.read_bytes()) for n, p in zip(names, files)])
    mode = "w" if path.suffix == ".tar" else "w:gz"
    return write_tar(path, [(n, p.read_bytes(), tarfile.REGTYPE) for n, p in zip(names, files)], mode)


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
def test_a_set_is_read_from_its_archive_once(tmp_path, suffix):
    source = write_partial_reid(tmp_path / "elsewhere" / "Partial-REID_Dataset")
    data = tmp_path / "data"
    data.mkdir()
    archive = archive_of(source, data / f"Partial-REID_Dataset{suffix}")
    dataset = load_dataset("partial_reid", data)
    assert dataset.root == data / "Partial-REID_Dataset" and len(dataset.query) == 6
    assert tree(dataset.root) == tree(source)
    assert sorted(p.name for p in data.iterdir()) == sorted([archive.name, "Partial-REID_Dataset"])
    archive.write_bytes(b"no longer an archive")
    assert load_dataset("partial_reid", data) == dataset


def test_the_archive_itself_may_be_named(tmp_path):
    source = write_partial_ilids(tmp_path / "elsewhere" / "Partial_iLIDS")
    archive = archive_of(source, tmp_path / "my copy.zip")
    assert len(load_dataset("partial_ilids", archive).query) == 4


def test_a_write_protected_folder_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MATLIB_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    archive_of(write_partial_ilids(tmp_path / "elsewhere" / "Partial_iLIDS"), data / "Partial_iLIDS.zip")
    data.chmod(0o555)
    try:
        dataset = load_dataset("partial_ilids", data)
        assert load_dataset("partial_ilids", data) == dataset
        assert [p.name for p in data.iterdir()] == ["Partial_iLIDS.zip"]
    finally:
        data.chmod(0o755)
    assert dataset.root.is_relative_to(tmp_path / "cache")


def test_macos_leftovers_are_left_out(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("set/1.txt", "one"), ("__MACOSX/set/._1.txt", "fork")])
    assert tree(unpack(archive, tmp_path / "out")) == {"1.txt": b"one"}


def test_several_top_folders_are_kept(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("x/1.txt", "one"), ("y/2.txt", "two"), ("empty/", "")])
    out = unpack(archive, tmp_path / "out")
    assert tree(out) == {"x/1.txt": b"one", "y/2.txt": b"two"} and (out / "empty").is_dir()


def link_info(name="set/link", kind=stat.S_IFLNK):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


HOSTILE_ZIPS = {
    "parent": ("../evil.txt", "outside"),
    "deep parent": ("set/../../evil.txt", "outside"),
    "backslashes": ("..\\evil.txt", "outside"),
    "absolute": ("/evil.txt", "outside"),
    "drive": ("C:/evil.txt", "outside"),
    "link": (link_info(), "is a link"),
    "device": (link_info(kind=stat.S_IFCHR), "is a special file"),
    "twice": ("set/fine.txt", "twice"),
    "file and folder": ("set/fine.txt/deeper.txt", "a file and a folder have one name"),
    "folder of a file's name": ("set/fine.txt/", "a file and a folder have one name"),
    "file of a folder's name": ("set", "a file and a folder have one name"),
    "long name": ("set/" + "a" * 300, "absurd length"),
    "folders without end": ("a/" * 5000 + "b", "absurd length"),
}


@pytest.mark.parametrize("case", HOSTILE_ZIPS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_zips_are_refused_and_leave_nothing(tmp_path, case):
    name, sentence = HOSTILE_ZIPS[case]
    place = tmp_path / "place"
    place.mkdir()
    archive = write_zip(place / "a.zip", [("set/fine.txt", "fine"), (name, "evil")])
    with pytest.raises(MatlibError, match=sentence):
        unpacked(archive)
    assert [p.name for p in tmp_path.rglob("*")] == ["place", "a.zip"]


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("../evil", tarfile.REGTYPE, "outside"),
        ("/evil", tarfile.REGTYPE, "outside"),
        ("set/link", tarfile.SYMTYPE, "is a link"),
        ("set/link", tarfile.LNKTYPE, "is a link"),
        ("set/pipe", tarfile.FIFOTYPE, "is a special file"),
        ("set/device", tarfile.CHRTYPE, "is a special file"),
    ],
)
def test_hostile_tars_are_refused_and_leave_nothing(tmp_path, name, kind, sentence):
    place = tmp_path / "place"
    place.mkdir()
    archive = write_tar(place / "a.tar", [("set/fine.txt", b"fine", tarfile.REGTYPE), (name, b"", kind)])
    with pytest.raises(MatlibError, match=sentence):
        unpacked(archive)
    assert [p.name for p in tmp_path.rglob("*")] == ["place", "a.tar"]


def test_bombs_are_refused(tmp_path):
    bomb = write_zip(tmp_path / "bomb.zip", [("zeros", bytes(3_000_000))])
    with pytest.raises(MatlibError, match="far larger"):
        unpack(bomb, tmp_path / "out", Limits(bytes=2_000_000))
    assert Limits().bytes_for(bomb) < (64 << 20) + 100 * 10_000  # so at most 65 MB of some kB
    many = write_zip(tmp_path / "many.zip", [(str(i), "") for i in range(12)])
    with pytest.raises(MatlibError, match="more than 11 members"):
        unpack(many, tmp_path / "out", Limits(members=11))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "flipped"])
def test_damaged_archives_are_told_and_leave_nothing(tmp_path, suffix, damage):
    source = write_partial_reid(tmp_path / "elsewhere" / "set")
    archive = archive_of(source, tmp_path / f"set{suffix}")
    content = archive.read_bytes()
    if damage == "flipped" and suffix == ".tar":  # in a header: tar has no checksum of contents
        content = content.replace(b"ustar", b"XXXXX", 5).replace(b"XXXXX", b"ustar", 4)
    elif damage == "flipped":
        middle = len(content) // 2
        content = (
            content[:middle] + bytes(255 - b for b in content[middle : middle + 40]) + content[middle + 40 :]
        )
    archive.write_bytes(
        {
            "empty": b"",
            "garbage": b"no archive " * 999,
            "cut": content[: len(content) // 2],
            "flipped": content,
        }[damage]
    )
    with pytest.raises(MatlibError, match="is damaged or not a whole archive.*fetch it again"):
        unpacked(archive)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["elsewhere", archive.name])


def test_an_encrypted_zip_is_told(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("x", "one")])
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(MatlibError, match="encrypted"):
        unpacked(archive)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", [("set/x", "one")])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matlib.data.readers.archives._copy", full)
    with pytest.raises(MatlibError, match="No space left on device.*MATLIB_CACHE"):
        unpacked(archive)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_what_a_killed_unpacking_left_is_no_data_set_and_goes_away(tmp_path):
    leftover = tmp_path / ".a.unpacking-0123"
    (leftover / "set").mkdir(parents=True)
    archive = write_zip(tmp_path / "a.zip", [("set/x", "one")])
    day_ago = time.time() - 2 * 24 * 3600
    os.utime(leftover, (day_ago, day_ago))
    assert tree(unpacked(archive)) == {"x": b"one"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.zip"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_an_interrupted_unpacking_goes_on_where_it_was(tmp_path, monkeypatch, suffix):
    source = write_partial_reid(tmp_path / "elsewhere" / "set")
    archive = archive_of(source, tmp_path / f"set{suffix}")
    copy, replaced = archives._copy, []
    monkeypatch.setattr(
        Path, "replace", lambda self, to, replace=Path.replace: (replaced.append(to), replace(self, to))[1]
    )

    def killed_in_the_eighth(archive, member, path, part, left):
        if len(replaced) == 7:
            part.write_bytes(b"half")
            raise KeyboardInterrupt
        return copy(archive, member, path, part, left)

    monkeypatch.setattr(archives, "_copy", killed_in_the_eighth)
    with pytest.raises(KeyboardInterrupt):
        unpacked(archive)
    assert not (tmp_path / "set").exists()
    monkeypatch.setattr(archives, "_copy", copy)
    assert tree(unpacked(archive)) == tree(source)
    assert len(replaced) == len(set(replaced)) == len(tree(source))  # each file was written once
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["elsewhere", "set", archive.name])


def test_what_was_unpacked_of_another_archive_is_not_taken_over(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", [("set/x", "old"), ("set/y", "old")])
    copy = archives._copy

    def killed_in_the_second(archive, member, *rest):
        if member.name == "set/y":
            raise KeyboardInterrupt
        return copy(archive, member, *rest)

    monkeypatch.setattr(archives, "_copy", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        unpacked(archive)
    monkeypatch.setattr(archives, "_copy", copy)
    write_zip(archive, [("set/x", "new"), ("set/y", "new"), ("set/z", "new")])
    assert tree(unpacked(archive)) == {"x": b"new", "y": b"new", "z": b"new"}


def test_a_killed_process_leaves_no_data_set_and_the_next_one_finishes(tmp_path):
    source = write_partial_reid(tmp_path / "elsewhere" / "set")
    archive = archive_of(source, tmp_path / "set.zip")
    copy = archives._copy

    def killed_in_the_fourth(archive, member, path, part, left):
        left = copy(archive, member, path, part, left)
        if len(list(path.parent.iterdir())) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return left

    child = os.fork()
    if child == 0:
        archives._copy = killed_in_the_fourth
        unpacked(archive)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (
        not (tmp_path / "set").exists() and len(tree(tmp_path)) > len(tree(source)) + 1
    )  # something was written
    assert tree(unpacked(archive)) == tree(source)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_gigabytes_is_refused(tmp_path, kind):
    """A name as long as it likes, which the reader would hold in memory."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 1 << 32
    archive = tmp_path / "a.tar.gz"
    with gzip.open(archive, "wb") as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        stream.write(bytes(1 << 20))
    with pytest.raises(MatlibError, match="far larger"):
        unpacked(archive)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_sparse_file_of_terabytes_is_refused(tmp_path):
    """The header of a sparse file claims more than the archive holds."""
    info = tarfile.TarInfo("zeros")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 0)
    header[483:495] = b"%011o\0" % (1 << 32)  # the real size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive = tmp_path / "a.tar"
    archive.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(MatlibError, match="far larger"):
        unpack(archive, tmp_path / "out", Limits(bytes=2_000_000))
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


def test_two_processes_unpacking_at_once_both_succeed(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", [("set/x", "one")])
    extract = archives._extract_all

    def slower(*arguments):
        monkeypatch.setattr(archives, "_extract_all", extract)
        unpacked(archive)  # the other process, which is faster
        extract(*arguments)

    monkeypatch.setattr(archives, "_extract_all", slower)
    assert tree(unpacked(archive)) == {"x": b"one"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.zip"]


def test_a_half_unpacked_folder_beside_the_archive(tmp_path):
    source = write_partial_reid(tmp_path / "elsewhere" / "Partial-REID_Dataset")
    archive_of(source, tmp_path / "Partial-REID_Dataset.zip")
    (tmp_path / "Partial-REID_Dataset" / "partial_body_images").mkdir(parents=True)
    with pytest.raises(
        MatlibError, match="not complete.*delete .*Partial-REID_Dataset and it is unpacked again"
    ):
        load_dataset("partial_reid", tmp_path)


def packed(path, method, content=bytes(range(256)) * 400):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("set/fine.txt", "fine")
        archive.writestr("set/x", content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_members_of_every_method_are_unpacked_or_damaged(tmp_path, method):
    content = random.Random(0).randbytes(50_000) * 3
    archive = packed(tmp_path / "a.zip", method, content)
    assert (unpack(archive, tmp_path / "out") / "x").read_bytes() == content
    shutil.rmtree(tmp_path / "out")
    whole = archive.read_bytes()
    start = whole.index(b"set/x") + len("set/x")
    for place in (start, start + 2, start + 6, start + 11, start + 3000, start + 40_000):
        turned = bytes(255 - byte for byte in whole[place : place + 40])
        archive.write_bytes(whole[:place] + turned + whole[place + 40 :])
        with pytest.raises(MatlibError, match="a.zip is damaged or not a whole archive .*: fetch it again"):
            unpack(archive, tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_bombs_of_every_method_cost_little_memory(tmp_path, method):
    archive = packed(tmp_path / "a.zip", method, bytes(300 << 20))
    assert archive.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(MatlibError, match="far larger"):
        unpack(archive, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20


def test_whatever_a_decoder_raises_is_damage_and_the_disk_s_errors_are_not(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", [("set/x", "one")])
    for raised, sentence in ((lzma.LZMAError("corrupt"), "is damaged .*corrupt"),
                             (OSError("Invalid data"), "is damaged"),
                             (IndexError(), "is damaged .*IndexError"), (MemoryError(), "is damaged .*MemoryError"),
                             (OSError(5, "Input/output error"), "cannot be unpacked .*Input/output error")):
        def refuse(*_):
            raise raised

        monkeypatch.setattr(archives, "_copy", refuse)
        with pytest.raises(MatlibError, match=sentence):
            unpacked(archive)
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("place", ["file/below", "n" * 5000])
def test_a_cache_that_cannot_be_made_is_told(tmp_path, monkeypatch, place):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MATLIB_CACHE", str(tmp_path / place))
    monkeypatch.setattr(archives, "_is_writable", lambda folder: False)
    archive_of(write_partial_ilids(tmp_path / "elsewhere" / "Partial_iLIDS"), tmp_path / "Partial_iLIDS.zip")
    with pytest.raises(MatlibError, match="cannot be unpacked|cannot be read.*File name too long") as error:
        load_dataset("partial_ilids", tmp_path)
    assert "\n" not in str(error.value)
