"""Clients that read slowly, or not at all."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

BUFFER = 4096
"""Bytes that the kernel keeps for such a client: the rest stays with the server."""
SIP = 200
PAUSE = 0.05
WITHIN = 60.0
"""Seconds in which what is waited for must have come, on a machine that is busy."""


def ask(url: str, request: bytes) -> socket.socket:
    """A connection on which this was asked, with hardly any room for the answer."""
    where = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    client.connect((where.hostname, where.port))
    client.sendall(request)
    return client


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


class Slow:
    """Clients that take a sip now and then, each of the answer to one of these requests."""

    def __init__(self, url: str, requests: list[bytes]) -> None:
        self._taken = {ask(url, request): 0 for request in requests}
        self._news = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._drink, daemon=True)

    def __enter__(self) -> Slow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for client in self._taken:
            client.close()

    def wait_all(self, least: int) -> None:
        """Return when each of them has taken so many bytes."""
        with self._news:
            assert self._news.wait_for(lambda: min(self._taken.values()) >= least, WITHIN)

    def _drink(self) -> None:
        while not self._over.wait(PAUSE):
            with self._news:
                for client in self._taken:
                    with suppress(BlockingIOError):
                        self._taken[client] += len(client.recv(SIP, socket.MSG_DONTWAIT))
                self._news.notify_all()
