"""From nothing to the book: data, runs of training, executed notebooks, HTML. `make book` calls this.

The tables that are filled are those that --config tables="1 2 3" names; the others show the reference records.
What is made again, and when:
  data   once; again when the preset or the seed below changes.
  runs   once for each row and seed. A run depends on its settings (every field of its RunConfig), on
         book/training.ipynb and on the data's manifest; not on the library's code, where an edited comment would cost
         hours. After a change of the code that should change results: `make clean-runs`. A run that was cut off goes
         on from its last epoch; one whose record or checkpoint is lost is trained anew. A run of other settings or
         data is moved into a hidden folder beside it before the new one starts.
  tests  of Table 3's runs on other sets, and of the shown runs on the real ones that are here; once for each run.
  scores of the shown run, and again when the code that scores changes.
  pages  the other notebooks: whenever the notebook, a record that it reads or the code that it runs changes
         (workflow/sources.py: a comment or a docstring is none, unless the page prints it).
  html   whenever a page, a text of the book or a file of the library changes: its docstrings are pages.
Everything is made in the working directory (--directory); the sources are read from where this file is.
"""

import fcntl
import json
import logging
import os
import sys
from collections import Counter
from pathlib import Path

from matlib.ablations import BESIDE_3, ROWS, TABLE_1, TABLE_2, TABLE_3, row_config
from matlib.errors import MatlibError
from snakemake.logging import LogEvent, logger

SOURCE = Path(os.path.relpath(workflow.basedir))
sys.path.append(str(SOURCE.resolve() / "workflow"))
import cluster
from sources import Sources

BOOK = SOURCE / "book"
CODE = Sources(SOURCE / "matlib", BOOK)
PROFILE = config.get("profile", "laptop")
SEEDS = str(config.get("seeds", 0)).split()
if not SEEDS or not all(seed.isascii() and seed.isdecimal() for seed in SEEDS):
    sys.exit(f'error: SEEDS are whole numbers from 0, as SEEDS="0 1 2"; got {config["seeds"]!r}')
ON = config.get("on", "local")
GPUS = int(config.get("gpus", 0))  # of this machine; on a cluster, of a run
SHARED_GPUS = GPUS if ON == "local" else 0  # those that a run chooses from: a batch system has chosen
PRESET = {"smoke": "tiny", "laptop": "small", "town": "large", "paper": "large"}.get(PROFILE, "small")
ROOT = "data" if PRESET == "small" else f"data/{PRESET}"
DATASET = "annyville-occluded"
HOLISTIC = "annyville-holistic"  # trains what Table 3 tests on sets without training images
TESTED_ON = {"annyville-occluded-pairs": ROOT, "annyville-partial-pairs": ROOT, "annyville-partial-single": ROOT,
             HOLISTIC: f"{ROOT}/second"}  # the last is another town
REAL = os.environ.get("MATLIB_REAL_DATA", "")
REAL_SETS = {"partial_reid": REAL, "partial_ilids": REAL} if REAL else {}
MANIFEST = f"{ROOT}/{DATASET}.json"
TABLES = str(config.get("tables", 1)).split()
if not set(TABLES) <= {"1", "2", "3"}:
    sys.exit(f'error: tables are 1, 2 and 3; got {config["tables"]!r}')
COMPARED = [ROWS["full"], ROWS["baseline"], ROWS["true_parts"], *TABLE_3, *BESIDE_3]
NAMES = sorted({row.name for number, rows in (("1", TABLE_1), ("2", TABLE_2), ("3", COMPARED)) if number in TABLES
                for row in rows} | {"baseline", "full"})  # pages show these two
RUN = "runs/{where}/{row}/seed{seed}"
RUNS = expand(RUN, where=PROFILE, row=NAMES, seed=SEEDS)
if "3" in TABLES:
    RUNS += expand(RUN, where=f"{PROFILE}-holistic", row=[row.name for row in COMPARED], seed=SEEDS)
