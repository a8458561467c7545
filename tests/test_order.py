"""A book does not depend on the order in which its pages were executed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import opened
import pytest
from pipeline import REPOSITORY, WATCHED, WORK, snakemake

#: Pages that read whatever lies in the folder of all runs, the last step that writes there, and what others write.
PAGES = ("real", "scores", "longer", "results")


def test_nothing_is_read_that_need_not_be_made_before(pipeline):
    summary = snakemake("--detailed-summary")
    assert summary.returncode == 0, summary.stderr
    ran, needs = opened.jobs(WATCHED), opened.inputs(summary.stdout)
    pages = {f"_build/src/{path.stem}.ipynb" for path in (REPOSITORY / "book").glob("*.ipynb")}
    assert pages - {"_build/src/training.ipynb"} <= set().union(*(job.writes for job in ran))
    assert not [*opened.undeclared(ran, needs)]


def test_pages_show_the_same_in_another_order(pipeline):
    """Where only what other rules than pages make is there at the start."""
    again = WORK / "again"  # as deep as the pipeline's folder: parameters name files of the book from there
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    (again / "data").symlink_to(pipeline / "data")
    for output in opened.inputs(snakemake("--detailed-summary").stdout):
        if output.startswith("runs/"):
            (again / output).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(pipeline / output, again / output)
    for page in sorted(PAGES, key=lambda page: _meta(pipeline, page)["end_time"], reverse=True):
        given = json.dumps(_meta(pipeline, page)["parameters"])
        command = [sys.executable, REPOSITORY / "workflow" / "execute.py", REPOSITORY / "book" / f"{page}.ipynb",
                   again / "_build" / "src" / f"{page}.ipynb", "--parameters", given]
        subprocess.run(command, cwd=again, check=True)
    for page in PAGES:
        assert _shown(again, page) == _shown(pipeline, page), page


def _notebook(build: Path, page: str) -> dict:
    return json.loads((build / "_build" / "src" / f"{page}.ipynb").read_text())


def _meta(build: Path, page: str) -> dict:
    return _notebook(build, page)["metadata"]["papermill"]


def _shown(build: Path, page: str) -> list[str]:
    """The texts, tables and pictures of a page, without the ids that are drawn for each."""
    cells = [cell for cell in _notebook(build, page)["cells"] if cell["cell_type"] == "code"]
    texts = [json.dumps(output.get("data", output.get("text")), sort_keys=True) for cell in cells for output in
             cell["outputs"]]
    return [re.sub(r"\bT_[0-9a-f]{5}", "", text) for text in texts]


@pytest.mark.parametrize(("needs", "faults"), [
    ({"one": {"note"}, "other": set()}, ["other reads shared/kept, which one writes"]),
    ({"one": {"note"}, "other": {"one"}}, []),
    ({"one": {"note"}, "between": {"one"}, "other": {"between"}}, []),
    ({"one": {"other"}, "other": set()}, ["other reads shared/kept, which one writes"]),
])
def test_a_page_that_reads_what_another_writes_is_found(tmp_path, needs, faults):
    """Also where it is a process that it starts, and what is written was renamed with its folder."""
    for folder in ("workflow", "notes", "hidden"):
        (tmp_path / folder).mkdir()
    write = "import os; open('hidden/kept', 'w').write('7'); open('one', 'w'); os.rename('hidden', 'shared')"
    read = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"shared/kept\")']); open('other', 'w')"
    for name, text in (("one", write), ("other", read)):
        script = tmp_path / "workflow" / f"{name}.py"
        script.write_text(text)
        environment = os.environ | {"WATCHED": str(tmp_path / "notes"), "PYTHONPATH": str(opened.WATCH)}
        subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, check=True)
    assert [*opened.undeclared(opened.jobs(tmp_path / "notes"), needs)] == faults
