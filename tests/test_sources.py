"""A page is made again when the code that it runs changes, and only then (workflow/sources.py)."""

import ast
import json
import os
import shutil
from functools import cache
from pathlib import Path

import pytest
import sources
from pipeline import REPOSITORY, snakemake

EVERY = {path.stem for path in (REPOSITORY / "book").glob("*.ipynb")}
#: Whoever scores, names parts by the true ones that they match, or tells strata of the hidden.
SCORED = {path.stem for path in (REPOSITORY / "book").glob("*.ipynb")
          if any(word in path.read_text() for word in ("from matlib.scoring", "look_of", "ranked", "rows as pictures"))}


@pytest.fixture
def copy(tmp_path) -> Path:
    """The code and the notebooks, to be edited."""
    shutil.copytree(REPOSITORY / "matlib", tmp_path / "matlib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "book").mkdir()
    for path in (REPOSITORY / "book").iterdir():
        if path.suffix in (".py", ".ipynb"):
            shutil.copy(path, tmp_path / "book")
    return tmp_path


@cache
def _digests_here() -> dict[str, str]:
    return _digests(REPOSITORY)


def _digests(root: Path) -> dict[str, str]:
    found = sources.Sources(root / "matlib", root / "book")
    return {name: found.digest(root / "book" / f"{name}.ipynb") for name in EVERY}


def _edit_last_body(path: Path) -> None:
    """A statement more at the end of the last function or method."""
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    last = max(functions, key=lambda node: node.lineno).body[-1]
    lines = text.splitlines()
    lines.insert(last.lineno - 1, f"{' ' * last.col_offset}edited = True")
    path.write_text("\n".join(lines) + "\n")


def _edit_docstring(path: Path) -> None:
    """Of the module, and one that takes more lines."""
    path.write_text(path.read_text().replace('"""', '"""In other words:\n\n', 1))


def _edit_comment(path: Path) -> None:
    path.write_text(path.read_text() + "# a comment\n")


def _changed(copy: Path, edit, name: str) -> set[str]:
    edit(copy / name)
    return {page for page, digest in _digests(copy).items() if digest != _digests_here()[page]}


@pytest.mark.parametrize(("module", "pages"), [
    ("matlib/extractor.py", {"extractor"}),
    ("matlib/report/difficulty.py", {"difficulty"}),
    ("matlib/scoring/keypoints.py", SCORED),  # imported when it is asked for
    ("matlib/training.py", {"training", "your_method"}),  # started as a command
    ("book/halves.py", {"your_method"}),  # named as a method
    ("matlib/baselines/pvpm.py", EVERY),  # records name it, and what it reads is asked of it
    ("matlib/geometry.py", EVERY),
])
def test_a_changed_statement_concerns_the_pages_that_run_it(copy, module, pages):
    assert _changed(copy, _edit_last_body, module) == pages


@pytest.mark.parametrize(("module", "docstring", "comment"), [
    ("matlib/geometry.py", set(), {"keypoints", "motion"}),  # shown without docstrings
    ("matlib/models/transformer.py", set(), {"features"}),
    ("matlib/baselines/pcb.py", {"table3"}, {"table3"}),
    ("matlib/report/tables.py", set(), set()),
    ("matlib/config.py", set(), set()),
    ("matlib/data/__init__.py", set(), set()),
])
def test_changed_words_concern_the_pages_that_print_them(copy, module, docstring, comment):
    before = (copy / module).read_text()
    assert _changed(copy, _edit_docstring, module) == docstring
    (copy / module).write_text(before)
    assert _changed(copy, _edit_comment, module) == comment


def test_a_changed_data_file_concerns_every_page(copy):
    assert _digests(copy) == _digests_here()
    with (copy / "matlib" / "annyville" / "body.npz").open("ab") as file:
        file.write(b"more")
    assert not _digests(copy).items() & _digests_here().items()


def test_every_way_to_name_a_module_is_read(tmp_path):
    files = {
        "toy/__init__.py": "", "toy/a.py": "from . import b\n", "toy/b.py": "def f():\n    from .deep import c\n",
        "toy/deep/__init__.py": "import toy.d as d\n", "toy/deep/c.py": "from ..e import x\n", "toy/d.py": "",
        "toy/e.py": "run = ['-m', 'toy.g']\nlater = f'toy.many.{run}'\n", "toy/g.py": "method = 'alone:Method'\n",
        "toy/many/__init__.py": "", "toy/many/one.py": "", "toy/many/two.py": "",
        "toy/unused.py": "", "toy/help.py": "program('toy.unused')\n'toy.unused'\n",
        "folder/alone.py": "", "folder/other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = sources.Sources(tmp_path / "toy", tmp_path / "folder")
    runs, prints = found.read(_notebook(tmp_path, "def f():\n    import toy.a, toy.help"))
    assert runs == found.paths.keys() - {"toy.unused", "other"} and not prints
    assert found.read(_notebook(tmp_path, "%timeit f()")) == (set(found.paths), dict.fromkeys(found.paths, True))


def test_what_a_package_hands_on_is_printed_from_where_it_is_defined(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text("from .a import f as g\n")
    (tmp_path / "toy" / "a.py").write_text("def f(): ...\n")
    cell = "from toy import g\nimport chapters\nchapters.show_source(g.__call__)"
    assert sources.Sources(tmp_path / "toy", tmp_path).read(_notebook(tmp_path, cell))[1] == {"toy.a": False}


def _notebook(folder: Path, code: str) -> Path:
    path = folder / "page.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [code]}]}))
    return path


def test_nothing_else_prints_code():
    """Whoever reads code or docstrings for a page is one of the printers that the digests know."""
    for path in sorted((REPOSITORY / "matlib").rglob("*.py")):
        for function in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)):
            reads = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
            if reads & {"getsource", "getsourcelines", "getdoc", "getcomments"}:
                assert function.name in sources.PRINTERS, f"{path}: {function.name}"
    for page in EVERY:
        assert "inspect" not in (REPOSITORY / "book" / f"{page}.ipynb").read_text()


def test_a_build_plans_the_pages_whose_code_has_changed(copy):
    """Of two pages that are made, one runs `matlib.report.step`."""
    pages = [f"_build/src/{name}.ipynb" for name in ("model", "trials")]
    for name in ("Snakefile", "workflow", "_config.yml"):
        (shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy)(REPOSITORY / name, copy / name)
    for folder in ("records", "trials"):
        shutil.copytree(REPOSITORY / "book" / folder, copy / "book" / folder, dirs_exist_ok=True)
    (copy / "_build" / "src").mkdir(parents=True)
    for page in pages:
        (copy / page).touch()

    def planned(*arguments: str) -> set[str]:
        told = snakemake("--snakefile", str(copy / "Snakefile"), *arguments, *pages, folder=copy)
        assert told.returncode == 0, told.stderr
        return {page for page in pages if f"page {Path(page).stem}" in told.stdout + told.stderr}

    planned("--touch", "--forceall")
    assert planned("--dry-run") == set()
    _edit_docstring(copy / "matlib" / "report" / "step.py")
    _edit_comment(copy / "matlib" / "report" / "step.py")
    os.utime(copy / "matlib" / "report" / "tables.py")
    assert planned("--dry-run") == set()
    _edit_last_body(copy / "matlib" / "report" / "step.py")
    assert planned("--dry-run") == {"_build/src/model.ipynb"}