SHOWN = f"runs/{PROFILE}/full/seed{SEEDS[0]}"  # the run that the single-run pages show
RECORDS = [f"{run}/record.json" for run in RUNS]
CHECKPOINTS = [f"{run}/checkpoint.pt" for run in RUNS]
TESTED = [RUN.format(where=PROFILE, row=row, seed=SEEDS[0]) for row in ("baseline", "full")]  # on the real sets
SCORES = f"{SHOWN}/record-scores-{DATASET}.json"  # a step of its own: no page writes what another one reads
TESTS = [f"{run}/record-{tested}.json" for run in RUNS if f"{PROFILE}-holistic" in run for tested in TESTED_ON]
TESTS += [f"{run}/record-{tested}.json" for run in TESTED for tested in REAL_SETS]
MEASURED = [*RECORDS, *TESTS, SCORES]  # a page that reads a folder of runs waits for all that comes into it
MODEL = [f"{SHOWN}/record.json", f"{SHOWN}/checkpoint.pt"]
REFERENCE = [str(path)
             for folder in ("records", "table3", "ladder", "effects", "trials", "longer", "ceiling", "elsewhere",
                            "photographs")
             for path in sorted((BOOK / folder).rglob("*.json"))]
TEXTS = [str(path) for path in sorted(BOOK.rglob("*")) if path.is_file() and path.suffix != ".ipynb"]
SITE = [*map(str, sorted((SOURCE / "workflow").glob("book_*.py"))),
        *(str(SOURCE / name) for name in ("CITATION.cff", "LICENSE", "CHANGELOG.md"))]
LIBRARY = [str(path) for path in sorted((SOURCE / "matlib").rglob("*.py"))]  # its docstrings are pages
PAGES = [f"_build/src/{path.name}" for path in sorted(BOOK.glob("*.ipynb"))]

