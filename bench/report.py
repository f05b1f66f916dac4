"""The results: a table beside the budgets, and as JSON with all rounds."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figures import BUDGETS, Budget, Curves, Summary, curves
from bench.runner import Found
from bench.scenario import Setting

RESULTS = Path(__file__).parent / "results"
CURVES = {
    "submit": "submit, durable, p50, ms",
    "pop": "slot freed to next backend call, p50, ms",
    "list": "list the newest 100, p50, ms",
    "status": "status, p50, ms",
    "recovery": "open the queue, s",
    "rss": "resident memory, MB",
}
"""What the figures that are measured at several sizes are."""
PACKAGES = ("oq", "trio", "rocksdict", "msgspec", "quart-trio", "hypercorn", "httpx")


def table(summaries: Mapping[str, Summary]) -> str:
    """The figures that people ask for, as Markdown."""
    rows = ["| what | unit | median | ± | budget | met | goal |", "|-|-|-|-|-|-|-|"]
    rows += [_row(budget, summaries[name]) for name, budget in BUDGETS.items() if name in summaries]
    return "\n".join(rows)


def _row(budget: Budget, summary: Summary) -> str:
    bounded = budget.at_least is not None or budget.at_most is not None
    met = "–" if not bounded else "yes" if budget.met(summary.median) else "**no**"
    goal = "–" if budget.goal is None else f"{budget.goal:,g}"
    return (
        f"| {budget.what} | {budget.unit} | {shown(summary.median)} | {summary.spread:.0%}"
        f" | {budget.bound} | {met} | {goal} |"
    )


def shown(value: float) -> str:
    """A number to be read: what is large has no fraction."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"


def curve_table(found: Curves) -> str:
    """What each size costs, a row a figure."""
    if not found:
        return ""
    sizes = sorted({size for points in found.values() for size, _ in points})
    rows = [f"| pending tasks | {' | '.join(f'{size:,}' for size in sizes)} |"]
    rows.append("|-" * (len(sizes) + 1) + "|")
    for what, points in found.items():
        at = dict(points)
        cells = (shown(at[size]) if size in at else "–" for size in sizes)
        rows.append(f"| {CURVES.get(what, what)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def missing(found: Found) -> str:
    """What could not be measured, a line each."""
    return "".join(f"not measured: {name}: {reason}\n" for name, reason in found.missing.items())


def machine() -> dict[str, Any]:
    """What the figures were measured on, with what, and when."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in PACKAGES},
    }


def text(found: Found, setting: Setting) -> str:
    """All tables, and what is to be known about them."""
    summaries = found.summaries()
    parts = [table(summaries) if summaries else "", curve_table(curves(summaries)), missing(found)]
    if setting.scale < 1:
        parts.append(f"Sizes were {setting.scale:g} of the full ones: no measure of the budgets.\n")
    return "\n".join(f"{part.rstrip()}\n" for part in parts if part)


def save(found: Found, setting: Setting, name: str = "latest") -> None:
    """Write the run down as NAME.json and NAME.md, and draw its charts."""
    from bench import charts  # which takes a while, for what only draws

    facts, summaries = machine(), found.summaries()
    drawn = {"budgets": charts.budget_chart(summaries)} | charts.growth_charts(curves(summaries))
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": facts,
        "rounds": setting.rounds,
        "scale": setting.scale,
        "figures": {
            each.name: {"median": each.median, "rounds": list(each.rounds)}
            for each in summaries.values()
        },
        "missing": found.missing,
        "seconds": found.seconds,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    told = ", ".join(f"{fact} {value}" for fact, value in facts.items())
    (RESULTS / f"{name}.md").write_text(
        f"# The last run\n\n{told}; medians of {setting.rounds} rounds in turns.\n\n"
        f"{text(found, setting)}\n![budgets](budgets.svg)\n"
        + "".join(f"![{chart}]({chart}.svg)\n" for chart in drawn if chart != "budgets")
    )
    for chart, svg in drawn.items():
        (RESULTS / f"{chart}.svg").write_text(svg)
