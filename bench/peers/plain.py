"""A server by the seed's API alone: POST /api/tasks, a task a request, and GET /api/status.

No batches, no client library: so other implementations of the API are measured as oq is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import trio

from bench.payload import body
from bench.peers.scripts.sizing import CONCURRENT
from bench.wire import Answer, address, request

LOOK = 0.02
"""Seconds between two looks at the server's status."""


class _Status(msgspec.Struct):
    pending_tasks: int
    running_tasks: int
    failed_tasks: int
    cancelled_tasks: int

    @property
    def at_work(self) -> int:
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

    async def _rate(self, count: int, connections: int) -> float:
        left: Iterator[int] = iter(range(count))

        async def produce() -> None:
            async with await self._connect() as stream:
                for _ in left:
                    await _answer(stream, self._post)

        async with await self._connect() as watcher:
            before = await self._status(watcher)
            begun = time.perf_counter()
            async with trio.open_nursery() as producers:
                for _ in range(connections):
                    producers.start_soon(produce)
            while (now := await self._status(watcher)).at_work:  # noqa: ASYNC110 - another process
                await trio.sleep(LOOK)
            took = time.perf_counter() - begun
        if wrong := now.gone_wrong - before.gone_wrong:
            raise RuntimeError(f"{self._url}: {wrong} of {count} tasks failed or were cancelled")
        return count / took

    async def _connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*address(self._url))

    async def _status(self, stream: trio.SocketStream) -> _Status:
        return msgspec.json.decode((await _answer(stream, self._ask)).body, type=_Status)


async def _answer(stream: trio.SocketStream, whole_request: bytes) -> Answer:
    await stream.send_all(whole_request)
    answer = Answer()
    while not answer.done:
        data = await stream.receive_some()
        if not data:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        answer.feed(data)
    if answer.problem is not None:
        raise RuntimeError(f"the server answered {answer.problem}")
    return answer
