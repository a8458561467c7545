"""Table 3, retrained: every method under one roof, on the twins of the paper's six columns, and on photographs."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from matlib.ablations import Row, row_config
from matlib.config import RunConfig
from matlib.evaluation import Interval
from matlib.models import method_class
from matlib.report.links import linked
from matlib.report.tables import (
    METRICS, NOT_RUN, in_pairs, largest_first, mean_of, own_tests, paired_difference, training_chance,
)

OCCLUDED, HOLISTIC = "annyville-occluded", "annyville-holistic"


class Twin(NamedTuple):
    """A column: what it is the twin of, what was trained and tested on, and the metrics that the paper prints."""

    title: str
    of: str
    trained_on: str
    tested_on: str
    metrics: tuple[str, ...]
    elsewhere: bool = False  # tested on another town than the one that was trained on


TWINS = (
    Twin("occluded", "Occluded-Duke", OCCLUDED, OCCLUDED, ("rank1", "mAP")),
    Twin("occluded pairs", "Occluded-REID", HOLISTIC, "annyville-occluded-pairs", ("rank1", "mAP"), elsewhere=True),
    Twin("partial pairs", "Partial-REID", HOLISTIC, "annyville-partial-pairs", ("rank1", "rank3"), elsewhere=True),
    Twin("partial single", "Partial-iLIDS", HOLISTIC, "annyville-partial-single", ("rank1", "rank3"), elsewhere=True),
    Twin("holistic", "Market-1501", HOLISTIC, HOLISTIC, ("rank1", "mAP")),
    Twin("second town", "DukeMTMC-reID", HOLISTIC, HOLISTIC, ("rank1", "mAP"), elsewhere=True),
)

#: The same models on photographs, of people whom none of them has seen.
PHOTOGRAPHS = (
    Twin("Partial-REID", "Partial-REID", HOLISTIC, "partial_reid", ("rank1", "rank3", "mAP"), elsewhere=True),
    Twin("Partial-iLIDS", "Partial-iLIDS", HOLISTIC, "partial_ilids", ("rank1", "rank3", "mAP"), elsewhere=True),
)
_TITLES = METRICS | {"rank3": "R-3"}
_LACKING = {"joints": "for want of a detector's file of joints", "parts": "for want of true parts"}


def of_twin(twin: Twin, frame: pd.DataFrame) -> pd.DataFrame:
    """The records of one column, of those of one profile and schedule."""
    own = frame["tested_data"] == frame["fingerprint"]
    return frame[(frame["trained_on"] == twin.trained_on) & (frame["tested_on"] == twin.tested_on)
                 & (own != twin.elsewhere)]


def schedules(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The records that may stand in one block: same profile and epochs. With a title for each; those that have seen
    the most images in training stand first."""
    return largest_first([(f"{profile} profile, {epochs} epochs", group)
                          for (profile, epochs), group in frame.groupby(["profile", "epochs"], sort=True)])


def retrained(rows: Iterable[Row], frame: pd.DataFrame, columns: Iterable[Twin] = TWINS) -> pd.DataFrame:
    """One line a row that was run on some column's set: each one's metrics, mean and deviation over n seeds. Columns on
    which none was run are left out."""
    lines, rows = {}, list(rows)
    of_rows = frame[frame["name"].isin([row.name for row in rows])]
    columns = [column for column in columns if len(of_twin(column, of_rows))]
    for row in rows:
        ours = frame[frame["name"] == row.name]
        cells, count = {}, 0
        for column in columns:
            runs = of_twin(column, ours)
            cells |= {(column.title, _TITLES[metric]): mean_of(runs, metric) for metric in column.metrics}
            cells[(column.title, "n")] = len(runs) or NOT_RUN
            count += len(runs)
        if count:
            lines[row.label] = cells
    result = pd.DataFrame.from_dict(lines, orient="index", dtype=object)
    if len(result):
        result.columns = pd.MultiIndex.from_tuples(result.columns)
    return result


def own_methods(frame: pd.DataFrame) -> list[Row]:
    """A row for each method of one's own that has a record."""
    unknown = (math.nan,) * 4
    return [Row(name, name.rpartition(":")[2], unknown) for name in sorted(set(frame["name"])) if ":" in name]


