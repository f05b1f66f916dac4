"""What is measured, in which unit, and what it must reach."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """A figure, and its bounds if it has any: `at_least` for rates, `at_most` for times."""

    what: str
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    goal: float | None = None

    def met(self, value: float) -> bool:
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:,g}"
        return "–" if self.at_most is None else f"<= {self.at_most:g}"


BUDGETS = {
    "bulk": Budget("embedded: submit to completed, bulk", "tasks/s", 20_000, goal=30_000),
    "producers": Budget("embedded: 64 producers, a task a call", "tasks/s", 10_000, goal=18_000),
    "sequential": Budget("embedded: one sequential producer", "tasks/s", 1_300, goal=2_000),
    "soon_p50": Budget("submit to backend called, one by one, p50", "ms", at_most=0.6, goal=0.3),
    "soon_p99": Budget("submit to backend called, one by one, p99", "ms", at_most=2, goal=1),
    "start_p50": Budget("submit to backend called, idle 50 ms, p50", "ms", at_most=0.6, goal=0.3),
    "start_p99": Budget("submit to backend called, idle 50 ms, p99", "ms", at_most=2, goal=1),
    "disk_p50": Budget("the disk's own write + sync, idle 50 ms, p50", "ms"),
    "disk_p99": Budget("the disk's own write + sync, idle 50 ms, p99", "ms"),
    "next_p50": Budget("slot freed to next backend call, p50", "ms", at_most=0.1),
    "next_p99": Budget("slot freed to next backend call, p99", "ms", at_most=1),
    "http": Budget("HTTP: AsyncClient, 64 submits at a time, to completed", "tasks/s"),
    "connections": Budget("HTTP: 64 connections, a POST a task, to completed", "tasks/s"),
    "post": Budget("HTTP: one POST /api/tasks at a time", "requests/s"),
    "post_bare": Budget("HTTP: the same, bare Quart-Trio", "requests/s"),
    "post_ratio": Budget("HTTP: one POST at a time, ratio to bare", "ratio", 0.7, goal=0.9),
    "call_1": Budget("gateway: drop-in calls, durable, 1 connection", "requests/s"),
    "call_16": Budget("gateway: the same, 16 connections", "requests/s", 2_400, goal=5_000),
    "call_64": Budget("gateway: the same, 64 connections", "requests/s"),
    "call_wide": Budget("gateway: 64 connections to 16", "ratio", 1, goal=1.3),
    "call_cpu": Budget("gateway: CPU of a call, 16 connections", "ms", at_most=0.42, goal=0.2),
    "embed_16": Budget("gateway: /api/embed, 16 connections", "requests/s", 2_400, goal=5_000),
    "first_added": Budget("gateway, idle: first token later by, p50", "ms", at_most=1.4, goal=0.9),
    "first_direct": Budget("the backend's own first token, p50", "ms"),
    "chunk_cpu_64": Budget("gateway: CPU of a chunk, 64 streams", "us", at_most=48, goal=36),
    "streams_kept_64": Budget("gateway: 64 streams: chunks in time", "share", 0.999),
    "streams_p99_64": Budget("gateway: 64 streams: delay, p99", "ms"),
    "chunk_cpu_256": Budget("gateway: CPU of a chunk, 256 streams", "us", at_most=48, goal=36),
    "streams_kept_256": Budget("gateway: 256 streams: chunks in time", "share", 0.999),
    "streams_p99_256": Budget("gateway: 256 streams: delay, p99", "ms", at_most=20),
    "streams_rss_256": Budget("gateway: memory while 256 stream", "MB", at_most=120),
    "served_4": Budget("queue to HTTP backend, completed, 4 workers", "tasks/s", 2_500, goal=4_000),
    "served_64": Budget("the same, 64 workers", "tasks/s"),
    "served_wide": Budget("the same: 64 workers to 4", "ratio", 1, goal=1.3),
    "idle_caller": Budget("gateway: memory of an idle caller", "kB", at_most=20),
    "stream_p99": Budget("100 task streams x 50 chunks/s: delay, p99", "ms", at_most=100),
    "stream_kept": Budget("100 task streams: chunks in time", "share", 0.999),
    "drop_in_p99": Budget("100 drop-in streams x 50 chunks/s: delay, p99", "ms", at_most=100),
    "drop_in_kept": Budget("100 drop-in streams: chunks in time", "share", 0.999),
    "direct_p99": Budget("100 streams of the backend itself: delay, p99", "ms"),
    "watched_p99": Budget("submit with 200 subscribers x 20 events/s, p99", "ms"),
    "unwatched_p99": Budget("submit without subscribers, p99", "ms"),
    "watched_ratio": Budget("submit p99, with subscribers to without", "ratio", at_most=2),
    "watched_kept": Budget("200 subscribers: events in time", "share", 0.999),
    "pending_start": Budget("1,000,000 pending: start to ready", "s", at_most=10, goal=4),
    "pending_rss": Budget("1,000,000 pending: memory when ready", "MB", at_most=500, goal=300),
    "pending_peak": Budget("1,000,000 pending: most memory until then", "MB"),
    "submit_growth": Budget("submit at 1,000,000 pending to 1,000", "ratio", at_most=1.3, goal=1.1),
    "mixed_start": Budget("the same of 200 models, 100 tenants, all rules: start", "s", at_most=5),
    "mixed_rss": Budget("the same: memory when ready", "MB", at_most=400),
    "mixed_next": Budget("the same: to find the next task, 3 backends, p50", "us", at_most=50),
    "choose_alike": Budget("50 backends with one model: to choose one, p50", "us", at_most=20),
    "start_alike": Budget("the same: to find the next task and start it", "us"),
    "choose_mixed": Budget("50 backends, 4 of 25 models each: to choose one", "us", at_most=20),
    "start_mixed": Budget("the same: to find the next task and start it", "us"),
    "bulk_plain": Budget("embedded, no rules of the order: bulk", "tasks/s"),
    "bulk_ruled": Budget("embedded, all rules of the order: bulk", "tasks/s"),
    "bulk_rules": Budget("the same: all rules to none", "ratio", 0.87),
    "sequential_plain": Budget("embedded, no rules: one sequential producer", "tasks/s"),
    "sequential_ruled": Budget("embedded, all rules: one sequential producer", "tasks/s"),
    "sequential_rules": Budget("the same: all rules to none", "ratio", 0.87),
    "fill": Budget("embedded: submit 5,000 a call, nothing runs", "tasks/s"),
    "version": Budget("`oq --version`, p50", "ms", at_most=150, goal=80),
    "version_bare": Budget("Python that does nothing, p50", "ms"),
}  # fmt: skip
"""In the order in which they are shown."""

RATIOS = {
    "call_wide": ("call_64", "call_16"),
    "served_wide": ("served_64", "served_4"),
    "post_ratio": ("post", "post_bare"),
    "watched_ratio": ("watched_p99", "unwatched_p99"),
    "bulk_rules": ("bulk_ruled", "bulk_plain"),
    "sequential_rules": ("sequential_ruled", "sequential_plain"),
}
"""Figures that are made of two others of the same round: the first over the second."""


_SIZED = re.compile(r"(?P<what>\w+)_(?P<count>\d+)(?P<unit>[km])")
_UNITS = {"k": 1_000, "m": 1_000_000}

Curves = dict[str, list[tuple[int, float]]]
"""What was measured, at each size: (pending tasks, figure), the least size first."""


@dataclass(frozen=True)
class Summary:
    """One figure over all rounds."""

    name: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Half of the range, as a share of the median."""
        half = (max(self.rounds) - min(self.rounds)) / 2
        return half / self.median if self.median else 0.0


def ratios(figures: Mapping[str, float]) -> dict[str, float]:
    """The ratios that the figures of one round give."""
    return {
        name: figures[above] / figures[below]
        for name, (above, below) in RATIOS.items()
        if above in figures and below in figures
    }


def curves(summaries: Mapping[str, Summary]) -> Curves:
    """The figures that were measured at several sizes, as `submit_1k`, `submit_1m`."""
    found: Curves = {}
    for name, summary in summaries.items():
        sized = _SIZED.fullmatch(name)
        if sized is not None:
            size = int(sized["count"]) * _UNITS[sized["unit"]]
            found.setdefault(sized["what"], []).append((size, summary.median))
    return {what: sorted(points) for what, points in found.items()}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, nearest rank."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
