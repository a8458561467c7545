"""Time and memory of the evaluator beside numpy.argsort of the same matrix and, where they are installed, its peers.

    python benchmarks/evaluator.py [--queries 3368] [--gallery 15913] [--channels 2048] [--json FILE]
    python benchmarks/evaluator.py --features-only --distractors 1000000 --channels 256
    python benchmarks/evaluator.py --features-only --queries 11659 --gallery 82161 --identities 3060

The last two are for galleries whose matrix nobody wants to hold: a process that has features alone, so that what it
adds to its peak is the evaluator's, beside the bare matrix product of the same features. On one thread of a busy
machine, with 256 channels: a million distractors took 1.1 times the CPU time of the product and added 93 MiB.

The features are random vectors about random centres, one an identity, so that images of an identity are nearer to each
other, as a trained model makes them; `--spread` says how far they lie apart. Counts and cameras are Market-1501's.
Times are the best of three, wall and CPU; memory is what the first call adds to the peak of the process.

torchreid and FastReID are timed if they can be imported as `torchreid.metrics.rank` and `fastreid.evaluation.rank`. On
PyPI, torchreid 0.2.5 asks for packages that it does not declare and has no Cython source (its Python takes minutes),
and fastreid 1.4.0 pins torch 1.13 and does not import on Python 3.10 or newer: build both from source.
"""

import argparse
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from matlib.evaluation import evaluate, evaluate_features

CAMERAS, DISTRACTORS = 6, 2798


def market_like(arguments: argparse.Namespace, seed: int = 20220424):
    """Features (float32) and labels; gallery images beyond the identities' own are distractors of identity 0."""
    queries, gallery, channels, spread = (getattr(arguments, n) for n in ("queries", "gallery", "channels", "spread"))
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((arguments.identities + 1, channels), np.float32)
    own = gallery - DISTRACTORS * gallery // 15913
    query_ids = 1 + np.arange(queries) * arguments.identities // queries
    strangers = np.zeros(gallery - own + arguments.distractors, np.int64)
    gallery_ids = np.r_[strangers, 1 + np.arange(own) * arguments.identities // own]

    def features(ids):
        noise = generator.standard_normal((len(ids), channels), np.float32)
        noise *= spread * generator.gamma(4.0, 0.25, (len(ids), 1)).astype(np.float32)  # some images are harder
        noise[ids > 0] += centres[ids[ids > 0]]
        return noise

    cameras = [generator.integers(0, CAMERAS, len(ids)) for ids in (query_ids, gallery_ids)]
    return features(query_ids), features(gallery_ids), (query_ids, gallery_ids, *cameras)


def timed(call: Callable, repeats: int = 3) -> dict[str, float]:
    """Wall and CPU seconds, the best of some, and MiB that the first call adds to the peak."""
    before = _peak()
    wall, cpu, peaks = [], [], []
    for _ in range(repeats):
        at = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - at[0])
        cpu.append(time.process_time() - at[1])
        peaks.append(_peak())
    return {"wall": min(wall), "cpu": min(cpu), "added_mib": peaks[0] - before}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peers() -> dict[str, Callable]:
    """Their functions from a matrix, by name."""
    found = {}
    for name, module in (("torchreid", "torchreid.metrics.rank"), ("torchreid", "torchreid.reid.metrics.rank"),
                         ("FastReID", "fastreid.evaluation.rank")):
        try:
            found.setdefault(name, importlib.import_module(module).evaluate_rank)
        except ImportError as error:
            sys.stderr.write(f"{module} is left out: {error}\n")
    return found


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Each evaluator's figures; ours first, so that its memory is not hidden by a larger peak before."""
    query, gallery, labels = market_like(arguments)
    rows, repeats = ({}, 1) if arguments.features_only else (_from_matrix(_distances(query, gallery), labels), 3)
    evaluate_features(query[:64], query[:64], labels[0][:64], labels[0][:64], labels[2][:64], labels[2][:64] + 1)
    rows["matlib, from features"] = timed(lambda: evaluate_features(query, gallery, *labels), repeats)
    a, b = torch.from_numpy(query), torch.from_numpy(gallery)
    rows["the matrix product alone"] = timed(lambda: _product(a, b), repeats)
    return rows


def _product(query: torch.Tensor, gallery: torch.Tensor) -> None:
    """All of it, and none of it kept."""
    for some in query.split(256):
        for block in gallery.split(1 << 15):
            torch.mm(some, block.T)


def _distances(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """1 - cosine, made by block, so that no peak of this hides the evaluator's."""
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (query, gallery)]
    distances = np.empty((len(query), len(gallery)), np.float32)
    for start in range(0, len(query), 256):
        distances[start:start + 256] = 1 - unit[0][start:start + 256] @ unit[1].T
    return distances


def _from_matrix(distances: np.ndarray, labels: tuple) -> dict[str, dict[str, float]]:
    evaluate(distances[:64], labels[0][:64], labels[1], labels[2][:64], labels[3])  # what is loaded once is loaded now
    rows = {"matlib, from the matrix": timed(lambda: evaluate(distances, *labels))}
    metrics = evaluate(distances, *labels)
    sys.stderr.write(f"rank-1 {metrics.rank(1):.3f}, mAP {metrics.mAP:.3f}, mINP {metrics.mINP:.3f}\n")
    rows["numpy.argsort of the matrix"] = timed(lambda: np.argsort(distances, axis=1))
    for name, rank in peers().items():
        rows[name] = timed(lambda rank=rank: rank(distances, *labels, 50), 1)
    return rows


def main() -> None:
    """Print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name, default in (("queries", 3368), ("gallery", 15913), ("channels", 2048), ("distractors", 0),
                          ("identities", 750)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--spread", type=float, default=1.5)
    parser.add_argument("--features-only", action="store_true", help="no matrix: for large galleries")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments)
    unit = "the matrix product alone" if arguments.features_only else "numpy.argsort of the matrix"
    titles = (("wall s", 9), ("CPU s", 9), ("of product" if arguments.features_only else "of argsort", 12), ("MiB", 8))
    head = "".join(f"{title:>{width}}" for title, width in titles)
    sys.stdout.write(f"{torch.get_num_threads()} threads".ljust(34) + head + "\n")
    for name, row in rows.items():
        row["share"] = row["cpu"] / rows[unit]["cpu"] if arguments.features_only else row["wall"] / rows[unit]["wall"]
        figures = f"{row['wall']:9.3f}{row['cpu']:9.3f}{row['share']:12.3f}{row['added_mib']:8.0f}"
        sys.stdout.write(f"{name:34}{figures}\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
