"""Prints environment.yml, for conda and Binder: Python from pyproject.toml, everything else from requirements.lock."""

import tomllib
from pathlib import Path

TEMPLATE = """\
# Written by `make environment` from pyproject.toml; do not edit.
name: matlib
channels:
  - conda-forge
dependencies:
  - python{python}
  - pip
  - make
  - pip:
      - -r requirements.lock
      - -e .
"""


def environment(pyproject: Path) -> str:
    project = tomllib.loads(pyproject.read_text())["project"]
    return TEMPLATE.format(python=project["requires-python"])


if __name__ == "__main__":
    print(environment(Path(__file__).parents[1] / "pyproject.toml"), end="")
