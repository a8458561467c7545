"""Every parameter of every notebook is checked at its start, and what is not of its kind is one sentence."""

import ast
import math

import nbformat
import pytest
import yaml
from pipeline import REPOSITORY

from matlib.errors import MatlibError
from matlib.report import parameters, tables
from matlib.report.difficulty import rungs_by_set
from matlib.report.options import effects
from matlib.report.parameters import check_parameters

NOTEBOOKS = sorted((REPOSITORY / "book").glob("*.ipynb"))
KINDS = {name: kind for name, kind in vars(parameters).items() if isinstance(kind, parameters.Kind)}
NAMES = ("TEXT", "FILE", "FOLDER")
LISTS = ("TEXTS", "FOLDERS", "SEEDS", "NUMBERS", "TEMPERATURES", "PLACES")


def cells(notebook):
    """The sources of the cell of parameters and of the code after it."""
    codes = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    at = next(i for i, cell in enumerate(codes) if "parameters" in cell.metadata.get("tags", []))
    return codes[at].source, codes[at + 1].source


def defaults(notebook):
    given = {}
    exec(cells(notebook)[0], given)
    return {name: value for name, value in given.items() if not name.startswith("__")}


def checked(notebook):
    """The kinds that a notebook's first statement after its imports gives to its parameters."""
    statements = [s for s in ast.parse(cells(notebook)[1]).body if not isinstance(s, ast.Import | ast.ImportFrom)]
    call = statements[0].value
    assert ast.unparse(call.func) == "check_parameters" and ast.unparse(call.args[0]) == "globals()"
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


PARAMETERS = [pytest.param(name, kind, defaults(path)[name], id=f"{path.stem}-{name}")
              for path in NOTEBOOKS for name, kind in checked(path).items()]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_parameters_are_checked_at_the_start_of_the_notebook(notebook, monkeypatch):
    kinds = checked(notebook)
    assert kinds.keys() == defaults(notebook).keys()
    monkeypatch.chdir(REPOSITORY)
    check_parameters(defaults(notebook), **{name: KINDS[kind] for name, kind in kinds.items()})


def test_what_the_tests_give_to_the_notebooks_is_of_their_kinds():
    given = yaml.safe_load((REPOSITORY / "tests" / "notebooks.yml").read_text())
    for notebook in NOTEBOOKS:
        for name, kind in checked(notebook).items():
            assert KINDS[kind].accepts(given[notebook.stem].get(name, defaults(notebook)[name])), (notebook, name)


def wrong(kind):
    """Values that are not of a kind, whatever the notebook does with them."""
    values = [None, {}, {"a": 1}, [None], [[]], math.nan, -1, "", " "]
    if kind not in NAMES:
        values += ["book/records", "1"]
    if kind in LISTS:
        values += ["[0, 1]", 0, 1, True, [True]]
    if kind not in LISTS:
        values += [[], [1], ["a"]]
    if kind in ("TEXTS", "FOLDERS", *NAMES):
        values += [5, 0.5, [5], ["a", 5], [""]]
    else:
        values += [["a"], [-1]]
    if kind in LISTS and kind != "TEXTS":
        values.append([])
    return values + {"COUNT": [0, 2.5, True, 10 ** 30], "SEED": [0.5, True, 10 ** 30], "NUMBER": [True, math.inf],
                     "SEEDS": [[0.5]], "TEMPERATURES": [[0.0], [0, 1], [math.inf]], "NUMBERS": [[math.nan]],
                     "SWITCH": [0, 1, "yes", "false"],
                     "PLACES": [[0.5, 0.5], [[0.5]], [[0.5, 0.5, 0.5]], [[0.5, 1.5]], [["a", "b"]], ["ab"]]
                     }.get(kind, [])


@pytest.mark.parametrize(("name", "kind", "default"), PARAMETERS)
def test_a_value_of_another_kind_is_one_sentence(name, kind, default, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    for value in wrong(kind):
        with pytest.raises(MatlibError, match=f"^{name} is .*; with papermill: -y '{name}: ") as told:
            check_parameters({name: value}, **{name: KINDS[kind]})
        assert "\n" not in str(told.value) and len(str(told.value)) < 400


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_kind_is_one(kind, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    check_parameters({"x": yaml.safe_load(KINDS[kind].example)}, x=KINDS[kind])


@pytest.mark.parametrize("lost", [["gone"], ["gone", "lost/too"], ["a" * 5000], ["a\0b"], ["file"]])
def test_without_any_of_its_folders_a_notebook_stops(tmp_path, monkeypatch, lost):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MatlibError, match="records: there is no folder .*in the root of the repository"):
        check_parameters({"records": lost}, records=parameters.FOLDERS)
    with pytest.raises(MatlibError, match="records: there is no folder"):
        check_parameters({"records": lost[0]}, records=parameters.FOLDER)


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    check_parameters({"step": "file"}, step=parameters.FILE)
    for name in (".", "gone"):
        with pytest.raises(MatlibError, match="step: there is no file"):
            check_parameters({"step": name}, step=parameters.FILE)


def test_each_missing_folder_has_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    check_parameters({"records": ["gone", "here", "lost"]}, records=parameters.FOLDERS)
    assert capsys.readouterr().out.splitlines() == [
        f"records: there is no folder {name}, so nothing of it is on this page" for name in ("gone", "lost")]


@pytest.mark.parametrize("read", [tables.load_records, tables.load_scores, tables.scored_runs, effects, rungs_by_set])
def test_a_name_in_place_of_a_list_is_refused_by_all_that_read_records(read, monkeypatch):
    monkeypatch.setattr("pathlib.Path.rglob", lambda *_: pytest.fail("it walks the disk"))
    for name in ("book/records", REPOSITORY):
        with pytest.raises(MatlibError, match="is a list of folders, not"):
            read(name)

