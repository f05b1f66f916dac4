"""The stream of a task over HTTP: lines or events, from any offset, for any number of readers."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.http import client_stream, streaming
from oq.rules.validation import decode_submission
from tests.support.http import GENERATE, HANG, UNKNOWN, Live, api, live

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


def talk(**script: Any) -> dict[str, Any]:
    return {**GENERATE, "options": {"simulate": script}}


def lines(body: bytes) -> list[dict[str, Any]]:
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


def text(chunks: list[dict[str, Any]]) -> str:
    """What a reader ends up with who obeys `restart`."""
    said = ""
    for chunk in chunks:
        said = "" if chunk.get("restart") else said + chunk["data"]
    return said


async def submit(oq: Live, task: dict[str, Any]) -> str:
    accepted = await oq.queue.raw.submit(decode_submission(json.dumps(task).encode()))
    return accepted.task_id


async def running(oq: Live, **script: Any) -> str:
    """A task that has said something and goes on."""
    task_id = await submit(oq, talk(**script))
    with oq.queue.raw.stream(task_id) as reader:
        await reader.receive()
    return task_id


async def idle(oq: Live) -> bool:
    """Whether no answer is under way, once all that is due has happened."""
    await wait_all_tasks_blocked(0.02)
    return not oq.app.context._at_close


async def test_lines_of_a_task_that_has_ended():
    async with api() as oq:
        task_id = await oq.submit(talk(text="a b c"))
        await oq.ended(task_id)
        reply = await oq.get(f"/api/tasks/{task_id}/stream")
        assert (reply.status, reply.headers["Content-Type"]) == (200, NDJSON)
        *said, last = lines(reply.body)
        assert text(said) == "a b c"
        assert said[0].keys() == {"data", "offset", "done", "attempt"}
        assert (last["done"], last["status"], last["offset"]) == (True, "completed", 4)
        rest = await oq.get(f"/api/tasks/{task_id}/stream?offset=2&attempt={last['attempt']}")
        assert text(lines(rest.body)) == " c"
        other = lines((await oq.get(f"/api/tasks/{task_id}/stream?offset=2&attempt=1")).body)
        assert (other[0]["restart"], other[0]["offset"], text(other)) == (True, 0, "a b c")


async def test_events_of_a_task_that_has_ended():
    async with api() as oq:
        task_id = await oq.submit(talk(text="a b c", thinking="hm"))
        await oq.ended(task_id)
        reply = await oq.get(f"/api/tasks/{task_id}/stream", Accept=SSE)
        assert reply.headers["Content-Type"] == SSE
        blocks = reply.body.decode().removesuffix("\n\n").split("\n\n")
        for block in blocks:
            name, data = block.split("\n")
            chunk = json.loads(data.removeprefix("data: "))
            assert name == f"id: {chunk['attempt']}.{chunk['offset']}"
        seen = f"{chunk['attempt']}.2"
        headers = {"Accept": SSE, "Last-Event-ID": seen}
        rest = await oq.call("GET", f"/api/tasks/{task_id}/stream?offset=0", None, headers)
        data = [line for line in rest.body.decode().split("\n") if line.startswith("data: ")]
        assert text([json.loads(line[6:]) for line in data]) == " c"


async def test_a_head_says_no_length_of_what_has_none():
    async with live() as oq:
        task_id = await submit(oq, GENERATE)
        for path in (f"/api/tasks/{task_id}/stream", "/api/events"):
            ask = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n"
            last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            answer = await oq.talk(f"{ask}\r\n{last}".encode())
            first, second = answer.split(b"HTTP/1.1 200 OK")[1:]
            assert b"content-length" not in first.lower()
            assert second.endswith(b'{"status":"ok"}')


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("", NDJSON),
        ("*/*", NDJSON),
        ("application/json", NDJSON),
        (NDJSON, NDJSON),
        (SSE, SSE),
        (f"{SSE}, */*;q=0.1", SSE),
        (f"{SSE};q=0.5, {NDJSON}", NDJSON),
    ],
)
async def test_the_form_follows_accept(accept: str, given: str):
    async with api() as oq:
        task_id = await oq.submit()
        await oq.ended(task_id)
        reply = await oq.get(f"/api/tasks/{task_id}/stream", Accept=accept)
        assert reply.headers["Content-Type"] == given


@pytest.mark.parametrize(
    ("query", "seen", "named"),
    [
        ("offset=-1", "", "offset: -1"),
        ("offset=x", "", "offset: 'x'"),
        ("offset=1.5", "", "offset: '1.5'"),
        (f"offset={2**53 + 1}", "", f"offset: {2**53 + 1}"),
        (f"offset={10**30}", "", "offset: '1000"),
        ("offset=1&offset=2", "", "offset"),
        ("attempt=-1", "", "attempt: -1"),
        ("attempt=x", "", "attempt: 'x'"),
        (f"attempt={2**53 + 1}", "", f"attempt: {2**53 + 1}"),
        ("from=1", "", "from"),
        ("", "7", "Last-Event-ID: '7'"),
        ("", "x.1", "Last-Event-ID: 'x'"),
        ("", "1.", "Last-Event-ID: ''"),
        ("", "1.-1", "Last-Event-ID: -1"),
        ("", "1.2.3", "Last-Event-ID: '2.3'"),
    ],
)
async def test_a_wrong_place_is_refused(query: str, seen: str, named: str):
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        headers = {"Last-Event-ID": seen} if seen else {}
        reply = await oq.call("GET", f"/api/tasks/{task_id}/stream?{query}", None, headers)
        assert reply.status == 400
        assert named in reply.error


async def test_the_largest_place_is_taken():
    async with api() as oq:
        task_id = await oq.submit()
        await oq.ended(task_id)
        reply = await oq.get(f"/api/tasks/{task_id}/stream?offset={2**53}")
        assert [chunk["done"] for chunk in lines(reply.body)] == [True]


@pytest.mark.parametrize("task_id", [UNKNOWN, "x"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_no_such_task(method: str, task_id: str):
    async with live() as oq, httpx.AsyncClient() as client:
        reply = await client.request(method, f"{oq.url}/api/tasks/{task_id}/stream")
        assert reply.status_code == 404


@pytest.mark.parametrize("path", ["/api/tasks/ID/stream", "/api/events"])
async def test_a_head_is_answered_and_holds_nothing(path: str):
    async with live(paused=True) as oq, httpx.AsyncClient() as client:
        task_id = await submit(oq, GENERATE)
        with trio.fail_after(5):
            reply = await client.head(oq.url + path.replace("ID", task_id))
            again = await client.get(f"{oq.url}/healthz")
        assert (reply.status_code, reply.content, again.status_code) == (200, b"", 200)
        assert await idle(oq)


@pytest.mark.parametrize("accept", [NDJSON, SSE])
async def test_several_read_at_once_and_each_gets_all(accept: str):
    said = " ".join(map(str, range(40)))
    async with live() as oq, httpx.AsyncClient() as client:
        task_id = await running(oq, text=said, rate=200)
        bodies: list[str] = []

        async def read() -> None:
            reply = await client.get(
                f"{oq.url}/api/tasks/{task_id}/stream", headers={"Accept": accept}
            )
            bodies.append(reply.text)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(read)
        for body in bodies:
            data = [line.removeprefix("data: ") for line in body.split("\n") if "{" in line]
            assert text([json.loads(one) for one in data]) == said


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_chunks_come_as_they_are_generated(version: str):
    """HTTP/1.0 has no chunked coding: it goes the ordinary way, and is ended by the connection."""
    async with live() as oq, await oq.connect() as stream:
        task_id = await submit(oq, talk(text="a b", fault="hang", at=1))
        await stream.send_all(
            f"GET /api/tasks/{task_id}/stream HTTP/{version}\r\nHost: localhost\r\n\r\n".encode()
        )
        got = b""
        with trio.fail_after(5):
            while b'"data":"a' not in got:
                got += await stream.receive_some()
            assert b'"done":true' not in got
            await oq.queue.cancel(task_id)
            while b'"done":true' not in got:
                got += await stream.receive_some()
        assert b'"status":"cancelled"' in got
        assert (b"chunked" in got) == (version == "1.1")


async def test_the_connection_serves_on_after_a_stream():
    async with live() as oq, await oq.connect() as stream:
        task_id = await submit(oq, GENERATE)
        request = f"GET /api/tasks/{task_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with trio.fail_after(5):
            for _ in range(3):
                await stream.send_all(request)
                got = b""
                while not got.endswith(b"\r\n0\r\n\r\n"):
                    got += await stream.receive_some()
                assert got.startswith(b"HTTP/1.1 200")
                assert b'"status":"completed"' in got


async def test_quiet_events_are_kept_alive_and_lines_are_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streaming, "SSE_KEEPALIVE", 0.02)
    async with live(paused=True) as oq, httpx.AsyncClient() as client:
        where = f"{oq.url}/api/tasks/{await submit(oq, GENERATE)}/stream"
        async with (
            client.stream("GET", where) as plain,
            client.stream("GET", where, headers={"Accept": SSE}) as events,
        ):
            said = events.aiter_lines()
            with trio.fail_after(5):
                quiet = [await anext(said) for _ in range(4)]
                await oq.queue.resume()
                rest = [line async for line in said]
                assert all([json.loads(line) async for line in plain.aiter_lines()])
        assert quiet == [": nothing happened", "", ": nothing happened", ""]
        assert any('"done":true' in line for line in rest)


async def test_who_hangs_up_lets_go_of_the_reader():
    async with live(queue={"drain_timeout": 0}) as oq:
        task_id = await submit(oq, HANG)
        for _ in range(3):
            async with await oq.connect() as stream:
                await stream.send_all(
                    f"GET /api/tasks/{task_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                )
                await stream.receive_some()
                assert not await idle(oq)
            assert await idle(oq)


async def test_the_server_ends_streams_with_what_is_due():
    async with live(queue={"drain_timeout": 0}) as oq, httpx.AsyncClient() as client:
        task_id = await submit(oq, talk(text="a b", fault="hang", at=1))
        where = f"{oq.url}/api/tasks/{task_id}/stream"
        async with client.stream("GET", where) as reply:
            said = reply.aiter_lines()
            with trio.fail_after(5):
                first = json.loads(await anext(said))
                await oq.queue.drain()
                oq.app.context.close()
                assert [line async for line in said] == []
        assert (first["data"], first["done"]) == ("a", False)
        refused = await client.get(where)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)


async def test_the_end_of_a_task_is_told_though_the_server_closes():
    async with live() as oq, httpx.AsyncClient() as client:
        task_id = await submit(oq, HANG)
        async with client.stream("GET", f"{oq.url}/api/tasks/{task_id}/stream") as reply:
            await oq.queue.cancel(task_id)
            oq.app.context.close()
            with trio.fail_after(5):
                (last,) = [json.loads(line) async for line in reply.aiter_lines()]
        assert (last["done"], last["status"]) == (True, "cancelled")


async def test_a_task_that_is_deleted_under_a_reader_ends_its_stream():
    async with live(paused=True) as oq, httpx.AsyncClient() as client:
        task_id = await submit(oq, GENERATE)
        async with client.stream("GET", f"{oq.url}/api/tasks/{task_id}/stream") as reply:
            await oq.queue.cancel(task_id)
            await oq.queue.delete(task_id)
            with trio.fail_after(5):
                said = [json.loads(line) async for line in reply.aiter_lines()]
        assert [chunk["done"] for chunk in said] in ([], [True])


async def test_one_that_stops_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_stream, "SEND_TIMEOUT", 0.2)
    async with live() as oq, await oq.connect() as deaf:
        size = 8_000_000  # more than the kernel takes for one who does not read
        task_id = await submit(oq, talk(text="x" * size))
        await oq.queue.raw.get(task_id, wait=10)
        await deaf.send_all(
            f"GET /api/tasks/{task_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        with trio.fail_after(5):
            got = len(await deaf.receive_some(100))
            while not await idle(oq):
                pass
            with suppress(trio.BrokenResourceError):
                while received := await deaf.receive_some(1 << 20):
                    got += len(received)
        assert got < size


@pytest.mark.parametrize("said", [f"{'x' * 99} " * 3000 + "end", "x" * 300_000])
@pytest.mark.parametrize("way", ["live", "afterwards", "events", "call"])
async def test_no_reader_is_given_more_than_a_bounded_piece_at_once(
    way: str, said: str, monkeypatch: pytest.MonkeyPatch
):
    """Of an answer of 300 kB, in many chunks or in one."""
    sizes: list[int] = []
    send = client_stream.ClientStream.send

    async def noted(self: client_stream.ClientStream, data: bytes) -> bool:
        sizes.append(len(data))
        return await send(self, data)

    monkeypatch.setattr(client_stream.ClientStream, "send", noted)
    async with live() as oq, httpx.AsyncClient(timeout=20) as client:
        script = {"simulate": {"text": said}}
        if way == "call":
            ask = {"model": "m", "prompt": "hello", "options": script}
            reply = await client.post(f"{oq.url}/api/generate", json=ask)
        else:
            task_id = await submit(oq, {**GENERATE, "options": script})
            if way != "live":
                await oq.queue.raw.get(task_id, wait=20)
            accept = {"Accept": SSE if way == "events" else NDJSON}
            reply = await client.get(f"{oq.url}/api/tasks/{task_id}/stream", headers=accept)
    found = [line[line.index("{") :] for line in reply.text.split("\n") if "{" in line]
    name = "response" if way == "call" else "data"
    assert "".join(json.loads(line)[name] for line in found) == said
    assert max(sizes) <= 2 * 64 * 1024
