"""The smoke profile, from nothing to the HTML: what was made, and what a reader without a network finds in it."""

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from pipeline import REPOSITORY, snakemake

from matlib.ablations import TABLE_1

#: Elements and attributes by which a page makes the browser fetch something. Links to follow (`a`) are none of them.
FETCHES = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data",
           "video": "src"}


@pytest.fixture(scope="session")
def html(pipeline: Path) -> Path:
    return pipeline / "_build" / "html"


@pytest.fixture(scope="session")
def pages(html: Path) -> dict[Path, BeautifulSoup]:
    return {path: BeautifulSoup(path.read_text(), "html.parser") for path in sorted(html.rglob("*.html"))
            if "_static" not in path.relative_to(html).parts}


def test_every_row_of_table_1_has_a_record(pipeline: Path) -> None:
    for row in TABLE_1:
        assert (pipeline / "runs" / "smoke" / row.name / "seed0" / "record.json").is_file()


def test_second_build_has_nothing_to_do(pipeline: Path) -> None:
    again = snakemake("--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_pages_write_no_record_that_another_could_read(pipeline: Path) -> None:
    """What is shown would depend on the order in which the pages were made."""
    runs = pipeline / "runs" / "smoke"
    made = {path.relative_to(runs).as_posix() for path in runs.rglob("record*.json")}
    steps = {f"{row.name}/seed0/record.json" for row in TABLE_1} | {"full/seed0/record-scores-annyville-occluded.json"}
    assert {path for path in made if "partial_" not in path} == steps  # the page of real photographs tests on these


def test_wrong_tables_are_one_sentence(tmp_path: Path) -> None:
    wrong = snakemake("--config", "tables=4", folder=tmp_path)
    assert wrong.returncode != 0 and "error: tables are 1, 2 and 3" in wrong.stderr and "Traceback" not in wrong.stderr


def test_wrong_profile_is_one_sentence(tmp_path: Path) -> None:
    wrong = snakemake("--config", "profile=desktop", folder=tmp_path)
    assert wrong.returncode != 0
    assert "error: there is no profile 'desktop'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_book_fetches_nothing_from_the_network(pages: dict[Path, BeautifulSoup]) -> None:
    for path, page in pages.items():
        for name, attribute in FETCHES.items():
            for element in page.find_all(name):
                if name == "link" and "canonical" in element.get("rel", []):
                    continue
                target = urlsplit(element.get(attribute) or "")
                assert not target.netloc, f"{path.name} fetches {element}"


def test_book_has_no_broken_internal_link(html: Path, pages: dict[Path, BeautifulSoup]) -> None:
    anchors = {path: {e["id"] for e in page.find_all(id=True)} | {e["name"] for e in page.find_all("a", {"name": True})}
               for path, page in pages.items()}
    for path, page in pages.items():
        for element in page.find_all(["a", "img", "link", "script"]):
            target = urlsplit(element.get("href") or element.get("src") or "")
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            assert file.exists(), f"{path.name}: {element}"
            if target.fragment and file in anchors:
                assert unquote(target.fragment) in anchors[file], f"{path.name}: {element}"


def test_book_shows_no_error_warning_or_path_of_this_machine(pages: dict[Path, BeautifulSoup]) -> None:
    for path, page in pages.items():
        for unwanted in ("Traceback (most recent call last)", "Warning:", str(REPOSITORY), sys.prefix):
            assert unwanted not in page.get_text(), f"{path.name} shows {unwanted}"
