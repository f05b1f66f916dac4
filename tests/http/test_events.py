"""The live feed as subscribers see it, over WebSocket and as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from trio_websocket import WebSocketConnection, open_websocket_url

from oq.http import client_stream, connection, events, streaming
from oq.rules.validation import decode_submission
from tests.support.http import GENERATE, UNKNOWN, Live, api, live

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TASK = json.dumps(GENERATE).encode()


@asynccontextmanager
async def websocket(oq: Live, query: str = "") -> AsyncIterator[WebSocketConnection]:
    url = oq.url.replace("http", "ws") + "/ws" + query
    with trio.fail_after(10):
        async with open_websocket_url(url) as socket:
            yield socket


async def items(socket: WebSocketConnection) -> list[dict[str, Any]]:
    """What the next frame carries."""
    frame = json.loads(await socket.get_message())
    if isinstance(frame, list):
        assert len(frame) > 1, "an array is for several"
        return frame
    return [frame]


async def until(socket: WebSocketConnection, kind: str) -> list[dict[str, Any]]:
    """All that comes up to the first event of a type."""
    seen: list[dict[str, Any]] = []
    while not any(item["type"] == kind for item in seen):
        seen += await items(socket)
    return seen


async def run_one(oq: Live) -> str:
    accepted = await oq.queue.raw.submit(decode_submission(TASK))
    await oq.queue.raw.get(accepted.task_id, wait=10)
    await wait_all_tasks_blocked()  # until subscribers know it, too
    return accepted.task_id


async def test_hello_and_then_the_life_of_a_task():
    async with live() as oq, websocket(oq) as socket:
        (hello,) = await items(socket)
        assert list(hello) == ["type", "seq", "status"]
        assert (hello["type"], hello["seq"]) == ("hello", 0)
        assert hello["status"]["workers_idle"] == 4
        task_id = await run_one(oq)
        seen = await until(socket, "task_completed")
        assert [event["type"] for event in seen] == [
            "task_submitted",
            "task_started",
            "task_completed",
        ]
        assert [event["seq"] for event in seen] == [1, 2, 3]
        assert {event["task_id"] for event in seen} == {task_id}
        assert all(event["timestamp"].endswith("Z") for event in seen)


async def test_several_that_are_due_come_in_one_frame():
    async with live(paused=True) as oq, websocket(oq) as socket:
        await items(socket)
        await oq.queue.raw.submit_many([decode_submission(TASK)] * 20)
        seen = await items(socket)
        assert [event["seq"] for event in seen] == list(range(1, 21))


async def test_frames_of_every_size():
    async with live(paused=True) as oq, websocket(oq) as socket:
        await items(socket)
        for count in (1, 2, 500):
            await oq.queue.raw.submit_many([decode_submission(TASK)] * count)
            assert len(await items(socket)) == count


@pytest.mark.parametrize(("most", "size"), [(3, 1 << 20), (500, 500)])
async def test_who_is_far_behind_gets_it_in_portions(
    most: int, size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(events, "PORTION", most)
    monkeypatch.setattr(events, "PORTION_BYTES", size)
    async with live(paused=True) as oq:
        await oq.queue.raw.submit_many([decode_submission(TASK)] * 10)
        await wait_all_tasks_blocked()
        async with websocket(oq, "?after=0") as socket:
            await items(socket)
            seen: list[int] = []
            while len(seen) < 10:
                frame = await items(socket)
                assert len(frame) <= 3
                seen += [event["seq"] for event in frame]
            assert seen == list(range(1, 11))


@pytest.mark.parametrize(("most", "size"), [(3, 1 << 20), (500, 500)])
async def test_server_sent_events_come_in_portions_too(
    most: int, size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(events, "PORTION", most)
    monkeypatch.setattr(events, "PORTION_BYTES", size)
    async with live(paused=True) as oq:
        await oq.queue.raw.submit_many([decode_submission(TASK)] * 10)
        await wait_all_tasks_blocked()
        context = oq.app.context
        with context.subscribe(oq.queue.raw, None, None, 0) as feed:
            pieces = events._Pieces(oq.queue.raw, feed, resumed=True)
            await pieces.next()
            seen: list[bytes] = []
            while len(seen) < 10:
                portion = (await pieces.next()).split(b"\n\n")[:-1]
                assert len(portion) <= 3
                seen += [block.partition(b"\n")[0] for block in portion]
            assert seen == [b"id: %d" % seq for seq in range(1, 11)]
            context.close()
            assert await pieces.next() == b""


async def test_an_event_that_is_longer_than_a_portion_comes_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "PORTION_BYTES", 1)
    async with live(paused=True) as oq, websocket(oq) as socket:
        await items(socket)
        await oq.queue.raw.submit_many([decode_submission(TASK)] * 2)
        assert [len(await items(socket)) for _ in range(2)] == [1, 1]


async def test_filters_and_resuming():
    async with live() as oq:
        first, second = await run_one(oq), await run_one(oq)
        async with websocket(oq, "?after=0&types=task_completed,task_started") as socket:
            (hello,) = await items(socket)
            assert hello["seq"] == 6
            assert [event["seq"] for event in await items(socket)] == [2, 3, 5, 6]
        async with websocket(oq, f"?after=1&task_id={second}&types=task_completed") as socket:
            await items(socket)
            (event,) = await items(socket)
            assert (event["task_id"], event["seq"]) == (second, 6)
        async with websocket(oq, f"?after=4&task_id={first}") as socket:
            await items(socket)
            await oq.queue.delete(first)
            third = await run_one(oq)
            assert third
            with trio.move_on_after(0.05):
                pytest.fail(f"not this one's: {await items(socket)}")


async def test_what_is_not_kept_any_more_is_told_as_missed():
    async with live(paused=True, events={"ring": 4}) as oq:
        await oq.queue.raw.submit_many([decode_submission(TASK)] * 10)
        await wait_all_tasks_blocked()
        async with websocket(oq, "?after=3") as socket:
            assert (await items(socket))[0]["type"] == "hello"
            lagged, *kept = await items(socket)
            assert lagged == {"type": "lagged", "missed": 3}
            assert [event["seq"] for event in kept] == [7, 8, 9, 10]
        async with sse(oq, **{"Last-Event-ID": "0"}) as stream:
            await stream.next()
            fields = await stream.next()
            assert "id" not in fields, "whoever comes back is told again"
            assert json.loads(fields["data"]) == {"type": "lagged", "missed": 6}
            assert [(await stream.next())["id"] for _ in range(4)] == ["7", "8", "9", "10"]
        async with websocket(oq, "?after=99") as socket:
            await items(socket)
            await oq.queue.raw.submit(decode_submission(TASK))
            assert [event["seq"] for event in await items(socket)] == [11]


async def test_progress_is_sent_to_those_who_ask():
    talk = {**GENERATE, "options": {"simulate": {"tokens": 5, "rate": 100}}}
    async with live() as oq, websocket(oq, "?types=task_progress,task_completed") as socket:
        await items(socket)
        await oq.queue.raw.submit(decode_submission(json.dumps(talk).encode()))
        seen = await until(socket, "task_completed")
        assert seen[0]["type"] == "task_progress"
        assert seen[0]["data"]["tokens"] >= 1
        assert not oq.queue._core.hub._progress_sent, "nothing is kept of a task that has ended"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("types=task_done", "types: 'task_done'"),
        ("after=x", "after: 'x'"),
        ("after=-1", "after: -1"),
        ("task_id=x", "task_id: 'x'"),
        ("since=1", "since"),
    ],
)
async def test_a_wrong_parameter_refuses_the_websocket(query: str, named: str):
    async with live() as oq:
        reply = await oq.upgrade(f"/ws?{query}")
        assert reply.status == 400
        assert named in reply.error
        assert (await oq.upgrade("/nope")).status == 404


async def test_a_subscriber_that_leaves_makes_room_for_another():
    async with live(events={"max_subscribers": 2}) as oq, httpx.AsyncClient() as client:
        async with websocket(oq) as one, websocket(oq) as two:
            await items(one)
            await items(two)
            refused = await oq.upgrade("/ws")
            assert refused.status == 503
            assert "events.max_subscribers" in refused.error
            assert (await client.get(f"{oq.url}/api/events")).status_code == 503
        await wait_all_tasks_blocked(0.02)
        async with websocket(oq) as three:
            assert (await items(three))[0]["type"] == "hello"
        for _ in range(3):  # whoever hangs up without a farewell is noticed too
            async with await oq.connect() as stream:
                await stream.send_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await stream.receive_some()
            await wait_all_tasks_blocked(0.02)


async def test_what_a_subscriber_says_is_ignored():
    async with live() as oq, websocket(oq) as socket:
        await items(socket)
        for _ in range(50):
            await socket.send_message("x" * 1000)
        await run_one(oq)
        await until(socket, "task_completed")


async def test_a_subscriber_that_says_too_much_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "MAX_HEARD", 100_000)
    message = b"\x81\xfe" + (1000).to_bytes(2, "big") + bytes(4) + b"x" * 1000
    async with live() as oq, await oq.connect() as stream:
        await stream.send_all(HANDSHAKE)
        with trio.fail_after(10), suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(message)
        assert (await oq.upgrade("/nope")).status == 404, "the server goes on"


async def test_the_end_of_the_server_is_told():
    async with live() as oq, await oq.connect() as stream:
        await stream.send_all(HANDSHAKE)
        while b"hello" not in await stream.receive_some():
            pass
        await run_one(oq)
        await oq.queue.drain()
        oq.app.context.close()
        with trio.fail_after(1):
            rest = b"".join([chunk async for chunk in stream])
        assert b"task_completed" in rest
        shutdown_note = (1001).to_bytes(2, "big") + b"the server is shutting down"
        assert rest.endswith(bytes([0x88, len(shutdown_note)]) + shutdown_note)
        assert (await oq.upgrade("/ws")).status == 503


async def test_a_reader_that_falls_behind_is_told_and_goes_on():
    """Quart's test connection takes ten frames that nobody reads, and then blocks."""
    async with (
        api(paused=True, events={"mailbox": 5}) as oq,
        oq.app.test_client().websocket("/ws") as socket,
    ):
        assert (await socket.receive_json())["type"] == "hello"
        for _ in range(60):
            await oq.submit()
        received = missed = 0
        while received + missed < 60:
            frame = await socket.receive_json()
            for item in frame if isinstance(frame, list) else [frame]:
                if item["type"] == "lagged":
                    missed += item["missed"]
                else:
                    received += 1
        assert missed > 0
        await oq.submit()
        assert (await socket.receive_json())["seq"] == 61


