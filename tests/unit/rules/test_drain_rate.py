"""When it is worth asking again: soon when the queue drains fast, and always within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.drain_rate import HALF_LIFE, LATEST, SOONEST, DrainRate

GAPS = st.floats(0, 1e6)


def steady(per_second: int, seconds: int = 600) -> DrainRate:
    """A queue in which so many tasks have ended each second."""
    rate = DrainRate()
    for second in range(seconds + 1):
        rate.observe(per_second, float(second))
    return rate


def test_nothing_has_ended_yet_so_nothing_is_known():
    assert DrainRate().per_second(0.0) == 0
    assert DrainRate().retry_after(1, 0.0) == LATEST


@pytest.mark.parametrize("per_second", [1, 10, 1000])
def test_a_steady_rate_is_found(per_second):
    assert steady(per_second).per_second(600.0) == pytest.approx(per_second, rel=0.05)


def test_an_observation_counts_half_after_its_half_life():
    rate = steady(10)
    assert rate.per_second(600.0 + HALF_LIFE) == pytest.approx(rate.per_second(600.0) / 2)


def test_one_waits_for_as_many_as_are_too_much():
    rate = steady(10)
    assert rate.retry_after(100, 600.0) == pytest.approx(10, rel=0.05)
    assert rate.retry_after(200, 600.0) == pytest.approx(20, rel=0.05)


@given(
    st.lists(st.tuples(st.integers(0, 10**9), GAPS), max_size=20),
    st.integers(1, 10**12),
    GAPS,
)
def test_whatever_has_happened_the_answer_is_within_bounds(observed, excess, gap):
    rate, now = DrainRate(), 0.0
    for ended, pause in observed:
        now += pause
        rate.observe(ended, now)
    assert SOONEST <= rate.retry_after(excess, now + gap) <= LATEST
