"""How long an async client lives: with a block or without one, and what its end means."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio

from oq.client.retries import CLOSED
from oq.words.errors import OqError, Unavailable

T = TypeVar("T")

OTHER_LOOP = (
    "this client belongs to another event loop, or to one that has ended;"
    " make one client for each event loop"
)


class Closing:
    """Whether it is closed; what waits then is cut short."""

    def __init__(self) -> None:
        self._closed = False
        self._waiting: set[anyio.CancelScope] = set()

    def check(self) -> None:
        """Unavailable if it is closed."""
        if self._closed:
            raise Unavailable(CLOSED)

    async def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """What the function gives, which waits for the server; Unavailable once it is closed."""
        self.check()
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                return await function()
            finally:
                self._waiting.discard(scope)
        raise Unavailable(CLOSED)

    def close(self) -> None:
        """Close it: from now on nothing waits."""
        self._closed = True
        for scope in tuple(self._waiting):
            scope.cancel()


class Alone:
    """Holds `resource` open on a task of its own, under asyncio or trio: until `aclose`, or until
    the event loop ends.
    """

    def __init__(self, resource: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._resource = resource
        self._opened = anyio.Event()
        self._close = anyio.Event()
        self._ended = anyio.Event()
        self._failure: Exception | None = None
        self._loop = _loop()
        self._task = _start(self._hold)  # asyncio itself does not keep it alive

    async def opened(self) -> None:
        """Return when it is open; Unavailable when it has ended, and of what."""
        if self._loop is not _loop():
            raise Unavailable(OTHER_LOOP)
        if not self._ended.is_set():
            await self._opened.wait()
        if self._ended.is_set():
            failed = f"this client has ended: {self._failure!r}"
            raise Unavailable(failed if self._failure is not None else CLOSED)

    async def aclose(self) -> None:
        """Close it; raises what went wrong in there. In another loop there is nothing to close."""
        if self._loop is not _loop():
            return
        self._close.set()
        await self._ended.wait()
        failure, self._failure = self._failure, None
        if failure is not None and not isinstance(failure, OqError):
            raise failure

    async def _hold(self) -> None:
        try:
            async with self._resource():
                self._opened.set()
                await self._close.wait()
        except Exception as error:  # it is raised by `aclose`, or said by `opened`
            self._failure = error
        finally:
            self._ended.set()
            self._opened.set()


def _start(function: Callable[[], Coroutine[Any, Any, None]]) -> object:
    trio = _running_trio()
    if trio is not None:
        return trio.lowlevel.spawn_system_task(function)
    return asyncio.get_running_loop().create_task(function())


def _loop() -> object:
    """What tells one run of an event loop from another."""
    trio = _running_trio()
    return asyncio.get_running_loop() if trio is None else trio.lowlevel.current_root_task()


def _running_trio() -> Any:
    """trio, if it runs. It is slow to import, and who runs under it has imported it."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_run() else None
