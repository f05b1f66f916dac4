"""Every request passes the door, which makes it, with its caller."""

from __future__ import annotations

import json

import pytest

from oq.http.door import Door
from oq.http.request import Request
from oq.queue import RawQueue
from oq.words.caller import Caller
from tests.support.http import GENERATE, live

LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CALL = {"model": "m", "prompt": "hello", "stream": False}


@pytest.mark.parametrize(
    ("name", "method", "path", "headers", "body"),
    [
        ("fast path", "POST", "/api/tasks", {}, GENERATE),
        ("past it", "POST", "/api/tasks", {"X-Odd": "é"}, GENERATE),
        ("own", "GET", "/api/tasks", {}, None),
        ("call", "POST", "/api/generate", {}, CALL),
        ("odd call", "POST", "/api/generate", {"X-Odd": "\t1"}, CALL),
        ("passed on", "GET", "/api/version", {}, None),
    ],
)
async def test_each_request_is_made_once_and_knows_its_caller(
    name: str,
    method: str,
    path: str,
    headers: dict[str, str],
    body: object,
    monkeypatch: pytest.MonkeyPatch,
):
    made: list[Request] = []
    enter = Door.enter

    def noted(self: Door, *given: object) -> Request:
        made.append(enter(self, *given))
        return made[-1]

    monkeypatch.setattr(Door, "enter", noted)
    text = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{header}: {value}" for header, value in headers.items()]
    lines += [f"Content-Length: {len(text)}", "", ""]
    async with live() as oq:
        answer = await oq.talk("\r\n".join(lines).encode() + text + LAST)
    assert answer.startswith(b"HTTP/1.1 20")
    request, last = made
    assert last.where == "GET /healthz"
    assert ("asgi" not in request.scope) == (name in ("fast path", "call"))
    assert request.where == f"{method} {path}"
    assert request.caller == Caller(address="127.0.0.1")
    assert isinstance(request.queue, RawQueue)
