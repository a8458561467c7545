"""The members of a tar archive, read in one pass, in bounded memory, without trusting a header.

Regular files, folders and links of the formats in use: V7, ustar, GNU's long names, and pax. Python's own ``tarfile``
follows sizes below zero backwards, nested headers into a recursion, and pax headers of megabytes for minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

_BLOCK = 512
_LONGEST_HEADER = 1 << 20
_MOST_HEADERS = 16
_DIGITS = 20
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"5": "folder", b"1": "a link", b"2": "a link"}
_PAX, _GLOBAL, _LONG_NAME, _LONG_LINK, _LABEL, _SPARSE = (b"x", b"X"), b"g", b"L", b"K", b"V", b"S"


class DamagedTarError(Exception):
    """What is wrong with a tar, in words."""


@runtime_checkable
class Stream(Protocol):
    """Bytes that are read forwards."""

    def read(self, size: int) -> bytes: ...

    def seek(self, position: int) -> int: ...


@dataclass
class TarMember:
    """A member; its content is read from where the stream stands, before the next member is asked for."""

    name: str
    kind: str
    """``"file"``, ``"folder"``, or what it is instead."""
    size: int
    stream: Stream
    _left: int = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.size

    def read(self, size: int) -> bytes:
        block = self.stream.read(min(size, self._left)) if self._left else b""
        if self._left and not block:
            raise DamagedTarError("it ends in the middle")
        self._left -= len(block)
        return block


class TooLargeError(DamagedTarError):
    """A header, or a sparse file, that claims more than a set of photographs has."""


def members(stream: Stream, limit: int) -> Iterator[TarMember]:
    """The members in their order. ``limit``: the most bytes that one may claim.

    Raises DamagedTarError for anything that no honest writer makes, and where the archive ends too early.
    """
    position, settings, extra, headers = 0, {}, {}, 0
    while True:
        header = _exactly(stream, _BLOCK)
        position += _BLOCK
        if not any(header):
            return
        _check_sum(header)
        kind, size = header[156:157], _number(header[124:136])
        headers += 1
        if headers > _MOST_HEADERS:
            raise DamagedTarError("it has headers of headers")
        if kind in (*_PAX, _GLOBAL, _LONG_NAME, _LONG_LINK, _LABEL):
            if size > _LONGEST_HEADER:
                raise TooLargeError("it has a header of absurd length")
            content = _exactly(stream, size)
            if kind == _GLOBAL:
                settings |= _pax(content)
            elif kind in _PAX:
                extra |= _pax(content)
            elif kind == _LONG_NAME:
                extra["path"] = content.partition(b"\0")[0]
        else:
            claims = settings | extra
            size = _decimal(claims["size"]) if "size" in claims else size
            sparse = kind == _SPARSE or any(key.startswith("GNU.sparse") for key in claims)
            if max(size, _number(header[483:495]) if kind == _SPARSE else 0) > limit:
                raise TooLargeError("it has a member of absurd length")
            name = claims.get("path") or _name(header)
            what = "a sparse file" if sparse else _KINDS.get(kind, "a special file")
            if what == "file" and name.endswith(b"/"):
                what = "folder"
            yield TarMember(name.decode("utf-8", "surrogateescape"), what, size if what == "file" else 0, stream)
            size = size if what == "file" else 0
            extra, headers = {}, 0
        position += -(-size // _BLOCK) * _BLOCK
        stream.seek(position)


def _exactly(stream: Stream, size: int) -> bytes:
    content = stream.read(size) if size else b""
    if len(content) < size:
        raise DamagedTarError("it ends in the middle")
    return content


def _check_sum(header: bytes) -> None:
    blank = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blank)
    if _number(header[148:156]) not in (sum(blank), signed):
        raise DamagedTarError("a header's sum is wrong")


def _number(content: bytes) -> int:
    """Octal digits, or GNU's binary numbers; none is below zero."""
    if content[0] == 0x80:
        return int.from_bytes(content[1:], "big")
    digits = content.partition(b"\0")[0].strip()
    if not all(digit in b"01234567" for digit in digits):
        raise DamagedTarError("a header holds no number where one is to stand")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise DamagedTarError("a header holds no number where one is to stand")
    return int(digits)


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].partition(b"\0")[0], header[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _pax(content: bytes) -> dict[str, bytes]:
    """What matters of the records ``length key=value`` and a new line, each as long as it says."""
    found, at = {}, 0
    while at < len(content) and content[at]:
        space = content.find(b" ", at, at + _DIGITS)
        end = at + _decimal(content[at:space] if space > 0 else b"")
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if end > len(content) or end <= space or content[end - 1 : end] != b"\n" or not key or not equals:
            raise DamagedTarError("it has a malformed pax header")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse"):
            found[key.decode("utf-8", "surrogateescape")] = value
        at = end
    return found
