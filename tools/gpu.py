"""As much of a table as fits a number of minutes on this machine's GPU, or its CPU; the most wanted rows first.

    python tools/gpu.py --minutes 25 [--profile paper] [--rows full baseline ...] [--seeds 0] [--jobs 4] [--epochs 40]

Several runs share the GPU, whose kernels are too small to fill it. A run that the time did not suffice for goes on when
the command is given again. Fewer epochs than the profile's shrink its schedule with them. It needs what trains, and no
more: torch, torchvision, accelerate, numpy, pillow, scipy, tqdm, filelock, jaxtyping; no installation, no notebook.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from matlib.ablations import ROWS  # noqa: E402
from matlib.config import profile  # noqa: E402
from matlib.errors import MatlibError, command_line  # noqa: E402

FIRST = ("full", "baseline", "identity_only", "robust", "guards_only")
ORDER = [*FIRST, *(name for name in ROWS if name not in FIRST)]


def schedule(name: str, epochs: int | None) -> Iterator[str]:
    """The settings of a profile's training in so many epochs: its phases keep their shares."""
    train = profile(name).train
    if epochs:
        yield f"train.epochs={epochs}"
        yield f"train.step_epochs={max(1, round(train.step_epochs * epochs / train.epochs))}"
        yield f"train.warmup_epochs={round(train.warmup_epochs * epochs / train.epochs)}"


def render(preset: str, root: Path) -> None:
    command = [sys.executable, "-m", "matlib.annyville", "--preset", preset, "--protocol", "occluded", "--seed", "0"]
    subprocess.run([*command, "--out", str(root)], cwd=ROOT, check=True)


def train(row: str, seed: int, options: argparse.Namespace, end: float) -> str:
    """One run, in what is left of the time; in words, what came of it."""
    out = options.out / options.profile / row / f"seed{seed}"
    left = end - time.monotonic()
    if left < 30:
        return f"{row}, seed {seed}: not begun"
    settings = ["data.dataset=annyville-occluded", f"data.root={options.root}", "data.cache=true", *options.set,
                *schedule(options.profile, options.epochs)]
    command = [sys.executable, "-m", "matlib.training", "--profile", options.profile, "--row", row, "--seed", str(seed),
               "--out", str(out), "--set", *settings]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "training.log").open("a") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            process.wait(left)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    lines = (out / "training.log").read_text().splitlines() or [f"{row}: it said nothing"]
    return lines[-1] if process.returncode == 0 or "error" in lines[-1] else f"cut off after: {lines[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True, help="after which everything is stopped")
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--preset", default="large", help="size of the rendered set; default large")
    parser.add_argument("--rows", nargs="+", default=ORDER, metavar="ROW", help=f"default {' '.join(ORDER)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; default 1")
    parser.add_argument("--epochs", type=int, help="default the profile's")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="NAME=VALUE")
    parser.add_argument("--root", type=Path, help="of the data; default data/PRESET")
    parser.add_argument("--out", type=Path, default=ROOT / "runs")
    options = parser.parse_args()
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown or options.minutes <= 0 or options.jobs < 1:
        raise MatlibError(f"rows are {', '.join(ROWS)}, minutes and jobs are positive; got {unknown or 'less'}")
    end = time.monotonic() + 60 * options.minutes
    options.root = Path(os.path.relpath(options.root or ROOT / "data" / options.preset, ROOT))
    options.out = options.out.resolve()
    render(options.preset, options.root)
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = [(row, seed) for seed in options.seeds for row in options.rows]
        for words in pool.map(lambda run: train(*run, options, end), runs):
            print(words, flush=True)


if __name__ == "__main__":
    command_line(main)
