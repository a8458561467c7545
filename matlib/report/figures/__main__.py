"""``python -m matlib.report.figures FILE``: writes the introduction's picture, Figure 2, as SVG."""

import sys
from pathlib import Path

from matlib.report.figures.pipeline import figure2_svg

Path(sys.argv[1]).write_text(figure2_svg())
