"""Look at a data set: where it is, how many images it has, how many are published, and whether they can be read.

    python -m matlib.data partial_reid --root data --set query=occluded --images
"""

from __future__ import annotations

import logging
from pathlib import Path

from tqdm import tqdm

from matlib.data.datasets import dataset_names, load_dataset
from matlib.data.images import read_image
from matlib.data.readers.counts import NOTHING, PAPER, count_dataset, published
from matlib.data.readers.options import parse_options
from matlib.data.samples import ReIDDataset
from matlib.errors import CommandParser, MatlibError, command_line, program

logger = logging.getLogger(__name__)


def describe(dataset: ReIDDataset, options: dict[str, object]) -> list[str]:
    """A set's folder, its lists beside the published numbers, and what the paper says of it, a line each."""
    found, expected, slip = count_dataset(dataset), published(dataset.name, options), PAPER.get(dataset.name)
    lines = [f"{dataset.name} in {dataset.root}, {found.cameras} cameras"]
    for split in ("train", "query", "gallery"):
        here, there = getattr(found, split), getattr(expected, split, None)
        compared = "" if there is None else ", as published" if here == there else f", published are {there}"
        lines.append(f"  {split}: " + ("none" if here == there == NOTHING else f"{here}{compared}"))
    if dataset.trained_on is not None:
        lines.append(f"  for testing only; models are trained on {dataset.trained_on}")
    if slip is not None:
        lines.append(f"  the paper says {slip.images:,} {slip.split}".rstrip() + f" images: {slip.why}")
    return lines


def check_images(dataset: ReIDDataset) -> None:
    """Decode every image. Raises MatlibError that says how many are damaged, and the first one."""
    paths = sorted({sample.path for sample in (*dataset.train, *dataset.query, *dataset.gallery)})
    failures = []
    for path in tqdm(paths, desc="reading images", unit=" images", delay=2, disable=None):
        try:
            read_image(path)
        except MatlibError as error:
            failures.append(error)
    if failures:
        raise MatlibError(f"{len(failures)} of {len(paths)} images are damaged; the first: {failures[0]}")


def main() -> None:
    parser = CommandParser(prog=program("matlib.data"), description="Look at a data set.")
    parser.add_argument("name", help=f"one of {', '.join(dataset_names())}")
    parser.add_argument(
        "--root", type=Path, default=Path("data"), help="folder that holds the data sets; default data"
    )
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE", help="its options, as query=occluded"
    )
    parser.add_argument("--images", action="store_true", help="read every image, to find damaged ones")
    arguments = parser.parse_args()
    options = parse_options(arguments.set)
    dataset = load_dataset(arguments.name, arguments.root, **options)
    for line in describe(dataset, options):
        logger.info(line)
    if arguments.images:
        check_images(dataset)
        logger.info("  every image can be read")


if __name__ == "__main__":
    command_line(main)
