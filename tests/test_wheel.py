"""The wheel holds what the library draws and starts with, and needs nothing of the checkout."""

import subprocess
import sys
import zipfile

import pytest
from pipeline import REPOSITORY

BUILD = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
USE = """
import sys
from pathlib import Path
import matlib
assert Path(matlib.__file__).is_relative_to(sys.path[0]), matlib.__file__
from matlib.ablations import row_config
from matlib.annyville import generate
from matlib.models import build_model
from matlib.report import figures
generate("occluded", "tiny", 0, Path("data"), workers=1)
build_model(row_config("full", "laptop").model, 2)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILD, folder], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    (path,) = folder.glob("mat_reid-*.whl")
    return path


def test_everything_that_is_tracked_is_in_the_wheel(wheel):
    tracked = subprocess.run(["git", "ls-files", "-z", "matlib"], cwd=REPOSITORY, capture_output=True, text=True,
                             check=True).stdout.split("\0")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert set(filter(None, tracked)) <= names
    assert {"matlib/annyville/body.npz", "matlib/models/weights/mobilenet_v2.pt"} <= names
    assert {name.rpartition("/")[2] for name in names} >= {"LICENSE", "NOTICE"}
    assert not [name for name in names if name.startswith(("tests/", "book/"))]


def test_the_wheel_works_outside_of_the_checkout(wheel, tmp_path):
    library, elsewhere = tmp_path / "library", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(library)
    elsewhere.mkdir()
    program = f"import sys; sys.path[0] = {str(library)!r}{USE}"
    done = subprocess.run([sys.executable, "-c", program], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "data" / "annyville-occluded.json").exists()
