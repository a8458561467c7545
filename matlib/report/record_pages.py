"""Records as HTML: what was run, on what, how long, and what came out, so that a number can be followed to its source.

A page has the runs of one row under one profile, in order: the means that the book shows, the settings, the learning
curves, and every training with its provenance, its results and the results by query that they follow from.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from matlib.ablations import ROWS, changed_settings, row_config, run_title
from matlib.config import RunConfig, differences
from matlib.report.options import OPTIONS
from matlib.report.tables import METRICS, SCORES, load_records, load_scores, mean_of
from matlib.report.text import framed_table
from matlib.runs.records import config_of, find_records

_SEED = re.compile(r"seed\d+")
_METRICS = METRICS | {"rank3": "R-3", "mINP": "mINP"}
_NETWORKS = {"trained": "trained", "untrained": "before training", "fixed": "the same in every image",
             "truth": "the true parts"}
_BY_QUERY = {"identities": "identity of each query", "first_ranks": "rank of its first match",
             "average_precisions": "its average precision"}


@dataclass(frozen=True)
class Run:
    """One training: the folder of its records, its own and those of its tests and scores."""

    folder: Path
    records: tuple[dict[str, Any], ...]

    @property
    def first(self) -> dict[str, Any]:
        return self.records[0]

    @cached_property
    def config(self) -> RunConfig:
        return config_of(self.first)

    @property
    def row(self) -> str:
        """The name of its row's folder."""
        return (self.folder.parent if _SEED.fullmatch(self.folder.name) else self.folder).name

    @property
    def anchor(self) -> str:
        return f"{self.row}-{self.folder.name}" if self.row != self.folder.name else self.row


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """The runs below the folders, in the order of their paths. Raises MatlibError for a damaged record."""
    found: dict[Path, list[dict[str, Any]]] = {}
    for record in find_records(*folders):
        found.setdefault(Path(record["path"]).parent, []).append(record)
    return [Run(folder, tuple(sorted(records, key=lambda record: "tested" in record)))
            for folder, records in found.items()]


def page_of(run: Run, root: Path) -> str:
    """The name of the page that has a run below the root: one a row. Rows that change one setting share a page:
    the trials, and what is worth what (``effects``) by the chapter that explains the setting."""
    place = (run.folder.parent if _SEED.fullmatch(run.folder.name) else run.folder).relative_to(root).parts
    if place[0] == "trials":
        return "trials"
    if place[0] == "effects":
        changed = changed_settings(run.config)
        return f"effects-{next((option.chapter for option in OPTIONS if option.name in changed), 'others')}"
    return re.sub(r"[^\w-]", "_", "-".join(place[1:] if place[0] == "records" else place))


def row_section(runs: Sequence[Run], means: Mapping[str, Sequence[Path]], root: Path,
                address: Callable[[Path], str]) -> str:
    """A row's runs as HTML: ``means`` are the folders of the runs that the book averages, by the anchor of the mean;
    ``root`` is where shown paths begin, ``address`` where the run of a folder stands."""
    parts = [f"<h2>{escape(_title(runs[0]))}</h2>", _opening(runs, root)]
    for anchor, folders in means.items():
        parts.append(_part(anchor, f"Mean of {_count(len(folders), 'run')}", _means(folders, root, address)))
    parts.append(_part(f"{runs[0].row}-settings", "Settings", _settings(runs[0].config)))
    if curves := learning_curves({run.folder.name: run.first.get("history", []) for run in runs}):
        parts.append(_part(f"{runs[0].row}-curves", "Learning curves", curves))
    parts += [_run(run, root) for run in runs]
    return f'<section class="record-row">{"".join(parts)}</section>'


def _title(run: Run) -> str:
    label = ROWS[run.config.name].label if run.config.name in ROWS else run.config.name
    return f"{label}, {run.config.profile} profile"


