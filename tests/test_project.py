"""The project's own files agree with each other, and the notebooks are as papermill and reviewers need them."""

import ast
import re
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml
from environment import environment
from execute import check_parameters
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pipeline import REPOSITORY

import execute
import matlib

NOTEBOOKS = sorted((REPOSITORY / "book").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)


def test_environment_file_is_the_generated_one() -> None:
    assert (REPOSITORY / "environment.yml").read_text() == environment(REPOSITORY / "pyproject.toml")


def test_lock_satisfies_every_requirement() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    locked = {canonicalize_name(name): version for name, version in pins}
    for text in project["dependencies"] + extras["book"] + extras["test"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), text


def test_version_is_said_alike_everywhere() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    assert citation["version"] == matlib.__version__
    assert re.search(r"^## (\d\S*)", changes, re.MULTILINE)[1] == matlib.__version__


def test_nothing_that_is_tracked_is_ignored() -> None:
    """What git ignores, the wheel leaves out, too."""
    ignored = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(ignored, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout == ""


def test_no_line_of_code_is_over_120_characters() -> None:
    tracked = subprocess.run(["git", "ls-files", "*.py", "Snakefile"], cwd=REPOSITORY, capture_output=True, text=True,
                             check=True).stdout.split()
    assert "Snakefile" in tracked and "matlib/__init__.py" in tracked
    lines = ((path, i, line) for path in tracked
             for i, line in enumerate((REPOSITORY / path).read_text(encoding="utf-8").splitlines(), 1))
    assert [f"{path}:{i}" for path, i, line in lines if len(line) > 120] == []


def test_the_records_of_the_book_name_no_place_of_the_machine_that_made_them() -> None:
    named = [str(path) for path in (REPOSITORY / "book").rglob("*.json") if '": "/' in path.read_text()]
    assert not named


def test_notebooks_are_stripped() -> None:
    keys = "metadata.papermill cell.metadata.papermill"
    check = [sys.executable, "-m", "nbstripout", "--verify", "--extra-keys", keys, *NOTEBOOKS]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run `make strip`"


@notebooks
def test_notebook_has_one_parameters_cell_of_literals(notebook: Path) -> None:
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells
             if "parameters" in cell.metadata.get("tags", [])]
    assert len(cells) == 1
    for statement in ast.parse(cells[0].source).body:
        assert isinstance(statement, (ast.Assign, ast.AnnAssign))
        ast.literal_eval(statement.value)


@notebooks
def test_notebook_is_in_the_table_of_contents_and_tested(notebook: Path) -> None:
    toc = (REPOSITORY / "book" / "_toc.yml").read_text()
    assert re.search(rf"(file|root): {notebook.stem}$", toc, re.MULTILINE)
    assert notebook.stem in yaml.safe_load((REPOSITORY / "tests" / "notebooks.yml").read_text())


def test_unknown_notebook_parameter_is_refused(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "one.ipynb")
    assert check_parameters(tmp_path / "one.ipynb", {"seed": 1}) == {"seed": 1}
    assert check_parameters(tmp_path / "one.ipynb", {}) == {"seed": 0}
    with pytest.raises(ValueError, match="no parameter sead; it has seed"):
        check_parameters(tmp_path / "one.ipynb", {"sead": 1})


def test_a_page_has_the_given_parameters_in_place_of_the_defaults(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]})]
    for injected in (False, True):
        if injected:
            cells.append(nbformat.v4.new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]}))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
        execute.hide_defaults(tmp_path / "one.ipynb")
        tags = nbformat.read(tmp_path / "one.ipynb", as_version=4).cells[0].metadata.tags
        assert ("remove-cell" in tags) == injected


@notebooks
def test_notebook_shows_figures_and_tables_through_captions(notebook: Path) -> None:
    """A cell that draws or styles hands the result on: nothing is shown without number and caption."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", []):
            statements = ast.parse(cell.source).body
            last = ast.unparse(statements[-1]) if statements and isinstance(statements[-1], ast.Expr) else ""
            assert "plt.show()" not in cell.source and "HTML(" not in cell.source, cell.source
            assert not last.startswith(("tables.", "figures.", "pictures.", "pd.")), last


def _alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_guarded_command_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    guarded = [sys.executable, f"{REPOSITORY}/workflow/guard.py", f"{tmp_path}/lock", "sh", "-c", "echo $$; sleep 60"]
    command = f"{shlex.join(guarded)}; true"
    parent = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True)
    command_id = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while _alive(command_id):
        assert time.monotonic() < deadline, "the command lives on"
        time.sleep(0.1)


def test_a_kernel_that_did_not_start_is_started_again(monkeypatch) -> None:
    tried = []

    def start(*arguments, **options):
        tried.append(arguments)
        if len(tried) < 3:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr("papermill.execute_notebook", start)
    execute._run("notebook")
    assert tried == [("notebook",)] * 3
    monkeypatch.setattr("papermill.execute_notebook", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execute._run()
