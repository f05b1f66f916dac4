"""Who stops reading costs nobody anything, and goes on when it reads again.

Cost is compared as the number of functions that a fixed piece of work calls, with and without one
who does not read: unlike times it is nearly the same in each run, whatever else the machine does. A
call that copies much counts no more than another; tests/memory bounds what is held. That nobody
waits for the one who does not read is in it all the same: a round in which somebody did would not
end.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.rules.validation import decode_submission
from oq.words.messages import Committed
from tests.support.http import GENERATE, Live, live

BOUND = 1.03
"""It is offered each event, which makes 1.015 of it; to be sent them makes 1.08."""
TRIES = 4
BUFFER = 4096
"""Bytes that the kernel is asked to hold at either end, so that it is soon full."""

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
EVENTS = b"GET /api/events HTTP/1.0\r\nHost: localhost\r\n\r\n"
SHORT = {**GENERATE, "options": {"simulate": {"tokens": 1}}}
TASK = decode_submission(json.dumps(SHORT).encode())

Round = Callable[[], Awaitable[None]]
Deaf = Callable[[], AbstractAsyncContextManager[object]]


@asynccontextmanager
async def small_server(**sections: Any) -> AsyncIterator[Live]:
    """A server whose connections hold little."""
    async with live(**sections) as oq:
        for listener in oq.server._listeners:
            listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, BUFFER)
        yield oq


@asynccontextmanager
async def connected(oq: Live, request: bytes) -> AsyncIterator[trio.SocketStream]:
    """One who has asked, has seen the answer begin, and reads no more."""
    socket = trio.socket.socket()
    socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, BUFFER)
    await socket.connect(("127.0.0.1", oq.port))
    async with trio.SocketStream(socket) as stream:
        await stream.send_all(request)
        assert b" 200 " in (head := await stream.receive_some(20)) or b" 101 " in head
        yield stream


async def calls_of(work: Round) -> int:
    """How many functions this thread calls meanwhile, those in C too."""
    count = 0
    gc.collect()
    gc.disable()  # it calls what earlier tests have left behind

    def called(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        with trio.fail_after(60):
            await work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


async def check_costs_nothing(work: Round, deaf: Deaf, before: Round = nothing) -> None:
    """`work` calls as many functions with `deaf` there as without; `before` goes ahead of each.

    On a busy machine what comes bit by bit comes in other bits each time, which moves a count by
    one or two in a hundred, up or down. What `deaf` costs is there each time.
    """
    ratios: list[float] = []
    while not ratios or (ratios[-1] > BOUND and len(ratios) < TRIES):
        await before()
        without = await calls_of(work)
        await before()
        async with deaf():
            ratios.append(await calls_of(work) / without)
    assert ratios[-1] <= BOUND, ratios


def run_tasks(oq: Live, count: int) -> Round:
    """Work: so many tasks, from submission to their end."""
    left, ended = 0, trio.Event()

    def observe(committed: Committed) -> None:
        nonlocal left
        left -= sum(event.status.ended for event in committed.events)
        if left <= 0:
            ended.set()

    oq.queue.observe(observe)

    async def work() -> None:
        nonlocal left, ended
        left, ended = count, trio.Event()
        await oq.queue.raw.submit_many([TASK] * count)
        await ended.wait()

    return work


# Subscribers


def frames(received: bytes) -> list[dict[str, Any]]:
    """What the WebSocket text frames carry that came whole: RFC 6455, 5.2."""
    rest, found = received.partition(b"\r\n\r\n")[2], []
    while len(rest) >= 10:
        if rest[0] != 0x81:  # a ping, which is empty
            rest = rest[2:]
            continue
        size, start = rest[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(rest[2:start], "big")
        if len(rest) < start + size:
            break
        carried = json.loads(rest[start : start + size])
        found += carried if isinstance(carried, list) else [carried]
        rest = rest[start + size :]
    return found


def server_sent(received: bytes) -> list[dict[str, Any]]:
    """What the events carry that came whole."""
    blocks = received.partition(b"\r\n\r\n")[2].split(b"\n\n")[:-1]
    return [json.loads(block[block.index(b"data: ") + 6 :]) for block in blocks]


KINDS = pytest.mark.parametrize(
    ("request_bytes", "parse"),
    [(HANDSHAKE, frames), (EVENTS, server_sent)],
    ids=["websocket", "server-sent"],
)


@KINDS
async def test_a_subscriber_that_stops_reading_costs_no_throughput(request_bytes, parse):
    async with small_server(events={"mailbox": 500}) as oq:
        work = run_tasks(oq, 300)

        @asynccontextmanager
        async def deaf() -> AsyncIterator[None]:
            async with connected(oq, request_bytes):
                await work()  # fills what the kernel holds: from here on the sender is stuck
                yield
            await wait_all_tasks_blocked(0.01)

        await check_costs_nothing(work, deaf)


def covered(told: list[dict[str, Any]]) -> int:
    """The seq of the last event that was either told or said to be missed."""
    seq = -1
    for item in told:
        seq = item.get("seq", seq + item.get("missed", 0))
    return seq


@KINDS
async def test_it_is_told_that_it_lagged_and_goes_on(request_bytes, parse):
    async with small_server(events={"mailbox": 500}) as oq:
        work = run_tasks(oq, 300)
        async with connected(oq, request_bytes) as stream:
            for _ in range(4):
                await work()
            received = b""
            told: list[dict[str, Any]] = []

            async def catch_up() -> None:
                nonlocal received, told
                with trio.fail_after(10):
                    while covered(told) != oq.queue.status().event_seq:
                        received += await stream.receive_some()
                        told = parse(received)

            await catch_up()
            hello, *items = told
            assert hello["type"] == "hello"
            missed = sum(item["missed"] for item in items if item["type"] == "lagged")
            seqs = [item["seq"] for item in items if item["type"] != "lagged"]
            assert missed > 500
            assert seqs == sorted(set(seqs))
            assert len(seqs) + missed == covered(told) - hello["seq"]
            before = len(told)
            await run_tasks(oq, 1)()
            await catch_up()
            assert [item["type"] for item in told[before:]] == [
                "task_submitted",
                "task_started",
                "task_completed",
            ]


# Readers of a stream

TOKENS = 1500
WORD = "w" * 400
"""So long that few of them fill what the kernel holds: each that is sent to the one who does not
read, before that, costs something."""
SAID = " ".join([WORD] * TOKENS)
TALK = {
    **GENERATE,
    "options": {"simulate": {"text": SAID, "rate": 100_000}},
}


async def test_a_reader_of_a_stream_that_stops_reading_costs_the_task_and_its_readers_nothing():
    """One who reads is there in both; the other one's share of the work is what is measured."""
    async with small_server() as oq:
        task_id, late = "", b""

        async def work() -> None:
            with oq.queue.raw.stream(task_id) as reader:
                await oq.queue.resume()
                said = "".join([chunk.data async for chunk in reader])
            assert said == SAID
            await oq.queue.pause()

        async def pending() -> None:
            nonlocal task_id
            task_id = (
                await oq.queue.raw.submit(decode_submission(json.dumps(TALK).encode()))
            ).task_id

        @asynccontextmanager
        async def deaf() -> AsyncIterator[None]:
            nonlocal late
            request = f"GET /api/tasks/{task_id}/stream HTTP/1.0\r\nHost: localhost\r\n\r\n"
            async with connected(oq, request.encode()) as stream:
                yield
                late = b"".join([part async for part in stream])

        await oq.queue.pause()
        await check_costs_nothing(work, deaf, before=pending)
        lines = late.partition(b"\r\n\r\n")[2].splitlines()
        assert "".join(json.loads(line)["data"] for line in lines) == SAID
        assert len(lines) < TOKENS, "what came meanwhile is joined"
