"""The tasks that wait for their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oq.rules.delayed import Delayed
from oq.rules.place import Place

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def place(seconds: float, priority: int = 5, *, retrying: bool = False) -> Place:
    return Place(priority, "m", NOW + timedelta(seconds=seconds), retrying)


def test_they_are_in_the_order_of_their_times() -> None:
    delayed = Delayed()
    delayed.load([("c", place(3)), ("a", place(2))])
    delayed.add("b", place(2))
    assert list(delayed.in_line()) == ["a", "b", "c"]
    assert list(delayed.in_line((NOW + timedelta(seconds=2), "a"))) == ["b", "c"]
    assert delayed.place_of("c") == place(3)


def test_they_are_counted_by_priority_and_by_retries() -> None:
    delayed = Delayed()
    delayed.load([("a", place(1, 9)), ("b", place(2, retrying=True))])
    assert (len(delayed), delayed.retrying, delayed.by_priority()) == (2, 1, {9: 1, 5: 1})
    assert delayed.discard("b") == place(2, retrying=True)
    assert delayed.discard("b") is None
    assert (len(delayed), delayed.retrying, delayed.by_priority()) == (1, 0, {9: 1})
    assert "a" in delayed
    assert "b" not in delayed


def test_a_task_without_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="task a waits for no time"):
        Delayed().add("a", Place(5, "m"))
