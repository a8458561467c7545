"""Verdicts by one rule, the paper's values from its own tables, and an introduction that says what the records say."""

import functools
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pipeline import REPOSITORY

from matlib.ablations import ROWS, TABLE_3, row_config
from matlib.evaluation import Interval
from matlib.report import claims, quoted, studies, tables
from matlib.report.claims import CLAIMS, Claim, verdict
from matlib.report.studies import Step, Way
from matlib.runs import records

BESIDE = (claims.MOTION, claims.ALL_LOSSES, claims.TRUE_PARTS, claims.TRUE_PARTS_OVER_MAT)
by_words = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.words)


@functools.cache
def reference():
    return tables.load_records([REPOSITORY / "book" / "records"])


def interval(low, high):
    return Interval((low + high) / 2, low, high, (high - low) / 4)


@pytest.mark.parametrize(("side", "ends", "expected"), [
    (1, (0.1, 2), "agrees"), (-1, (-2, -0.1), "agrees"), (1, (-2, -0.1), "contradicts"), (-1, (0.1, 2), "contradicts"),
    (1, (-1, 1), "not distinguishable"), (-1, (-1, 1), "not distinguishable"), (1, (0, 1), "not distinguishable"),
    (-1, (0, 1), "not distinguishable"), (-1, (-1, 0), "not distinguishable"), (1, (0, 0), "not distinguishable"),
    (0, (-1, 1), "not distinguishable"), (0, (0.1, 2), "contradicts"), (0, (-2, -0.1), "contradicts")])
def test_the_rule(side, ends, expected):
    assert verdict(side, interval(*ends)) == expected


def test_without_records_or_without_a_difference_there_is_no_verdict_on_the_claim():
    assert {verdict(side, None) for side in (1, 0, -1)} == {"not tested at scale"}
    assert {verdict(None, found) for found in (None, interval(1, 2))} == {"not testable here"}


ends = st.tuples(st.floats(-50, 50), st.floats(-50, 50)).map(sorted)


@given(st.sampled_from([1, -1]), ends)
def test_the_rule_knows_no_direction(side, pair):
    low, high = pair
    found = verdict(side, interval(low, high))
    assert found in claims.VERDICTS and found == verdict(-side, interval(-high, -low))
    other = {"agrees": "contradicts", "contradicts": "agrees"}.get(found, found)
    assert verdict(-side, interval(low, high)) == other


@given(ends, st.floats(0, 10))
def test_a_wider_interval_never_decides_what_a_narrower_one_does_not(pair, more):
    low, high = pair
    narrow, wide = verdict(1, interval(low, high)), verdict(1, interval(low - more, high + more))
    assert wide in (narrow, "not distinguishable")


@by_words
def test_every_row_of_a_claim_is_one(claim):
    for name in claim.rows:
        assert name in ROWS
    assert len(set(claim.rows)) == len(claim.rows) and set(claim.metrics) <= {"rank1", "rank3", "mAP"}


def test_every_claim_has_its_own_words():
    assert len({claim.words for claim in CLAIMS}) == len(CLAIMS)
    assert {claim.section for claim in CLAIMS} == {"4.3", "4.4", "4.5"}


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.less and not claim.close],
                         ids=lambda claim: claim.words)
def test_in_the_paper_every_claimed_difference_is_above_0(claim):
    assert all(claim.paper(metric) > 0 and claim.side(metric) == 1 for metric in claim.metrics)


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.said], ids=lambda claim: claim.words)
def test_the_papers_text_says_what_its_tables_do_but_for_one_slip(claim):
    table = [claim.paper(metric) for metric in claim.metrics]
    if claim.words == "MAT over PAT on Occluded-Duke":
        assert claim.said == (1.3, 5.2) and table == [1.7, 5.2]
    else:
        assert list(claim.said) == table


@pytest.mark.parametrize(("claim", "values"), [
    (claims.PARTS, [17.3, 15.9]), (claims.TRANSFORMER, [2.9, 4.1]), (claims.STEPS, [14.4, 11.8]),
    (next(claim for claim in CLAIMS if claim.words == "MAT's own number on Partial-iLIDS"), [76.9, 89.1])])
def test_the_papers_values(claim, values):
    assert [claim.paper(metric) for metric in claim.metrics] == values


