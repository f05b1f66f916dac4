"""A backend that means ill: others are served all the while, every task ends and says why, memory
stays bounded, and the backend's key is shown nowhere.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from resource import getpagesize
from socket import SO_LINGER, SOL_SOCKET

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from oq.http.app import create_app
from oq.http.listen import bind_all, url
from oq.http.server import Server
from oq.queue import open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import BackendKind, to_config
from tests.hostile.lies import MB, End, Liar, Lie
from tests.hostile.world import KEY, Steps
from tests.support.gateway import QUICK

SEED = 20_261_128
COUNT = 60
AT_ONCE = 8
MOST = 0.5
"""Seconds of CPU that one step may take."""
ROOM = 160 * MB
"""For eight answers of `MAX_ANSWER` at once, what is decoded of them, and the backend itself."""
MAX_ANSWER = 4 * MB
TASK = {
    "type": "chat", "model": "m", "timeout": 0.5,
    "payload": {"messages": [{"role": "user", "content": "hello"}]},
}  # fmt: skip
CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
PAGE = b'{"version": "1", "models": [], "data": []}'
WELL = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE


class Backend:
    """It answers each call with the next lie, and tells that it is well to who only looks."""

    def __init__(self, liar: Liar) -> None:
        self._liar = liar
        self.told = Counter[str]()
        self.saw_key = False

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            head = b""
            while b"\r\n\r\n" not in head:
                part = await stream.receive_some()
                if not part:
                    return
                head += part
            self.saw_key = self.saw_key or KEY.encode() in head
            if head.startswith(b"GET"):
                await stream.send_all(WELL)
                return
            await self._tell(stream, self._liar.draw())

    async def _tell(self, stream: trio.SocketStream, lie: Lie) -> None:
        self.told[lie.name] += 1
        for part in lie.parts:
            await stream.send_all(part)
        if lie.end is End.RESET:
            stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        elif lie.end is End.HANG:
            while await stream.receive_some():
                pass


@asynccontextmanager
async def in_front_of(backend: Backend, kind: BackendKind) -> AsyncIterator[httpx.AsyncClient]:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, backend.serve, listeners)
        where = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        config = to_config(
            {
                "server": {"port": 0},
                "queue": {"probe_interval": 0.05, "max_workers": AT_ONCE},
                "retry_config": {**QUICK, "max_retries": 0},
                "health": {"hold_after": 1_000_000},  # it fails at most of what it is asked
                "ollama": {"max_answer": MAX_ANSWER},
                "gateway": {"timeout": 0.5},
                "backends": [{"name": "b", "kind": kind, "url": where, "api_key": KEY}],
            }
        )  # fmt: skip
        async with open_queue(config, ledger=KeyValueLedger(MemoryEngine())) as queue:
            app = create_app(queue)
            sockets, _ = bind_all(config)
            server = Server(app, app.fast_path, sockets, max_connections=200)
            await nursery.start(server.run)
            async with httpx.AsyncClient(
                base_url=url(config.server, sockets), timeout=60
            ) as client:
                yield client
            app.context.close()
            server.stop()
        nursery.cancel_scope.cancel()


def takes() -> int:
    """Bytes of memory that this process takes now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_hostile_answers(kind: BackendKind):
    print(f"seed {SEED}")  # noqa: T201 - whoever sees it fail needs it
    steps, most = Steps(), 0
    backend = Backend(Liar(Random(SEED), KEY, openai=kind == "openai"))
    path = "/v1/chat/completions" if kind == "openai" else "/api/chat"
    todo = list(range(COUNT))
    with capture_logs() as logs:
        async with in_front_of(backend, kind) as client:
            before = takes()

            async def task() -> None:
                task_id = (await client.post("/api/tasks", json=TASK)).json()["task_id"]
                ended = await client.get(f"/api/tasks/{task_id}", params={"wait": "30s"})
                told = ended.json()
                assert told["status"] in ("completed", "failed"), told
                assert told["status"] == "completed" or told["error"], told
                await see(ended)
                await see(await client.get(f"/api/tasks/{task_id}/stream"))

            async def call(*, stream: bool) -> None:
                with suppress(httpx.RemoteProtocolError):  # a stream that breaks off is cut
                    await see(await client.post(path, json={**CALL, "stream": stream}))

            async def see(answer: httpx.Response) -> None:
                shown = answer.content + repr(answer.headers.raw).encode()
                assert KEY.encode() not in shown, (answer.request.url, answer.content[:500])

            async def attack() -> None:
                while todo:
                    number = todo.pop()
                    if number % 3:
                        await call(stream=number % 3 == 1)
                    else:
                        await task()

            async def ask() -> None:
                nonlocal most
                while todo:
                    assert (await client.get("/healthz")).status_code == 200
                    most = max(most, takes() - before)
                    assert steps.longest < MOST, backend.told

            with steps, trio.fail_after(120):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask)
                    for _ in range(AT_ONCE):
                        nursery.start_soon(attack)
                listed = (await client.get("/api/tasks")).json()
                while any(one["status"] in ("pending", "running") for one in listed):
                    listed = (await client.get("/api/tasks")).json()
            for shown in ("/api/status", "/api/tasks", "/metrics", "/api/backends", "/api/stats"):
                answer = await client.get(shown)
                assert (answer.status_code, KEY in answer.text) == (200, False), shown
    assert backend.saw_key, "the backend has its key"
    assert sum(backend.told.values()) > COUNT // 2
    assert KEY not in repr(logs)
    assert not [entry for entry in logs if entry["event"] == "backend raised"]
    assert most < ROOM, f"{most / MB:.0f} MB"
