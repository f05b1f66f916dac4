"""HTTP/1.1 and WebSocket, and nothing else: Hypercorn's protocol over a strict reader of heads.

This is the one file that knows the insides of Hypercorn and h11; `tests/http/test_http1.py` says
which of them have moved when a new version comes. What is different here, and why:

- Hypercorn changes to HTTP/2 for whoever asks (`Upgrade: h2c`, or HTTP/2's preface). A proxy that
  passes such an `Upgrade` on has no say in what follows on that connection. Here the wish for h2c
  is not heard, as RFC 9110, 7.8 allows, and the preface is no request.
- Hypercorn accepts compressed WebSocket frames: a few bytes that become many. Here the extension
  is never offered, so a compressed frame is an error of the protocol.
- h11 takes line ends without a carriage return, folded header lines, and two ways to say how long
  a body is. A proxy in front may read another request out of those bytes (RFC 9112, 11.2). Here
  they are refused.
- Hypercorn takes a method for the one in capital letters. They are others (RFC 9110, 9.1), and what
  a proxy refuses as POST would pass it as post. Here they are refused.
- h11 bounds what has come of a head only while the head is incomplete. Here every head is bounded.
- Hypercorn takes a whole URL for a path, which nothing has. Servers must take it (RFC 9112, 3.2.2):
  here it is the path in it, of the host that the header Host names as well.
- Hypercorn reads no further while a request waits behind another one, so that it does not notice
  when the client leaves. Here that ends the wait, and the connection.
"""

from __future__ import annotations

import re
from http.client import NO_CONTENT, responses
from typing import Any

import h11
import trio
from h11._receivebuffer import ReceiveBuffer
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.trio.worker_context import EventWrapper
from wsproto.connection import ConnectionState as SocketState

from oq.http.asgi import REASON
from oq.http.client_stream import ClientStream
from oq.http.guard import SECURE
from oq.http.peer import ClientGone
from oq.http.responses import JSON, ErrorAnswer, encode

_LOOSE = re.compile(rb"(?<!\r)\n|\n[ \t]")
"""A line end without its carriage return, or a line that goes on in the next one."""
_WHOLE_URL = re.compile(rb"(?i:http)://([^/?#@]+)((?:[/?].*)?)")
"""A target that says whose path it is: the absolute form of RFC 9112, 3.2.2."""
_VERSIONS = frozenset({b"1.0", b"1.1"})
_EXTENSIONS = b"sec-websocket-extensions"