# What a notebook is given, and what must be there before it runs; a notebook that is not named here needs nothing.
# Of a run that two folders have the last one counts: reference records are what the prose is about.
RECORDED = [f"runs/{PROFILE}", str(BOOK / "records")]
COMPARED_IN = [str(BOOK / folder) for folder in ("ceiling", "records", "table3")]
# All rows on the occluded twin, so that every page has the same deviation of trainings.
OCCLUDED = [*COMPARED_IN[:2], *map(str, sorted((BOOK / "table3").glob("*/occluded")))]
OWN = [f"runs/{PROFILE}", *([f"runs/{PROFILE}-holistic"] if "3" in TABLES else [])]
CHAPTERS = ("features", "keypoints", "equivariance", "motion", "parts", "objective")
PARAMETERS = {
    **{chapter: {"dataset": DATASET, "root": ROOT, "run": SHOWN} for chapter in CHAPTERS},
    **{chapter: {"dataset": DATASET, "root": ROOT, "run": SHOWN, "records": [str(BOOK / "records")]}
       for chapter in ("keypoints", "motion", "parts")},
    "data": {"dataset": DATASET, "root": ROOT},
    "datacard": {"root": ROOT},
    "model": {"profile": PROFILE, "step": str(BOOK / "records" / "step.json")},
    "options": {"records": [*RECORDED, str(BOOK / "effects")]},
    "difficulty": {"dataset": DATASET, "root": ROOT, "records": RECORDED, "ladder": [str(BOOK / "ladder")]}
                  | ({"spreads": [1], "seeds": [0]} if PROFILE == "smoke" else {}),
    "diagnostics": {"run": SHOWN},
    "table1": {"records": OCCLUDED, "own": OWN},
    "table2": {"records": OCCLUDED, "own": OWN, "dataset": DATASET, "root": ROOT,
               "runs": [RUN.format(where=PROFILE, row=row.name, seed=SEEDS[0]) for row in TABLE_2]},
    "table3": {"records": [*COMPARED_IN, str(BOOK / "photographs")], "own": OWN},
    "results": {"records": [*OWN, *COMPARED_IN]},
    "your_method": {"profile": PROFILE, "dataset": DATASET, "root": ROOT, "out": f"_build/own/{PROFILE}",
                    "records": [str(BOOK / "records"), str(BOOK / "table3")], "methods": str(BOOK)}
                   | ({"epochs": 1} if PROFILE == "smoke" else {}),
    "scores": {"records": RECORDED, "runs": [], "dataset": DATASET, "root": ROOT},
    "trials": {"records": str(BOOK / "trials")},
    "ceiling": {"records": [f"runs/{PROFILE}", *OCCLUDED],
                "chosen_on": [str(BOOK / "elsewhere")]},
    "pays": {"records": [f"runs/{PROFILE}", *OCCLUDED],
             "chosen_on": [str(BOOK / "elsewhere")]},
    "longer": {"records": [f"runs/{PROFILE}", *OCCLUDED, str(BOOK / "longer"), str(BOOK / "ladder" / "large")]},
    "figure1": {"run": SHOWN, "root": ROOT},
    "figure3": {"run": SHOWN, "root": ROOT},
    "protocol": {"run": SHOWN, "root": ROOT},
    # What it has just measured counts.
    "real": {"records": [str(BOOK / "records"), f"runs/{PROFILE}"],
             "designs": [str(BOOK / "table3"), str(BOOK / "photographs")], "runs": TESTED},
    "extractor": {"run": SHOWN, "dataset": DATASET, "root": ROOT},
}
NEEDS = {
    **{chapter: [MANIFEST, *MODEL] for chapter in CHAPTERS},
    "data": [MANIFEST],
    "datacard": [MANIFEST],
    "model": [str(BOOK / "records" / "step.json")],
    "options": MEASURED + REFERENCE,
    "difficulty": [MANIFEST] + MEASURED + REFERENCE,
    "diagnostics": MODEL,
    "table1": MEASURED + REFERENCE,
    "table2": [MANIFEST] + MEASURED + CHECKPOINTS + REFERENCE,
    "table3": MEASURED + REFERENCE,
    "results": MEASURED + REFERENCE,
    "your_method": [MANIFEST, str(BOOK / "halves.py")] + REFERENCE,  # it prints that file
    "scores": MEASURED + REFERENCE,
    "trials": REFERENCE,
    "ceiling": MEASURED + REFERENCE,
    "pays": MEASURED + REFERENCE,
    "longer": MEASURED + REFERENCE,
    "figure1": MODEL,
    "figure3": MODEL,
    "protocol": [MANIFEST, *MODEL],
    "real": MEASURED + CHECKPOINTS + REFERENCE,
    "extractor": [MANIFEST, *MODEL],
}
# Minutes on one core (data, page) or one job (run), for the estimate at the start.
MINUTES = {
    "smoke": {"data": 0.3, "run": 0.5, "page": 0.2, "html": 0.3},
    "laptop": {"data": 4, "run": 5, "page": 0.5, "html": 0.3},
    "town": {"data": 25, "run": 12, "page": 0.7, "html": 0.3},
    "paper": {"data": 120, "run": 90, "page": 2, "html": 0.3},
}

try:
    SETTINGS = {row.name: json.dumps(row_config(row.name, PROFILE).to_dict(), sort_keys=True) for row in ROWS.values()}
except MatlibError as error:
    sys.exit(f"error: {error}")


def run_parameters(wildcards):
    """Of book/training.ipynb, and of the step before it."""
    return json.dumps(dict(profile=PROFILE, row=wildcards.row, seed=int(wildcards.seed),
                           dataset=training_set(wildcards), root=ROOT, out=RUN.format(**wildcards)))


def training_set(wildcards):
    return HOLISTIC if wildcards.where.endswith("-holistic") else DATASET


def training_data(wildcards):
    return f"{ROOT}/{training_set(wildcards)}.json"


def tested_data(wildcards):
    return f"{TESTED_ON[wildcards.tested]}/{wildcards.tested}.json" if wildcards.tested in TESTED_ON else []


