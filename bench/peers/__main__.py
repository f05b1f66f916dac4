"""Measure oq beside its peers, in turns, and print the table."""

from __future__ import annotations

import argparse
import sys

from bench.children import interruptible
from bench.peers import report
from bench.peers.sides import PEERS, chosen
from bench.peers.turns import PROBES, Failed, compare
from bench.wire import spoken

SMOKE_SCALE, SMOKE_PROBES = 0.1, 20


def main() -> int:
    options = _options()
    rounds, scale, probes = options.rounds, options.scale, PROBES
    if options.smoke:
        rounds, scale, probes = 1, SMOKE_SCALE, SMOKE_PROBES
    try:
        found = compare(options.sides, rounds, scale, probes)
    except Failed as failure:
        print(f"\n{failure}\nnothing is compared, and nothing is saved", file=sys.stderr)
        return 1
    whole = scale >= 1
    print("\n\n".join(report.parts(found, judged=whole)))
    if not options.only and options.server is None and whole:
        report.save(found, rounds, scale)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__,
        epilog=f"peers: {', '.join(side.name for side in PEERS)}. See bench/README.md.",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every side (5)")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="share of the full length (1); below 1 nothing is saved",
    )
    parser.add_argument("--only", metavar="NAME,...", help="oq and these peers; nothing is saved")
    parser.add_argument("--smoke", action="store_true", help="one tiny round; nothing is saved")
    parser.add_argument(
        "--server", metavar="URL", help="a server with the same API, beside oq; nothing is saved"
    )
    options = parser.parse_args()
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be more than 0")
    try:
        if options.server is not None:
            spoken(options.server)
        options.sides = chosen(options.only.split(",") if options.only else (), options.server)
    except ValueError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    sys.exit(interruptible(main))
