"""Table 3's columns hold the tests that they name, and no other town's."""

import math

import pandas as pd
import pytest

from matlib.ablations import ROWS, Row, row_config
from matlib.evaluation import Interval
from matlib.report import comparison, quoted, tables, verdicts

HOLISTIC, OCCLUDED = comparison.HOLISTIC, comparison.OCCLUDED


@pytest.fixture
def frame() -> pd.DataFrame:
    """PCB on its own sets, on another set and in another town; MAT on the occluded set."""
    lines = [("pcb", OCCLUDED, OCCLUDED, "own", 60), ("pcb", HOLISTIC, HOLISTIC, "own", 99),
             ("pcb", HOLISTIC, HOLISTIC, "other", 97), ("pcb", HOLISTIC, "annyville-partial-pairs", "other", 61),
             ("full", OCCLUDED, OCCLUDED, "own", 50), ("full", OCCLUDED, OCCLUDED, "own", 54),
             ("mine:Own", OCCLUDED, OCCLUDED, "own", 10)]
    return pd.DataFrame([
        {"name": name, "profile": "laptop", "epochs": 8, "trained_on": trained, "fingerprint": "own",
         "tested_on": tested, "tested_data": data, "rank1": float(rank1), "rank3": rank1 + 0.5,
         "rank5": 99.0, "rank10": 99.0, "mAP": rank1 - 5.0, "path": f"runs/{name}/seed{rank1}/record.json"}
        for name, trained, tested, data, rank1 in lines])


def test_a_column_has_the_tests_of_its_set_and_town(frame):
    table = comparison.retrained([ROWS["pcb"], ROWS["full"], ROWS["sfr"]], frame)
    assert list(table.index) == ["PCB", "#5 full model"]
    pcb, full = table.loc["PCB"], table.loc["#5 full model"]
    assert pcb["holistic", "R-1"] == "99.0" and pcb["second town", "R-1"] == "97.0"
    assert pcb["partial pairs", "R-3"] == "61.5" and "partial single" not in table  # where none was run
    assert full["occluded", "mAP"] == "47.0±2.8" and full["occluded", "n"] == 2


def test_the_schedule_that_has_seen_most_images_stands_first(frame):
    sizes = (("laptop", 8, 800), ("laptop", 24, 800), ("town", 4, 8000), ("paper", 1, math.nan))
    several = pd.concat([frame.assign(profile=profile, epochs=epochs, images=images)
                         for profile, epochs, images in sizes])
    assert [title for title, _ in comparison.schedules(several)] == [
        "town profile, 4 epochs", "laptop profile, 24 epochs", "laptop profile, 8 epochs", "paper profile, 1 epochs"]


@pytest.fixture
def photographs(frame) -> pd.DataFrame:
    """Photographs tested by models of both towns, two queries each, beside the other tests."""
    def by_query(first):
        return {"queries": "0 1", "identities": "0 1", "first_ranks": first, "average_precisions": "0.5 0.25",
                "inverse_negative_penalties": "0.5 0.25"}
    lines = [("pcb", HOLISTIC, "partial_reid", 30.0, "1 3"), ("pcb", HOLISTIC, "partial_reid", 34.0, "1 2"),
             ("full", HOLISTIC, "partial_reid", 20.0, "2 4"), ("full", OCCLUDED, "partial_reid", 77.0, "1 1"),
             ("full", HOLISTIC, "partial_ilids", 40.0, "1 1")]
    new = [{"name": name, "profile": "laptop", "epochs": 8, "trained_on": trained, "fingerprint": "own",
            "tested_on": tested, "tested_data": "photographs", "rank1": rank1, "rank3": rank1 + 1, "rank5": 90.0,
            "rank10": 99.0, "mAP": rank1 - 5, "path": f"runs/{name}/{trained}/{rank1}", "per_query": by_query(first)}
           for name, trained, tested, rank1, first in lines]
    return pd.concat([frame, pd.DataFrame(new)], ignore_index=True)


def test_photographs_are_a_block_of_their_own(photographs, frame):
    rows = [ROWS["pcb"], ROWS["full"], ROWS["sfr"]]
    table = comparison.retrained(rows, photographs, comparison.PHOTOGRAPHS)
    assert list(table.index) == ["PCB", "#5 full model"]
    assert table.loc["PCB"]["Partial-REID", "R-1"] == "32.0±2.8" and table.loc["PCB"]["Partial-REID", "n"] == 2
    assert table.loc["#5 full model"]["Partial-REID", "R-1"] == "20.0"  # and not that of the other town's model
    assert table.loc["PCB"]["Partial-iLIDS", "mAP"] == tables.NOT_RUN
    pd.testing.assert_frame_equal(comparison.retrained(rows, photographs), comparison.retrained(rows, frame))
    assert comparison.retrained(rows, frame, comparison.PHOTOGRAPHS).empty


def test_photographs_are_compared_in_pairs_of_the_same_queries(photographs):
    pairs = comparison.against([ROWS["pcb"], ROWS["full"]], photographs, columns=comparison.PHOTOGRAPHS)
    assert list(pairs.index) == ["PCB"] and list(pairs.columns) == ["Partial-REID, mAP"]
    assert pairs.loc["PCB"].iloc[0].startswith("+0.0 (")


