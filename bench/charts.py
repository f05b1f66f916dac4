"""The main figures as SVG: how each stands to its budget, and how costs grow with what waits."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from math import floor, log10
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.figures import BUDGETS, Budget, Curves, Summary

GOOD, SHORT = "#2563a8", "#c0562b"
LONGEST = 4
"""Beyond it a bar is cut off, and its number says how far it would go."""
SHORTEST = 1.0
"""Seconds. What is shorter is drawn as that."""
TICKS = {
    1: "1 s or less", 10: "10 s", 30: "30 s", 60: "1 min", 120: "2 min", 600: "10 min",
    3600: "1 h", 36000: "10 h",
}  # fmt: skip
LOOK: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "oq",  # the same figures make the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
}


def speed(budget: Budget, median: float) -> float | None:
    """How many times as good as its budget asks for; None if it asks for nothing."""
    if budget.at_least is not None:
        return median / budget.at_least
    return None if budget.at_most is None else budget.at_most / median


def budget_chart(summaries: Mapping[str, Summary]) -> str:
    """A bar for each figure that has a budget, which is 1."""
    bars = {
        budget.what: times
        for name, budget in BUDGETS.items()
        if name in summaries and (times := speed(budget, summaries[name].median)) is not None
    }
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9, 0.6 + 0.32 * len(bars)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(f"Times as good as the budget asks (drawn up to {LONGEST})")
        drawn = axes.barh(
            list(bars),
            [min(times, LONGEST) for times in bars.values()],
            color=[GOOD if times >= 1 else SHORT for times in bars.values()],
        )
        axes.bar_label(drawn, [_times(times) for times in bars.values()], padding=3)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xlim(0, LONGEST * 1.1)
        axes.invert_yaxis()
        return picture(figure)


def growth_charts(found: Curves) -> dict[str, str]:
    """Curves over the number of pending tasks, by the name of their chart."""
    wanted = {
        "growth-time": ("With so many pending tasks", "ms", ("submit", "pop", "list", "status")),
        "growth-start": ("Opening the queue", "s", ("recovery",)),
        "growth-memory": ("Resident memory", "MB", ("rss",)),
    }
    return {
        name: _growth(title, unit, {what: found[what] for what in whats if what in found})
        for name, (title, unit, whats) in wanted.items()
        if any(what in found for what in whats)
    }


def churn_chart(lines: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Megabytes over the minutes of an hour of churn."""
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.add_subplot(title="An hour of churn", xlabel="minute", ylabel="MB")
        for what, points in lines.items():
            axes.plot(*zip(*points, strict=True), label=what)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        return picture(figure)


def soak_chart(lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """One picture below the other, each with its own scale, over the same minutes."""
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9, 1.5 * len(lines)), layout="constrained")
        rows = figure.subplots(len(lines), sharex=True, squeeze=False)
        for axes, (what, points) in zip(rows[:, 0], lines.items(), strict=True):
            axes.plot(*zip(*points, strict=True), color=GOOD, linewidth=1)
            axes.set_title(what, loc="left", fontsize=10)
            axes.set_ylim(bottom=0)
        rows[-1, 0].set_xlabel("minute")
        return picture(figure)


def waits_chart(waits: Mapping[str, Sequence[float]], tasks: int) -> str:
    """For each name the waits at ranks that are evenly apart: the share that waited no longer."""
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.add_subplot(
            title=f"How long {tasks:,} tasks waited", xlabel="wait", ylabel="% of the tasks"
        )
        for name, ranked in waits.items():
            shares = [100 * (rank + 1) / len(ranked) for rank in range(len(ranked))]
            axes.plot([max(SHORTEST, wait) for wait in ranked], shares, label=name)
        axes.set_xscale("log")
        axes.set_xticks(list(TICKS), list(TICKS.values()))
        axes.minorticks_off()
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        return picture(figure)


def _growth(title: str, unit: str, lines: Curves) -> str:
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel="pending tasks", ylabel=unit)
        for what, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=what)
        axes.set_xscale("log")
        axes.set_yscale("log")
        # Whole powers of ten: what hardly grows should look so.
        values = [value for points in lines.values() for _, value in points]
        axes.set_ylim(*_decades(values))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))
        axes.set_xticks(sorted({size for points in lines.values() for size, _ in points}))
        axes.minorticks_off()
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False)
        return picture(figure)


def _decades(values: Iterable[float]) -> tuple[float, float]:
    exponents = [log10(value) for value in values]
    return 10 ** floor(min(exponents)), 10 ** (floor(max(exponents)) + 1)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _times(times: float) -> str:
    return f"{times:.2f}" if times < LONGEST else f"{times:,.0f}"


def picture(figure: Figure) -> str:
    """The figure as SVG."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
