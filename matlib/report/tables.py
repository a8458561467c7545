"""The paper's tables filled from records: the paper's numbers beside ours, each with its spread over seeds."""

from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pandas.io.formats.style import Styler
from scipy import stats

from matlib.ablations import ROWS, Row, run_title
from matlib.config import RunConfig
from matlib.config import differences as changed_names
from matlib.errors import MatlibError
from matlib.evaluation import Interval, PerQuery, bootstrap_sum
from matlib.report.links import cell, linked, listing
from matlib.runs.records import config_of, find_records, listed, read_record

METRICS = {"rank1": "R-1", "rank5": "R-5", "rank10": "R-10", "mAP": "mAP"}
NOT_RUN = "–"
_NORMAL = 1.96  # standard errors to either side of a normal 95 % interval
RUN = ["name", "profile", "epochs", "seed", "fingerprint"]  # what tells one run's lines from another's


def load_records(folders: Iterable[Path | str] | str | Path) -> pd.DataFrame:
    """All records below the folders, a row for each record and test set; metrics in percent. Empty where there is none.

    ``name`` is ``ablations.run_title``: that of a row of the tables only where the run has the row's settings.

    A run that lies in several folders (the same row, profile, seed and data) counts once: that of the last folder.
    Raises MatlibError for a name in place of a list.
    """
    rows = [row for record in find_records(*listed(folders)) for row in _rows(record, _lines)]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.drop_duplicates([*RUN, "trained_on", "tested_on", "tested_data"], keep="last")


def own_tests(frame: pd.DataFrame) -> pd.DataFrame:
    """Those of ``load_records`` where a run was tested on the data set that it was trained on, with its own options."""
    return frame[(frame["tested_data"] == frame["fingerprint"]) & (frame["tested_on"] == frame["trained_on"])]


_COLUMNS = ("name", "config", "profile", "epochs", "seed", "trained_on", "fingerprint", "images", "tested_on",
            "tested_data", "parameters", "parts_in_use", "cpu_per_epoch", "seconds_per_query",
            *METRICS, "rank3", "mINP", "queries", "gallery", "minutes", "hardware", "processes", "commit", "date",
            "torch", "path", "intervals", "per_query")


def _rows(record: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]
          ) -> Iterable[dict[str, Any]]:
    """The lines of a record. Raises MatlibError with its file where it lacks what they need."""
    try:
        yield from lines(record)
    except MatlibError as error:
        raise MatlibError(f"{record['path']} is no record that this version can show: {error}") from None
    except KeyError as error:
        raise MatlibError(f"{record['path']} is not a run's record: it has no {error.args[0]}; delete it and run the "
                          "training again") from None
    except (AttributeError, TypeError):
        raise MatlibError(f"{record['path']} is not a run's record: a field of it is of a wrong type; delete it and "
                          "run the training again") from None


def _lines(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    config, run, data = record["config"], record["run"], record["data"]
    settings = config_of(record)
    for name, metrics in record["metrics"].items():
        percent = {key: 100 * metrics[key] for key in (*METRICS, "rank3", "mINP")}
        yield {"name": run_title(settings), "config": settings, "profile": config["profile"],
               "epochs": config["train"]["epochs"], "seed": config["seed"],
               "trained_on": data["name"], "fingerprint": data["fingerprint"], "images": data.get("images"),
               "tested_on": name, "tested_data": record.get("tested", data)["fingerprint"],
               "parameters": record.get("parameters"), "parts_in_use": _parts_in_use(record),
               "cpu_per_epoch": record["seconds"].get("cpu", np.nan) / config["train"]["epochs"],
               "seconds_per_query": metrics["seconds"] / metrics["queries"] if "seconds" in metrics else None,
               **percent, "queries": metrics["queries"], "gallery": metrics["gallery"],
               "minutes": record["seconds"]["training"] / 60, "hardware": run["hardware"],
               "processes": run["processes"], "commit": run["commit"], "date": run["date"], "torch": run["torch"],
               "path": record["path"],
               "intervals": metrics.get("intervals", {}), "per_query": metrics.get("per_query", {})}


def _parts_in_use(record: dict[str, Any]) -> float:
    """Of the K parts, those that win a cell of the training's last batch, in percent; NaN for a model without parts."""
    last = (record.get("history") or [{}])[-1]
    return 100 * last.get("diagnostics", {}).get("parts_in_use", np.nan)


def spread(values: Iterable[float]) -> str:
    """``mean ± standard deviation`` over seeds with one decimal; the value alone where there is one seed."""
    values = np.asarray(list(values), dtype=float)
    if not len(values):
        return NOT_RUN
    return f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else "")


