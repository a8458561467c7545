"""Studies beside the paper's tables: rows as steps, what each brings, and what motion adds to a design.

The few occluded queries of a small set say little, so two tests stand beside each other: the published one, and one in
which every image of a query's person asks (``load_dataset(..., asking="everyone")``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy import stats

from matlib.ablations import ROWS, TABLE_1, Row, row_config
from matlib.evaluation import Interval
from matlib.report import captions, figures
from matlib.report.captions import Shown
from matlib.report.links import linked
from matlib.report.tables import (
    METRICS, changes, in_pairs, mean_of, paired_difference, share_of_the_way, training_chance)
from matlib.report.text import plain
from matlib.report.verdicts import in_these_records

EVERYONE = "every image asks"
_ELSEWHERE = {"rank1": "R-1", "rank3": "R-3", "mAP": "mAP"}
OCCLUDED = "occluded queries"
TESTS = {"annyville-occluded": OCCLUDED, "annyville-occluded (asking=everyone)": EVERYONE}
_WHERE = {OCCLUDED: f"with {OCCLUDED}", EVERYONE: f"where {EVERYONE}"}


class Step(NamedTuple):
    """What a row is compared to, and the words for the difference."""

    words: str
    row: str
    less: str


class Way(NamedTuple):
    """A row between two others, and the words for how far it has come."""

    words: str
    row: str
    start: str
    end: str


def by_test(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The records of each of ``TESTS``, of models that were trained on the set's own training images."""
    own = frame[frame["tested_data"] == frame["fingerprint"]]
    return {title: own[own["tested_on"] == name] for name, title in TESTS.items()}


