"""Reads many connections with one task.

Where a hundred answers stream, to wake the task of each for every chunk costs more than all that is
done with the chunk. So of the tasks that wait for what comes, one waits for all of them, with an
epoll of its own. It reads what has come, and hands it over where it belongs, which wakes nobody.
When it has what it waited for itself, another one takes its place.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable

import trio

HAS_EPOLL = hasattr(select, "epoll")
"""Whether this can be done here: it cannot without Linux."""
RECEIVED_AT_ONCE = 64 * 1024
"""Bytes. They are read as one piece."""
MOST = 64
"""Connections that are read before other tasks have their turn."""

Came = Callable[[bytes], bool]
"""Takes what has come on a connection; nothing means that the other side has ended. True: it has
all that it waited for. It never waits."""


class Arrivals:
    """The connections of one client that are waited for."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}  # by their sockets' numbers
        self._epoll: select.epoll | None = None  # there while anybody waits
        self._is_read = False  # whether a task waits for all

    @property
    def open(self) -> int:
        """How many files it has open: one while anybody waits."""
        return 0 if self._epoll is None else 1

    async def read(self, number: int, came: Came) -> None:
        """Give `came` what comes on the socket with this number, until it has all that it waits
        for. OSError, and whatever `came` raises.
        """
        one = _Waiting(number, came)
        epoll = self._enter(one)
        try:
            while not one.ended:
                if self._is_read:
                    await one.wait()
                else:
                    await self._read_all(epoll, one)
        finally:
            self._leave(one)
        if one.error is not None:
            raise one.error

    def _enter(self, one: _Waiting) -> select.epoll:
        epoll = self._epoll = self._epoll or select.epoll()
        epoll.register(one.number, select.EPOLLIN)
        self._waiting[one.number] = one
        return epoll

    def _leave(self, one: _Waiting) -> None:
        assert self._epoll is not None, "it is there while anybody waits"
        del self._waiting[one.number]
        self._epoll.unregister(one.number)
        if not self._waiting:
            self._epoll.close()
            self._epoll = None
        elif not self._is_read:
            next(iter(self._waiting.values())).wake()

    async def _read_all(self, epoll: select.epoll, one: _Waiting) -> None:
        """Read for all, until `one` has what it waits for."""
        self._is_read = True
        try:
            while not one.ended:
                await trio.lowlevel.wait_readable(epoll.fileno())
                for number, _ in epoll.poll(0, MOST):
                    self._waiting[number].read()
        finally:
            self._is_read = False


class _Waiting:
    """A connection that is waited for, and the task that waits."""

    def __init__(self, number: int, came: Came) -> None:
        self.number = number
        self.ended = False
        """Whether all has come, or an error."""
        self.error: Exception | None = None
        self._came = came
        self._woken: trio.Event | None = None

    async def wait(self) -> None:
        """Wait until `wake`."""
        self._woken = trio.Event()
        await self._woken.wait()

    def wake(self) -> None:
        """Something is to do for the task that waits: read for all, or go on."""
        if self._woken is not None:
            self._woken.set()

    def read(self) -> None:
        """Something has come."""
        if self.ended:
            return  # its task has been woken, and goes on
        try:
            self.ended = self._came(os.read(self.number, RECEIVED_AT_ONCE))
        except BlockingIOError:
            return  # it was nothing after all
        except Exception as error:  # the other task's: it is raised there
            self.error, self.ended = error, True
        if self.ended:
            self.wake()