def hold_build_lock():
    """One build at a time in a folder. The system drops this lock with the process, so that none is ever stale."""
    global build_lock
    build_lock = open(".snakemake/build.lock", "w")
    try:
        fcntl.flock(build_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("error: another build is running in this folder; wait for it or stop it")


def tell_plan():
    """What is to be done, and about how long it takes here."""
    todo = Counter(job.rule.name for job in workflow.dag.needrun_jobs(exclude_finished=False))
    jobs = workflow.resource_settings  # a dry run has them as nodes, and one core
    slots, minutes = max(jobs.cores or 1, jobs.nodes or 1), MINUTES[PROFILE]
    steps = [("data", "data set to render", minutes["data"] / min(16, slots)),
             ("run", "runs to train", minutes["run"] / max(1, min(slots, todo["run"]))),
             ("test", "tests on other sets", 0.3 / max(1, min(slots, todo["test"]))),
             ("page", "notebooks to execute", minutes["page"]),
             ("html", "book to render", minutes["html"])]
    words = ", ".join(f"{todo[rule]} {what}" for rule, what, _ in steps if todo[rule])
    total = sum(todo[rule] * each for rule, _, each in steps)
    print(f"To do: {words}. About {max(1, round(total))} min with {slots} jobs at a time.", file=sys.stderr)


class Brief(logging.Filter):
    """Keeps the plan, each job's start, and what is done; a failure becomes one line: the job has said why.

    A dry run, in which Snakemake calls no hook, ends with the estimate that a build starts with.
    """

    DROPPED = ("Select jobs", "Execute ", "Finished jobid", "Using shell", "Provided", "Rules claiming",
               "RuleException", "Cannot restore", "Shutting down", "Removing output",
               "WorkflowError:\nAt least one job", "No SLURM account given", "No account was given",
               "Unable to guess SLURM account", "SLURM run ID", "Cleaning up SLURM log files")

    def filter(self, record):
        if getattr(record, "event", None) == LogEvent.JOB_ERROR:
            told = cluster.failure(record.rule_msg, record.log)
            print(f"Failed: rule {record.rule_name}, {record.output[0]}{told}", file=sys.stderr)
            return False
        if str(record.msg).startswith("This was a dry-run"):
            tell_plan()
        return not str(record.msg).startswith(self.DROPPED)


logger.addFilter(Brief())

def watch_cluster():
    """Jobs of a build that was killed go on; this one would do their work a second time."""
    if left := [job.number for job in cluster.jobs(Path.cwd())]:
        sys.exit("error: an earlier build in this folder has left jobs in SLURM; wait for them, or stop them: "
                 f"scancel {' '.join(left)}")
    cluster.Watch(Path.cwd(), float(config.get("watch", 30))).start()


onstart:
    hold_build_lock()
    tell_plan()
    if ON == "slurm":
        watch_cluster()


onerror:
    print("\nStopped. What is finished is kept, and training goes on from its checkpoints: "
          "give the same command again.", file=sys.stderr)


localrules: clear, training_page, html  # on a cluster too


wildcard_constraints:
    seed=r"\d+",
    where=f"{PROFILE}(-holistic)?",
    town=f"{ROOT}(/second)?",
    protocol=r"[a-z-]+",
    row=r"\w+",
    page=r"(?!training\b)\w+",
    tested="|".join([*TESTED_ON, *REAL_SETS]),


rule book:
    message: "all is made"
    input:
        RECORDS,
        CHECKPOINTS,
        TESTS,
        "_build/html/.buildinfo",
    default_target: True


rule data:
    message: "render the Annyville images"
    output: "{town}/annyville-{protocol}.json"
    params:
        preset=PRESET,
        seed=lambda wildcards: int(wildcards.town.endswith("/second")),
    threads: 16  # Snakemake lowers it to what there is
    shell:
        "exec python {SOURCE:q}/workflow/guard.py {wildcards.town:q}/.lock python -m matlib.annyville"
        " --preset {params.preset} --protocol {wildcards.protocol} --seed {params.seed} --workers {threads}"
        " --out {wildcards.town:q}"


rule clear:
    message: "make room for {wildcards.row}, seed {wildcards.seed}"
    input: training_data
    output: f"{RUN}/.wanted.json"
    params:
        settings=lambda wildcards: SETTINGS[wildcards.row],
        parameters=lambda wildcards: run_parameters(wildcards),
    priority: 20
    shell:
        "exec python {SOURCE:q}/workflow/clear.py {output:q} --parameters {params.parameters:q}"


rule run:
    message: "train {wildcards.row}, seed {wildcards.seed}"
    input:
        f"{RUN}/.wanted.json",
        notebook=BOOK / "training.ipynb",
        data=training_data,
    output:
        notebook=f"{RUN}/training.ipynb",
        # What is there when the job starts is of the wanted run, and is given back when the job fails: see `clear`.
        record=update(f"{RUN}/record.json"),
        checkpoint=update(f"{RUN}/checkpoint.pt"),
    params:
        settings=lambda wildcards: SETTINGS[wildcards.row],
        parameters=lambda wildcards: run_parameters(wildcards),
    threads: 8 if GPUS and ON != "local" else 1
    resources:
        gpu=1 if GPUS else 0,
        mem_mb=32000 if PROFILE == "paper" else 8000,
    priority: 10
    shell:
        "export OMP_NUM_THREADS={threads}; exec python {SOURCE:q}/workflow/execute.py {input.notebook:q}"
        " {output.notebook:q} --show --gpus {SHARED_GPUS} --parameters {params.parameters:q}"


rule test:
    message: "test {wildcards.row}, seed {wildcards.seed} on {wildcards.tested}"
    input:
        f"{RUN}/record.json",
        f"{RUN}/checkpoint.pt",
        data=tested_data,
    output: f"{RUN}/record-{{tested}}.json"
    params:
        run=lambda wildcards: RUN.format(**wildcards),
        root=lambda wildcards: (TESTED_ON | REAL_SETS)[wildcards.tested],
    threads: 1
    resources: gpu=1 if GPUS else 0
    shell:
        "export OMP_NUM_THREADS={threads}; exec python {SOURCE:q}/workflow/guard.py {params.run:q}/.test.lock"
        " python -m matlib.testing --run {params.run:q} --dataset {wildcards.tested} --root {params.root:q}"


rule score:
    message: "score {wildcards.row}, seed {wildcards.seed} against the truth"
    input:
        f"{RUN}/record.json",
        f"{RUN}/checkpoint.pt",
        data=training_data,
    output: f"{RUN}/record-scores-{DATASET}.json"
    params:
        code=CODE.digest_of("matlib.scoring.scores"),
        run=lambda wildcards: RUN.format(**wildcards),
    threads: 1
    resources: gpu=1 if GPUS else 0
    shell:
        "export OMP_NUM_THREADS={threads}; exec python {SOURCE:q}/workflow/guard.py {params.run:q}/.score.lock"
        " python -m matlib.scoring --run {params.run:q} --dataset {DATASET} --root {ROOT:q}"


rule training_page:
    message: "page training"
    input: f"{SHOWN}/training.ipynb"
    output: "_build/src/training.ipynb"
    shell: "cp {input:q} {output:q}"


rule page:
    message: "page {wildcards.page}"
    input:
        lambda wildcards: NEEDS.get(wildcards.page, []),
        notebook=BOOK / "{page}.ipynb",
    output: "_build/src/{page}.ipynb"
    params:
        code=lambda wildcards: CODE.digest(BOOK / f"{wildcards.page}.ipynb"),
        parameters=lambda wildcards: json.dumps(PARAMETERS.get(wildcards.page, {})),
        real_data=lambda wildcards: REAL if wildcards.page == "real" else "",
    shell:
        "exec python {SOURCE:q}/workflow/execute.py {input.notebook:q} {output:q} --parameters {params.parameters:q}"


rule html:
    message: "render the book"
    input:
        TEXTS,
        SITE,
        LIBRARY,
        config=SOURCE / "_config.yml",
        pages=PAGES,
    output: "_build/html/.buildinfo"
    log: "_build/html.log"
    shell:
        "exec python {SOURCE:q}/workflow/book_html.py {BOOK:q} _build/html --pages {input.pages:q}"
        " --config {input.config:q} --log {log:q}"
