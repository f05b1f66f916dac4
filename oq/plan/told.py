"""What waiting tasks were told about their start and end, and how often that was right."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from oq.plan.machine import Call
from oq.rules.calibration import Interval
from oq.rules.guesses import Estimate
from oq.words.task import Readable


class Told(Struct, frozen=True):
    """What was told of a task that had to wait when it came; None if nothing could be."""

    call: Call
    estimate: Estimate | None


class Right(Readable, Struct, frozen=True):
    """How often an interval of 80 % was right: the shares of tasks whose time was below, within
    and above it. `width` is the median of the intervals, in seconds, and `time` that of the times.
    """

    below: float
    within: float
    above: float
    width: float
    time: float


class Estimates(Readable, Struct, frozen=True):
    """How good the estimates were. `tasks` had to wait; `untold` of them were told nothing, for
    nothing was known yet.
    """

    tasks: int
    untold: int
    starts: Right
    ends: Right


def estimates(told: Sequence[Told]) -> Estimates | None:
    """None if no task that waited was told anything."""
    known = [(one.call, one.estimate) for one in told if one.estimate is not None]
    if not known:
        return None
    return Estimates(
        tasks=len(told),
        untold=len(told) - len(known),
        starts=_right([(call.sent - call.asked.at, each.starts) for call, each in known]),
        ends=_right([(call.ended - call.asked.at, each.ends) for call, each in known]),
    )


def _right(told: Sequence[tuple[float, Interval]]) -> Right:
    """The times that came, each with the interval that was told."""
    below = sum(time < interval.p10 for time, interval in told) / len(told)
    above = sum(time > interval.p90 for time, interval in told) / len(told)
    return Right(
        below, 1.0 - below - above, above,
        width=median(interval.p90 - interval.p10 for _, interval in told),
        time=median(time for time, _ in told),
    )  # fmt: skip
