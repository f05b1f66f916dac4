"""A side's figures over the rounds, its best one, how oq stands to that, and to its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Budget, Summary
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


BUDGETS = {
    "bullmq": Budget("HTTP budget: client, 64 at once, to BullMQ bulk", "ratio", 1, goal=2),
    "bullmq-each": Budget("the same, to BullMQ bulk, fsync each", "ratio", 1),
}
"""What oq's client owes to whom: its rate end to end with 64 submits at once, to theirs in bulk."""
OWED, DUE = "end_to_end_concurrent", "end_to_end_bulk"
EACH = ("appendfsync=always", "fsync -f0", "synchronous=2", "fsync=on, synchronous_commit=on")
"""How a durability in force says that each write is synced before it is acknowledged."""


@dataclass(frozen=True)
class Standing:
    """oq, in the best of its ways, beside the best way of each peer of a group."""

    oq: str
    way: str
    among: str
    ratios: dict[str, Summary]
    """oq's rate to that of the peer with this title, the least ratio first."""

    @property
    def behind(self) -> dict[str, Summary]:
        """Of whom oq is not ahead."""
        return {title: each for title, each in self.ratios.items() if each.median <= 1}


def summary(column: Column, figure: str) -> Summary | None:
    """A figure over the rounds, if the side has it."""
    values = tuple(each[figure] for each in column.rounds if figure in each)
    return Summary(figure, values) if values else None


def best(column: Column) -> Summary | None:
    """The side's highest rate end to end, whichever way that is."""
    found = [each for name in END_TO_END if (each := summary(column, name))]
    return max(found, key=lambda each: each.median, default=None)


def syncs_each(column: Column) -> bool:
    """Whether each write was on disk before it was acknowledged, by what was read back."""
    return any(each in column.durability for each in EACH)


def ratio(ours: Summary, theirs: Summary) -> Summary:
    """The ratios of the same rounds."""
    pairs = zip(ours.rounds, theirs.rounds, strict=True)
    return Summary(ours.name, tuple(own / their for own, their in pairs))


def owed(columns: Sequence[Column]) -> dict[str, Summary]:
    """The ratios that the budgets are about, by the peer, as far as both sides were measured."""
    by_name = {column.side.name: column for column in columns}
    ours = summary(by_name["oq-client"], OWED) if "oq-client" in by_name else None
    found = {}
    for name in BUDGETS:
        theirs = summary(by_name[name], DUE) if name in by_name else None
        if ours is not None and theirs is not None:
            found[name] = ratio(ours, theirs)
    return found


def standings(columns: Sequence[Column]) -> list[Standing]:
    """Whom oq is ahead of, through its client and embedded: first of those whose durability is as
    strict as its own, then of all.
    """
    peers = [column for column in columns if column.side.peer and best(column)]
    groups = {
        "that sync each write": [each for each in peers if syncs_each(each)],
        "in all": peers,
    }
    return [
        Standing(column.side.title, top.name, among, _to_best(top, group))
        for among, group in groups.items()
        for name in ("oq-client", "oq-embedded")
        for column in columns
        if column.side.name == name and group and (top := best(column)) is not None
    ]


def _to_best(ours: Summary, peers: Sequence[Column]) -> dict[str, Summary]:
    found = {each.side.title: ratio(ours, top) for each in peers if (top := best(each))}
    return dict(sorted(found.items(), key=lambda item: item[1].median))


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
            found[label] = ratio(own, top).median
    return found
