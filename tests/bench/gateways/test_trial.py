"""The gate finds little work more in each call, and in each chunk, that goes through oq."""

from __future__ import annotations

import os
import threading

import pytest

from bench import gate
from bench.gateways.trial import gateway, on_one_processor
from bench.runner import reference
from bench.trial import least
from oq.actors.streams import Streams

ROUNDS = 20
WINDOWS = 6
"""At most so many times ROUNDS: a machine that was much faster than else for a moment, in a round
of one kind only, spoils one of them.
"""
CALL, CHUNK = 1_400, 350
"""Turns of work more in each: 200 and 50 us where a loop of Python makes seven million a second, as
on the machine that the budgets are of. The gate counts in such work, too.
"""
NOTHING_ELSE = dict.fromkeys(gate.COSTS, 1.0) | {"hop_cpu": 1.0, "loop_cpu": 1.0}
NOTHING_ELSE |= {"hop_wall": 1.0, "loop_wall": 1.0}
BOTH = ["call_cpu", "chunk_cpu"]


class Slow:
    """Work that is done before a call of a function, while it is switched on."""

    def __init__(self) -> None:
        self.on = False

    def before(self, function, turns, meant):
        def slow(*parts, **more):
            if self.on and meant(*parts):
                reference(turns)
            return function(*parts, **more)

        return slow


@pytest.fixture
def slow(monkeypatch):
    slow = Slow()
    # What begins is a call, or a task of a type of the queue; what is emitted is a chunk of
    # it, or its head.
    begin = slow.before(Streams.begin, CALL, lambda *parts: parts[-1] is not None)
    emit = slow.before(Streams.emit, CHUNK, lambda *parts: isinstance(parts[-1], bytes))
    monkeypatch.setattr(Streams, "begin", begin)
    monkeypatch.setattr(Streams, "emit", emit)
    return slow


async def test_little_work_more_in_each_call_and_each_chunk_is_caught(slow, tmp_path):
    """Rounds with it and without are taken in turns: what the machine does meets both."""
    dearer: list[list[str]] = []
    async with gateway(str(tmp_path / "gate")) as through:
        while len(dearer) < WINDOWS and BOTH not in dearer:
            found: dict[bool, dict[str, float]] = {False: {}, True: {}}
            for _ in range(ROUNDS):
                for slow.on in (False, True):
                    found[slow.on] = least(found[slow.on], await through.round())
            baseline, costs = (gate.costs_of(NOTHING_ELSE | found[on]) for on in (False, True))
            assert gate.over(baseline, baseline) == []
            dearer.append(gate.over(costs, baseline))
    assert BOTH in dearer, dearer


def test_all_threads_share_a_processor_for_a_while():
    before, stop = os.sched_getaffinity(0), threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        with on_one_processor():
            assert os.sched_getaffinity(0) == os.sched_getaffinity(other.native_id) == {min(before)}
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other.native_id) == before
    finally:
        stop.set()
        other.join()
