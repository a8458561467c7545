"""The kinds of picture files that are read, and the one way in which they are opened."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

# The lossless ones first: where a picture is there in two formats, the earlier one is read.
_SUFFIXES = {
    "TIFF": (".tif", ".tiff"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
}
_READ_ELSEWHERE = (".heic", ".heif", ".jxl", ".raw", ".dng", ".cr2", ".nef", ".arw", ".svg", ".tga")

Image.init()
FORMATS = tuple(name for name in _SUFFIXES if name in Image.OPEN)
"""Of Pillow's formats those that may be opened, whatever a file is called: others, as PostScript, start programs."""
IMAGE_SUFFIXES = tuple(suffix for name in FORMATS for suffix in _SUFFIXES[name])
OTHER_PICTURES = frozenset((*_READ_ELSEWHERE, *sum(_SUFFIXES.values(), ()), *Image.registered_extensions())) - {
    *IMAGE_SUFFIXES, ".pdf", ".mpg", ".mpeg", ".h5", ".hdf"}
"""Suffixes of pictures that are not read."""


def open_picture(path: Path) -> Image.Image:
    """A picture file, its pixels not yet decoded. Raises what PIL does, and ValueError for another format."""
    try:
        return Image.open(path, formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise ValueError(f"it is none of {', '.join(FORMATS)}, whatever its name says") from None
