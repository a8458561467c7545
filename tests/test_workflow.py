"""What the build does when it is broken, moved, or given what it cannot use."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from pipeline import REPOSITORY, snakemake

from matlib.runs import checkpoints, earlier, records

RUN = Path("runs/smoke/baseline/seed0")
FILES = {records.RECORD, checkpoints.CHECKPOINT}


def train(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return snakemake(*arguments, *(str(RUN / name) for name in sorted(FILES)), folder=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder, with a space in its name, in which one run is finished."""
    folder = tmp_path_factory.mktemp("a build")
    done = train(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(finished, tmp_path_factory) -> Path:
    """A copy beside it: the build knows its sources by their paths from here."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("another build"), dirs_exist_ok=True))


def plan(folder: Path) -> str:
    return train(folder, "--dry-run").stdout


def test_what_is_finished_is_not_done_again(folder):
    assert "Nothing to be done" in plan(folder)


@pytest.mark.parametrize(("section", "field", "value"), [("config", "seed", 7), ("data", "fingerprint", "other")])
def test_a_training_that_fails_leaves_no_record_of_another_run(folder, monkeypatch, section, field, value):
    out = folder / RUN
    record = records.read_record(out)
    state = {"config": record["config"], "identities": 2, "model": {}, "fingerprint": record["data"]["fingerprint"]}
    checkpoints.save(out / earlier.RESUME, state)
    resume = (out / earlier.RESUME).read_bytes()
    old = record | {section: record[section] | {field: value}}
    records.write_record(out, old)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # training refuses that before its first epoch
    failed = train(folder, "--forcerun=clear")
    assert failed.returncode != 0 and "ACCELERATE_USE_FSDP" in failed.stderr + failed.stdout
    assert not FILES & set(os.listdir(out)) and (out / earlier.RESUME).read_bytes() == resume
    assert json.loads((out / ".earlier-1" / records.RECORD).read_text()) == old
    assert "train baseline" in plan(folder)
    (out / earlier.RESUME).unlink()
    monkeypatch.undo()
    assert train(folder).returncode == 0
    assert records.read_record(out)["config"] == record["config"] and "Nothing to be done" in plan(folder)


@pytest.mark.parametrize("lost", sorted(FILES))
def test_a_run_that_lost_a_file_is_trained_anew(folder, lost):
    before = checkpoints.read(folder / RUN / checkpoints.CHECKPOINT)["model"]
    (folder / RUN / lost).unlink()
    assert "train baseline" in plan(folder)
    done = train(folder)
    assert done.returncode == 0, done.stderr
    after = checkpoints.read(folder / RUN / checkpoints.CHECKPOINT)["model"]
    assert records.read_record(folder / RUN)["metrics"] and all(after[name].equal(before[name]) for name in before)


@pytest.mark.parametrize("seeds", ["0,1", "", "-1", "one", "1.5"])
def test_seeds_that_are_no_numbers_are_one_sentence(tmp_path, seeds):
    wrong = snakemake("--dry-run", "--config", "profile=smoke", f"seeds={seeds}", folder=tmp_path)
    assert wrong.returncode != 0 and "Traceback" not in wrong.stderr
    assert "error: SEEDS are whole numbers from 0" in wrong.stderr


def test_a_plan_says_how_long_it_would_take(tmp_path):
    """As a build does at its start: more runs take longer, and two jobs at a time are counted."""
    minutes = {}
    for tables, seeds in (("1", "0"), ("1 2 3", "0 1")):
        settings = ("profile=laptop", f"tables={tables}", f"seeds={seeds}")
        told = snakemake("--dry-run", "--config", *settings, folder=tmp_path)
        assert told.returncode == 0, told.stderr
        (line,) = [line for line in told.stderr.splitlines() if line.startswith("To do: ")]
        runs, minutes[tables] = (int(re.search(pattern, line)[1]) for pattern in (r"(\d+) runs to train", r"(\d+) min"))
        assert told.stdout.count("train ") == runs and line.endswith("with 2 jobs at a time.")
    assert minutes["1 2 3"] > 2 * minutes["1"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to another process than init")
def test_what_a_killed_process_started_ends_with_the_command(tmp_path):
    program = ("import os, subprocess; child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL); "
               "print(child.pid, flush=True); os.kill(os.getpid(), 9)")
    guard = [sys.executable, REPOSITORY / "workflow" / "guard.py", tmp_path / "lock", sys.executable, "-c", program]
    done = subprocess.run(guard, stdout=subprocess.PIPE, text=True, timeout=50)
    assert done.returncode != 0 and not psutil.pid_exists(int(done.stdout))


def test_a_pdf_without_a_browser_is_one_sentence(tmp_path):
    program = [sys.executable, REPOSITORY / "workflow" / "book_pdf.py", tmp_path, tmp_path / "book.pdf"]
    for browser, said in (("no-such-browser", "there is no built book"), ("no-such-browser", "printed by chromium")):
        done = subprocess.run(program, env=os.environ | {"CHROMIUM": browser}, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith("error: ") and said in done.stderr
        assert done.stderr.count("\n") == 1 and not (tmp_path / "book.pdf").exists()
        (tmp_path / "index.html").write_text("")


#: In another Makefile; the checkout's path may have spaces.
INCLUDED = "include " + str(REPOSITORY / "Makefile").replace(" ", "\\ ")


def _make(folder: Path, *arguments: str, **environment: str) -> str:
    """What make prints, as it would from a shell: a make around the tests tells those under it how to speak."""
    outer = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=folder, env=outer | environment, capture_output=True,
                          text=True, check=True).stdout


def test_a_clone_that_was_moved_is_installed_again(tmp_path):
    here, there = tmp_path / "a clone", tmp_path / "moved"
    (here / ".venv").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, here)
    (here / ".venv" / "pyvenv.cfg").write_text(f"command = python3 -m venv {here}/.venv\n")
    (here / ".venv" / "installed").touch()
    os.utime(here / ".venv" / "installed", (time.time() + 60,) * 2)
    assert "install.sh" not in _make(here, "-n", ".venv/installed")
    here.rename(there)
    assert "install.sh" in _make(there, "-n", ".venv/installed")


def test_the_real_sets_may_lie_in_a_folder_with_a_space(tmp_path):
    (tmp_path / "Makefile").write_text(f"{INCLUDED}\nshow: ; @echo \"$$MATLIB_REAL_DATA\"\n")
    assert _make(tmp_path, "show", MATLIB_REAL_DATA="/my sets/real").strip() == "/my sets/real"
    assert _make(tmp_path, "show", MATLIB_REAL_DATA="my sets").strip() == f"{tmp_path}/my sets"


def test_the_sources_may_lie_in_a_folder_with_a_space(finished, tmp_path):
    sources = tmp_path / "the sources"
    sources.symlink_to(REPOSITORY)
    page = "_build/src/model.ipynb"
    done = snakemake("--snakefile", str(sources / "Snakefile"), page, folder=finished)
    assert done.returncode == 0, done.stderr
    assert (finished / page).is_file()


@pytest.mark.parametrize(("profile", "gpus"), [("smoke", 0), ("laptop", 0), ("town", 0), ("paper", 1)])
def test_on_a_cluster_a_run_asks_for_a_gpu_where_its_profile_wants_one(tmp_path, profile, gpus):
    (tmp_path / "Makefile").write_text(f"{INCLUDED}\nshow: ; @echo '$(BUILD)'\n")
    os.symlink(REPOSITORY / "workflow", tmp_path / "workflow")
    said = _make(tmp_path, "show", "ON=slurm", f"PROFILE={profile}")
    assert f"gpus={gpus}" in said and "--resources" not in said
    assert "gpus=1" in _make(tmp_path, "show", "ON=slurm", f"PROFILE={profile}", "GPUS=1")


def _on_a_full_disk(script: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """A script of the workflow where no file may grow beyond 3 KB, which is what a full disk looks like to it."""
    limit = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); "
    run = "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    return subprocess.run([sys.executable, "-c", limit + run, REPOSITORY / "workflow" / script, *arguments],
                          capture_output=True, text=True, timeout=100)


def test_a_notebook_on_a_full_disk_does_not_count_as_done(tmp_path):
    notebook, output = tmp_path / "in.ipynb", tmp_path / "out" / "in.ipynb"
    cells = [nbformat.v4.new_markdown_cell("word " * 1000), nbformat.v4.new_code_cell("pass")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    full = _on_a_full_disk("execute.py", notebook, output)
    assert full.returncode == 1 and not output.exists()
    assert full.stderr.splitlines()[-1].startswith(f"error: {output} could not be written (File too large)")
    assert "Traceback" not in full.stderr


def test_a_book_on_a_full_disk_leaves_the_earlier_one(tmp_path):
    book, site = tmp_path / "book", tmp_path / "build" / "html"
    for folder in (book, site):
        folder.mkdir(parents=True)
        (folder / "page.md").write_text("word " * 1000)
    arguments = ["--pages", book / "page.md", "--config", tmp_path / "none", "--log", tmp_path / "log"]
    full = _on_a_full_disk("book_html.py", book, site, *arguments)
    assert full.returncode == 1 and os.listdir(site.parent) == ["html"] and os.listdir(site) == ["page.md"]
    assert full.stderr == (f"error: {site} could not be written (File too large); nothing that was finished is lost: "
                           "make room and run the same command again\n")
