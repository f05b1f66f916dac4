"""Calls whose bodies are compressed and say much: they are read, and stop nobody else.

The simulated Ollama reads no compressed body, as Ollama does not: its answer is 400, and what
matters is that it got the very bytes.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from time import process_time

import httpx
import pytest
import trio
import trio.testing

from oq.backends.simulated import Simulator
from oq.dialects.inflating import zstd
from tests.support.gateway import Site, site

MB = 1 << 20
WHY = {"role": "user", "content": "why"}
GZIP = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
GENERATE = "/api/generate"


def asked(size: int, *, drawn: int = 0) -> bytes:
    """A call of so many bytes, of which so many cannot be compressed much. The model comes last."""
    noise = base64.b64encode(random.Random(5).randbytes(drawn * 3 // 4)).decode()
    text = {"stream": False, "prompt": "see " + noise + "0" * (size - drawn), "model": "last"}
    return json.dumps(text).encode()


async def freed(here: Site) -> None:
    """Until no body is in memory."""
    with trio.fail_after(10):
        while here.app.context.inflight.held:
            await trio.testing.wait_all_tasks_blocked(0.001)


async def healthz(here: Site, over: trio.Event) -> float:
    """The most work that was done while it was waited for, asked again and again until it is over:
    in seconds of this process, which other processes do not lengthen.
    """
    longest = 0.0
    while not over.is_set():
        began = process_time()
        assert (await here.oq.get("/healthz")).status_code == 200
        longest = max(longest, process_time() - began)
        await trio.sleep(0.01)  # a sample each, and no load of its own; `over` ends it
    return longest


async def at_once(here: Site, path: str, body: bytes, times: int) -> tuple[list[int], float]:
    """The statuses of so many calls with this body, and for how much work others waited."""
    statuses: list[int] = []
    over = trio.Event()
    longest = 0.0

    async def call() -> None:
        answer = await here.oq.post(path, content=body, headers=GZIP, timeout=60)
        statuses.append(answer.status_code)

    async def watch() -> None:
        nonlocal longest
        longest = await healthz(here, over)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        async with trio.open_nursery() as calls:
            for _ in range(times):
                calls.start_soon(call)
        over.set()
    return statuses, longest


@pytest.fixture(scope="module")
def bomb() -> bytes:
    made = gzip.compress(asked(60 * MB))
    assert len(made) < 100_000
    return made


@pytest.mark.parametrize("path", [GENERATE, "/v1/chat/completions", "/v1/responses"])
async def test_bombs_are_refused_and_stop_nobody(path, bomb):
    async with site() as here:
        statuses, longest = await at_once(here, path, bomb, 8)
        refused = await here.oq.post(path, content=bomb, headers=GZIP)
        assert "more than 100 times its size" in refused.text
        await freed(here)
        assert here.bodies(path) == []
    assert statuses == [413] * 8
    assert longest < 1.0


@pytest.mark.slow
async def test_large_ones_within_the_bounds_are_run_and_stop_nobody():
    body = gzip.compress(asked(30 * MB, drawn=MB), 1)
    async with site() as here:
        statuses, longest = await at_once(here, GENERATE, body, 8)
        await freed(here)
        assert here.bodies(GENERATE) == [body] * 8
    assert statuses == [400] * 8
    assert longest < 1.0


@pytest.mark.slow
async def test_photos_that_were_compressed_go_up_as_they_came():
    body = gzip.compress(asked(40 * MB, drawn=40 * MB), 1)
    async with site() as here:
        answer = await here.oq.post(GENERATE, content=body, headers=GZIP, timeout=60)
        assert answer.status_code == 400
        assert here.bodies(GENERATE) == [body]
        [task] = (await here.oq.get("/api/tasks")).json()
        assert (task["model"], task.get("excerpt", "")) == ("last", "")
        whole = await here.task(answer)
        assert whole["payload"]["prompt"].startswith("see ")


async def test_what_is_inflated_counts_as_bodies_in_memory():
    body = gzip.compress(asked(8_000_000))
    async with site() as here:
        inflight = here.app.context.inflight
        with inflight.hold() as others:
            others.add(inflight.limit - 4_000_000)
            refused = await here.oq.post(GENERATE, content=body, headers=GZIP)
        assert refused.status_code == 503
        assert "server.max_inflight_bytes" in refused.json()["error"]
        await freed(here)
        small = gzip.compress(asked(3_000_000))
        assert (await here.oq.post(GENERATE, content=small, headers=GZIP)).status_code == 400
        assert here.bodies(GENERATE) == [small]
        await freed(here)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_zstd_is_read_as_ollama_reads_it_and_goes_up_as_it_came(path):
    said = {"model": "last", "max_tokens": 9, "input": "why", "messages": [WHY]}
    body = zstd.compress(json.dumps(said).encode())
    async with site() as here:
        head = {**GZIP, "Content-Encoding": "zstd"}
        answer = await here.oq.post(path, content=body, headers=head)
        assert answer.status_code == 200, answer.text
        assert here.bodies(path) == [body]
        task = await here.task(answer)
        assert (task["model"], task["status"]) == ("last", "completed")
        assert "why" in json.dumps(task["payload"])


async def test_zstd_is_translated_for_a_server_that_lacks_the_path():
    said = {"model": "last", "input": "why", "background": True}
    body = zstd.compress(json.dumps(said).encode())
    simulator = Simulator(lacks=frozenset({"/v1/responses"}))
    async with site(simulator) as here:
        head = {**GZIP, "Content-Encoding": "zstd"}
        answer = await here.oq.post("/v1/responses", content=body, headers=head)
        assert answer.status_code == 200, answer.text
        assert (await here.task(answer))["model"] == "last"


async def test_lists_read_small_compressed_bodies_only():
    async with site() as here:
        answers: list[httpx.Response] = []
        for size in (10, 100_000):
            body = gzip.compress(asked(size))
            answers.append(await here.oq.post(GENERATE, content=body, headers=GZIP))
        query = {"sort": "oldest", "view": "summary"}
        tasks = (await here.oq.get("/api/tasks", params=query)).json()
        assert [task.get("excerpt", "") for task in tasks] == ["see 0000000000", ""]
        found = (await here.oq.get("/api/tasks", params={"q": "see 00"})).json()
        assert [task["id"] for task in found] == [tasks[0]["id"]]
        whole = await here.task(answers[1])
        assert len(whole["payload"]["prompt"]) == 100_004
