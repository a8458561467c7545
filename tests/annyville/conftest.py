"""One tiny set of each protocol, rendered once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from matlib.annyville import PROTOCOLS, generate


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds all protocols of the tiny preset, seed 0, rendered by one process."""
    out = tmp_path_factory.mktemp("annyville")
    for protocol in PROTOCOLS:
        generate(protocol, "tiny", 0, out, workers=1)
    return out
