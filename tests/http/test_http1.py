"""HTTP/1.1 and WebSocket, and nothing else: what is asked or said otherwise is refused."""

from __future__ import annotations

import inspect
import json
import struct
import zlib
from contextlib import suppress

import h11
import h11._receivebuffer
import pytest
import trio
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import WSStream

from oq.http import client_stream
from oq.http.connection import MAX_HEARD
from oq.http.server import MAX_HEAD, MAX_MESSAGE
from tests.support.http import GENERATE, Live, live

BODY = json.dumps(GENERATE).encode()
HOST = b"Host: localhost\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SUBMIT = b"POST /api/tasks HTTP/1.1\r\n" + HOST
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST
CODED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
CLOSE = b"Connection: close\r\n\r\n"


async def status(oq: Live, request: bytes) -> int:
    answer = await oq.talk(request)
    return int(answer.split(b" ", 2)[1])


async def test_interim_answers_have_a_reason_phrase_too():
    head = SUBMIT + LENGTH + b"Expect: 100-continue\r\n" + CLOSE
    async with live(paused=True) as oq:
        answer = await oq.talk(head + BODY)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n")
        assert b"\r\nHTTP/1.1 201 Created\r\n" in answer
        stream, answer = await shaken(oq)
        await stream.aclose()
        assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


# -- a target that is a whole URL


async def first(oq: Live, target: str, *fields: str, host: str = "localhost") -> str:
    """The beginning of the answer's head, and what an error says."""
    head = [f"GET {target} HTTP/1.1", f"Host: {host}", *fields, "Connection: close", "", ""]
    answer = (await oq.talk("\r\n".join(head).encode())).decode()
    return answer.partition("\r\n")[0] + answer.partition("\r\n\r\n")[2]


@pytest.mark.parametrize("port", ["", ":7125"])
@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://LOCALHOST{}/api/tasks?limit=0", "/api/tasks?limit=0"),
        ("http://localhost{}/api/tasks/x", "/api/tasks/x"),
        ("HTTP://localhost{}", "/"),
        ("http://localhost{}?limit=x", "/?limit=x"),
        ("http://localhost{}//api/tasks", "//api/tasks"),
        ("http://localhost{}/http://localhost/", "/http://localhost/"),
    ],
)
async def test_a_whole_url_is_the_path_in_it(url: str, path: str, port: str):
    async with live() as oq:
        asked = await first(oq, url.format(port), host=f"localhost{port}")
        assert asked == await first(oq, path, host=f"localhost{port}")


async def test_the_host_in_a_url_is_guarded_as_the_header_is():
    async with live() as oq:
        assert "400" in await first(oq, "http://localhost/healthz", host="127.0.0.1")
        assert "400" in await first(oq, "http://evil.example/healthz")
        assert "403" in await first(oq, "http://evil.example/healthz", host="evil.example")
        page = "Origin: http://evil.example"
        assert "403" in await first(oq, "http://localhost/api/tasks", page)
        assert "403" in await first(oq, "http://localhost/api/tags", page)
        assert "400" in await first(oq, "http://me@localhost/healthz", host="me@localhost")
        for target in ("https://localhost/healthz", "ftp://localhost/", "localhost", "http:/x"):
            assert "400" in await first(oq, target)


# -- one way to say it

