"""Waiting for tasks: never for ever, never past the end, over restarts, on few connections."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import oq
from oq.client.watcher import CHECKS, POLLS
from tests.support.builders import AT_ONCE
from tests.support.http import UNKNOWN
from tests.support.ports import kept_port
from tests.support.servers import Served, served

SOON = 20
TASKS = 3_000
SERVE = """
import json, sys
from oq.http.serve import run
from oq.words.config import to_config
run(to_config(json.loads(sys.argv[1])), announce=lambda url: print(url, flush=True))
"""


@pytest.fixture
def server():
    with served(queue={"max_workers": 100}) as running:
        yield running


def saying(text: str, **script: Any) -> oq.NewTask:
    """A task whose answer is this text."""
    return oq.generate("m", "say it", options={"simulate": {"text": text, **script}})


# -- the whole of it


class Process:
    """A real server in a child, on disk, at one address."""

    def __init__(self, path: Path, port: int) -> None:
        self._settings = {
            "server": {"port": port},
            "queue": {
                "storage_path": str(path),
                "max_workers": 64,
                "drain_timeout": "100ms",
                "max_completed_tasks": 0,
            },
            "logging": {"level": "error"},
            "backends": [{"name": "sim", "kind": "simulated"}],
            "simulated": AT_ONCE,
        }
        self.url = ""

    def start(self) -> None:
        argument = json.dumps(self._settings)
        command = [sys.executable, "-c", SERVE, argument]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().strip()
        assert self.url, "the server does not start"

    def stop(self, how: signal.Signals) -> None:
        with self._child:  # closes its pipe, and waits
            self._child.send_signal(how)

    def restart(self, how: signal.Signals) -> None:
        self.stop(how)
        self.start()


@contextmanager
def process(path: Path) -> Iterator[Process]:
    with kept_port() as port:
        server = Process(path, port)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGKILL)


async def many_results(server: Process, count: int) -> None:
    draw = random.Random(5)
    got: dict[int, str] = {}
    restarts = {count // 3: signal.SIGTERM, count * 2 // 3: signal.SIGKILL}
    some = anyio.Event()

    async def wait_for(number: int, task_id: str) -> None:
        nonlocal some
        got[number] = (await queue.result(task_id))["response"]
        if len(got) in restarts:
            group.start_soon(anyio.to_thread.run_sync, server.restart, restarts[len(got)])
        some.set()
        some = anyio.Event()

    tasks = [saying(str(n), delay=draw.random() / 10) for n in range(count)]
    async with oq.AsyncClient(server.url) as queue:
        ids = await queue.submit_many(tasks)
        async with anyio.create_task_group() as group:
            for asked, number in enumerate(draw.sample(range(count), count)):
                group.start_soon(wait_for, number, ids[number])
                # So that many are asked for only when they have ended.
                while draw.random() < 0.5 and len(got) < min(asked - 300, count // 2):
                    await some.wait()
    assert got == {number: str(number) for number in range(count)}


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "count"), [("trio", TASKS), ("asyncio", TASKS // 3)])
def test_thousands_of_results_with_two_restarts_in_between(tmp_path, backend, count):
    async def bounded() -> None:
        with anyio.fail_after(300):
            await many_results(server, count)

    with process(tmp_path) as server:
        anyio.run(bounded, backend=backend)


# -- one by one


def test_many_that_wait_share_few_connections(server: Served, run):
    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            server.requests.clear()
            tasks = await queue.run_batch([saying(str(n), delay=0.05) for n in range(150)])
            assert [task.result["response"] for task in tasks if task.result] == [
                str(n) for n in range(150)
            ]
        assert server.requests["GET /api/events"] == 1
        assert server.most_open <= POLLS + 2 * CHECKS + 2

    server.most_open = 0
    run(check)


def test_result_of_each_kind_of_end(server, run):
    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            done = await queue.submit(saying("yes"))
            failed = await queue.submit(saying("", status=404, error="no such model"))
            hangs = await queue.submit(saying("", fault="hang"))
            assert (await queue.result(done))["response"] == "yes"
            with pytest.raises(oq.TaskFailed, match="no such model"):
                await queue.result(failed)
            with pytest.raises(TimeoutError, match="it goes on"):
                await queue.result(hangs, timeout=0.05)
            assert (await queue.get(hangs, wait=0.05)).status is oq.Status.RUNNING
            await queue.cancel(hangs)
            with pytest.raises(oq.TaskCancelled):
                await queue.result(hangs)
            with pytest.raises(oq.NotFound):
                await queue.result(UNKNOWN)

    run(check)


def test_among_many_each_is_told_how_its_own_task_ended(server, run, monkeypatch):
    monkeypatch.setattr("oq.client.watcher.POLLS", 0)
    test_result_of_each_kind_of_end(server, run)


@pytest.mark.parametrize("polls", [0, 4])
def test_a_result_is_waited_for_over_a_restart(server, run, polls, monkeypatch):
    monkeypatch.setattr("oq.client.watcher.POLLS", polls)

    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            task_id = await queue.submit(saying("at last", delay=0.5))
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, server.restart)
                assert (await queue.result(task_id))["response"] == "at last"

    run(check)


def test_the_client_that_blocks_waits_over_a_restart(server):
    with oq.Client(server.url) as queue:
        task_id = queue.submit(saying("at last", delay=0.5))
        restarting = threading.Thread(target=server.restart)
        restarting.start()
        assert queue.result(task_id)["response"] == "at last"
        restarting.join(SOON)
        tasks = queue.run_batch([saying("one"), saying("two")])
        assert [task.result and task.result["response"] for task in tasks] == ["one", "two"]


def test_a_task_that_is_taken_away_while_it_is_waited_for(server, run, monkeypatch):
    """As retention does: the wait ends, and says that there is no such task."""
    monkeypatch.setattr("oq.client.watcher.POLLS", 0)

    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue, oq.AsyncClient(server.url) as other:
            task_id = await queue.submit(saying("", fault="hang"))
            async with anyio.create_task_group() as group:

                async def wait_for() -> None:
                    with pytest.raises((oq.NotFound, oq.TaskCancelled)):
                        await queue.result(task_id)

                group.start_soon(wait_for)
                await other.cancel(task_id)
                await other.delete(task_id)

    run(check)


def test_what_was_asked_for_at_submission_is_handed_over(server, run):
    async def check() -> None:
        send, receive = anyio.create_memory_object_stream[oq.Task](10)
        called: list[str] = []
        both = anyio.Event()

        async def later(task: oq.Task) -> None:
            called.append(task.id)
            if len(called) == 2:
                both.set()

        with send, receive:
            async with oq.AsyncClient(server.url) as queue:
                first = await queue.submit(saying("1"), on_done=later)
                second = await queue.submit(saying("2"), on_done=later, results_to=send)
                await both.wait()
                assert {first, second} == set(called)
                assert (await receive.receive()).id == second

    run(check)


def test_what_on_done_raises_ends_the_block(server, run):
    def fail(task: oq.Task) -> None:
        raise LookupError(task.id)

    async def check() -> None:
        async with oq.AsyncClient(server.url) as queue:
            await queue.submit(saying("1"), on_done=fail)
            await anyio.sleep_forever()

    with pytest.raises(LookupError):
        run(check)


def test_whoever_waits_when_the_client_closes_is_told(server, run, monkeypatch):
    monkeypatch.setattr("oq.client.watcher.POLLS", 0)

    async def check() -> None:
        async with anyio.create_task_group() as group, oq.AsyncClient(server.url) as queue:
            task_id = await queue.submit(saying("", fault="hang"))

            async def wait_for() -> None:
                with pytest.raises(oq.Unavailable, match="client was closed"):
                    await queue.result(task_id)

            group.start_soon(wait_for)
            await anyio.wait_all_tasks_blocked()

    run(check)
