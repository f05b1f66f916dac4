"""The queue's faces behind one async vocabulary, so that one suite can hold all of them to it.

`everywhere` makes a test of an async function that takes a queue: one for the embedded queue, the
blocking one, and each client against a server of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
)
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import to_thread

import oq
from oq.words.config import to_config
from tests.support.builders import AT_ONCE
from tests.support.servers import served

Check = Callable[[Any], Awaitable[None]]
SETTINGS: dict[str, Any] = {"max_workers": 2, "drain_timeout": 0.05}
LIMIT = 30


class Threaded:
    """A face that blocks, each call on a thread."""

    def __init__(self, queue: oq.BlockingQueue | oq.Client) -> None:
        self._queue = queue

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._queue, verb)

        async def call(*args: Any, **options: Any) -> Any:
            return await to_thread.run_sync(partial(found, *args, **options))

        return call

    def stream(self, *args: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        return _in_threads(self._queue.stream(*args, **options))

    def subscribe(self, *args: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        return _in_threads(self._queue.subscribe(*args, **options))


class Embedded:
    """The queue within the program: its status is there at once, its events come in batches."""

    def __init__(self, queue: oq.Queue) -> None:
        self._queue = queue

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._queue, verb)

    async def status(self) -> oq.QueueStatus:
        return self._queue.status()

    @asynccontextmanager
    async def subscribe(self, *args: Any, **options: Any) -> AsyncIterator[AsyncIterator[Any]]:
        with self._queue.subscribe(*args, **options) as batches:
            events = (event async for batch in batches for event in batch)
            async with aclosing(events):
                yield events


@asynccontextmanager
async def _in_threads(opened: AbstractContextManager[Iterator[Any]]) -> AsyncIterator[Any]:
    items = await to_thread.run_sync(opened.__enter__)
    end = object()

    async def each() -> AsyncIterator[Any]:
        while (item := await to_thread.run_sync(next, items, end)) is not end:
            yield item

    try:
        async with aclosing(each()) as found:
            yield found
    finally:
        await to_thread.run_sync(opened.__exit__, None, None, None)


@asynccontextmanager
async def _embedded(settings: dict[str, Any], directory: str) -> AsyncIterator[Embedded]:
    async with oq.open_queue(_config(settings), storage_path=directory) as queue:
        yield Embedded(queue)


@asynccontextmanager
async def _blocking(settings: dict[str, Any], directory: str) -> AsyncIterator[Threaded]:
    queue = await to_thread.run_sync(
        partial(oq.BlockingQueue, _config(settings), storage_path=directory)
    )
    try:
        yield Threaded(queue)
    finally:
        await to_thread.run_sync(queue.close)


@asynccontextmanager
async def _client(settings: dict[str, Any], directory: str) -> AsyncIterator[Threaded]:
    with served(queue=settings) as server, oq.Client(server.url) as client:
        yield Threaded(client)


@asynccontextmanager
async def _async_client(settings: dict[str, Any], directory: str) -> AsyncIterator[oq.AsyncClient]:
    with served(queue=settings) as server:
        async with oq.AsyncClient(server.url) as client:
            yield client


FACES = {
    "embedded": (_embedded, "trio"),
    "blocking": (_blocking, "trio"),
    "client": (_client, "trio"),
    "async client on trio": (_async_client, "trio"),
    "async client on asyncio": (_async_client, "asyncio"),
}


def everywhere(**settings: Any) -> Callable[[Check], Callable[[str], None]]:
    """Run the check over each face, of a queue with these settings."""

    def decorate(check: Check) -> Callable[[str], None]:
        async def bounded(face: str) -> None:
            with tempfile.TemporaryDirectory() as directory, anyio.fail_after(LIMIT):
                async with FACES[face][0](SETTINGS | settings, directory) as queue:
                    await check(queue)

        @pytest.mark.parametrize("face", FACES)
        def test(face: str) -> None:
            anyio.run(bounded, face, backend=FACES[face][1])

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def _config(settings: dict[str, Any]) -> oq.Config:
    backends = [{"name": "sim", "kind": "simulated"}]
    return to_config({"queue": settings, "backends": backends, "simulated": AT_ONCE})
