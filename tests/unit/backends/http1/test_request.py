"""What is sent, byte for byte."""

from __future__ import annotations

import pytest

from oq.backends.http1.connection import Origin
from oq.backends.http1.errors import Lost
from oq.backends.http1.request import KEPT, NOT_KEPT, OwnFields, Request, Target

OWN = OwnFields([(b"Accept", b"*/*"), KEPT, (b"User-Agent", b"oq")])
THERE = Target(Origin(False, "::1", 1, b"[::1]:1"), b"/a?b")


class Parts:
    def __aiter__(self):
        return self

    async def __anext__(self):
        raise StopAsyncIteration


def sent(*fields: tuple[bytes, bytes], method: bytes = b"POST", body=b"{}") -> list[bytes]:
    request = Request(method, THERE, OWN, fields, body)
    assert request.head.endswith(b"\r\n\r\n")
    return request.head.removesuffix(b"\r\n\r\n").split(b"\r\n")


def test_the_clients_own_headers_come_first():
    assert sent((b"X-a", b"\xe9")) == [
        b"POST /a?b HTTP/1.1", b"Host: [::1]:1", b"Accept: */*", b"Connection: keep-alive",
        b"User-Agent: oq", b"X-a: \xe9", b"Content-Length: 2",
    ]  # fmt: skip


def test_those_that_a_caller_names_are_the_callers():
    assert sent((b"accept", b"a"), (b"user-agent", b"b"), (b"accept", b"c")) == [
        b"POST /a?b HTTP/1.1", b"Host: [::1]:1", b"Connection: keep-alive",
        b"accept: a", b"user-agent: b", b"accept: c", b"Content-Length: 2",
    ]  # fmt: skip


def test_a_connection_for_this_request_alone():
    assert b"Connection: close" in sent(NOT_KEPT)
    assert not Request(b"GET", THERE, OWN, [NOT_KEPT], b"").keeps
    assert Request(b"GET", THERE, OWN, [], b"").keeps


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [(b"GET", b"", []), (b"DELETE", b"", []), (b"POST", b"", [b"0"]), (b"DELETE", b"x", [b"1"])],
)
def test_the_length_of_a_body_is_said_if_there_is_one(method, body, length):
    lines = sent((b"content-length", b"9"), (b"Transfer-Encoding", b"x"), method=method, body=body)
    said = [line.split(b": ")[1] for line in lines if line.lower().startswith(b"content-length")]
    assert said == length
    assert not [line for line in lines if line.lower().startswith(b"transfer")]


def test_a_body_in_parts_goes_in_chunks_unless_its_caller_knows_its_length():
    assert sent(body=Parts())[-1] == b"Transfer-Encoding: chunked"
    assert sent((b"content-length", b"9"), body=Parts())[-1] == b"content-length: 9"
    twice = ((b"content-length", b"9"), (b"content-length", b"8"))
    assert sent(*twice, body=Parts())[-1] == b"Transfer-Encoding: chunked"
    assert sent((b"content-length", b"x"), body=Parts())[-1] == b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_cannot_bring_another(value):
    with pytest.raises(Lost, match="it was not sent"):
        sent((b"X-a", value))
    with pytest.raises(Lost, match="it was not sent"):
        sent((value, b"a"))
