"""A server of models that costs little: one loop over epoll that speaks Ollama's API and OpenAI's.

`backend` starts one; `python -m bench.gateways.backend` is the program that it starts. A chat says
how many chunks its answer has (``options.num_predict``, or ``max_tokens``; 1 if it says nothing).
The first comes at once, the others 50 a second, or what `--rate` says; not two streams have their
chunks at the same moment. With ``--rate 0`` each stream has its next chunk when somebody asks for
``POST /next``. Each chunk carries the time at which it was sent, as those of `bench.stamper` do.
Everything that is no stream is answered at once.
"""

from __future__ import annotations

import argparse
import heapq
import os
import re
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from oq.cli.demo.children import Child, child

RATE = 50.0
GOLDEN = 0.618034
"""Multiples of it, without their whole parts, are spread evenly."""
PIECE = 65536
BACKLOG = 2048

_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_IN_CHUNKS = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST = b"0\r\n\r\n"

_OLLAMA_LINE = (
    b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant",'
    b'"content":"@%d@"},"done":false}\n'
)
_OLLAMA_END = (
    b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant",'
    b'"content":""},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":1}\n'
)
_OPENAI_LINE = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1767225600,"model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"@%d@"},"finish_reason":null}]}'
    b"\n\n"
)
_OPENAI_END = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1767225600,"model":"m",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def _whole(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    ) + body


