"""Speed of Annyville's renderer: images a second and core, beside a yardstick of plain numpy on the same
machine.

    python benchmarks/annyville.py [--images 48] [--json FILE]

The yardstick is a fixed mix of what the renderer does (gathers, float32 arithmetic, a sort, a box blur), so
that two machines, or a busy and an idle one, can be compared: `relative` is images a yardstick, and it should
stay put where `images_per_second` does not. One process, CPU time; set-up (persons, backgrounds) is measured
apart and, for the sum, charged as the `small` preset charges it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from matlib.annyville.background import render_background
from matlib.annyville.camera import CAMERAS
from matlib.annyville.plan import check_preset, person_seed, picture_seed, plan_items
from matlib.annyville.render import PASSERS_BY, Town, render_picture
from matlib.annyville.wardrobe import make_person


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


def measure(protocol: str, images: int) -> dict[str, float]:
    """CPU seconds a picture and of the set-up, for an even sample of the protocol's `small` plan."""
    preset = check_preset("small")
    items = plan_items(protocol, preset, 0)
    items = items[:: max(1, len(items) // images)][:images]
    start = time.process_time()
    backgrounds = [render_background(c, i, preset.background_scale) for i, c in enumerate(CAMERAS)]
    background_seconds = time.process_time() - start
    person_seconds = 0.0

    @cache
    def person(key: int):
        nonlocal person_seconds
        begin = time.process_time()
        made = make_person(np.random.default_rng(person_seed(0, protocol, key)))
        person_seconds += time.process_time() - begin
        return made

    town = Town(backgrounds.__getitem__, person, CAMERAS)
    start = time.process_time()
    for item in items:
        rng = np.random.default_rng(picture_seed(0, protocol, item))
        render_picture(
            town,
            item.person,
            item.camera,
            rng,
            preset.height,
            preset.width,
            occluded=item.occluded,
            bad_box=item.bad_box,
        )
    seconds = time.process_time() - start - person_seconds
    each_person = person_seconds / person.cache_info().currsize
    plan = plan_items(protocol, preset, 0)
    persons = len({i.person for i in plan}) + PASSERS_BY
    total = len(plan) * seconds / len(items) + background_seconds + persons * each_person
    return {
        "milliseconds_a_picture": 1000 * seconds / len(items),
        "milliseconds_a_person": 1000 * each_person,
        "seconds_of_backgrounds": background_seconds,
        "images_per_second": len(plan) / total,
    }


def main() -> None:
    """Print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    unit = yardstick()
    rows = {protocol: measure(protocol, args.images) for protocol in ("holistic", "occluded")}
    for row in rows.values():
        row["relative"] = row["images_per_second"] * unit
    for protocol, row in rows.items():
        sys.stdout.write(f"{protocol}: " + ", ".join(f"{k} {v:.3g}" for k, v in row.items()) + "\n")
    sys.stdout.write(f"yardstick: {1000 * unit:.1f} ms\n")
    if args.json:
        args.json.write_text(json.dumps({"yardstick_seconds": unit, **rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
