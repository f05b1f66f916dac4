"""What people get wrong at first, and whether they are told what to do instead."""

from __future__ import annotations

import asyncio
import inspect
import json
import pydoc
import threading
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

import oq
from tests.support.faces import everywhere
from tests.support.queues import memory_queue
from tests.support.servers import Served, served

HELLO = oq.generate("m", "hello")


@pytest.fixture(scope="module")
def server():
    with served() as server:
        yield server


# -- which queue, and where it runs


def test_a_queue_needs_trio_and_says_what_else_there_is(tmp_path):
    async def embed() -> None:
        async with oq.open_queue(storage_path=tmp_path):
            pass

    with pytest.raises(RuntimeError, match=r"needs trio.*BlockingQueue.*AsyncClient"):
        asyncio.run(embed())
    with pytest.raises(RuntimeError, match=r"needs trio.*BlockingQueue"):
        embed().send(None)
    with pytest.raises(RuntimeError, match=r"async with.*BlockingQueue"), oq.open_queue():
        pass
    with pytest.raises(AttributeError, match="async with"):
        oq.open_queue().submit(HELLO)
    assert list(tmp_path.iterdir()) == []


def test_watch_needs_trio_and_says_what_else_there_is(server):
    async def watch() -> None:
        async with oq.watch(server.url):
            pass

    with pytest.raises(RuntimeError, match=r"needs trio.*AsyncClient"):
        asyncio.run(watch())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://localhost:7125", "oq.Client"),
        ("./data", "storage_path='./data'"),
        ({"max_workers": 2}, "max_workers=2"),
        (3, r"oq\.Config"),
    ],
)
def test_what_is_no_config_is_told_what_it_may_be(given, meant):
    with pytest.raises(oq.InvalidConfig, match=meant):
        oq.BlockingQueue(given)

    async def embed() -> None:
        async with oq.open_queue(given):
            pass

    with pytest.raises(oq.InvalidConfig, match=meant):
        trio.run(embed)


@pytest.mark.parametrize("given", [5, "localhost:11434", ["localhost:11434"], [7]])
def test_what_is_no_backend_is_told_how_one_is_given(given, tmp_path):
    with pytest.raises(oq.InvalidConfig, match="is no backend; give a list of them"):
        oq.BlockingQueue(storage_path=tmp_path, backends=given)


def test_an_empty_data_directory_is_not_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(oq.InvalidConfig, match="storage_path"):
        oq.BlockingQueue(storage_path="")
    assert not list(tmp_path.iterdir())


def test_the_same_directory_twice_in_one_program(tmp_path):
    told = "this process: use the queue that is open already"
    with (
        oq.BlockingQueue(storage_path=tmp_path),
        pytest.raises(oq.StoreLocked, match=told) as why,
    ):
        oq.BlockingQueue(storage_path=tmp_path)
    assert "--" not in str(why.value)


def test_tls_where_there_is_none_is_said_so(server: Served):
    address = server.url.replace("http:", "https:")
    with oq.Client(address) as client, pytest.raises(oq.ServerNotReached, match="write http://"):
        client.status()


@pytest.mark.parametrize("server_given", [7125, None, b"localhost"])
def test_an_address_of_another_kind_is_no_address(server_given):
    with pytest.raises(oq.InvalidConfig, match="is not a server address"):
        oq.Client(server_given)


# -- tasks


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"temperature": 0}, r"options=\{'temperature'"),
        ({"num_ctx": 512}, r"options=\{'num_ctx'"),
        ({"tools": []}, r"extra=\{'tools'"),
        ({"priorty": "high"}, "did you mean 'priority'"),
        ({"max_retrys": 1}, "did you mean 'max_retries'"),
    ],
)
@pytest.mark.parametrize("make", [oq.chat, oq.generate, oq.embed])
def test_a_keyword_that_there_is_not_says_where_it_belongs(make, wrong, told):
    with pytest.raises(TypeError, match=told):
        make("m", "x", **wrong)


def test_one_message_is_a_conversation_too():
    message = {"role": "user", "content": "hello"}
    assert oq.chat("m", message) == oq.chat("m", [message]) == oq.chat("m", "hello")
    with pytest.raises(oq.InvalidTask, match="neither a text nor a list of messages"):
        oq.chat("m", 3)


