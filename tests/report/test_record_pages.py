"""A record's page says what its file says, and its command makes the same run again."""

import hashlib
import re
from pathlib import Path

import pytest
from pipeline import REPOSITORY

from matlib.ablations import row_config
from matlib.config import differences
from matlib.report import record_pages, tables
from matlib.runs import records
from matlib.training import parse_arguments

BOOK = REPOSITORY / "book"
FULL = BOOK / "records" / "laptop" / "full"


@pytest.fixture(scope="module")
def runs() -> list[record_pages.Run]:
    return record_pages.find_runs([FULL])


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


def test_a_run_is_all_records_of_its_folder_its_own_first(runs):
    assert [run.config.seed for run in runs] == list(range(len(runs))) and len(runs) > 1
    assert all("tested" not in run.first for run in runs)
    assert sum(len(run.records) for run in runs) == len(list(FULL.rglob("record*.json")))


def test_the_section_of_a_row_has_results_means_settings_and_checksums(runs):
    folders = [run.folder for run in runs]
    html = record_pages.row_section(runs, {"mean": folders}, REPOSITORY, lambda folder: f"page.html#{folder.name}")
    said = text(html)
    frame = tables.own_tests(tables.load_records([FULL]))
    for value in (*frame["rank1"], *frame["mAP"], *frame["mINP"]):
        assert f"{value:.1f}" in said
    mean = text(html[html.index('id="mean"'):html.index('id="full-settings"')])
    assert tables.mean_of(frame, "mAP") in mean and str(len(runs)) in mean
    for run in runs:
        assert f'id="{run.anchor}"' in html and run.first["run"]["commit"] in said
        for record in run.records:
            assert hashlib.sha256(Path(record["path"]).read_bytes()).hexdigest() in said
    assert runs[0].first["data"]["fingerprint"] in said and "<polyline" in html


def test_results_by_query_give_the_number_again(runs):
    html = record_pages.row_section(runs[:1], {}, REPOSITORY, str)
    ranks = re.search(r"rank of its first match:</p><pre>([^<]*)", html)[1].split()
    (measured,) = runs[0].first["metrics"].values()
    assert sum(rank == "1" for rank in ranks) / len(ranks) == pytest.approx(measured["rank1"])


@pytest.mark.parametrize("folder", ["records/town/no_transformer", "effects/neck_none", "trials/consistency_alone",
                                    "records/laptop/literal"])
def test_the_command_trains_the_same_configuration(folder):
    config = record_pages.find_runs([BOOK / folder])[0].config
    program, command, *words = record_pages.command(config).split()
    again, _, _ = parse_arguments(words)
    assert (program, command) == ("matlib", "train")
    assert set(differences(again, config)) <= {"name", "data.root"}


def test_a_run_of_another_setting_says_so():
    run = record_pages.find_runs([BOOK / "effects" / "neck_none"])[0]
    section = text(record_pages.row_section([run], {}, REPOSITORY, str))
    assert "model.neck none" in section.partition("how it differs from the full model")[2].partition("all settings")[0]
    assert record_pages.page_of(run, BOOK) == "effects-objective"


def test_a_curve_falls_as_the_loss_does_and_one_epoch_has_none():
    history = [{"losses": {"total": total}} for total in (8.0, 4.0, 2.0)]
    points = re.search(r'points="([^"]*)"', record_pages.learning_curves({"seed0": history}))[1].split()
    x, y = zip(*(map(float, point.split(",")) for point in points))
    assert x == tuple(sorted(x)) and y == tuple(sorted(y)) and len(y) == 3  # down is more
    assert record_pages.learning_curves({"seed0": history[:1]}) == ""


def test_nothing_in_a_record_acts_as_html(tmp_path):
    config = row_config("full", "smoke").to_dict()
    records.write_record(tmp_path / "full" / "seed0", {
        "config": config, "metrics": {}, "seconds": {"training": 1.0},
        "data": {"name": "<script>", "fingerprint": "<script>"}, "run": {"hardware": "<script>"}})
    (run,) = record_pages.find_runs([tmp_path])
    assert "<script>" not in record_pages.row_section([run], {}, tmp_path, str)
