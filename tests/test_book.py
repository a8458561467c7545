"""The smoke profile, from nothing to the HTML: what was made, and what a reader without a network finds in it."""

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from book_status import needs
from bs4 import BeautifulSoup
from nbformat import v4, writes
from pipeline import REPOSITORY, snakemake

from matlib.ablations import TABLE_1

#: Elements and attributes by which a page makes the browser fetch something. Links to follow (`a`) are none of them.
FETCHES = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data",
           "video": "src"}


#: Bytes that a page may make a reader fetch, without its pictures. Half of it is MathJax.
PAGE = 1_500_000


@pytest.fixture(scope="session")
def pages(html: Path) -> dict[Path, BeautifulSoup]:
    return {path: BeautifulSoup(path.read_text(), "html.parser") for path in sorted(html.rglob("*.html"))
            if "_static" not in path.relative_to(html).parts}


@pytest.fixture(scope="session")
def contents(html: Path, pages: dict[Path, BeautifulSoup]) -> dict[Path, BeautifulSoup]:
    """The pages but the redirect to the first one."""
    return {path: page for path, page in pages.items() if path != html / "index.html"}


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


def test_every_number_that_leads_to_a_record_stands_in_it(html: Path, contents) -> None:
    links = [(path, a) for path, page in contents.items() for a in page.select("table a.record")]
    assert {path.name for path, _ in links} > {"results.html", "table1.html", "table2.html", "table3.html"}
    said = {}
    for path, a in links:
        target = urlsplit(a["href"])
        if a["href"] not in said:
            place = contents[(path.parent / target.path).resolve()].find(id=target.fragment)
            assert place, f"{path.name}: {a}"
            said[a["href"]] = set(re.findall(r"[\d.]+", place.get_text(" ")))
        numbers = re.findall(r"[\d.]+", a.get_text().partition("(")[0]) if a.get_text()[0].isdigit() else []
        assert said[a["href"]].issuperset(numbers), f"{path.name}: {a.get_text()} is not at {a['href']}"


def test_every_reference_record_is_on_a_page_with_its_checksum(html: Path, contents) -> None:
    said = " ".join(page.get_text(" ") for path, page in contents.items() if path.parent.name == "records")
    for record in (REPOSITORY / "book").rglob("record*.json"):
        assert hashlib.sha256(record.read_bytes()).hexdigest() in said, record


def test_the_status_page_has_every_notebook_as_passed(contents) -> None:
    (status,) = [page for path, page in contents.items() if path.name == "status.html"]
    lines = {line.td.get_text(): line.get_text(" ") for line in status.select("article tbody tr")}
    assert set(lines) == {path.stem for path in (REPOSITORY / "book").glob("*.ipynb")}
    assert all("passed" in line and "torch" in line for line in lines.values())


def test_each_notebook_says_what_it_takes_to_run(pipeline: Path, contents) -> None:
    pages = {path.stem: page for path, page in contents.items() if path.parent.name == "html"}
    seconds = {line.td.get_text(): float(line.find_all("td")[2].get_text())
               for line in pages["status"].select("article tbody tr")}
    for path in (pipeline / "_build" / "src").glob("*.ipynb"):
        given = json.loads(path.read_text())["metadata"]["papermill"]["parameters"]
        said = pages[path.stem].select_one("h1 + ul.page-needs").get_text(" ")
        assert f" {seconds[path.stem]:.0f} s" in said or f" {seconds[path.stem] / 60:.0f} min" in said, path.stem
        assert "GPU" in said and given.get("dataset", "") in said, path.stem
        assert ("a trained run" in said) == bool(given.get("run")), path.stem
    assert not pages["notation"].select("ul.page-needs")


def test_what_a_notebook_takes_comes_from_its_execution() -> None:
    def said(parameters: dict, duration: float = 30, **made: bool) -> list[str]:
        execution = {"end_time": "2026-01-01", "duration": duration, "parameters": parameters}
        return needs({"metadata": {"papermill": execution, "matlib": made}})

    assert said({"run": "runs/x", "dataset": "<b>"}, gpu=False) == [
        "<b>Time to run</b> 30 s, no GPU", "<b>Needs</b> a trained run", "<b>Data</b> &lt;b&gt;"]
    assert said({"records": ["a"], "own": ["b"], "runs": []}, 400, gpu=True) == [
        "<b>Time to run</b> 7 min, with a GPU", "<b>Needs</b> records of runs"]
    assert needs({"metadata": {}}) == []


