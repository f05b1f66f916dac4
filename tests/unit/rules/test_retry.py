"""The retry policy: its curve, its cap, its jitter, and what a backend may ask for."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oq.rules.retry import RetryPolicy

TEN_YEARS = 10 * 365 * 86400.0
POLICIES = st.builds(
    RetryPolicy,
    initial_delay=st.floats(0, TEN_YEARS),
    max_delay=st.floats(0, TEN_YEARS),
    backoff_factor=st.floats(1, 100),
    jitter=st.booleans(),
)
RETRIES = st.integers(1, 1000)
DRAWS = st.floats(0, 1, exclude_max=True)


def delays(policy: RetryPolicy, count: int) -> list[float]:
    return [policy.delay(retry, lambda: 0.5) for retry in range(1, count + 1)]


def test_without_jitter_the_delays_follow_the_curve_up_to_the_cap():
    policy = RetryPolicy(initial_delay=1, max_delay=30, backoff_factor=2, jitter=False)
    assert delays(policy, 7) == [1, 2, 4, 8, 16, 30, 30]


def test_a_factor_of_one_keeps_the_delay():
    policy = RetryPolicy(initial_delay=7, max_delay=30, backoff_factor=1, jitter=False)
    assert delays(policy, 3) == [7, 7, 7]


def test_jitter_draws_between_nothing_and_the_curve():
    policy = RetryPolicy(initial_delay=8, max_delay=30, backoff_factor=2, jitter=True)
    assert policy.delay(1, lambda: 0.0) == 0
    assert policy.delay(1, lambda: 0.25) == 2
    assert policy.delay(3, lambda: 0.5) == 15, "the cap comes before the draw"


def test_jitter_spreads_tasks_that_failed_together():
    policy = RetryPolicy(initial_delay=30, jitter=True)
    draw = random.Random(1).random
    drawn = [policy.delay(1, draw) for _ in range(1000)]
    assert len(set(drawn)) > 990
    assert 14 < sum(drawn) / len(drawn) < 16


@given(POLICIES, RETRIES, DRAWS)
def test_no_delay_is_negative_or_over_the_cap_however_many_retries(policy, retry, drawn):
    assert 0 <= policy.delay(retry, lambda: drawn) <= policy.max_delay


@given(POLICIES, RETRIES)
def test_a_later_retry_never_waits_less(policy, retry):
    assume(not policy.jitter)
    assert policy.delay(retry + 1, float) >= policy.delay(retry, float)


@given(POLICIES, RETRIES, DRAWS, st.floats(0, TEN_YEARS))
def test_never_sooner_than_the_backend_asked_for_up_to_the_longest_delay(
    policy, retry, drawn, asked
):
    delay = policy.delay(retry, lambda: drawn, asked)
    assert delay == max(min(asked, policy.max_delay), policy.delay(retry, lambda: drawn))


@pytest.mark.parametrize("asked", [31.0, 3600.0, 1e300, float("inf")])
def test_a_backend_cannot_put_a_task_off_for_longer_than_the_longest_delay(asked):
    assert RetryPolicy(max_delay=30).delay(1, lambda: 0.5, asked) == 30


@pytest.mark.parametrize("asked", [None, 0.0, -5.0, float("nan")])
def test_what_makes_no_sense_in_retry_after_changes_nothing(asked):
    assert RetryPolicy(jitter=False).delay(1, lambda: 0.5, asked) == 1


def test_retries_at_once_stay_at_once_however_steep_the_curve():
    """100 ** 999 is more than a float holds: it must not turn nothing into the longest delay."""
    policy = RetryPolicy(initial_delay=0.0, max_delay=30.0, backoff_factor=100.0, jitter=False)
    assert delays(policy, 1000) == [0] * 1000