def retrieval(rows: Iterable[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """Rank-1 and mAP of each row that was run, in both tests: mean and standard deviation over n seeds, in percent, and
    a training's CPU time, where records have it. A test that nobody ran has no columns."""
    lines, tests = {}, _that_were_run(by_test(frame))
    for row in rows:
        runs = {title: of[of["name"] == row.name] for title, of in tests.items()}
        if any(len(own) for own in runs.values()):
            lines[row.label] = {(title, name): cell for title, own in runs.items() for name, cell in (
                ("R-1", mean_of(own, "rank1")), ("mAP", mean_of(own, "mAP")), ("n", len(own)))}
            seconds = np.concatenate([own["cpu_per_epoch"] * own["epochs"] for own in runs.values()])
            cost = "" if np.isnan(seconds).all() else f"{np.nanmean(seconds) / 60:.1f}"
            lines[row.label]["a training", "CPU min"] = cost
    result = pd.DataFrame.from_dict(lines, orient="index", dtype=object)
    result.columns = pd.MultiIndex.from_tuples(result.columns) if lines else result.columns
    return result


def choices(row: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Rank-1 and mAP of single trainings in both tests, a line each, which says what it changes in a row's settings."""
    lines: dict[str, dict[tuple[str, str], str]] = {}
    for title, runs in by_test(frame).items():
        for run in runs.itertuples():
            change = changes(row_config(row, run.profile), run.config)
            lines.setdefault(f"{change}, seed {run.seed}", {}).update(
                {(title, METRICS[metric]): linked(f"{getattr(run, metric):.1f}", [run.path])
                 for metric in ("rank1", "mAP")})
    result = pd.DataFrame.from_dict(lines, orient="index", dtype=object)
    result.columns = pd.MultiIndex.from_tuples(result.columns) if lines else result.columns
    return result.sort_index()


def elsewhere(frame: pd.DataFrame, sets: Mapping[str, str]) -> pd.DataFrame:
    """Rank-1, rank-3 and mAP of the models that were tested on ``sets`` (names and titles): mean and standard deviation
    over n seeds, in percent; a line for each row, and for each change of its settings, in the rows' order."""
    frame = frame[frame["tested_on"].isin(sets)]
    lines = {}
    for name in sorted(frame["name"].unique(), key=_place):
        row, _, changed = name.partition(", ")
        label = ", ".join(filter(None, (ROWS[row].label if row in ROWS else row, changed)))
        lines[label] = {}
        for of, title in sets.items():
            runs = frame[(frame["name"] == name) & (frame["tested_on"] == of)]
            cells = {metric: mean_of(runs, column) for column, metric in _ELSEWHERE.items()} | {"n": len(runs)}
            lines[label] |= {(title, metric): cell for metric, cell in cells.items()}
    result = pd.DataFrame.from_dict(lines, orient="index", dtype=object)
    result.columns = pd.MultiIndex.from_tuples(result.columns) if lines else result.columns
    return result


def steps_elsewhere(steps: Iterable[Step], frame: pd.DataFrame, sets: Mapping[str, str]) -> pd.DataFrame:
    """What each step brings in rank-1 and mAP on ``sets`` (names and titles), query by query, in points, with 95 %
    intervals; a step of which a row was not tested on any of them is left out."""
    lines: dict[str, dict[tuple[str, str], str]] = {}
    for of, title in sets.items():
        for metric in ("rank1", "mAP"):
            for words, row in _of_test(steps, frame[frame["tested_on"] == of], metric).iterrows():
                lines.setdefault(words, {})[title, METRICS[metric]] = in_pairs(*row)
    result = pd.DataFrame.from_dict(lines, orient="index", dtype=object)
    result.columns = pd.MultiIndex.from_tuples(result.columns) if lines else result.columns
    return result


def _place(name: str) -> tuple[int, str]:
    """Where a run's title stands: as its row does, Table 1's first, methods of one's own last."""
    rows = list(dict.fromkeys((*(row.name for row in TABLE_1), *ROWS)))
    row = name.partition(", ")[0]
    return rows.index(row) if row in ROWS else len(rows), name


def differences(steps: Iterable[Step], frame: pd.DataFrame, metric: str = "mAP") -> dict[str, pd.DataFrame]:
    """What each step brings in each test, query by query, in points: ``value``, ``low``, ``high``.

    The intervals are ``tables.paired_difference``'s, of 95 %, over other queries and other trainings; a step of which a
    row was not run is left out.
    """
    return {title: _of_test(steps, runs, metric) for title, runs in by_test(frame).items()}


def _of_test(steps: Iterable[Step], runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    lines, between = {}, training_chance(runs, METRICS)
    for step in steps:
        found = paired_difference(*(runs[runs["name"] == name] for name in (step.row, step.less)), between)
        if found:
            lines[step.words] = found[metric]._asdict()
    return pd.DataFrame.from_dict(lines, orient="index", columns=["value", "low", "high"])


def score_differences(steps: Iterable[Step], runs: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """What each step changes in scores against the truth (``tables.scored_runs``), in points, with the 95 % interval of
    Welch's t over trainings; empty cells where a row has less than two that were scored."""
    lines = {}
    for step in steps:
        sides = [runs[runs["name"] == name] for name in (step.row, step.less)]
        found = {score: _welch(*(side[score].dropna() for side in sides)) for score in scores}
        if any(found.values()):
            lines[step.words] = {score: in_pairs(*interval) if interval else "" for score, interval in found.items()}
    return pd.DataFrame.from_dict(lines, orient="index", columns=list(scores))


def _welch(ours: pd.Series, others: pd.Series) -> Interval | None:
    if min(len(ours), len(others)) < 2:
        return None
    found = stats.ttest_ind(ours, others, equal_var=False)
    interval, value = found.confidence_interval(0.95), float(ours.mean() - others.mean())
    error = float(np.hypot(ours.sem(), others.sem()))
    return Interval(value, float(interval.low), float(interval.high), error) if error else None


def verdicts(found: pd.DataFrame) -> str:
    """In words: which of the ``differences`` are beyond chance."""
    above, below = found["low"] > 0, found["high"] < 0
    words = {"Above 0 beyond chance": above, "Below 0 beyond chance": below, "Not told from 0": ~(above | below)}
    return " ".join(f"{word}: {'; '.join(_points(found[which]))}." for word, which in words.items() if which.any())


def told(found: Mapping[str, pd.DataFrame]) -> Markdown:
    """``verdicts`` of ``differences`` in the test that has most of the steps, as a page says them."""
    test = _fullest(found)
    said = verdicts(found[test])
    return in_these_records(f"{_WHERE[test]}. {plain(said)}" if said else "no step has both its rows yet.")


def _fullest(found: Mapping[str, pd.DataFrame | pd.Series]) -> str:
    """Of ``TESTS`` the one that has most lines; of two, that in which every image asks: it has more queries."""
    return max(TESTS.values(), key=lambda test: (len(found[test]), test == EVERYONE))


def _that_were_run(found: Mapping[str, pd.DataFrame]) -> Mapping[str, pd.DataFrame]:
    """Without the tests that nobody ran."""
    return {test: frame for test, frame in found.items() if len(frame)} or found


def forest(found: Mapping[str, pd.DataFrame], label: str, caption: str, of: str) -> Shown:
    """``differences`` as a figure of the book; see ``captions.figure``."""
    test = _fullest(found)
    said = "; ".join(f"{name} {in_pairs(*row[1:4])}" for name, row in zip(found[test].index, found[test].itertuples()))
    said = said or "none yet"
    return captions.figure(figures.forest(_that_were_run(found), "points of mAP"), label,
                           f"{caption}, query by query, with 95 % intervals over other queries and other trainings.",
                           f"Points with intervals around a line at 0; {_WHERE[test]}: {said}.", of)


def ladder(rows: Sequence[Row], frame: pd.DataFrame, label: str, caption: str, of: str) -> Shown:
    """The mAP of rows in both tests, in their order, as a figure of the book."""
    tests = by_test(frame)
    found = {title: own.groupby("name")["mAP"].mean() for title, own in tests.items()}
    test = _fullest({title: of[of.index.isin([row.name for row in rows])] for title, of in found.items()})
    means = {row.label: found[test][row.name] for row in rows if row.name in found[test]}
    words = ", ".join(f"{mean:.0f} % for {name}" for name, mean in means.items()) or "not known"
    labels = {row.name: row.label for row in rows}
    return captions.figure(figures.rungs(_that_were_run(tests), "mAP", labels, "mAP, %"), label,
                           f"{caption} A point is a training.", f"The mean mAP {_WHERE[test]} is {words}.", of)


def _points(found: pd.DataFrame) -> list[str]:
    return [f"{name} ({row.value:+.1f})" for name, row in zip(found.index, found.itertuples())]


def shares_of_the_way(ways: Iterable[Way], frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """How far each row has come on its way in each test, by mAP: ``tables.share_of_the_way``, in the columns of
    ``differences``."""
    found = {}
    for title, runs in by_test(frame).items():
        between, lines = training_chance(runs, METRICS), {}
        for way in ways:
            rows = (runs[runs["name"] == name] for name in (way.start, way.row, way.end))
            if share := share_of_the_way(*rows, between, "mAP"):
                lines[way.words] = share._asdict()
        found[title] = pd.DataFrame.from_dict(lines, orient="index", columns=["value", "low", "high"])
    return found


def told_ways(found: Mapping[str, pd.DataFrame]) -> Markdown:
    """``shares_of_the_way`` as a page says them."""
    said: dict[str, list[str]] = {}
    for test, of in found.items():
        for words, row in zip(of.index, of.itertuples()):
            said.setdefault(words, []).append(f"{row.value:.0f} % ({row.low:.0f} to {row.high:.0f}) {_WHERE[test]}")
    lines = "; ".join(f"{plain(words)}: {', '.join(shares)}" for words, shares in said.items())
    return in_these_records(f"how much of the way in mAP. {lines}." if lines else "no way has all its rows yet.")
