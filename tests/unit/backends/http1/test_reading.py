"""What an answer may be, and what it may take, by name and size."""

from __future__ import annotations

import tracemalloc

import pytest

from oq.backends.http1 import reading
from oq.backends.http1.errors import Lost
from oq.backends.http1.reading import AnswerReader

OK = b"HTTP/1.1 200 OK\r\n"
LENGTHS = b"Content-Length: 40\r\n" * 2  # of a body that is the same
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*parts: bytes, head_only: bool = False) -> tuple[AnswerReader, bytes]:
    reader, body = AnswerReader(head_only=head_only), b""
    for part in parts:
        reader.feed(part)
        body += reader.take()
    return reader, body


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Content-Length: 3\r\n" * 3 + b"\r\nabc", b"abc"),
        (OK + b"Content-Length: 3\r\nB: b\r\ncontent-length:3 \n\nabc", b"abc"),
        (OK + LENGTHS + b"\r\n" + LENGTHS, LENGTHS),
        (b"HTTP/1.1 103 Early\r\n\r\n" + OK + LENGTHS + b"\r\n" + LENGTHS, LENGTHS),
        (CHUNKS + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (CHUNKS + b"3;name=value\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", b"abc"),
        (CHUNKS + b"3  \r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 204 None\r\n\r\n", b""),
        (b"HTTP/1.1 304 Same\r\nContent-Length: 3\r\n\r\n", b""),
        (b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n" + CHUNKS + b"0\r\n\r\n", b""),
    ],
)  # fmt: skip
def test_each_way_to_say_where_an_answer_ends(data, body):
    for size in (1, 3, len(data)):
        reader, found = read(*(data[at : at + size] for at in range(0, len(data), size)))
        assert (found, reader.whole, reader.keeps) == (body, True, True)
        assert b"Trailer" not in dict(reader.fields)
        assert b"A" not in dict(reader.fields)


def test_an_answer_without_a_length_ends_with_its_connection():
    reader, body = read(OK + b"\r\nabc", b"def")
    assert (body, reader.whole) == (b"abcdef", False)
    reader.feed(b"")
    assert (reader.whole, reader.keeps) == (True, False)


def test_what_answers_HEAD_has_no_body():
    reader, body = read(OK + b"Content-Length: 3\r\n\r\nabc", head_only=True)
    assert (body, reader.whole, reader.keeps) == (b"", True, False)


def test_the_head_is_as_it_was_written():
    reader, _ = read(b"HTTP/1.1 299 Odd  words\r\nx-Odd:\tb \r\nX-ODD: c\r\nLatin: \xe9\r\n\r\n")
    assert (reader.status, reader.reason) == (299, b"Odd  words")
    assert reader.fields == [(b"x-Odd", b"b"), (b"X-ODD", b"c"), (b"Latin", b"\xe9")]


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"connection: x, Close\r\n"])
def test_a_connection_that_the_server_closes_is_not_kept(head):
    reader, _ = read(OK + head + b"Content-Length: 0\r\n\r\n")
    assert (reader.whole, reader.keeps) == (True, False)


