"""Answers that are drawn: good ones of each form, and those with a few bytes changed."""

from __future__ import annotations

from hypothesis import strategies as st

BODIES = st.binary(max_size=40) | st.just(b'{"done":true}\n') | st.just(b"HTTP/1.1 200 OK\r\n\r\n")
FIELDS = st.sampled_from(
    [b"Content-Type: application/json", b"X: y", b"x:y", b"A:  b c \t", b"E:", b"L: caf\xe9",
     b"Connection: close", b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"Set-Cookie: a=b"]
)  # fmt: skip
STATUS = st.sampled_from(
    [b"200 OK", b"200", b"200 ", b"201 Two Words", b"204 None", b"304 Same", b"404 caf\xe9",
     b"503  odd  ", b"999 x"]
)  # fmt: skip
INTERIM = st.sampled_from(
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n",
     b"HTTP/1.1 102 At Work\r\n\r\n"]
)  # fmt: skip
VERSION = st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0"])
EXTENSION = st.sampled_from([b"", b"", b"", b";a", b";a=b", b';a="b c"', b"  "])
TRAILERS = st.lists(st.sampled_from([b"T: x\r\n", b"Server-Timing: a;b\r\n"]), max_size=2)


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """The body in chunks."""
    framed, at = b"", 0
    while at < len(body):
        size = draw(st.integers(1, len(body) - at))
        written = draw(st.sampled_from([b"%x", b"%X", b"0%x"])) % size
        framed += written + draw(EXTENSION) + b"\r\n" + body[at : at + size] + b"\r\n"
        at += size
    return framed + b"0\r\n" + b"".join(draw(TRAILERS)) + b"\r\n"


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A good answer. What may follow it, nobody asked for."""
    body, fields = draw(BODIES), draw(st.lists(FIELDS, max_size=4))
    match draw(st.sampled_from(["length", "chunks", "close"])):
        case "length":
            for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
                fields.insert(draw(st.integers(0, len(fields))), b"Content-Length: %d" % len(body))
        case "chunks":
            fields.append(b"Transfer-Encoding: " + draw(st.sampled_from([b"chunked", b"Chunked"])))
            body = draw(chunked(body))
    lines = [draw(VERSION) + b" " + draw(STATUS), *fields, b"", body]
    before = b"".join(draw(st.lists(INTERIM, max_size=2)))
    after = draw(st.sampled_from([b"", b"", b"", b"\r\n", b"x", b"HTTP/1.1 200 OK\r\n\r\n"]))
    return before + b"\r\n".join(lines) + after


BITS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"\0", b"\x01", b"\x0b", b"\x0c",
     b"\x7f", b"\xa0", b"0", b"1", b"5", b"f", b"x", b"-", b"+", b"_", b"\r\n\r\n", b"\n\n",
     b"\r\n ", b"\r\n\t", b"\r\r\n", b"0\r\n\r\n", b"5\r\nabcde\r\n", b"ffffffffffffffff\r\n",
     b"Content-Length: 3\r\n", b"Content-Length: 03\r\n", b"Content-Length: 3, 3\r\n",
     b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
     b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n",
     b"Connection: upgrade\r\n", b"Upgrade: h2c\r\n", b"Connection: close\r\n",
     b"HTTP/1.1 100 x\r\n\r\n", b"HTTP/1.1 101 x\r\n\r\n", b"HTTP/1.1 204 x\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n", b"HTTP/2.0", b"099", b"65536"]
)  # fmt: skip


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """An answer with up to three places changed: something put in, taken out, or cut off."""
    data = draw(answers())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(BITS | st.just(b"")) + data[at + draw(st.integers(0, 3)) :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes, cut as a network may cut them: at a few places, or at each byte."""
    if draw(st.booleans()):
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
