"""The table of a chapter's checks."""

import pytest
from bs4 import BeautifulSoup

from matlib.report.checks import Checks, rounded


@pytest.mark.parametrize(("value", "words"), [
    (0.0, "0"), (1 / 3, "0.333"), (-2.5, "-2.5"), (80.0, "80"), (2.4e-7, "2 · 10⁻⁷"), (-3e-12, "-3 · 10⁻¹²")])
def test_numbers_are_rounded_to_what_they_mean(value, words):
    assert rounded(value) == words


def test_each_check_is_a_line():
    checks = Checks()
    checks.add("a claim", "0", 1e-9)
    checks.add("another, 1 < 2", 0.5, "half")
    table = BeautifulSoup(checks.table("tab-checks").html, "html.parser").table
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in table.tbody.find_all("tr")]
    assert [cell.get_text() for cell in table.thead.find_all("th")] == ["claim", "expected", "found"]
    assert rows == [["a claim", "0", "1 · 10⁻⁹"], ["another, 1 < 2", "0.5", "half"]]
