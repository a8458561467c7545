"""One set on every processor: its identity is equal, its pictures nearly so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from matlib.annyville.writer import read_manifest
from matlib.data import fingerprint, load_dataset

NAME = "annyville-occluded"
LEVELS = 4  # of 255, in a picture
LABELS = 0.005  # share of a truth map's pixels; a label has no levels, so another one is simply another one
DISPATCHED = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED),
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Prescott",
}


def _render(out: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "matlib.annyville", "--preset", "tiny", "--protocol", "occluded", "--out", out]
    plain = {key: value for key, value in os.environ.items() if key not in OLDEST}
    subprocess.run(command, check=True, capture_output=True, env={**plain, **environment}, timeout=120)
    return out / NAME


@pytest.mark.skipif(not DISPATCHED, reason="NumPy has one instruction set on this processor")
def test_another_instruction_set_renders_the_same_set(tmp_path: Path) -> None:
    new, old = _render(tmp_path / "new"), _render(tmp_path / "old", **OLDEST)
    manifests = [{**read_manifest(folder), "fingerprint": "evidence"} for folder in (new, old)]
    assert manifests[0] == manifests[1]
    assert len({fingerprint(load_dataset(NAME, folder)) for folder in (new, old)}) == 1
    files = sorted(path.relative_to(new) for path in new.rglob("*") if path.suffix in (".jpg", ".png"))
    assert files == sorted(path.relative_to(old) for path in old.rglob("*") if path.suffix in (".jpg", ".png"))
    assert {path.suffix for path in files} == {".jpg", ".png"}
    for path in files:
        a, b = (np.asarray(Image.open(folder / path)).astype(int) for folder in (new, old))
        assert a.shape == b.shape, path
        if path.parts[0] == "truth":
            assert np.mean(a != b) <= LABELS, path
        else:
            assert np.abs(a - b).max() <= LEVELS, path
