"""The rows of a table beside each other as figures of the book: differences, learning, ranks, single queries.

All are of the records of one of ``tables.experiments``; where these lack what a figure needs, there is none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from matlib.ablations import Row
from matlib.annyville.truth import KEYPOINT_NAMES
from matlib.data import ReIDDataset, Truth, fingerprint
from matlib.report import captions, figures
from matlib.report.captions import Shown
from matlib.report.tables import (
    FIXED, METRICS, TRAINED, UNTRAINED, by_query, difference_frames, histories, in_pairs, of_queries, paired_difference,
    training_chance)
from matlib.scoring.strata import strata_names, strata_of

#: The loss that every row of the paper's tables has.
LOSS = "identity_global"
#: Shares of the person that are hidden in queries of one stratum: an occluded query is hidden by 20 to 70 %.
HIDDEN_EDGES = (0.0, 0.2, 0.3, 0.4, 0.5, 1.0)
_FEWEST = 10  # queries: an interval over fewer says nothing
_RANKS = np.arange(1, 21)
_SEVERAL, _ONE = "several trainings, their mean", "one training each"


def forest(rows: Iterable[Row], runs: pd.DataFrame, label: str, of: str) -> Shown | None:
    """The rows less the full model, with the paper's differences as hollow diamonds."""
    counted = [replace(row, label=_counted(row, runs)) for row in rows]
    panels = difference_frames(counted, runs)
    if not len(panels["mAP"]):
        return None
    said = "; ".join(f"{row.Index} {in_pairs(row.value, row.low, row.high)}"
                     + ("" if np.isnan(row.paper) else f", the paper {row.paper:+.1f}")
                     for row in panels["mAP"].itertuples())
    return captions.figure(
        figures.forest(panels, "points, less the full model"), label,
        "Each row less the full model: points with 95 % intervals over other queries and other trainings, n trainings "
        "of the row; hollow diamonds are the paper's differences, on Occluded-Duke.",
        f"Two panels of points with intervals around a line at 0, and diamonds. In mAP: {said}.", of)


def learning(rows: Sequence[Row], runs: pd.DataFrame, label: str, of: str) -> Shown | None:
    """The identity loss of every row by epoch."""
    labels = {row.name: row.label for row in rows}
    found = histories(runs, LOSS)
    order = pd.Categorical(found["name"], list(labels), ordered=True)
    found = found.assign(row=found["name"].map(labels), order=order).sort_values(["order", "seed", "epoch"])
    if found["epoch"].nunique() < 2:
        return None
    last = found[found["epoch"] == found["epoch"].max()].groupby("row", sort=False)["value"].mean()
    return captions.figure(
        figures.learning_curves(found, "identity loss", labels["full"]), label,
        "The identity loss on the global feature by epoch, on the training images: a panel a row, a thin line a "
        "training, the thick one their mean; the broken line is the full model's.",
        f"{len(last)} panels of falling curves; at the end " + ", ".join(f"{name} {value:.2f}"
                                                                         for name, value in last.items()) + ".", of)


def ranks(rows: Sequence[Row], runs: pd.DataFrame, label: str, of: str) -> Shown | None:
    """CMC of the rows; those with one training in a panel of their own."""
    panels: dict[str, list[pd.DataFrame]] = {_SEVERAL: [], _ONE: []}
    for row in rows:
        own = by_query(runs[runs["name"] == row.name])
        if len(own):
            count = own["seed"].nunique()
            share = [100 * (own["first rank"] <= k).mean() for k in _RANKS]
            panels[_SEVERAL if count > 1 else _ONE].append(pd.DataFrame(
                {"row": _counted(row, runs), "rank": _RANKS, "share": share}))
    drawn = {title: pd.concat(own) for title, own in panels.items() if own}
    if not drawn:
        return None
    ends = pd.concat(drawn.values()).groupby("row", sort=False)["share"].agg(["first", "last"])
    return captions.figure(
        figures.rank_curves(drawn), label,
        "CMC: the share of queries with a right image among the first k, the mean over n trainings of a row.",
        f"Rising curves from rank 1 to {_RANKS[-1]}: " + "; ".join(
            f"{end.Index} from {end.first:.0f} to {end.last:.0f} %" for end in ends.itertuples()) + ".", of)


