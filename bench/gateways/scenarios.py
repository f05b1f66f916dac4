"""oq as a gateway, beside its budgets: the scenarios of `make bench ARGS="--only gateway"`.

Each starts `oq serve` of the checkout that the setting names, so that `bench.against` has another
commit measured by this code.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import trio

from bench.gateways.backend import RATE, backend
from bench.gateways.bodies import CHAT, EMBED, call, stream
from bench.gateways.load import LEAD, REST, Callers, Calls, Firsts, Load, Streams, Target, load
from bench.gateways.served import served
from bench.payload import body
from bench.scenario import NotMeasured, Setting, Side
from bench.wire import Answer, KeptAlive, request
from oq.cli.demo.children import Child

CONNECTIONS = (1, 16, 64)
USUAL = 16
"""The number of connections of which the processor time of a call is told."""
STREAMS = (64, 256)
CALLERS = 1_000
WORKERS = (4, 64)
SECONDS = 1.0
"""For which calls, or chunks, are counted."""
LEAST = 0.2
BATCH = 500
PATIENCE = 60.0
LOOK = 0.025
"""Seconds between two looks at how many tasks have completed: a look is work for oq too."""


@contextmanager
def _between(setting: Setting, workers: int) -> Iterator[tuple[Child, Child, Load]]:
    """A backend, the oq in front of it, and callers."""
    with backend() as behind, served(setting.oq, behind.url, workers) as oq, load() as callers:
        yield behind, oq, callers


def _target(server: Child, path: str, text: str) -> Target:
    return Target(server.url, path, text, server.pid)


def _seconds(setting: Setting, full: float = SECONDS) -> float:
    return max(full * setting.scale, LEAST)


def _side(measure: Callable[[], dict[str, float]]) -> Side:
    async def once() -> dict[str, float]:
        await trio.lowlevel.checkpoint()
        return measure()  # it blocks: nothing else goes on in this process meanwhile

    return once


@asynccontextmanager
async def calls(setting: Setting) -> AsyncIterator[list[Side]]:
    """Drop-in calls that the backend answers at once: on 1, 16 and 64 connections."""
    seconds = _seconds(setting)
    with _between(setting, max(CONNECTIONS)) as (_, oq, callers):

        def of(name: str, path: str, connections: int) -> Side:
            target = _target(oq, path, call(path))

            def measure() -> dict[str, float]:
                found = callers.do(Calls(target, connections, seconds, warm=seconds / 3))
                figures = {f"{name}_{connections}": found.rate}
                if (path, connections) == (CHAT, USUAL):
                    figures["call_cpu"] = found.cpu_each * 1e3
                return figures

            return _side(measure)

        yield [*(of("call", CHAT, each) for each in CONNECTIONS), of("embed", EMBED, USUAL)]


@asynccontextmanager
async def first_token(setting: Setting) -> AsyncIterator[list[Side]]:
    """The time to the first byte of a chat's stream, with nothing else going on: asked of the
    backend and of oq, call by call in turns.
    """
    count = setting.sized(200, least=5)
    with _between(setting, 4) as (behind, oq, callers):
        targets = [_target(server, CHAT, stream(CHAT, 1)) for server in (behind, oq)]

        def measure() -> dict[str, float]:
            direct, through = callers.do(Firsts(targets, count)).firsts
            return {"first_direct": direct, "first_added": through - direct}

        yield [_side(measure)]


@asynccontextmanager
async def streams(setting: Setting) -> AsyncIterator[list[Side]]:
    """Drop-in calls that stream 50 chunks a second: 64 at once, and 256."""
    seconds = _seconds(setting, 2 * SECONDS)
    lead = LEAD if setting.scale >= 0.5 else 1.0
    chunks = round((lead + seconds + REST) * RATE)
    with _between(setting, max(STREAMS)) as (_, oq, callers):

        def of(full: int) -> Side:
            count = setting.sized(full)
            target = _target(oq, CHAT, stream(CHAT, chunks))

            def measure() -> dict[str, float]:
                found = callers.do(Streams(target, count, RATE, seconds, lead))
                return {
                    f"chunk_cpu_{full}": found.cpu_each * 1e6,
                    f"streams_kept_{full}": found.in_time,
                    f"streams_p99_{full}": found.p99,
                    f"streams_rss_{full}": found.resident / 1e6,
                }

            return _side(measure)

        yield [of(each) for each in STREAMS]


@asynccontextmanager
async def queue(setting: Setting) -> AsyncIterator[list[Side]]:
    """Tasks that wait in the queue, until the last is completed by the backend: with 4 workers, and
    with 64.
    """
    count = setting.sized(2_000, least=100)
    with backend() as behind:

        def of(workers: int) -> Side:
            def measure() -> dict[str, float]:
                with served(setting.oq, behind.url, workers) as oq:
                    return {f"served_{workers}": _worked_off(oq, count)}

            return _side(measure)

        yield [of(each) for each in WORKERS]


def _worked_off(oq: Child, count: int) -> float:
    """Tasks a second, from when the workers may begin until the last has completed."""
    with KeptAlive(oq.url) as connection:

        def ask(method: str, path: str, what: bytes = b"") -> Answer:
            answer = connection.ask(request(oq.url, method, path, what))
            if answer.problem is not None:
                raise NotMeasured(f"{method} {path}: {answer.problem}")
            return answer

        ask("POST", "/api/queue/pause")
        for start in range(0, count, BATCH):
            tasks = b",".join([body()] * min(BATCH, count - start))
            ask("POST", "/api/tasks/batch", b"[%b]" % tasks)
        begun = time.perf_counter()
        ask("POST", "/api/queue/resume")
        while msgspec.json.decode(ask("GET", "/api/status").body)["completed_tasks"] < count:
            if time.perf_counter() > begun + PATIENCE:
                raise NotMeasured(f"{count} tasks were not completed in {PATIENCE:g} s")
            time.sleep(LOOK)
        return count / (time.perf_counter() - begun)


@asynccontextmanager
async def idle(setting: Setting) -> AsyncIterator[list[Side]]:
    """1,000 callers that have made a call and keep their connections: bytes of memory for each.
    Measured once, whatever the number of rounds, and of a fresh oq: one that had callers before has
    room for others.
    """
    count = setting.sized(CALLERS, least=50)
    found: dict[str, float] = {}

    def measure() -> dict[str, float]:
        if found:
            return {}
        with _between(setting, 4) as (_, oq, callers):
            each = callers.do(Callers(_target(oq, CHAT, call(CHAT)), count)).each
        found["idle_caller"] = each / 1e3
        return found

    yield [_side(measure)]
