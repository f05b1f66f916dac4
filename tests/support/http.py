"""The HTTP side over a real queue in memory: called directly, or through real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from oq.backends.simulated import SimulatedBackend, Simulator
from oq.http.app import App, create_app
from oq.http.listen import bind, url
from oq.http.server import Server
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import Config, to_config
from oq.words.events import EventType
from tests.support.builders import AT_ONCE

GENERATE = {"type": "generate", "model": "m", "payload": {"prompt": "hello"}}
HANG = {**GENERATE, "options": {"simulate": {"fault": "hang"}}}
UNKNOWN = "01990000-0000-7000-8000-000000000000"


def settings(**sections: dict[str, Any]) -> Config:
    """Defaults, on any free port, over a backend that answers at once."""
    server = {"port": 0, **sections.pop("server", {})}
    backends = [{"name": "sim", "kind": "simulated"}]
    return to_config({"server": server, "backends": backends, "simulated": AT_ONCE, **sections})


class Api:
    """Calls the application directly, without a server."""

    def __init__(self, app: App, queue: Queue) -> None:
        self.app = app
        self.queue = queue

    async def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Reply:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        client = self.app.test_client()
        answer = await client.open(path, method=method, data=data, headers=headers)
        return Reply(answer.status_code, dict(answer.headers), await answer.get_data())

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.call("GET", path, None, _dashed(headers))

    async def post(self, path: str, body: object = None, **headers: str) -> Reply:
        return await self.call("POST", path, body, _dashed(headers))

    async def submit(self, task: object = GENERATE) -> str:
        reply = await self.post("/api/tasks", task)
        assert reply.status == 201, reply.body
        return reply.json["task_id"]

    async def running(self, task: object = HANG) -> str:
        """Submit a task and return once it runs."""
        with self.queue.subscribe(types={EventType.TASK_STARTED}) as events:
            task_id = await self.submit(task)
            await anext(events)
        return task_id

    async def ended(self, task_id: str) -> dict[str, Any]:
        return (await self.get(f"/api/tasks/{task_id}?wait=10")).json


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = httpx.Headers(headers)
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an answer that is an error, and nothing else."""
        assert list(self.json) == ["error"], self.json
        return self.json["error"]


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def queue_in_memory(
    config: Config, simulator: Simulator | None = None
) -> AsyncIterator[Queue]:
    backend = SimulatedBackend("sim", simulator)
    ledger = KeyValueLedger(MemoryEngine())
    async with open_queue(config, backends=[backend], ledger=ledger, log_level="debug") as queue:
        yield queue


@asynccontextmanager
async def api(*, paused: bool = False, **sections: dict[str, Any]) -> AsyncIterator[Api]:
    """The application over a queue in memory. `paused`: tasks stay pending."""
    async with queue_in_memory(settings(**sections)) as queue:
        if paused:
            await queue.pause()
        yield Api(create_app(queue), queue)


class Live:
    """A server on a socket."""

    def __init__(self, app: App, server: Server, where: str, nursery: trio.Nursery) -> None:
        self.app = app
        self.queue = app.queue
        self.server = server
        self.url = where
        self.port = httpx.URL(where).port or 0
        self.nursery = nursery

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def talk(self, request: bytes) -> bytes:
        """Send bytes and read until the server closes."""
        async with await self.connect() as stream:
            await stream.send_all(request)
            with trio.fail_after(10):
                return b"".join([chunk async for chunk in stream])

    async def upgrade(self, path: str, **headers: str) -> Reply:
        """The answer to a WebSocket handshake that is refused."""
        given = {"Host": "localhost", **_dashed(headers)}
        lines = [f"{name}: {value}" for name, value in given.items()]
        answer = await self.talk(
            f"GET {path} HTTP/1.1\r\n".encode()
            + b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            + "\r\n".join(lines).encode()
            + b"\r\n\r\n"
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        return Reply(int(head.split()[1]), {}, body)


@asynccontextmanager
async def live(
    *, paused: bool = False, simulator: Simulator | None = None, **sections: dict[str, Any]
) -> AsyncIterator[Live]:
    """The application behind Hypercorn, on a free port of the loopback."""
    config = settings(**sections)
    async with queue_in_memory(config, simulator) as queue, trio.open_nursery() as nursery:
        if paused:
            await queue.pause()
        app = create_app(queue)
        sockets = bind(config.server)
        server = Server(
            app,
            app.fast_path,
            sockets,
            max_connections=config.server.max_connections,
            max_client_connections=config.server.max_client_connections,
        )
        await nursery.start(server.run)
        yield Live(app, server, url(config.server, sockets), nursery)
        app.context.close()
        server.stop()
