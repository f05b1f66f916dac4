"""A server by ollama-queue's API alone: POST /api/tasks, a task a request, and GET /api/status.

No batches, no client library: so other implementations of the API are measured as oq is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Self

import msgspec
import trio

from bench.payload import body
from bench.peers.scripts.sizing import CONCURRENT, until_next_look
from bench.scenario import NotMeasured
from bench.wire import Answer, address, request

PATIENCE = 30.0
"""Seconds in which at least one task has to end."""


class _Status(msgspec.Struct):
    pending_tasks: int
    running_tasks: int
    failed_tasks: int
    cancelled_tasks: int

    @property
    def at_work(self) -> int:
        """Tasks that have not ended."""
        return self.pending_tasks + self.running_tasks

    @property
    def gone_wrong(self) -> int:
        return self.failed_tasks + self.cancelled_tasks


class PlainServer:
    """The server at `url`, which is to have nothing else to do meanwhile."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._post = request(url, "POST", "/api/tasks", body())
        self._ask = request(url, "GET", "/api/status")

    async def one_by_one(self, count: int) -> float:
        """Tasks a second, to their end, over one connection."""
        return await self._rate(count, connections=1)

    async def at_once(self, count: int) -> float:
        """Tasks a second, to their end, over many connections."""
        return await self._rate(count, connections=CONCURRENT)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Callable[[], Awaitable[object]]]:
        """A connection, as the call that POSTs a task over it."""
        async with _Connection(self._url) as connection:
            yield lambda: connection.ask(self._post)

    async def _rate(self, count: int, connections: int) -> float:
        left: Iterator[int] = iter(range(count))

        async def produce() -> None:
            async with self.connection() as post:
                for _ in left:
                    await post()

        async with _Connection(self._url) as watcher:
            before = await self._status(watcher)
            begun = time.perf_counter()
            async with trio.open_nursery() as producers:
                for _ in range(connections):
                    producers.start_soon(produce)
            wrong = await self._idle(watcher, count, begun) - before.gone_wrong
            took = time.perf_counter() - begun
        if wrong:
            raise NotMeasured(f"{self._url}: {wrong} of {count} tasks failed or were cancelled")
        return count / took

    async def _idle(self, watcher: _Connection, count: int, begun: float) -> int:
        """Wait until it has nothing to do; how many tasks of its life have gone wrong."""
        before, moved = -1, time.monotonic()
        while (now := await self._status(watcher)).at_work:
            if now.at_work != before:
                before, moved = now.at_work, time.monotonic()
            elif time.monotonic() > moved + PATIENCE:
                raise NotMeasured(f"{self._url}: no task has ended in {PATIENCE:g} s")
            took = time.perf_counter() - begun
            await trio.sleep(until_next_look(now.at_work, count - now.at_work, took))
        return now.gone_wrong

    async def _status(self, watcher: _Connection) -> _Status:
        answer = await watcher.ask(self._ask)
        try:
            return msgspec.json.decode(answer.body, type=_Status)
        except msgspec.MsgspecError as error:
            raise NotMeasured(f"{self._url}/api/status: {error}") from None


class _Connection:
    """For one request after the other. It is made by the first, and again by the one after which
    the server has closed it: Hypercorn does so after a thousand.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stream: trio.SocketStream | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._close()

    async def ask(self, whole_request: bytes) -> Answer:
        """The answer, which is a success; NotMeasured says what it was else."""
        if self._stream is None:
            self._stream = await self._connect()
        await self._stream.send_all(whole_request)
        answer = Answer()
        while not answer.done:
            data = await self._stream.receive_some()
            if not data:
                raise NotMeasured("the server closed the connection in the middle of an answer")
            answer.feed(data)
        if answer.problem is not None:
            raise NotMeasured(f"the server answered {answer.problem}")
        if answer.last:
            await self._close()
        return answer

    async def _connect(self) -> trio.SocketStream:
        try:
            return await trio.open_tcp_stream(*address(self._url))
        except OSError as error:
            raise NotMeasured(f"{self._url}: {error}") from None

    async def _close(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None