def test_tables_1_and_3_print_the_same_for_the_same_row():
    for name, label in claims._METHODS.items():
        assert [ROWS[name].paper[0], ROWS[name].paper[3]] == pytest.approx(quoted.ROWS[label][2][:2], nan_ok=True)


def test_slips():
    assert claims.best_on() == (4, 6)
    text = "\n".join(claims.slips())
    for words in ("1.3 points", "1.7 by", "on 4 of its six", "15,168", "15,618", "900 images", "15,913", "is 0.8"):
        assert words in text


def record(folder, row, seed, hits, profile="laptop", images=800, fingerprint="a" * 64):
    """A run that finds the first ``hits`` of 20 people's queries at once."""
    ranks = [1] * hits + [9] * (20 - hits)
    numbers = {"queries": range(20), "identities": range(20), "first_ranks": ranks,
               "average_precisions": [1 / rank for rank in ranks], "inverse_negative_penalties": [0.5] * 20}
    metrics = {"rank1": hits / 20, "rank3": hits / 20, "rank5": hits / 20, "rank10": 1.0, "mINP": 0.5,
               "mAP": sum(1 / rank for rank in ranks) / 20, "queries": 20, "gallery": 20,
               "per_query": {key: " ".join(map(str, line)) for key, line in numbers.items()}}
    records.write_record(folder / row / f"seed{seed}", {
        "config": row_config(row, profile, seed).to_dict(), "metrics": {"annyville-occluded": metrics}, "history": [],
        "data": {"name": "annyville-occluded", "fingerprint": fingerprint, "images": images},
        "seconds": {"training": 90.0, "evaluation": 1.0},
        "run": {"commit": "abc", "hardware": "CPU", "torch": "2", "date": "2026-01-01", "processes": 1}})


def test_a_line_is_what_the_records_say(tmp_path):
    for seed, (low, high) in enumerate([(4, 16), (5, 15)]):
        record(tmp_path, "baseline", seed, low)
        record(tmp_path, "no_transformer", seed, high)
    table = claims.results_table(tables.load_records([tmp_path]), [claims.PARTS, claims.TRANSFORMER])
    line = table.loc[(claims.PARTS.words, "R-1")]
    assert line["here"].startswith("+55.0 (") and line["verdict"] == "agrees" and line["n"] == "2"
    assert line["the paper's"] == "+17.3" and line["holds the paper's"] == "no"
    assert line["scale"].startswith("laptop profile: 80 training people, 800 images, 8 epochs")
    assert line["records"] == "baseline, no_transformer"
    assert [len(paths) for _, paths in line["records"].pieces] == [2, 2]
    assert set(table.loc[claims.TRANSFORMER.words, "verdict"]) == {"not tested at scale"}


def test_the_larger_scale_counts_where_it_has_both_rows(tmp_path):
    for seed in (0, 1):
        for row, hits in (("baseline", 4), ("no_transformer", 16)):
            record(tmp_path / "laptop", row, seed, hits + seed)
            record(tmp_path / "smoke", row, seed, 20 - hits, profile="smoke", images=10 ** 6)
        record(tmp_path / "town", "baseline", seed, 16 + seed, "town", 8000, "b" * 64)
    assert claims.measure(claims.PARTS, tables.load_records([tmp_path])).differences["rank1"].value > 0
    for seed in (0, 1):
        record(tmp_path / "town", "no_transformer", seed, 4 + seed, "town", 8000, "b" * 64)
    found = claims.measure(claims.PARTS, tables.load_records([tmp_path]))
    assert found.differences["rank1"].value < 0
    assert all((tmp_path / "town").as_posix() in path for _, paths in found.records.pieces for path in paths)


def test_where_no_row_was_trained_twice_there_is_no_verdict(tmp_path):
    record(tmp_path, "baseline", 0, 4)
    record(tmp_path, "no_transformer", 0, 16)
    assert claims.measure(claims.PARTS, tables.load_records([tmp_path])) is None


def test_without_records_the_table_has_all_lines_and_nothing_is_told(tmp_path):
    frame, scores = tables.load_records([tmp_path]), tables.load_scores([tmp_path])
    table = claims.results_table(frame)
    assert len(table) == sum(len(claim.metrics) for claim in CLAIMS) == sum(claims.tally(table).values())
    assert set(table["verdict"]) == {"not tested at scale", "not testable here"}
    assert claims.points(frame, scores) == []
    assert "Occluded-REID" in claims.show_results(table, "tab-all").html


