"""Steps between rows: each test apart, differences by query, chances of another training, and what is said of them."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from matlib.ablations import ROWS, row_config
from matlib.report import figures, studies, tables
from matlib.report.studies import Step, Way

QUERIES = 40


def run(name, seed, precisions, tested_on="annyville-occluded", **scores):
    queries = np.arange(QUERIES)
    lines = {"queries": queries, "identities": queries // 2, "first_ranks": np.where(precisions > 0.5, 1, 7),
             "average_precisions": precisions, "inverse_negative_penalties": precisions}
    return {"name": name, "seed": seed, "profile": "laptop", "tested_on": tested_on, "fingerprint": "x",
            "tested_data": "x", "epochs": 8, "cpu_per_epoch": 15.0,
            "path": f"{name}/seed{seed}/record.json", "config": row_config(name, "laptop", seed),
            "mAP": 100 * precisions.mean(),
            **{f"rank{k}": 100 * (precisions > 0.5).mean() for k in (1, 5, 10)},
            "per_query": {key: " ".join(map(str, values)) for key, values in lines.items()}, **scores}


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    hard, easy = rng.uniform(0, 0.6, QUERIES), rng.uniform(0.3, 0.8, QUERIES)
    return pd.DataFrame([
        run(name, seed, base + gain + rng.normal(0, 0.005), test)
        for name, gain in (("baseline", 0.0), ("in_rows", 0.1), ("true_parts", 0.2)) for seed in (0, 1, 2)
        for test, base in zip(studies.TESTS, (hard, easy))])


def test_each_test_stands_apart(frame):
    found = studies.retrieval([ROWS[name] for name in ("baseline", "in_rows", "six")], frame)
    assert list(found.index) == [ROWS["baseline"].label, ROWS["in_rows"].label]
    assert set(found[(studies.EVERYONE, "n")]) == {3} and set(found["a training", "CPU min"]) == {"2.0"}
    hard, easy = (float(found.loc[ROWS["baseline"].label, (title, "mAP")].split("±")[0])
                  for title in studies.TESTS.values())
    assert hard < 35 < 50 < easy


def test_a_step_is_the_difference_of_its_rows(frame):
    found = studies.differences([Step("up", "in_rows", "baseline"), Step("down", "in_rows", "true_parts"),
                                 Step("not run", "six", "baseline")], frame)
    for runs in found.values():
        assert list(runs.index) == ["up", "down"]
        assert runs.loc["up", "value"] == pytest.approx(10, abs=1)
        assert runs.loc["down", "high"] < 0 < runs.loc["up", "low"]
    assert studies.verdicts(found[studies.EVERYONE]).startswith("Above 0 beyond chance: up (+")
    assert " Below 0 beyond chance: down (-" in studies.verdicts(found[studies.EVERYONE])


def test_elsewhere_has_a_line_for_each_change_in_the_rows_order(frame):
    once = frame[(frame["seed"] < 2) & (frame["tested_on"] == "annyville-occluded")]
    photographs = once.assign(tested_on="partial_reid", rank3=60.0)
    photographs.loc[photographs["name"] == "in_rows", "name"] = "baseline, data.crop=0.5"
    found = studies.elsewhere(pd.concat([frame, photographs]), {"partial_reid": "One", "partial_ilids": "Other"})
    assert list(found.index) == ["#1 baseline", "#1 baseline, data.crop=0.5", "#1 pooled over true parts"]
    assert set(found["One", "n"]) == {2} and set(found["Other", "n"]) == {0}
    assert set(found["One", "R-3"]) == {"60.0±0.0"} and (found["Other", "mAP"] == found["Other", "R-1"]).all()
    assert studies.elsewhere(frame, {"partial_reid": "One"}).empty


def test_steps_elsewhere_are_differences_on_the_same_queries(frame):
    once = frame[frame["tested_on"] == "annyville-occluded"].assign(tested_on="partial_reid")
    steps = [Step("up", "in_rows", "baseline"), Step("not run", "six", "baseline")]
    found = studies.steps_elsewhere(steps, once, {"partial_reid": "One", "partial_ilids": "Other"})
    assert list(found.index) == ["up"] and list(found.columns) == [("One", "R-1"), ("One", "mAP")]
    assert float(found.loc["up", ("One", "mAP")].split()[0]) == pytest.approx(10, abs=1)
    assert studies.steps_elsewhere(steps, frame, {"partial_reid": "One"}).empty


def test_the_same_row_cannot_be_told_from_itself(frame):
    found = studies.differences([Step("nothing", "baseline", "baseline")], frame)[studies.EVERYONE]
    assert found.loc["nothing", "value"] == 0
    assert studies.verdicts(found) == "Not told from 0: nothing (+0.0)."


def test_the_way_is_measured_between_its_ends(frame):
    rows = {"at the start": "baseline", "at the end": "true_parts", "between": "in_rows", "not run": "six"}
    found = studies.shares_of_the_way([Way(words, row, "baseline", "true_parts") for words, row in rows.items()], frame)
    for of in found.values():
        assert list(of.index) == ["at the start", "at the end", "between"]
        assert list(of["value"][:2]) == [0, 100] and of.loc["between", "value"] == pytest.approx(50, abs=10)
        assert (of["low"] < of["value"]).all() and (of["value"] < of["high"]).all()
    assert re.search(r"between: (49|5\d) % \(4\d to \d\d\) with occluded queries, ", studies.told_ways(found).data)
    assert "no way" in studies.told_ways(studies.shares_of_the_way([], frame)).data


def test_a_share_of_the_way_has_the_error_of_the_mean_over_the_ways_length(frame):
    """Where only this row's trainings differ, and queries do not."""
    sure = frame[frame["tested_on"] == "annyville-occluded"].drop_duplicates("name")
    names = ("baseline", "in_rows", "true_parts")
    rows = [sure[sure["name"] == name] for name in names]
    here = pd.concat([rows[1]] * 2).assign(mAP=[50.0, 54.0])
    nothing = pd.Series({"mAP": 0.0})
    for row in (*rows, here):
        row["per_query"] = [rows[0]["per_query"].iloc[0]] * len(row)
    first, last = rows[0].assign(mAP=40.0), rows[2].assign(mAP=80.0)
    share = tables.share_of_the_way(first, here, last, nothing, "mAP")
    assert share.value == pytest.approx(30)
    assert share.standard_error == pytest.approx(100 * np.sqrt(8 / 2) / 40)


