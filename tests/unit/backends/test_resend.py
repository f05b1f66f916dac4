"""A request is sent again only where the server cannot have taken it: one attempt is one call."""

from __future__ import annotations

import pytest
import trio

from oq.backends.base import Request
from oq.backends.http1.connection import Connection
from oq.backends.ollama import OllamaBackend
from oq.words.errors import BackendFailure
from oq.words.task import TaskType

GENERATE = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', b"{}")
EMBED = Request(TaskType.EMBED, "m", b'{"input":"x"}', b"{}")
TAGS = b'{"models":[]}'
ANSWERS = {
    b"POST /api/generate": b'{"response":"a","done":true}\n',
    b"POST /api/embed": b'{"embeddings":[[1]]}',
    b"GET /api/tags": TAGS,
    b"GET /api/ps": TAGS,
}


class Server:
    """Keeps its connections; once it is `broken` it takes each request and resets."""

    def __init__(self) -> None:
        self.broken = False
        self.taken = 0
        self.open = 0
        self.together = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        self.open += 1
        async with stream:
            while head := await stream.receive_some(10_000):
                while not (head.endswith(b"}") or head.startswith(b"GET")):
                    head += await stream.receive_some(10_000)
                if self.broken:
                    self.taken += 1
                    return
                if self.open >= 16:
                    self.together.set()
                await self.together.wait()
                body = ANSWERS[b" ".join(head.split(b" ")[:2])]
                await stream.send_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
                )


@pytest.mark.parametrize("request_", [GENERATE, EMBED], ids=["stream", "whole"])
async def test_a_server_that_takes_a_request_and_resets_gets_it_once(nursery, request_):
    server = Server()
    listeners = await nursery.start(
        trio.serve_listeners, server.serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
    )
    port = listeners[0].socket.getsockname()[1]
    backend = OllamaBackend("o", f"127.0.0.1:{port}")
    with trio.fail_after(30):
        async with trio.open_nursery() as many:
            for _ in range(16):  # so many idle connections are kept
                many.start_soon(backend.run, EMBED, lambda chunk: None)
        server.broken = True
        with pytest.raises(BackendFailure, match="was lost"):
            await backend.run(request_, lambda chunk: None)
    assert server.taken == 1
    await backend.aclose()


async def test_a_connection_that_was_closed_while_it_was_idle_is_not_used(nursery):
    """The server is restarted: each kept connection is closed, and nobody notices."""
    server = Server()
    server.together.set()
    async with trio.open_nursery() as first:
        listeners = await first.start(
            trio.serve_listeners, server.serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        backend = OllamaBackend("o", f"127.0.0.1:{port}")
        for _ in range(3):
            await backend.run(EMBED, lambda chunk: None)
        first.cancel_scope.cancel()
    await nursery.start(
        trio.serve_listeners, server.serve, await trio.open_tcp_listeners(port, host="127.0.0.1")
    )
    with trio.fail_after(10):
        completed = await backend.run(EMBED, lambda chunk: None)
    assert completed.result == ANSWERS[b"POST /api/embed"]
    await backend.aclose()


@pytest.mark.parametrize("failing", [1, 2])
async def test_what_could_not_be_written_is_sent_again_once(nursery, monkeypatch, failing):
    server = Server()
    server.together.set()
    listeners = await nursery.start(
        trio.serve_listeners, server.serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
    )
    port = listeners[0].socket.getsockname()[1]
    backend = OllamaBackend("o", f"127.0.0.1:{port}")
    send, tries = Connection.send, []

    async def fail_first(connection, data):
        tries.append(data)
        if len(tries) <= failing:
            connection.close()
        await send(connection, data)

    monkeypatch.setattr(Connection, "send", fail_first)
    if failing == 1:
        await backend.run(EMBED, lambda chunk: None)
    else:
        with pytest.raises(BackendFailure, match="was lost"):
            await backend.run(EMBED, lambda chunk: None)
    assert len(tries) == 2
    await backend.aclose()
