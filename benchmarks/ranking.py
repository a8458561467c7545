"""Time and memory of a ranking by each distance in the package, beside the bare matrix product of its first stage.

    python benchmarks/ranking.py [--set market1501] [--share 0.25] [--rows pcb vpm sfr ...] [--profile paper]
                                 [--recipe same_roof] [--json FILE]

A row is one of Table 3's methods, and its distance comes from itself: the network describes two random images, and as
many random descriptors of the same make are ranked as the set has queries and gallery images (`--share` takes a part of
both). So sizes, candidates and second stages are those of the profile and the recipe, and nothing is copied here. Each
row has a process of its own, whose peak before the ranking is the descriptors', which are random and may all differ
more than a trained network's: the time of no distance here depends on their values, but for that of sorting.

The yardstick is what any ranking by those descriptors needs at least, all products of the vectors that the first stage
compares, in the same process; CPU time, best of two. `MiB` is what the ranking adds to the peak, `descriptors` what it
was given.

On one thread of a busy machine, the whole of Market-1501, the paper profile: ranking by one vector, by stripes or by
parts that may be hidden took 1.4 to 14 ms a query, 1.2 to 3.5 times its product, and at most 229 MiB; SFR 16 ms and FPR
24 ms (50 and 100 reconstructions a query), HOReID 32 to 44 ms (8 graphs matched), and no MiB beyond their descriptors,
which are the largest: 1.3 GiB, HOReID's 4.1.

`amc_swm` is for the small partial sets (a second a query), so it is not among the rows unless it is asked for; the
published recipe of SFR and FPR needs 11 GB for their vectors alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import Tensor

from matlib.ablations import BESIDE_3, TABLE_3, row_config
from matlib.config import profile_names
from matlib.evaluation.descriptors import rank_descriptions
from matlib.models import Method, build_model
from matlib.models.descriptions import Description, PartDescriptors, Pyramid
from matlib.runs.records import provenance

#: Queries, gallery images, identities of the queries and cameras, as the paper and the sets' authors count them.
SETS = {"market1501": (3368, 15913, 750, 6), "occluded_duke": (2210, 17661, 519, 8)}
ROWS = ["baseline", *(row.name for row in (*TABLE_3, BESIDE_3[0]) if row.name != "amc_swm")]


def build(row: str, profile: str, recipe: str) -> tuple[Method, Description]:
    """The method, and its description of two random images, which says how large its descriptors are."""
    changes = {"model.weights": "none"} | ({} if row == "baseline" else {"recipe": recipe})
    config = row_config(row, profile, changes=changes)
    torch.manual_seed(0)
    model = build_model(config.model, 2).eval()
    images = torch.randn(2, 3, config.data.height, config.data.width)
    joints = torch.cat([torch.rand(2, 17, 2) - 0.5, torch.full((2, 17, 1), 2.0)], dim=2)
    with torch.no_grad():
        return model, model.describe(model(images, *([joints] if "joints" in model.truth else [])))


def like(description: Description, count: int, generator: torch.Generator) -> Description:
    """So many random descriptors of the same make; what lies in 0..1, visibilities and weights, does so again."""
    if isinstance(description, Tensor):
        return torch.randn(count, *description.shape[1:], generator=generator)
    tensors = {field.name: getattr(description, field.name) for field in fields(description)
               if isinstance(getattr(description, field.name), Tensor)}
    make = {name: torch.rand if name in ("visibilities", "weights") else torch.randn for name in tensors}
    return replace(description, **{name: make[name](count, *tensor.shape[1:], generator=generator)
                                   for name, tensor in tensors.items()})


def first_vectors(description: Description) -> Tensor:
    """What the yardstick multiplies: of parts all of them, as one vector."""
    if isinstance(description, PartDescriptors):
        return description.parts.flatten(1)
    return description.first if isinstance(description, Pyramid) else description


def measure(row: str, arguments: argparse.Namespace) -> dict[str, float | str]:
    """One row's figures, in a process that has ranked nothing else."""
    queries, gallery, identities, cameras = SETS[arguments.set]
    counts = [max(int(count * arguments.share), 2) for count in (queries, gallery)]
    model, description = build(row, arguments.profile, arguments.recipe)
    generator = torch.Generator().manual_seed(0)
    sides = [like(description, count, generator) for count in counts]
    people = max(int(identities * arguments.share), 1)
    labels = [torch.arange(count) % people for count in counts]
    labels += [torch.randint(cameras, (count,), generator=generator) for count in counts]
    two = like(description, 2, generator)
    rank_descriptions(two, two, [0, 1], [0, 1], [0, 0], [1, 1])  # what is loaded once is loaded now
    before = _peak()
    started = time.process_time()
    rank_descriptions(*sides, *labels)
    seconds, added = time.process_time() - started, _peak() - before
    vectors = [first_vectors(side) for side in sides]
    product = min(_timed(lambda: _multiply(*vectors)) for _ in range(2))
    return {"made of": type(description).__name__, "numbers an image": _numbers(sides[1]) // counts[1],
            "seconds": seconds, "of product": seconds / product, "milliseconds a query": 1000 * seconds / counts[0],
            "MiB": added, "descriptors": sum(map(_numbers, sides)) * 4 / 2**20}


def _multiply(query: Tensor, gallery: Tensor) -> None:
    for some in query.split(256):
        for block in gallery.split(1 << 13):
            torch.mm(some, block.T)


def _timed(call: Callable[[], None]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _numbers(description: Description) -> int:
    if isinstance(description, Tensor):
        return description.numel()
    return sum(value.numel() for value in vars(description).values() if isinstance(value, Tensor))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(found: dict[str, dict[str, float | str]]) -> str:
    head = f"{'':12}{'made of':>18}{'numbers':>10}{'CPU s':>10}{'of product':>12}{'ms a query':>12}{'MiB':>8}" \
           f"{'descriptors':>13}"
    lines = [f"{row:12}{one['made of']:>18}{one['numbers an image']:>10}{one['seconds']:>10.1f}"
             f"{one['of product']:>12.2f}{one['milliseconds a query']:>12.2f}{one['MiB']:>8.0f}"
             f"{one['descriptors']:>13.0f}" for row, one in found.items()]
    return "\n".join([head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="market1501", choices=SETS)
    parser.add_argument("--share", type=float, default=1.0, help="of queries and gallery; default all")
    parser.add_argument("--rows", nargs="*", default=ROWS, help=f"default {' '.join(ROWS)}")
    parser.add_argument("--profile", default="paper", choices=profile_names())
    parser.add_argument("--recipe", default="same_roof", choices=("same_roof", "published"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    context, found = multiprocessing.get_context("spawn"), {}
    for row in arguments.rows:
        with context.Pool(1) as alone:
            found[row] = alone.apply(measure, (row, arguments))
        sys.stderr.write(table({row: found[row]}).splitlines()[1] + "\n")
    sys.stdout.write(table(found) + "\n")
    if arguments.json:
        options = {name: value for name, value in vars(arguments).items() if name != "json"}
        record = {"options": options, "rows": found, "run": provenance(1, torch.device("cpu"))}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
