"""One task through every face of oq: `python -m tests.every_face`.

It needs what oq needs and nothing else, so that it can tell whether oq works with other versions of
its dependencies than those that are here: `make test-lowest` and `make test-pythons` run it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import google_crc32c
import httpx
import msgspec
import trio
import trio_websocket

import oq
from tests.support.example_servers import servers

HELLO = oq.chat("llama3.2", "hello")
SHOWN = ("trio", "hypercorn", "h11", "httpx", "msgspec", "rocksdict", "uuid-utils", "click")


def over_http(url: str) -> None:
    """The API, the drop-in calls and what watches the server, as any program asks for them."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        sent = http.post("/api/tasks", content=msgspec.json.encode(HELLO))
        assert sent.status_code == 201, sent.text
        task = http.get(f"/api/tasks/{sent.json()['task_id']}?wait=20").json()
        assert task["status"] == "completed", task
        for path in ("/healthz", "/metrics", "/openapi.json", "/api/tasks", "/api/status"):
            http.get(path).raise_for_status()
        chat = {"model": "llama3.2", "messages": [{"role": "user", "content": "hello"}]}
        lines = http.post("/api/chat", json=chat).text.splitlines()
        assert msgspec.json.decode(lines[-1])["done"] is True
        streamed = http.post("/v1/chat/completions", json=chat | {"stream": True}).text
        assert streamed.rstrip().endswith("data: [DONE]"), streamed
        wrong = http.post("/api/tasks", content=b"{")
        assert wrong.status_code == 400, wrong.text


def sync_client(url: str) -> None:
    with oq.Client(url) as queue:
        task_id = queue.submit(HELLO)
        assert queue.result(task_id, timeout=20)["message"]["content"]
        with queue.stream(task_id) as chunks:
            assert list(chunks)[-1].done
        assert task_id in [task.id for task in queue.list(status="completed")]


async def async_client(url: str) -> None:
    async with oq.AsyncClient(url) as queue:
        async with queue.subscribe() as events:
            task_id = await queue.submit(HELLO)
            async for event in events:
                if getattr(event, "task_id", None) == task_id and "completed" in str(event):
                    break
        assert (await queue.result(task_id, timeout=20))["message"]["content"]


async def websocket(url: str) -> None:
    """An event over the WebSocket, from the submit of a task."""
    async with trio_websocket.open_websocket_url(url.replace("http", "ws", 1) + "/ws") as socket:
        async with oq.AsyncClient(url) as queue:
            task_id = await queue.submit(HELLO)
        with trio.fail_after(20):
            while task_id not in await socket.get_message():
                pass


async def embedded(ollama: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with oq.open_queue(ollama_host=ollama, storage_path=folder) as queue:
            answer = await queue.result(await queue.submit(HELLO))
            assert answer["message"]["content"]


def blocking(ollama: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        oq.BlockingQueue(ollama_host=ollama, storage_path=folder) as queue,
    ):
        assert queue.result(queue.submit(HELLO))["message"]["content"]


def command_line(url: str) -> None:
    def ran(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "oq.cli", *words],
            env=os.environ | {"OQ_SERVER": url},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"oq {' '.join(words)}: {done.stderr}"
        return done.stdout

    assert ran("--version").startswith("oq")
    said = ran("submit", "chat", "--model", "llama3.2", "--messages", "user:hello", "--wait")
    assert "hello" in said
    assert "completed" in ran("list")
    assert ran("status")
    ran("config", "check")


def checksums() -> None:
    """A version that cannot load its compiled part is a hundred times slower, and works."""
    assert google_crc32c.implementation == "c"


def tried(name: str, face: Callable[[], Any]) -> None:
    face()
    print(f"{name}: ok", flush=True)


def main() -> int:
    shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in SHOWN)
    print(f"Python {sys.version.split()[0]}, {shown}")
    os.environ.pop("OLLAMA_HOST", None)
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as environ:
        url, ollama = environ["OQ_SERVER"], environ["OLLAMA_HOST"]
        on: Callable[[Callable[..., Awaitable[None]], str], None] = trio.run
        tried("HTTP", lambda: over_http(url))
        tried("the client", lambda: sync_client(url))
        tried("the async client on trio", lambda: on(async_client, url))
        tried("the async client on asyncio", lambda: asyncio.run(async_client(url)))
        tried("WebSocket", lambda: on(websocket, url))
        tried("the command line", lambda: command_line(url))
        tried("embedded", lambda: on(embedded, ollama))
        tried("blocking", lambda: blocking(ollama))
    tried("checksums", checksums)
    return 0


if __name__ == "__main__":
    sys.exit(main())
