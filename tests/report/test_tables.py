"""Tables: means and deviations of exactly the records they name, the paper's numbers untouched, nothing invented."""

import errno
import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matlib.ablations import TABLE_1, row_config
from matlib.errors import MatlibError
from matlib.references import ELSEWHERE, REFERENCES
from matlib.report import captions, tables
from matlib.runs import records


def record(folder, row="full", seed=0, rank1=0.5, tested="annyville-occluded", profile="smoke", fingerprint="f" * 64,
           extra=None, changes=None):
    metrics = {"rank1": rank1, "rank3": 0.6, "rank5": 0.7, "rank10": 0.8, "mAP": 0.4, "mINP": 0.2, "queries": 9,
               "gallery": 9, **(extra or {})}
    content = {
        "config": row_config(row, profile, seed, changes).to_dict(), "metrics": {tested: metrics}, "history": [],
        "data": {"name": "annyville-occluded", "fingerprint": fingerprint, "images": 1200},
        "seconds": {"training": 90.0, "evaluation": 1.0},
        "run": {"commit": "abc", "hardware": "CPU", "torch": "2", "date": "2026-01-01", "processes": 1}}
    records.write_record(folder / row / f"seed{seed}", content,
                         "record.json" if tested == "annyville-occluded" else f"record-{tested}.json")


@given(st.lists(st.floats(0, 100), min_size=2, max_size=6))
def test_spread_is_mean_and_sample_deviation(values):
    mean, deviation = tables.spread(values).split(" ± ")
    assert float(mean) == pytest.approx(statistics.mean(values), abs=0.051)
    assert float(deviation) == pytest.approx(statistics.stdev(values), abs=0.051)


def test_a_number_nobody_measured_is_not_shown(tmp_path):
    record(tmp_path, "full", rank1=0.25)
    ((_, group),) = tables.experiments(tables.load_records([tmp_path]))
    table = tables.table(TABLE_1, group)
    assert table.loc["#5 full model", ("measured here", "R-1")] == "25.0"
    others = table.drop(index="#5 full model")["measured here"].drop(columns="n")
    assert (others == tables.NOT_RUN).all(axis=None)


def test_the_papers_numbers_stand_beside_whatever_was_measured(tmp_path):
    record(tmp_path)
    ((_, group),) = tables.experiments(tables.load_records([tmp_path]))
    paper = tables.table(TABLE_1, group)["paper, Occluded-Duke"].astype(float)
    assert paper.values.tolist() == [list(row.paper) for row in TABLE_1]


def test_a_run_with_another_setting_is_not_the_row(tmp_path):
    record(tmp_path, rank1=0.25)
    record(tmp_path / "changed", rank1=0.75, changes={"loss.fc_on": "parts"})
    record(tmp_path / "longer", rank1=0.5, changes={"train.epochs": 40})
    frame = tables.load_records([tmp_path])
    assert sorted(frame.name) == ["full", "full", "full, loss.fc_on=parts"]
    shown = [tables.table(TABLE_1, group).loc["#5 full model", ("measured here", "R-1")]
             for _, group in tables.experiments(frame)]
    assert shown == ["50.0", "25.0"]  # the longer training first


def test_seeds_are_averaged_and_other_experiments_kept_apart(tmp_path):
    for seed, rank1 in enumerate((0.2, 0.4)):
        record(tmp_path / "a", seed=seed, rank1=rank1)
    record(tmp_path / "b", rank1=0.9, fingerprint="0" * 64)
    record(tmp_path / "c", rank1=0.9, tested="partial_reid")
    groups = tables.experiments(tables.load_records([tmp_path]))
    assert len(groups) == 3 and all("epochs on 1,200 images of annyville-occluded" in title for title, _ in groups)
    cells = sorted(tables.table(TABLE_1, group).loc["#5 full model", ("measured here", "R-1")] for _, group in groups)
    assert cells == ["30.0±14.1", "90.0", "90.0"]


def test_ones_own_run_takes_the_place_of_the_reference(tmp_path):
    record(tmp_path / "reference", rank1=0.5)
    record(tmp_path / "own", rank1=0.6)
    frame = tables.load_records([tmp_path / "reference", tmp_path / "own"])
    assert frame["rank1"].tolist() == [60.0]


