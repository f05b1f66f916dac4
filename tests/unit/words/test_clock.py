"""The clock: one place where the time comes from, and it has a zone."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from oq.words.clock import Clock


def test_the_time_is_the_wall_clocks_in_utc():
    before, now, after = time.time(), Clock().now(), time.time()
    assert now.tzinfo is UTC
    assert before - 1e-3 <= now.timestamp() <= after + 1e-3


def test_a_clock_can_be_handed_in_and_is_read_anew_each_time():
    seconds = iter([0.0, 1.5, -1.0])
    clock = Clock(lambda: next(seconds))
    assert [clock.now() for _ in range(3)] == [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