def _opening(runs: Sequence[Run], root: Path) -> str:
    config, data = runs[0].config, runs[0].first["data"]
    return (f"<p><code>{escape(run_title(config))}</code>: {_count(len(runs), 'training')} of {config.train.epochs} "
            f"epochs on {_images(data)} images of {escape(data['name'])}. To train it "
            f"again:</p><pre>{escape(command(config))}</pre>")


def _images(data: Mapping[str, Any]) -> str:
    return f"{data['images']:,}" if "images" in data else "unknown"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def command(config: RunConfig) -> str:
    """The command that trains a run of this configuration, but for the place of its data."""
    name = config.name if config.name in ROWS or ":" in config.name else "full"
    values = config.flat
    base = row_config(name, config.profile, config.seed, {"recipe": config.recipe})
    changed = [key for key in differences(config, base) if key not in ("name", "data.root")]
    recipe = [f"--recipe {config.recipe}"] if config.recipe != "same_roof" else []
    return " ".join(["matlib train", f"--profile {config.profile}", f"--row {name}", f"--seed {config.seed}", *recipe,
                     *(f"--set {key}={values[key]}" for key in changed), "--out runs/again"])


def _means(folders: Sequence[Path], root: Path, address: Callable[[Path], str]) -> str:
    runs = load_records(folders)
    lines = [{"tested on": f"{name} ({data[:8]})", "n": str(len(of)),
              **{title: str(mean_of(of, metric)) for metric, title in _METRICS.items()}}
             for (name, data), of in runs.groupby(["tested_on", "tested_data"], sort=False)]
    listed = ", ".join(f'<a href="{address(folder)}">{escape(_relative(folder, root))}</a>' for folder in folders)
    return (_table(lines, "retrieval, percent, mean and standard deviation over n runs")
            + _scores(folders, "scores against the truth, percent, mean and standard deviation over n runs")
            + f"<p>The runs: {listed}.</p>")


def _scores(folders: Sequence[Path], caption: str) -> str:
    scores = load_scores(folders)
    return _table([{"network": words, "n": str(len(of)), **{title: str(mean_of(of, title)) for title in SCORES}}
                   for network, words in _NETWORKS.items() if len(of := scores[scores["network"] == network])], caption)


def _settings(config: RunConfig) -> str:
    row = config.name if config.name in ROWS or ":" in config.name else "full"
    own = changed_settings(config, row)
    said = _pairs(own) if own else f"<p>Those of the row <code>{escape(row)}</code> under its profile.</p>"
    return (_folded(f"how it differs from the row {row}", said, opened=True)
            + _folded("how it differs from the full model", _pairs(changed_settings(config)) or "<p>Not at all.</p>")
            + _folded("all settings", _pairs(config.flat)))


def _run(run: Run, root: Path) -> str:
    body = [_provenance(run, root)]
    body += [_results(name, metrics) for record in run.records for name, metrics in record["metrics"].items()]
    body.append(_scores([run.folder], "scores against the truth, percent"))
    if history := run.first.get("history"):
        body.append(_folded("losses by epoch", _table([{"epoch": str(entry["epoch"]), **_numbers(entry["losses"])}
                                                       for entry in history], "mean over the epoch's batches")))
    return _part(run.anchor, f"Seed {run.config.seed}", *body)


def _provenance(run: Run, root: Path) -> str:
    made, seconds, data = run.first.get("run", {}), run.first["seconds"], run.first["data"]
    versions = ", ".join(f"{name} {made[name]}" for name in ("matlib", "torch", "python") if name in made)
    said = {"seed": run.config.seed, "commit": made.get("commit"), "date": made.get("date"),
            "hardware": made.get("hardware"), "processes": made.get("processes"), "threads": made.get("threads"),
            "training": f"{seconds['training'] / 60:.1f} minutes", "versions": versions or None,
            "parameters": f"{run.first['parameters']:,}" if run.first.get("parameters") else None,
            "data": f"{data['name']}, {_images(data)} training images", "data's name": data["fingerprint"]}
    files = {_relative(Path(record["path"]), root):
             f"SHA-256 {hashlib.sha256(Path(record['path']).read_bytes()).hexdigest()}" for record in run.records}
    return _pairs({name: value for name, value in (said | files).items() if value is not None})


