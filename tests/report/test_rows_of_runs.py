"""Rows beside each other: what is drawn is what the records say."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")

from matlib.ablations import CONTROLS, ROWS, TABLE_1, row_config
from matlib.data import ReIDDataset, Sample
from matlib.report import figures, rows, tables
from matlib.runs import records

FULL, CONTROL = ROWS["full"], ROWS["identity_only"]
QUERIES = 40


def write(folder, row, seed, precisions, ranks, losses=(3.0, 2.0)):
    """A record of the smoke profile with these results by query and this identity loss by epoch."""
    lines = {"queries": range(QUERIES), "identities": np.arange(QUERIES) // 2, "first_ranks": ranks,
             "average_precisions": precisions, "inverse_negative_penalties": precisions}
    metrics = {"mAP": float(np.mean(precisions)), "mINP": 0.1, "queries": QUERIES, "gallery": 90,
               **{f"rank{k}": float(np.mean(np.asarray(ranks) <= k)) for k in (1, 3, 5, 10)},
               "per_query": {key: " ".join(map(str, values)) for key, values in lines.items()}}
    content = {"config": row_config(row, "smoke", seed).to_dict(), "metrics": {"annyville-occluded": metrics},
               "data": {"name": "annyville-occluded", "fingerprint": "f" * 64, "images": 1200},
               "history": [{"epoch": i, "losses": {"identity_global": value}} for i, value in enumerate(losses, 1)],
               "seconds": {"training": 60.0},
               "run": {"hardware": "CPU", "processes": 1, "commit": "abc", "date": "2026-01-01", "torch": "2"}}
    records.write_record(folder / row / f"seed{seed}", content, "record.json")


@pytest.fixture
def runs(tmp_path):
    generator = np.random.default_rng(0)
    for row, gain in (("full", 0.2), ("identity_only", 0.0), ("baseline", 0.1)):
        for seed in range(1 if row == "baseline" else 2):
            precisions = (generator.uniform(0.1, 0.5, QUERIES) + gain).round(4)
            write(tmp_path, row, seed, precisions, 1 + generator.integers(0, 6, QUERIES), (3.0 - gain, 2.0 - seed))
    return tables.own_tests(tables.load_records([tmp_path]))


def test_differences_are_those_of_the_table_beside_the_papers(runs):
    frames = tables.difference_frames([*TABLE_1, *CONTROLS], runs)
    table = tables.differences([*TABLE_1, *CONTROLS], runs)
    for metric in ("R-1", "mAP"):
        assert list(frames[metric].index) == list(table.index)
        for row in frames[metric].itertuples():
            assert table.loc[row.Index, metric] == tables.in_pairs(row.value, row.low, row.high)
    mAP = frames["mAP"]["paper"]
    assert mAP[ROWS["baseline"].label] == pytest.approx(38.8 - 58.8) and np.isnan(mAP[CONTROL.label])


def test_a_forest_has_a_hollow_diamond_for_each_row_of_the_paper():
    frame = pd.DataFrame({"value": [1.0, 2.0], "low": [0.0, 1.0], "high": [2.0, 3.0], "paper": [4.0, np.nan]},
                         index=["a", "b"])
    figure = figures.forest({"mAP": frame, "R-1": frame}, "points")
    for axes in figure.axes:
        diamonds, = [line for line in axes.lines if line.get_marker() == "D"]
        assert diamonds.get_fillstyle() == "none" and diamonds.get_xdata()[0] == 4.0
        assert diamonds.get_ydata()[0] > diamonds.get_ydata()[1]  # the first row is the upper one
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"here", "the paper"}
    assert not figures.forest({"mAP": frame.drop(columns="paper")}, "points").legends
    figures.plt.close("all")


def test_each_training_is_a_thin_line_and_several_have_a_mean(runs):
    labels = {"full": FULL.label, "baseline": ROWS["baseline"].label}
    found = tables.histories(runs[runs["name"].isin(labels)], rows.LOSS)
    figure = figures.learning_curves(found.assign(row=found["name"].map(labels)), "loss", FULL.label)
    panels = {axes.get_title().replace("\n", " "): axes for axes in figure.axes if axes.lines}
    several, one = panels[f"{FULL.label}, n = 2"], panels[f"{labels['baseline']}, n = 1"]
    assert [len(axes.lines) for axes in (several, one)] == [3, 2]  # two seeds and their mean; one and the full model
    seeds, mean = [line.get_ydata() for line in several.lines[:2]], several.lines[2]
    np.testing.assert_allclose(mean.get_ydata(), np.mean(seeds, axis=0))
    assert mean.get_linewidth() > several.lines[0].get_linewidth()
    assert several.get_ylim() == one.get_ylim()
    np.testing.assert_allclose(one.lines[1].get_ydata(), mean.get_ydata())
    figures.plt.close(figure)


def test_a_cmc_is_the_evaluators_and_rows_of_one_training_stand_apart(runs, monkeypatch):
    drawn = {}
    curves = figures.rank_curves
    monkeypatch.setattr(figures, "rank_curves", lambda panels: drawn.update(panels) or curves(panels))
    assert rows.ranks([*TABLE_1, CONTROL], runs, "fig-ranks", "of") is not None
    several, one = drawn.values()
    assert set(several["row"]) == {f"{FULL.label} (n = 2)", f"{CONTROL.label} (n = 2)"}
    assert set(one["row"]) == {f"{ROWS['baseline'].label} (n = 1)"}
    own = several[several["row"].str.startswith(FULL.label + " ")].set_index("rank")["share"]
    for rank in (1, 5, 10):
        assert own[rank] == pytest.approx(runs.loc[runs["name"] == "full", f"rank{rank}"].mean())
    assert own.is_monotonic_increasing
    figure = curves(drawn)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim() and len(figure.axes[0].lines) == 2
    figures.plt.close(figure)


def test_every_query_is_a_point_at_the_mean_of_its_trainings(runs, monkeypatch):
    drawn = {}
    scatter = figures.query_scatter
    monkeypatch.setattr(figures, "query_scatter", lambda panels, ours: drawn.update(panels) or scatter(panels, ours))
    shown = rows.queries(FULL, [CONTROL], runs, "fig-queries", "of")
    both, = drawn.values()
    assert len(both) == QUERIES
    assert both["ours"].mean() == pytest.approx(runs.loc[runs["name"] == "full", "mAP"].mean())
    assert both["theirs"].mean() == pytest.approx(runs.loc[runs["name"] == "identity_only", "mAP"].mean())
    assert f"{(both['ours'] > both['theirs']).sum()} of {QUERIES} queries lie above" in shown.html


def test_records_without_results_by_query_or_history_have_no_figure(runs):
    bare = runs.assign(per_query=[{}] * len(runs))
    assert rows.ranks([FULL], bare, "fig-a", "") is None and rows.queries(FULL, [CONTROL], bare, "fig-a", "") is None
    assert rows.forest([FULL, CONTROL], bare, "fig-a", "") is None
    assert rows.learning([FULL], runs[:0], "fig-a", "") is None


def test_records_of_some_queries_are_as_if_these_alone_had_been_asked(runs):
    kept = np.arange(QUERIES) % 4 < 2
    cut = tables.of_queries(runs, kept)
    own, every = tables.by_query(cut), tables.by_query(runs)
    pd.testing.assert_frame_equal(own, every[kept[every["query"]]].reset_index(drop=True))
    assert tables.of_queries(runs, ~kept)["mAP"].add(cut["mAP"]).div(2).tolist() == pytest.approx(runs["mAP"].tolist())
    whole = tables.of_queries(runs, np.ones(QUERIES, bool))
    metrics = ["rank1", "rank5", "mAP"]
    np.testing.assert_allclose(whole[metrics].astype(float), runs[metrics], atol=1e-6)


def test_a_gain_where_much_is_hidden_is_found_there(runs, monkeypatch):
    """Where a query is hidden by 35 % the full model is ahead, where by 60 % it is level."""
    hidden = np.where(np.arange(QUERIES) < 20, 0.35, 0.6)

    class Query:
        def __init__(self, sample):
            self.occlusion = hidden[int(sample.path.name)]

    monkeypatch.setattr(rows, "Truth", Query)
    data = ReIDDataset("made up", Path("x"), (), tuple(Sample(Path(str(i)), 1, 0) for i in range(QUERIES)), ())
    changed = []
    for results, name in zip(runs["per_query"], runs["name"]):
        gain = np.where(hidden == 0.35, 0.4, 0.0) if name == "full" else np.zeros(QUERIES)
        precisions = " ".join(map(str, 0.3 + gain + 0.001 * np.arange(QUERIES)))
        changed.append({**results, "average_precisions": precisions})
    found = rows.by_hidden(FULL, [CONTROL], runs.assign(per_query=changed), data)
    frame = found[f"less {CONTROL.label}"]
    assert list(frame.index) == ["30-40 % hidden (20 queries)", "50-100 % hidden (20 queries)"]
    assert frame["value"].tolist() == pytest.approx([40.0, 0.0], abs=1e-6)


def test_errors_of_joints_are_read_where_records_have_them_and_drawn(tmp_path, monkeypatch):
    def network(error, by_joint=None):
        found = {"error": error} | ({"by_joint": by_joint} if by_joint else {})
        return {"keypoints": {"error": error, "by_side": found}, "parts": {}, "yardsticks": {"keypoints": {
            "error": 0.1, "by_side": {"error": 0.1, "by_joint": [0.1] * 17}}}}

    for seed, errors in enumerate(([0.02] * 17, [0.04] * 16 + [None])):
        content = {"config": row_config("full", "smoke", seed).to_dict(), "metrics": {}, "seconds": {}, "run": {},
                   "data": {"name": "annyville-occluded", "fingerprint": "f" * 64},
                   "scores": {"trained": network(0.03, errors), "untrained": network(0.05)}}
        records.write_record(tmp_path / f"seed{seed}", content, "record-scores-annyville-occluded.json")
    found = tables.joint_errors([tmp_path])
    assert found.groupby("network").size().to_dict() == {"trained": 2, "fixed": 2}
    drawn = {}
    skeletons = figures.skeletons
    monkeypatch.setattr(figures, "skeletons", lambda panels: drawn.update(panels) or skeletons(panels))
    shown = rows.joints(found, "fig-joints", "of")
    assert list(drawn) == ["trained", "the mean pose"]
    assert drawn["trained"].tolist() == pytest.approx([3.0] * 16 + [2.0])
    assert "n = 2 networks" in shown.html and "smallest at the right ankle, 2.0" in shown.html


def test_a_circle_is_as_large_as_the_error_of_its_joint():
    errors = np.linspace(1, 17, 17)
    errors[16] = np.nan
    figure = figures.skeletons({"a": errors, "b": 2 * errors})
    first, second = ([patch.radius for patch in axes.patches] for axes in figure.axes)
    assert first == pytest.approx([0.03, *(errors[5:16] / 100)])  # the five of the face as one
    assert second == pytest.approx([2 * radius for radius in first])
    assert "6.0" in {text.get_text() for text in figure.axes[0].texts}
    figures.plt.close(figure)
