"""Over HTTP: tasks through the client and through bare connections, to their end on the disk.

`end_to_end` works under asyncio and trio, and against any server that speaks oq's API.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import msgspec
import trio

from bench.bare import bare_server
from bench.daemon import daemon
from bench.payload import body, new_task
from bench.scenario import NotMeasured, Setting, Side
from bench.wire import Answer, KeptAlive, address, request
from oq import AsyncClient
from oq.words.errors import OqError

PARTIES = 64
LOOK = 0.01
"""Seconds between two looks at how many tasks have ended."""
PATIENCE = 120
"""Seconds that the tasks of one round get to complete, once all are submitted."""


class Glance(msgspec.Struct):
    """What is needed of GET /api/status."""

    completed_tasks: int


_decode = msgspec.json.Decoder(Glance).decode


async def end_to_end(server: str, count: int, parties: int = PARTIES) -> float:
    """Tasks a second, from the first submit to the last completion, through one `oq.AsyncClient`
    that `parties` tasks share, each of which submits one task at a time.
    """
    each = count // parties
    async with AsyncClient(server) as client:
        target = (await client.status()).completed_tasks + each * parties

        async def produce() -> None:
            for _ in range(each):
                await client.submit(new_task())

        begun = time.perf_counter()
        async with anyio.create_task_group() as producers:
            for _ in range(parties):
                producers.start_soon(produce)
        with _patiently(server):
            while (await client.status()).completed_tasks < target:  # noqa: ASYNC110 - far away
                await anyio.sleep(LOOK)
        return each * parties / (time.perf_counter() - begun)


@contextmanager
def _patiently(server: str) -> Iterator[None]:
    try:
        with anyio.fail_after(PATIENCE):
            yield
    except TimeoutError:
        reason = (
            f"{server}: not all tasks have completed within {PATIENCE} s; does its backend work?"
        )
        raise NotMeasured(reason) from None


@contextmanager
def measured(setting: Setting) -> Iterator[str]:
    """The server that is to be measured: the one that was named, or a daemon of our own."""
    if setting.server is not None:
        try:
            KeptAlive(setting.server).close()
        except OSError as error:
            raise NotMeasured(f"nobody answers at {setting.server} ({error})") from None
        yield setting.server
    else:
        with daemon() as started:
            yield started.url


@asynccontextmanager
async def through_client(setting: Setting) -> AsyncIterator[list[Side]]:
    """64 tasks share one client and submit one at a time; it sends what waits together."""
    count = setting.sized(20_000, least=PARTIES)
    with measured(setting) as url:

        async def client() -> dict[str, float]:
            try:
                return {"http": await end_to_end(url, count)}
            except OqError as error:
                raise NotMeasured(f"{url}: {error}") from None

        yield [client]


@asynccontextmanager
async def connections(setting: Setting) -> AsyncIterator[list[Side]]:
    """64 connections, on each of which one POST /api/tasks waits for the other."""
    count = setting.sized(4_000, least=PARTIES)
    with measured(setting) as url:

        async def posts() -> dict[str, float]:
            return {"connections": await _posted(url, count)}

        yield [posts]


async def _posted(url: str, count: int) -> float:
    each, one = count // PARTIES, request(url, "POST", "/api/tasks", body())

    async def post() -> None:
        sent = 0
        while sent < each:
            async with await trio.open_tcp_stream(*address(url)) as stream:
                answer = Answer()
                while sent < each and not answer.last:
                    await stream.send_all(one)
                    sent, answer = sent + 1, Answer()
                    while not answer.done:
                        answer.feed(await stream.receive_some())
                    _check(answer)

    with KeptAlive(url) as watcher:
        target = _completed(watcher, url) + each * PARTIES
        begun = time.perf_counter()
        async with trio.open_nursery() as posters:
            for _ in range(PARTIES):
                posters.start_soon(post)
        with _patiently(url):
            while _completed(watcher, url) < target:  # noqa: ASYNC110 - another process
                await trio.sleep(LOOK)
        return each * PARTIES / (time.perf_counter() - begun)


def _completed(watcher: KeptAlive, url: str) -> int:
    answer = watcher.ask(request(url, "GET", "/api/status"))
    _check(answer, "GET /api/status")
    return _decode(answer.body).completed_tasks


def _check(answer: Answer, call: str = "POST /api/tasks") -> None:
    if answer.problem is not None:
        raise NotMeasured(f"{call}: {answer.problem}")


@asynccontextmanager
async def one_at_a_time(setting: Setting) -> AsyncIterator[list[Side]]:
    """One connection, one POST /api/tasks after the other: oq, and a bare server beside it."""
    count = setting.sized(1_000, least=20)
    with measured(setting) as oq, bare_server() as bare:

        async def ours() -> dict[str, float]:
            return {"post": await rate(oq, count)}

        async def theirs() -> dict[str, float]:
            return {"post_bare": await rate(bare.url, count)}

        yield [ours, theirs]


async def rate(url: str, count: int) -> float:
    """POST /api/tasks one after the other: requests a second. It blocks, for nothing else goes on
    in this process meanwhile.
    """
    await trio.lowlevel.checkpoint()
    one = request(url, "POST", "/api/tasks", body())
    with KeptAlive(url) as connection:
        begun = time.perf_counter()
        for _ in range(count):
            answer = connection.ask(one)
            _check(answer)
        seconds = time.perf_counter() - begun
    if b'"task_id"' not in answer.body:
        raise NotMeasured(f"POST /api/tasks: that is no task: {answer.body[:80]!r}")
    return count / seconds