@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n\r\nx", b"\0"])
@pytest.mark.parametrize(
    "data", [OK + b"Content-Length: 1\r\n\r\na", CHUNKS + b"1\r\na\r\n0\r\n\r\n"]
)
def test_nor_is_one_on_which_more_comes(data, more):
    reader, body = read(data + more)
    assert (body, reader.whole, reader.keeps) == (b"a", True, False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"error":"x"}', 'no HTTP/1.1: b\'{"error"'),
        (b"\r\n" + OK, "no HTTP/1.1"),
        (b"HTTX/1.1 200 OK\r\n\r\n", "HTTX"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "it answers in HTTP/2.0"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "the status 99"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "status.*2000"),
        (b"HTTP/1.1 200 a\0b\r\n\r\n", "control characters"),
        (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 101 Go\r\n\r\nx", "another protocol"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length"),
        (OK + b"Content-Length: 1\r\n" * 2 + b"Content-Length: 2\r\n\r\n", "Content-Length"),
        (OK + b"Content-Length: 1\r\nContent-Length: 01\r\n\r\n", "Content-Length"),
        (OK + b"Content-Length: 1\r\n" * 2 + CHUNKED, "Transfer-Encoding"),
        (OK + CHUNKED[:-2] + b"Content-Length: 1\r\n" * 2 + b"\r\n", "Content-Length"),
        (OK + b"Content-Length: 1, 1\r\n\r\n", "Content-Length"),
        (OK + b"Content-Length: -1\r\n\r\n", "Content-Length"),
        (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "unasked: b'gzip, chunked'"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", "unasked: b'gzip'"),
        (OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n", "unasked"),
        (OK + b"A: b\r\n c\r\n\r\n", "whitespace"),
        (OK + b"A : b\r\n\r\n", "header token"),
        (OK + b"A: \0\r\n\r\n", "header value"),
        (OK + b"A\r\n\r\n", "header token"),
        (CHUNKS + b"x\r\n", "chunk size"),
        (CHUNKS + b"-1\r\n", "chunk size"),
        (CHUNKS + b"3\nabc\n", "chunk size"),
        (CHUNKS + b"f" * 17 + b"\r\n", "overflow"),
        (CHUNKS + b"0\r\nTransfer-Encoding: x\r\n\r\n", "trailer"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_in_words_that_show_it(data, words):
    with pytest.raises(Lost, match=words):
        read(data)
    with pytest.raises(Lost):
        read(*(data[at : at + 1] for at in range(len(data))))
    with pytest.raises(Lost):  # at once, and not only when the server has nothing more to say
        read(data + b"and what would be its body")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "without an answer"),
        (b"HTTP/1", "in the head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "in the head"),
        (OK + b"Content-Length: 3\r\n\r\nab", "before the end"),
        (CHUNKS + b"3\r\nab", "before the end"),
        (CHUNKS + b"3\r\nabc\r\n0\r\n", "before the end"),
    ],
)
def test_an_answer_that_is_cut(data, words):
    reader, _ = read(*([data] if data else []))
    with pytest.raises(Lost, match=words):
        reader.feed(b"")


def test_what_came_before_the_trouble_is_given_first():
    reader = AnswerReader()
    reader.feed(CHUNKS + b"3\r\nabc\r\nx")
    assert (reader.take(), reader.whole) == (b"abc", False)
    with pytest.raises(Lost, match="chunk size"):
        reader.take()


def test_no_word_is_cut_where_an_error_shows_what_came():
    with pytest.raises(Lost) as caught:
        read(b"no such key: " + b"k" * 60)
    assert "no such key:" in str(caught.value)
    assert "kk" not in str(caught.value)


# -- bounds


def endless(begin: bytes, again: bytes, size: int) -> None:
    reader = AnswerReader()
    reader.feed(begin)
    reader.take()
    for _ in range(100_000_000 // size):
        reader.feed(again * (size // len(again)))
        reader.take()


@pytest.mark.parametrize("size", [1000, 65536])
@pytest.mark.parametrize(
    ("begin", "again", "words"),
    [
        (b"HTTP/1.1 200 ", b"x", "the head of the answer has over 102400 bytes"),
        (OK, b"x", "the head of the answer has over 102400 bytes"),
        (OK + b"a:", b"x", "the head of the answer has over 102400 bytes"),
        (OK, b"a:b\r\n", "the head of the answer has over 102400 bytes"),
        (b"HTTP/1.1 103 x\r\n", b"a:b\r\n", "the head of the answer has over 102400 bytes"),
        (b"HTTP/1.1 100 x\r\n\r\n", b"\r\n", "the head of the answer has over 102400 bytes"),
        (OK[:1], OK[1:] + b"\r\nH", ""),
        (b"H", b"TTP/1.1 100 x\r\n\r\nH", "over 1000 interim answers"),
        (CHUNKS, b"0", "over 65536 bytes"),
        (CHUNKS + b"1;", b"x", "over 65536 bytes"),
        (CHUNKS + b"1\r\na\r\n0\r\nT:", b"x", "over 65536 bytes"),
        (CHUNKS + b"0\r\n", b"t: x\r\n", "over 65536 bytes"),
    ],
)
def test_what_never_ends_ends_at_a_bound_that_is_named(begin, again, words, size):
    tracemalloc.start()
    try:
        if words:
            with pytest.raises(Lost, match=words):
                endless(begin, again, size)
        else:  # an answer after the answer
            reader = AnswerReader()
            reader.feed(begin + again * 1000)
            assert len(reader.take()) == len(again) * 1000 - len(OK) - 1
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_so_does_a_head_of_many_headers():
    with pytest.raises(Lost, match="over 1000 headers"):
        read(OK + b"a:\r\n" * (reading.MAX_FIELDS + 1) + b"\r\n")
    reader, _ = read(OK + b"a:\r\n" * reading.MAX_FIELDS + b"\r\n")
    assert len(reader.fields) == reading.MAX_FIELDS


def test_many_chunks_of_a_byte_are_no_trouble():
    parts = [b"1\r\na\r\n"] * 100_000
    reader, body = read(CHUNKS, *(b"".join(parts[at : at + 100]) for at in range(0, 100_000, 100)))
    assert body == b"a" * 100_000
    reader.feed(b"0\r\n\r\n")
    assert reader.keeps
