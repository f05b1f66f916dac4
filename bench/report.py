"""The results: a table beside the budgets, and as JSON with all rounds."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import disk
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


def table(summaries: Mapping[str, Summary], *, judged: bool = True) -> str:
    """The figures that people ask for, as Markdown. Whether budgets are met it says if `judged`."""
    rows = ["| what | unit | median | ± | budget | met | goal |", "|-|-|-|-|-|-|-|"]
    rows += [
        _row(budget, summaries[name], judged)
        for name, budget in BUDGETS.items()
        if name in summaries
    ]
    return "\n".join(rows)


def _row(budget: Budget, summary: Summary, judged: bool) -> str:
    spread = f"{summary.spread:.0%}" if len(summary.rounds) > 1 else "once"
    bounded = budget.at_least is not None or budget.at_most is not None
    met = "–" if not bounded else "yes" if budget.met(summary.median) else "**no**"
    goal = "–" if budget.goal is None else f"{budget.goal:,g}"
    return (
        f"| {budget.what} | {budget.unit} | {shown(summary.median)} | {spread}"
        f" | {budget.bound} | {met if judged else ''} | {goal} |"
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
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "commit": _commit(),
        **{name: version(name) for name in PACKAGES},
    }


def phase() -> dict[str, Any]:
    """What the machine is like at the moment: how many programs want a processor (the load of the
    last minute), and how long a small write and its fdatasync take, in milliseconds at the median.
    """
    return {"load": round(os.getloadavg()[0], 2), "fdatasync_ms": round(disk.p50(), 3)}


def during(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Two phases, as facts: each figure as it was before and after."""
    return {name: f"{before[name]} to {after[name]}" for name in before}


def _cpu() -> str:
    """The processor's name, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    """What was measured; a plus sign says that there were changes which are not committed."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit}+" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # no clone, or no git


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def text(found: Found, setting: Setting) -> str:
    """All tables, and what is to be known about them."""
    summaries = found.summaries()
    judged = setting.scale >= 1 and setting.server is None
    shown_table = table(summaries, judged=judged) if summaries else ""
    parts = [shown_table, curve_table(curves(summaries)), missing(found)]
    if setting.scale < 1:
        parts.append(f"Sizes were {setting.scale:g} of the full ones: no measure of the budgets.\n")
    if setting.server is not None:
        parts.append(f"Measured was {setting.server}; the budgets are oq's.\n")
    return "\n".join(f"{part.rstrip()}\n" for part in parts if part)


def save(found: Found, setting: Setting, before: Mapping[str, Any], name: str = "latest") -> None:
    """Write the run down as NAME.json and NAME.md, and draw its charts. `before` is what `phase`
    said when it began.
    """
    from bench import charts  # which takes a while, for what only draws

    facts, summaries = machine() | during(before, phase()), found.summaries()
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
