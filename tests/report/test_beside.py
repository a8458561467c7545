"""Own runs beside the records: the records stay the table, and a run is told inside or outside of their band."""

import numpy as np
import pandas as pd
import pytest

from matlib.report.beside import beside, joined

SCALE = {"profile": "laptop", "epochs": 8, "trained_on": "annyville-occluded", "fingerprint": "x",
         "tested_on": "annyville-occluded", "tested_data": "x"}


def runs(name, values, seeds=None, **changes):
    return pd.DataFrame([{"name": name, "seed": seed, **SCALE, **changes, "mAP": v - 10,
                          **dict.fromkeys(("rank1", "rank5", "rank10"), v)}
                         for seed, v in zip(seeds or range(len(values)), values)])


REFERENCE = pd.concat([runs("full", [50.0, 52.0, 54.0]), runs("baseline", [40.0, 44.0])], ignore_index=True)


def test_the_records_stay_and_only_what_they_lack_is_added():
    own = pd.concat([runs("full", [70.0]), runs("mine:Method", [60.0]), runs("full", [90.0], epochs=16)])
    found = joined(REFERENCE, own)
    assert len(found) == len(REFERENCE) + 2
    assert set(found[found["name"] == "full"].loc[lambda f: f["epochs"] == 8, "rank1"]) == {50, 52, 54}
    assert len(joined(REFERENCE, own[:0])) == len(REFERENCE)


@pytest.mark.parametrize("value, word", [(52.5, "inside"), (70.0, "outside"), (35.0, "outside"),
                                         (54.0, "one of them, digit by digit")])
def test_a_run_is_told_by_the_band_of_one_more_training(value, word):
    found = beside(REFERENCE, runs("full", [value], [9]))
    assert list(found.index) == ["full, laptop, seed 9"] and found["R-1"].iloc[0].endswith(word)
    assert found["n"].iloc[0] == 3


def test_the_band_is_that_of_a_new_draw():
    """Of normal trainings 95 % lie within, also where the records are few."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(300):
        draws = rng.normal(50, 2, (8, 4))
        reference = pd.concat([runs(f"row{i}", list(row[:3])) for i, row in enumerate(draws)], ignore_index=True)
        own = pd.concat([runs(f"row{i}", [row[3]], [9]) for i, row in enumerate(draws)], ignore_index=True)
        inside += [cell.endswith("inside") for cell in beside(reference, own)["R-1"]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_without_a_second_seed_there_is_no_band_but_a_difference():
    assert beside(runs("full", [50.0]), runs("full", [53.0], [9]))["R-1"].iloc[0] == "53.0, records 50.0: +3.0"


def test_a_run_of_another_scale_stands_beside_nothing():
    assert not len(beside(REFERENCE, runs("full", [53.0], [9], fingerprint="y", tested_data="y")))
    assert not len(beside(REFERENCE, runs("full", [53.0], [9])[:0]))