def measured(runs: pd.DataFrame, metric: str, interval: bool = True) -> str:
    """One cell for the runs of one row: over seeds ``mean±deviation``; for one seed ``value (low–high)``, if wanted.

    The latter is the 95 % bootstrap interval over the identities of the queries, where the record has it: what another
    draw of queries would do to the number, not what another training would. The cell leads to the runs' records.
    """
    if len(runs) != 1 or not interval or metric not in (intervals := runs["intervals"].iloc[0]):
        return mean_of(runs, metric)
    low, high = (100 * end for end in intervals[metric])
    return linked(f"{runs[metric].iloc[0]:.1f} ({low:.0f}–{high:.0f})", runs["path"])


def mean_of(runs: pd.DataFrame, column: str) -> str:
    """``spread`` of the runs that have such a number, as a cell that leads to their records."""
    known = runs[runs[column].notna()]
    return linked(spread(known[column]).replace(" ", ""), known["path"])


def differences(rows: Iterable[Row], frame: pd.DataFrame, against: str = "full") -> pd.DataFrame:
    """Each row less another, in points, query by query: ``difference (low to high)`` for rank-1 and mAP.

    Of the records of one of ``experiments``; see ``paired_difference``, and ``interval_note`` for what the intervals
    hold. n counts the row's seeds. A row whose records lack the results by query, or have other queries than the other
    row's, is left out.
    """
    lines = {}
    for row, ours, found in _paired(rows, frame, against):
        lines[row.label] = {title: in_pairs(*found[key]) for key, title in (("rank1", "R-1"), ("mAP", "mAP"))}
        lines[row.label]["n"] = linked(str(len(ours)), ours["path"])
    return pd.DataFrame.from_dict(lines, orient="index", dtype=object)


def difference_frames(rows: Iterable[Row], frame: pd.DataFrame, against: str = "full") -> dict[str, pd.DataFrame]:
    """``differences`` as numbers, a frame for each metric: ``value``, ``low``, ``high``, and ``paper``, the same
    difference of the paper's rows (NaN for a row that it does not have)."""
    printed, found = ROWS[against].paper, list(_paired(rows, frame, against))
    frames = {}
    for place, metric in ((0, "rank1"), (3, "mAP")):
        lines = {row.label: pair[metric]._asdict() | {"paper": row.paper[place] - printed[place]}
                 for row, _, pair in found}
        frames[METRICS[metric]] = pd.DataFrame.from_dict(lines, orient="index",
                                                         columns=["value", "low", "high", "paper"])
    return frames


def _paired(rows: Iterable[Row], frame: pd.DataFrame, against: str
            ) -> Iterator[tuple[Row, pd.DataFrame, dict[str, Interval]]]:
    """The rows that can be compared with another: each with its records and ``paired_difference``."""
    reference, between = frame[frame["name"] == against], training_chance(frame, METRICS)
    for row in rows:
        ours = frame[frame["name"] == row.name]
        found = paired_difference(ours, reference, between) if row.name != against else None
        if found:
            yield row, ours, found


def training_deviation(frame: pd.DataFrame, columns: Iterable[str]) -> pd.Series:
    """How far trainings that differ in their seed alone lie apart: for each column the standard deviation, pooled over
    the rows of one of ``experiments``; NaN where no row has two seeds."""
    values, names = frame[list(columns)], frame["name"]
    squares = (values - values.groupby(names).transform("mean")).pow(2).sum(min_count=1)
    return (squares / _repeats(values, names)).pow(0.5)


def training_chance(frame: pd.DataFrame, columns: Iterable[str]) -> pd.Series:
    """``training_deviation`` as intervals take it: larger where few trainings were repeated, by as much as Student's t
    is wider than the normal distribution."""
    wider = stats.t.ppf(0.975, _repeats(frame[list(columns)], frame["name"])) / _NORMAL
    return training_deviation(frame, columns) * wider


def _repeats(values: pd.DataFrame, names: pd.Series) -> pd.Series:
    """Degrees of freedom of each column: trainings beyond the first of their row; NaN where there are none."""
    return (values.groupby(names).count() - 1).clip(lower=0).sum().replace(0, np.nan)


def _training_variance(runs: pd.DataFrame, metric: str, pooled: float) -> float:
    """Of the mean over a row's runs, by the deviation of all rows, or by its own where that is larger."""
    own = runs[metric].std() if len(runs) > 1 else np.nan
    return np.nanmax([own, pooled, 0.0]) ** 2 / len(runs)


