"""One request by a plain socket, and its answer as its bytes came."""

from __future__ import annotations

import socket
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import h11

TIMEOUT = 30.0


class Answer(NamedTuple):
    """An answer. `body` is without its framing; `ended` says how it did. A connection that ends
    before the head has status 0.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    ended: Literal["whole", "cut"]


def ask(
    url: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes, chunks: int = 0
) -> Answer:
    """Send the request on a connection of its own; read until the answer ends in some way."""
    to = urlsplit(url)
    with socket.create_connection((to.hostname, to.port), TIMEOUT) as connection:
        connection.settimeout(TIMEOUT)
        connection.sendall(_request(to.netloc, method, target, headers, body, chunks))
        return _read(connection, method)


def _request(
    host: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes, chunks: int
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if chunks:
        lines.append("Transfer-Encoding: chunked")
        size = max(1, -(-len(body) // chunks))
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    elif method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _read(connection: socket.socket, method: str) -> Answer:
    ours = h11.Connection(h11.CLIENT)
    ours.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    ours.send(h11.EndOfMessage())
    status, reason, headers, body = 0, "", list[tuple[str, str]](), b""
    while True:
        try:
            event = ours.next_event()
            if event is h11.NEED_DATA:
                ours.receive_data(_received(connection))
                continue
        except h11.RemoteProtocolError:
            return Answer(status, reason, headers, body, "cut")
        if isinstance(event, h11.Response):
            status, reason = event.status_code, event.reason.decode("latin-1")
            headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, reason, headers, body, "whole" if status else "cut")


def _received(connection: socket.socket) -> bytes:
    """What came; nothing at the end, which may be a reset."""
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""
