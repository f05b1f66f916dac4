"""Measure oq beside other gateways, in turns, and print the table."""

from __future__ import annotations

import argparse
import sys

from bench.children import interruptible
from bench.gateways.compare import Failed, compare
from bench.gateways.peers.sides import PEERS, chosen
from bench.gateways.table import save, text

SMOKE_SCALE = 0.1


def main() -> int:
    options = _options()
    rounds, scale = (1, SMOKE_SCALE) if options.smoke else (options.rounds, 1.0)
    try:
        found = compare(options.sides, rounds, scale)
    except Failed as failure:
        print(f"\n{failure}\nnothing is compared, and nothing is saved", file=sys.stderr)
        return 1
    print(text(found, rounds))
    if not options.only and not options.smoke:
        save(found, rounds)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateways",
        description=__doc__,
        epilog=f"gateways: {', '.join(side.name for side in PEERS)}. See bench/README.md.",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every side (3)")
    parser.add_argument("--only", metavar="NAME,...", help="oq and these; nothing is saved")
    parser.add_argument("--smoke", action="store_true", help="one tiny round; nothing is saved")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be more than 0")
    try:
        options.sides = chosen(options.only.split(",") if options.only else ())
    except ValueError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    sys.exit(interruptible(main))