def test_two_steps_are_compared_as_their_differences_are(tmp_path):
    for seed in range(3):
        for row, hits in (("baseline", 3), ("no_transformer", 9), ("full", 11)):
            record(tmp_path, row, seed, hits + seed)
    frame = tables.load_records([tmp_path])
    parts, transformer, steps = (claims.measure(claim, frame).differences["rank1"]
                                 for claim in (claims.PARTS, claims.TRANSFORMER, claims.STEPS))
    assert steps.value == pytest.approx(parts.value - transformer.value)
    assert steps.value == pytest.approx((steps.low + steps.high) / 2)
    training = 6 * frame.groupby("name")["rank1"].var().mean() / 3  # 1 + 4 + 1 rows' shares of three runs each
    assert steps.standard_error >= np.sqrt(training) > 0


@pytest.mark.parametrize("lost", ["queries", "results"])
def test_steps_over_other_queries_are_not_compared(tmp_path, lost):
    for row in ("baseline", "no_transformer", "full"):
        for seed in (0, 1):
            record(tmp_path, row, seed, 9 + seed)
    frame = tables.load_records([tmp_path])
    at = frame.index[0]
    frame.at[at, "per_query"] = {} if lost == "results" else frame.at[at, "per_query"] | {"queries": "0 1"}
    rows = [frame[frame["name"] == row] for row in claims.STEPS.rows]
    found = tables.steps_difference(*rows, tables.training_deviation(frame, ["rank1"]))
    assert (found is None) == (lost == "queries")  # a run without results is left out, as elsewhere


@pytest.mark.parametrize("claim", [claim for claim in (*CLAIMS, *BESIDE)
                                   if claim.section != "4.5"], ids=lambda claim: claim.words)
def test_the_reference_records_have_every_claim_on_modules_and_parts(claim):
    found = claims.measure(claim, reference())
    assert found.scale.startswith("town profile: 500 training people") and all(
        "book/records/town/" in path for _, paths in found.records.pieces for path in paths)


def words_of(claim):
    table = claims.results_table(reference(), [claim])
    return set(table["verdict"])


def claim_of(words):
    return next(claim for claim in CLAIMS if claim.words.startswith(words))


def test_the_introduction_says_what_the_records_say():
    """Each of its five lines, in words there, in records here; where a record changes this, the words must, too."""
    text = " ".join((REPOSITORY / "book" / "intro.md").read_text().split())
    chapter = text.partition("## What came out")[2].partition("## What you can")[0]
    lines = re.findall(r" \* (.*?)(?= \* |$)", chapter.strip())
    assert len(lines) == 5
    steps = claims.measure(claims.STEPS, reference()).differences
    assert "main conclusion is not confirmed here" in lines[0] and all(gap.value < 0 for gap in steps.values())
    assert "not yet told apart" in lines[0] and words_of(claims.STEPS) == {"not distinguishable"}
    assert words_of(claims.TRANSFORMER) == {"agrees"} and words_of(claims.PARTS) == {"not distinguishable"}
    assert "encoder" in lines[0] and words_of(claim_of("#2 to #3")) == {"agrees"}
    assert words_of(claim_of("#2 to #4")) == words_of(claim_of("#3 to #5")) == {"not distinguishable"}
    same = [claim for claim in CLAIMS if claim.section == "4.4"] + [claim_of("#6 to #5")]
    assert all(words_of(claim) == {"not distinguishable"} for claim in same)
    motion = [claims.measure(claim, reference()).differences for claim in (claims.MOTION, claims.ALL_LOSSES)]
    assert "no better retrieval" in lines[2] and not any(gap.low > 0 for found in motion for gap in found.values())
    assert "does give" in claims._found_by_motion(tables.load_scores([REPOSITORY / "book" / "records"]))
    parts = claims.measure(claims.TRUE_PARTS_OVER_MAT, reference()).differences
    others = [claims.measure(claim, reference()).differences for claim in CLAIMS if claim.section in ("4.3", "4.4")]
    assert all(parts[metric].low > max(found[metric].high for found in others) for metric in parts)