def test_a_row_is_ahead_or_behind_on_the_columns_whose_interval_is_beyond_0():
    def run(name, twin, seed, precision):
        numbers = " ".join(map(str, range(20)))
        values = " ".join(str(precision + 0.001 * (seed + number % 5)) for number in range(20))
        lines = dict.fromkeys(("queries", "identities"), numbers) | {"first_ranks": " ".join(["1"] * 20)}
        return {"name": name, "seed": seed, "trained_on": twin.trained_on, "fingerprint": "own",
                "tested_on": twin.tested_on, "tested_data": "other" if twin.elsewhere else "own",
                "rank1": 100.0, "rank5": 100.0, "rank10": 100.0,
                "mAP": 100 * precision, "per_query": lines | dict.fromkeys(
                    ("average_precisions", "inverse_negative_penalties"), values)}

    occluded, pairs, partial = comparison.TWINS[:3]
    frame = pd.DataFrame([run(name, twin, seed, precision) for seed in (0, 1) for name, twin, precision in (
        ("full", occluded, 0.5), ("pcb", occluded, 0.7), ("pat", occluded, 0.5), ("vpm", occluded, 0.3),
        ("full", pairs, 0.5), ("pcb", pairs, 0.8), ("vpm", pairs, 0.9),
        ("full", partial, 0.5), ("pcb", partial, 0.9))])  # by rank-1, which is the same
    rows = [ROWS[name] for name in ("pcb", "pat", "vpm", "full", "sfr")]
    found = comparison.sides(rows, frame)
    assert found == {"above": {"PCB": ["occluded", "occluded pairs"], "VPM": ["occluded pairs"]},
                     "below": {"VPM": ["occluded"]}}
    assert verdicts.of_sides(found, "MAT") == (
        "beyond chance, ahead of MAT: PCB (occluded, occluded pairs); VPM (occluded pairs). Behind it: VPM (occluded).")
    assert verdicts.of_sides(comparison.sides(rows, frame[:0]), "MAT").endswith("MAT: none. Behind it: none.")


def test_an_interval_says_which_chances_it_holds(photographs):
    partial, single = comparison.PHOTOGRAPHS
    assert comparison.chances(photographs, [partial]) == "other queries and other trainings"
    assert comparison.chances(photographs, [single]) == "other queries alone, as no training was repeated"
    assert "where some were repeated" in comparison.chances(photographs, [partial, single])


def test_a_method_that_photographs_cannot_serve_says_what_it_needs(photographs):
    rows = [ROWS[name] for name in ("pcb", "full", "sfr", "pgfa", "horeid", "true_parts")]
    assert comparison.why_no_photographs(rows, photographs) == {
        "yet": ["SFR"], "for want of a detector's file of joints": ["PGFA", "HOReID"],
        "for want of true parts": ["#1 pooled over true parts"]}


def test_every_record_of_a_twin_is_in_one_column(frame):
    assert sum(len(comparison.of_twin(twin, frame)) for twin in comparison.TWINS) == len(frame)


def test_costs_lead_to_the_runs_of_the_occluded_twin(frame):
    frame = frame.assign(config=row_config("pcb", "laptop"), parameters=2_000_000, cpu_per_epoch=11.0,
                         seconds_per_query=0.004)
    costs = comparison.costs([ROWS["pcb"], ROWS["full"]], frame)
    assert costs.loc["PCB", "milliseconds a query"] == "4"
    assert costs.loc["PCB", "n"].pieces == (("1", ("runs/pcb/seed60/record.json",)),)
    assert costs.loc["#5 full model", "n"] == "2"


def test_what_was_not_run_and_whose_methods_there_are(frame):
    assert comparison.not_run([ROWS["pcb"], ROWS["sfr"]], frame) == ["SFR"]
    own, = comparison.own_methods(frame)
    assert (own.name, own.label) == ("mine:Own", "Own") and all(map(math.isnan, own.paper))


@pytest.mark.parametrize(("low", "high", "where"), [
    (0.1, 2, "above"), (-2, -0.1, "below"), (-1, 1, "not told apart"), (0, 2, "not told apart")])
def test_an_interval_that_holds_0_tells_nothing_apart(monkeypatch, frame, low, high, where):
    monkeypatch.setattr(tables, "paired_difference", lambda *_: {"mAP": Interval((low + high) / 2, low, high, 1.0)})
    found = tables.beyond_chance([Row("pcb", "PCB", (0.0,) * 4), ROWS["full"]], frame)
    assert found == {"above": [], "below": [], "not told apart": []} | {where: ["PCB"]}


def test_every_note_of_the_quoted_table_belongs_to_a_row():
    assert {note for *_, notes in quoted.ROWS.values() for note in notes} == set(range(1, len(quoted.NOTES) + 1))
    assert quoted.table().shape == (11, 15) and all(len(numbers) == 12 for _, _, numbers, _ in quoted.ROWS.values())
