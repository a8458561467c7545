"""Tars of honest writers are read as Python's own reader does; malformed headers are refused at once."""

import gzip
import io
import tarfile
import time
import tracemalloc

import pytest

from matlib.data.readers.archives import Limits, unpack, unpacked
from matlib.data.readers.tars import DamagedTarError, members
from matlib.errors import MatlibError

NAMES = {"set/a.jpg": b"a" * 700, "set/empty": b"", "set/zoë 走.jpg": b"z" * 512,
         "set/" + "d" * 90 + "/" + "f" * 90: b"long",
         "set/" + "/".join(["deep" * 20] * 4) + "/" + "n" * 200: b"longer", "set/caf\udce9.jpg": b"no UTF-8"}


def block(kind=b"0", size=b"00000000000\0", name=b"set/a", content=b"", **fields):
    """A header and its content, with a right sum; ``fields`` are bytes by their place, as at257=b"ustar"."""
    header = bytearray(512)
    header[: len(name)] = name
    header[124:136], header[156:157], header[257:265] = size, kind, b"ustar\x0000"
    for place, value in fields.items():
        header[int(place[2:]) : int(place[2:]) + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % 512)


def extra(kind, content, size=None):
    return block(kind, b"%011o\0" % (len(content) if size is None else size), b"extra", content)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_honest_tars_of_every_format(tmp_path, form, suffix):
    archive = tmp_path / f"set{suffix}"
    names = {name: content for name, content in NAMES.items() if form != tarfile.USTAR_FORMAT or len(name) < 200}
    with tarfile.open(archive, "w" if suffix == ".tar" else "w:gz", format=form) as opened:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 12.5
            opened.addfile(info, io.BytesIO(content))
    out = unpack(archive, tmp_path / "out")
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()} == {
        name.removeprefix("set/"): content for name, content in names.items()}


def test_what_git_and_gnu_tar_put_before_the_members(tmp_path):
    archive = tmp_path / "a.tar"
    archive.write_bytes(extra(b"g", b"20 comment=01234567\n")
                        + block(b"V", name=b"label") + block(b"5", name=b"set/")
                        + block(content=b"hi", size=b"00000000002\0") + bytes(1024))
    assert (unpack(archive, tmp_path / "out") / "a").read_bytes() == b"hi"


MALFORMED = {
    "no number": extra(b"x", b"xx path=a\n"), "length zero": extra(b"x", b"0 path=a\n"),
    "length below zero": extra(b"x", b"-9 path=a\n"), "too long": extra(b"x", b"99 path=a\n"),
    "too short": extra(b"x", b"5 path=a\n"), "no equals": extra(b"x", b"9 path a\n"), "no key": extra(b"x", b"5 =a\n"),
    "no new line": extra(b"x", b"9 path=aa"), "a size that is none": extra(b"x", b"13 size=1e9x\n"),
    "a size below zero": extra(b"x", b"12 size=-512\n"), "digits without end": extra(b"x", b"1" * 100_000),
    "a global one": extra(b"g", b"xx path=a\n"), "sparse numbers": extra(b"x", b"26 GNU.sparse.size=abcdefg\n"[:26]),
    "unicode digits": extra(b"x", "٩ path=a\n".encode()),
    "octal that is none": block(size=b"0000000zzzz\0"), "a size of minus 512": block(size=b"\xff" * 10 + b"\xfe\x00"),
    "a pax of a size below zero": block(b"x", b"\xff" * 10 + b"\xfe\x00"),
    "a name of a size below zero": block(b"L", b"\xff" * 10 + b"\xfe\x00"),
    "headers of headers": b"".join(extra(b"x", b"9 path=a\n") for _ in range(5000)),
    "names of names": b"".join(extra(b"L", b"a") for _ in range(5000)),
    "a wrong sum": block()[:148] + b"000000\0 " + block()[156:], "no header": b"\xff" * 512,
}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_headers_are_refused_at_once_and_leave_nothing(tmp_path, case, suffix):
    content = block(content=b"hi", size=b"00000000002\0", name=b"set/fine") + MALFORMED[case]
    content += block(name=b"set/last") + bytes(1024)
    archive = tmp_path / f"a{suffix}"
    archive.write_bytes(content if suffix == ".tar" else gzip.compress(content))
    started = time.process_time()
    with pytest.raises(MatlibError, match="a.t.* is (damaged or not a whole archive|refused)") as error:
        unpacked(archive)
    assert time.process_time() - started < 2 and "\n" not in str(error.value) and len(str(error.value)) < 600
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("claim", [block(b"x", b"%011o\0" % (1 << 32)), block(b"L", b"\x80" + b"\xff" * 11),
                                   block(b"0", b"\x80" + b"\xff" * 11),
                                   extra(b"x", b"28 size=99999999999999999999"[:27] + b"\n")])
def test_claims_of_gigabytes_cost_no_memory(tmp_path, claim):
    archive = tmp_path / "a.tar"
    with archive.open("wb") as file:
        file.write(claim + block())
        file.truncate(1 << 33)  # of holes, as far as the disk knows
    tracemalloc.start()
    with pytest.raises(MatlibError, match="is refused|is damaged"):
        unpack(archive, tmp_path / "out", Limits(bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("cut", [1, 511, 512, 600, 1024])
def test_a_tar_that_ends_early_is_damaged(cut):
    whole = block(content=b"x" * 600, size=b"%011o\0" % 600)
    with pytest.raises(DamagedTarError, match="ends in the middle"):
        for member in members(io.BytesIO(whole[:cut]), 1 << 20):
            while member.read(100):
                pass


def test_a_sparse_file_is_named_as_such(tmp_path):
    archive = tmp_path / "a.tar"
    archive.write_bytes(extra(b"x", b"22 GNU.sparse.major=1\n") + block() + bytes(1024))
    with pytest.raises(MatlibError, match="is a sparse file"):
        unpacked(archive)