@pytest.fixture(scope="module")
def studied():
    """All records of the laptop profile on the occluded twin, the studies' among them."""
    folders = [REPOSITORY / "book" / folder for folder in ("ceiling", "records", "table3")]
    frame = tables.load_records(folders)
    return frame[(frame["profile"] == "laptop") & (frame["trained_on"] == "annyville-occluded")]


def test_the_introduction_says_what_the_studies_say(studied):
    """What motion adds where it could pay; where the true parts' points come from; how far rows go without labels."""
    for row in ("following_motion", "following_motion_best"):
        found = studies.differences([Step("motion", row, "following")], studied)
        assert not any((of["low"] > 0).any() for of in found.values())
    brings = studies.differences([Step("person", "true_person", "baseline"), Step("rows", "true_rows", "true_person"),
                                  Step("hidden left out", "true_parts", "true_parts_all")], studied)
    for found in brings.values():
        assert found.loc["person", "low"] > 0 and found.loc["rows", "low"] > 0
        assert found.loc["hidden left out", "value"] < 0.2 * found.loc["rows", "value"]
    ways = [Way("as far as", "beyond", "baseline", "true_parts"),
            Way("cells alike", "in_rows_floor", "baseline", "true_parts")]
    for found in studies.shares_of_the_way(ways, studied).values():
        assert found.loc["as far as", "value"] > 50 > found.loc["cells alike", "value"] > 40
    compared = studies.differences([Step(row.name, "beyond", row.name) for row in TABLE_3], studied)
    assert len(compared[studies.TESTS["annyville-occluded"]]) == len(TABLE_3)
    assert all((found["low"] > 0).all() for found in compared.values())


@pytest.mark.parametrize("ends, said", [
    (((1.0, 3.0), (0.5, 2.0)), "it raises R-1 and mAP beyond chance"),
    (((-3.0, -1.0), (-2.0, -0.5)), "it lowers R-1 and mAP beyond chance"),
    (((-2.0, 1.0), (-3.0, -0.5)), "it lowers mAP beyond chance"),
    (((0.5, 2.0), (-3.0, -0.5)), "it raises R-1 beyond chance, it lowers mAP beyond chance"),
    (((-2.0, 1.0), (-1.0, 2.0)), "it changes nothing beyond chance")])
def test_each_metric_of_motion_where_it_moves_what_is_pooled_is_told(monkeypatch, ends, said):
    found = {metric: Interval((low + high) / 2, low, high, 0.5) for metric, (low, high) in zip(("rank1", "mAP"), ends)}
    monkeypatch.setattr(claims, "measure", lambda *_: claims.Measured(found, "3", "town", None))
    assert f"detached trunk, {said}: with" in claims._following(pd.DataFrame())


def test_what_true_joints_are_worth_stands_beside_what_motion_is(monkeypatch):
    worth = {"following_truth": -2.0, "located_truth": 5.0, "located_motion": 1.0}

    def measured(claim, _):
        value = worth[claim.row]
        found = {metric: Interval(value, value - 1, value + 1, 0.5) for metric in claim.metrics}
        return claims.Measured(found, "3", "town", None)

    monkeypatch.setattr(claims, "measure", measured)
    said = claims._located(pd.DataFrame())
    assert [said.index(f"{value:+.1f} ({value - 1:+.1f} to {value + 1:+.1f}) mAP") for value in (-2, 5, 1)] == sorted(
        said.index(f"{value:+.1f} ({value - 1:+.1f} to {value + 1:+.1f}) mAP") for value in (-2, 5, 1))
    monkeypatch.setattr(claims, "measure", lambda claim, _: measured(claim, _) if claim is not claims.LOCATED else None)
    assert claims._located(pd.DataFrame()) == ""


def test_in_the_papers_table_mat_is_ahead_of_all_on_occluded_duke():
    rows = pd.DataFrame({label: row[2][:2] for label, row in quoted.ROWS.items()})
    ours = rows.pop("MAT, the paper")
    assert len(rows.columns) == 10 and (ours > rows.max(axis=1)).all()
    assert rows.notna().all().sum() == 7  # as introduction and summary say


def test_the_page_stands_second_in_the_menu():
    toc = yaml.safe_load((REPOSITORY / "book" / "_toc.yml").read_text())
    assert toc["root"] == "intro" and toc["parts"][0]["chapters"] == [{"file": "results"}]