def _begun(kind: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind


OLLAMA_CHAT = _whole(
    b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant",'
    b'"content":"Yes."},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":1}'
)
OPENAI_CHAT = _whole(
    b'{"id":"c","object":"chat.completion","created":1767225600,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
EMBEDDING = _whole(
    msgspec.json.encode(
        {"model": "m", "embeddings": [[n / 100 for n in range(32)]], "prompt_eval_count": 1}
    )
)
NEXT = "/next"
ABOUT = _whole(
    b'{"version":"0.12.0","models":[{"name":"m:latest","model":"m:latest"}],'
    b'"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"bench"}]}'
)


class _Options(msgspec.Struct):
    num_predict: int = 1


class _Chat(msgspec.Struct):
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    """Some gateways put it in the place of `max_tokens`."""
    options: _Options = msgspec.field(default_factory=_Options)

    def chunks(self, *, openai: bool) -> int:
        asked = self.max_tokens or self.max_completion_tokens if openai else 0
        return max(asked or self.options.num_predict, 1)


_decode = msgspec.json.Decoder(_Chat).decode


@contextmanager
def backend(rate: float = RATE) -> Iterator[Child]:
    """One on a free port of the loopback interface."""
    arguments = ["-m", "bench.gateways.backend", "--rate", str(rate)]
    with (
        tempfile.TemporaryDirectory(prefix="oq-bench-") as folder,
        child("backend", arguments, Path(folder), os.environ) as started,
    ):
        yield started


class Peer:
    """A connection: what came of a request, and what could not yet be sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got = b""
        self.unsent = b""
        self.left = 0
        """Chunks of the stream that it is sent."""
        self.line = self.end = b""

    def request(self) -> tuple[bytes, bytes] | None:
        """The first line and the body of a request, once it is whole; and it is taken out."""
        head, mark, rest = self.got.partition(_HEAD)
        if not mark:
            return None
        if _IN_CHUNKS.search(head):
            if not rest.endswith(_LAST):
                return None
            size, _, body = rest.partition(b"\r\n")
            body, self.got = body[: int(size, 16)], b""
        else:
            found = _LENGTH.search(head)
            length = 0 if found is None else int(found[1])
            if len(rest) < length:
                return None
            body, self.got = rest[:length], rest[length:]
        return head[: head.find(b"\r\n")], body


class Backend:
    """The loop."""

    def __init__(self, listener: socket.socket, rate: float) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._period = 1 / rate if rate else None
        self._paced: list[Peer] = []
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._peers: dict[int, Peer] = {}
        self._due: list[tuple[float, int, Peer]] = []
        self._streams = 0

    def run(self) -> None:
        while True:
            wait = self._due[0][0] - time.monotonic() if self._due else -1
            events = self._epoll.poll(max(wait, 0) if self._due else None)
            for number, event in events:
                if number == self._listener.fileno():
                    self._accept()
                elif (peer := self._peers.get(number)) is not None:
                    self._serve(peer, event)
            self._tick()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._peers[sock.fileno()] = Peer(sock)
                self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _serve(self, peer: Peer, event: int) -> None:
        try:
            if event & select.EPOLLOUT:
                self._send(peer, b"")
            if event & ~select.EPOLLOUT:
                data = peer.sock.recv(PIECE)
                if not data:
                    raise ConnectionResetError
                peer.got += data
                while (asked := peer.request()) is not None:
                    self._answer(peer, *asked)
        except BlockingIOError:
            return
        except OSError:
            self._leave(peer)

    def _leave(self, peer: Peer) -> None:
        if self._peers.pop(peer.sock.fileno(), None) is not None:
            peer.left = 0
            peer.sock.close()  # which takes it out of the epoll too

    def _answer(self, peer: Peer, line: bytes, body: bytes) -> None:
        openai = line.startswith(b"POST /v1/chat/completions")
        if line.startswith(b"POST /next "):
            self._pace()
        if not openai and not line.startswith(b"POST /api/chat"):
            self._send(peer, EMBEDDING if b"embed" in line else ABOUT)
            return
        chat = _decode(body)
        if not (chat.stream or (chat.stream is None and not openai)):
            self._send(peer, OPENAI_CHAT if openai else OLLAMA_CHAT)
            return
        peer.left = chat.chunks(openai=openai)
        peer.line = _OPENAI_LINE if openai else _OLLAMA_LINE
        peer.end = _OPENAI_END if openai else _OLLAMA_END
        head = _begun(b"text/event-stream" if openai else b"application/x-ndjson")
        self._stream(peer, head + self._next(peer))

    def _next(self, peer: Peer) -> bytes:
        peer.left -= 1
        line = peer.line % time.monotonic_ns()
        chunk = b"%x\r\n%b\r\n" % (len(line), line)
        if peer.left == 0:
            chunk += b"%x\r\n%b\r\n%b" % (len(peer.end), peer.end, _LAST)
        return chunk

    def _stream(self, peer: Peer, first: bytes) -> None:
        self._send(peer, first)
        if peer.left and self._period is None:
            self._paced.append(peer)
        elif peer.left and self._period is not None:
            self._streams += 1
            wait = (1 + self._streams * GOLDEN % 1) * self._period
            heapq.heappush(self._due, (time.monotonic() + wait, self._streams, peer))

    def _tick(self) -> None:
        """Send the chunks that are due."""
        now = time.monotonic()
        while self._period is not None and self._due and self._due[0][0] <= now:
            when, number, peer = self._due[0]
            if self._goes_on(peer):
                heapq.heapreplace(self._due, (when + self._period, number, peer))
            else:
                heapq.heappop(self._due)

    def _pace(self) -> None:
        self._paced = [peer for peer in self._paced if self._goes_on(peer)]

    def _goes_on(self, peer: Peer) -> bool:
        """Send the next chunk of a stream; whether there are more."""
        if peer.left:  # its reader is there
            try:
                self._send(peer, self._next(peer))
            except OSError:
                self._leave(peer)
        return peer.left > 0

    def _send(self, peer: Peer, data: bytes) -> None:
        """Send what can be sent, and the rest when its reader has room."""
        before = peer.unsent
        rest = before + data
        with suppress(BlockingIOError):
            rest = rest[peer.sock.send(rest) :]
        peer.unsent = rest
        if bool(rest) != bool(before):
            wanted = select.EPOLLIN | (select.EPOLLOUT if rest else 0)
            self._epoll.modify(peer.sock.fileno(), wanted)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gateways.backend", description=__doc__)
    parser.add_argument("--rate", type=float, default=RATE, help="chunks a second of a stream (50)")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        print(f"listens at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        Backend(listener, options.rate).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