def beside(rows: Iterable[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of any schedule side by side: one line for each row and length of training."""
    lines = {}
    for row in rows:
        for epochs, runs in frame[frame["name"] == row.name].groupby("epochs"):
            lines[f"{row.label}, {epochs} epochs"] = {
                "R-1": mean_of(runs, "rank1"), "mAP": mean_of(runs, "mAP"), "n": len(runs)}
    return pd.DataFrame.from_dict(lines, orient="index", dtype=object)


def not_run(rows: Iterable[Row], frame: pd.DataFrame) -> list[str]:
    """Labels of the rows without a record."""
    return [row.label for row in rows if row.name not in set(frame["name"])]


def why_no_photographs(rows: Iterable[Row], frame: pd.DataFrame) -> dict[str, list[str]]:
    """Labels of the rows without a record on photographs, by the reason: what they need that photographs lack."""
    tested = {name for column in PHOTOGRAPHS for name in of_twin(column, frame)["name"]}
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.name not in tested:
            needs = method_class(row_config(row.name, "laptop").model.architecture).truth
            reasons.setdefault(next((_LACKING[name] for name in needs), "yet"), []).append(row.label)
    return reasons


def costs(rows: Iterable[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """What each row is given and what it takes: on the occluded twin, the mean over its n runs."""
    lines = {}
    for row in rows:
        runs = own_tests(frame[(frame["name"] == row.name) & (frame["trained_on"] == OCCLUDED)])
        if not len(runs):
            continue
        config = runs["config"].iloc[0]
        lines[row.label] = {
            "size": f"{config.data.height} x {config.data.width}", "trunk": config.model.trunk,
            "beside the image": _input(config), "parameters, millions": f"{runs['parameters'].iloc[0] / 1e6:.2f}",
            "CPU seconds an epoch": _number(runs["cpu_per_epoch"].mean()),
            "milliseconds a query": f"{1000 * runs['seconds_per_query'].mean():.0f}",
            "n": linked(str(len(runs)), runs["path"])}
    return pd.DataFrame.from_dict(lines, orient="index", dtype=object)


def _number(value: float) -> str:
    return NOT_RUN if np.isnan(value) else f"{value:.0f}"


def _input(config: RunConfig) -> str:
    method = method_class(config.model.architecture)
    if "data.joints" in method.reads(config):
        return f"joints, {config.data.joints}"
    return "true parts" if "parts" in method.truth else NOT_RUN


def against(rows: Iterable[Row], frame: pd.DataFrame, reference: str = "full", columns: Iterable[Twin] = TWINS
            ) -> pd.DataFrame:
    """Each row less the reference on each column's set, query by query, in points of mAP, or of rank-1 where that is
    not the set's; see ``tables.paired_difference``."""
    lines: dict[str, dict[str, str]] = {}
    for label, twin, found in _differences(rows, frame, reference, columns):
        metric = _metric(twin)
        lines.setdefault(label, {})[f"{twin.title}, {_TITLES[metric]}"] = in_pairs(*found[metric])
    return pd.DataFrame.from_dict(lines, orient="index").fillna(NOT_RUN)


def sides(rows: Iterable[Row], frame: pd.DataFrame, reference: str = "full", columns: Iterable[Twin] = TWINS
          ) -> dict[str, dict[str, list[str]]]:
    """On which columns a row is ``above`` the reference beyond chance, and on which ``below`` it, by what ``against``
    shows: titles of columns by the row's label."""
    found: dict[str, dict[str, list[str]]] = {"above": {}, "below": {}}
    for label, twin, pair in _differences(rows, frame, reference, columns):
        low, high = pair[_metric(twin)].low, pair[_metric(twin)].high
        if low > 0 or high < 0:
            found["above" if low > 0 else "below"].setdefault(label, []).append(twin.title)
    return found


def _metric(twin: Twin) -> str:
    return "mAP" if "mAP" in twin.metrics else "rank1"


def _differences(rows: Iterable[Row], frame: pd.DataFrame, reference: str, columns: Iterable[Twin]
                 ) -> Iterator[tuple[str, Twin, dict[str, Interval]]]:
    rows = [row for row in rows if row.name != reference]
    for twin in columns:
        runs = of_twin(twin, frame)
        between = training_chance(runs, METRICS)
        theirs = runs[runs["name"] == reference]
        for row in rows:
            if found := paired_difference(runs[runs["name"] == row.name], theirs, between):
                yield row.label, twin, found


def chances(frame: pd.DataFrame, columns: Iterable[Twin] = TWINS) -> str:
    """What the intervals of ``against`` hold, in words."""
    tested = [runs for column in columns if len(runs := of_twin(column, frame))]
    repeated = [bool(runs["name"].duplicated().any()) for runs in tested]
    if all(repeated):
        return "other queries and other trainings"
    return "other queries, and other trainings where some were repeated" if any(repeated) else \
        "other queries alone, as no training was repeated"
