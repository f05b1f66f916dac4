"""Backends that do not answer as they should: their callers are told what went wrong, readably."""

from __future__ import annotations

import gzip
import json
from contextlib import asynccontextmanager, suppress

import httpx
import openai
import pytest
import structlog
import trio

from tests.support.gateway import CHAT, QUICK, said, site

KEY = "sk-very-secret-0123456789"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}'
LINE = b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false}'
ERROR = b'{"error":{"message":"kaput"}}'
PATHS = ["/api/chat", "/v1/chat/completions"]


@asynccontextmanager
async def lying(answer: bytes, kind: str = "ollama", **sections):
    """oq before a backend that says just this to everything, and hangs up. It must be below 500:
    with more the backend counts as down, and calls wait.
    """

    async def tell(stream: trio.SocketStream) -> None:
        async with stream:
            # Who has had enough of it resets the connection.
            with suppress(trio.BrokenResourceError):
                await answer_to(stream)

    async def answer_to(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        await stream.send_all(answer)
        await stream.send_eof()
        while await stream.receive_some(10_000):
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            trio.serve_listeners, tell, await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        backend = {"name": "b", "kind": kind, "url": f"127.0.0.1:{port}", "api_key": KEY}
        retries = {**QUICK, "max_retries": 0}
        async with site(retry_config=retries, backends=[backend], **sections) as here:
            yield here
        nursery.cancel_scope.cancel()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "last", [EVENT, EVENT + b"\n", EVENT + b"\r\n", b"data: " + ERROR, b"data: " + ERROR + b"\n"]
)
async def test_an_error_after_half_an_event_reaches_openais_client(last):
    async with lying(http(EVENT + b"\n\n" + last)) as here:
        url = f"{here.oq.base_url}/v1"

        def read() -> None:
            with openai.OpenAI(base_url=url, api_key="-", max_retries=0) as client:
                for _ in client.chat.completions.create(**CHAT, stream=True):
                    pass

        with pytest.raises(openai.APIError, match=r"kaput|ended before done"):
            await trio.to_thread.run_sync(read)


@pytest.mark.parametrize("last", [LINE, LINE + b"\r\n", b'{"error":"kaput"}'])
async def test_an_error_after_half_a_line_is_a_line(last):
    async with lying(http(LINE + b"\n" + last)) as here:
        answer = await here.oq.post("/api/chat", json=CHAT)
        assert said(answer.content)[-1]["error"] in ("kaput", "the stream ended before done")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_server_that_streams_nothing_is_heard_too(stream):
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    whole = json.dumps({"object": "chat.completion", "choices": [choice]}, indent=1).encode()
    async with lying(http(whole)) as here:
        answer = await here.oq.post(PATHS[1], json={**CHAT, "stream": stream})
        assert (answer.status_code, answer.json()) == (200, json.loads(whole))
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_an_error_that_is_said_under_200(path, stream):
    async with lying(http(ERROR)) as here:
        answer = await here.oq.post(path, json={**CHAT, "stream": stream})
        assert answer.status_code == 500
        assert b"kaput" in answer.content


@pytest.mark.parametrize("status", ["302 Found", "304 Not Modified"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_redirect_is_not_the_callers(path, status):
    async with lying(http(b"", status, "Location: http://elsewhere/", "Content-Length: 0")) as here:
        answer = await here.oq.post(path, json=CHAT)
        assert answer.status_code == 502
        assert f"answered {status[:3]}" in str(answer.json()["error"])


async def test_a_compressed_error_is_bounded_too():
    packed = gzip.compress(b"x" * 10_000_000)
    async with lying(http(packed, "400 Oops", "Content-Encoding: gzip")) as here:
        answer = await here.oq.post("/api/chat", json=CHAT)
        assert answer.status_code == 400
        assert 1000 < len(answer.content) < 2_000_000


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models"])
@pytest.mark.parametrize("packed", [False, True])
async def test_the_key_of_a_backend_is_not_passed_on(path, packed):
    refusal = json.dumps({"error": f"no such key: {KEY}"}).encode()
    encoding = ["Content-Encoding: gzip"] if packed else []
    body = gzip.compress(refusal) if packed else refusal
    async with lying(http(body, "401 Unauthorized", *encoding)) as here:
        answer = await here.oq.get(path)
        assert (answer.status_code, answer.json()) == (401, {"error": "no such key: ***"})
        assert KEY not in str(answer.headers)


async def test_a_passed_body_that_is_cut_is_a_line_in_the_log():
    async with lying(http(b"half", "200 OK", "Content-Length: 100")) as here:
        with structlog.testing.capture_logs() as lines, pytest.raises(httpx.RemoteProtocolError):
            await here.oq.get("/api/tags")
    assert ("warning", "GET /api/tags") in [(one["log_level"], one.get("request")) for one in lines]
    assert not [line for line in lines if line["log_level"] == "error" or "exc_info" in line]
