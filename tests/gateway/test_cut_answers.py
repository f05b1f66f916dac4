"""What a backend cuts, its caller sees cut. Only a stream of frames has a place for an error, and
an end behind it: an answer of any other kind that were ended well would pass for whole.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.gateway.test_liars import lying
from tests.support.told import FAST, ORDINARY, Site, backend, http, site

SPEECH = b'{"model":"m","input":"x","voice":"v"}'
PULL = b'{"model":"m"}'
CHAT = b'{"model":"m","stream":true,"messages":[]}'
MODELS = b'{"models":[{"name":"m"},'
LINE = b'{"status":"pulling manifest"}\n'
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
WAYS = pytest.mark.parametrize("odd", [FAST, ORDINARY], ids=["fast", "ordinary"])


def cut(body: bytes, kind: str, *more: str) -> bytes:
    """An answer of one chunk, whose end does not come."""
    head = ["HTTP/1.1 200 OK", f"content-type: {kind}", "transfer-encoding: chunked", *more]
    return "\r\n".join([*head, "", ""]).encode() + b"%x\r\n%b\r\n" % (len(body), body)


@asynccontextmanager
async def cutting(path: str, answer: bytes, odd: str) -> AsyncIterator[Site]:
    """oq before a backend that answers so by this path, and well by any other."""

    def tell(head: bytes, body: bytes) -> bytes:
        return answer if b" %b " % path.encode() in head else http(b"{}", "application/json")

    kind = "openai" if path.startswith("/v1/audio") else "ollama"
    async with (
        backend(tell) as where,
        site(odd, where, kind, gateway={"allow_admin": True}) as here,
    ):
        yield here


CUT = {
    "a list": ("GET", "/api/tags", None, cut(MODELS, "application/json")),
    "no type": ("GET", "/api/tags", None, cut(MODELS, "")),
    "a page": ("GET", "/v1/models", None, cut(b"<html>", "text/html")),
    "lines of another API": ("GET", "/v1/models", None, cut(MODELS, "application/x-ndjson")),
    "sound": ("POST", "/v1/audio/speech", SPEECH, cut(b"RIFF" * 9, "audio/wav")),
    "a text": ("POST", "/v1/audio/speech", SPEECH, cut(b"so it", "text/plain")),
    "a lie": ("POST", "/api/pull", PULL, cut(LINE, "text/plain; is=application/x-ndjson")),
}


@WAYS
@pytest.mark.parametrize(("method", "path", "body", "answer"), CUT.values(), ids=CUT)
async def test_what_is_no_stream_of_frames_is_cut_as_it_came(method, path, body, answer, odd):
    async with cutting(path, answer, odd) as here:
        told = await here.ask(method, path, body)
        assert (told.status, told.ended) == (200, True)
        assert "Transfer-Encoding: chunked" in told.first
        # Nothing but what came: no error in it, and no end.
        came = answer.partition(b"\r\n\r\n")[2]
        assert told.body == came
        # The next one over another connection is none the worse.
        assert (await here.ask("GET", "/healthz")).status == 200


FRAMES = {
    "lines": ("/api/pull", PULL, cut(LINE, "application/x-ndjson; charset=utf-8")),
    "events": ("/v1/chat/completions", CHAT, cut(EVENT, "text/event-stream")),
    "events by another name": ("/v1/chat/completions", CHAT, cut(EVENT, "text/plain")),
    "speech in events": ("/v1/audio/speech", SPEECH, cut(EVENT, "text/event-stream")),
}


@WAYS
@pytest.mark.parametrize(("path", "body", "answer"), FRAMES.values(), ids=FRAMES)
async def test_a_stream_of_frames_ends_with_an_error(path, body, answer, odd):
    async with cutting(path, answer, odd) as here:
        told = await here.ask("POST", path, body)
        assert (told.status, told.ended) == (200, False)
        last = told.body.split(b"\n")[-2 if path.startswith("/api") else -3]
        assert "error" in json.loads(last.removeprefix(b"data: ")), told.body


@pytest.mark.parametrize("left_out", [1, 8])
async def test_an_answer_that_was_compressed_and_cut_is_cut(left_out):
    """The backend has a key, which could be anywhere in the answer: so it is inflated."""
    packed = gzip.compress(b'{"models":[]}')[:-left_out]
    answer = http(packed, "application/json").replace(
        b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n"
    )
    async with lying(answer) as here:
        with pytest.raises(httpx.RemoteProtocolError):
            await here.oq.get("/api/tags")


def until_close(body: bytes) -> bytes:
    """An answer that ends where its connection does."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + body


ANSWER = b'{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"a"}}],"n":NaN}'
VECTORS = b'{"data":[{"embedding":[1.0,2.0]}],"usage":{"prompt_tokens":1}}'
DOCUMENTS = {
    "chat": ("/v1/chat/completions", b'{"model":"m","messages":[]}', ANSWER),
    "vectors": ("/v1/embeddings", b'{"model":"m","input":"x"}', VECTORS),
    "a list": ("/embedding", b'{"model":"m","content":"x"}', b'[{"embedding":[1.0]}]'),
}


@pytest.mark.parametrize(("path", "body", "whole"), DOCUMENTS.values(), ids=DOCUMENTS)
async def test_a_document_that_ends_with_its_connection_is_cut_if_it_cannot_be_read(
    path, body, whole
):
    """Nothing else tells: so it is made again, as after a connection that was lost."""
    answers = [until_close(whole[:20]), until_close(whole[:-1]), until_close(whole)]
    retry = {"max_retries": 2, "initial_delay": 0, "jitter": False}

    def tell(head: bytes, body: bytes) -> bytes:
        return answers.pop(0) if head.startswith(b"POST") else http(b"{}", "application/json")

    async with backend(tell) as where, site(FAST, where, "openai", retry_config=retry) as here:
        told = await here.ask("POST", path, body)
        assert (told.status, told.body, answers) == (200, whole, [])
        [task] = json.loads((await here.ask("GET", "/api/tasks")).body)
        assert (task["status"], task["retry_count"]) == ("completed", 2)
        answers.extend([until_close(whole[:20])] * 3)
        assert (await here.ask("POST", path, body)).body == whole[:20]
        task = json.loads((await here.ask("GET", "/api/tasks")).body)[0]
        assert task["status"] == "failed"
        assert "cannot be read to its end" in task["error"]


SURE = {
    "a length": http(ANSWER[:20], "application/json"),
    "chunks": http(ANSWER[:20], "application/json", chunked=True),
    "more behind its end": until_close(ANSWER + b"\n{}"),
    "too deep to tell": until_close(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize("answer", SURE.values(), ids=SURE)
async def test_what_is_not_known_to_be_cut_passes_though_it_cannot_be_read(answer):
    def tell(head: bytes, body: bytes) -> bytes:
        return answer if head.startswith(b"POST") else http(b"{}", "application/json")

    async with backend(tell) as where, site(FAST, where, "openai") as here:
        told = await here.ask("POST", "/v1/chat/completions", b'{"model":"m","messages":[]}')
        assert told.status == 200
        assert (await here.ask("GET", "/api/tasks/count?status=completed")).body.startswith(
            b'{"count":1'
        )
