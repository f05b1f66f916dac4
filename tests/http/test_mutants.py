"""Odd requests to two servers, of which one has no fast path: what comes back on the connection is
the same. `make test-mutants` sends 100,000.
"""

from __future__ import annotations

import json
import re
from os import environ
from random import Random

import pytest
import trio

from oq.http import client_stream, connection, server
from tests.support.http import GENERATE, UNKNOWN, Live, live
from tests.support.told import lasting_text

MUTANTS = int(environ.get("OQ_MUTANTS", "400"))
ROUNDS = 4
PAIRS = -(-MUTANTS // ROUNDS // 1000)
"""Pairs of servers in each round. A pair is asked one mutant after the other, so that both have the
same tasks; most of the time is spent with waiting for a server that waits for more.
"""
EACH = MUTANTS // ROUNDS // PAIRS
AT_ONCE = 8
"""Pairs that work at the same time."""
CHAT = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"a b"}]}'
WHOLE = CHAT.replace(b"true", b"false")
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
VARIED = r"""(?m)^[0-9a-f]+\r\n|"\w+_duration":\d+|^(content-length|date|x-oq-[a-z-]+): .*"""
"""What differs from one time to the next."""
PATIENCE = 2.0
"""Seconds after which a server is taken to wait for more of a body."""
LINGERS = 0.1
"""Seconds that it reads on behind its last answer: so that it has ended by then."""


def request(line: str, body: bytes | None = None, *fields: str) -> bytes:
    length = [] if body is None else [f"Content-Length: {len(body)}"]
    head = [f"{line} HTTP/1.1", "Host: localhost", *fields, *length, "", ""]
    return "\r\n".join(head).encode() + (body or b"")


REQUESTS = [
    request("POST /api/tasks", json.dumps(GENERATE).encode()),
    request("POST /api/chat", CHAT, "X-A: b"),
    request("POST /v1/chat/completions?x=y", WHOLE, "Connection: keep-alive"),
    request("POST /api/generate", b"{}"),
    request(f"GET /api/tasks/{UNKNOWN}?wait=1"),
    request(f"GET /api/tasks/{UNKNOWN}/stream", None, "Accept: */*"),
]
BITS = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\x0b", b"\xa0", b"\r\n\r\n"),
    *(b"0", b",", b"x"),
    *(b"Content-Length: 9", b"Transfer-Encoding: chunked", b"HTTP/1.0", b"\r\nHost: x", b"\r\n "),
    *(b"\r\ncontent-length: 1", b"\x85", b"#", b"%00", b"?a=b", b"Connection: close\r\n"),
    *(b"Expect: 100-continue\r\n", b"\r\nUpgrade: h2c"),
]  # fmt: skip


def mutant(random: Random) -> bytes:
    """Some requests, one behind the other, with some bytes changed, repeated or moved."""
    data = b"".join(random.choices(REQUESTS, k=random.randint(1, 3)))
    for _ in range(random.randint(0, 3)):
        at, kind = random.randint(0, len(data)), random.randint(0, 2)
        end = at + random.randint(0, 40 if kind else 2)
        if kind == 0:
            data = data[:at] + random.choice(BITS) + data[end:]
        elif kind == 1:
            data = data[:end] + data[at:]
        else:
            to = random.randint(0, at)
            data = data[:to] + data[at:end] + data[to:at] + data[end:]
    return data + LAST


async def told(oq: Live, data: bytes) -> tuple[str, bool]:
    """What comes back, and whether the connection ended then."""
    came = b""
    stream = await oq.connect()
    with trio.move_on_after(PATIENCE) as waiting:
        try:
            await stream.send_all(data)
            while more := await stream.receive_some():
                came += more
        except trio.BrokenResourceError:
            came += b"(reset)"
    await trio.aclose_forcefully(stream)
    text = lasting_text(came.decode("latin-1"))
    return re.sub(VARIED, "", text), not waiting.cancelled_caught


async def both(fast: Live, ordinary: Live, data: bytes) -> list[tuple[str, bool]]:
    """What each of two servers says to the same."""
    said: dict[str, tuple[str, bool]] = {}

    async def ask(oq: Live) -> None:
        said[oq.url] = await told(oq, data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, fast)
        nursery.start_soon(ask, ordinary)
    return [said[fast.url], said[ordinary.url]]


async def say_the_same(seed: int) -> None:
    """Two servers, and the mutants of this seed."""
    random = Random(seed)
    async with live() as fast, live() as ordinary:
        take, taken = fast.app.fast_path.take, 0

        def counted(*given):
            nonlocal taken
            found = take(*given)
            taken += found is not None
            return found

        fast.app.fast_path.take = counted
        ordinary.app.fast_path.take = lambda *_: None
        for _ in range(EACH):
            data = mutant(random)
            one, other = await both(fast, ordinary, data)
            assert one == other, (seed, data)
        assert taken > EACH / 4


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_both_ways_say_the_same_to_what_is_odd(number: int, monkeypatch):
    for module in (client_stream, connection, server):
        monkeypatch.setattr(module, "LINGER", LINGERS)
    places = trio.CapacityLimiter(AT_ONCE)

    async def pair(seed: int) -> None:
        async with places:
            await say_the_same(seed)

    async with trio.open_nursery() as nursery:
        for seed in range(number * PAIRS, (number + 1) * PAIRS):
            nursery.start_soon(pair, seed)
