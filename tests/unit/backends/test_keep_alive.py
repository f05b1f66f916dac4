"""A stream uses a connection again only with a server that is known to leave it open."""

from __future__ import annotations

import pytest
import trio

from oq.backends import keep_alive
from oq.backends.base import Request
from oq.backends.ollama import OllamaBackend
from oq.words.errors import BackendFailure
from oq.words.task import TaskType

GENERATE = Request(TaskType.GENERATE, "m", b'{"prompt":"x"}', b"{}")
LINE = b'{"response":"a","done":true}\n'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: %d\r\n\r\n" % len(LINE) + LINE
)

REFUSAL = b'HTTP/1.1 503 Busy\r\nContent-Length: 19\r\n\r\n{"error":"not now"}'


class Server:
    """Says that it keeps its connections. It `closes` each one after a stream, as llama.cpp does;
    or `drops` the next request that comes on a connection again; or `refuses` each request.
    """

    def __init__(self) -> None:
        self.closes = self.drops = self.refuses = False
        self.connections = 0
        self.asked_to_close = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        used = False
        async with stream:
            while head := await stream.receive_some(10_000):
                while not head.endswith(b"}"):
                    head += await stream.receive_some(10_000)
                if used and self.drops:
                    return
                self.asked_to_close += b"connection: close" in head.lower()
                await stream.send_all(REFUSAL if self.refuses else ANSWER)
                used = True
                if self.closes:
                    return


@pytest.fixture
async def server(nursery):
    return Server()


@pytest.fixture
async def backend(nursery, server, monkeypatch):
    monkeypatch.setattr(keep_alive, "SETTLED", 0.0)
    listeners = await nursery.start(
        trio.serve_listeners, server.serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
    )
    backend = OllamaBackend("o", f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")
    yield backend
    await backend.aclose()


async def run(backend, times=1):
    with trio.fail_after(30):
        for _ in range(times):
            assert (await backend.run(GENERATE, lambda chunk: None)).result == LINE.strip()


async def closed(backend):
    """Return when the server has closed the connection of the trial."""
    with trio.fail_after(30):
        while backend._transport._keeping.trial.is_open:
            await trio.lowlevel.checkpoint()


async def test_a_server_that_leaves_them_open_gets_one_for_many_streams(server, backend):
    await run(backend, 5)
    assert (server.connections, server.asked_to_close) == (2, 0)  # one of them was the trial's


async def test_until_that_is_known_each_stream_has_its_own(server, backend, monkeypatch):
    monkeypatch.setattr(keep_alive, "SETTLED", 1000.0)
    await run(backend, 4)
    assert (server.connections, server.asked_to_close) == (4, 3)


async def test_a_server_that_closes_them_loses_no_stream(server, backend):
    server.closes = True
    await run(backend)
    await closed(backend)
    await run(backend, 4)
    assert (server.connections, server.asked_to_close) == (5, 4)


async def test_it_is_tried_again_some_time_later(server, backend, monkeypatch):
    server.closes = True
    await run(backend)
    await closed(backend)
    monkeypatch.setattr(keep_alive, "PATIENCE", 0.0)
    server.closes = False
    await run(backend, 5)
    assert (server.connections, server.asked_to_close) == (3, 0)


async def test_a_server_that_closes_them_later_on_loses_one(server, backend):
    await run(backend, 2)
    server.drops = True
    with pytest.raises(BackendFailure, match="was lost"):
        await run(backend)
    await run(backend, 3)
    assert (server.connections, server.asked_to_close) == (5, 3)


async def test_a_trial_that_fails_says_nothing(server, backend):
    server.refuses = True
    with pytest.raises(BackendFailure, match="not now"):
        await run(backend)
    server.refuses = False
    await run(backend, 3)
    assert (server.connections, server.asked_to_close) == (3, 0)
