"""Which picture files are read, and that no other decoder is ever started, whatever a file is called."""

import subprocess

import pytest
import torch
from PIL import EpsImagePlugin, Image

from matlib.data.formats import FORMATS, IMAGE_SUFFIXES, OTHER_PICTURES
from matlib.data.images import read_image
from matlib.data.truth import Truth
from matlib.errors import MatlibError

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 40\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_that_is_read_can_be(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (16, 32), (200, 100, 50)).save(path, format=next(
        name for name in FORMATS if Image.registered_extensions()[suffix] == name))
    assert torch.allclose(read_image(path).float().mean((1, 2)), torch.tensor([200.0, 100, 50]), atol=12)


def test_pictures_that_are_not_read_are_known_as_pictures():
    assert {".gif", ".heic", ".ppm", ".jp2"} <= OTHER_PICTURES
    assert not OTHER_PICTURES & {*IMAGE_SUFFIXES, ".txt", ".json", ".db", ".pdf"}


@pytest.fixture
def no_program(monkeypatch):
    """Where PIL would start Ghostscript, which no picture may bring about."""
    def started(*arguments, **named):
        raise AssertionError("a program was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    monkeypatch.setattr(subprocess, "check_call", started)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.tif", "a.webp", "a.eps"])
def test_postscript_under_any_name_starts_no_program(tmp_path, no_program, name):
    (tmp_path / name).write_bytes(POSTSCRIPT)
    with pytest.raises(MatlibError, match=f"{name} cannot be read as an image; .*it is none of TIFF, PNG"):
        read_image(tmp_path / name)


def test_a_mask_of_postscript_starts_no_program_either(tmp_path, no_program):
    truth = object.__new__(Truth)
    truth._mask_path = tmp_path / "mask.png"
    truth._mask_path.write_bytes(POSTSCRIPT)
    with pytest.raises(MatlibError, match="mask.png cannot be read"):
        truth.labels


@pytest.mark.parametrize("kind", ["GIF", "PPM", "TGA", "PCX"])
def test_other_formats_under_the_name_of_one_that_is_read(tmp_path, kind):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", format=kind)
    with pytest.raises(MatlibError, match="it is none of TIFF"):
        read_image(tmp_path / "a.jpg")


def test_a_format_under_the_name_of_another_is_read(tmp_path):
    """Downloads are often called .jpg whatever they are."""
    Image.new("RGB", (8, 16), (9, 9, 9)).save(tmp_path / "a.jpg", format="PNG")
    assert read_image(tmp_path / "a.jpg").unique().tolist() == [9]
