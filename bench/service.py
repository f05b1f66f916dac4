"""The service that two tenants get: how much, when, and how far one is ahead of the other.

Service is counted in weighted tokens, those of a prompt once and generated ones twice, and as it is
given: evenly over the time in which a prompt is read, and in which an answer is written.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from oq.plan.machine import Asked, Call


def cost(task: Asked) -> int:
    """What a task costs: its prompt, and twice what is generated."""
    return task.tokens + task.generated


class Curve:
    """A value over time: straight lines between points, the last value after them, 0 before."""

    def __init__(self, times: Sequence[float], values: Sequence[float]) -> None:
        self._times = times
        self._values = values

    def at(self, time: float) -> float:
        """The value at this time."""
        after = bisect_right(self._times, time)
        if after in (0, len(self._times)):
            return self._values[-1] if after else 0.0
        (start, end), (first, last) = (
            each[after - 1 : after + 1] for each in (self._times, self._values)
        )
        return first + (last - first) * (time - start) / (end - start)

    def range(self, start: float, end: float) -> float:
        """The most that the value changes between any two of these times."""
        inside = self._values[bisect_left(self._times, start) : bisect_right(self._times, end)]
        values = [self.at(start), *inside, self.at(end)]
        return max(values) - min(values)

    def by_the_minute(self, minutes: int) -> list[tuple[float, float]]:
        """By how much the value grows in a second of each minute, at the middle of the minute."""
        values = [self.at(60 * minute) for minute in range(minutes + 1)]
        return [(n + 0.5, (end - start) / 60) for n, (start, end) in enumerate(pairwise(values))]


def service(calls: Iterable[Call], counts: Mapping[str, float] | None = None) -> Curve:
    """What has been given by each time, in weighted tokens. `counts` says how much one of them
    counts, by tenant.
    """
    speeds: defaultdict[float, float] = defaultdict(float)
    for call in calls:
        task = call.asked
        each = 1.0 if counts is None else counts[task.tenant or ""]
        answered = call.began + task.reads
        parts = (
            (call.began, answered, task.tokens - task.generated),
            (answered, call.ended, 2 * task.generated),
        )
        for start, end, tokens in parts:
            if end > start:
                speeds[start] += each * tokens / (end - start)
                speeds[end] -= each * tokens / (end - start)
    times = sorted(speeds)
    speed = 0.0
    values = [0.0] if times else []
    for start, end in pairwise(times):
        speed += speeds[start]
        values.append(values[-1] + speed * (end - start))
    return Curve(times, values)


class Interval(NamedTuple):
    """A time in which both tenants have a task that waits."""

    start: float
    end: float


def both_wait(calls: Sequence[Call], tenants: tuple[str, str]) -> list[Interval]:
    """All such times, each as long as it can be."""
    changes: defaultdict[float, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    for call in calls:
        changes[call.asked.at][call.asked.tenant] += 1
        changes[call.began][call.asked.tenant] -= 1
    waiting: dict[str | None, int] = dict.fromkeys(tenants, 0)
    found: list[Interval] = []
    since: float | None = None
    for time in sorted(changes):
        for tenant, change in changes[time].items():
            waiting[tenant] = waiting.get(tenant, 0) + change
        both = all(waiting[tenant] for tenant in tenants)
        if both and since is None:
            since = time
        elif not both and since is not None:
            found.append(Interval(since, time))
            since = None
    return found


class Apart(NamedTuple):
    """How two tenants were served while both had tasks that wait: for how many seconds that was,
    by how much one of them got more than the other in any part of one such time, and how many
    tokens each got in all of them. What `most` says is over the weights; `given` is not.
    """

    seconds: float
    most: float
    given: tuple[float, float]


def apart(
    calls: Sequence[Call], tenants: tuple[str, str], weights: tuple[float, float] = (1.0, 1.0)
) -> Apart:
    """How far apart two tenants came. All calls have ended, and are of these two."""
    intervals = both_wait(calls, tenants)
    ahead = service(calls, {tenants[0]: 1 / weights[0], tenants[1]: -1 / weights[1]})
    one, other = (
        service([call for call in calls if call.asked.tenant == tenant]) for tenant in tenants
    )
    return Apart(
        sum(end - start for start, end in intervals),
        max((ahead.range(*interval) for interval in intervals), default=0.0),
        (_within(intervals, one), _within(intervals, other)),
    )


def _within(intervals: Sequence[Interval], curve: Curve) -> float:
    return sum(curve.at(end) - curve.at(start) for start, end in intervals)
