"""Bodies that oq cannot read: the backend gets them all the same, and its answer comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from oq.words.config import Config
from tests.support.gateway import CHAT, Site, site

ODD = {
    "latin-1": b'{"model":"m","stream":false,"messages":[{"role":"user","content":"caf\xe9"}]}',
    "other case": b'{"Model":"m","STREAM":false,"Messages":[{"role":"user","content":"x"}]}',
    "twice": b'{"model":"n","stream":false,"model":"m","messages":[{"role":"user","content":"x"}]}',
    "second value": b'{"model":"m","stream":false,"messages":[]}{"model":"n"}',
    "words behind": b'{"model":"m","stream":false,"messages":[]} and more',
    "half a pair": b'{"model":"m","stream":false,"messages":[{"role":"user","content":"\\ud83e"}]}',
    "null": b"null",
    "empty": b"",
    "cut": b'{"model":"m","stream":fal',
    "no JSON": b"hello",
    "a list": b"[1,2]",
    "no model": b'{"messages":[{"role":"user","content":"x"}]}',
    "a number": b'{"model":7,"messages":[]}',
    "stream is a text": b'{"model":"m","stream":"yes","messages":[]}',
    "long model": b'{"model":"%b","messages":[]}' % (b"m" * 10_000),
    "unprintable model": b'{"model":"a\\u0000\\n\\u200b","messages":[]}',
}


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in ODD.items()])
async def test_the_backend_gets_the_bytes_and_its_answer_comes_back(path: str, body: bytes):
    async with site() as here:
        direct, through = await here.both("POST", path, content=body)
        assert here.bodies(path) == [body, body]
        assert through.status_code == direct.status_code
        if direct.status_code != 200:
            assert through.content == direct.content
            assert through.headers["Content-Type"] == direct.headers["Content-Type"]
        task = await here.task(through)
        assert task["status"] == ("completed" if direct.status_code == 200 else "failed")
        assert len(task.get("attempts", ())) <= 1
        assert (await here.oq.get("/api/tasks", params={"view": "summary"})).status_code == 200


async def test_a_call_without_a_model_runs_where_a_server_needs_none():
    """A llama.cpp server has one model, and takes calls that name none."""
    async with site(kind="openai") as here:
        direct, through = await here.both("POST", "/v1/embeddings", json={"input": "x"})
        assert through.status_code == direct.status_code
        assert (await here.task(through))["model"] == ""


TYPES = [
    None,
    "text/plain",
    "application/json; charset=latin-1",
    "application/x-www-form-urlencoded",
]


@pytest.mark.parametrize("kind", TYPES)
async def test_the_content_type_is_the_backends_matter(kind: str | None):
    headers = {} if kind is None else {"Content-Type": kind}
    async with site() as here:
        body = json.dumps(CHAT).encode()
        direct, through = await here.both("POST", "/api/chat", content=body, headers=headers)
        assert (through.status_code, direct.status_code) == (200, 200)


async def parts_of(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10):
        yield body[start : start + 10]


async def test_a_body_in_chunks():
    async with site() as here:
        body = json.dumps(CHAT).encode()
        answer = await here.oq.post("/api/chat", content=parts_of(body))
        assert answer.status_code == 200
        assert here.bodies("/api/chat") == [body]


def photos(size: int) -> dict[str, Any]:
    said = {"role": "user", "content": "x", "images": ["A" * (size // 5)] * 5}
    return {"model": "m", "messages": [said], "stream": False}


async def refused_above(here: Site, limit: int) -> None:
    answer = await here.oq.post("/api/chat", json=photos(limit + 1000))
    assert answer.status_code == 413
    assert "queue.max_payload" in answer.json()["error"]


async def test_five_photos_of_a_phone_are_one_call():
    assert Config().queue.max_payload == 64 * 1024 * 1024
    async with site() as here:
        answer = await here.oq.post("/api/chat", json=photos(20 * 1024 * 1024), timeout=60)
        assert answer.status_code == 200
        assert len(here.bodies("/api/chat")[0]) > 20 * 1024 * 1024


async def test_a_call_has_a_bound_and_it_is_a_setting():
    async with site(queue={"max_payload": 100_000}) as here:
        assert (await here.oq.post("/api/chat", json=photos(50_000))).status_code == 200
        await refused_above(here, 100_000)
