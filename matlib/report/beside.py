"""A reader's own runs beside the reference records: these are the table, a run of one's own is told as a difference.

A run that was trained as the records were, on another seed or machine, is expected within the band that holds one more
training: the records' mean, and to either side 1.96 deviations of trainings that differ in their seed alone, widened
for the mean's own chance. A run of the same seed on the same kind of machine has the same digits.
"""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from matlib.report import captions
from matlib.report.captions import Shown
from matlib.report.tables import METRICS, own_tests, training_chance

_NORMAL = 1.96
_EXPERIMENT = ["profile", "epochs", "trained_on", "fingerprint", "tested_on", "tested_data"]


def joined(reference: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """The records of the tables: the reference ones, and one's own where a row has none at that scale."""
    known = set(map(tuple, reference[["name", *_EXPERIMENT]].to_numpy()))
    new = [key not in known for key in map(tuple, own[["name", *_EXPERIMENT]].to_numpy())]
    return pd.concat([reference, own[np.array(new, dtype=bool)]], ignore_index=True)


def beside(reference: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """One's own runs of rows that the reference records have, a line each, of n records: rank-1 and mAP, the records'
    mean, and whether the run lies in the band that holds one more training. Both frames are ``tables.load_records``'s.
    """
    lines = {}
    for experiment, runs in own_tests(own).groupby(_EXPERIMENT, sort=True):
        same = own_tests(reference)
        same = same[(same[_EXPERIMENT] == list(experiment)).all(axis=1)]
        between = training_chance(same, METRICS)
        for run in runs.itertuples():
            others = same[same["name"] == run.name]
            if len(others):
                lines[f"{run.name}, {run.profile}, seed {run.seed}"] = {
                    METRICS[metric]: _told(getattr(run, metric), others, metric, between[metric])
                    for metric in ("rank1", "mAP")} | {"n": len(others)}
    return pd.DataFrame.from_dict(lines, orient="index", columns=["R-1", "mAP", "n"])


def shown(reference: pd.DataFrame, own: pd.DataFrame, label: str) -> Shown | Markdown:
    """``beside`` as a page shows it, folded."""
    found = beside(reference, own)
    if not len(found):
        return Markdown("*There is no run of your own beside these records yet.*")
    return captions.table(found, label, "Your runs beside the n reference records of their rows, in percent. Inside: "
                          "the run lies where 95 % of further trainings would.")


def _told(value: float, others: pd.DataFrame, metric: str, deviation: float) -> str:
    mean = others[metric].mean()
    words = f"{value:.1f}, records {mean:.1f}"
    if np.isclose(others[metric], value, atol=1e-6).any():
        return f"{words}: one of them, digit by digit"
    if np.isnan(deviation):
        return f"{words}: {value - mean:+.1f}"
    half = _NORMAL * deviation * (1 + 1 / len(others)) ** 0.5
    return f"{words} ± {half:.1f}: {'inside' if abs(value - mean) <= half else 'outside'}"
