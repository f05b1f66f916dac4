"""Run the scenarios, their sides in turns, and print the median of each beside its budget."""

from __future__ import annotations

import argparse
import sys

from bench import embedded, feed, growth, http, mixed, report, rules, startup, streams
from bench.children import interruptible
from bench.gateways import scenarios as gateways
from bench.runner import chosen, measure
from bench.scenario import Scenario, Setting
from bench.wire import spoken

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
    found = measure(options.scenarios, setting)
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
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"scenarios: {', '.join(SCENARIOS)}. bench/README.md says what they measure.",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every scenario (5)")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="share of the full sizes (1); below 1 nothing is saved",
    )
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        help="these scenarios (gateway: all of gateway-*); nothing is saved",
    )
    parser.add_argument("--smoke", action="store_true", help="one tiny round; nothing is saved")
    parser.add_argument(
        "--server", metavar="URL", help="measure this server instead; nothing is saved"
    )
    options = parser.parse_args()
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be more than 0")
    only = options.only.split(",") if options.only else OVER_HTTP if options.server else ()
    if options.server and not set(only) <= set(OVER_HTTP):
        parser.error(f"--server goes with {', '.join(OVER_HTTP)} only")
    try:
        if options.server is not None:
            spoken(options.server)
        options.scenarios = chosen(SCENARIOS, only)
    except ValueError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    sys.exit(interruptible(main))
