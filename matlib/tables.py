"""The paper's tables filled from records: the paper's numbers beside ours, each with its spread over seeds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from matlib.ablations import Row
from matlib.errors import MatlibError
from matlib.records import find_records

METRICS = {"rank1": "R-1", "rank5": "R-5", "rank10": "R-10", "mAP": "mAP"}
NOT_RUN = "–"


def load_records(folders: Iterable[Path | str] | str) -> pd.DataFrame:
    """All records below the folders, one row for each record and test set; metrics in percent. Empty where there are none.

    A run that lies in several folders (the same row, profile, seed and data) counts once: that of the last folder, so
    that one's own run takes the place of the reference record. Raises MatlibError for a name in place of a list.
    """
    if isinstance(folders, str | Path):
        raise MatlibError(f"records is a list of folders, not {str(folders)!r}; with papermill: -y 'records: [book/records]'")
    rows = [row for record in find_records(*folders) for row in _rows(record)]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.drop_duplicates(["name", "profile", "epochs", "seed", "fingerprint", "tested_on"], keep="last")


_COLUMNS = ("name", "profile", "epochs", "seed", "trained_on", "fingerprint", "tested_on", *METRICS, "rank3", "mINP",
            "queries", "gallery", "minutes", "hardware", "processes", "commit", "date", "torch", "path")


def _rows(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    config, run, data = record["config"], record["run"], record["data"]
    for name, metrics in record["metrics"].items():
        percent = {key: 100 * metrics[key] for key in (*METRICS, "rank3", "mINP")}
        yield {"name": config["name"], "profile": config["profile"], "epochs": config["train"]["epochs"],
               "seed": config["seed"], "trained_on": data["name"], "fingerprint": data["fingerprint"], "tested_on": name,
               **percent, "queries": metrics["queries"], "gallery": metrics["gallery"],
               "minutes": record["seconds"]["training"] / 60, "hardware": run["hardware"], "processes": run["processes"],
               "commit": run["commit"], "date": run["date"], "torch": run["torch"], "path": record["path"]}


def spread(values: Iterable[float]) -> str:
    """``mean ± standard deviation`` over seeds with one decimal; the value alone where there is one seed."""
    values = np.asarray(list(values), dtype=float)
    if not len(values):
        return NOT_RUN
    return f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else "")


def experiments(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The records that may stand in one table: same profile, schedule, data and test set. With a title for each."""
    groups = frame.groupby(["profile", "epochs", "trained_on", "fingerprint", "tested_on"], sort=True)
    return [(f"{profile} profile, {epochs} epochs, {trained} ({fingerprint[:8]})"
             + (f", tested on {tested}" if tested != trained else ""), group)
            for (profile, epochs, trained, fingerprint, tested), group in groups]


def table(rows: Iterable[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """One table: for each row of the paper its numbers (on Occluded-Duke) beside ours; n counts the seeds.

    ``frame`` is one of ``experiments``; a row without a record says so.
    """
    lines = {}
    for row in rows:
        ours = frame[frame["name"] == row.name]
        paper = {("paper, Occluded-Duke", title): _number(value) for title, value in zip(METRICS.values(), row.paper)}
        measured = {("measured here", title): spread(ours[key]).replace(" ", "") for key, title in METRICS.items()}
        lines[row.label] = paper | measured | {("measured here", "n"): len(ours)}
    result = pd.DataFrame.from_dict(lines, orient="index")
    result.columns = pd.MultiIndex.from_tuples(result.columns)
    return result


def show(frame: pd.DataFrame, caption: str = "") -> Styler:
    """The table as the book prints it."""
    return frame.style.set_caption(caption).format(precision=1).set_table_attributes('class="dataframe"')


def provenance(frame: pd.DataFrame) -> Styler:
    """Where each number comes from: one line a run; the hardware, mostly one, is the caption."""
    columns = {"name": "row", "profile": "profile", "seed": "seed", "tested_on": "tested on", "rank1": "R-1", "mAP": "mAP",
               "fingerprint": "data", "commit": "commit", "minutes": "minutes", "date": "date"}
    lines = frame[list(columns)].sort_values(["name", "profile", "seed", "tested_on"])
    short = {column: lines[column].str.replace(r"^(.{8}).*?(-dirty)?$", r"\1\2", regex=True)
             for column in ("fingerprint", "commit")}
    return show(lines.assign(**short).rename(columns=columns), "; ".join(sorted(set(frame["hardware"])))).hide(axis="index")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1f}"
