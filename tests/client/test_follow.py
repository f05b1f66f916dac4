"""Streams and events over connections that break and servers that restart: nothing twice, nothing
left out without a word.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import oq
from tests.support.http import UNKNOWN
from tests.support.servers import Served, cutting, served

SOON = 20
TOKENS = 150


@pytest.fixture
def server():
    with served() as running:
        yield running


def talk(rate: float = 500) -> oq.NewTask:
    simulate = {"tokens": TOKENS, "rate": rate}
    return oq.generate("m", "tell me of words and of numbers", options={"simulate": simulate})


def random_cuts(seed: int) -> Callable[[int], int]:
    """Each connection lives a little longer than the last, so that one line fits at last."""
    draw = random.Random(seed)
    return lambda number: draw.randint(1, 800 + 400 * number)


class Text:
    """What a reader has of a stream that may start anew."""

    def __init__(self) -> None:
        self.said = ""
        self.restarts = 0
        self.last: oq.Chunk | None = None

    def add(self, chunk: oq.Chunk) -> None:
        if chunk.restart:
            self.said, self.restarts = "", self.restarts + 1
        self.said += chunk.data
        self.last = chunk


def check_whole(text: Text, task: oq.Task) -> None:
    assert text.last is not None
    assert (text.last.done, text.last.status) == (True, oq.Status.COMPLETED)
    assert task.result is not None
    assert text.said == task.result["response"]


# -- streams


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_that_is_cut_again_and_again_gives_all_of_the_text_once(server, run, seed):
    async def check() -> None:
        text = Text()
        with cutting(server.url, random_cuts(seed)) as way:
            async with oq.AsyncClient(server.url) as queue, oq.AsyncClient(way.url) as cut:
                task_id = await queue.submit(talk())
                async with cut.stream(task_id) as chunks:
                    async for chunk in chunks:
                        text.add(chunk)
                check_whole(text, await queue.get(task_id))
            assert way.connections > 1

    run(check)


def test_the_same_for_the_client_that_blocks(server):
    text = Text()
    with cutting(server.url, random_cuts(7)) as way:
        with oq.Client(server.url) as queue, oq.Client(way.url) as cut:
            task_id = queue.submit(talk())
            with cut.stream(task_id) as chunks:
                for chunk in chunks:
                    text.add(chunk)
            check_whole(text, queue.get(task_id))
        assert way.connections > 1


@pytest.mark.slow
def test_a_stream_begins_anew_with_a_new_attempt_after_a_restart(server, run):
    async def check() -> None:
        text = Text()
        async with oq.AsyncClient(server.url) as queue:
            task_id = await queue.submit(talk(rate=300))
            async with queue.stream(task_id) as chunks:
                text.add(await anext(chunks))
                await anyio.to_thread.run_sync(server.restart)
                async for chunk in chunks:
                    text.add(chunk)
            check_whole(text, await queue.get(task_id))
            assert text.restarts == 1

    run(check)


def test_a_stream_goes_on_from_an_offset(server, run):
    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            task_id = await queue.submit(talk())
            first, rest = Text(), Text()
            async with queue.stream(task_id) as chunks:
                async for chunk in chunks:
                    first.add(chunk)
                    if chunk.offset >= TOKENS // 3:
                        break
            place = first.last
            assert place is not None
            assert not place.done
            async with queue.stream(task_id, offset=place.offset, attempt=place.attempt) as chunks:
                async for chunk in chunks:
                    rest.add(chunk)
            first.add(oq.Chunk(data=rest.said, offset=0, done=True, status=oq.Status.COMPLETED))
            check_whole(first, await queue.get(task_id))

    run(check)


def test_a_stream_of_no_task(server, run):
    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue, queue.stream(UNKNOWN) as chunks:
            with pytest.raises(oq.NotFound):
                await anext(chunks)

    run(check)
    with (
        oq.Client(server.url) as queue,
        queue.stream(UNKNOWN) as chunks,
        pytest.raises(oq.NotFound),
    ):
        next(chunks)


def test_patience_with_a_server_that_is_gone_ends(server, run):
    async def check() -> None:
        async with oq.AsyncClient(server.url, patience=0.1) as queue:
            task_id = await queue.submit(talk(rate=1))
            async with queue.stream(task_id) as chunks, queue.subscribe() as events:
                await anyio.to_thread.run_sync(server.stop)
                with pytest.raises(oq.ServerNotReached, match="connection refused"):
                    async for _ in chunks:
                        pass
                with pytest.raises(oq.ServerNotReached):
                    async for _ in events:
                        pass
            with pytest.raises(oq.ServerNotReached):
                await queue.result(task_id)

    run(check)


# -- events

CLIENTS = ["asyncio", "trio", "blocking", "watch"]


def collect(how: str, url: str, count: int, begun: Callable[[], None], **wanted: Any) -> list[Any]:
    """The next `count` things that a subscriber of this kind is told; `begun` when it listens."""

    async def take(events: Any) -> list[Any]:
        begun()
        return [await anext(events) for _ in range(count)]

    async def with_client() -> list[Any]:
        with anyio.fail_after(SOON):
            async with oq.AsyncClient(url) as queue, queue.subscribe(**wanted) as events:
                return await take(events)

    async def with_watch() -> list[Any]:
        with anyio.fail_after(SOON):
            async with oq.watch(url, **wanted) as events:
                return await take(events)

    if how == "blocking":
        with oq.Client(url) as queue, queue.subscribe(**wanted) as events:
            begun()
            return [next(events) for _ in range(count)]
    return anyio.run(
        *((with_watch,) if how == "watch" else (with_client,)),
        backend="trio" if how == "watch" else how,
    )


class Collecting(threading.Thread):
    """`collect` on a thread of its own; it listens once this is made."""

    def __init__(self, *args: Any, **wanted: Any) -> None:
        super().__init__(daemon=True)
        self._args, self._wanted = args, wanted
        self._begun = threading.Event()
        self._found: list[Any] | None = None
        self.start()
        assert self._begun.wait(SOON)

    def run(self) -> None:
        self._found = collect(*self._args, self._begun.set, **self._wanted)

    def found(self) -> list[Any]:
        self.join(SOON)
        assert self._found is not None, "it did not come to its end"
        return self._found


@pytest.mark.parametrize("how", CLIENTS)
def test_a_subscriber_whose_connection_breaks_is_told_each_event_once(server, how):
    draw = random.Random(3)
    # One that breaks before the first hello is an error at once; and a frame must fit at last.
    with (
        cutting(server.url, lambda n: draw.randint(50 if n else 1500, 4000 + 2000 * n)) as way,
        oq.Client(server.url) as queue,
    ):
        listener = Collecting(how, way.url, 300)
        for _ in range(20):
            queue.run_batch([oq.generate("m", "hello", options={"simulate": {"tokens": 1}})] * 5)
        found = listener.found()
        assert [event.seq for event in found] == list(range(1, 301))
        assert way.connections > 1


@pytest.mark.parametrize("how", CLIENTS)
def test_a_subscriber_goes_on_after_a_restart(server: Served, how):
    with oq.Client(server.url) as queue:
        listener = Collecting(how, server.url, 2, types="task_completed")
        first = queue.run_batch([oq.generate("m", "1")])[0].id
        server.restart()
        second = queue.run_batch([oq.generate("m", "2")])[0].id
        found = listener.found()
        assert found[0].task_id == first
        # What the new server had done before the subscriber was back it knows the number of only.
        assert isinstance(found[1], oq.Lagged) or found[1].task_id == second


@pytest.mark.parametrize("how", CLIENTS)
def test_events_can_be_filtered_and_had_again(server, how):
    with oq.Client(server.url) as queue:
        one, two = queue.run_batch([oq.generate("m", "1"), oq.generate("m", "2")])
        found = collect(how, server.url, 3, lambda: None, after=0, task_id=two.id)
        assert [event.type for event in found] == [
            oq.EventType.TASK_SUBMITTED,
            oq.EventType.TASK_STARTED,
            oq.EventType.TASK_COMPLETED,
        ]
        found = collect(how, server.url, 2, lambda: None, after=0, types=["task_completed"])
        assert {event.task_id for event in found} == {one.id, two.id}


@pytest.mark.parametrize("how", CLIENTS)
def test_a_wrong_type_of_event_and_a_server_that_is_not_there_are_said_at_once(server, how):
    with pytest.raises(oq.InvalidTask, match="task_done"):
        collect(how, server.url, 1, lambda: None, types="task_done")
    server.stop()
    with pytest.raises(oq.ServerNotReached):
        collect(how, server.url, 1, lambda: None)
