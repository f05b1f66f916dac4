"""The comparison as a table, a verdict, and JSON: medians of all rounds, ratios of each."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from bench.figures import Summary
from bench.peers import figures
from bench.peers.figures import AGAINST, END_TO_END, WAYS, Standing, best, ratios, summary
from bench.peers.turns import Column, Comparison
from bench.report import RESULTS, machine

HEAD = """\
| | durability in force | enqueue /s: single | 64 at once | bulk \
| end to end /s: single | 64 at once | bulk | ± | start p50 / p99 ms | oq to its best: {ratios} |
|-|-|-|-|-|-|-|-|-|-|-|-|-|-|"""
VERDICT = """\
| what | median | ± | by round | bound | met | goal |
|-|-|-|-|-|-|-|"""
HOW = dict(zip(END_TO_END, ("single", "64 at once", "bulk"), strict=True))
NOTES = """\
Single is one call after the other, 64 at once as many calls under way (16 threads where a call
blocks), bulk up to 1000 jobs in a call. End to end is from the first call until the last job has
run, with producer, server and workers on this machine; oq's tasks have also been completed on disk
by then. Enqueue is without workers. ± is half of the range: of the best end to end, or of a ratio.
Start is from the call to the job's first line, idle. Ratios are of the same round, to the peer's
best end to end; oq is ahead of those to whom the median of its ratio is above 1."""


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


def verdict(found: Comparison, *, judged: bool = True) -> str:
    """oq's budgets beside peers; those of a run that is too short are not judged."""
    ratios = figures.owed(found.columns)
    rows = [VERDICT]
    for name, budget in figures.BUDGETS.items():
        shown = _owed(ratios[name]) if name in ratios else ["not measured", "–", "–"]
        met = "–"
        if judged and name in ratios:
            met = "yes" if budget.met(ratios[name].median) else "**no**"
        goal = "–" if budget.goal is None else f"{budget.goal:,g}"
        rows.append(f"| {' | '.join([budget.what, *shown, budget.bound, met, goal])} |")
    return "\n".join(rows)


def _owed(found: Summary) -> list[str]:
    rounds = ", ".join(f"{each:.2f}" for each in found.rounds)
    return [f"{found.median:.2f}", f"{found.spread:.0%}", rounds]


def standings(found: Comparison) -> str:
    """Whom oq is ahead of, a line for each of its two ways to be used and each group of peers."""
    return "\n".join(_told(each) for each in figures.standings(found.columns))


def _told(standing: Standing) -> str:
    count, behind = len(standing.ratios), standing.behind
    shown = behind or dict(list(standing.ratios.items())[:1])
    named = ", ".join(f"{title} ({r.median:.2f} ± {r.spread:.0%})" for title, r in shown.items())
    return (
        f"- {standing.oq} ({HOW[standing.way]}): ahead of {count - len(behind)} of {count} peers"
        f" {standing.among}; {'not of' if behind else 'the closest is'} {named}"
    )


def parts(found: Comparison, *, judged: bool = True) -> list[str]:
    """What is printed of a run."""
    shown = [table(found), verdict(found, judged=judged), standings(found) if judged else ""]
    return [part for part in [*shown, setup(found), told(found), left_out(found).rstrip()] if part]


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
        "budgets": _budgets(found),
        "standings": [_standing(each) for each in figures.standings(found.columns)],
        "sides": sides,
        "left_out": found.left_out,
    }


def _budgets(found: Comparison) -> dict[str, Any]:
    ratios = figures.owed(found.columns)
    return {
        name: {
            "what": budget.what,
            "median": ratios[name].median if name in ratios else None,
            "rounds": list(ratios[name].rounds) if name in ratios else [],
            "at_least": budget.at_least,
            "met": budget.met(ratios[name].median) if name in ratios else None,
        }
        for name, budget in figures.BUDGETS.items()
    }


def _standing(standing: Standing) -> dict[str, Any]:
    ratios = {title: each.median for title, each in standing.ratios.items()}
    return {"oq": standing.oq, "way": standing.way, "among": standing.among, "ratios": ratios}


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
    sections = [
        "# oq beside its peers",
        f"{told(found)}; medians of {rounds} rounds in turns.",
        "## Its budget, and whom it is ahead of",
        verdict(found),
        standings(found),
        "## Each side",
        table(found),
        "![jobs a second](peers.svg)",
        NOTES,
        setup(found),
        left_out(found),
    ]
    text = "\n\n".join(part.strip() for part in sections if part)
    (RESULTS / "peers.md").write_text(text + "\n")
