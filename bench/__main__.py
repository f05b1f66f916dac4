"""Run the scenarios, their sides in turns, and print the median of each beside its budget."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench import embedded, feed, fleets, growth, http, mixed, report, rules, startup, streams
from bench.children import interruptible
from bench.gateways import scenarios as gateways
from bench.options import round_options
from bench.runner import chosen, measure
from bench.scenario import Scenario, Setting

SCENARIOS: dict[str, Scenario] = {
    "bulk": embedded.alone(embedded.bulk, 40_000),
    "producers": embedded.alone(embedded.producers, 20_000),
    "sequential": embedded.alone(embedded.sequential, 3_000),
    "idle": embedded.idle,
    "slot": embedded.alone(embedded.slot_freed, 5_000),
    "client": http.through_client,
    "connections": http.connections,
    "post": http.one_at_a_time,
    "gateway-calls": gateways.calls,
    "gateway-token": gateways.first_token,
    "gateway-streams": gateways.streams,
    "gateway-queue": gateways.queue,
    "gateway-idle": gateways.idle,
    "streams": streams.many,
    "feed": feed.subscribers,
    "growth": growth.growth,
    "mixed": mixed.mixed,
    "fleets": fleets.fleets,
    "rules": rules.rules,
    "version": startup.version,
}
OVER_HTTP = ("client", "connections", "post")
"""Those that any server which speaks the API can be measured with."""
SERVED = tuple(name for name in SCENARIOS if name.startswith("gateway-"))
"""Those that start `oq serve` and look at it from outside: it may be that of another commit."""

SMOKE = Setting(rounds=1, scale=0.02)


def main() -> int:
    options = _options()
    setting = Setting(options.rounds, options.scale, options.server)
    if options.smoke:
        setting = Setting(SMOKE.rounds, SMOKE.scale, options.server)
    before = report.phase()
    found = measure(options.chosen, setting)
    print(report.text(found, setting))
    if not found.figures:
        return 1
    print(f"reference loop: {found.summaries()['reference'].median:,.0f} turns/s")
    if options.server is not None:
        return 0
    if found.missing:
        print("oq failed, so nothing is saved", file=sys.stderr)
        return 1
    if not options.only and setting.scale >= 1:
        report.save(found, setting, before)
    return 0


def _options() -> argparse.Namespace:
    return round_options(
        "bench",
        __doc__,
        _chosen,
        named="scenarios",
        names=SCENARIOS,
        rounds=5,
        only="these scenarios (gateway: all of gateway-*)",
        server="measure this server instead",
    )


def _chosen(only: Sequence[str], server: str | None) -> dict[str, Scenario]:
    if server and not set(only) <= set(OVER_HTTP):
        raise ValueError(f"--server goes with {', '.join(OVER_HTTP)} only")
    return chosen(SCENARIOS, only or (OVER_HTTP if server else ()))


if __name__ == "__main__":
    sys.exit(interruptible(main))