@pytest.mark.parametrize("make", [oq.chat, oq.generate, oq.embed])
def test_the_help_of_a_task_lists_all_that_can_be_said_of_it(make):
    terms = {"priority", "timeout", "options", "metadata", "run_at", "max_retries"}
    assert terms <= set(inspect.signature(make).parameters)
    assert all(term in pydoc.plain(pydoc.render_doc(make)) for term in terms)


@pytest.mark.parametrize("of", [oq.Queue, oq.BlockingQueue, oq.Client, oq.AsyncClient])
@pytest.mark.parametrize("verb", ["list", "list_summaries", "count", "bulk"])
def test_the_help_of_a_listing_lists_its_filters(of, verb):
    shown = set(inspect.signature(getattr(of, verb)).parameters)
    assert {"status", "type", "priority", "model", "text", "since", "until"} <= shown
    assert verb not in ("list", "list_summaries") or {"limit", "offset", "after", "sort"} <= shown


def test_the_help_of_oq_begins_with_what_can_be_done():
    first = pydoc.plain(pydoc.render_doc(oq)).split("PACKAGE CONTENTS")[0]
    for name in ("oq.Client()", "submit(oq.chat(", "BlockingQueue", "open_queue", "to_dict"):
        assert name in first, name


@pytest.mark.parametrize("given", [None, 7, b"text", {"text": "x"}])
def test_what_is_no_text_to_embed_is_named(given):
    with pytest.raises(oq.InvalidTask, match="neither a text nor a list of texts"):
        oq.embed("m", given)


@pytest.mark.parametrize("make", [oq.chat, oq.generate, oq.embed])
def test_what_are_no_fields_is_named(make):
    with pytest.raises(oq.InvalidTask, match="extra: '5' is not a dict"):
        make("m", "x", extra=5)


WRONG_TERMS: list[dict[str, Any]] = [
    {"after": 9999}, {"after": 9999, "sort": "queue"}, {"limit": "ten"}, {"limit": [1]},
    {"priority": object()}, {"status": 7}, {"sort": 7},
]  # fmt: skip


@everywhere()
async def test_what_is_no_term_of_a_listing_is_named(queue):
    await queue.submit(HELLO)
    for terms in WRONG_TERMS:
        wrong = next(iter(terms))
        with pytest.raises(oq.InvalidTask, match=wrong):
            await queue.list(**terms)


WRONG_IDS: list[tuple[Any, str]] = [
    (None, "None is not the id of a task"),
    (7, "7 is not the id of a task"),
]


@everywhere()
async def test_what_is_no_id_is_named(queue):
    task_id = await queue.submit(HELLO)
    task = await queue.get(task_id)
    for wrong, told in [*WRONG_IDS, (task, r"give its id: task\.id")]:
        for verb in (queue.get, queue.result, queue.cancel, queue.retry, queue.delete):
            with pytest.raises(oq.InvalidTask, match=told):
                await verb(wrong)


@everywhere()
async def test_what_is_no_task_is_named(queue):
    for wrong in (None, "hello", 7, [HELLO]):
        with pytest.raises(oq.InvalidTask, match=r"is not a task; oq\.chat"):
            await queue.submit(wrong)
    for wrong in (None, HELLO, "hello"):
        with pytest.raises(oq.InvalidTask, match="is not a list of tasks"):
            await queue.submit_many(wrong)


async def test_a_forgotten_await_is_named():
    async with memory_queue() as queue:
        with pytest.raises(oq.InvalidTask, match="write `await` before it"):
            await queue.get(queue.submit(HELLO))
        with pytest.raises(oq.InvalidTask, match="write `await` before it"):
            await queue.submit(queue.get("x"))


@everywhere()
async def test_a_timedelta_is_a_length_of_time_everywhere(queue):
    task_id = await queue.submit(oq.generate("m", "x", timeout=timedelta(minutes=5)))
    assert (await queue.get(task_id, wait=timedelta(seconds=20))).status == "completed"
    assert (await queue.get(task_id)).timeout == 300
    assert await queue.result(task_id, timeout=timedelta(seconds=20))
    assert await queue.result(task_id, timeout="20s")
    with pytest.raises(oq.InvalidTask, match="timeout: 'soon' is not a duration"):
        await queue.result(task_id, timeout="soon")