def paired_difference(
    runs: pd.DataFrame, others: pd.DataFrame, between: pd.Series | None
) -> dict[str, Interval] | None:
    """One row's runs less another's: for rank-1 and the like the difference of the means over all seeds, in points.

    Its interval is the normal 95 % one of two chances together: other queries, a bootstrap over their identities in
    pairs; and other trainings, by ``between``, which is ``training_chance``'s (where it is NaN, of the queries
    alone), or by a row's own deviation where that is larger; None: the same networks, so the queries alone.
    None where there are no such runs, no results by query, or other queries.
    """
    return _sum((1.0, runs), (-1.0, others), between=between)


def steps_difference(first: pd.DataFrame, middle: pd.DataFrame, last: pd.DataFrame, between: pd.Series
                     ) -> dict[str, Interval] | None:
    """What the step from the first row's runs to the middle one's brings, less what the step from there to the last
    brings; as ``paired_difference``, whose chances it holds, with those of the middle row counted twice."""
    return _sum((-1.0, first), (2.0, middle), (-1.0, last), between=between)


def share_of_the_way(first: pd.DataFrame, here: pd.DataFrame, last: pd.DataFrame, between: pd.Series, metric: str
                     ) -> Interval | None:
    """How far one row's runs lie on the way from the first row's to the last one's: 0 there, 100 here, in percent.

    Its interval is that of the linear part of the quotient: the chances of ``paired_difference`` of this row less the
    point of the way at which it lies, over the way's length. None where rows have no runs, or other queries.
    """
    start, found, end = (runs[metric].mean() for runs in (first, here, last))
    share = (found - start) / (end - start)
    off = _sum((1.0, here), (share - 1, first), (-share, last), between=between)
    if off is None:
        return None
    error = 100 * off[metric].standard_error / abs(end - start)
    return Interval(100 * share, 100 * share - _NORMAL * error, 100 * share + _NORMAL * error, error)


def _sum(*terms: tuple[float, pd.DataFrame], between: pd.Series | None) -> dict[str, Interval] | None:
    """A weighted sum of rows, each the mean over its runs, with the chances of ``paired_difference``."""
    sides = [_by_query(runs) for _, runs in terms]
    if not _same_queries(*sides):
        return None
    found = _bootstrap(*((weight, side) for (weight, _), side in zip(terms, sides)))
    if between is None:
        return {metric: _widened(found[metric], 0.0) for metric in METRICS}
    return {metric: _widened(found[metric], sum(weight ** 2 * _training_variance(runs, metric, deviation)
                                                for weight, runs in terms))
            for metric, deviation in between.items()}


def _same_queries(*rows: list[dict[str, np.ndarray]]) -> bool:
    """Whether each row has results by query, and all of the same queries."""
    return all(rows) and all(np.array_equal(run["queries"], rows[0][0]["queries"]) for runs in rows for run in runs)


def _widened(interval: Interval, variance: float) -> Interval:
    """In points, with the chance of another training added."""
    value, error = 100 * interval.value, float(np.hypot(100 * interval.standard_error, variance ** 0.5))
    return Interval(value, value - _NORMAL * error, value + _NORMAL * error, error)


def beyond_chance(rows: Iterable[Row], frame: pd.DataFrame, metric: str = "mAP", against: str = "full"
                  ) -> dict[str, list[str]]:
    """Labels of the rows that are ``above`` another, ``below`` it, or ``not told apart`` from it, of one test set."""
    found: dict[str, list[str]] = {"above": [], "below": [], "not told apart": []}
    for row, _, pair in _paired(rows, frame, against):
        low, high = pair[metric].low, pair[metric].high
        found["above" if low > 0 else "below" if high < 0 else "not told apart"].append(row.label)
    return found


def interval_note(between: pd.Series) -> str:
    """What the intervals of ``paired_difference`` hold, in words."""
    known = {name: value for name, value in between.items() if not np.isnan(value)}
    if not known:
        return "95 % intervals over other queries; what another training changes is unknown: no row was repeated"
    spreads = ", ".join(f"{METRICS.get(name, name)} {value:.1f}" for name, value in known.items())
    return (f"95 % intervals over other queries and other trainings (which deviate by {spreads}, "
            "or as the row's own do where that is more; wider where few were repeated)")


def in_pairs(difference: float, low: float, high: float, *_: float) -> str:
    return f"{difference:+.1f} ({low:+.1f} to {high:+.1f})"


