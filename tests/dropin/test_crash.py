"""kill -9 with calls in line and calls that run: none is lost, and who comes back is answered."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest
import trio

from oq.backends.simulated import Call
from oq.backends.simulated.text import answer
from tests.dropin.ways import SOON, Way, kill, serving

QUEUED, RUNNING = 100, 4
SETTINGS = {"queue": {"max_workers": RUNNING}, "retry_config": {"max_retries": 3}}


def body(number: int) -> dict[str, Any]:
    streams = {} if number % 2 else {"stream": False}
    return {"model": "m", "messages": [{"role": "user", "content": f"call {number}"}], **streams}


def headers(number: int) -> dict[str, str]:
    return {"Idempotency-Key": f"key-{number}", "X-OQ-Detach": "true"}


async def call_all(way: Way, numbers: range) -> dict[int, httpx.Response | None]:
    """The answer that each caller gets; None: its connection was lost."""
    answers: dict[int, httpx.Response | None] = {}

    async def one(client: httpx.AsyncClient, number: int) -> None:
        try:
            answers[number] = await client.post(
                "/api/chat", json=body(number), headers=headers(number)
            )
        except httpx.TransportError:
            answers[number] = None

    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=way.url, trust_env=False, timeout=SOON, limits=limits) as client,
        trio.open_nursery() as nursery,
    ):
        for number in numbers:
            nursery.start_soon(one, client, number)
    return answers


def said(response: httpx.Response | None) -> str:
    """What a caller was answered, streamed or not."""
    assert response is not None, "the connection was lost"
    assert response.status_code == 200, response.text
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert lines[-1]["done"]
    return "".join(line["message"]["content"] for line in lines)


async def test_a_kill_loses_no_call_and_runs_none_twice(machine, tmp_path):
    for _ in range(RUNNING):
        machine.push(fault="hang", at=2)
    with serving(machine, tmp_path, **SETTINGS) as (way, server):
        async with trio.open_nursery() as nursery:
            lost: dict[int, httpx.Response | None] = {}

            async def first() -> None:
                lost.update(await call_all(way, range(QUEUED + RUNNING)))

            def running() -> list[Call]:
                machine.until(lambda: len(machine.calls) == RUNNING, "the model has all of them")
                return machine.calls

            nursery.start_soon(first)
            await trio.to_thread.run_sync(
                lambda: way.until_status(running_tasks=RUNNING, pending_tasks=QUEUED)
            )
            begun = await trio.to_thread.run_sync(running)
            kill(server)
    assert set(lost.values()) == {None}
    with serving(machine, tmp_path, **SETTINGS) as (way, server):
        answers = await call_all(way, range(QUEUED + RUNNING))
        for number, response in answers.items():
            assert said(response) == answer(f"call {number}")
        await trio.to_thread.run_sync(
            lambda: way.until_status(completed_tasks=QUEUED + RUNNING, total_tasks=104)
        )
        server.stop()
    runs = Counter(json.loads(call.body)["messages"][0]["content"] for call in machine.calls)
    again = {json.loads(call.body)["messages"][0]["content"] for call in begun}
    assert {text for text, times in runs.items() if times > 1} == again, "those that were running"
    assert set(runs) == {f"call {number}" for number in range(QUEUED + RUNNING)}
    assert max(runs.values()) == 2


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_stream_that_the_kill_broke_is_whole_for_who_comes_back(machine, tmp_path, path):
    machine.push(fault="hang", at=3)
    call = {**body(1), "stream": True}
    with (
        serving(machine, tmp_path, **SETTINGS) as (way, server),
        way.http.stream("POST", path, json=call, headers=headers(1)) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        kill(server)
        with pytest.raises(httpx.TransportError):
            list(lines)
    with serving(machine, tmp_path, **SETTINGS) as (way, _):
        again = way.http.post(path, json=call, headers=headers(1))
        assert again.status_code == 200
        if path == "/api/chat":
            assert said(again) == answer("call 1")
        else:
            assert again.text.endswith("data: [DONE]\n\n")
    assert len(machine.calls) == 2
