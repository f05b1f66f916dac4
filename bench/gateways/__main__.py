"""Measure oq beside other gateways, in turns, and print the table."""

from __future__ import annotations

import argparse
import sys

from bench.children import interruptible
from bench.gateways.compare import Failed, compare
from bench.gateways.peers.sides import PEERS, chosen
from bench.gateways.table import save, text
from bench.options import round_options

SMOKE_SCALE = 0.1


def main() -> int:
    options = _options()
    rounds, scale = (1, SMOKE_SCALE) if options.smoke else (options.rounds, 1.0)
    try:
        found = compare(options.chosen, rounds, scale)
    except Failed as failure:
        print(f"\n{failure}\nnothing is compared, and nothing is saved", file=sys.stderr)
        return 1
    print(text(found, rounds))
    if not options.only and not options.smoke:
        save(found, rounds)
    return 0


def _options() -> argparse.Namespace:
    return round_options(
        "bench.gateways",
        __doc__,
        lambda only, _server: chosen(only),
        named="gateways",
        names=(side.name for side in PEERS),
        rounds=3,
        only="oq and these",
    )


if __name__ == "__main__":
    sys.exit(interruptible(main))
