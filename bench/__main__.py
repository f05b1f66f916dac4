"""Run the scenarios in turns, A B C A B C ..., and print the median of each beside its budget."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import trio

from bench import embedded
from bench.figures import BUDGETS, Summary

Scenario = Callable[[], Awaitable[dict[str, float]]]
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("oq", "trio", "rocksdict", "msgspec")


def scenarios(scale: float) -> dict[str, Scenario]:
    """Every scenario at this share of its full size."""

    def sized(count: int) -> int:
        return max(1000, round(count * scale / 1000) * 1000)

    return {
        "bulk": lambda: embedded.bulk(sized(40_000)),
        "producers": lambda: embedded.producers(sized(20_000)),
        "sequential": lambda: embedded.sequential(sized(3_000)),
        "idle start": lambda: embedded.idle_start(sized(2_000)),
        "slot freed": lambda: embedded.slot_freed(sized(5_000)),
    }


def reference() -> float:
    """Turns a second of a fixed loop of dict, list and call work in pure Python: what this machine
    does at the time, so that figures of two machines can be compared as ratios to it.
    """
    turns = 200_000
    table: dict[int, list[int]] = {}
    begun = time.perf_counter()
    for turn in range(turns):
        table.setdefault(turn % 1000, []).append(turn)
        if turn % 10 == 0:
            table.pop(turn % 1000, None)
    return turns / (time.perf_counter() - begun)


def measure(rounds: int, scale: float) -> list[Summary]:
    found: dict[str, list[float]] = {"reference": []}
    for turn in range(rounds):
        found["reference"].append(reference())
        for name, scenario in scenarios(scale).items():
            print(f"\rround {turn + 1}/{rounds}: {name:<20}", end="", file=sys.stderr, flush=True)
            for figure, value in trio.run(scenario).items():
                found.setdefault(figure, []).append(value)
    print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
    return [Summary(name, tuple(values)) for name, values in found.items()]


def table(summaries: list[Summary]) -> str:
    rows = ["| what | unit | median | ± | budget | met | goal |", "|-|-|-|-|-|-|-|"]
    for summary in summaries:
        budget = BUDGETS.get(summary.name)
        if budget is None:
            continue
        median = summary.median
        shown = f"{median:,.0f}" if median >= 100 else f"{median:.3f}"
        met = "yes" if budget.met(median) else "**no**"
        goal = "–" if budget.goal is None else f"{budget.goal:,g}"
        rows.append(
            f"| {budget.what} | {budget.unit} | {shown} | {summary.spread:.0%}"
            f" | {budget.bound} | {met} | {goal} |"
        )
    return "\n".join(rows)


def save(summaries: list[Summary], text: str, rounds: int) -> None:
    machine = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in PACKAGES},
    }
    RESULTS.mkdir(exist_ok=True)
    figures = {s.name: {"median": s.median, "rounds": list(s.rounds)} for s in summaries}
    document = {"machine": machine, "rounds": rounds, "figures": figures}
    (RESULTS / "latest.json").write_text(json.dumps(document, indent=1) + "\n")
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    (RESULTS / "latest.md").write_text(
        f"# The last run\n\n{facts}; medians of {rounds} rounds in turns.\n\n{text}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every scenario (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes (1)")
    parser.add_argument("--smoke", action="store_true", help="one small round; nothing is saved")
    options = parser.parse_args()
    rounds, scale = (1, 0.1) if options.smoke else (options.rounds, options.scale)
    summaries = measure(rounds, scale)
    text = table(summaries)
    print(text)
    reached = next(s for s in summaries if s.name == "reference").median
    print(f"\nreference loop: {reached:,.0f} turns/s")
    if not options.smoke:
        save(summaries, text, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
