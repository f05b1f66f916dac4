"""A call's answer passes as it came, wherever the network cut it, and is looked at all the same."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects import ENDPOINTS
from oq.words.errors import BackendFailure
from oq.words.task import Usage

CHAT, EMBED, COMPLETIONS = (
    ENDPOINTS[path] for path in ("/api/chat", "/api/embed", "/v1/chat/completions")
)
LINES = (
    b'{"message":{"role":"assistant","content":"Pa"},"done":false}\n'
    b'{ "message" : {"role":"assistant","content":"ris"} ,"done":false}\r\n'
    b"\n"
    b'{"message":{"role":"assistant","content":""},"done":true,"eval_count":2}'
)
EVENTS = (
    b": are you there?\n\n"
    b'data: {"choices":[{"index":0,"delta":{"content":"Pa"}}]}\n\n'
    b'event: message\r\ndata:{"choices":[{"index":0,\r\ndata: "delta":{"content":"ris"}}]}\r\n\r\n'
    b"data: [DONE]\n\n"
)
CUTS = st.lists(st.integers(0, 400))


def fed(call, stream: bytes, cuts=()):
    """The chunks that are passed on, and the whole answer."""
    said: list[bytes] = []
    answer = call.dialect.streamed(call, said.append)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in pairwise(places):
        answer.feed(stream[begin:end])
    return said, answer.completed()


@given(CUTS)
def test_lines(cuts: list[int]):
    said, done = fed(CHAT, LINES, cuts)
    assert b"".join(said) == LINES.replace(b"\r\n\n", b"\r\n")  # a blank line says nothing
    assert len(said) == 3
    assert json.loads(done.result)["message"]["content"] == "Paris"
    assert done.usage == Usage(0, 2)


@given(CUTS)
def test_events(cuts: list[int]):
    said, done = fed(COMPLETIONS, EVENTS, cuts)
    assert b"".join(said) == EVENTS
    assert len(said) == 4
    assert json.loads(done.result)["choices"][0]["message"]["content"] == "Paris"


@pytest.mark.parametrize(
    ("call", "stream"),
    [
        (CHAT, LINES[:-10]),
        (CHAT, LINES[:40]),
        (CHAT, b"<html>\n"),
        (CHAT, b'{"error":"kaput"}\n'),
        (COMPLETIONS, EVENTS[:90]),
        (COMPLETIONS, EVENTS[:60]),
        (COMPLETIONS, b"<html>\n\n"),
        (COMPLETIONS, b'data: {"error":{"message":"kaput"}}\n\n'),
    ],
)
def test_what_is_no_answer_is_not_passed_on_as_one(call, stream):
    said: list[bytes] = []
    answer = call.dialect.streamed(call, said.append)
    with pytest.raises(BackendFailure):
        answer.feed(stream) or answer.completed()
    assert stream.startswith(b"".join(said))
    assert b"kaput" not in b"".join(said)


def test_nothing_is_passed_on_after_the_end():
    said, _ = fed(COMPLETIONS, EVENTS + b'data: {"choices":[]}\n\n')
    assert b"".join(said) == EVENTS


@pytest.mark.parametrize(
    ("path", "body", "usage"),
    [
        ("/api/embed", b'{"embeddings":[[1e-05]],"prompt_eval_count":3}', Usage(3, 0)),
        ("/api/embeddings", b'{"embedding":[1]}', None),
        ("/v1/embeddings", b'{"data":[],"usage":{"prompt_tokens":4}}', Usage(4, 0)),
    ],
)
def test_embeddings_are_kept_byte_for_byte(path, body, usage):
    done = ENDPOINTS[path].dialect.whole(ENDPOINTS[path], body)
    assert (done.result, done.usage) == (body, usage)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"embedding":'])
def test_what_is_no_embedding(body):
    with pytest.raises(BackendFailure):
        EMBED.dialect.whole(EMBED, body)
