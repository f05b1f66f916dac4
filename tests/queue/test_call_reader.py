"""The reader of a call's answer: what it passes on at once, and what it has its caller wait for."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.simulated import SimulatedBackend
from oq.dialects import ENDPOINTS
from oq.queue import Ended, NewCall
from oq.rules.stream_log import PORTION
from oq.words.head import Head
from oq.words.outcome import Completed
from oq.words.task import Status
from tests.support.queues import memory_queue

CALL = NewCall(call=ENDPOINTS["/api/chat"], body=b"{}", model="m", priority=5, detached=True)
LONG = b"x" * PORTION


class Speaker(SimulatedBackend):
    """Its answers are what a test has it emit."""

    def __init__(self) -> None:
        super().__init__()
        self.speaks = trio.Event()
        self.silent = trio.Event()

    async def run(self, request, emit) -> Completed:
        self.emit = emit
        emit(Head())
        emit(b"first ")
        self.speaks.set()
        await self.silent.wait()
        return Completed(b"{}")


@pytest.mark.parametrize("keeps_up", [True, False])
async def test_who_keeps_up_gets_a_chunk_in_the_moment_in_which_it_comes(keeps_up: bool):
    backend, passed, received = Speaker(), [], []

    def pass_on(data: bytes) -> bool:
        passed.append(data)
        return keeps_up

    async def follow() -> None:
        with queue.calls.read_call(task_id) as reader:
            while not isinstance(got := await reader.receive(pass_on), Ended):
                received.append(got)
            assert got.state.status is Status.COMPLETED

    with trio.fail_after(10):
        async with memory_queue(backend=backend) as queue, trio.open_nursery() as nursery:
            task_id = (await queue.calls.accept(CALL, None)).task_id
            nursery.start_soon(follow)
            await backend.speaks.wait()
            await wait_all_tasks_blocked()
            assert (passed, received) == ([], [b"first "])
            backend.emit(b"second ", b"third ")
            assert passed == [b"second third "], "no task had to be woken for it"
            backend.emit(b"fourth ")
            assert len(passed) == (2 if keeps_up else 1)
            await wait_all_tasks_blocked()
            assert received == ([b"first "] if keeps_up else [b"first ", b"fourth "])
            backend.emit(LONG, b"last")  # more than a portion is waited for, piece by piece
            backend.silent.set()
    assert received[-2:] == [LONG, b"last"]
    assert sum(map(len, passed + received)) == len(b"first second third fourth last" + LONG)


async def test_who_does_not_keep_up_is_waited_for_with_nothing_else_due():
    backend, received = Speaker(), []

    async def follow() -> None:
        with queue.calls.read_call(task_id) as reader:
            while not isinstance(got := await reader.receive(lambda _: False), Ended):
                received.append(got)

    with trio.fail_after(10):
        async with memory_queue(backend=backend) as queue, trio.open_nursery() as nursery:
            task_id = (await queue.calls.accept(CALL, None)).task_id
            nursery.start_soon(follow)
            await backend.speaks.wait()
            await wait_all_tasks_blocked()
            for _ in range(3):
                backend.emit(b"passed on, but not to its end")
                await wait_all_tasks_blocked()
            backend.silent.set()
    assert received == [b"first ", b"", b"", b""]
