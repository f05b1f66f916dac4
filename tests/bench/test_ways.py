"""The ways of an oq, counted."""

from __future__ import annotations

import pytest

from bench.ways.__main__ import HERE, WAYS, numbers, recorded


def test_numbers():
    pairs = {("", "a"), ("a", "b"), ("a", "a"), ("b", "c"), ("a", "c")}
    assert numbers(pairs) == (3, 2, 3), "modules, those that pass on, crossings"
    assert numbers(pairs, beside={"a"}) == (2, 1, 3)
    assert numbers(pairs, beside={"a", "b"}) == (1, 0, 2)


@pytest.mark.slow
def test_a_way_has_the_modules_that_it_passes_and_no_others():
    with recorded(HERE) as oq:
        found = {name: {called for _, called in way(oq)} for name, way in WAYS.items()}
    task, call, token, cancel, event = found.values()
    assert {"actors/subscription", "http/events"} <= event - cancel
    assert "actors/hub" in event
    assert "actors/pool" not in event
    assert {"backends/transport", "actors/streams", "http/gateway/response"} <= token & call
    # A call whose answer is there at once does not wait for it; and how long a task took is counted
    # when it has ended, which may be after its answer has been read.
    assert token - call <= {"backends/http1/arrivals", "http/histogram"}
    assert {"actors/writer", "actors/pool", "store/sync_thread"} <= task & call
    assert "http/gateway/calls" not in task