def _by_query(runs: pd.DataFrame) -> list[dict[str, np.ndarray]]:
    """The results by query of one row's runs, those that have them."""
    return [_numbers(results) for results in runs["per_query"] if results]


def _numbers(results: dict[str, str]) -> dict[str, np.ndarray]:
    return {key: np.array(line.split(), float) for key, line in results.items()}


def by_query(runs: pd.DataFrame) -> pd.DataFrame:
    """A line for each run and query of records: ``name``, ``seed``, ``query`` (its place in the set), ``average
    precision`` in percent and ``first rank``, from 1, of a right image. Queries without a match have none."""
    lines = []
    for run in runs[runs["per_query"].map(bool)].itertuples():
        found = _numbers(run.per_query)
        lines.append(pd.DataFrame({
            "name": run.name, "seed": run.seed, "query": found["queries"].astype(int),
            "average precision": 100 * found["average_precisions"], "first rank": found["first_ranks"]}))
    columns = ["name", "seed", "query", "average precision", "first rank"]
    return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=columns)


def of_queries(runs: pd.DataFrame, kept: Bool[np.ndarray, " q"]) -> pd.DataFrame:
    """The records as if these of the set's queries had been asked alone; records without results by query are left
    out."""
    cut, metrics = [], []
    known = runs[runs["per_query"].map(bool)]
    for results in known["per_query"]:
        found = _numbers(results)
        chosen = kept[found["queries"].astype(int)]
        cut.append({key: " ".join(np.array(line.split())[chosen]) for key, line in results.items()})
        metrics.append({f"rank{k}": 100 * (found["first_ranks"][chosen] <= k).mean() for k in (1, 3, 5, 10)}
                       | {"mAP": 100 * found["average_precisions"][chosen].mean()})
    return known.assign(per_query=cut, **pd.DataFrame(metrics, index=known.index))


def histories(runs: pd.DataFrame, loss: str) -> pd.DataFrame:
    """A loss of each run by epoch, from its record: ``name``, ``seed``, ``epoch``, ``value``; runs without it have no
    line."""
    lines = [{"name": run.name, "seed": run.seed, "epoch": entry["epoch"], "value": entry["losses"][loss]}
             for run in runs.itertuples() for entry in read_record(run.path).get("history") or []
             if loss in entry["losses"]]
    return pd.DataFrame(lines, columns=["name", "seed", "epoch", "value"])


def _bootstrap(*terms: tuple[float, list[dict[str, np.ndarray]]]) -> dict[str, Interval]:
    """Of a weighted sum of rows, each the mean over its runs; other identities are drawn, with all their queries."""
    fields = ("first_ranks", "average_precisions", "inverse_negative_penalties")
    rankings = [(weight, [PerQuery(np.arange(len(run["queries"])), *(run[field] for field in fields)) for run in runs])
                for weight, runs in terms]
    return bootstrap_sum(rankings, clusters=terms[0][1][0]["identities"])


def trials(folder: Path | str, start: str) -> pd.DataFrame:
    """The scored runs below a folder, by path; the index says what each changes in the one in the folder ``start``.

    With the ``config`` of each, its seed, retrieval and ``SCORES`` of the trained network, in percent. Raises
    MatlibError where there is no run of that name.
    """
    own = scored_runs([folder]).dropna(subset=["network"])
    first = {Path(path).parent.name: config for path, config in zip(own["path"], own["config"])}
    if start not in first:
        raise MatlibError(f"there is no scored run {start!r} in {folder}; there are {', '.join(first) or 'none'}")
    return own.assign(change=[changes(first[start], config) for config in own["config"]]).set_index("change")


def changes(before: RunConfig, after: RunConfig) -> str:
    """In words: the settings in which two runs differ, with the values of the second, or that it is ``the start``."""
    values = after.flat
    return ", ".join(f"{name.split('.')[-1]} = {values[name]}" for name in changed_names(before, after)
                     if "." in name) or "the start"