def test_the_reference_has_signatures_with_shapes_and_the_prose_leads_to_it(contents) -> None:
    pages = {path.name: page for path, page in contents.items() if path.name.startswith("api")}
    warp = pages["api_mathematics.html"].find(id="matlib.geometry.warp")
    assert re.search(r"Float\[Tensor,\s*'b [^']*h w[^']*'\]", warp.get_text())
    links = [(a["href"], a.get_text()) for path, page in contents.items()
             for a in page.select("article a[href^='api_']:has(code)")]
    for link, words in links:
        page, _, name = link.partition("#")
        assert pages[page].find(id=name) and words.partition("(")[0].split(".")[-1] == name.split(".")[-1], link
    assert {"matlib.data.Truth", "IdentityHead"} <= {words for _, words in links}
    assert "data.joints" not in {words for _, words in links}  # a setting


#: What pages show and who renders the town have no reference: no reader of the book imports them.
APART = {"report", "annyville", "commands", "difficulty", "__main__", "__init__"}


def test_the_reference_has_every_module_that_a_reader_may_import(contents) -> None:
    said = {span["id"] for path, page in contents.items() if path.name.startswith("api_")
            for span in page.select("[id^='module-matlib']")}
    files = [path.relative_to(REPOSITORY / "matlib") for path in (REPOSITORY / "matlib").rglob("*.py")]
    modules = {f"module-matlib.{'.'.join(path.with_suffix('').parts)}" for path in files
               if not APART & {path.parts[0].removesuffix(".py"), path.stem}}
    assert modules - said == set() and len(modules) > 60


def test_where_the_prose_names_an_equation_of_the_paper_it_leads_to_it(html: Path, contents) -> None:
    links = 0
    for path, page in contents.items():
        for text in page.find_all(string=re.compile(r"\bEquations?\s+\d")):
            if text.find_parent(["p", "li"]) and not text.find_parent(["a", "nav", "template", "code", "pre"]) \
                    and not text.find_parent(class_="cell_output"):
                raise AssertionError(f"{path.name}: {text}")
        for a in page.select("article a[href*='#eq-']"):
            number = re.search(r"\d+$", a.get_text())[0]
            target = (path.parent / urlsplit(a["href"]).path) if urlsplit(a["href"]).path else path
            math = contents[target].find(id=urlsplit(a["href"]).fragment)
            assert f"\\tag{{{number}}}" in math.get_text(), f"{path.name}: {a}"
            links += 1
    assert links > 30


def test_book_shows_no_error_warning_or_path_of_this_machine(pages: dict[Path, BeautifulSoup]) -> None:
    for path, page in pages.items():
        for unwanted in ("Traceback (most recent call last)", "Warning:", str(REPOSITORY), sys.prefix):
            assert unwanted not in page.get_text(), f"{path.name} shows {unwanted}"


