"""oq before a backend that answers as it is told, asked over bare sockets: on the fast path, or on
the ordinary way. And what it answers, without what differs from one time to the next.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

from oq.http.app import App, create_app
from oq.http.listen import bind
from oq.http.server import Server
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from tests.support.builders import AT_ONCE
from tests.support.gateway import QUICK

FAST, ORDINARY = "X-Odd: 1", "X-Odd:\t1"
"""A header that says the same in both forms. The fast path leaves those with a tab to h11."""

Tell = Callable[[bytes, bytes], bytes]
"""What a backend answers to a head and a body."""


class Told(NamedTuple):
    """A response. `first` are its status line and headers, in their order."""

    first: list[str]
    body: bytes
    ended: bool

    @property
    def status(self) -> int:
        return int(self.first[0].split()[1])

    @property
    def lasting(self) -> Told:
        return self._replace(
            first=[lasting_text(line) for line in self.first],
            body=lasting_text(self.body.decode("latin-1")).encode("latin-1"),
        )


def lasting_text(text: str) -> str:
    """The text without what differs from one time to the next."""
    for found, instead in (
        ("[0-9a-f]{8}-[0-9a-f]{4}-[-0-9a-f]{22}", "ID"),
        ("(resp|msg|req)_[0-9A-Za-z]+", r"\1_ID"),
        ("^date: .*GMT", "date: NOW"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r'"(created|created_at|completed_at|uptime)":[\d.]+', r'"\1":0'),
        ("under [0-9a-f]{8}", "under REFERENCE"),
        (r'"attempt":\d+', '"attempt":0'),
        (r"^id: \d+\.", "id: 0."),
        (r"^content-length: \d+$", "content-length: LENGTH"),  # it was compared with the body
    ):
        text = re.sub(found, instead, text, flags=re.MULTILINE)
    return text


class Site:
    """oq on a socket, before a backend that answers as it is told."""

    def __init__(self, queue: Queue, app: App, server: Server, port: int, odd: str) -> None:
        self.queue = queue
        self.app = app
        self.server = server
        self._port = port
        self._odd = odd

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self._port)

    def request(self, method: str, target: str, body: bytes | None = None, *fields: str) -> bytes:
        length = () if body is None else (f"Content-Length: {len(body)}",)
        head = [f"{method} {target} HTTP/1.1", "Host: localhost", self._odd, *fields, *length]
        return "\r\n".join([*head, "", ""]).encode() + (body or b"")

    async def ask(
        self, method: str, target: str, body: bytes | None = None, *fields: str, until: bytes = b""
    ) -> Told:
        """The response. One that never ends is read `until` these bytes have come."""
        async with await self.connect() as stream:
            await stream.send_all(self.request(method, target, body, *fields))
            data = b""
            with trio.fail_after(10):
                while not (until and until in data):
                    if (told := _whole(data)) is not None:
                        return told
                    if not (more := await stream.receive_some()):
                        first, _, rest = data.partition(b"\r\n\r\n")
                        return Told(first.decode("latin-1").split("\r\n"), rest, ended=True)
                    data += more
            first, _, rest = data.partition(b"\r\n\r\n")
            return Told(first.decode("latin-1").split("\r\n"), _decoded(rest), ended=False)


def _whole(data: bytes) -> Told | None:
    """The response, if all of it is here, and nothing more."""
    first, mark, body = data.partition(b"\r\n\r\n")
    lines = first.decode("latin-1").split("\r\n")
    if not mark:
        return None
    if "Transfer-Encoding: chunked" in lines:
        return Told(lines, _decoded(body), ended=False) if body.endswith(b"0\r\n\r\n") else None
    length = next((int(line[16:]) for line in lines if line.startswith("content-length: ")), 0)
    return Told(lines, body, ended=False) if len(body) == length else None


def _decoded(chunks: bytes) -> bytes:
    said = b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        said, chunks = said + chunks[: int(size, 16)], chunks[int(size, 16) + 2 :]
    return said


@asynccontextmanager
async def backend(tell: Tell) -> AsyncIterator[str]:
    async def serve(stream: trio.SocketStream) -> None:
        data = b""
        async with stream:
            while b"\r\n\r\n" not in data:
                if not (more := await stream.receive_some()):
                    return
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            while len(body) < (int(length[1]) if length else 0):
                body += await stream.receive_some()
            await stream.send_all(tell(head, body))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            trio.serve_listeners, serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def site(odd: str, where: str, kind: str, **sections: Any) -> AsyncIterator[Site]:
    async with trio.open_nursery() as nursery:
        given: dict[str, Any] = {"retry_config": {**QUICK, "max_retries": 0}, **sections}
        config = to_config(
            {
                "backends": [{"name": "b", "kind": kind, "url": where}],
                "simulated": AT_ONCE,
                **given,
                "server": {"port": 0, **given.get("server", {})},
            }
        )
        async with open_queue(config, ledger=KeyValueLedger(MemoryEngine())) as queue:
            app = create_app(queue)
            sockets = bind(config.server)
            server = Server(app, app.fast_path, sockets, max_connections=100)
            await nursery.start(server.run)
            yield Site(queue, app, server, sockets[0].getsockname()[1], odd)
            app.context.close()
            server.stop()
        nursery.cancel_scope.cancel()


def http(body: bytes, kind: str, *, status: str = "200 OK", chunked: bool = False) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n"
    if chunked:
        head, body = (
            head + "transfer-encoding: chunked\r\n",
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        )
    else:
        head += f"content-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
