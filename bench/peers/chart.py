"""The comparison as a picture: how many jobs a second each side gets done, by its fastest way, and
which sides have each write on disk before they acknowledge it.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.charts import LOOK, picture
from bench.peers.figures import best, syncs_each
from bench.peers.turns import Column

OURS, STRICT, LAX = "#2563a8", "#5c6370", "#c3c7ce"
KEY = {OURS: "oq, synced each write", STRICT: "synced each write", LAX: "synced now and then"}


def chart(columns: Sequence[Column]) -> str:
    """A bar a side, the fastest on top."""
    rates = [(top.median, column) for column in columns if (top := best(column)) is not None]
    rates.sort(key=lambda each: each[0], reverse=True)
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9, 0.6 + 0.32 * len(rates)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title("Jobs a second, end to end, by the fastest way of each")
        bars = axes.barh(
            [column.side.title for _, column in rates],
            [rate for rate, _ in rates],
            color=[_color(column) for _, column in rates],
        )
        axes.bar_label(bars, [f"{rate:,.0f}" for rate, _ in rates], padding=3)
        axes.margins(x=0.1)
        axes.invert_yaxis()
        key = [Patch(color=color, label=label) for color, label in KEY.items()]
        axes.legend(handles=key, loc="lower right", frameon=False)
        return picture(figure)


def _color(column: Column) -> str:
    if column.side.ours:
        return OURS
    return STRICT if syncs_each(column) else LAX
