"""The comparison as a picture: how many jobs a second each side gets done, by its fastest way."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.charts import LOOK, picture
from bench.peers.figures import best
from bench.peers.turns import Column

OURS, THEIRS = "#2563a8", "#8a8f98"


def chart(columns: Sequence[Column]) -> str:
    """A bar a side, the fastest on top."""
    rates = [(top.median, column.side) for column in columns if (top := best(column)) is not None]
    rates.sort(key=lambda each: each[0], reverse=True)
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9, 0.6 + 0.32 * len(rates)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title("Jobs a second, end to end, by the fastest way of each")
        bars = axes.barh(
            [side.title for _, side in rates],
            [rate for rate, _ in rates],
            color=[OURS if side.ours else THEIRS for _, side in rates],
        )
        axes.bar_label(bars, [f"{rate:,.0f}" for rate, _ in rates], padding=3)
        axes.margins(x=0.1)
        axes.invert_yaxis()
        return picture(figure)
