"""Callers that hang up: how long the model goes on, directly and through oq."""

from __future__ import annotations

from typing import Any

import trio

from tests.real.calls import PROMPT, Caller
from tests.real.lab import Lab
from tests.real.processes import Server, processor_seconds
from tests.real.rows import Row, at_most, seconds

PATHS = ("/api/chat", "/api/generate", "/v1/chat/completions", "/v1/responses", "/v1/messages")
STOPS = 0.3
"""Seconds in which the server stops, and in which oq does not delay that."""
TOKENS = 1500
LLAMA_LOOKS = 1.0
"""Seconds between two looks of llama.cpp whether the caller of a whole answer is still there. What
a call took says only where between them it was."""
LOOKS = 0.05
"""Seconds between two looks at the processor time of the model's process."""
GIVES_UP = 5.0
WORKS = 0.2
"""Seconds of processor time that it has spent by then, if the call is one that it runs."""


async def hangups(lab: Lab) -> list[Row]:
    """Each API, as a stream and whole."""
    async with lab.serving() as server:
        async with lab.direct(server) as calls:
            direct = await _each(lab, calls, server)
        async with lab.through(server) as oq:
            through = await _each(lab, oq.calls, server)
    of_its_own = {
        stream: max(spent for what, spent in direct.items() if what.endswith(stream))
        for stream in ("a stream", "whole")
    }
    if lab.box.kind != "ollama":
        of_its_own["whole"] = max(of_its_own["whole"], LLAMA_LOOKS)
    return [
        at_most(
            f"hung up: {what}: computes for",
            seconds(direct[what]),
            found,
            "",
            STOPS + of_its_own[what.rpartition(", ")[2]],
        )
        for what, found in through.items()
    ]


async def _each(lab: Lab, calls: Caller, server: Server) -> dict[str, float]:
    await calls.call("a", 1)  # the model is in memory then
    runner = (server.children() or [server.pid])[0]
    return {
        f"{path}, {'a stream' if stream else 'whole'}": await _hung_up(calls, path, stream, runner)
        for path in PATHS
        if lab.box.kind == "ollama" or path.startswith("/v1/")
        for stream in (True, False)
    }


async def _hung_up(calls: Caller, path: str, stream: bool, runner: int) -> float:
    """Call, hang up a second later; seconds from then until the process computes no more."""
    before = processor_seconds(runner)
    with trio.move_on_after(1.0):
        async with calls.http.stream("POST", path, json=_body(path, stream)) as answer:
            async for _ in answer.aiter_raw():
                pass
    assert processor_seconds(runner) - before > WORKS, f"{path}: the model did not run"
    return await _until_idle(runner)


def _body(path: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "a", "stream": stream}
    if path == "/api/generate":
        return body | {"prompt": PROMPT, "options": {"num_predict": TOKENS}}
    if path == "/v1/responses":
        return body | {"input": PROMPT, "max_output_tokens": TOKENS}
    body |= {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": TOKENS}
    return body | {"options": {"num_predict": TOKENS}}


async def _until_idle(pid: int) -> float:
    """Seconds until the process has not computed between two looks; GIVES_UP at most."""
    began = last = trio.current_time()
    spent = processor_seconds(pid)
    while last - began < GIVES_UP:
        await trio.sleep(LOOKS)
        now = processor_seconds(pid)
        if now == spent:
            break
        spent, last = now, trio.current_time()
    return last - began
