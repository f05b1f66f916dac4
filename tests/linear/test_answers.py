"""What backends send: lines, events, compressed bodies, in many pieces and in one."""

from __future__ import annotations

import gzip
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from oq.backends.encoding import decoder
from oq.backends.http1.errors import Lost
from oq.backends.http1.reading import AnswerReader
from oq.backends.openai_stream import TranslatedFold
from oq.backends.secrets import ScrubbedStream, Secret
from oq.dialects import ENDPOINTS
from oq.dialects.answer_errors import error_text, quoted
from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.events import FoldedEvents
from oq.dialects.model_lists import ListForm, merge
from oq.dialects.ollama_fold import FoldedLines
from oq.words.task import TaskType

from .growth import assert_linear
from .shapes import EVENTS, NDJSON, OBJECTS, repeated

PIECES = pytest.mark.parametrize("piece", [64, 65536, 1 << 30], ids=["tiny", "64k", "one"])


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def fed(answer, data: bytes, piece: int) -> None:
    for each in in_pieces(data, piece):
        answer.feed(each)
    answer.completed()


def keep(chunk: bytes) -> None:
    """An emit."""


@PIECES
@pytest.mark.parametrize("shape", NDJSON.values(), ids=NDJSON)
def test_lines_as_they_are(shape, piece):
    call = ENDPOINTS["/api/chat"]
    assert_linear(shape, lambda data: fed(call.dialect.streamed(call, keep), data, piece))


@PIECES
@pytest.mark.parametrize("shape", NDJSON.values(), ids=NDJSON)
def test_lines_of_a_task(shape, piece):
    assert_linear(shape, lambda data: fed(FoldedLines(TaskType.CHAT, keep), data, piece))


@PIECES
@pytest.mark.parametrize("shape", EVENTS.values(), ids=EVENTS)
def test_events_as_they_are(shape, piece):
    call = ENDPOINTS["/v1/chat/completions"]
    assert_linear(shape, lambda data: fed(call.dialect.streamed(call, keep), data, piece))


@PIECES
@pytest.mark.parametrize("shape", EVENTS.values(), ids=EVENTS)
def test_events_of_a_task(shape, piece):
    def work(data: bytes) -> None:
        fold = TranslatedFold(TaskType.CHAT, "m", datetime.now(UTC), lambda: 0.0, keep)
        fed(FoldedEvents(fold, keep, MAX_ANSWER), data, piece)

    assert_linear(shape, work)


@pytest.mark.parametrize("shape", OBJECTS.values(), ids=OBJECTS)
def test_a_whole_answer_and_an_error(shape):
    def work(data: bytes) -> None:
        error_text(data)
        quoted(data)
        ENDPOINTS["/api/embed"].dialect.whole(ENDPOINTS["/api/embed"], data)

    assert_linear(shape, work)


@pytest.mark.parametrize("unit", [b"\n", b"a", b"{}\n"])
def test_what_is_compressed(unit):
    def work(data: bytes) -> None:
        inflate = decoder("gzip")
        for each in in_pieces(data, 1000):
            for _ in inflate(each):
                pass

    assert_linear(lambda size: gzip.compress(unit * (100 * size // len(unit)), 1), work, 64_000)


@pytest.mark.parametrize("unit", [b"k", b"key-key-key-key-", b"x"])
@PIECES
def test_a_key_is_looked_for(unit, piece):
    def work(data: bytes) -> None:
        stream = ScrubbedStream(Secret("key-" * 8), keep_length=False)
        for each in in_pieces(data, piece):
            stream.feed(each)

    assert_linear(repeated(unit), work)


@pytest.mark.parametrize("shape", OBJECTS.values(), ids=OBJECTS)
def test_lists_of_models(shape):
    form = ListForm("models", "name")
    assert_linear(shape, lambda data: merge([(data, bool), (data, bool)], form))
    assert_linear(
        lambda size: b'{"models":[%b]}' % shape(size),
        lambda data: merge([(data, bool), (data, bool)], form),
    )


def test_lists_of_many_models():
    def listed(size: int) -> bytes:
        entries = (b'{"name":"m%d:x","size":7}' % number for number in range(size // 25))
        return b'{"models":[%b]}' % b",".join(entries)

    form = ListForm("models", "name")
    assert_linear(listed, lambda data: merge([(data, bool), (data, bool)], form))


FRAMED = {
    "chunks of a byte": lambda size: b"1\r\na\r\n" * (size // 6),
    "chunks with extensions": lambda size: b"1;a=b\r\na\r\n" * (size // 10),
    "one chunk": lambda size: b"%x\r\n%b" % (size, b"a" * size),
    "a chunk size": lambda size: b"0" * size,
    "an extension": lambda size: b"1;" + b"a" * size,
    "a trailer": lambda size: b"0\r\nt: " + b"a" * size,
    "trailers": lambda size: b"0\r\n" + b"t: a\r\n" * (size // 6),
}
HEADS = {
    "headers": lambda size: b"a: b\r\n" * (size // 6),
    "a value": lambda size: b"a: " + b"b" * size,
    "a name": lambda size: b"a" * size,
    "interim answers": lambda size: b"\r\n" + b"HTTP/1.1 103 x\r\n\r\n" * (size // 18),
}


def read(data: bytes, piece: int) -> None:
    reader = AnswerReader()
    with suppress(Lost):
        for each in in_pieces(data, piece):
            reader.feed(each)
            reader.take()


@PIECES
@pytest.mark.parametrize("shape", FRAMED.values(), ids=FRAMED)
def test_what_frames_a_body(shape, piece):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert_linear(shape, lambda data: read(head + data, piece))


@PIECES
@pytest.mark.parametrize("status", [b"200 OK", b"103 x"])
@pytest.mark.parametrize("shape", HEADS.values(), ids=HEADS)
def test_heads(shape, status, piece):
    assert_linear(shape, lambda data: read(b"HTTP/1.1 %b\r\n" % status + data, piece))
