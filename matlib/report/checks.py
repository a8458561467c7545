"""The checks of a chapter as one small table: what is claimed, what is expected, what was found."""

import pandas as pd

from matlib.report.captions import Shown, table
from matlib.report.tables import show

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Checks:
    """Collects the checks of a notebook as its cells make them."""

    def __init__(self) -> None:
        self.lines: list[dict[str, str]] = []

    def add(self, claim: str, expected: float | int | str, found: float | int | str) -> None:
        """One line; words are shown as they are, numbers rounded."""
        self.lines.append({"claim": claim, "expected": _words(expected), "found": _words(found)})

    def table(self, label: str) -> Shown:
        """All of them so far. Raises MatlibError where ``captions.table`` does."""
        lines = show(pd.DataFrame(self.lines)).hide(axis="index")
        return table(lines.set_properties(**{"white-space": "normal"}), label,
                     "The checks of this chapter, computed when this page was made. A difference of about "
                     "10⁻⁷ is the rounding of 32-bit numbers.")


def _words(value: float | int | str) -> str:
    return value if isinstance(value, str) else rounded(value)


def rounded(value: float | int) -> str:
    """Three digits; what is smaller than a thousandth as its power of ten."""
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.3g}"
    digits, exponent = f"{value:.0e}".split("e")
    return f"{digits} · 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