class Http1(H11Protocol):
    """The protocol of one connection, `stream`, for `oq.http.connection`.

    `handle` raises ClientGone if the client leaves while its next request waits.
    """

    def __init__(self, stream: ClientStream, *given: Any) -> None:
        super().__init__(*given)
        self.can_read = _Turn(stream)
        self.connection = StrictReader(self.config.h11_max_incomplete_size)

    @property
    def is_websocket(self) -> bool:
        """Whether the connection has become a WebSocket, or is about to."""
        return isinstance(self.connection, H11WSConnection)

    @property
    def is_open_websocket(self) -> bool:
        """Whether a WebSocket takes frames."""
        frames = getattr(self.stream, "connection", None)
        return frames is not None and frames.state is SocketState.OPEN

    @property
    def is_refused_websocket(self) -> bool:
        """Whether a handshake has been refused.

        Only a handshake: the stream of an answer that has just been sent is closed for a moment
        too, before Hypercorn makes the connection ready for the next request.
        """
        return self.is_websocket and self.stream is not None and self.stream.closed

    @property
    def is_closing_websocket(self) -> bool:
        """Whether this side has said why it closes, and the peer has not answered yet."""
        frames = getattr(self.stream, "connection", None)
        return frames is not None and frames.state is SocketState.LOCAL_CLOSING

    @property
    def is_between_requests(self) -> bool:
        """Whether neither a request nor a part of one is here."""
        reader = self.connection
        return (
            not self.is_websocket
            and reader.our_state is h11.IDLE
            and reader.their_state is h11.IDLE
            and not reader.trailing_data[0]
        )

    def count_request(self) -> bool:
        """Count a request that was answered past this; whether the connection ends after it."""
        self.keep_alive_requests += 1
        return bool(
            self.context.terminated.is_set()
            or self.keep_alive_requests >= self.config.keep_alive_max_requests
        )

    async def _check_protocol(self, event: h11.Request) -> None:
        """Hypercorn changes to HTTP/2 here."""

    async def _create_stream(self, request: h11.Request) -> None:
        """Begin a request: for the path of a whole URL, if it has one for its target, and without
        the extensions of WebSockets that it offers.
        """
        target = _path_in(request)
        kept = [item for item in request.headers if item[0] != _EXTENSIONS]
        if len(kept) != len(request.headers) or target != request.target:
            request = h11.Request(
                method=request.method,
                target=target,
                headers=kept,
                http_version=request.http_version,
            )
        await super()._create_stream(request)

    async def _send_h11_event(self, event: Any) -> None:
        """Send it. A response gets a reason phrase: some clients show nothing else."""
        if isinstance(event, (h11.Response, h11.InformationalResponse)):
            event = _with_reason(event)
            if event.status_code == NO_CONTENT:
                event = _without_length(event)
        await super()._send_h11_event(event)

    async def _send_error_response(self, status_code: int) -> None:
        """Say why what came is no request; Hypercorn says nothing but the status."""
        reader = self.connection
        assert isinstance(reader, StrictReader)  # a WebSocket's has no errors
        body = encode(ErrorAnswer(f"this is no request of HTTP/1.1: {reader.problem}"))
        headers = [
            (b"content-type", JSON.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *SECURE,
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        if not reader.is_head:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class _Turn(EventWrapper):
    """When the next request is read: after the response to the one before."""

    def __init__(self, stream: ClientStream) -> None:
        super().__init__()
        self._stream = stream

    async def wait(self) -> None:
        with trio.CancelScope() as waiting:
            self._stream.watch(waiting)
            try:
                await super().wait()
            finally:
                self._stream.unwatch()
        if waiting.cancelled_caught:
            raise ClientGone


def _without_length(response: h11.Response) -> h11.Response:
    """A response without content says no length, be it 0: RFC 9110, 8.6."""
    kept = [item for item in response.headers.raw_items() if item[0].lower() != b"content-length"]
    return h11.Response(
        status_code=response.status_code, headers=kept, reason=bytes(response.reason)
    )


def _with_reason(
    response: h11.Response | h11.InformationalResponse,
) -> h11.Response | h11.InformationalResponse:
    given = [value for name, value in response.headers if name == REASON]
    if response.reason and not given:
        return response
    return type(response)(
        status_code=response.status_code,
        headers=[item for item in response.headers.raw_items() if item[0].lower() != REASON],
        reason=given[0] if given else responses.get(response.status_code, "").encode(),
    )


class StrictReader(h11.Connection):
    """h11's side of a server that refuses what two ends might read differently. `max_head` is in
    bytes. `problem` says what was wrong, once `next_event` has raised RemoteProtocolError.
    """

    def __init__(self, max_head: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=max_head)
        self._receive_buffer = _Lines(max_head)
        self.problem = ""
        self.is_head = False
        """Whether the request asks for the head of an answer alone."""

    def next_event(self) -> Any:
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self.is_head = event.method == b"HEAD"
                _check(event)
        except h11.RemoteProtocolError as error:
            self.problem = str(error)[:200]
            raise
        return event


class _Lines(ReceiveBuffer):
    """What has come in, whose heads (and trailers) have strict line ends and are not too long."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._checked = 0

    def maybe_extract_lines(self) -> list[bytearray] | None:
        if self._data[:2] != b"\r\n":  # there the trailers of a body end, with no line before
            self._check()
        lines = super().maybe_extract_lines()
        if lines is not None:
            self._checked = 0
        return lines

    def _check(self) -> None:
        """Look at what is new, up to the end of the head."""
        # One byte again, and three: they may belong to what has come now.
        end = self._data.find(b"\r\n\r\n", max(0, self._checked - 3))
        stop = len(self._data) if end < 0 else end + 2
        if stop > self._most:
            raise h11.RemoteProtocolError(
                f"the head is over {self._most} bytes", error_status_hint=431
            )
        if _LOOSE.search(self._data, max(0, self._checked - 1), stop):
            raise h11.RemoteProtocolError("a line of the head is folded, or has no CR LF")
        self._checked = stop


def _path_in(request: h11.Request) -> bytes:
    """The target as a path. A URL stays what it is, and is refused as no path, if the header Host
    does not say the same: who is asked would be read in two ways.
    """
    url = _WHOLE_URL.fullmatch(request.target)
    hosts = [value.lower() for name, value in request.headers if name == b"host"]
    if url is None or hosts != [url[1].lower()]:
        return bytes(request.target)
    return url[2] if url[2].startswith(b"/") else b"/" + url[2]


def _check(request: h11.Request) -> None:
    """RemoteProtocolError if it is not HTTP/1, has a method that Hypercorn would take for another,
    or says twice how long its body is.
    """
    if request.http_version not in _VERSIONS:
        version = request.http_version.decode()
        raise h11.RemoteProtocolError(f"its version is {version}", error_status_hint=505)
    if request.method != request.method.upper():
        raise h11.RemoteProtocolError("its method is not in capital letters")
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" not in names:
        return
    if b"content-length" in names:
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding are given")
    if request.http_version == b"1.0":
        raise h11.RemoteProtocolError("Transfer-Encoding is not for HTTP/1.0")
