"""Every answer that is an error: its status, and a message that says what to do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from oq.http import request_body
from oq.queue import RawQueue
from oq.rules.validation import decode_submission
from oq.words.errors import QueueFull, StoreCorrupt, StoreFull, Unavailable
from tests.support.http import GENERATE, UNKNOWN, api, live


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "sing"}, "type: 'sing'"),
        ({"type": 7}, "type"),
        ({"type": None}, "type"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "a\nb"}, "model"),
        ({"priority": 101}, "priority: '101'"),
        ({"priority": -1}, "priority"),
        ({"priority": "urgent"}, "priority: 'urgent'"),
        ({"priority": 1.5}, "priority"),
        ({"payload": "text"}, "payload"),
        ({"payload": []}, "payload"),
        ({"payload": {"prompt": 7}}, "payload.prompt"),
        ({"type": "chat", "payload": {"options": {}}}, "messages"),
        ({"type": "chat", "payload": {"messages": "hi"}}, "payload.messages"),
        ({"type": "embed", "payload": {}}, "input"),
        ({"max_retries": -1}, "max_retries: -1"),
        ({"timeout": "soon"}, "timeout: 'soon'"),
        ({"timeout": 0}, "timeout"),
        ({"run_at": "tomorrow"}, "run_at: this is not a time; write 2026-01-31T12:00:00Z"),
        ({"run_at": "2026-01-31"}, "run_at: this is not a time"),
        ({"run_at": "2016-12-31T23:59:60Z"}, "run_at: this is not a time"),
        ({"run_at": 1769860800}, "run_at: this is not a time"),
        ({"run_at": "2026-01-01T00:00:00"}, "run_at: the time has no zone"),
        ({"metadata": "note"}, "metadata"),
        ({"metadata": {"a": "x" * 5000}}, "metadata"),
        ({"options": [1]}, "options"),
    ],
)
async def test_a_wrong_field_is_named(change: dict[str, object], named: str):
    async with api() as oq:
        reply = await oq.post("/api/tasks", {**GENERATE, **change})
        assert reply.status == 400
        assert named in reply.error
        assert (await oq.get("/api/tasks")).json == []


@pytest.mark.parametrize("field", ["type", "model", "payload"])
async def test_a_missing_field_is_named(field: str):
    task = {name: value for name, value in GENERATE.items() if name != field}
    async with api() as oq:
        reply = await oq.post("/api/tasks", task)
        assert reply.status == 400
        assert field in reply.error


DEEP = b"[" * 5_000_000 + b"]" * 5_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'type': 'chat'}",
        b'{"type":"chat"}{}',
        b"\xff\xfe{}",
        b'{"type":"generate","model":"m","payload":{"prompt":"\xff"}}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        DEEP,
        b'{"type":"generate","model":"m","payload":' + DEEP + b"}",
        b'{"type":"generate","model":"m","payload":{"prompt":"x","a":' + DEEP + b"}}",
    ],
    ids=lambda body: f"{body[:12]!r}({len(body)})",
)
async def test_a_body_that_is_no_task(body: bytes):
    async with api() as oq:
        for path in ("/api/tasks", "/api/tasks/batch"):
            reply = await oq.post(path, body)
            assert reply.status == 400, path
            assert reply.error
        assert (await oq.get("/api/tasks")).json == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"7", b'{"priority":null}', b'{"priority":[]}', b'{"priority":"x"}', DEEP]
)
async def test_a_body_that_is_no_priority(body: bytes):
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        reply = await oq.post(f"/api/tasks/{task_id}/priority", body)
        assert reply.status == 400
        assert reply.error


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/tasks?limit=-1", "limit: -1"),
        ("/api/tasks?limit=0", "limit: 0"),
        ("/api/tasks?limit=10001", "limit"),
        ("/api/tasks?limit=ten", "limit: 'ten'"),
        ("/api/tasks?limit=1_000", "limit"),
        ("/api/tasks?limit=%EF%BC%91", "limit"),
        ("/api/tasks?limit=99999999999999999999999", "limit"),
        ("/api/tasks?limit=1&limit=2", "limit"),
        ("/api/tasks?offset=-1", "offset: -1"),
        ("/api/tasks?offset=x", "offset: 'x'"),
        ("/api/tasks?status=foo", "status: 'foo'"),
        ("/api/tasks?status=pending,foo", "status: 'foo'"),
        ("/api/tasks?type=sing", "type: 'sing'"),
        ("/api/tasks?priority=urgent", "priority: 'urgent'"),
        ("/api/tasks?after=nonsense", "after: 'nonsense'"),
        ("/api/tasks?sttus=pending", "sttus"),
        ("/api/tasks?%FF=1", "parameter"),
        (f"/api/tasks/{UNKNOWN}?wait=abc", "wait: 'abc'"),
        (f"/api/tasks/{UNKNOWN}?wait=-1s", "wait: '-1s'"),
        (f"/api/tasks/{UNKNOWN}?weight=1", "weight"),
        ("/api/status?x=1", "x"),
        ("/api/events?types=foo", "types: 'foo'"),
        ("/api/events?after=x", "after: 'x'"),
        ("/api/events?after=-1", "after: -1"),
        ("/api/events?task_id=x", "task_id: 'x'"),
        ("/api/events?since=1", "since"),
    ],
)
async def test_a_wrong_parameter_is_named(path: str, named: str):
    async with api() as oq:
        reply = await oq.get(path)
        assert reply.status == 400, reply.body
        assert named in reply.error


async def test_a_parameter_that_a_post_does_not_have():
    async with api() as oq:
        reply = await oq.post("/api/tasks?priority=5", GENERATE)
        assert reply.status == 400
        assert "priority" in reply.error


@pytest.mark.parametrize(
    "path", ["/nope", "/api", "/api/tasks/", "/api//tasks", "/static/x", "/%00"]
)
async def test_nothing_is_there(path: str):
    async with api() as oq:
        reply = await oq.get(path)
        assert reply.status == 404
        assert "/openapi.json" in reply.error


async def test_a_method_that_is_not_taken():
    async with api() as oq:
        reply = await oq.call("PUT", "/api/tasks", b"{}")
        assert reply.status == 405
        assert "PUT" in reply.error
        assert {"GET", "POST"} <= set(reply.headers["Allow"].split(", "))


async def test_a_path_of_the_other_protocol():
    said = "was asked in the wrong way: /ws takes WebSocket"
    async with live() as oq:
        answer = await oq.talk(head("GET /ws HTTP/1.1\nHost: localhost\nConnection: close"))
        refused = await oq.upgrade("/api/status")
        assert "does not take WebSocket" in (await oq.upgrade("/api/tasks")).body.decode()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert said in answer.decode()
    assert refused.status == 400
    assert said in refused.body.decode()


async def test_a_body_over_the_limit():
    async with api(queue={"max_payload": 2000}) as oq:
        for path in ("/api/tasks", "/api/tasks/batch"):
            reply = await oq.post(path, b" " * 2001)
            assert reply.status == 413
            assert "2000" in reply.error
            assert "queue.max_payload" in reply.error


async def test_a_full_queue_says_when_to_come_back():
    async with api(paused=True, queue={"max_pending": 2}) as oq:
        await oq.submit()
        await oq.submit()
        for reply in (
            await oq.post("/api/tasks", GENERATE),
            await oq.post("/api/tasks/batch", [GENERATE]),
        ):
            assert reply.status == 429
            assert "queue.max_pending" in reply.error
            assert int(reply.headers["Retry-After"]) >= 1


async def test_retry_after_is_never_less_than_the_queue_asks(monkeypatch: pytest.MonkeyPatch):
    async with api() as oq:

        async def full(*_: object, **__: object) -> None:
            raise QueueFull(2, 7.4)

        monkeypatch.setattr(RawQueue, "submit", full)
        assert (await oq.post("/api/tasks", GENERATE)).headers["Retry-After"] == "8"


@pytest.mark.parametrize("error", [Unavailable("the disk is slow"), StoreFull("the disk is full")])
async def test_what_cannot_be_stored_now_is_503(error: Exception, monkeypatch: pytest.MonkeyPatch):
    async with api() as oq:

        async def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(RawQueue, "submit", fail)
        reply = await oq.post("/api/tasks", GENERATE)
        assert reply.status == 503
        assert reply.error == str(error)
        assert int(reply.headers["Retry-After"]) >= 1


async def test_a_damaged_record_is_not_to_be_tried_again(monkeypatch: pytest.MonkeyPatch):
    async with api() as oq:

        async def fail(*_: object, **__: object) -> None:
            raise StoreCorrupt("secret detail")

        monkeypatch.setattr(RawQueue, "get", fail)
        with structlog.testing.capture_logs() as lines:
            reply = await oq.get(f"/api/tasks/{UNKNOWN}")
        assert reply.status == 500
        assert reply.error == "this record cannot be read; see the log"
        assert "Retry-After" not in reply.headers
        (line,) = [line for line in lines if line["event"] == "record cannot be read"]
        assert line["error"] == "secret detail"
        assert line["request"] == f"GET /api/tasks/{UNKNOWN}"


async def test_a_bug_is_logged_under_a_reference_and_says_nothing(monkeypatch: pytest.MonkeyPatch):
    async with api() as oq:

        async def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError("secret detail")

        monkeypatch.setattr(RawQueue, "submit", fail)
        with structlog.testing.capture_logs() as lines:
            reply = await oq.post("/api/tasks", GENERATE)
        assert reply.status == 500
        assert "secret" not in reply.error
        (line,) = [line for line in lines if line["event"] == "internal error"]
        assert line["reference"] in reply.error
        assert line["request"] == "POST /api/tasks"
        assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_draining_refuses_tasks_and_says_so():
    async with api() as oq:
        await oq.queue.drain()
        for path, body in (("/api/tasks", GENERATE), ("/api/tasks/batch", [GENERATE])):
            reply = await oq.post(path, body)
            assert reply.status == 503
            assert "shutting down" in reply.error
        assert (await oq.get("/api/tasks")).status == 200


# On real sockets: what never reaches the application whole.


def head(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode() + b"\r\n\r\n"


async def test_100_megabytes_are_refused_before_they_are_read():
    async with live() as oq, await oq.connect() as stream:
        length = 100 * 1024 * 1024
        await stream.send_all(
            head(f"POST /api/tasks HTTP/1.1\nHost: localhost\nContent-Length: {length}")
        )
        sent = 0
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    nonlocal sent
                    try:
                        while sent < length:
                            await stream.send_all(bytes(1 << 16))
                            sent += 1 << 16
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        pass

                nursery.start_soon(send)
                answer = b""
                while b"}" not in answer:
                    answer += await stream.receive_some()
                nursery.cancel_scope.cancel()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"queue.max_payload" in answer
        assert sent < length


async def test_a_chunked_body_is_counted_while_it_comes():
    async with live(queue={"max_payload": 10_000}) as oq, await oq.connect() as stream:
        await stream.send_all(
            head("POST /api/tasks HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked")
        )
        with trio.fail_after(10):
            for _ in range(3):  # no last chunk: it never ends by itself
                await stream.send_all(b"1000\r\n" + b" " * 4096 + b"\r\n")
            answer = b""
            while b"}" not in answer:
                answer += await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 413 ")


async def sent_slowly(receive: Callable[[], Awaitable[object]]) -> tuple[object, str]:
    """The status and the body of the answer to a chat whose body comes like this. A mock clock and
    sockets do not go together, so this calls the application directly.
    """
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/chat",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with api() as oq:
        await oq.app(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent).decode()


async def test_a_body_that_does_not_come(autojump_clock: trio.testing.MockClock):
    status, body = await sent_slowly(trio.sleep_forever)
    assert status == 408
    assert "send the request again" in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("size", "status", "within"),
    [(request_body.BODY_PROGRESS, 200, (600, 601)), (1, 408, (60, 61))],
    ids=["a slow line", "a byte now and then"],
)
async def test_a_body_has_the_time_that_a_slow_line_takes(
    autojump_clock: trio.testing.MockClock, size: int, status: int, within: tuple[int, int]
):
    """Photos from a phone take minutes; who sends next to nothing holds no connection."""
    text = b'{"model":"m","stream":false,"messages":[{"role":"user","content":"' + b"x" * size * 12
    body = text + b'"}]}'
    parts = [body[at : at + size] for at in range(0, len(body), size)][:11]
    parts.append(body[size * 11 :])

    async def receive() -> object:
        if not parts:
            await trio.sleep_forever()
        await trio.sleep(50)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    began = trio.current_time()
    told, _ = await sent_slowly(receive)
    assert told == status
    assert within[0] <= trio.current_time() - began < within[1]


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET /" + "x" * 120_000 + " HTTP/1.1\nHost: localhost", 431),
        ("GET / HTTP/1.1\nHost: localhost\nX: " + "x" * 120_000, 431),
        ("nonsense", 400),
        ("GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1\nHost: a\nHost: b", 400),
        ("GET ?x HTTP/1.1\nHost: localhost\nConnection: close", 400),
        ("OPTIONS * HTTP/1.1\nHost: localhost\nConnection: close", 400),
        ("POST /api/tasks HTTP/1.1\nHost: localhost\nContent-Length: x", 400),
        ("GET /ws HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: upgrade", 400),
    ],
)
async def test_a_request_that_is_none(request_head: str, status: int):
    async with live() as oq:
        answer = await oq.talk(head(request_head))
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]


async def test_a_handshake_that_breaks_its_protocol_ends_only_its_connection():
    async with live() as oq:
        broken = head(
            "GET /ws HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: upgrade\n"
            "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAA\nSec-WebSocket-Protocol: \xff"
        )
        await oq.talk(broken.replace("\xff".encode(), b"\xff"))
        answer = await oq.talk(head("GET /healthz HTTP/1.1\nHost: localhost\nConnection: close"))
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_caller_that_hangs_up_stops_waiting():
    async with live(paused=True) as oq:
        submitted = await oq.queue.raw.submit(decode_submission(json.dumps(GENERATE).encode()))
        async with await oq.connect() as stream:
            await stream.send_all(
                head(f"GET /api/tasks/{submitted.task_id}?wait=5m HTTP/1.1\nHost: localhost")
            )
            await wait_all_tasks_blocked(0.05)
            assert len(oq.app.context._at_close) == 1
        await wait_all_tasks_blocked(0.05)
        assert not oq.app.context._at_close