def queries(row: Row, others: Iterable[Row], runs: pd.DataFrame, label: str, of: str) -> Shown | None:
    """The AP of each query under a row, against that under others: means over the trainings of each."""
    ours = _mean_precision(row, runs)
    panels = {}
    for other in others:
        both = pd.DataFrame({"ours": ours, "theirs": _mean_precision(other, runs)}).dropna()
        if len(both):
            panels[_counted(other, runs)] = both
    if not panels:
        return None
    said = "; ".join(f"{(both['ours'] > both['theirs']).sum()} of {len(both)} queries lie above the line against {name}"
                     for name, both in panels.items())
    return captions.figure(
        figures.query_scatter(panels, _counted(row, runs)), label,
        f"The average precision of each query, {row.label} against other rows: a point a query, the mean over the "
        "n trainings of each row. On the line the two are equal; above it the full model is better.",
        f"Clouds of points around a diagonal: {said}.", of)


def _counted(row: Row, runs: pd.DataFrame) -> str:
    return f"{row.label} (n = {(runs['name'] == row.name).sum()})"


def _mean_precision(row: Row, runs: pd.DataFrame) -> pd.Series:
    return by_query(runs[runs["name"] == row.name]).groupby("query")["average precision"].mean()


def of_set(runs: pd.DataFrame, data: ReIDDataset) -> pd.DataFrame:
    """Those records of a test on these very images."""
    return runs[runs["tested_data"] == fingerprint(data)]


def by_hidden(row: Row, others: Iterable[Row], runs: pd.DataFrame, data: ReIDDataset
              ) -> dict[str, pd.DataFrame]:
    """A row less others in mAP, in points, by how much of the query's person is hidden: for each other row a frame with
    ``value``, ``low``, ``high`` (``tables.paired_difference``), a line a stratum of the set's queries that has ten or
    more.

    Args:
        data: the rendered set that the records are of; see ``of_set``.

    Raises MatlibError where it has no truth, as photographs have none.
    """
    strata = strata_of(np.array([Truth(sample).occlusion for sample in data.query]), HIDDEN_EDGES)
    frames = {}
    for other in others:
        lines = {}
        for place, name in enumerate(strata_names(HIDDEN_EDGES, 100.0, " %")):
            kept = strata == place
            asked = of_queries(runs, kept) if kept.sum() >= _FEWEST else runs[:0]
            sides = [asked[asked["name"] == each.name] for each in (row, other)]
            found = paired_difference(*sides, training_chance(asked, METRICS)) if all(map(len, sides)) else None
            if found:
                lines[f"{name} hidden ({kept.sum()} queries)"] = found["mAP"]._asdict()
        if lines:
            frames[f"less {other.label}"] = pd.DataFrame.from_dict(lines, orient="index")
    return frames


def hidden_forest(row: Row, found: dict[str, pd.DataFrame], label: str, of: str) -> Shown:
    """``by_hidden`` as a figure of the book."""
    said = "; ".join(f"{title}: " + ", ".join(f"{line.Index} {in_pairs(line.value, line.low, line.high)}"
                                              for line in frame.itertuples()) for title, frame in found.items())
    return captions.figure(
        figures.forest(found, "points of mAP"), label,
        f"{row.label}, less other rows, by how much of the query's person is hidden: points with 95 % intervals over "
        "other queries and other trainings.", f"Points with intervals around a line at 0. {said}.", of)


def joints(errors: pd.DataFrame, label: str, of: str) -> Shown | None:
    """``tables.joint_errors`` of one row's networks on a skeleton: trained, before training, and the mean pose."""
    titles = {TRAINED: "trained", UNTRAINED: "before training", FIXED: "the mean pose"}
    panels = {title: own[list(range(17))].mean().to_numpy(float) for network, title in titles.items()
              if len(own := errors[errors["network"] == network])}
    if titles[TRAINED] not in panels:
        return None
    trained = panels[titles[TRAINED]]
    worst, best = (KEYPOINT_NAMES[place] for place in (np.nanargmax(trained), np.nanargmin(trained)))
    count = (errors["network"] == TRAINED).sum()
    return captions.figure(
        figures.skeletons(panels), label,
        "The error of each joint, left and right as in the image, in percent of the image's height: a circle's radius "
        f"is the error at the person's scale; the face's five joints are one. The mean over n = {count} networks.",
        f"{len(panels)} stick figures with circles on their joints: {', '.join(panels)}. Of the trained network the "
        f"largest is at the {worst}, {np.nanmax(trained):.1f}, the smallest at the {best}, {np.nanmin(trained):.1f}.",
        of)
