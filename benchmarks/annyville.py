"""Speed of Annyville's renderer: images a second and core, beside a yardstick of plain numpy on the same machine.

    python benchmarks/annyville.py [--identities 12] [--workers 1 2] [--json FILE]

All the pictures of some identities of the `small` preset are rendered and encoded, in one process, by CPU time; what a
process needs once (the cameras' empty views, the passers-by, led children) is timed apart and charged as the whole
preset charges it. The yardstick is a fixed mix of what the renderer does (gathers, float32 arithmetic, a sort, a box
blur), so that two machines, or a busy and an idle one, can be compared: `relative` is images a yardstick, and it should
stay put where `images_per_second` does not. With --workers the same pictures are also rendered by so many processes at
once, by the clock: pictures a second, set-up left out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from matlib.annyville.background import render_background
from matlib.annyville.camera import CAMERAS
from matlib.annyville.crowd import CHILDREN, PASSERS_BY, Town, make_resident
from matlib.annyville.plan import Item, check_preset, person_seed, picture_seed, plan_items
from matlib.annyville.render import render_picture
from matlib.annyville.wardrobe import LIKENESS, Person

PRESET = check_preset("small")
PROTOCOLS = ("holistic", "occluded")


def yardstick() -> float:
    """CPU seconds of the fixed piece of numpy work, the best of five."""
    rng = np.random.default_rng(0)
    table = rng.random((20_000, 10), np.float32)
    index = rng.integers(0, len(table), 200_000)
    keys = rng.integers(0, 1 << 40, 100_000)
    image = rng.random((384, 192, 3), np.float32)
    times = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(5):
            values = table[index]
            values = np.sqrt(values * values + np.float32(0.5)) - values
            np.sort(keys)
            total = np.cumsum(np.cumsum(image, 0), 1)
            total[5:, 5:] - total[:-5, 5:] - total[5:, :-5] + total[:-5, :-5]
        times.append(time.process_time() - start)
    return min(times)


@cache
def _view(camera: int) -> np.ndarray:
    return render_background(CAMERAS[camera], camera, PRESET.background_scale)


@cache
def _person(protocol: str, key: int) -> Person:
    return make_resident(key, np.random.default_rng(person_seed(0, protocol, key)), LIKENESS)


def _set_up(protocol: str) -> None:
    """What every process does once: the empty views, and the passers-by and led children, made and dressed."""
    for camera in range(PRESET.cameras):
        _view(camera)
    for key in range(PASSERS_BY + CHILDREN):
        _person(protocol, -1 - key).worn("")


def _render(protocol: str, items: list[Item]) -> None:
    town = Town(_view, lambda key: _person(protocol, key), CAMERAS)
    for item in items:
        rng = np.random.default_rng(picture_seed(0, protocol, item))
        picture = render_picture(
            town,
            item.person,
            item.camera,
            rng,
            PRESET.height,
            PRESET.width,
            occluded=item.occluded,
            bad_box=item.bad_box,
        )
        Image.fromarray(picture.mask).save(BytesIO(), "PNG", compress_level=6)


def _sample(protocol: str, identities: int) -> list[Item]:
    """All pictures of an even choice of the persons in the plan, strangers among them in their share."""
    plan = plan_items(protocol, PRESET, 0)
    persons = sorted({item.person for item in plan})
    chosen = set(persons[:: max(1, len(persons) // identities)])
    return [item for item in plan if item.person in chosen]


def measure(protocol: str, identities: int) -> dict[str, float]:
    """CPU seconds a picture and of the set-up, and what they make of the whole plan."""
    start = time.process_time()
    _set_up(protocol)
    set_up = time.process_time() - start
    items = _sample(protocol, identities)
    start = time.process_time()
    _render(protocol, items)
    each = (time.process_time() - start) / len(items)
    pictures = len(plan_items(protocol, PRESET, 0))
    return {
        "pictures": len(items),
        "milliseconds_a_picture": 1000 * each,
        "seconds_of_set_up": set_up,
        "images_per_second": pictures / (pictures * each + set_up),
    }


def _work(protocol: str, items: list[Item], ready: multiprocessing.Barrier) -> None:
    _set_up(protocol)
    _render(protocol, items[:1])
    ready.wait()
    _render(protocol, items)


def scaling(protocol: str, identities: int, workers: int) -> float:
    """Pictures a second, by the clock, of so many processes that start together on as many pictures each."""
    items = _sample(protocol, identities)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(workers + 1)
    processes = [context.Process(target=_work, args=(protocol, items, ready)) for _ in range(workers)]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    return workers * len(items) / (time.perf_counter() - start)


def main() -> None:
    """Print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--identities", type=int, default=12)
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    unit = yardstick()
    rows = {protocol: measure(protocol, args.identities) for protocol in PROTOCOLS}
    for protocol, row in rows.items():
        row["relative"] = row["images_per_second"] * unit
        sys.stdout.write(f"{protocol}: " + ", ".join(f"{k} {v:.3g}" for k, v in row.items()) + "\n")
    sys.stdout.write(f"yardstick: {1000 * unit:.1f} ms\n")
    clock = {n: scaling("occluded", args.identities, n) for n in args.workers}
    for n, rate in clock.items():
        sys.stdout.write(f"{n} workers: {rate:.3g} images a second by the clock\n")
    if args.json:
        args.json.write_text(json.dumps({"yardstick_seconds": unit, **rows, "workers": clock}, indent=2) + "\n")


if __name__ == "__main__":
    main()
