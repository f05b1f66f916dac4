"""A side's figures over the rounds, its best one, and how oq stands to that."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.figures import Summary
from bench.peers.turns import Column

WAYS = ("single", "concurrent", "bulk")
"""One call after the other, 64 calls at once, up to 1000 jobs in a call."""
END_TO_END = tuple(f"end_to_end_{way}" for way in WAYS)
AGAINST = {
    "embedded, bulk": ("oq-embedded", "end_to_end_bulk"),
    "client, bulk": ("oq-client", "end_to_end_bulk"),
    "client, 64 at once": ("oq-client", "end_to_end_concurrent"),
    "POSTs, 64 at once": ("oq-http", "end_to_end_concurrent"),
}
"""Which of oq's figures every peer's best is compared with."""


def summary(column: Column, figure: str) -> Summary | None:
    """A figure over the rounds, if the side has it."""
    values = tuple(each[figure] for each in column.rounds if figure in each)
    return Summary(figure, values) if values else None


def best(column: Column) -> Summary | None:
    """The side's highest rate end to end, whichever way that is."""
    found = [each for name in END_TO_END if (each := summary(column, name))]
    return max(found, key=lambda each: each.median, default=None)


def ratios(columns: Sequence[Column], peer: Column) -> dict[str, float]:
    """oq's figures to the peer's best, each the median of the ratios of a round."""
    top = best(peer)
    if top is None:
        return {}
    by_name = {column.side.name: column for column in columns}
    found = {}
    for label, (name, figure) in AGAINST.items():
        own = summary(by_name[name], figure) if name in by_name else None
        if own is not None:
            pairs = zip(own.rounds, top.rounds, strict=False)
            found[label] = statistics.median(ours / theirs for ours, theirs in pairs)
    return found
