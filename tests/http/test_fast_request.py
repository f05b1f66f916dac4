"""What is a plain head and what is not: whatever is read here, h11 reads in the same way.

`make test-mutants` draws 100,000 requests.
"""

from __future__ import annotations

import h11
import pytest
from hypothesis import strategies as st

from oq.http.fast_request import MOST, Head, read_head
from tests.support.rounds import draw, in_rounds

LINE = b"POST /api/tasks HTTP/1.1"
GET = b"GET /api/tasks/7?wait=1s HTTP/1.1"
LIMIT = 1000
HOST, LENGTH = b"Host: localhost:7125", b"Content-Length: 4"


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


def read(data: bytes) -> Head | None:
    return read_head(data, LIMIT)


def test_a_plain_one_says_where_its_body_is_and_what_its_headers_are():
    data = head(HOST, b"X-Empty:", b"CONTENT-length:  4  ", b"Idempotency-Key: a: b ")
    found = read(data + b"bodyPOST /next")
    assert found is not None
    assert (found.method, found.target) == (b"POST", b"/api/tasks")
    assert found.headers == [
        (b"host", b"localhost:7125"),
        (b"x-empty", b""),
        (b"content-length", b"4"),
        (b"idempotency-key", b"a: b"),
    ]
    assert found.by_name == dict(found.headers)
    assert (data + b"bodyPOST /next")[found.end :][: found.length] == b"body"
    assert found.keep_alive


@pytest.mark.parametrize(
    "data",
    [
        head(HOST, LENGTH),
        head(HOST, LENGTH, line=b"POST /v1/messages?beta=true HTTP/1.1"),
        head(HOST, line=GET),
        head(HOST, b"Content-Length: 0", line=GET),
        head(HOST, LENGTH, b"Connection: Keep-Alive"),
        head(HOST, b"Content-Length: 0"),
        head(HOST, b"Content-Length: 1000"),
        head(HOST, LENGTH, b"X: " + b"x" * 8000),
    ],
)
def test_plain_ones(data: bytes):
    assert read(data) is not None


@pytest.mark.parametrize("value", [b"close", b"Close", b" close "])
def test_the_connection_may_end_after_it(value: bytes):
    found = read(head(HOST, LENGTH, b"Connection: " + value))
    assert found is not None
    assert not found.keep_alive


