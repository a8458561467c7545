"""The file of a test's record: safe on any disk, and another one for another set."""

from pathlib import Path

import pytest

from matlib.data import ReIDDataset
from matlib.testing import record_name


@pytest.mark.parametrize(("name", "options", "file"), [
    ("partial_reid", {}, "record-partial_reid.json"),
    ("partial_reid", {"shot": 1, "query": "occluded"}, "record-partial_reid-query=occluded-shot=1.json"),
    ("csv:my list", {"title": "my list", "cameras": "ignored"}, "record-csv-my list-cameras=ignored.json"),
])
def test_records_are_named_after_the_set_and_its_options(name, options, file):
    assert record_name(ReIDDataset(name, Path(), (), (), ()), options) == file
