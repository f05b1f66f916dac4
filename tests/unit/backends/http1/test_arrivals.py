"""One task reads many connections: each gets what is its own, whoever of them ends, fails or is
cancelled.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.http1.arrivals import MOST, Arrivals

ENDS = b"."
"""A reader that has got this has all."""


class Reader:
    """One of those that wait: what it got, how it ended, and the other side of its connection."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.got: list[bytes] = []
        self.error: Exception | None = None
        self.scope = trio.CancelScope()
        self.ended = False
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self._arrivals = arrivals

    async def run(self) -> None:
        with self.near, self.scope:
            try:
                await self._arrivals.read(self.near.fileno(), self._came)
            except (OSError, ValueError) as error:
                self.error = error
        self.ended = True

    def _came(self, data: bytes) -> bool:
        if data == b"!":
            raise ValueError("it cannot be read")
        self.got.append(data)
        return not data or data.endswith(ENDS)

    async def say(self, data: bytes) -> None:
        self.far.send(data)
        await wait_all_tasks_blocked()


@asynccontextmanager
async def reading(count: int) -> AsyncIterator[list[Reader]]:
    arrivals = Arrivals()
    readers = [Reader(arrivals) for _ in range(count)]
    async with trio.open_nursery() as nursery:
        for reader in readers:
            nursery.start_soon(reader.run)
            await wait_all_tasks_blocked()
        yield readers
        nursery.cancel_scope.cancel()
    for reader in readers:
        reader.far.close()
    assert arrivals.open == 0


class Steps(trio.abc.Instrument):
    """Counts how often a task runs."""

    def __init__(self) -> None:
        self.tasks: list[trio.lowlevel.Task] = []

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.tasks.append(task)


async def test_what_comes_for_many_wakes_one_task():
    async with reading(20) as readers:
        steps = Steps()
        for reader in readers:
            reader.far.send(b"it comes")
        trio.lowlevel.add_instrument(steps)
        await wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(steps)
        assert [reader.got for reader in readers] == [[b"it comes"]] * 20
        of_readers = [task for task in steps.tasks if task.name.endswith("Reader.run")]
        assert len(of_readers) == 1


async def _ends(reader: Reader) -> None:
    await reader.say(b"all" + ENDS)
    assert reader.got[-1] == b"all" + ENDS


async def _hangs_up(reader: Reader) -> None:
    reader.far.close()
    await wait_all_tasks_blocked()
    assert reader.got[-1] == b""


async def _cannot_be_read(reader: Reader) -> None:
    await reader.say(b"!")
    assert isinstance(reader.error, ValueError)


async def _is_cancelled(reader: Reader) -> None:
    reader.scope.cancel()
    await wait_all_tasks_blocked()
    assert reader.scope.cancelled_caught


HOW = [_ends, _hangs_up, _cannot_be_read, _is_cancelled]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
async def test_whoever_goes_the_others_stay(how, order):
    async with reading(3) as readers:
        left = list(readers)
        for number in order:
            for reader in left:
                await reader.say(b"more")
                assert reader.got[-1] == b"more"
            await how(readers[number])
            assert readers[number].ended
            left.remove(readers[number])
            assert not any(reader.ended for reader in left)


@pytest.mark.parametrize("how", HOW)
async def test_all_may_go_at_once(how):
    async with reading(MOST + 5) as readers:
        for reader in readers:
            if how is _is_cancelled:
                reader.scope.cancel()
            else:
                reader.far.send(b"!" if how is _cannot_be_read else ENDS)
        await wait_all_tasks_blocked()
        assert all(reader.ended for reader in readers)


async def test_who_is_to_take_the_place_of_one_that_goes_may_go_in_that_moment():
    async with reading(3) as readers:
        readers[0].far.send(ENDS)
        readers[1].scope.cancel()
        await wait_all_tasks_blocked()
        await readers[2].say(b"still here")
        assert readers[2].got == [b"still here"]


async def test_a_lost_connection_is_an_error_of_its_reader():
    arrivals, errors = Arrivals(), []

    async def read(number: int) -> None:
        try:
            await arrivals.read(number, lambda data: False)
        except ConnectionResetError as error:
            errors.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    with near:
        near.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, near.fileno())
            await wait_all_tasks_blocked()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + bytes(7))
            far.close()
    assert len(errors) == 1
