"""The benchmarks run as their texts say; what they measure is for whoever reads them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(name, *arguments, out):
    """What a benchmark writes as JSON."""
    subprocess.run([sys.executable, ROOT / "benchmarks" / name, *map(str, arguments), "--json", out],
                   cwd=ROOT, check=True, capture_output=True)
    return json.loads(Path(out).read_text())


def test_a_step_and_its_parts(tmp_path):
    found = run("step.py", "--profile", "smoke", "--repeats", 1, out=tmp_path / "step.json")
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert all(seconds > 0 for seconds in found["seconds"].values())


def test_a_step_beside_the_baselines(tmp_path):
    found = run("train.py", "--profile", "smoke", "--batch", 8, "--height", 64, "--width", 32, "--repeats", 1,
                out=tmp_path / "train.json")
    kept = {name: sum(parts.values()) for name, parts in found["kept"].items()}
    assert kept.keys() == found["seconds"].keys()
    assert kept["baseline"] < kept["identity_only"] < kept["full, one of four"] < kept["full"]
    second = {row: [name for name in parts if name.endswith("second pass")] for row, parts in found["kept"].items()}
    assert second["full"] and not second["identity_only"]
    # the last feature map alone is this large: 8 images, float32
    assert found["kept"]["baseline"]["trunk"] > 8 * 32 * 8 * 4 * 4 / 2**20


def test_the_evaluator(tmp_path):
    found = run("evaluator.py", "--queries", 40, "--gallery", 200, "--channels", 8, "--identities", 10,
                out=tmp_path / "evaluator.json")
    assert found


def test_a_ranking_by_each_kind_of_distance(tmp_path):
    found = run("ranking.py", "--profile", "smoke", "--share", 0.01, "--rows", "baseline", "vpm", "sfr",
                out=tmp_path / "ranking.json")
    made = {row: figures["made of"] for row, figures in found["rows"].items()}
    assert made == {"baseline": "Tensor", "vpm": "PartDescriptors", "sfr": "Pyramid"}
    assert all(figures["milliseconds a query"] > 0 and figures["MiB"] >= 0 for figures in found["rows"].values())
