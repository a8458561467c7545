"""Unpacking the archives in which data sets are published, without trusting them.

An archive is unpacked into a new folder that gets its name only when all of it is there, so that a killed
unpacking leaves nothing that looks like a data set; the next call goes on from what it had finished. Members
that would land outside, links and devices are refused, and so is an archive that grows far beyond its own size.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import secrets
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from matlib.data.readers.tars import Stream, TooLargeError, members
from matlib.data.readers.zips import open_member
from matlib.errors import MatlibError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

_BLOCK = 1 << 20
_STALE_SECONDS = 24 * 3600

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How large an archive may become. Photographs hardly shrink, so an honest one grows little."""

    members: int = 1_000_000
    depth: int = 64
    """Folders in folders."""
    name: int = 255
    """Bytes of a file's or folder's name: more fit on few disks."""
    bytes: int = 64 << 30
    growth: int = 100
    """Unpacked bytes for each byte of the archive, beyond the first 64 MiB, which are free."""

    def bytes_for(self, archive: Path) -> int:
        return min(self.bytes, (64 << 20) + self.growth * archive.stat().st_size)


class _Member(NamedTuple):
    name: str
    kind: str
    """``"file"``, ``"folder"``, or what it is instead."""
    size: int
    """Unpacked bytes, as the header says."""
    open: Callable[[], AbstractContextManager]


def is_archive(path: Path) -> bool:
    """Whether a path is a file that ``unpack`` can read, judged by its name."""
    return path.is_file() and path.name.lower().endswith(ARCHIVE_SUFFIXES)


def stem(archive: Path) -> str:
    """An archive's name without its suffix."""
    suffix = next(
        s for s in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True) if archive.name.lower().endswith(s)
    )
    return archive.name[: -len(suffix)]


def unpacked(archive: Path, limits: Limits = Limits()) -> Path:
    """The folder with an archive's content, unpacked now unless that was done before.

    It lies beside the archive and has its name without the suffix; where that folder cannot be written, it
    lies in the cache: the folder named by the environment variable ``MATLIB_CACHE``, or ``~/.cache/matlib``.
    Raises MatlibError as ``unpack`` does.
    """
    beside = archive.with_name(stem(archive))
    if beside.is_dir() or _is_writable(archive.parent):
        return unpack(archive, beside, limits)
    return unpack(archive, _cache_folder(archive), limits)


def unpack(archive: Path, target: Path, limits: Limits = Limits()) -> Path:
    """Unpack a zip or tar archive so that ``target`` is its content, unless ``target`` exists already.

    An archive that holds a single folder becomes that folder. What a killed or interrupted unpacking of the same
    archive had finished is kept and not written again. Several processes may do this at the same time: each
    writes what is still missing.

    Raises MatlibError for a damaged or encrypted archive, for members that leave the target, are links or
    devices or come twice, for more than ``limits`` allow, and where the disk is full. Nothing is left behind
    then.
    """
    if target.is_dir():
        return target
    growing = target.with_name(f".{target.name}.unpacking-{_key(archive)}")
    part = growing / f"part-{secrets.token_hex(4)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        (growing / "content").mkdir(parents=True, exist_ok=True)
        logger.info("unpacking %s to %s", archive, target)
        _extract_all(archive, growing / "content", part, limits)
        _install(growing / "content", target)
    except MatlibError:
        shutil.rmtree(growing, ignore_errors=True)
        raise
    except TooLargeError:
        shutil.rmtree(growing, ignore_errors=True)
        raise MatlibError(_too_large(archive)) from None
    except Exception as error:  # what decoders raise on damaged archives is of many kinds
        shutil.rmtree(growing, ignore_errors=True)
        if not isinstance(error, OSError) or error.errno is None:  # an errno is the disk's, or the system's
            why = str(error)[:200] or type(error).__name__
            raise MatlibError(f"{archive} is damaged or not a whole archive ({why}): fetch it again") from error
        if target.is_dir():  # another process was faster, and took the folder away
            return target
        raise MatlibError(
            f"{archive} cannot be unpacked to {target} ({error.strerror or error}): make room there, or name"
            " a folder that can be written in the environment variable MATLIB_CACHE"
        ) from error
    finally:
        with suppress(OSError):  # below a file, or a name too long: told above
            part.unlink(missing_ok=True)
    shutil.rmtree(growing, ignore_errors=True)
    return target


