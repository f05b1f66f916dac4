"""Two hundred hostile requests: others are served all the while, no other server is reached, and
nothing secret is said.
"""

from __future__ import annotations

from collections import Counter

import httpx
import trio

from tests.hostile.drawn import drawn
from tests.hostile.world import KEY, Steps, world

SEED = 20_260_801
COUNT = 200
AT_ONCE = 8
MOST = 0.5
"""Seconds of CPU that one step may take: whoever asks for /healthz waits for a few of them."""


async def test_two_hundred_hostile_requests():
    print(f"seed {SEED}")  # noqa: T201 - whoever sees it fail needs it
    steps, said = Steps(), Counter[bytes]()
    async with world() as here, httpx.AsyncClient(base_url=here.url, timeout=60) as client:
        todo = list(enumerate(drawn(SEED, COUNT, here.canary)))

        async def attack() -> None:
            while todo:
                number, request = todo.pop()
                answer = await here.say(request)
                said[answer[:12]] += 1
                assert KEY.encode() not in answer, (number, request[:200])
                assert answer[:9] in (b"HTTP/1.1 ", b""), (number, answer[:100])
                assert b" 500 " not in answer[:14], (number, request[:200], answer[:500])

        async def ask() -> None:
            while todo:
                assert (await client.get("/healthz")).status_code == 200
                assert steps.longest < MOST, todo[-1]

        with steps, trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                for _ in range(AT_ONCE):
                    nursery.start_soon(attack)
        assert steps.longest < MOST
        assert here.strangers == []
        assert said[b"HTTP/1.1 101"] == COUNT // 4
        assert said[b"HTTP/1.1 400"] > COUNT // 4
        assert any(KEY.encode() in head for head in here.asked), "the backend has its key"
        for path in ("/api/status", "/api/tasks?limit=100", "/metrics", "/api/backends"):
            answer = await client.get(path)
            assert (answer.status_code, KEY in answer.text) == (200, False), path