def test_a_name_in_place_of_a_list_is_refused(unchecked):
    for wrong in ("book/records", None, [None], [["book/records"]], [__file__]):
        with pytest.raises(MatlibError, match="list of folders"):
            tables.load_records(wrong)


def test_without_records_there_are_empty_tables_and_no_error(tmp_path):
    frame = tables.load_records([tmp_path])
    assert tables.experiments(frame) == [] and tables.provenance(frame).data.empty


def test_every_seed_leads_to_its_own_record(tmp_path):
    record(tmp_path, seed=0)
    record(tmp_path, seed=1)
    shown = tables.provenance(tables.load_records([tmp_path]))
    (line,) = shown.data.to_dict("records")
    assert (line["row"], line["seeds"]) == ("full", "0, 1") and line["records in"] == (tmp_path / "full").as_posix()
    assert [records.read_record(path)["config"]["seed"] for _, (path,) in line["seeds"].pieces] == [0, 1]


def test_records_are_whole_or_not_there(tmp_path):
    record(tmp_path)
    path = next(tmp_path.rglob("record.json"))
    assert json.loads(path.read_text())["seconds"]["training"] == 90.0
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize("damaged", [
    '{"config"', "5", "[]", '{"config": 5}', '{"config": {}}', '{"config": {}, "metrics": {}, "seconds": 5}'])
def test_a_damaged_record_is_told(tmp_path, damaged):
    (tmp_path / "record.json").write_text(damaged)
    with pytest.raises(MatlibError, match="is not a run's record; delete it and run the training again"):
        records.read_record(tmp_path)


@pytest.mark.parametrize("field, value", [
    ("config.name", None), ("config.name", 5), ("data.fingerprint", None), ("data", []), ("run.hardware", 3),
    ("run.schema", 99), ("metrics.d.rank1", float("nan")), ("metrics.d.mAP", float("inf")), ("metrics.d.rank5", -5),
    ("metrics.d.intervals", {"rank1": [50, 60]}), ("metrics.d.intervals", {"mAP": [0.6, 0.5]}),
    ("metrics.d.intervals", {"mAP": "x"}), ("metrics.d.queries", 0), ("parameters", "many"), ("seconds.cpu", -1),
    ("seconds.evaluation", "long"), ("data.images", -1), ("run.processes", "<i>"), ("config.name", "\ud800"),
    ("metrics.d.rank10", "0.5"), ("metrics.d.queries", 1.5), ("metrics.d.rank3", None), ("metrics.d", 3),
    ("run.date", None), ("seconds.training", -1), ("config.profile", None), ("data", None), ("data.name", None),
    ("tested", {"name": "d"}), ("tested", []), ("history", [1]), ("history", [{"epoch": 2}]),
    ("history", [{"epoch": 1, "losses": {"total": "<b>"}}]), ("history", [{"epoch": 1, "diagnostics": None}])])
def test_a_record_with_a_wrong_field_is_told_with_its_path(tmp_path, field, value):
    record(tmp_path)
    path = next(tmp_path.rglob("record.json"))
    content = json.loads(path.read_text())
    content["metrics"] = {"d": content["metrics"].popitem()[1]}
    path.write_text(json.dumps(content))
    assert len(tables.load_records([tmp_path])) == 1
    *sections, key = field.split(".")
    inner = content
    for section in sections:
        inner = inner[section]
    inner.pop(key) if value is None else inner.update({key: value})
    path.write_text(json.dumps(content))
    with pytest.raises(MatlibError, match=f"{path} is not a run's record"):
        tables.load_records([tmp_path])


def test_a_field_that_stands_twice_is_told_and_a_byte_order_mark_is_none(tmp_path):
    record(tmp_path)
    path = next(tmp_path.rglob("record.json"))
    text = path.read_text()
    path.write_text("\ufeff" + text)
    assert len(tables.load_records([tmp_path])) == 1
    path.write_text(text.replace('"seed": 0', '"seed": 5, "seed": 0', 1))
    with pytest.raises(MatlibError, match="a field stands in it twice"):
        records.read_record(path)


def test_a_record_of_a_profile_that_is_not_known_is_told_with_its_path(tmp_path):
    record(tmp_path)
    path = next(tmp_path.rglob("record.json"))
    content = json.loads(path.read_text())
    content["config"]["profile"] = "desk"
    path.write_text(json.dumps(content))
    with pytest.raises(MatlibError, match=f"{path} .* there is no profile 'desk'"):
        tables.load_records([tmp_path])


