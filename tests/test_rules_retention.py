"""Retention: how many ended tasks are to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oq.rules.retention import surplus

COUNTS = st.integers(0, 10**9)


@given(COUNTS, st.integers(1, 10**9))
def test_what_is_left_is_what_is_kept_and_no_more_goes_than_must(ended, keep):
    assert ended - surplus(ended, keep) == min(ended, keep)


@given(COUNTS)
def test_nought_keeps_them_all(ended):
    assert surplus(ended, 0) == 0
