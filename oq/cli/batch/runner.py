"""A batch under way: so many lines in flight at a time, each until it has ended.

Nothing is remembered between two runs but what is in OUT and, on the server, the keys: a line that
is submitted again is the task that it was before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from oq.cli.batch.lines import BadLine, Line
from oq.cli.batch.results import Result, bad, completed, refused
from oq.client.aio import AsyncClient
from oq.client.failures import ServerFault
from oq.words.errors import (
    Conflict,
    InvalidTask,
    NotFound,
    OqError,
    PayloadTooLarge,
    QueueFull,
    Removed,
    StoreCorrupt,
    TaskCancelled,
    TaskFailed,
    Unavailable,
)

T = TypeVar("T")

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_REFUSALS: dict[type[OqError], str] = {
    InvalidTask: "invalid_request",
    PayloadTooLarge: "too_large",
    Conflict: "conflict",
    NotFound: "deleted",
    Removed: "removed",
    TaskFailed: "failed",
    TaskCancelled: "cancelled",
    StoreCorrupt: "damaged",
    ServerFault: "server_error",
}
"""Errors that are one line's own, and what its result calls them."""


class Log(Protocol):
    """Who is told how it goes: a bar on a terminal, lines elsewhere."""

    def ended(self, completed: bool) -> None:
        """One more line has its result."""
        ...

    def waiting(self, why: str) -> None:
        """The server is away, or takes nothing more at the moment."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many lines are in flight, and how many seconds the server may be away."""

    window: int
    patience: float


class Runner:
    """One run. `write` takes each result once, when its line has ended."""

    def __init__(
        self,
        client: AsyncClient,
        write: Callable[[Result], None],
        log: Log,
        bounds: Bounds,
        *,
        retry_failed: bool,
    ) -> None:
        self._client = client
        self._write = write
        self._log = log
        self._slots = trio.Semaphore(bounds.window)
        self._patience = bounds.patience
        self._retry_failed = retry_failed
        self.failed = 0
        """Lines whose result is an error."""

    async def run(self, lines: Iterable[Line | BadLine | None]) -> None:
        """Return when each line has its result; Unavailable when the server stays away.

        None among the lines is one that has its result already.
        """
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            for line in lines:
                if line is None:  # many of them may come, and somebody may press Ctrl-C
                    await trio.lowlevel.checkpoint()
                    continue
                if isinstance(line, BadLine):
                    self._result(bad(line))
                    continue
                # Lines are read no faster than they end: the file may be larger than the memory.
                await self._slots.acquire()
                nursery.start_soon(self._line, line)

    async def _line(self, line: Line) -> None:
        task_id = None
        try:
            task_id = await self._patiently(lambda: self._submitted(line))
            result = completed(line, task_id, await self._answer(task_id))
        except tuple(_REFUSALS) as error:
            result = refused(line, _REFUSALS[type(error)], str(error), task_id)
        self._result(result)
        self._slots.release()

    async def _answer(self, task_id: str) -> Result:
        try:
            return await self._patiently(lambda: self._client.result(task_id))
        except (TaskFailed, TaskCancelled):
            if not self._retry_failed:
                raise
        # It failed in an earlier run or in this one: either way, once more was asked for.
        with suppress(Conflict):  # sent twice, over a connection that was lost: it is under way
            await self._patiently(lambda: self._client.retry(task_id))
        return await self._patiently(lambda: self._client.result(task_id))

    async def _submitted(self, line: Line) -> str:
        """Submit it, however long it takes until the queue has room."""
        while True:
            try:
                return await self._client.submit(line.task, idempotency_key=line.key)
            except QueueFull as full:
                self._log.waiting(str(full))
                await trio.sleep(max(full.retry_after, _SHORTEST_PAUSE))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do it, once the server is there; Unavailable when it is away for too long."""
        deadline, pause = trio.current_time() + self._patience, _SHORTEST_PAUSE
        while True:
            try:
                return await call()
            except Unavailable as error:
                if trio.current_time() + pause > deadline:
                    raise
                self._log.waiting(str(error))
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _result(self, result: Result) -> None:
        good = result["error"] is None
        self.failed += not good
        self._write(result)
        self._log.ended(good)
