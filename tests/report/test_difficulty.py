"""The ladder takes the records of these very images, says what is missing, and sweeps its knob."""

import dataclasses
import json

import pandas as pd
import pytest
from builders import write_annyville

from matlib.ablations import row_config
from matlib.data import fingerprint, load_dataset
from matlib.data.samples import everyone_asks
from matlib.errors import MatlibError
from matlib.report import difficulty, figures
from matlib.runs.records import write_record


@pytest.fixture
def data(tmp_path):
    write_annyville(tmp_path)
    return load_dataset("annyville-occluded", tmp_path)


def records(data, *runs):
    columns = ["name", "trained_on", "tested_on", "fingerprint", "rank1", "mAP"]
    own = fingerprint(data)
    rows = [(name, data.name, tested or data.name, own if same else "other", rank1, rank1 / 2)
            for name, tested, same, rank1 in runs]
    return pd.DataFrame(rows, columns=columns)


def test_only_runs_on_these_images_are_rungs(data):
    frame = records(data, ("baseline", None, True, 40.0), ("baseline", None, False, 90.0), ("full", None, True, 70.0),
                    ("true_parts", "partial_reid", True, 80.0), ("baseline", None, True, 44.0))
    assert difficulty.learned_rungs(data, frame).rank1.tolist() == [40.0, 44.0]


def test_the_table_has_every_rung(data):
    learned = records(data, ("baseline", None, True, 40.0), ("baseline", None, True, 44.0))
    table = difficulty.ladder_table(pd.concat([difficulty.rungs_without_learning(data), learned]))
    assert list(table.index) == list(difficulty.RUNGS.values())
    assert table.loc["plain CNN", "R-1"] == "42.0 ± 2.8" and table.loc["plain CNN", "n"] == 2
    assert table.loc["CNN pooled over the true visible parts", ["R-1", "mAP", "n"]].tolist() == ["–", "–", 0]
    assert table.loc["chance", "R-1"] == "100.0"  # one query, one image in the gallery


def test_everyone_asks_for_all_others(data):
    asked = everyone_asks(data)
    assert asked.query == asked.gallery == (*data.query, *data.gallery)
    stranger = data.gallery[0]._replace(identity=77)
    asked = everyone_asks(dataclasses.replace(data, gallery=(*data.gallery, stranger)))
    assert stranger in asked.gallery and stranger not in asked.query


def test_asking_is_an_option_of_rendered_sets(data):
    asked = load_dataset("annyville-occluded", data.root.parent, asking="everyone")
    assert asked == everyone_asks(data)
    assert load_dataset("annyville-occluded", data.root.parent, asking="queries") == data
    with pytest.raises(MatlibError, match="asking of annyville-occluded is one of queries, everyone; got 'all'"):
        load_dataset("annyville-occluded", data.root.parent, asking="all")


def test_the_knob_is_turned(monkeypatch):
    turned = []

    def generate(protocol, preset, seed, out, workers, *, camera_spread):
        turned.append((protocol, preset, seed, camera_spread))
        write_annyville(out)

    monkeypatch.setattr(difficulty, "generate", generate)
    frame = difficulty.colour_by_camera_spread([0, 2], [0, 1, 5])
    assert turned == [("occluded", "tiny", seed, spread) for spread in (0.0, 2.0) for seed in (0, 1, 5)]
    assert len(frame) == 6 * 4 and set(frame.name) == {"chance", "whole image", "centre", "true parts"}
    figure = figures.by_knob(frame, "spread", "mAP", difficulty.RUNGS, ("spread", "mAP, %"))
    lines = figure.axes[0].get_lines()
    for line, name in zip(lines, ["chance", "whole image", "centre", "true parts"]):
        means = frame[frame.name == name].groupby("spread").mAP.mean()
        assert line.get_xdata().tolist() == [0, 2] and line.get_ydata().tolist() == pytest.approx(means.tolist())
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == list(difficulty.RUNGS.values())[:4]
    figures.plt.close(figure)


