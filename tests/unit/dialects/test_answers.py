"""A call's answer passes as it came, wherever the network cut it, and is looked at all the same."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects import ENDPOINTS
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.outcome import Completed
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
    assert b"".join(said) == LINES
    assert json.loads(done.result)["message"]["content"] == "Paris"
    assert done.usage == Usage(0, 2)


@given(CUTS)
def test_events(cuts: list[int]):
    said, done = fed(COMPLETIONS, EVENTS, cuts)
    assert b"".join(said) == EVENTS
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
    assert b"<html>" not in b"".join(said)
    assert b"kaput" not in b"".join(said)


@given(CUTS)
def test_what_comes_after_the_end_passes_too(cuts: list[int]):
    more = b'data: {"choices":[{"delta":{"content":"!"}}]}\n\n: bye'
    said, done = fed(COMPLETIONS, EVENTS + more, cuts)
    assert b"".join(said) == EVENTS + more
    assert done == fed(COMPLETIONS, EVENTS)[1]


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


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"embedding":', b'{"embeddings":[[NaN]]}'])
def test_what_cannot_be_read_of_a_whole_answer_is_no_error(body):
    assert EMBED.dialect.whole(EMBED, body) == Completed(body)


@pytest.mark.parametrize(
    ("body", "error", "status"),
    [
        (b'{"error":{"code":400,"message":"too long"}}', BackendRejected, 400),
        (b'{"error":{"type":"rate_limit_error","message":"too long"}}', BackendFailure, 429),
        (b'{"error":"too long", "x": NaN}', BackendFailure, 500),
        (b'{"detail":"too long"}', BackendFailure, 500),
    ],
)
@pytest.mark.parametrize("call", [CHAT, EMBED, COMPLETIONS])
def test_a_whole_answer_that_is_an_error_is_raised(call, body, error, status):
    with pytest.raises(error, match="too long") as caught:
        call.dialect.whole(call, body)
    assert (caught.value.status, caught.value.body, caught.value.frame) == (status, body, None)
