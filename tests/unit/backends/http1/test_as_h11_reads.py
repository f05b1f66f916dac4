"""What is read here as an answer, h11 reads in the same way. `make test-mutants` draws a hundred
thousand of each kind.
"""

from __future__ import annotations

import re
from unittest.mock import patch

import h11
import pytest
from hypothesis import strategies as st

from oq.backends.http1.errors import Lost
from oq.backends.http1.reading import AnswerReader
from tests.support.rounds import draw, in_rounds
from tests.unit.backends.http1.drawn import answers, mutants, pieces

INTERIM = re.compile(rb"(HTTP/[0-9.]+ 1(?:.*\n)+?\r?\n)[\r\n]*(?=HTTP/)")
SIZE = re.compile(rb"(?P<chunk_size>[0-9A-Fa-f]{1,20})[ \t]*(?:;.*)?\r\n")
METHODS = st.sampled_from([b"GET", b"POST", b"POST", b"HEAD"])


class Read:
    """An answer that has been read to its end."""

    def __init__(self, status: int, reason: bytes, fields: list, body: bytes, *, keeps: bool):
        # h11 writes this one value in lower case.
        odd = b"transfer-encoding"
        same = [(name, value.lower() if name.lower() == odd else value) for name, value in fields]
        self.said = (status, reason, same, body)
        self.keeps = keeps


def by_us(parts: list[bytes], method: bytes) -> Read | None:
    """None: it is refused."""
    reader, body, unread = AnswerReader(head_only=method == b"HEAD"), b"", [*parts, b""]
    try:
        while not reader.whole:
            reader.feed(unread.pop(0))
            body += reader.take()
        body += reader.take()
    except Lost:
        return None
    keeps = reader.keeps and not any(unread)  # what comes later is seen at the next request
    return Read(reader.status, reader.reason, reader.fields, body, keeps=keeps)


def by_h11(data: bytes, method: bytes) -> Read | None:
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    ended, head, body = False, None, b""
    try:
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA and not ended:
                client.receive_data(b"")
                ended = True
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
    except h11.RemoteProtocolError:
        return None
    # What follows an answer was not asked for; an empty line does no harm.
    keeps = client.their_state is h11.DONE and not client.trailing_data[0].strip(b"\r\n")
    fields = head.headers.raw_items()
    return Read(head.status_code, head.reason, fields, body, keeps=keeps)


def by_lenient_h11(data: bytes, method: bytes) -> Read | None:
    """As h11 would read it, did it take empty lines behind an interim answer, and blanks before the
    extension of a chunk. It refuses both, though nobody reads them as anything else.
    """
    at = 0
    while interim := INTERIM.match(data, at):
        at = interim.end(1)
        data = data[:at] + data[interim.end() :]
    with patch("h11._readers.chunk_header_re", SIZE):
        return by_h11(data, method)


@in_rounds
def test_h11_reads_the_same_out_of_what_is_taken_however_it_is_cut(number: int):
    def check(data: bytes, method: bytes, cuts: st.DataObject) -> None:
        ours, whole = by_us(cuts.draw(pieces(data)), method), by_us([data] if data else [], method)
        assert (ours and ours.said) == (whole and whole.said)
        if ours is None:
            return
        theirs = by_h11(data, method) or by_lenient_h11(data, method)
        assert theirs is not None
        assert ours.said == theirs.said
        assert theirs.keeps or not ours.keeps

    draw(number, check, mutants(), METHODS, st.data())


@in_rounds
def test_a_good_answer_is_taken_however_it_is_cut(number: int):
    def check(data: bytes, method: bytes, cuts: st.DataObject) -> None:
        ours, theirs = by_us(cuts.draw(pieces(data)), method), by_h11(data, method)
        assert theirs is not None
        assert ours is not None
        assert ours.said == theirs.said
        assert theirs.keeps or not ours.keeps

    draw(number, check, answers(), METHODS, st.data())


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200\r\n\n\r\nHTTP/1.1 200 OK\r\n", b"\r\nHTTP/1.1 200 OK\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\n5 ;a", b"5 ;a"),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n4 ;a\r\n5 ;a\r\n0\r\n\r\n", b"5 ;a"),
    ],
    ids=["empty lines", "blanks", "blanks in a chunk"],
)
def test_a_body_that_looks_like_what_h11_refuses_is_compared_as_it_is(data: bytes, body: bytes):
    data = b"HTTP/1.1 100 Continue\r\n\r\n\r\n" + data
    ours, theirs = by_us([data], b"GET"), by_lenient_h11(data, b"GET")
    assert by_h11(data, b"GET") is None
    assert ours is not None
    assert theirs is not None
    assert ours.said == theirs.said
    assert ours.said[-1] == body
