"""Streams through the daemon: how much later a chunk is read than it was sent.

The backend is `bench.stamper`, whose chunks say when they were sent. Each side has the same
readers; what differs is whom they ask: the backend itself, or the daemon before it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import trio

from bench.daemon import daemon
from bench.figures import percentile
from bench.payload import PROMPT
from bench.scenario import NotMeasured, Setting, Side
from bench.stamper import delays, stamper
from bench.wire import Answer, KeptAlive, address, request

STREAMS = 100
RATE = 50
SECONDS = 5.0
GRACE = 1.0
"""Seconds after the last chunk was due in which those that were sent must be there."""


@asynccontextmanager
async def many(setting: Setting) -> AsyncIterator[list[Side]]:
    """100 streams of 50 chunks a second: from the backend itself, as the stream of a task that was
    submitted, and as the answer of a drop-in call.
    """
    count = setting.sized(STREAMS)
    chunks = setting.sized(round(RATE * SECONDS), least=RATE)
    with stamper() as backend, daemon(ollama=backend.url, workers=STREAMS) as oq:

        async def direct() -> dict[str, float]:
            asked = [_post(backend.url, chunks, RATE)] * count
            return await _read("direct", backend.url, asked, chunks)

        async def of_tasks() -> dict[str, float]:
            return await read_tasks(oq.url, count, chunks)

        async def drop_in() -> dict[str, float]:
            return await _read("drop_in", oq.url, [_post(oq.url, chunks, RATE)] * count, chunks)

        yield [direct, of_tasks, drop_in]


async def read_tasks(url: str, count: int, chunks: int) -> dict[str, float]:
    """Submit so many tasks, and read their streams while they run."""
    _control(url, "pause")  # so that every stream begins with its reader there
    asked = [_submit(url, chunks) for _ in range(count)]
    return await _read("stream", url, asked, chunks, lambda: _control(url, "resume"))


def _chat(chunks: int, rate: float) -> dict[str, object]:
    return {
        "model": "m",
        "messages": [{"role": "user", "content": PROMPT}],
        "options": {"num_predict": chunks, "rate": rate},
    }


def _post(url: str, chunks: int, rate: float) -> bytes:
    return request(url, "POST", "/api/chat", msgspec.json.encode(_chat(chunks, rate)))


def _submit(url: str, chunks: int) -> bytes:
    """Submit a task that streams so much; the request for its stream."""
    chat = _chat(chunks, RATE)
    task = {
        "type": "chat",
        "model": chat["model"],
        "payload": {"messages": chat["messages"]},
        "options": chat["options"],
    }
    body = _ask(url, "/api/tasks", msgspec.json.encode(task)).body
    return request(url, "GET", f"/api/tasks/{msgspec.json.decode(body)['task_id']}/stream")


def _control(url: str, verb: str) -> None:
    _ask(url, f"/api/queue/{verb}", b"")


def _ask(url: str, path: str, body: bytes) -> Answer:
    with KeptAlive(url) as connection:
        answer = connection.ask(request(url, "POST", path, body))
    if answer.problem is not None:
        raise NotMeasured(f"POST {path}: {answer.problem}")
    return answer


async def _read(
    name: str, url: str, requests: list[bytes], chunks: int, begin: Callable[[], None] | None = None
) -> dict[str, float]:
    """p50 and p99 of the chunks' delays, and the share of them that came while they should."""
    found: list[float] = []

    async def read(whole_request: bytes, *, task_status: trio.TaskStatus[None]) -> None:
        async with await trio.open_tcp_stream(*address(url)) as stream:
            await stream.send_all(whole_request)
            task_status.started()
            await _note_delays(stream, url, found)

    async with trio.open_nursery() as readers:
        for one in requests:
            await readers.start(read, one)
        if begin is not None:
            begin()
        readers.cancel_scope.deadline = trio.current_time() + chunks / RATE + GRACE
    if not found:
        raise NotMeasured(f"{url}: not one stream came in time")
    return {
        f"{name}_p50": percentile(found, 0.5),
        f"{name}_p99": percentile(found, 0.99),
        f"{name}_kept": len(found) / (len(requests) * chunks),
    }


async def _note_delays(stream: trio.SocketStream, url: str, found: list[float]) -> None:
    """Note how late each chunk of an answer is, to its end."""
    answer, half = Answer(), b""
    while not answer.done:
        data = await stream.receive_some()
        now = time.monotonic_ns()
        if not data:
            raise NotMeasured(f"{url} broke off a stream: {answer.body[-200:]!r}")
        lines, end, half = (half + data).rpartition(b"\n")
        found += delays(lines + end, now)
        answer.feed(data)