TWICE = {
    "a bare line feed after the request line": SUBMIT.replace(b"\r\n", b"\n", 1) + LENGTH + CLOSE,
    "bare line feeds alone": (SUBMIT + LENGTH + CLOSE).replace(b"\r\n", b"\n"),
    "a bare line feed between two headers": SUBMIT + LENGTH[:-2] + b"\n" + CLOSE,
    "a bare line feed at the end": SUBMIT + LENGTH + CLOSE[:-2] + b"\n",
    "a header in a header": SUBMIT + b"X: y\nContent-Length: 0\r\n" + LENGTH + CLOSE,
    "a folded header": SUBMIT + b"X: y\r\n z\r\n" + LENGTH + CLOSE,
    "a folded length": SUBMIT + b"Content-Length:\r\n %d\r\n" % len(BODY) + CLOSE,
    "a header folded by a tab": SUBMIT + b"X: y\r\n\tz\r\n" + LENGTH + CLOSE,
    "a length and chunks": SUBMIT + LENGTH + CHUNKED + CLOSE,
    "chunks and a length": SUBMIT + CHUNKED + LENGTH + CLOSE,
    "chunks for HTTP/1.0": (SUBMIT + CHUNKED + CLOSE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "two lengths": SUBMIT + LENGTH + b"Content-Length: 3\r\n" + CLOSE,
    "a method in small letters": SUBMIT.replace(b"POST", b"post") + LENGTH + CLOSE,
    "a method in some small letters": SUBMIT.replace(b"POST", b"Post") + LENGTH + CLOSE,
    "a space before the colon": SUBMIT + LENGTH + b"X : y\r\n" + CLOSE,
}


@pytest.mark.parametrize("head", TWICE.values(), ids=TWICE.keys())
async def test_what_two_ends_might_read_differently_is_refused(head: bytes):
    """Both as the first request, where the fast path looks, and behind another one."""
    async with live(paused=True) as oq:
        answer = await oq.talk(head + BODY)
        assert answer.startswith(b"HTTP/1.1 400 ")
        text = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert "no request of HTTP/1.1" in text
        first = HEALTH + b"\r\n"
        answer = await oq.talk(first + head + BODY)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 400 " in answer
        assert oq.queue.status().total_tasks == 0


async def test_a_head_in_single_bytes_is_judged_as_one_in_one_piece():
    from oq.http.http1 import StrictReader

    for head in (*TWICE.values(), SUBMIT + LENGTH + CLOSE, SUBMIT + CHUNKED + CLOSE):
        found = []
        for pieces in ([head], [head[at : at + 1] for at in range(len(head))]):
            reader = StrictReader(MAX_HEAD)
            try:
                for piece in pieces:
                    reader.receive_data(piece)
                    event = reader.next_event()
                found.append(bytes(event.target))
            except h11.RemoteProtocolError:
                found.append(b"refused")
        assert found[0] == found[1], head


async def test_what_is_in_a_body_is_nobodys_line_end():
    text = json.dumps(GENERATE, indent=1).encode() + b"\n\n \n"
    coded = b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    async with live(paused=True) as oq:
        assert await status(oq, SUBMIT + CHUNKED + CLOSE + coded) == 201
        asked = SUBMIT + b"X-Slow: 1\r\n" * 900 + b"Content-Length: %d\r\n" % len(text) + CLOSE
        assert await status(oq, asked + text) == 201


async def test_trailers_are_read_as_strictly():
    async with live(paused=True) as oq:
        for trailer, right in ((b"X: y\r\n", 201), (b"X: y\n", 400), (b"X: y\r\n z\r\n", 400)):
            coded = CODED[:-2] + trailer + b"\r\n"
            assert await status(oq, SUBMIT + CHUNKED + CLOSE + coded) == right


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("size", [MAX_HEAD + 100, 40_000, 60_000])
async def test_a_head_over_the_bound_is_refused_however_it_comes(size: int, method: str):
    head = HEALTH.replace(b"GET", method.encode()) + b"X: " + b"x" * size + b"\r\n" + CLOSE
    async with live() as oq:
        assert await status(oq, head) == 431
        answer = await oq.talk(HEALTH + b"\r\n" + head)
        assert b"HTTP/1.1 431 " in answer
        assert b"32768 bytes" in answer
        async with await oq.connect() as stream:
            for at in range(0, len(head), 1000):
                try:
                    await stream.send_all(head[at : at + 1000])
                except trio.BrokenResourceError:
                    break  # it has been refused already
            with trio.fail_after(10):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 431 ")


async def test_a_head_at_the_bound_is_taken():
    bare = HEALTH + b"X: \r\n" + CLOSE
    head = bare.replace(b"X: ", b"X: " + b"x" * (MAX_HEAD - len(bare)))
    async with live() as oq:
        assert await status(oq, head) == 200


# -- no HTTP/2

SETTINGS = b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + SETTINGS,
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"Upgrade: H2C\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n" + SETTINGS,
    ],
)
async def test_a_wish_for_http_2_is_not_heard(fields: bytes):
    async with live() as oq, await oq.connect() as stream:
        await stream.send_all(HEALTH + fields + b"\r\n" + HEALTH + CLOSE)
        with trio.fail_after(10):
            answer = b"".join([part async for part in stream])
        assert answer.count(b"HTTP/1.1 200 ") == 2
        assert b" 101 " not in answer
        assert b"h2c" not in answer


async def test_the_preface_of_http_2_is_no_request():
    async with live() as oq:
        for before in (b"", HEALTH + b"\r\n"):
            answer = await oq.talk(before + PREFACE)
            assert b"HTTP/1.1 505 " in answer
            assert b"its version is 2.0" in answer
        assert await status(oq, HEALTH.replace(b"1.1", b"3.0") + CLOSE) == 505


