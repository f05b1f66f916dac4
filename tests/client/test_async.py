"""AsyncClient, under asyncio and under trio, against a real server: submitting, reading, errors."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

import oq
from tests.support.http import UNKNOWN
from tests.support.servers import Served, served


@pytest.fixture(scope="module")
def server():
    with served(queue={"max_workers": 4}) as running:
        yield running


def hello(number: int = 0, **terms: Any) -> oq.NewTask:
    return oq.generate("m", f"hello {number}", **terms)


async def gather(function: Callable[[int], Awaitable[Any]], count: int) -> list[Any]:
    """What the calls with 0 to `count` - 1, made at once, gave; oq's errors are among it."""
    found: list[Any] = [None] * count

    async def one(number: int) -> None:
        try:
            found[number] = await function(number)
        except oq.OqError as error:
            found[number] = error

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_that_is_not_there(run, host):
    async def check(port: int) -> None:
        async with oq.AsyncClient(f"{host}:{port}", patience=0) as queue:
            for call in (queue.status(), queue.submit(hello()), queue.submit_many([hello()])):
                with pytest.raises(oq.ServerNotReached, match="connection refused; start one with"):
                    await call
            with pytest.raises(oq.ServerNotReached, match="connection refused; start one with"):
                async with queue.subscribe():
                    pass

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        run(check, unused.getsockname()[1])


def test_64_submits_at_once_are_few_requests_and_each_gets_its_own_id(server: Served, run):
    async def check() -> None:
        server.requests.clear()
        async with oq.AsyncClient(server.url) as queue:
            ids = await gather(lambda n: queue.submit(hello(n)), 64)
            assert sum(server.requests.values()) <= 2, server.requests
            assert len(set(ids)) == 64
            for number in (0, 1, 31, 63):
                task = await queue.get(ids[number])
                assert task.payload == {"prompt": f"hello {number}"}

    run(check)


def test_what_is_submitted_while_a_request_is_in_flight_goes_in_the_next(server: Served, run):
    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue, anyio.create_task_group() as group:
            server.requests.clear()
            for number in range(3):
                group.start_soon(queue.submit, hello(number))
                await anyio.wait_all_tasks_blocked()
        assert server.requests["POST /api/tasks"] >= 1
        assert sum(server.requests.values()) <= 3

    run(check)


def test_one_wrong_task_among_them_fails_alone(server: Served, run):
    async def check() -> None:
        server.requests.clear()
        async with oq.AsyncClient(server.url) as queue:
            found = await gather(
                lambda n: queue.submit(hello(n, priority=999 if n == 40 else 5)), 64
            )
        assert isinstance(found[40], oq.InvalidTask)
        assert (found[40].field, "999" in found[40].reason) == ("priority", True)
        ids = [one for one in found if isinstance(one, str)]
        assert len(set(ids)) == 63
        assert sum(server.requests.values()) <= 4, server.requests

    run(check)


def test_an_error_of_the_block_leaves_it_as_it_is(server: Served, run):
    async def check() -> None:
        with pytest.raises(oq.NotFound):
            async with oq.AsyncClient(server.url) as queue:
                await queue.get(UNKNOWN)

    run(check)


def test_the_basic_verbs(server: Served, run):
    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            await queue.pause()
            assert (await queue.status()).paused
            first, second = await queue.submit_many([hello(1), hello(2)])
            await queue.set_priority(first, "high")
            assert (await queue.get(first)).priority == oq.Priority.HIGH
            await queue.cancel(second)
            with pytest.raises(oq.Conflict):
                await queue.cancel(second)
            await queue.retry(second)
            await queue.cancel(second)
            await queue.delete(second)
            with pytest.raises(oq.NotFound):
                await queue.get(second)
            assert [task.id for task in await queue.list(limit=1, status="pending")] == [first]
            await queue.resume()

    run(check)


def test_a_listing_goes_on_over_its_pages(server: Served, run, monkeypatch):
    monkeypatch.setattr("oq.client.requests.PAGE", 3)

    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            ids = await queue.submit_many([hello(n) for n in range(8)])
            server.requests.clear()
            listed = [task.id for task in await queue.list(limit=8)]
            assert listed == ids[::-1]
            assert server.requests["GET /api/tasks"] == 3
            below = await queue.list(limit=4, after=ids[5])
            assert [task.id for task in below] == ids[4:0:-1]

    run(check)
