"""Times that are estimated, in words."""

from __future__ import annotations

from datetime import UTC, datetime

from oq.cli.terminal import local
from oq.words.durations import format_age
from oq.words.task import TimeRange


def expected(time: TimeRange, now: datetime | None = None) -> str:
    """In how long, and between which two times four of five are: ``"in about 3m (1m to 8m)"``."""
    low, middle, high = (_until(each, now) for each in (time.p10, time.p50, time.p90))
    if middle == "now":
        return "any moment" if high == "now" else f"any moment, within {high}"
    return f"in about {middle}" + (f" ({low} to {high})" if low != high else "")


def expected_at(time: datetime, now: datetime | None = None) -> str:
    """In how long, and when: ``"in about 3m, at 16:40"``."""
    rough = _until(time, now)
    return "any moment" if rough == "now" else f"in about {rough}, at {_clock(time, now)}"


def _until(time: datetime, now: datetime | None) -> str:
    """Two digits are as much as can be known."""
    seconds = (time - (now or datetime.now(UTC))).total_seconds()
    if seconds < 1:
        return "now"
    step = next((step for most, step in _STEPS if seconds < most), 3600)
    return format_age(max(step, round(seconds / step) * step))


_STEPS = ((20, 1), (120, 5), (600, 30), (7200, 60), (86400, 600))
"""Up to so many seconds times are told in steps of so many."""


def _clock(time: datetime, now: datetime | None) -> str:
    """The time of day where the user is, with its day if that is not today."""
    there, here = local(time), local(now or datetime.now(UTC))
    return f"{there:%H:%M}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M}"
