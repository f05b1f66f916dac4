"""Measure oq beside its peers, in turns, and print the table."""

from __future__ import annotations

import argparse
import sys

from bench.children import interruptible
from bench.options import round_options
from bench.peers import report
from bench.peers.sides import PEERS, chosen
from bench.peers.turns import PROBES, Failed, compare

SMOKE_SCALE, SMOKE_PROBES = 0.1, 20


def main() -> int:
    options = _options()
    rounds, scale, probes = options.rounds, options.scale, PROBES
    if options.smoke:
        rounds, scale, probes = 1, SMOKE_SCALE, SMOKE_PROBES
    try:
        found = compare(options.chosen, rounds, scale, probes)
    except Failed as failure:
        print(f"\n{failure}\nnothing is compared, and nothing is saved", file=sys.stderr)
        return 1
    whole = scale >= 1
    print("\n\n".join(report.parts(found, judged=whole)))
    if not options.only and options.server is None and whole:
        report.save(found, rounds, scale)
    return 0


def _options() -> argparse.Namespace:
    return round_options(
        "bench.peers",
        __doc__,
        chosen,
        named="peers",
        names=(side.name for side in PEERS),
        rounds=5,
        only="oq and these peers",
        server="a server with the same API, beside oq",
    )


if __name__ == "__main__":
    sys.exit(interruptible(main))
