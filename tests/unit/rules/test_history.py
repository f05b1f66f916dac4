"""What happened lately: counted by interval, forgotten in time, and bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oq.rules.history import WINDOWS, History, Point
from oq.rules.tallies import LONGEST, MAX_MODELS, OTHERS, SHORTEST, Durations, step_of
from oq.rules.terms import MAX_MODEL_LENGTH
from oq.words.stats import COUNTED
from oq.words.steps import MAX_KEPT
from tests.support.builders import NOW, at


def last(history: History, window: str = "15m", now: datetime = NOW) -> Point:
    return history.points(window, now)[-1]


def test_nothing_has_happened_yet():
    points = History().points("15m", NOW)
    assert len(points) == 90
    assert points[-1] == Point(t=NOW, ran=False)
    assert points[0].t == NOW - timedelta(seconds=890)
    assert {b.t - a.t for a, b in pairwise(points)} == {timedelta(seconds=10)}
    assert len(History().points("24h", NOW)) == 288


def test_what_happens_is_counted_in_its_interval():
    history = History()
    history.count(at(1), "m", "submitted")
    history.count(at(9.9), "m", "submitted")
    history.count(at(10), "m", "submitted")
    history.count(at(10), "m", "tokens", 7)
    *_, before, now = history.points("15m", at(12))
    assert (before.t, before.submitted, before.tokens) == (NOW, 2, 0)
    assert (now.t, now.submitted, now.tokens) == (at(10), 1, 7)
    assert last(history, "24h", at(12)).submitted == 3


def test_what_is_older_than_the_window_is_forgotten():
    history = History()
    history.count(NOW, "m", "completed")
    inside = at(15 * 60 - 10)
    assert sum(p.completed for p in history.points("15m", inside)) == 1
    assert sum(p.completed for p in history.points("15m", at(15 * 60))) == 0
    assert sum(p.completed for p in history.points("24h", at(15 * 60))) == 1


@pytest.mark.parametrize("window", WINDOWS)
def test_it_keeps_no_more_than_the_window_shows(window):
    history = History()
    ring = history._rings[window]
    for second in range(0, 3 * ring.window.interval * ring.window.buckets, ring.window.interval):
        history.count(at(second), "m", "submitted")
    assert len(ring._buckets) == ring.window.buckets


def test_a_clock_that_is_set_back_does_no_harm():
    history = History()
    history.count(at(3600), "m", "submitted")
    history.count(at(0), "m", "submitted")
    assert last(history, now=at(0)).submitted == 1
    assert last(history, now=at(3600)).submitted == 0


def test_percentiles_are_of_what_was_measured():
    history = History()
    for number in range(1, 101):
        history.add(NOW, "m", {}, [number / 10], [2.0])
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


def test_each_model_has_figures_of_its_own():
    history = History()
    history.add(NOW, "a", {"completed": 2, "tokens": 30}, [1.0], [2.0])
    history.add(NOW, "b", {"failed": 1}, [], [4.0])
    assert last(history).completed == 2
    assert last(history).run_p95 == pytest.approx(4, rel=0.05)
    (*_, of_a) = history.points("15m", NOW, "a")
    assert (of_a.completed, of_a.failed, of_a.tokens) == (2, 0, 30)
    assert of_a.run_p95 == pytest.approx(2, rel=0.05)
    assert history.points("15m", NOW, "unknown")[-1].completed == 0
    found = history.intervals("24h", NOW)[-1].models
    assert {name: tally.counts["failed"] for name, tally in found.items()} == {"a": 0, "b": 1}


def test_made_up_names_take_no_room_and_no_place():
    history = History()
    for number in range(10 * MAX_MODELS):
        history.add(NOW, f"made up {number}", {"submitted": 1})
        history.add(NOW, "real", {"submitted": 1, "completed": 1})
    found = history.intervals("15m", NOW)[-1].models
    assert len(found) <= MAX_MODELS + 1
    assert found["real"].counts["completed"] == 10 * MAX_MODELS
    assert sum(tally.counts["submitted"] for tally in found.values()) == 20 * MAX_MODELS
    assert found[OTHERS].counts["submitted"] > 8 * MAX_MODELS


# -- what is kept


def kept(history: History, seconds: float) -> dict[str, bytes]:
    return {step.name: step.record for step in history.steps(at(seconds))}


def reopened(records: dict[str, bytes], seconds: float) -> History:
    history = History()
    history.restore(records, at(seconds))
    return history


def test_it_is_the_same_after_a_restart():
    history = History()
    history.begin(at(0))
    for second in range(0, 3000, 7):
        history.add(at(second), "a", {"submitted": 1, "tokens": second}, [second / 9], [1.0])
        history.add(at(second), "b", {"failed": 1}, [], [0.1])
    again = reopened(kept(history, 3000), 3000)
    for window in WINDOWS:
        for model in (None, "a", "b"):
            assert again.points(window, at(3000), model) == history.points(window, at(3000), model)


def test_only_what_has_changed_is_written_again():
    history = History()
    history.begin(at(0))
    history.count(at(1), "m", "submitted")
    assert kept(history, 2).keys() == {"ran", "15m 0", "24h 144"}
    assert kept(history, 3).keys() == {"ran"}
    history.count(at(1), "m", "submitted")
    history.count(at(11), "m", "submitted")
    steps = history.steps(at(12))
    assert {step.name for step in steps} == {"ran", "15m 0", "15m 1", "24h 144"}
    history.note_unkept(steps)
    assert history.steps(at(13)) == [replace(steps[0], record=ANY), *steps[1:]]


def test_a_slot_has_a_record_however_long_it_goes_on():
    history, records = History(), {}
    history.begin(at(0))
    for hour in range(72):
        for second in range(0, 3600, 30):
            history.count(at(3600 * hour + second), "m", "submitted")
        records |= kept(history, 3600 * (hour + 1))
    assert len(records) <= 1 + sum(window.buckets for window in WINDOWS.values())
    points = reopened(records, 72 * 3600).points("24h", at(72 * 3600))
    assert {point.submitted for point in points[:-1]} == {10}


def test_the_largest_record_has_room():
    history = History()
    history.begin(NOW)
    spread = [SHORTEST * 1.08**power for power in range(320)]
    for number in range(MAX_MODELS + 5):
        counts = dict.fromkeys(COUNTED, 10**12)
        history.add(NOW, "\U0001f999" * MAX_MODEL_LENGTH + str(number), counts, spread, spread)
    assert max(len(step.record) for step in history.steps(NOW)) < MAX_KEPT


def test_when_it_did_not_run_is_a_gap():
    history = History()
    history.begin(at(0))
    history.count(at(1), "m", "submitted")
    records = kept(history, 25)
    again = reopened(records, 60)
    again.begin(at(60))
    shown = {point.t: point.ran for point in again.points("15m", at(75))}
    told = [shown[at(second)] for second in range(-10, 80, 10)]
    assert told == [False, True, True, True, False, False, False, True, True]


@pytest.mark.parametrize(
    "record", [b"", b"\0", b"\xff", b"[1", b"[1,{}]", b'[1,{"m":[1]}]', b'"\xff"', b"[[1]]"]
)
def test_what_cannot_be_read_is_left_out(record):
    again = reopened({"15m 1": record, "ran": record, "7d 1": record, "odd": record}, 0)
    assert {point.ran for point in again.points("15m", NOW)} == {False}
    again.begin(NOW)
    again.count(NOW, "m", "submitted")
    assert last(again) == Point(t=NOW, submitted=1)
