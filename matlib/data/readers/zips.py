"""A zip's members of bzip2 and LZMA, a piece at a time: Python's ``zipfile`` unpacks all that it has read, whole, and
4 KiB of bzip2 can hold gigabytes."""

from __future__ import annotations

import bz2
import copy
import lzma
import zipfile
import zlib


def open_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> zipfile.ZipExtFile | _Pieces:
    """The content of a member. Raises what ``zipfile`` and the decoders raise for a damaged one."""
    if info.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return opened.open(info)
    packed = copy.copy(info)
    packed.compress_type, packed.file_size, packed.CRC = zipfile.ZIP_STORED, info.compress_size, None
    stream = opened.open(packed)
    return _Pieces(bz2.BZ2File(stream) if info.compress_type == zipfile.ZIP_BZIP2 else _lzma(stream, info), info)


class _Pieces:
    """As many bytes as the member is to have, with the sum that it is to have."""

    def __init__(self, stream: bz2.BZ2File | lzma.LZMAFile, info: zipfile.ZipInfo) -> None:
        self._stream, self._info = stream, info
        self._left, self._sum = info.file_size, 0

    def __enter__(self) -> _Pieces:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, size: int) -> bytes:
        piece = self._stream.read(min(size, self._left)) if self._left else b""
        self._left -= len(piece)
        self._sum = zlib.crc32(piece, self._sum)
        if not piece and (self._left or self._sum != self._info.CRC):
            raise zipfile.BadZipFile(f"bad CRC-32 for file {self._info.filename!r}")
        return piece


def _lzma(stream: zipfile.ZipExtFile, info: zipfile.ZipInfo) -> lzma.LZMAFile:
    """A stream of a zip: two bytes of version, the length of the properties, and the properties."""
    header = stream.read(9)
    if len(header) < 9 or header[2:4] != b"\5\0" or header[4] >= 9 * 5 * 5:
        raise lzma.LZMAError("no LZMA properties")
    rest, lc = divmod(header[4], 9)
    pb, lp = divmod(rest, 5)
    window = min(int.from_bytes(header[5:], "little"), info.file_size)  # no more is ever looked back on
    settings = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": max(4096, window)}
    return lzma.LZMAFile(stream, format=lzma.FORMAT_RAW, filters=[settings])