def experiments(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The records that may stand in one table: same profile, schedule, data and test set. With a title for each; the
    largest scale stands first."""
    groups = frame.groupby(["profile", "epochs", "trained_on", "fingerprint", "tested_on", "tested_data"], sort=True)
    return largest_first([
        (f"{profile} profile, {epochs} epochs on {_images(group)}{trained} ({fingerprint[:8]})"
         + (f", tested on {tested}" if tested != trained else ""), group)
        for (profile, epochs, trained, fingerprint, tested, _), group in groups])


def largest_first(titled: Iterable[tuple[str, pd.DataFrame]]) -> list[tuple[str, pd.DataFrame]]:
    """Titles and their records, by how many images each network saw in training."""
    return sorted(titled, key=lambda each: -(each[1]["epochs"] * each[1]["images"].fillna(0)).max())


def _images(group: pd.DataFrame) -> str:
    counts = group["images"].dropna()
    return f"{int(counts.iloc[0]):,} images of " if len(counts) else ""


def table(rows: Iterable[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """One table: for each row of the paper its numbers (on Occluded-Duke) beside ours; n counts the seeds.

    ``frame`` is one of ``experiments``; a row without a record says so.
    """
    lines = {}
    for row in rows:
        ours = frame[frame["name"] == row.name]
        paper = {("paper, Occluded-Duke", title): _number(value) for title, value in zip(METRICS.values(), row.paper)}
        numbers = {("measured here", title): measured(ours, key, interval=key == "rank1")  # all would not fit a page
                   for key, title in METRICS.items()}
        lines[row.label] = paper | numbers | {("measured here", "n"): len(ours)}
    result = pd.DataFrame.from_dict(lines, orient="index", dtype=object)
    result.columns = pd.MultiIndex.from_tuples(result.columns)
    return result


class Table(Styler):
    """A table on a page. Texts in it stay texts however its cells are formatted; a formatter's own HTML acts."""

    def format(self, formatter: Any = None, subset: Any = None, **options: Any) -> "Table":
        """pandas' own, but for ``escape``, which is always on: without it, formatting again would drop it."""
        options["escape"] = None if formatter is cell else "html"  # ``cell`` escapes by itself, and knows links
        return super().format(formatter, subset, **options)


def show(frame: pd.DataFrame) -> Table:
    """The table as the book prints it, for ``captions.table``; ``links.Linked`` cells lead to their records."""
    style = Table(frame.rename(index=_escaped, columns=_escaped))
    return style.format(cell).set_table_attributes('class="dataframe"')


def _escaped(name: Any) -> Any:
    return escape(name, quote=False) if isinstance(name, str) else name


def provenance(frame: pd.DataFrame) -> Styler:
    """Where the numbers come from: a line for each row and place, with the record of every seed.

    When, where, how long, by which commit and on which data stands in the records, to which each seed leads.
    """
    runs = frame.assign(folder=[Path(path).parent.parent.as_posix() for path in frame["path"]])
    columns = ["name", "profile", "epochs", "tested_on", "folder"]
    lines = [dict(zip(columns, key)) | {"seeds": listing((str(run.seed), [run.path]) for run in of.itertuples())}
             for key, of in runs.sort_values(["seed", "path"]).groupby(columns)]
    titles = {"name": "row", "tested_on": "tested on", "folder": "records in"}
    shown = pd.DataFrame(lines, columns=[*columns, "seeds"], dtype=object).rename(columns=titles)
    return show(shown).hide(axis="index").set_table_attributes('class="dataframe provenance"')


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1f}"


#: What ``matlib.scoring`` measures against the truth: title, and where a network's scores have it.
SCORES = {
    "joint error": ("keypoints", "error"),
    "joints by side": ("keypoints", "by_side", "error"),
    "flow error": ("motion", "learned"),
    "NMI": ("parts", "all", "nmi"),
    "body NMI": ("parts", "body", "nmi"),
    "part IoU": ("parts", "matched_iou", "mean"),
    "body IoU": ("parts", "foreground_iou"),
    "occluders taken": ("parts", "occluders_taken"),
}
#: Those of which less is better.
LOWER_IS_BETTER = ("joint error", "joints by side", "flow error", "occluders taken")
TRAINED, UNTRAINED, FIXED, TRUTH = "trained", "untrained", "fixed", "truth"


def load_scores(folders: Iterable[Path | str] | str | Path) -> pd.DataFrame:
    """The records of ``matlib.scoring`` below the folders: one row for each network scored, ``SCORES`` in percent.

    ``network`` is ``trained``, ``untrained`` (the same one before training), ``fixed`` (keypoints and parts that are
    the same in every image: the mean pose, horizontal stripes, no motion) or ``truth`` (the true parts in the network's
    own cells). A run that lies in several folders counts once, as in ``load_records``.
    """
    rows = [row for record in find_records(*listed(folders)) for row in _rows(record, _score_lines)]
    run = [*RUN, "tested_on", "network"]
    return pd.DataFrame(rows, columns=[*run, *SCORES, "path"]).drop_duplicates(run, keep="last")


