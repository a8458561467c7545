"""The book's notebooks as nbval tests, `pytest tests/notebooks.yml`, and the pipeline that they and others read."""

import shutil
from pathlib import Path

import jaxtyping
import pytest
import torch
import yaml
from execute import check_parameters
from hypothesis import settings
from nbformat import read, v4, write
from nbval.plugin import IPyNbFile
from pipeline import PIPELINE, REPOSITORY, WORK, built, start, stop
from sources import Sources

SCRATCH = WORK / "scratch"

settings.register_profile("matlib", deadline=None)  # a busy machine is no failure
settings.load_profile("matlib")


@pytest.fixture(scope="session")
def pipeline() -> Path:
    """The folder in which the smoke profile has made data, runs, executed notebooks and HTML."""
    return built()


@pytest.fixture(scope="session")
def html(pipeline: Path) -> Path:
    """The folder of the built book."""
    return pipeline / "_build" / "html"


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def unchecked():
    """Leave bad shapes to the function's own sentences: the tests' run-time shape checks would come first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


class PreparedNotebook(IPyNbFile):
    """A notebook that reads what the pipeline has made."""

    def setup(self) -> None:
        built()
        super().setup()


class NotebookList(pytest.File):
    """tests/notebooks.yml: a copy of each notebook, with its fast parameters put in by papermill."""

    def collect(self):
        from papermill import execute_notebook  # takes seconds, and most test runs do without

        shutil.rmtree(SCRATCH, ignore_errors=True)
        SCRATCH.mkdir(parents=True)
        sources = Sources(REPOSITORY / "matlib", REPOSITORY / "book")
        text = self.path.read_text().replace("{pipeline}", str(PIPELINE)).replace("{scratch}", str(SCRATCH))
        for name, parameters in yaml.safe_load(text).items():
            source, copy = REPOSITORY / "book" / f"{name}.ipynb", SCRATCH / f"{name}.ipynb"
            check_parameters(source, parameters)
            execute_notebook(source, copy, parameters, prepare_only=True, progress_bar=False)
            _add_check(copy, sources.read(source)[0])
            yield PreparedNotebook.from_parent(self, path=copy, nodeid=f"book/{name}.ipynb")


def _add_check(notebook: Path, known: set[str]) -> None:
    """A last cell: all that the notebook has loaded is among what the build knows that it runs."""
    content = read(notebook, as_version=4)
    content.cells.append(v4.new_code_cell(
        "import sys\n"
        f"strange = {{name for name in sys.modules if name.partition('.')[0] in ('matlib', 'halves')}} - {known!r}\n"
        "assert not strange, strange"))
    write(content, notebook)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return NotebookList.from_parent(parent, path=file_path) if file_path.name == "notebooks.yml" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the pipeline is marked so, and comes last: it takes minutes, and runs beside the other tests."""
    def needs(item: pytest.Item) -> bool:
        return isinstance(item.parent, PreparedNotebook) or "pipeline" in getattr(item, "fixturenames", ())

    items.sort(key=needs)
    for item in filter(needs, items):
        item.add_marker("pipeline")


def pytest_collection_finish(session: pytest.Session) -> None:
    if any(item.get_closest_marker("pipeline") for item in session.items) and not session.config.option.collectonly:
        start()


def pytest_sessionfinish() -> None:
    stop()