def test_every_page_is_titled_and_says_what_made_it(html: Path, pages, contents) -> None:
    title = yaml.safe_load((REPOSITORY / "_config.yml").read_text())["title"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    for path, page in pages.items():
        assert title in page.title.get_text(), path.name
    for path, page in contents.items():
        footer = page.select_one("footer.bd-footer-content")
        assert footer, path.name
        for said in (f"matlib {citation['version']}", citation["license"], citation["title"], "arXiv:"):
            assert said in footer.get_text(), f"{path.name}: {said}"
        for name in ("CHANGELOG.md", "LICENSE", "CITATION.cff"):
            link = footer.find("a", href=re.compile(f"{name}$"))
            assert (path.parent / link["href"]).is_file(), f"{path.name}: {name}"
        assert page.find("link", rel="icon")["href"].endswith("favicon.svg")


def test_site_holds_nothing_that_no_page_loads(html: Path) -> None:
    left = {path.relative_to(html).as_posix() for path in (html / "_static").rglob("*") if path.is_file()}
    unused = re.compile(r"\.map$|\.woff2$|fontawesome\.js|locales/|thebe|/sre/|svg\.js$")
    assert not {name for name in left if unused.search(name)}
    assert sum((html / name).stat().st_size for name in left) < 2_000_000


def test_pages_are_light_without_their_pictures(html: Path, contents) -> None:
    mathjax = sum(path.stat().st_size for path in (html / "_static" / "mathjax").rglob("*.js"))
    fonts = 90_000  # of MathJax, those that the book's equations use
    for path, page in contents.items():
        linked = {urlsplit(element.get("href") or element.get("src") or "").path
                  for element in page.select("script[src], link[rel=stylesheet]")}
        size = len(re.sub(r"data:image/[^\"']*|(?s:<svg.*?</svg>)", "", path.read_text()))
        size += sum((path.parent / name).stat().st_size for name in linked if "mathjax" not in name)
        size += mathjax + fonts if any("mathjax" in name for name in linked) else 0
        assert size < PAGE, f"{path.name}: {size:,} bytes"


def test_mathjax_has_all_that_it_is_told_to_load(html: Path, contents) -> None:
    mathjax = html / "_static" / "mathjax"
    for path, page in contents.items():
        if page.select_one("div.math, span.math"):
            assert page.find("script", src=re.compile(r"_static/mathjax/startup\.js")), path.name
            loaded = re.search(r'"load": \[([^]]*)\]', page.find("script", string=re.compile("window.MathJax")).string)
            for part in re.findall(r'"([^"]+)"', loaded[1]):
                assert (mathjax / f"{part.replace('[tex]', 'input/tex/extensions')}.js").is_file(), part


def test_wide_equations_and_tables_scroll_in_their_own_box(html: Path, contents) -> None:
    assert any(page.select("div.math") for page in contents.values())
    for path, page in contents.items():
        styles = [link["href"] for link in page.find_all("link", rel="stylesheet")]
        assert any("matlib.css" in style for style in styles), path.name
        for table in page.select("article table"):
            assert table.find_parent(class_=["text_html", "pst-scrollable-table-container"]), path.name
    css = re.sub(r"\s+", " ", (html / "_static" / "matlib.css").read_text())
    assert re.search(r"div\.math \{[^}]*overflow: auto hidden", css)
    assert re.search(r"\.text_html:has\(table\) \{[^}]*overflow-x: auto", css)
    assert "@media print" in css


def test_every_figure_and_table_is_numbered_captioned_and_described(contents) -> None:
    shown = 0
    for path, page in contents.items():
        for element in page.select("article svg, article img, article table"):
            if element.find_parent("svg"):
                continue
            figure = element.find_parent("figure") or element
            caption = figure.find(["figcaption", "caption"])
            if "records" in (path.parent.name, path.stem) or path.stem == "status":  # lists: a title is their caption
                assert caption or element.get("aria-label") or element.find("th"), f"{path.name}: {element}"
                continue
            assert caption and caption.select_one(".caption-number"), f"{path.name} shows without a number: {figure}"
            assert caption.select_one(".caption-text").get_text(strip=True), f"{path.name}: {figure.get('id')}"
            if element.name != "table":
                group = element.find_parent(attrs={"role": "group"}) or {}
                words = element.get("aria-label") or element.get("alt") or group.get("aria-label")
                assert words and not words.startswith("_images"), f"{path.name}: {figure.get('id')} has no words"
            shown += 1
    assert shown > 80


def test_no_two_figures_or_tables_of_the_book_have_one_number_and_none_has_one_of_the_papers(contents) -> None:
    numbers = [caption.get_text(strip=True) for page in contents.values() for caption in page.select(".caption-number")]
    assert len(numbers) > 80
    assert not [number for number in numbers if not re.fullmatch(r"(Figure|Table) \d+\.\d+", number)]
    assert [number for number, count in Counter(numbers).items() if count > 1] == []


@pytest.mark.parametrize(("numbered", "said"), [("true", ""), ("false", "page has numbered figures or tables")])
def test_a_page_with_tables_needs_a_chapter_number(tmp_path: Path, numbered: str, said: str) -> None:
    toc = f"format: jb-book\nroot: first\nparts:\n  - numbered: {numbered}\n    chapters:\n      - file: page\n"
    table = "# A page\n\n{numref}`tab`\n\n:::{table} A table.\n:name: tab\n\n| a |\n|---|\n| b |\n:::\n"
    first = table.replace("tab`", "tab-first`").replace("tab\n", "tab-first\n")
    build = small_book(tmp_path, toc, {"first.md": first, "page.md": table})
    assert (build.returncode != 0) == bool(said) and said in build.stderr
    for name, number in () if said else (("first", "Table 0.1"), ("page", "Table 1.1")):
        page = BeautifulSoup((tmp_path / f"_build/html/{name}.html").read_text(), "html.parser")
        assert [page.select_one(mark).get_text(strip=True) for mark in (".caption-number", "p a .std")] == [number] * 2


def test_no_letter_is_one_that_a_single_font_has(html: Path) -> None:
    """Unicode's private use: matplotlib's calligraphic letters are of its own font, and empty boxes elsewhere."""
    for path in (*html.glob("*.html"), *html.glob("_images/*.svg")):
        assert not re.search("[\ue000-\uf8ff]", path.read_text(encoding="utf-8")), path.name


def test_no_page_shows_a_reference_to_a_character_in_place_of_it(contents) -> None:
    shown = {path.name: re.findall(r".{0,20}&(?:#\d+|amp|lt|gt|quot);.{0,20}", page.get_text())
             for path, page in contents.items()}
    assert {name: found for name, found in shown.items() if found} == {}


def test_parameters_stand_once_and_set_up_cells_not_at_all(contents) -> None:
    for path, page in contents.items():
        assert not page.find(string=re.compile(r"check_parameters\(")), path.name
        assert len(page.select("div.tag_parameters, div.tag_injected-parameters")) <= 1, path.name


def small_book(folder: Path, toc: str, pages: dict[str, str], address: str = "") -> subprocess.CompletedProcess:
    """Builds a book of these pages with the settings and extensions of this one."""
    config = yaml.safe_load((REPOSITORY / "_config.yml").read_text())
    config["repository"]["url"] = address
    for extension in config["sphinx"]["local_extensions"]:
        config["sphinx"]["local_extensions"][extension] = str(REPOSITORY / "workflow")
    del config["bibtex_bibfiles"], config["sphinx"]["config"]["bibtex_reference_style"], config["html"]["favicon"]
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    (folder / "book").mkdir()
    (folder / "book" / "_toc.yml").write_text(toc)
    for name, text in pages.items():
        (folder / "book" / name).write_text(text)
    return subprocess.run(["jupyter-book", "build", "book", "-W", "-q"], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("address", "buttons", "colab", "files"), [
    ("", 0, 0, ""), ("https://github.com/someone/matlib", 1, 1, "https://github.com/someone/matlib"),
    ("https://gitlab.com/someone/matlib", 1, 0, "https://gitlab.com/someone/matlib/-")])
def test_one_setting_gives_every_page_its_source_buttons(
        tmp_path: Path, address: str, buttons: int, colab: int, files: str) -> None:
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# A notebook")],
                               metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    toc = "format: jb-book\nroot: page\nchapters:\n  - file: run\n"
    build = small_book(tmp_path, toc, {"page.md": "# A page\n\n$$x$$\n", "run.ipynb": writes(notebook)}, address)
    assert build.returncode == 0, build.stderr
    page = BeautifulSoup((tmp_path / "_build/html/page.html").read_text(), "html.parser")
    links = {a["href"] for a in page.find_all("a", href=True) if address and a["href"].startswith(address)}
    wanted = {address, f"{files}/edit/main/book/page.md", f"{files}/blob/main/book/page.md?plain=1"}
    assert (wanted <= links and any("/issues/" in link for link in links)) if buttons else not links
    assert bool(page.select(".dropdown-source-buttons")) == bool(buttons)
    run = BeautifulSoup((tmp_path / "_build/html/run.html").read_text(), "html.parser")
    started = [a["href"] for a in run.select("a[href*='mybinder.org']")]
    assert bool(started) == bool(buttons)
    assert all("someone/matlib/main" in unquote(where) and "run.ipynb" in where for where in started)
    opened = [a["href"] for a in run.select("a[href*='colab.']")]
    assert opened == ["https://colab.research.google.com/github/someone/matlib/blob/main/book/run.ipynb"] * colab
    first = [code.text for code in run.select("h1 + .page-needs code")]
    assert first[:1] == [f"!git clone --depth 1 {address} matlib && pip install -q -e matlib"] * colab