def test_a_client_takes_lengths_of_time_too(server):
    with oq.Client(server.url, timeout=timedelta(seconds=30), patience="1m") as client:
        assert client.status().total_tasks >= 0
    with pytest.raises(oq.InvalidTask, match="patience"):
        oq.Client(server.url, patience="long")


@everywhere()
async def test_a_task_becomes_what_json_takes(queue):
    task_id = await queue.submit(oq.chat("m", "hello", metadata={"for": "me"}))
    await queue.result(task_id)
    task = (await queue.get(task_id)).to_dict()
    assert json.loads(json.dumps(task)) == task
    assert (task["id"], task["status"], task["metadata"]) == (task_id, "completed", {"for": "me"})
    assert json.dumps((await queue.status()).to_dict())


# -- how long a client lives


def test_a_closed_client_says_that_it_is_closed(server):
    client = oq.Client(server.url)
    client.close()
    client.close()
    with pytest.raises(oq.Unavailable, match="this client is closed"):
        client.status()
    with pytest.raises(oq.Unavailable, match="this client is closed"), client.stream("x") as chunks:
        next(chunks)
    with pytest.raises(oq.Unavailable, match="this client is closed"), client.subscribe():
        pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_without_a_block_lives_over_many_tasks(server, backend):
    """As in a notebook: each cell is a task of its own."""

    async def cells() -> None:
        queue = oq.AsyncClient(server.url)
        ids: list[str] = []
        told = [anyio.Event(), anyio.Event()]

        async def submit(number: int) -> None:
            done = told[number]
            ids.append(await queue.submit(HELLO, on_done=lambda task: done.set()))

        for number in range(2):
            async with anyio.create_task_group() as cell:
                cell.start_soon(submit, number)
                cell.start_soon(queue.status)
        for task_id in ids:
            assert await queue.result(task_id)
        async with queue.stream(ids[0]) as chunks:
            assert [chunk async for chunk in chunks][-1].done
        for event in told:
            await event.wait()
        await queue.aclose()
        await queue.aclose()
        with pytest.raises(oq.Unavailable, match="this client is closed"):
            await queue.status()
        with pytest.raises(oq.Unavailable, match="this client is closed"):
            await queue.submit(HELLO)

    anyio.run(cells, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_that_is_closed_in_its_block_tells_those_who_wait(server, backend):
    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            task_id = await queue.submit(oq.generate("m", "x", run_at="2099-01-01T00:00:00Z"))
            waits = anyio.Event()

            async def wait() -> None:
                waits.set()
                with pytest.raises(oq.Unavailable, match="closed"):
                    await queue.result(task_id)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await waits.wait()
                await anyio.lowlevel.checkpoint()
                await queue.aclose()
            with pytest.raises(oq.Unavailable, match="this client is closed"):
                await queue.status()

    anyio.run(check, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_that_nobody_closes_ends_with_its_loop(server, backend):
    others = set(threading.enumerate())  # trio keeps those of earlier tests for a while
    queue = oq.AsyncClient(server.url)

    async def use() -> None:
        await queue.status()

    anyio.run(use, backend=backend)
    assert len(set(threading.enumerate()) - others) < 10
    with pytest.raises(oq.Unavailable, match="one client for each event loop"):
        anyio.run(use, backend=backend)


def test_what_a_callback_raises_is_raised_at_the_end(server):
    async def check() -> None:
        queue = oq.AsyncClient(server.url)
        ended = anyio.Event()

        def fail(task: oq.Task) -> None:
            ended.set()
            raise ZeroDivisionError

        await queue.submit(HELLO, on_done=fail)
        await ended.wait()

        async def add_mark() -> None:
            while True:
                await queue.status()

        with pytest.raises(oq.Unavailable):
            await add_mark()
        with pytest.raises(ZeroDivisionError):
            await queue.aclose()

    anyio.run(check)
