"""``python -m matlib.difficulty``: what chance and colour get on a rendered set (``matlib.report.difficulty``)."""

from matlib.commands import start

if __name__ == "__main__":
    start("difficulty")