IRREGULAR = {
    "nothing": b"",
    "a line that has not ended": LINE,
    "a head that has not ended": head(HOST, LENGTH)[:-1],
    "a head that is too long": head(HOST, LENGTH, b"X: " + b"x" * MOST),
    "a head that ends too late": head(HOST, LENGTH, *[b"X%d: x" % i for i in range(1000)]),
    "an empty line before it": b"\r\n" + head(HOST, LENGTH),
    "white space before it": b" " + head(HOST, LENGTH),
    "another version": head(HOST, LENGTH, line=b"POST /api/tasks HTTP/1.0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version in small letters": head(HOST, LENGTH, line=b"POST /api/tasks http/1.1"),
    "a method in small letters": head(HOST, LENGTH, line=b"post /api/tasks HTTP/1.1"),
    "another method": head(HOST, LENGTH, line=b"PUT /api/tasks HTTP/1.1"),
    "an upgrade of its own": b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
    "a tunnel": head(HOST, line=b"CONNECT localhost:1 HTTP/1.1"),
    "a GET with a body": head(HOST, LENGTH, line=GET),
    "a target that is no path": head(HOST, LENGTH, line=b"POST * HTTP/1.1"),
    "a target that is not ASCII": head(HOST, LENGTH, line=b"POST /\xe4 HTTP/1.1"),
    "a whole URL": head(HOST, LENGTH, line=b"POST http://localhost/api/tasks HTTP/1.1"),
    "two spaces": head(HOST, LENGTH, line=b"POST  /api/tasks HTTP/1.1"),
    "a space after the version": head(HOST, LENGTH, line=LINE + b" "),
    "no header": LINE + b"\r\n\r\n",
    "no Host": head(LENGTH),
    "an empty Host": head(b"Host:", LENGTH),
    "two Hosts": head(HOST, HOST, LENGTH),
    "two Hosts that differ": head(HOST, b"host: evil.example", LENGTH),
    "no length": head(HOST),
    "two lengths": head(HOST, LENGTH, LENGTH),
    "two lengths that differ": head(HOST, LENGTH, b"content-length: 5"),
    "a list of lengths": head(HOST, b"Content-Length: 4, 4"),
    "an empty length": head(HOST, b"Content-Length:"),
    "a length with a sign": head(HOST, b"Content-Length: +4"),
    "a negative length": head(HOST, b"Content-Length: -4"),
    "a length with leading zeros": head(HOST, b"Content-Length: 04"),
    "a length in hexadecimal": head(HOST, b"Content-Length: 0x4"),
    "a length with an underscore": head(HOST, b"Content-Length: 1_0"),
    "a length with a space": head(HOST, b"Content-Length: 1 0"),
    "a length in other digits": head(HOST, "Content-Length: ٤".encode()),
    "a length over the limit": head(HOST, b"Content-Length: 1001"),
    "a length without end": head(HOST, b"Content-Length: " + b"9" * 5000),
    "a coding": head(HOST, LENGTH, b"Transfer-Encoding: chunked"),
    "a coding without a length": head(HOST, b"Transfer-Encoding: chunked"),
    "a coding of no kind": head(HOST, LENGTH, b"transfer-encoding: identity"),
    "an empty coding": head(HOST, LENGTH, b"Transfer-Encoding:"),
    "an expectation": head(HOST, LENGTH, b"Expect: 100-continue"),
    "an upgrade": head(HOST, LENGTH, b"Upgrade: h2c", b"Connection: Upgrade"),
    "an upgrade without Connection": head(HOST, LENGTH, b"Upgrade: websocket"),
    "a list of connections": head(HOST, LENGTH, b"Connection: keep-alive, upgrade"),
    "a connection that ends, and does not": head(HOST, LENGTH, b"Connection: close, keep-alive"),
    "a request behind the last one": head(HOST, b"Content-Length: 0", b"Connection: close"),
    "two Connections": head(HOST, LENGTH, b"Connection: close", b"Connection: close"),
    "an empty Connection": head(HOST, LENGTH, b"Connection:"),
    "a header twice": head(HOST, LENGTH, b"Idempotency-Key: a", b"idempotency-key: b"),
    "a folded header": head(HOST, LENGTH, b"X: a", b" b"),
    "a header folded by a tab": head(HOST, LENGTH, b"X: a", b"\tb"),
    "a fold at the start": head(b" " + HOST, LENGTH),
    "a space before the colon": head(HOST, LENGTH, b"Transfer-Encoding : chunked"),
    "a space in a name": head(HOST, LENGTH, b"Transfer Encoding: chunked"),
    "a header without a colon": head(HOST, LENGTH, b"nonsense"),
    "a header without a name": head(HOST, LENGTH, b": x"),
    "a NUL in a name": head(HOST, LENGTH, b"X\0: x"),
    "a NUL in a value": head(HOST, LENGTH, b"X: \0"),
    "a tab in a value": head(HOST, LENGTH, b"X:\tx"),
    "an escape in a value": head(HOST, LENGTH, b"X: \x1b[1m"),
    "a DEL in a value": head(HOST, LENGTH, b"X: \x7f"),
    "a name that is not ASCII": head(HOST, LENGTH, b"X\xe4: x"),
    "a value that is not ASCII": head(HOST, LENGTH, b"Idempotency-Key: \xe4"),
    "a bare line feed": head(HOST, LENGTH, b"X: a\nTransfer-Encoding: chunked"),
    "a bare carriage return": head(HOST, LENGTH, b"X: a\rTransfer-Encoding: chunked"),
    "a head that a line feed ends": head(HOST, LENGTH, b"X: a\n\nbody") + b"more",
    "line feeds only": head(HOST, LENGTH).replace(b"\r", b""),
    "a first line with a line feed": head(HOST, LENGTH).replace(b"\r", b"", 1),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
}


@pytest.mark.parametrize("data", IRREGULAR.values(), ids=IRREGULAR.keys())
def test_what_is_not_plain(data: bytes):
    assert read(data + b"body") is None


FIELD = st.sampled_from(
    [
        *(HOST, LENGTH, b"X: y", b"x:y", b"A: b c ", b"Host: b", b"Content-Length: 10"),
        *(b"Connection: keep-alive", b"Connection: close", b"Transfer-Encoding: chunked"),
        *(b"Content-Length: 0", b"Expect: 100-continue", b"Upgrade: h2c", b"Content-Length:4"),
    ]
)
FIRST = st.sampled_from(
    [LINE, GET, b"POST /api/chat HTTP/1.1", b"GET /api/events HTTP/1.1", b"HEAD / HTTP/1.1"]
)
BITS = st.one_of(
    st.sampled_from(
        [
            *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\x0b", b"\xa0", b"\r\n\r\n"),
            *(b"0", b",", b"x", b"Content-Length: 9", b"Transfer-Encoding: chunked", b"HTTP/1.0"),
            *(b"\r\nHost: x", b"\r\ncontent-length: 1", b"\r\n ", b"\x85", b"\x1c", b"#", b"%00"),
        ]
    ),
    st.binary(max_size=2),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Requests that are nearly plain, or plain."""
    data = head(HOST, LENGTH, *draw(st.lists(FIELD, max_size=3)), line=draw(FIRST))
    data += b"bodyGET / HTTP/1.1\r\n"
    for _ in range(draw(st.integers(0, 3))):
        at, kind = draw(st.integers(0, len(data))), draw(st.integers(0, 2))
        end = at + draw(st.integers(0, 40 if kind else 2))
        if kind == 0:  # something in the place of what was there
            data = data[:at] + draw(BITS) + data[end:]
        elif kind == 1:  # something twice
            data = data[:end] + data[at:]
        else:  # something elsewhere
            to = draw(st.integers(0, at))
            data = data[:to] + data[at:end] + data[to:at] + data[end:]
    return data


def as_h11_reads(data: bytes) -> None:
    """What is taken of these bytes is what h11 takes of them."""
    found = read(data)
    if found is None:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (found.method, found.target)
    assert request.http_version == b"1.1"
    assert list(request.headers) == found.headers
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    end = found.end + found.length
    assert body == data[found.end : end]
    if len(data) >= end:
        assert isinstance(event, h11.EndOfMessage)
        assert server.trailing_data[0] == data[end:]
        assert (server.their_state is h11.DONE) == found.keep_alive


@in_rounds
def test_h11_reads_the_same_request_out_of_what_is_taken(number: int):
    draw(number, as_h11_reads, messages())


@pytest.mark.parametrize("data", [head(HOST, LENGTH) + b"body", head(HOST, line=GET) + b"GET /"])
def test_a_whole_request_with_what_follows_is_read_as_h11_does(data: bytes):
    as_h11_reads(data)
