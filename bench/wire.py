"""HTTP/1.1 with as little around it as can be: a client whose own cost hides nothing.

It reads what the servers measured here send: a length, or chunks; no redirects, no compression.
"""

from __future__ import annotations

import re
import socket
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_PIECE = 65536


def address(url: str) -> tuple[str, int]:
    """Where a server with this url listens."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def spoken(url: str) -> str:
    """The url, if it is one that is spoken here; ValueError says why it is not."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url}: only http://HOST:PORT is spoken here")
    _ = parts.port  # ValueError, if that is no number
    return url


def request(url: str, method: str, path: str, body: bytes = b"") -> bytes:
    """A whole request."""
    host, port = address(url)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Answer:
    """One answer, as it comes in. `body` is what came of it, with the marks of its chunks."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.done = False
        self.last = False
        """Whether the server closes the connection after it: some do after so many requests."""
        self._length: int | None = None

    def feed(self, data: bytes) -> None:
        self.body += data
        if not self.status:
            head, mark, rest = self.body.partition(_END_OF_HEAD)
            if not mark:
                return
            found = _STATUS.match(head)
            if found is None:
                raise ConnectionError(f"that is no answer of HTTP/1.1: {head[:80]!r}")
            self.status, self.body = int(found[1]), rest
            self.last = _CLOSE.search(head) is not None
            found = _LENGTH.search(head)
            self._length = None if found is None else int(found[1])
        if self._length is None:
            self.done = self.body.endswith(_LAST_CHUNK)
        else:
            self.done = len(self.body) >= self._length

    @property
    def begun(self) -> bool:
        """Whether something of its body is there."""
        return bool(self.status and self.body) or self.done

    @property
    def problem(self) -> str | None:
        """Why it is not a success, if it is none."""
        return None if 200 <= self.status < 300 else f"{self.status} {self.body[:200]!r}"


class KeptAlive:
    """One connection, for one request after the other, made again when the server has closed it.
    It blocks.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._socket = self._connect()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, whole_request: bytes) -> Answer:
        """The answer, whole."""
        answer = self.begin(whole_request)
        self.finish(answer)
        return answer

    def begin(self, whole_request: bytes) -> Answer:
        """The answer, as soon as its body has begun; `finish` it before the next request."""
        self._socket.sendall(whole_request)
        answer = Answer()
        while not answer.begun:
            answer.feed(self._receive())
        return answer

    def more(self, answer: Answer) -> None:
        """Wait until there is more of it."""
        answer.feed(self._receive())

    def finish(self, answer: Answer) -> None:
        while not answer.done:
            self.more(answer)
        if answer.last:
            self.close()
            self._socket = self._connect()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(address(self._url), timeout=60)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _receive(self) -> bytes:
        data = self._socket.recv(_PIECE)
        if not data:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        return data