def test_what_is_no_file_of_a_record_is_told(tmp_path):
    path = tmp_path / "record.json"
    for text in ("[" * 100_000 + "]" * 100_000, '{"config": ' + "9" * 5000 + "}", "\x00"):
        path.write_text(text)
        with pytest.raises(MatlibError, match="record.json is not a run's record"):
            records.read_record(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(MatlibError, match="it is no file"):
        records.read_record(path)
    (tmp_path / "folder" / "record.json").mkdir(parents=True)
    with pytest.raises(MatlibError, match="it is no file"):
        records.read_record(tmp_path / "folder")
    with pytest.raises(MatlibError, match="could not be read"):
        records.read_record("x" * 5000)


def test_many_writers_of_one_file_leave_one_of_their_contents(tmp_path):
    contents = [bytes([letter]) * 100_000 for letter in b"abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: records.write_atomically(tmp_path / "one", content), contents * 10))
    assert (tmp_path / "one").read_bytes() in contents and [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("code, mend", [(errno.ENOSPC, "make room"), (errno.EROFS, "a place that you may write to")])
def test_the_mend_fits_the_cause(tmp_path, monkeypatch, code, mend):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(records.os, "replace", fail)
    with pytest.raises(MatlibError, match=mend):
        records.write_atomically(tmp_path / "one", b"")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(MatlibError, match="a file is in the way"):
        records.write_atomically(tmp_path / "file" / "x", b"")


def test_no_table_carries_script_from_a_record(tmp_path):
    record(tmp_path / "<script>alert(1)")
    frame = tables.load_records([tmp_path]).assign(hardware="<script>alert(2)", tested_on="<script>alert(3)")
    contents = [frame[["tested_on"]].set_index("tested_on", drop=False), pd.DataFrame([[1.0]], columns=["<script>"])]
    pages = [captions.provenance(frame, "tab-records"), *(captions.table(each, "tab-a", "A.") for each in contents)]
    assert all("<script>" not in page.html and "&lt;script&gt;" in page.html for page in pages)


def test_one_seed_has_the_interval_of_its_queries(tmp_path):
    record(tmp_path, seed=0, rank1=0.5, extra={"intervals": {"rank1": [0.404, 0.596]}})
    ((_, group),) = tables.experiments(tables.load_records([tmp_path]))
    cells = tables.table(TABLE_1, group).loc["#5 full model", "measured here"]
    assert cells["R-1"] == "50.0 (40–60)" and cells["mAP"] == "40.0"  # of which the record has no interval


def by_query(seed, precisions):
    """What a record keeps of 40 queries, two of a person."""
    results = {"queries": np.arange(40), "identities": np.arange(40) // 2, "first_ranks": np.full(40, 2 - seed % 2),
               "average_precisions": precisions, "inverse_negative_penalties": precisions}
    return {"per_query": {key: " ".join(map(str, values)) for key, values in results.items()},
            "mAP": precisions.mean()}


def test_differences_are_taken_query_by_query_over_all_seeds(tmp_path):
    """Two rows that differ by the same amount for every query and in every training: the interval is a point."""
    precisions = np.random.default_rng(0).random(40) * 0.5
    for row, more, seeds in (("full", 0.0, (0, 1, 3)), ("baseline", 0.25, (0, 2, 3)), ("encoder_only", None, (0, 1))):
        for seed in seeds:
            of_queries = by_query(seed, precisions + (more or 0))
            record(tmp_path, row, seed, rank1=0.5, extra=of_queries if more is not None else {})
    ((_, group),) = tables.experiments(tables.load_records([tmp_path]))
    result = tables.differences(TABLE_1, group)
    assert len(result) == 1  # the third row has no results by query
    shown = result.iloc[0].tolist()
    assert shown[1:] == ["+25.0 (+25.0 to +25.0)", "3"] and shown[0].startswith("-33.3 (-33.3")
    page = captions.differences(TABLE_1, group, "tab-differences", "").html
    assert all(f">{cell}</td>" in page for cell in shown[:2]) and "deviate by R-1 0.0, mAP 0.0" in page
    assert captions.differences(TABLE_1, group[group["name"] == "full"], "tab-differences", "") is None


def test_an_interval_grows_with_the_deviation_between_trainings():
    precisions = np.full(40, 0.5)
    runs = pd.DataFrame({"name": "a", "mAP": 50.0, "per_query": [by_query(0, precisions)["per_query"]] * 2})
    others = runs.iloc[:1]
    for deviation in (0.0, np.nan, 3.0):
        found = tables.paired_difference(runs, others, pd.Series({"mAP": deviation}))["mAP"]
        half = 1.96 * 3.0 * 1.5 ** 0.5 if deviation == 3.0 else 0.0  # variances add: of a mean of two, and of one
        assert found[:3] == pytest.approx((0.0, -half, half))
    apart = runs.assign(mAP=[40.0, 60.0])  # deviates by more than the rows do
    found = tables.paired_difference(apart, others, pd.Series({"mAP": 3.0}))["mAP"]
    assert found.high == pytest.approx(1.96 * (200 / 2 + 9) ** 0.5)


def test_the_deviation_between_trainings_is_pooled_over_the_rows():
    frame = pd.DataFrame({"name": list("aaabbc"), "mAP": [1.0, 2.0, 3.0, 10.0, 14.0, 99.0],
                          "NMI": [1.0, np.nan, 3.0, np.nan, 1.0, 5.0]})
    found = tables.training_deviation(frame, ["mAP", "NMI"])
    assert found["mAP"] == pytest.approx(((1 + 1 + 4 + 4) / 3) ** 0.5)  # 6 runs less 3 means
    assert found["NMI"] == pytest.approx(2**0.5)  # one row has two values
    assert "mAP 1.8, NMI 1.4" in tables.interval_note(found)
    alone = tables.training_deviation(frame.drop_duplicates("name"), ["mAP"])
    assert np.isnan(alone["mAP"]) and "no row was repeated" in tables.interval_note(alone)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_intervals_widen_where_few_trainings_were_repeated(seeds):
    """As Student's t does: so many rows with so many seeds, all of which lie apart alike."""
    names = [str(row) for row, count in enumerate(seeds) for _ in range(count)]
    frame = pd.DataFrame({"name": names, "mAP": [float(place % 2) for place in range(len(names))]})
    deviation, chance = (of(frame, ["mAP"])["mAP"] for of in (tables.training_deviation, tables.training_chance))
    known = {1: 12.706, 2: 4.303, 3: 3.182, 10: 2.228}  # a table's, of 95 %
    repeats = sum(seeds) - len(seeds)
    assert np.isnan(chance) == np.isnan(deviation) == (repeats == 0)
    if repeats in known:
        assert chance == pytest.approx(deviation * known[repeats] / 1.96, rel=1e-3)
    if repeats:
        assert deviation <= chance


def scores(folder, row="full", seed=0, error=0.06, motion=True, changes=None):
    def network(error):
        found = {"keypoints": {"error": error}, "motion": {"learned": 0.08, "identity": 0.11},
                 "parts": {"all": {"nmi": 0.2}, "body": {"nmi": 0.1}, "matched_iou": {"mean": None},
                           "foreground_iou": 0.5},
                 "yardsticks": {"keypoints": {"error": 0.09}, "parts": {"all": {"nmi": 0.15}}}}
        return found if motion else {key: value for key, value in found.items() if key != "motion"}

    content = {"config": row_config(row, "smoke", seed, changes).to_dict(), "metrics": {}, "seconds": {}, "run": {},
               "data": {"name": "annyville-occluded", "fingerprint": "f" * 64},
               "tested": {"name": "annyville-occluded", "fingerprint": "f" * 64},
               "scores": {"trained": network(error), "untrained": network(0.07), "truth": network(0.01)}}
    records.write_record(folder / row / f"seed{seed}", content, "record-scores-annyville-occluded.json")


def test_scores_are_averaged_over_seeds_beside_the_untrained_and_the_fixed(tmp_path):
    for seed, error in enumerate((0.05, 0.06)):
        scores(tmp_path, seed=seed, error=error)
    scores(tmp_path, "no_transformer", error=0.02)
    table = tables.score_table(TABLE_1, tables.load_scores([tmp_path]))
    assert table["joint error"].to_dict() == {
        "#2 no transformer": "2.0", "#5 full model": "5.5±0.7", "before training": "7.0",
        "the same in every image": "9.0", "the true parts, in its cells": "1.0"}
    assert table.loc["the same in every image", "flow error"] == "11.0"
    assert table.loc["#5 full model", "part IoU"] == tables.NOT_RUN
    assert table.loc["the same in every image", "NMI"] == "15.0"


def test_scores_without_keypoints_have_no_motion_and_records_without_scores_no_line(tmp_path):
    record(tmp_path)
    assert tables.load_scores([tmp_path]).empty and tables.score_table(TABLE_1, tables.load_scores([tmp_path])).empty
    scores(tmp_path, motion=False)
    table = tables.score_table(TABLE_1, tables.load_scores([tmp_path]))
    assert (table["flow error"] == tables.NOT_RUN).all()


@pytest.mark.parametrize("damaged", [
    {"untrained": {}}, {"trained": {}}, {"trained": []}, {"trained": {"yardsticks": 5}},
    {"trained": {"yardsticks": {}, "motion": {}}}, {"trained": {"yardsticks": {}, "keypoints": {"error": "5"}}},
    {"trained": {"yardsticks": {}, "keypoints": 5}}])
def test_damaged_scores_are_told_with_their_file(tmp_path, damaged):
    scores(tmp_path)
    path = next(tmp_path.rglob("record-scores-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scores": damaged}))
    with pytest.raises(MatlibError, match=f"{path} is not a run's record: "):
        tables.load_scores([tmp_path])


def test_trials_are_named_by_what_they_change_in_their_start(tmp_path):
    for seed, changes in ((0, None), (1, {"loss.fc_on": "parts", "loss.consistency": 20})):
        record(tmp_path, seed=seed, rank1=0.4 + seed / 10, changes=changes)
        scores(tmp_path, seed=seed, error=0.06, changes=changes)
    record(tmp_path, "baseline")  # not scored
    found = tables.trials(tmp_path, "seed0")
    assert found.index.tolist() == ["the start", "consistency = 20.0, fc_on = parts"]
    assert found["rank1"].tolist() == [40.0, 50.0] and found["joint error"].tolist() == [6.0, 6.0]
    assert tables.trials(tmp_path, "seed1").index.tolist() == ["consistency = 80.0, fc_on = features", "the start"]
    with pytest.raises(MatlibError, match="seed0, seed1"):
        tables.trials(tmp_path, "elsewhere")


def test_a_run_stands_beside_its_own_scores_and_not_those_of_a_longer_one(tmp_path):
    for name, changes, rank1, error in (("short", None, 0.25, 0.06), ("long", {"train.epochs": 40}, 0.75, 0.03)):
        record(tmp_path / name, rank1=rank1, changes=changes)
        scores(tmp_path / name, error=error, changes=changes)
    record(tmp_path, "baseline")  # not scored
    found = tables.scored_runs([tmp_path])
    assert dict(zip(found["rank1"], found["joint error"])) == pytest.approx({25.0: 6.0, 75.0: 3.0, 50.0: np.nan},
                                                                            nan_ok=True)
    epochs, batch = found["epochs"], 4 * 2  # the smoke profile's identities and images
    assert (found["steps"] == epochs * (1200 // batch)).all()
    longer = found[found["epochs"] == 40]
    shown = tables.summary(TABLE_1, longer, tables.load_scores([tmp_path]))
    assert shown.index.tolist() == ["#5 full model", "before training", "the same in every image",
                                    "the true parts, in its cells"]
    assert shown[["R-1", "joint error", "part IoU", "n"]].iloc[0].tolist() == ["75.0", "3.0", tables.NOT_RUN, "1"]
    assert shown["joint error"].tolist()[1:] == ["7.0", "9.0", "1.0"] and (shown["R-1"][1:] == tables.NOT_RUN).all()
    unscored = tables.summary(TABLE_1, longer, tables.load_scores([]))
    assert unscored.columns.tolist() == ["R-1", "mAP", "n"]


def test_an_old_record_of_another_processor_stands_beside_those_of_the_same_set(tmp_path):
    (recipe, ours), *others = REFERENCES.items()
    theirs = next(iter(ELSEWHERE)) + "0" * 56
    assert ELSEWHERE[theirs[:8]] == recipe
    record(tmp_path, fingerprint=ours)
    record(tmp_path, row="baseline", fingerprint=theirs)
    record(tmp_path, row="encoder_only", fingerprint=others[0][1])
    groups = [set(group["name"]) for _, group in tables.experiments(tables.own_tests(tables.load_records([tmp_path])))]
    assert sorted(groups, key=len) == [{"encoder_only"}, {"full", "baseline"}]
