"""What clients send: tasks, batches, calls, durations, query strings, lines of a batch file."""

from __future__ import annotations

import io

import msgspec
import pytest
from werkzeug.datastructures import MultiDict

from oq.cli.batch.lines import Terms, read
from oq.dialects import ENDPOINTS, as_shown
from oq.dialects.call_fields import read_name
from oq.http.query import Query
from oq.rules.conversations import conversation_in
from oq.rules.excerpt import excerpt
from oq.rules.limits import Limits
from oq.rules.surrogates import readable
from oq.rules.validation import check, decode_batch, decode_submission
from oq.words.durations import parse_duration
from oq.words.task import Body, TaskType

from .growth import assert_linear
from .shapes import LINES, OBJECTS, repeated

WIDE = Limits(
    max_payload=1 << 30, max_metadata=1 << 20, max_batch=10_000, max_retries=3, max_values=1 << 30
)
CHAT, COMPLETIONS = ENDPOINTS["/api/chat"], ENDPOINTS["/v1/chat/completions"]
SHAPES = pytest.mark.parametrize("shape", OBJECTS.values(), ids=OBJECTS)


def task(payload: bytes) -> bytes:
    return b'{"type":"chat","model":"m","payload":%b,"options":%b}' % (payload, payload)


@SHAPES
def test_a_task(shape):
    assert_linear(shape, lambda body: check(decode_submission(task(body)), WIDE))


@SHAPES
def test_a_batch(shape):
    assert_linear(shape, lambda body: decode_batch(b"[%b]" % task(body), ndjson=False, limits=WIDE))


@pytest.mark.parametrize("shape", (LINES | OBJECTS).values(), ids=LINES | OBJECTS)
def test_a_batch_of_lines(shape):
    assert_linear(shape, lambda body: decode_batch(body, ndjson=True, limits=WIDE))


@SHAPES
def test_the_conversation_of_a_payload(shape):
    assert_linear(shape, conversation_in)


def test_the_conversation_behind_many_messages():
    def many(size: int) -> bytes:
        system, user = b'{"role":"system","content":"xxxx"},', b'{"role":"user","content":"hi"}'
        return b'{"messages":[%b%b]}' % (repeated(system)(size), user)

    assert conversation_in(many(1000))
    assert_linear(many, conversation_in)


@SHAPES
def test_a_request_that_names_a_model(shape):
    assert_linear(shape, lambda body: read_name(body, ("model", "name"), any_case=True))


@SHAPES
@pytest.mark.parametrize("call", [CHAT, COMPLETIONS], ids=["ollama", "openai"])
def test_a_call(shape, call):
    def work(body: bytes) -> None:
        call.dialect.read(call, body)
        call.dialect.asks_stream(call, body)

    assert_linear(shape, work)


@SHAPES
def test_what_is_shown_of_a_task(shape):
    def work(body: bytes) -> None:
        readable(body)
        try:
            as_shown(Body(body, call=CHAT.path))
            excerpt(TaskType.CHAT, body)
        except msgspec.DecodeError:
            pass  # it is none that a task can have

    assert_linear(shape, work)


@pytest.mark.parametrize("unit", [b"1", b"1h", b".", b"1.", b".1", b"h", b" ", b"1ns"])
def test_a_duration(unit):
    assert_linear(repeated(unit), lambda text: parse_duration(text.decode()))


@pytest.mark.parametrize("unit", [b"1", b",", b"a,", b"%", b"+"])
def test_a_query(unit):
    def work(data: bytes) -> None:
        query = Query(MultiDict([("status", data.decode()), ("wait", data.decode())]))
        query.many("status")
        query.seconds("wait")

    assert_linear(repeated(unit), work)


@pytest.mark.parametrize("shape", (LINES | OBJECTS).values(), ids=LINES | OBJECTS)
def test_a_batch_file(shape):
    assert_linear(shape, lambda data: list(read(io.BytesIO(data), Terms("run"))))
