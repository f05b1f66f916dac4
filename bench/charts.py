"""The main figures as SVG: how each stands to its budget, and how costs grow with what waits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import ceil, floor, log10

import pygal
from pygal.style import Style

from bench.figures import BUDGETS, Budget, Summary

STYLE = Style(
    background="white",
    plot_background="white",
    colors=("#2563a8", "#c0562b", "#3f8a4f", "#7a4f9a"),
    font_family="sans-serif",
    title_font_size=18,
)
SIZE = {"width": 900, "height": 480}
LONGEST = 4
"""Beyond it a bar is cut off, and its number says how far it would go."""
_SIZED = re.compile(r"(?P<what>\w+)_(?P<count>\d+)(?P<unit>[km])")
_SCRIPT = re.compile("<script.*?</script>", re.DOTALL)
_UNITS = {"k": 1_000, "m": 1_000_000}

Curves = dict[str, list[tuple[int, float]]]
"""What was measured, at each size: (pending tasks, figure), the least size first."""


def curves(summaries: Mapping[str, Summary]) -> Curves:
    """The figures that were measured at several sizes, as `submit_1k`, `submit_1m`."""
    found: Curves = {}
    for name, summary in summaries.items():
        sized = _SIZED.fullmatch(name)
        if sized is not None:
            size = int(sized["count"]) * _UNITS[sized["unit"]]
            found.setdefault(sized["what"], []).append((size, summary.median))
    return {what: sorted(points) for what, points in found.items()}


def speed(budget: Budget, median: float) -> float | None:
    """How many times as good as its budget asks for; None if it asks for nothing."""
    if budget.at_least is not None:
        return median / budget.at_least
    return None if budget.at_most is None else budget.at_most / median


def budget_chart(summaries: Mapping[str, Summary]) -> str:
    """A bar for each figure that has a budget, which is 1."""
    chart = pygal.HorizontalBar(
        title=f"Times as good as the budget asks (1 meets it; drawn up to {LONGEST})",
        style=STYLE,
        js=(),
        show_legend=False,
        print_values=True,
        range=(0, LONGEST),
        width=1100,
        height=720,
    )
    bars = {
        budget.what: speed(budget, summaries[name].median)
        for name, budget in reversed(BUDGETS.items())
        if name in summaries
    }
    shown = {what: value for what, value in bars.items() if value is not None}
    chart.x_labels = list(shown)
    chart.add("", [_bar(value) for value in shown.values()])
    return _drawn(chart)


def growth_charts(found: Curves) -> dict[str, str]:
    """Curves over the number of pending tasks, by the name of their chart."""
    charts = {
        "growth-time": _curve(
            "With so many tasks pending", "ms", found, ("submit", "pop", "list", "status")
        ),
        "growth-start": _curve("Opening the queue", "s", found, ("recovery",)),
        "growth-memory": _curve("Resident memory", "MB", found, ("rss",)),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def _curve(title: str, unit: str, found: Curves, whats: Iterable[str]) -> str | None:
    drawn = {what: found[what] for what in whats if what in found}
    if not drawn:
        return None
    chart = pygal.XY(
        title=f"{title} ({unit})",
        x_title="pending tasks",
        style=STYLE,
        js=(),
        logarithmic=True,
        range=_decades([value for points in drawn.values() for _, value in points]),
        **SIZE,
    )
    for what, points in drawn.items():
        chart.add(what, points)
    chart.x_labels = sorted({size for points in drawn.values() for size, _ in points})
    chart.x_value_formatter = lambda size: f"{size:,.0f}"
    return _drawn(chart)


def _decades(values: list[float]) -> tuple[float, float]:
    """The powers of ten around the values: what hardly grows should look so."""
    return 10 ** floor(log10(min(values))), 10 ** ceil(log10(max(values)))


def _bar(value: float) -> dict[str, object]:
    color = STYLE.colors[0] if value >= 1 else STYLE.colors[1]
    shown = f"{value:.2f}" if value < LONGEST else f"{value:,.0f}"
    return {"value": min(value, LONGEST), "color": color, "formatter": lambda _: shown}


def _drawn(chart: pygal.Graph) -> str:
    text = str(chart.render(is_unicode=True))
    # A picture needs no program; and its id is drawn anew each time, which would make the chart of
    # the same figures another file.
    return _SCRIPT.sub("", text).replace(f"chart-{chart.uuid}", "chart") + "\n"