def test_differences_of_scores_are_welchs(frame):
    rng = np.random.default_rng(1)
    ours, others = rng.normal(20, 1, 4), rng.normal(10, 3, 5)
    runs = pd.DataFrame([{"name": "following_motion", "NMI": value} for value in ours]
                        + [{"name": "following", "NMI": value} for value in others])
    found = studies.score_differences([Step("motion", "following_motion", "following")], runs, ["NMI"])
    variances = ours.var(ddof=1) / 4, others.var(ddof=1) / 5
    assert found.loc["motion", "NMI"].startswith(f"{ours.mean() - others.mean():+.1f} (")
    low, high = (float(end) for end in found.loc["motion", "NMI"].split("(")[1].rstrip(")").split(" to "))
    freedom = sum(variances)**2 / (variances[0]**2 / 3 + variances[1]**2 / 4)
    t = (high - low) / 2 / np.sqrt(sum(variances))
    sample = np.random.default_rng(2).standard_t(freedom, 200_000)
    assert np.mean(np.abs(sample) < t) == pytest.approx(0.95, abs=0.01)
    alone = studies.score_differences([Step("motion", "following_motion", "following")], runs[3:], ["NMI"])
    assert len(alone) == 0


def test_choices_name_what_they_change():
    rows = [run("in_rows_floor", 0, np.full(QUERIES, 0.4)), run("beyond", 1, np.full(QUERIES, 0.6))]
    found = studies.choices("in_rows_floor", pd.DataFrame(rows))
    assert list(found.index) == ["output_stride = 4, window = 2.0, seed 1", "the start, seed 0"]
    assert found.iloc[1][("occluded queries", "mAP")] == "40.0"


def test_pictures_have_a_line_for_each_row_and_none_for_what_is_missing(frame):
    labels = {name: name for name in ("baseline", "six", "in_rows")}
    ladder = figures.rungs(studies.by_test(frame), "mAP", labels, "mAP, %")
    assert [label.get_text() for label in ladder.axes[0].get_yticklabels()] == ["baseline", "in_rows"]
    found = studies.differences([Step("a", "in_rows", "baseline"), Step("b", "true_parts", "baseline")], frame)
    forest = figures.forest({title: runs.assign(paper=[1.0, 2.0]) for title, runs in found.items()}, "points")
    assert [label.get_text() for label in forest.axes[0].get_yticklabels()] == ["b", "a"]
    value = forest.axes[0].lines[0].get_xdata()
    assert value == pytest.approx(list(found["occluded queries"]["value"]))


def test_a_page_says_the_differences_in_words(frame):
    found = studies.differences([Step("up <b>", "in_rows", "baseline")], frame)
    told = html.unescape(studies.told(found).data)
    assert told.startswith("**In these records:** where every image asks. Above 0 beyond chance: up <b> (+")
    assert "<b>" not in studies.told(found).data
    shown = studies.forest(found, "fig-up", "What it brings", "Scale: none").html
    assert 'id="fig-up"' in shown and "where every image asks: up &lt;b&gt; +" in shown
    nothing = studies.differences([Step("up", "six", "baseline")], frame)
    assert "no step has both its rows yet" in studies.told(nothing).data
    assert "none yet" in studies.forest(nothing, "fig-up", "What it brings", "").html


def test_what_was_tested_in_one_way_alone_is_told_by_that(frame):
    published = frame[frame["tested_on"] == "annyville-occluded"]
    found = studies.differences([Step("up", "in_rows", "baseline")], published)
    told = html.unescape(studies.told(found).data)
    assert told.startswith("**In these records:** with occluded queries. Above 0 beyond chance: up (+")
    assert "with occluded queries: up +" in studies.forest(found, "fig-up", "What it brings", "").html
    assert studies.EVERYONE not in studies.forest(found, "fig-up", "What it brings", "").html
    columns = studies.retrieval([ROWS["baseline"]], published).columns.get_level_values(0)
    assert set(columns) == {"occluded queries", "a training"}
    mean = published[published["name"] == "baseline"]["mAP"].mean()
    shown = studies.ladder([ROWS["baseline"]], published, "fig-rungs", "The steps.", "").html
    assert f"with occluded queries is {mean:.0f} % for #1 baseline" in shown


def test_a_ladder_is_told_by_its_means(frame):
    shown = studies.ladder([ROWS["baseline"], ROWS["true_parts"]], frame, "fig-rungs", "The steps.", "").html
    mean = frame[(frame["name"] == "true_parts") & frame["tested_on"].str.contains("everyone")]["mAP"].mean()
    assert f"{mean:.0f} % for {ROWS['true_parts'].label}" in shown and "A point is a training." in shown
