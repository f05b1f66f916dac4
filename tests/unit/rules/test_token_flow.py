"""Tokens count in the interval in which they came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.history import History
from oq.rules.token_flow import TokenFlow
from oq.words.outcome import Completed, Failed, Timings
from oq.words.task import TaskState, Usage
from tests.support.builders import at, finish, new, start


def tokens(history: History, until: float, what: str = "tokens") -> list[int]:
    """Of each interval of ten seconds from the tests' noon on."""
    return [getattr(point, what) for point in history.points("15m", at(until)) if point.t >= at(0)]


def ended(
    first: float,
    end: float,
    usage: Usage | None,
    *,
    waited: float | None = None,
    load: float | None = None,
) -> TaskState:
    """A task that began at noon, had its first token and its end so many seconds later."""
    running = start(new().state, at(0)).state
    done = Completed(b"{}", usage, Timings(waited, load))
    return finish(running, done, at(end), at(first)).state


def test_a_stream_of_a_minute_counts_as_it_comes():
    history = History()
    flow = TokenFlow(history)
    for second in range(60):
        flow.came("x", "m", 10 * (second + 1), at(second))
    assert tokens(history, 59) == [100] * 6
    assert sum(point.tokens for point in history.points("24h", at(59))) == 600


def test_at_its_end_it_is_set_right_where_it_came():
    history = History()
    flow = TokenFlow(history)
    state = ended(1, 40, Usage(7, 900))
    for second, pieces in ((1, 100), (11, 200), (39, 300)):
        flow.came(state.id, "m", pieces, at(second))
    assert flow.ended(state, "m", 40.0, at(40)) is None
    assert tokens(history, 40) == [300, 300, 0, 300, 0]
    assert tokens(history, 40, "prompt_tokens") == [7, 0, 0, 0, 0]


def test_what_came_in_one_piece_was_made_in_all_of_its_time():
    history = History()
    state = ended(60, 60, Usage(600, 60), waited=10, load=20)
    assert TokenFlow(history).ended(state, "m", 50.0, at(60)) is None
    assert tokens(history, 60) == [0, 0, 0, 20, 20, 20, 0]
    assert tokens(history, 60, "prompt_tokens") == [0, 0, 0, 200, 200, 200, 0]


def test_a_whole_answer_counts_once_though_it_was_a_piece():
    history = History()
    flow = TokenFlow(history)
    state = ended(20, 20.1, Usage(0, 200))
    flow.came(state.id, "m", 1, at(20))
    flow.ended(state, "m", 20.1, at(20.1))
    assert sum(tokens(history, 20.1)) == 200
    assert tokens(history, 20.1)[0] == pytest.approx(100, abs=2)


def test_short_attempts_are_left_to_their_end():
    history, usage = History(), Usage(1, 2)
    assert TokenFlow(history).ended(ended(0.1, 0.5, usage), "m", 0.5, at(0.5)) == usage
    assert tokens(history, 1) == [0]


def test_what_a_failed_attempt_has_generated_was_generated():
    history = History()
    flow = TokenFlow(history)
    running = start(new().state, at(0)).state
    flow.came(running.id, "m", 30, at(5))
    failed = finish(running, Failed("cut", retryable=False), at(6)).state
    assert flow.ended(failed, "m", 6.0, at(6)) is None
    assert tokens(history, 6) == [30]
    flow.came(running.id, "m", 4, at(8))
    assert tokens(history, 8) == [34], "another attempt begins anew"


@given(
    st.lists(st.tuples(st.floats(0, 2000), st.integers(1, 500)), max_size=20),
    st.integers(0, 5000),
    st.floats(1, 3000),
)
def test_the_sum_is_what_the_backend_says(came, used, took):
    history = History()
    flow = TokenFlow(history)
    came = sorted(each for each in came if each[0] <= took)
    state = ended(came[0][0] if came else took, took, Usage(3, used))
    pieces = 0
    for second, more in came:
        pieces += more
        flow.came(state.id, "m", pieces, at(second))
    flow.ended(state, "m", took, at(took))
    assert sum(point.tokens for point in history.points("24h", at(took))) == used