def _results(tested: str, metrics: Mapping[str, Any]) -> str:
    intervals = metrics.get("intervals", {})
    line = {title: f"{100 * metrics[name]:.1f}" + _interval(intervals.get(name))
            for name, title in _METRICS.items() if name in metrics}
    lists = metrics.get("per_query", {})
    known = {title: lists[name] for name, title in _BY_QUERY.items() if name in lists}
    by_query = "".join(f"<p>{title}:</p><pre>{escape(values)}</pre>" for title, values in known.items())
    caption = (f"tested on {tested}: {metrics['queries']:,} queries, {metrics['gallery']:,} gallery images; percent, "
               "with 95 % intervals over other queries")
    return _table([line], caption) + (_folded(f"by query, on {tested}", by_query) if by_query else "")


def _interval(ends: Sequence[float] | None) -> str:
    return f" ({100 * ends[0]:.1f}–{100 * ends[1]:.1f})" if ends else ""


def _numbers(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in values.items()}


def learning_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], width: int = 420, height: int = 150) -> str:
    """The total loss by epoch, a line a run, as an SVG that takes the page's ink; empty without two epochs."""
    totals = {name: [entry["losses"]["total"] for entry in history] for name, history in histories.items()
              if len(history) > 1}
    if not totals:
        return ""
    epochs, top = max(map(len, totals.values())), max(max(values) for values in totals.values())
    left, bottom = 56, height - 24

    def line(values: Sequence[float]) -> str:
        return " ".join(f"{left + (width - left - 8) * i / (epochs - 1):.1f},{bottom - (bottom - 12) * value / top:.1f}"
                        for i, value in enumerate(values))

    lines = "".join(f'<polyline points="{line(values)}" fill="none" stroke="currentColor"><title>{escape(name)}</title>'
                    "</polyline>" for name, values in totals.items())
    words = f"Total loss by epoch of {_count(len(totals), 'run')}, from {top:.3g} at most to " + ", ".join(
        f"{values[-1]:.3g}" for values in totals.values())
    labels = ((left - 6, 18, "end", f"{top:.3g}"), (left - 6, bottom, "end", "0"), (left, height - 6, "middle", "1"),
              (width - 8, height - 6, "end", f"epoch {epochs}"))
    texts = "".join(f'<text x="{x}" y="{y}" text-anchor="{at}">{text}</text>' for x, y, at, text in labels)
    return (f'<svg class="curves" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(words)}" '
            f'fill="currentColor" font-size="12">{lines}<path d="M{left} 8V{bottom}H{width}" fill="none" '
            f'stroke="currentColor" opacity=".5"/>{texts}</svg>')


def index(pages: Mapping[str, Sequence[Run]], root: Path) -> str:
    """The list of all record pages, of which the addresses are given, as HTML."""
    return framed_table(
        ("page", "trainings", "profile", "records in"),
        ([f'<a href="{address}">{escape(Path(address).stem)}</a>', str(len(runs)),
          escape(", ".join(sorted({run.config.profile for run in runs}))),
          f"<code>{escape(_relative(runs[0].folder.parent, root))}</code>"] for address, runs in pages.items()))


def _part(anchor: str, title: str, *content: str) -> str:
    return f'<section id="{escape(anchor)}"><h3>{escape(title)}</h3>{"".join(content)}</section>'


def _folded(summary: str, content: str, opened: bool = False) -> str:
    return f'<details{" open" if opened else ""}><summary>{escape(summary)}</summary>{content}</details>'


def _pairs(values: Mapping[str, Any]) -> str:
    lines = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in values.items())
    return f'<dl class="record">{lines}</dl>' if lines else ""


def _table(lines: Sequence[Mapping[str, str]], caption: str) -> str:
    """Lines with the same keys, as HTML; nothing without lines."""
    return framed_table(lines[0], (map(escape, line.values()) for line in lines), caption) if lines else ""


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