def _extract_all(archive: Path, folder: Path, part: Path, limits: Limits) -> None:
    """Write all files of the archive into the folder; ``part`` is where each of them grows."""
    left = limits.bytes_for(archive)
    written: set[tuple[str, ...]] = set()
    with _opened(archive, left) as members:
        for count, member in enumerate(tqdm(members, desc=archive.name, unit=" files", delay=2, disable=None), start=1):
            if count > limits.members:
                raise MatlibError(f"{archive} is refused: it has more than {limits.members} members")
            parts = _checked_parts(archive, member)
            if len(parts) > limits.depth or any(len(os.fsencode(part)) > limits.name for part in parts):
                raise MatlibError(f"{archive} is refused: it has folders in folders, or names, of absurd length")
            if not parts or parts[0] == "__MACOSX":  # what macOS adds to zips beside the real content
                continue
            path = folder.joinpath(*parts)
            if member.kind == "folder":
                if path.is_file():
                    raise MatlibError(f"{archive} is refused: at {member.name!r} a file and a folder have one name")
                path.mkdir(parents=True, exist_ok=True)
                continue
            if parts in written:
                raise MatlibError(f"{archive} is refused: it holds {member.name!r} twice")
            written.add(parts)
            if path.is_dir() or any(parts[:depth] in written for depth in range(1, len(parts))):
                raise MatlibError(f"{archive} is refused: at {member.name!r} a file and a folder have one name")
            path.parent.mkdir(parents=True, exist_ok=True)
            left = _copy(archive, member, path, part, left)


def _copy(archive: Path, member: _Member, path: Path, part: Path, left: int) -> int:
    """Write one file unless it is there; returns how many bytes are still allowed, whatever headers say of sizes."""
    if path.is_file() and path.stat().st_size == member.size:  # from an earlier call: files get their names when whole
        return left - member.size
    with member.open() as source, part.open("wb") as copy:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise MatlibError(_too_large(archive))
            copy.write(block)
    part.replace(path)
    return left


def _too_large(archive: Path) -> str:
    return f"{archive} is refused: unpacked it is far larger than a set of photographs can be"


def _checked_parts(archive: Path, member: _Member) -> tuple[str, ...]:
    """The member's path below the target, or MatlibError for one that no honest data set has."""
    if member.kind not in ("file", "folder"):
        raise MatlibError(
            f"{archive} is refused: its member {member.name!r} is {member.kind}, not a file or folder"
        )
    path = PurePosixPath(member.name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) or "\0" in member.name:
        raise MatlibError(
            f"{archive} is refused: its member {member.name!r} would be written outside its folder"
        )
    return path.parts


@contextmanager
def _opened(archive: Path, limit: int) -> Iterator[Iterator[_Member]]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(archive, opened)
    elif archive.suffix.lower() == ".tar":
        with archive.open("rb") as stream:
            yield _tar_members(stream, limit)
    else:
        with gzip.open(archive) as stream:
            yield _tar_members(_Bounded(stream, archive, limit), limit)


class _Bounded:
    """A decompressed stream that refuses to be read much further than a data set reaches: a gzip gives gigabytes for
    kilobytes."""

    def __init__(self, stream: gzip.GzipFile, archive: Path, limit: int) -> None:
        self._stream, self._archive = stream, archive
        self._end = 2 * limit  # headers and padding; the contents themselves are counted where they are written

    def read(self, size: int) -> bytes:
        if self._stream.tell() > self._end:
            raise MatlibError(_too_large(self._archive))
        return self._stream.read(size)

    def seek(self, position: int) -> int:
        if position > self._end:
            raise MatlibError(_too_large(self._archive))
        return self._stream.seek(position)


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Member]:
    for info in opened.infolist():
        if info.flag_bits & 1:
            raise MatlibError(f"{archive} is encrypted: unpack it by hand with its password")
        kind = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "a link"}.get(
            stat.S_IFMT(info.external_attr >> 16), "a special file"
        )
        if info.is_dir() and kind == "file":
            kind = "folder"
        yield _Member(info.filename, kind, info.file_size, lambda info=info: open_member(opened, info))


def _tar_members(stream: Stream, limit: int) -> Iterator[_Member]:
    for member in members(stream, limit):
        yield _Member(member.name, member.kind, member.size, lambda member=member: nullcontext(member))


def _install(content: Path, target: Path) -> None:
    """Give the finished folder its name; if another process was faster, its result stays."""
    inside = list(content.iterdir())
    single = len(inside) == 1 and inside[0].is_dir()
    try:
        (inside[0] if single else content).rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _remove_stale(target: Path) -> None:
    """Remove what an unpacking that was killed long ago has left."""
    for path in target.parent.glob(f".{target.name}.unpacking-*"):
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _is_writable(folder: Path) -> bool:
    """Whether files may be made in a folder; without any write permission they may not, even by root."""
    return bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)


def _cache_folder(archive: Path) -> Path:
    """Where this very archive is unpacked in the cache; another of the same name gets another folder."""
    cache = Path(os.environ.get("MATLIB_CACHE") or Path.home() / ".cache" / "matlib")
    return cache / "archives" / f"{stem(archive)}-{_key(archive)}"


def _key(archive: Path) -> str:
    """A short name of this very archive: another of the same path has another time or size."""
    status = archive.stat()
    return hashlib.sha256(f"{archive.resolve()}\0{status.st_size}\0{status.st_mtime_ns}".encode()).hexdigest()[:12]
