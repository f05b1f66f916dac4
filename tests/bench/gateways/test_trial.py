"""The gate finds little work more in each call, and in each chunk, that goes through oq."""

from __future__ import annotations

import os
import threading
import time

import pytest

from bench import gate
from bench.gateways.trial import gateway, on_one_processor
from bench.trial import least
from oq.actors.streams import Streams

ROUNDS = range(10, 80)
"""At least so many, and at most: where the machine has other work, it takes more of them until one
of each kind was not disturbed.
"""
CALL, CHUNK = 200e-6, 50e-6
NOTHING_ELSE = dict.fromkeys(gate.COSTS, 1.0) | {"hop_cpu": 1.0, "loop_cpu": 1.0}
NOTHING_ELSE |= {"hop_wall": 1.0, "loop_wall": 1.0}


class Slow:
    """Work that is done before a call of a function, while it is switched on."""

    def __init__(self) -> None:
        self.on = False

    def before(self, function, seconds, meant):
        def slow(*parts, **more):
            end = time.thread_time() + (seconds if self.on and meant(*parts) else 0)
            while time.thread_time() < end:
                pass
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
    found: dict[bool, dict[str, float]] = {False: {}, True: {}}
    dearer: list[str] = []
    async with gateway(str(tmp_path / "gate")) as through:
        for number in range(ROUNDS.stop):
            for slow.on in (False, True):
                found[slow.on] = least(found[slow.on], await through.round())
            baseline, costs = (gate.costs_of(NOTHING_ELSE | found[on]) for on in (False, True))
            dearer = gate.over(costs, baseline)
            if number >= ROUNDS.start and dearer == ["call_cpu", "chunk_cpu"]:
                break
    assert gate.over(baseline, baseline) == []
    assert dearer == ["call_cpu", "chunk_cpu"]


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