async def test_one_that_stops_reading_is_cut_off_and_holds_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_stream, "SEND_TIMEOUT", 0.2)
    async with live(paused=True) as oq, await oq.connect() as deaf:
        deaf.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await deaf.send_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await deaf.receive_some(100)
        async with websocket(oq) as reader:
            await items(reader)
            seen = 0
            while len(oq.app.context._feeds) == 2:
                await oq.queue.raw.submit_many([decode_submission(TASK)] * 500)
                while seen < oq.queue.status().event_seq:
                    seen += len(await items(reader))
            assert len(oq.app.context._feeds) == 1


# Server-sent events


class Stream:
    """Server-sent events, read as a browser would read them."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def head(self) -> str:
        return await self._block(b"\r\n\r\n")

    async def next(self) -> dict[str, str]:
        block = await self._block(b"\n\n")
        fields = (line.partition(":")[::2] for line in block.splitlines())
        return {name or "comment": value.strip() for name, value in fields}

    async def event(self) -> dict[str, Any]:
        return json.loads((await self.next())["data"])

    async def _block(self, end: bytes) -> str:
        while end not in self._buffer:
            received = await self._stream.receive_some()
            if not received:
                raise EOFError
            self._buffer += received
        block, _, self._buffer = self._buffer.partition(end)
        return block.decode()


@asynccontextmanager
async def sse(oq: Live, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    lines = [f"GET /api/events{query} HTTP/1.0", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with trio.fail_after(10):
        async with await oq.connect() as stream:
            await stream.send_all("\r\n".join([*lines, "\r\n"]).encode())
            feed = Stream(stream)
            head = await feed.head()
            assert head.startswith("HTTP/1.1 200 ")
            assert "content-type: text/event-stream" in head
            yield feed


async def test_server_sent_events():
    async with live() as oq, sse(oq) as stream:
        hello = await stream.next()
        assert hello["retry"] == "2000"
        assert hello["id"] == "0"
        assert json.loads(hello["data"])["type"] == "hello"
        await run_one(oq)
        for seq, kind in enumerate(("task_submitted", "task_started", "task_completed"), 1):
            fields = await stream.next()
            assert fields["id"] == str(seq)
            assert json.loads(fields["data"])["type"] == kind


async def test_last_event_id_resumes_and_beats_the_address():
    async with live() as oq:
        await run_one(oq)
        async with sse(oq, "?after=0", **{"Last-Event-ID": "2"}) as stream:
            hello = await stream.next()
            assert "id" not in hello, "what comes before it has not been seen yet"
            assert (await stream.event())["seq"] == 3
        async with httpx.AsyncClient() as client:
            for bad in ("x", "-1", "1.5"):
                reply = await client.get(f"{oq.url}/api/events", headers={"Last-Event-ID": bad})
                assert reply.status_code == 400
                assert "Last-Event-ID" in reply.json()["error"]


async def test_a_quiet_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streaming, "SSE_KEEPALIVE", 0.02)
    async with live() as oq, sse(oq) as stream:
        await stream.next()
        assert "comment" in await stream.next()
        assert "comment" in await stream.next()
        await run_one(oq)
        while "data" not in (fields := await stream.next()):
            pass
        assert json.loads(fields["data"])["seq"] == 1


async def test_the_stream_ends_with_the_server_after_what_is_due():
    async with live() as oq, sse(oq, "?types=task_completed") as stream:
        await stream.next()
        await run_one(oq)
        oq.app.context.close()
        assert (await stream.event())["type"] == "task_completed"
        with pytest.raises(EOFError):
            await stream.next()


async def test_unknown_ids_are_only_quiet():
    async with live() as oq, sse(oq, f"?task_id={UNKNOWN}") as stream:
        assert (await stream.event())["type"] == "hello"
