"""Each kind of request that the fast path takes, on it and on the ordinary way: the same response,
byte for byte, but for the date and for what is different each time (ids and times of tasks).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from oq.dialects import ENDPOINTS
from oq.http.app import App
from tests.support.told import FAST, ORDINARY, Site, Tell, Told, backend, http, lasting_text, site
from tests.unit.dialects.samples import SAMPLES, Sample


def as_sampled(head: bytes, body: bytes) -> bytes:
    """The sample of the path that was called, as a stream if it was asked for one."""
    path = head.split()[1].partition(b"?")[0].decode()
    sample = next((each for each in SAMPLES if each.path == path), None)
    if sample is None:
        return http(b'{"models":[{"name":"m"}],"data":[{"id":"m"}]}', "application/json")
    dialect = ENDPOINTS[path].dialect
    if len(sample.answer) > 1 and b'"stream":true' in body:
        kind = dialect.stream_type.decode()
        return http(b"".join(sample.answer), kind, chunked=True)
    return http(b'{"model":"m","done":true, "choices":[]}', "application/json; charset=utf-8")


Ask = Callable[[Site], Awaitable[Told]]


@pytest.fixture
def went(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that go the ordinary way."""
    seen: list[str] = []
    serve = App.asgi_app

    async def watched(app: App, scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await serve(app, scope, receive, send)

    monkeypatch.setattr(App, "asgi_app", watched)
    return seen


async def both(
    ask: Ask, went: list[str], tell: Tell = as_sampled, kind: str = "openai", **sections: Any
) -> Told:
    """The response, which is the same on both ways."""
    found = []
    async with backend(tell) as where:
        for odd in (FAST, ORDINARY):
            async with site(odd, where, kind, **sections) as here:
                went.clear()
                found.append((await ask(here)).lasting)
                assert bool(went) == (odd is ORDINARY)
    fast, ordinary = found
    assert fast.first == ordinary.first
    assert fast.body == ordinary.body
    assert fast.ended == ordinary.ended
    return fast


def kind_for(path: str) -> str:
    """A kind of backend that gets such a call as it is."""
    return "ollama" if path.startswith("/api/") else "openai"


def call(path: str, body: bytes, *fields: str) -> Ask:
    return lambda here: here.ask("POST", path, body, *fields)


def streamed(sample: Sample, yes: bool) -> bytes:
    said = json.loads(sample.body)
    return json.dumps({**said, "stream": yes}, separators=(",", ":")).encode()


JSON_SAMPLES = [each for each in SAMPLES if each.body.startswith(b"{")]


@pytest.mark.parametrize("sample", JSON_SAMPLES, ids=lambda each: each.path)
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_calls(sample: Sample, streams: bool, went: list[str]):
    told = await both(
        call(sample.path, streamed(sample, streams)), went, kind=kind_for(sample.path)
    )
    assert told.status == 200, told
    if streams and len(sample.answer) > 1:
        assert told.body.decode() == lasting_text(b"".join(sample.answer).decode())
        assert "Transfer-Encoding: chunked" in told.first


CHAT = b'{"model":"m","stream":false,"messages":[{"role":"user","content":"x"}]}'
OPENAI = "/v1/chat/completions"
STREAM = CHAT.replace(b"false", b"true")


def always(answer: bytes) -> Tell:
    """A backend that answers this to all calls, and is up."""
    return lambda head, body: answer if head[:4] == b"POST" else as_sampled(head, body)


def missing(phrase: str) -> Tell:
    return always(http(b'{"error":"no m"}', "application/json", status=f"404 {phrase}"))


EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
PICTURE = b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\ncontent-type: image/png\r\n\r\n"
OTHERWISE: dict[str, tuple[Tell, bytes]] = {
    "an unknown model": (missing("Not Found"), CHAT),
    "a phrase of its own": (missing("None Such"), CHAT),
    "no phrase": (missing(""), CHAT),
    "no body": (always(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"), CHAT),
    "a stream that breaks off": (
        always(http(EVENT, "text/event-stream", chunked=True)[:-5]),
        STREAM,
    ),
    "a whole answer that breaks off": (always(PICTURE + bytes(4000)), CHAT),
    "nothing": (always(b""), CHAT),
    "no JSON": (as_sampled, b"nonsense"),
    "an empty body": (as_sampled, b""),
}


@pytest.mark.parametrize(("tell", "body"), OTHERWISE.values(), ids=OTHERWISE.keys())
@pytest.mark.parametrize("path", ["/api/chat", OPENAI])
async def test_calls_that_end_otherwise(tell: Tell, body: bytes, path: str, went: list[str]):
    await both(call(path, body), went, tell, kind_for(path))


FIELDS: dict[str, tuple[tuple[str, ...], int]] = {
    "a priority that is none": (("X-OQ-Priority: x",), 400),
    "a flag that is none": (("X-OQ-Detach: x",), 400),
    "no time": (("X-OQ-Timeout: 1ms",), 504),
    "a key": (("Idempotency-Key: k",), 200),
    "a key that is none": (("Idempotency-Key:",), 400),
    "a page that may": (("Origin: http://localhost:3000",), 200),
    "an end": (("Connection: close",), 200),
    "a loop": (("X-OQ-Via: MARK",), 508),
}


@pytest.mark.parametrize(("fields", "status"), FIELDS.values(), ids=FIELDS.keys())
async def test_calls_with_headers(fields: tuple[str, ...], status: int, went: list[str]):
    async def ask(here: Site) -> Told:
        if status == 504:
            await here.queue.pause()
        sent = [each.replace("MARK", here.queue.calls.mark) for each in fields]
        return await here.ask("POST", OPENAI, CHAT, *sent)

    told = await both(ask, went)
    assert told.status == status, told


async def test_a_call_for_a_queue_that_is_full(went: list[str]):
    async def ask(here: Site) -> Told:
        await here.queue.pause()
        await submitted(here)
        return await here.ask("POST", OPENAI, CHAT)

    told = await both(ask, went, queue={"max_pending": 1})
    assert told.status == 429


@pytest.mark.parametrize("streams", [True, False])
async def test_a_response_in_the_background(streams: bool, went: list[str]):
    body = json.dumps({"model": "m", "input": "x", "background": True, "stream": streams})
    told = await both(call("/v1/responses", body.encode()), went)
    assert told.status == 200


async def test_a_caller_that_is_told_its_place(went: list[str]):
    async def ask(here: Site) -> Told:
        await here.queue.pause()
        body = CHAT.replace(b"false", b"true")
        return await here.ask("POST", OPENAI, body, "X-OQ-Progress: true", until=b"position")

    assert b"position" in (await both(ask, went)).body


# -- oq's own


async def submitted(here: Site) -> str:
    """The id of a task."""
    task = {"type": "generate", "model": "m", "payload": {"prompt": "x"}}
    return json.loads((await here.ask("POST", "/api/tasks", json.dumps(task).encode())).body)[
        "task_id"
    ]


async def ended(here: Site) -> str:
    """The id of a task that has ended."""
    task_id = await submitted(here)
    await here.queue.raw.get(task_id, wait=10)
    return task_id


def generated(head: bytes, body: bytes) -> bytes:
    """What a task of oq's own asks for: a stream of two parts."""
    if b"POST" not in head:
        return as_sampled(head, body)
    lines = b"".join(
        b'{"model":"m","created_at":"","response":"%b","done":%b,"eval_count":2}\n' % each
        for each in ((b"one ", b"false"), (b"two", b"true"))
    )
    return http(lines, "application/x-ndjson", chunked=True)


READ: dict[str, tuple[str, tuple[str, ...], int]] = {
    "a task": ("/api/tasks/ID", (), 200),
    "a task, once it has ended": ("/api/tasks/ID?wait=5s", (), 200),
    "a task that is not there": ("/api/tasks/01990000-0000-7000-8000-000000000000", (), 404),
    "a time that is none": ("/api/tasks/ID?wait=x", (), 400),
    "a parameter that is none": ("/api/tasks/ID?weit=5", (), 400),
    "a parameter twice": ("/api/tasks/ID?wait=5&wait=6", (), 400),
    "a stream": ("/api/tasks/ID/stream", (), 200),
    "a stream, from there on": ("/api/tasks/ID/stream?offset=1&attempt=1", (), 200),
    "a stream of events": ("/api/tasks/ID/stream", ("Accept: text/event-stream",), 200),
    "a stream from nowhere": ("/api/tasks/ID/stream?offset=-1", (), 400),
    "a stream that is not there": (
        "/api/tasks/01990000-0000-7000-8000-000000000000/stream", (), 404,
    ),
    "an answer": ("/api/tasks/ID/content", (), 200),
    "a part of an answer": ("/api/tasks/ID/content", ("Range: bytes=0-3",), 206),
    "another page's": ("/api/tasks/ID", ("Origin: https://app.example",), 200),
    "the last": ("/api/tasks/ID", ("Connection: close",), 200),
}  # fmt: skip


@pytest.mark.parametrize(("target", "fields", "status"), READ.values(), ids=READ.keys())
async def test_reading(target: str, fields: tuple[str, ...], status: int, went: list[str]):
    async def ask(here: Site) -> Told:
        return await here.ask("GET", target.replace("ID", await ended(here)), None, *fields)

    sections = {"server": {"allowed_origins": ["https://app.example"]}}
    told = await both(ask, went, generated, "ollama", **sections)
    assert told.status == status, told


async def test_the_feed_of_events(went: list[str]):
    async def ask(here: Site) -> Told:
        await ended(here)
        return await here.ask("GET", "/api/events?after=0", until=b"task_completed")

    told = await both(ask, went, generated, "ollama")
    assert "content-type: text/event-stream" in told.first


async def test_a_feed_that_is_full_ends_the_connection(went: list[str]):
    async def ask(here: Site) -> Told:
        async with await here.connect() as stream:
            await stream.send_all(here.request("GET", "/api/events"))
            assert await stream.receive_some()
            return await here.ask("GET", "/api/events")

    told = await both(ask, went, events={"max_subscribers": 1})
    assert told.status == 503
    assert "connection: close" in told.first
