"""Command line of Annyville."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from matlib.errors import CommandParser, command_line, program

from . import PRESETS, PROTOCOLS, generate
from .wardrobe import LIKENESS

log = logging.getLogger(__name__)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog=program("matlib.annyville"), description="Render the Annyville data set."
    )
    parser.add_argument("--preset", default="small", help=f"size: {', '.join(PRESETS)} (default: small)")
    parser.add_argument("--protocol", default="all", help=f"{', '.join(PROTOCOLS)} or all (default: all)")
    parser.add_argument(
        "--seed", type=int, default=0, help="another seed, another town's people (default: 0)"
    )
    parser.add_argument(
        "--workers", type=int, help="processes (default: one a CPU)"
    )
    parser.add_argument(
        "--camera-spread",
        type=float,
        default=1.0,
        help="how different the cameras are in colour and exposure; 0: alike (default: 1)",
    )
    parser.add_argument(
        "--likeness",
        type=float,
        default=LIKENESS,
        help=f"share of people who are dressed like others, 0 to 1 (default: {LIKENESS})",
    )
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder of the sets (default: data)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Write the sets that the command line asks for."""
    args = _parse(arguments)
    protocols = list(PROTOCOLS) if args.protocol == "all" else [args.protocol]
    knobs = {"camera_spread": args.camera_spread, "likeness": args.likeness}
    folders = [generate(p, args.preset, args.seed, args.out, args.workers, **knobs) for p in protocols]
    for folder in folders:
        log.info("%s is ready", folder)


if __name__ == "__main__":
    command_line(main)
