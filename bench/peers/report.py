"""The comparison as a table and as JSON: medians of all rounds, ratios of each."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from bench.figures import Summary
from bench.peers.figures import AGAINST, END_TO_END, WAYS, best, ratios, summary
from bench.peers.turns import Column, Comparison
from bench.report import RESULTS, machine

HEAD = """\
| | durability in force | enqueue /s: single | 64 at once | bulk \
| end to end /s: single | 64 at once | bulk | ± | start p50 / p99 ms | oq to its best: {ratios} |
|-|-|-|-|-|-|-|-|-|-|-|-|-|-|"""
NOTES = """\
Single is one call after the other, 64 at once as many calls under way, bulk up to 1000 jobs in a
call. End to end is from the first call until the last job has run, with producer, server and
workers on this machine; oq's tasks have also been completed on disk by then. Enqueue is without
workers. ± is half of the range of the best end to end. Start is from the call to the job's first
line, idle. Ratios are of the same round, to the peer's best end to end."""


def table(found: Comparison) -> str:
    rows = [HEAD.format(ratios=" | ".join(AGAINST))]
    rows += [_row(found.columns, column) for column in found.columns]
    return "\n".join(rows)


def _row(columns: Sequence[Column], column: Column) -> str:
    enqueue = [_rate(summary(column, f"enqueue_{way}")) for way in WAYS]
    end_to_end = [_rate(summary(column, name)) for name in END_TO_END]
    top = best(column)
    spread = "–" if top is None else f"{top.spread:.0%}"
    start = [summary(column, name) for name in ("start_p50", "start_p99")]
    shown = " / ".join(f"{each.median:.2f}" for each in start if each) or "–"
    against = {} if column.side.ours else ratios(columns, column)
    compared = [f"{against[label]:.2f}" if label in against else "–" for label in AGAINST]
    cells = [column.side.title, column.durability, *enqueue, *end_to_end, spread, shown, *compared]
    return f"| {' | '.join(cells)} |"


def _rate(found: Summary | None) -> str:
    return "–" if found is None else f"{found.median:,.0f}"


def left_out(found: Comparison) -> str:
    """Who did not take part, a line each."""
    return "".join(f"left out: {name}: {reason}\n" for name, reason in found.left_out.items())


def setup(found: Comparison) -> str:
    """Versions and workers, a line a side."""
    return "\n".join(f"- {c.side.title}: {c.version}; {c.workers}" for c in found.columns)


def document(found: Comparison, rounds: int, scale: float) -> dict[str, Any]:
    """The whole run, with every round."""
    sides = {}
    for column in found.columns:
        names = dict.fromkeys(name for each in column.rounds for name in each)
        summaries = [each for name in names if (each := summary(column, name))]
        sides[column.side.name] = {
            "title": column.side.title,
            "version": column.version,
            "workers": column.workers,
            "durability": column.durability,
            "figures": {s.name: {"median": s.median, "rounds": list(s.rounds)} for s in summaries},
            "counts": column.counts,
            "oq_to_its_best": {} if column.side.ours else ratios(found.columns, column),
        }
    return {
        "machine": facts(found),
        "rounds": rounds,
        "scale": scale,
        "seconds": found.seconds,
        "sides": sides,
        "left_out": found.left_out,
    }


def told(found: Comparison) -> str:
    """The machine in a line."""
    return ", ".join(f"{fact} {value}" for fact, value in facts(found).items())


def facts(found: Comparison) -> dict[str, Any]:
    """The machine, and what a sync costs where the files were."""
    sync = {"fdatasync_us": round(statistics.median(found.syncs))} if found.syncs else {}
    return {**machine(), "files_in": f"{found.place} ({found.filesystem})", **sync}


def save(found: Comparison, rounds: int, scale: float) -> None:
    """Write the run down as peers.json, peers.md and peers.svg."""
    from bench.peers.chart import chart  # only what draws needs matplotlib

    RESULTS.mkdir(exist_ok=True)
    whole = document(found, rounds, scale)
    (RESULTS / "peers.json").write_text(json.dumps(whole, indent=1) + "\n")
    (RESULTS / "peers.svg").write_text(chart(found.columns))
    parts = [
        "# oq beside its peers",
        f"{told(found)}; medians of {rounds} rounds in turns.",
        table(found),
        "![jobs a second](peers.svg)",
        NOTES,
        setup(found),
        left_out(found),
    ]
    text = "\n\n".join(part.strip() for part in parts if part)
    (RESULTS / "peers.md").write_text(text + "\n")