def test_rungs_of_several_sets_stand_side_by_side(data, tmp_path):
    out = tmp_path / "out"
    difficulty.write_rungs("annyville-occluded", tmp_path, out)
    config = row_config("baseline", "smoke")
    for seed, rank1, tested in ((0, 0.4, fingerprint(data)), (1, 0.6, fingerprint(data)), (2, 0.9, "other images")):
        write_record(out / f"seed{seed}", {
            "config": config.to_dict(), "data": {"name": "annyville-holistic", "fingerprint": "h"},
            "tested": {"name": data.name, "fingerprint": tested}, "metrics": {data.name: {"rank1": rank1, "mAP": 0.3}},
            "seconds": {}})
    table = difficulty.sets_table(difficulty.rungs_by_set([out]))
    assert table.columns.tolist() == ["occluded, tiny"]
    assert table.loc["plain CNN"].item() == "50.0 ± 14.1" and table.loc["chance"].item() == "100.0"
    assert "CNN pooled over the true visible parts" not in table.index  # not measured
    records = tuple(str(out / f"seed{seed}" / "record.json") for seed in (0, 1))
    assert table.loc["plain CNN"].item().pieces == (("50.0 ± 14.1", records),)
    assert table.loc["chance"].item().pieces == (("100.0", ()),)


def rungs_file(folder, spread, preset="small"):
    data = {"name": "s", "fingerprint": f"{preset}{spread}", "preset": preset, "camera_spread": spread}
    write_record(folder, {"data": data, "rungs": {"chance": {"rank1": 1.0, "mAP": 2.0}}}, "rungs-s.json")


def test_other_cameras_make_another_set(tmp_path):
    for spread in (0.0, 1.0, 2.0):
        rungs_file(tmp_path / str(spread), spread)
    rungs_file(tmp_path / "large", 1.0, "large")
    write_record(tmp_path / "run", {
        "config": row_config("baseline", "smoke").to_dict(), "data": {"name": "s", "fingerprint": "small2.0"},
        "metrics": {"s": {"rank1": 0.4, "mAP": 0.3}}, "seconds": {}})
    frame = difficulty.rungs_by_set([tmp_path])
    assert difficulty.sets_table(frame).columns.tolist() == ["s, small", "s, large"]
    assert "plain CNN" not in difficulty.sets_table(frame).index  # not measured
    turned = difficulty.rungs_by_spread(frame, "s")
    assert set(turned.preset) == {"small"} and sorted(set(turned.spread)) == [0, 1, 2]
    assert turned[turned.name == "baseline"][["spread", "rank1"]].values.tolist() == [[2.0, 40.0]]
    assert difficulty.rungs_by_spread(frame[frame.spread == 1], "s").empty


@pytest.mark.parametrize("change", [
    {"data": None}, {"data": {}}, {"data": {"name": "s", "fingerprint": "f", "preset": "small"}},
    {"data": {"name": [], "fingerprint": "f", "preset": "small", "camera_spread": 1.0}},
    {"data": {"name": "s", "fingerprint": "f", "preset": "small", "camera_spread": "wide"}},
    {"rungs": None}, {"rungs": []}, {"rungs": {"chance": {"mAP": 1.0}}}, {"rungs": {"chance": 5}},
    {"rungs": {"chance": {"rank1": "<b>", "mAP": 1.0}}}])
def test_a_damaged_file_of_rungs_is_named(tmp_path, change):
    rungs_file(tmp_path, 1.0)
    path = tmp_path / "rungs-s.json"
    assert len(difficulty.rungs_by_set([tmp_path])) == 1
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MatlibError, match="rungs-s.json is not a file of rungs"):
        difficulty.rungs_by_set([tmp_path])


@pytest.mark.parametrize("metrics", [{"other": {"rank1": 0.4, "mAP": 0.3}}, {"s": {"mAP": 0.3}}])
def test_a_rungs_record_without_its_set_is_named(tmp_path, metrics):
    rungs_file(tmp_path, 1.0)
    path = write_record(tmp_path / "run", {
        "config": row_config("baseline", "smoke").to_dict(), "data": {"name": "s", "fingerprint": "small1.0"},
        "metrics": metrics, "seconds": {}})
    with pytest.raises(MatlibError, match=f"{path} is not a run's record: it has no rank1 and mAP on s"):
        difficulty.rungs_by_set([tmp_path])
