"""What the rules of the order bring, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.charts import GOOD, LOOK, SHORT, picture
from oq.words.durations import format_duration

WORST = 5.0
"""Times. A longer bar is cut off, and its number says how far it would go."""


def service_chart(panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> str:
    """Side by side, by title: what each of two tenants gets in a second, over the minutes."""
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, lines) in zip(columns, panels.items(), strict=True):
            for color, (tenant, points) in zip((SHORT, GOOD), lines.items(), strict=True):
                axes.plot(*zip(*points, strict=True), color=color, linewidth=1, label=tenant)
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("minute")
            axes.grid(axis="y", alpha=0.3)
            axes.legend(frameon=False)
        columns[0].set_ylim(bottom=0)  # when all are drawn: from then on it is fixed
        columns[0].set_ylabel("weighted tokens/s")
        return picture(figure)


def batch_chart(settings: Mapping[str, tuple[float, float]], most: float, least: float) -> str:
    """For each setting two bars: how many times as long as alone interactive tasks wait for their
    first token, and the throughput of the batch as a share of alone. What is wanted of each is
    `most` and `least`.
    """
    names = list(settings)
    longer = [longer for longer, _ in settings.values()]
    shares = [100 * share for _, share in settings.values()]
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(10, 0.9 + 0.34 * len(names)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        left.set_title("p95 to the first token, times that of alone", fontsize=10)
        drawn = left.barh(
            names,
            [min(times, WORST) for times in longer],
            color=[GOOD if times <= most else SHORT for times in longer],
        )
        left.bar_label(drawn, [f"{times:,.2f}" for times in longer], padding=3)
        left.axvline(most, color="black", linewidth=1)
        left.set_xlim(0, WORST * 1.2)
        right.set_title("tokens/s of the batch, % of alone in the gaps", fontsize=10)
        drawn = right.barh(
            names, shares, color=[GOOD if share >= 100 * least else SHORT for share in shares]
        )
        right.bar_label(drawn, [f"{share:.0f}" for share in shares], padding=3)
        right.axvline(100 * least, color="black", linewidth=1)
        right.invert_yaxis()
        return picture(figure)


def overflow_chart(settings: Mapping[str, tuple[float, float, float]], tasks: int) -> str:
    """For each setting how long a half of the tasks waits at most and how long 99 %, in seconds,
    and beside it the share of the tokens that went to the cloud.
    """
    names = list(settings)
    rows = list(range(len(names)))
    halves, longest, shares = zip(*settings.values(), strict=True)
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(10, 1.2 + 0.5 * len(names)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        left.set_title(f"How long {tasks:,} tasks waited, at most", fontsize=10)
        for waits, label, color, off in (
            (halves, "half of them", GOOD, -0.2), (longest, "99 %", SHORT, 0.2),
        ):  # fmt: skip
            drawn = left.barh([row + off for row in rows], waits, 0.38, color=color, label=label)
            left.bar_label(drawn, [format_duration(wait) for wait in waits], padding=3)
        left.set_xlim(0, max(longest) * 1.2 or 1.0)
        left.set_xlabel("seconds")
        left.legend(frameon=False)
        left.set_yticks(rows, names)
        left.set_ylabel("overflow_after")
        right.set_title("% of the tokens that went to the cloud", fontsize=10)
        drawn = right.barh(rows, [100 * share for share in shares], 0.6, color=GOOD)
        right.bar_label(drawn, [f"{100 * share:.1f}" for share in shares], padding=3)
        right.set_xlim(0, max(100 * max(shares) * 1.15, 1.0))
        right.invert_yaxis()
        return picture(figure)