def _score_lines(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for network, scores in _networks(record.get("scores", {})).items():
        yield _scored(record) | {"network": network} | {title: _percent(scores, keys) for title, keys in SCORES.items()}


def _scored(record: dict[str, Any]) -> dict[str, Any]:
    """Which run a record of scores is of."""
    config = record["config"]
    return {"name": run_title(config_of(record)), "profile": config["profile"],
            "epochs": config["train"]["epochs"], "seed": config["seed"],
            "fingerprint": record["data"]["fingerprint"], "tested_on": record.get("tested", {}).get("name"),
            "path": record["path"]}


def joint_errors(folders: Iterable[Path | str] | str | Path) -> pd.DataFrame:
    """The mean error of each joint, left and right as in the image, in percent of the image's height: a row for each
    network of ``load_scores`` whose record has it, columns 0..16 in COCO's order."""
    rows = [row for record in find_records(*listed(folders)) for row in _rows(record, _joint_lines)]
    run = [*RUN, "tested_on", "network"]
    return pd.DataFrame(rows, columns=[*run, *range(17), "path"]).drop_duplicates(run, keep="last")


def _joint_lines(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for network, scores in _networks(record.get("scores", {})).items():
        found = scores.get("keypoints", {}).get("by_side", {}).get("by_joint")
        if found:
            errors = {joint: np.nan if error is None else 100 * error for joint, error in enumerate(found)}
            yield _scored(record) | {"network": network} | errors


def _networks(scores: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The scores of each network, with those of the fixed answers beside."""
    if not scores:
        return {}
    trained = scores[TRAINED]
    still = {"learned": trained["motion"]["identity"]} if "motion" in trained else {}
    return scores | {FIXED: trained["yardsticks"] | {"motion": still}}


def _percent(scores: dict[str, Any], keys: tuple[str, ...]) -> float:
    for key in keys:
        scores = (scores or {}).get(key)
    return float("nan") if scores is None else 100 * scores


def scored_runs(folders: Iterable[Path | str] | str | Path) -> pd.DataFrame:
    """The records of runs that were tested on the data they were trained on, as ``load_records`` gives them, with
    ``SCORES`` of the trained network beside (NaN where it was not scored) and ``steps``, the length of the training."""
    runs, scores = load_records(folders), load_scores(folders)
    own = own_tests(runs)
    batches = [config.train.identities_per_batch * config.train.images_per_identity for config in own["config"]]
    own = own.assign(steps=own["epochs"] * (own["images"] // np.array(batches, dtype=int)))
    trained = scores[scores["network"] == TRAINED].drop(columns="path")
    return own.merge(trained, on=[*RUN, "tested_on"], how="left")


def summary(rows: Iterable[Row], runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Retrieval and ``SCORES`` of the runs of each row, mean and standard deviation over n seeds, and the last lines of
    ``score_table``. ``runs`` are records of one of ``experiments``, ``scores`` all of ``load_scores``."""
    rows = list(rows)
    retrieval = {row.label: {METRICS[metric]: mean_of(own, metric) for metric in ("rank1", "mAP")}
                 | {"n": str(len(own))} for row in rows if len(own := runs[runs["name"] == row.name])}
    found = score_table(rows, scores.merge(runs[[*RUN, "tested_on"]]))
    lines = [pd.DataFrame.from_dict(retrieval, orient="index", dtype=object), found.drop(columns="n", errors="ignore")]
    return pd.concat(lines, axis=1).fillna(NOT_RUN)


def score_table(rows: Iterable[Row], frame: pd.DataFrame) -> pd.DataFrame:
    """What each row's networks found, mean and standard deviation over seeds; the last lines are the first row's
    networks before training, answers that are the same in every image, and the true parts."""
    scored = [row for row in rows if row.name in set(frame["name"])]
    lines = [(row.label, row.name, TRAINED) for row in scored]
    lines += [("before training", row.name, UNTRAINED) for row in scored[:1]]
    lines += [("the same in every image", row.name, FIXED) for row in scored[:1]]
    lines += [("the true parts, in its cells", row.name, TRUTH) for row in scored[:1]]
    table = {label: frame[(frame["name"] == name) & (frame["network"] == network)] for label, name, network in lines}
    return pd.DataFrame.from_dict(
        {label: {title: mean_of(own, title) for title in SCORES} | {"n": len(own)} for label, own in table.items()},
        orient="index", dtype=object)
