"""A thousand connections, cut at random bytes: each reader ends with exactly what was generated."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.simulated import Script, ScriptedCall, Simulator
from oq.rules.validation import decode_submission
from tests.support.http import Live, live

CUTS = 1000
READERS = 8  # of each task, half of them of lines, half of events
CHAT = {
    "type": "chat",
    "model": "m",
    "payload": {
        "messages": [{"role": "user", "content": "x"}],
        "think": True,
        "tools": [{"type": "function"}],
    },
}


@dataclass(frozen=True)
class Said:
    """What a task generates, whole."""

    text: str
    thinking: str = ""
    calls: tuple[str, ...] = ()


@dataclass
class Reader:
    """One who comes back after each cut, with what the last whole chunk said of its place."""

    task_id: str
    events: bool
    text: str = ""
    thinking: str = ""
    calls: list[str] = field(default_factory=list)
    offset: int = 0
    attempt: int | None = None
    event_id: str = ""
    restarts: int = 0
    done: bool = False

    def request(self) -> bytes:
        head = "Host: localhost\r\n"
        query = ""
        if self.events:
            head += "Accept: text/event-stream\r\n"
            if self.event_id:
                head += f"Last-Event-ID: {self.event_id}\r\n"
        elif self.attempt is not None:
            query = f"?offset={self.offset}&attempt={self.attempt}"
        # HTTP/1.1 without a library: chunked coding is cut at any byte, too.
        return f"GET /api/tasks/{self.task_id}/stream{query} HTTP/1.1\r\n{head}\r\n".encode()

    def take(self, chunk: dict[str, Any]) -> None:
        if chunk.get("restart"):
            self.text, self.thinking, self.calls = "", "", []
            self.restarts += 1
        self.text += chunk["data"]
        self.thinking += chunk.get("thinking", "")
        self.calls += [call["function"]["name"] for call in chunk.get("tool_calls", ())]
        self.offset, self.attempt, self.done = chunk["offset"], chunk["attempt"], chunk["done"]

    @property
    def said(self) -> Said:
        return Said(self.text, self.thinking, tuple(self.calls))


def body_of(received: bytes) -> bytes:
    """As much of the body as is whole, of an answer in the chunked coding that breaks off."""
    _, _, rest = received.partition(b"\r\n\r\n")
    body = b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def events_in(body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The server-sent events that came whole: what each is called, and its chunk."""
    for block in body.split(b"\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
        yield fields["id"], json.loads(fields["data"])


async def connect_once(oq: Live, reader: Reader, most: int) -> bool:
    """Read at most so many bytes; whether the connection was cut before the end of the answer."""
    received = b""
    async with await oq.connect() as stream:
        await stream.send_all(reader.request())
        while len(received) < most and not received.endswith(b"\r\n0\r\n\r\n"):
            received += await stream.receive_some(most - len(received))
    assert received.startswith(b"HTTP/1.1 200"[: len(received)])
    if reader.events:
        for reader.event_id, chunk in events_in(body_of(received)):
            reader.take(chunk)
    else:
        for line in body_of(received).split(b"\n")[:-1]:
            reader.take(json.loads(line))
    return not reader.done


class Cutter:
    """Cuts `left` connections, and then none."""

    def __init__(self, oq: Live, seed: int) -> None:
        self._oq = oq
        self._random = random.Random(seed)
        self.left = CUTS

    async def follow(self, reader: Reader) -> None:
        """Read to the end, over as many connections as it takes."""
        while not reader.done:
            # An answer's head has some 400 bytes, a chunk 70: none of them, a few, or many.
            most = int(self._random.choice((500, 900, 4000)) * self._random.random()) + 1
            if await connect_once(self._oq, reader, most if self.left > 0 else 1 << 30):
                self.left -= 1

    async def check(self, task_id: str, said: Said, restarts: list[int], *, events: bool) -> None:
        """Read it all, and again from the beginning while there is something to be cut."""
        while True:
            reader = Reader(task_id, events=events)
            await self.follow(reader)
            assert reader.said == said
            restarts.append(reader.restarts)
            if self.left <= 0:
                return


def words(seed: int, count: int = 250) -> str:
    """Words of all kinds, so that none can stand for another; some are not ASCII."""
    draw = random.Random(seed)
    return " ".join(f"{draw.choice('aäß語🦉')}{draw.randrange(10**6)}" for _ in range(count))


ENDPOINTS = (ScriptedCall("weather", {"city": "Köln"}), ScriptedCall("time"))
ONCE = [
    (Script(text=words(1), rate=100), Said(words(1), "Thinking about x")),
    (Script(text=words(2), thinking=words(3), rate=200), Said(words(2), words(3))),
    (
        Script(text=words(4), thinking="hm", tool_calls=ENDPOINTS, rate=100),
        Said(words(4), "hm", ("weather", "time")),
    ),
]
"""Tasks that are answered at the first attempt, and what is said."""
BROKEN = (
    Script(text=words(5), thinking=words(6, 30), rate=100, fault="cut", at=120),
    Script(text=words(7), rate=100, fault="error", at=80),
    Script(text=words(8), thinking=words(9, 10), tool_calls=ENDPOINTS, rate=200),
)
"""One that is answered at the third."""
AT_LAST = Said(words(8), words(9, 10), ("weather", "time"))


async def submit_all(oq: Live) -> list[tuple[str, Said]]:
    tasks = [({**CHAT, "max_retries": 3}, AT_LAST)]
    for script, said in ONCE:
        tasks.append(({**CHAT, "options": {"simulate": msgspec.to_builtins(script)}}, said))
    ids = await oq.queue.raw.submit_many(
        [decode_submission(json.dumps(task).encode()) for task, _ in tasks]
    )
    return [(task_id, said) for task_id, (_, said) in zip(ids, tasks, strict=True)]


@pytest.mark.slow
async def test_a_thousand_cut_connections_lose_and_repeat_nothing():
    simulator = Simulator()
    simulator.push(*BROKEN)
    retry = {"initial_delay": "100ms", "jitter": False}
    async with live(simulator=simulator, retry_config=retry) as oq:
        cutter = Cutter(oq, seed=7)
        restarts: dict[str, list[int]] = {}
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for task_id, said in await submit_all(oq):
                    seen = restarts[task_id] = []
                    for number in range(READERS):
                        check = partial(cutter.check, events=number % 2 == 0)
                        nursery.start_soon(check, task_id, said, seen)
        assert cutter.left <= 0
        assert simulator.running == 0
        broken, *others = restarts.values()
        assert max(broken) == 2
        assert max(map(max, others)) == 0
        await wait_all_tasks_blocked(0.05)
        assert not oq.app.context._at_close, "a reader was left behind"
