"""What happened lately: counted by interval, forgotten in time, and bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.history import LONGEST, SHORTEST, WINDOWS, Durations, History, Point, step_of
from tests.support.builders import NOW, at


def last(history: History, window: str = "15m", now: datetime = NOW) -> Point:
    return history.points(window, now)[-1]


def test_nothing_has_happened_yet():
    points = History().points("15m", NOW)
    assert len(points) == 90
    assert points[-1] == Point(t=NOW)
    assert points[0].t == NOW - timedelta(seconds=890)
    assert {b.t - a.t for a, b in pairwise(points)} == {timedelta(seconds=10)}
    assert len(History().points("24h", NOW)) == 288


def test_what_happens_is_counted_in_its_interval():
    history = History()
    history.count(at(1), "submitted")
    history.count(at(9.9), "submitted")
    history.count(at(10), "submitted")
    history.count(at(10), "tokens", 7)
    *_, before, now = history.points("15m", at(12))
    assert (before.t, before.submitted, before.tokens) == (NOW, 2, 0)
    assert (now.t, now.submitted, now.tokens) == (at(10), 1, 7)
    assert last(history, "24h", at(12)).submitted == 3


def test_what_is_older_than_the_window_is_forgotten():
    history = History()
    history.count(NOW, "completed")
    inside = at(15 * 60 - 10)
    assert sum(p.completed for p in history.points("15m", inside)) == 1
    assert sum(p.completed for p in history.points("15m", at(15 * 60))) == 0
    assert sum(p.completed for p in history.points("24h", at(15 * 60))) == 1


@pytest.mark.parametrize("window", WINDOWS)
def test_it_keeps_no_more_than_the_window_shows(window):
    history = History()
    ring = history._rings[window]
    for second in range(0, 3 * ring.window.interval * ring.window.buckets, ring.window.interval):
        history.count(at(second), "submitted")
    assert len(ring._buckets) == ring.window.buckets


def test_a_clock_that_is_set_back_does_no_harm():
    history = History()
    history.count(at(3600), "submitted")
    history.count(at(0), "submitted")
    assert last(history, now=at(0)).submitted == 1
    assert last(history, now=at(3600)).submitted == 0


def test_percentiles_are_of_what_was_measured():
    history = History()
    for number in range(1, 101):
        history.waited(NOW, [number / 10])
        history.ran(NOW, [2.0])
    point = last(history)
    assert point.wait_p50 == pytest.approx(5, rel=0.05)
    assert point.wait_p95 == pytest.approx(9.5, rel=0.05)
    assert point.run_p50 == pytest.approx(2, rel=0.05)
    assert point.run_p95 == pytest.approx(2, rel=0.05)


@given(st.lists(st.floats(0.001, 86400), min_size=1), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_close_to_one_that_was_measured(seconds, share):
    durations = Durations()
    for one in seconds:
        durations.add([step_of(one)])
    rank = max(0, -(-len(seconds) * share // 1) - 1)
    exact = sorted(seconds)[int(rank)]
    assert durations.quantile(share) == pytest.approx(exact, rel=0.05)


@given(st.lists(st.floats(-1, 1e12)))
def test_any_number_of_durations_takes_little_room(seconds):
    durations = Durations()
    durations.add([step_of(one) for one in seconds])
    assert len(durations._counts) <= 9 * 35
    if seconds:
        assert SHORTEST * 0.9 <= durations.quantile(0.5) <= LONGEST * 1.1


def test_times_have_a_zone():
    assert last(History()).t.tzinfo is UTC
