"""Bodies that come compressed: all of their text is read, and one that is cut off is no answer."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest

from oq.backends.encoding import PIECE, decoder
from oq.words.errors import BackendFailure
from tests.gateway.test_liars import http, lying
from tests.support.gateway import CHAT

TEXT = b"one two three " * 20
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
ANSWERS = {
    "/api/chat": {"model": "m", "message": {"role": "assistant", "content": "a"}, "done": True},
    "/v1/chat/completions": {"object": "chat.completion", "choices": [CHOICE]},
    "/api/embed": {"model": "m", "embeddings": [[0.5]]},
}
SIZES = pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
PACKERS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}


def read(encoding: str, body: bytes, size: int = 1 << 20) -> bytes:
    """The text of a whole body that comes in pieces of this size."""
    decode = decoder(encoding)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    text = b"".join(piece for part in parts for piece in decode(part))
    decode.end()
    return text


def test_a_few_bytes_that_are_many_come_piece_by_piece():
    packed = gzip.compress(b"\n" * 50_000_000)
    pieces = decoder("gzip")(packed)
    assert len(next(pieces)) == PIECE
    assert sum(map(len, pieces)) == 50_000_000 - PIECE


@SIZES
def test_a_body_may_have_several_members(size):
    packed = b"".join(gzip.compress(text) for text in (b"one", b"", b" two", b" three"))
    assert read("gzip", packed, size) == b"one two three"


@SIZES
@pytest.mark.parametrize("encoding", PACKERS)
def test_a_body_that_is_cut_anywhere_is_no_body(encoding, size):
    packed = PACKERS[encoding](TEXT)
    assert read(encoding, packed, size) == TEXT
    for end in range(1, len(packed)):
        with pytest.raises(BackendFailure, match="cut off"):
            read(encoding, packed[:end], size)


@SIZES
def test_a_further_member_that_is_cut_is_missed_too(size):
    packed = gzip.compress(b"one")
    for end in range(1, len(packed)):
        with pytest.raises(BackendFailure, match="cut off"):
            read("gzip", packed + packed[:end], size)


@SIZES
@pytest.mark.parametrize("behind", [b"\0" * 512, b"garbage", b"\x1fgarbage", b"g", b"\0"])
@pytest.mark.parametrize("encoding", PACKERS)
def test_what_follows_and_begins_no_member_is_left_out_wherever_it_is_cut(encoding, behind, size):
    """As gzip does; RFC 1952 says nothing about it. Some servers fill the last block with zeros."""
    packed = PACKERS[encoding](TEXT)
    assert read(encoding, packed + behind, size) == TEXT


@pytest.mark.parametrize("wrong", [-1, -5])
def test_a_sum_that_is_wrong_is_said(wrong):
    packed = bytearray(gzip.compress(TEXT))
    packed[wrong] ^= 1
    with pytest.raises(BackendFailure, match="not gzip"):
        read("gzip", bytes(packed))


@pytest.mark.parametrize("encoding", ["", "identity", *PACKERS])
def test_an_empty_body_is_whole_whatever_its_encoding(encoding):
    assert read(encoding, b"") == b""


def test_what_follows_a_compressed_body_is_not_kept():
    """What inflates a body keeps what comes behind its end, and copies it each time."""
    inflate = decoder("gzip")
    assert list(inflate(gzip.compress(b"x") + b"garbage")) == [b"x"]
    tracemalloc.start()
    for _ in range(1000):
        assert list(inflate(b"a" * 65536)) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ANSWERS)
async def test_a_call_with_a_cut_answer_has_failed(path, chunked):
    packed = gzip.compress(json.dumps(ANSWERS[path]).encode())
    for body, status in ((packed, 200), (packed[:-1], 502), (packed[:-8], 502)):
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        kind = "Content-Type: application/json"
        answer = http(framed, "200 OK", "Content-Encoding: gzip", framing, kind)
        async with lying(answer) as here:
            got = await here.oq.post(path, json={**CHAT, "stream": False, "input": "x"})
            task = await here.task(got)
        assert got.status_code == status
        assert task["status"] == ("completed" if status == 200 else "failed")
        assert ("is cut off" in got.text) == (status == 502)
