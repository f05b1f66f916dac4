"""oq in front of a simulated Ollama, both on sockets: a call can be made to either of the two.

The two answer alike, so a test can hold what oq says against what its backend says itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from oq.backends.simulated import Simulator
from oq.backends.simulated.server import serve_simulator
from oq.http.app import App, create_app
from oq.http.listen import bind_all, url
from oq.http.server import Server
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.clock import Clock
from oq.words.config import BackendKind, to_config
from tests.support.builders import AT_ONCE

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}
GENERATE: dict[str, Any] = {"model": "m", "prompt": "one two three"}
QUICK = {"initial_delay": 0, "max_delay": 0, "jitter": False}


class Site:
    """`oq` calls oq, `direct` its backend."""

    def __init__(
        self, simulator: Simulator, queue: Queue, app: App, oq: httpx.AsyncClient,
        direct: httpx.AsyncClient, nursery: trio.Nursery,
    ) -> None:  # fmt: skip
        self.simulator = simulator
        self.queue = queue
        self.app = app
        self.oq = oq
        self.direct = direct
        self.nursery = nursery

    async def both(self, method: str, path: str, **request: Any) -> list[httpx.Response]:
        """The answers of the backend and of oq to the same request."""
        return [await client.request(method, path, **request) for client in (self.direct, self.oq)]

    async def task(self, answer: httpx.Response) -> dict[str, Any]:
        """The task that a call has become, once it has ended."""
        task_id = answer.headers["X-OQ-Task-ID"]
        return (await self.oq.get(f"/api/tasks/{task_id}", params={"wait": "10s"})).json()

    def bodies(self, path: str) -> list[bytes]:
        """The bodies that have come to the backend by this path, in order."""
        return [call.body for call in self.simulator.asked(path)]


@asynccontextmanager
async def site(
    simulator: Simulator | None = None,
    *,
    kind: BackendKind = "ollama",
    engine: MemoryEngine | None = None,
    clock: Clock | None = None,
    others: Sequence[dict[str, Any]] = (),
    **sections: dict[str, Any],
) -> AsyncIterator[Site]:
    """`others` are the settings of further backends, behind the first one."""
    simulator = simulator or Simulator()
    sections = {"retry_config": QUICK, "server": {"port": 0}, **sections}
    async with trio.open_nursery() as nursery:
        backend = await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
        backends = [{"name": "b", "kind": kind, "url": backend}, *others]
        config = to_config({"backends": backends, "simulated": AT_ONCE, **sections})
        ledger = KeyValueLedger(engine or MemoryEngine())
        async with open_queue(config, ledger=ledger, clock=clock) as queue:
            app = create_app(queue)
            sockets, priorities = bind_all(config)
            app.gateway.listening.update(priorities)
            server = Server(app, app.fast_path, sockets, max_connections=100)
            await nursery.start(server.run)
            async with (
                httpx.AsyncClient(base_url=url(config.server, sockets), timeout=10) as to_oq,
                httpx.AsyncClient(base_url=backend, timeout=10) as to_backend,
            ):
                yield Site(simulator, queue, app, to_oq, to_backend, nursery)
            app.context.close()
            server.stop()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving(simulator: Simulator) -> AsyncIterator[str]:
    """The URL of another simulated machine."""
    async with trio.open_nursery() as nursery:
        yield await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
        nursery.cancel_scope.cancel()


def said(content: bytes) -> list[Any]:
    """The chunks of a stream of either form, decoded."""
    lines = [line.removeprefix(b"data: ") for line in content.splitlines() if line]
    return [line if line == b"[DONE]" else json.loads(line) for line in lines]