# -- WebSocket without compression

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
TEXT, COMPRESSED, CONTINUED, PING = 0x81, 0xC1, 0x00, 0x89


def frame(first: int, data: bytes) -> bytes:
    """A masked frame, with a mask of zeros."""
    size = len(data)
    if size < 126:
        return bytes((first, 0x80 | size)) + bytes(4) + data
    if size < 1 << 16:
        return bytes((first, 0x80 | 126)) + struct.pack(">H", size) + bytes(4) + data
    return bytes((first, 0x80 | 127)) + struct.pack(">Q", size) + bytes(4) + data


async def shaken(oq: Live, offer: bytes = OFFER) -> tuple[trio.SocketStream, bytes]:
    """A WebSocket, and the head of the answer to its handshake."""
    stream = await oq.connect()
    await stream.send_all(UPGRADE + offer + b"\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(1)
    return stream, head


async def last_code(stream: trio.SocketStream) -> int | None:
    """The code with which the server closes; None if it just ends."""
    data = b""
    with trio.fail_after(10):
        try:
            while part := await stream.receive_some():
                data += part
        except trio.BrokenResourceError:
            pass  # it was closed with bytes unread
    at = data.rfind(b"\x88")
    return struct.unpack(">H", data[at + 2 : at + 4])[0] if at >= 0 else None


async def drain(stream: trio.SocketStream) -> None:
    """Take what comes, to the end."""
    with suppress(trio.BrokenResourceError):
        async for _ in stream:
            pass


@pytest.mark.parametrize(
    "offer",
    [b"", OFFER, OFFER.replace(b"Sec", b"sEC"), OFFER + OFFER, b"Sec-WebSocket-Extensions: x\r\n"],
)
async def test_no_extension_is_ever_negotiated(offer: bytes):
    async with live() as oq:
        stream, head = await shaken(oq, offer)
        async with stream:
            assert b" 101 " in head
            assert b"extensions" not in head.lower()


async def test_a_compressed_frame_is_an_error_of_the_protocol():
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(10_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    async with live() as oq:
        for data in (b"", bomb):
            stream, _ = await shaken(oq)
            async with stream:
                await stream.receive_some(2)  # the hello has begun
                await stream.send_all(frame(COMPRESSED, data))
                assert await last_code(stream) is None  # it ends; nothing of it was taken


async def test_the_bounds_of_messages_hold(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_stream, "LINGER", 0.05)
    async with live() as oq:
        for sent in (
            [frame(TEXT, b"x" * (MAX_MESSAGE + 1))],
            [frame(0x01, b"x" * 1000)] + [frame(CONTINUED, b"x" * 1000)] * 70,
        ):
            stream, _ = await shaken(oq)
            async with stream:
                await stream.send_all(b"".join(sent))
                assert await last_code(stream) == 1009


async def test_a_peer_that_says_too_much_is_cut_off():
    pings = frame(PING, b"x" * 100) * (2 * MAX_HEARD // 100)
    async with live() as oq:
        stream, _ = await shaken(oq)
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(drain, stream)  # it takes the answers
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(20 * pings)  # the kernel takes some of it, whoever reads


# -- what it knows of others' insides


def test_hypercorn_and_h11_are_as_they_are_known():
    """Each of these is reached into by `oq.http.http1`: what fails here has moved."""
    names = list(inspect.signature(H11Protocol.__init__).parameters)
    assert names == [
        "self", "app", "config", "context", "task_group", "connection_state", "ssl", "client",
        "server", "send",
    ]  # fmt: skip
    handling = inspect.getsource(H11Protocol._handle_events)
    for used in ("self._check_protocol(", "self._create_stream(", "self._send_error_response("):
        assert used in handling
    assert "H2CProtocolRequiredError" in inspect.getsource(H11Protocol._check_protocol)
    making = inspect.getsource(H11Protocol.__init__)
    for used in ("self.connection", "self.stream", "self.keep_alive_requests", "self.context"):
        assert used in making
    assert "H11WSConnection(" in inspect.getsource(H11Protocol._create_stream)
    assert "trailing_data" in inspect.getsource(H11WSConnection.__init__)
    assert {"closed", "connection"} <= set(
        inspect.getsource(WSStream).replace(":", " ").replace(".", " ").split()
    )
    buffer = h11._receivebuffer.ReceiveBuffer()
    assert isinstance(buffer._data, bytearray)
    assert isinstance(h11.Connection(h11.SERVER)._receive_buffer, type(buffer))
    reading = inspect.getsource(h11._readers)
    assert reading.count("buf.maybe_extract_lines()") == 3  # requests, answers, trailers
