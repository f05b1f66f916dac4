"""The whole process: it starts, says where, drains on the first signal and ends on the second."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from oq.http.serve import run
from oq.words.config import to_config
from oq.words.errors import InvalidConfig, StoreError, Unavailable
from tests.support.builders import AT_ONCE
from tests.support.http import GENERATE, HANG

pytestmark = pytest.mark.slow  # most start servers and commands as processes

WITHIN = 60.0
"""Seconds in which what is waited for must have come, on a machine that is busy."""
SERVE = """
import json, sys
from oq.http.serve import run
from oq.words.config import to_config
run(to_config(json.loads(sys.argv[1])), announce=lambda url: print(url, flush=True))
print("ended", flush=True)
"""
SECRET = "the very secret prompt"


class Served:
    def __init__(self, process: trio.Process, client: httpx.AsyncClient) -> None:
        self.process = process
        self.client = client

    async def submit(self, task: dict[str, Any]) -> str:
        reply = await self.client.post("/api/tasks", json=task)
        assert reply.status_code == 201, reply.text
        return reply.json()["task_id"]

    async def running(self) -> str:
        """A task that runs, and never ends by itself."""
        task_id = await self.submit(HANG)
        while (await self.client.get("/api/status")).json()["running_tasks"] == 0:
            pass
        return task_id

    async def ended(self) -> tuple[int, str]:
        """The exit code, and what it printed after the URL."""
        with trio.fail_after(WITHIN):
            code = await self.process.wait()
        assert self.process.stdout is not None
        return code, b"".join([part async for part in self.process.stdout]).decode()


def settings(path: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    queue = {"storage_path": str(path / "data"), **sections.pop("queue", {})}
    return {
        "server": {"port": 0},
        "queue": queue,
        "backends": [{"name": "sim", "kind": "simulated"}],
        "simulated": AT_ONCE,
        "logging": {"level": "debug", "file": str(path / "oq.log"), "format": "json"},
        **sections,
    }


@asynccontextmanager
async def served(path: Path, **sections: dict[str, Any]) -> AsyncIterator[Served]:
    command = [sys.executable, "-W", "error", "-c", SERVE, json.dumps(settings(path, **sections))]
    process = await trio.lowlevel.open_process(command, stdout=-1)
    assert process.stdout is not None
    try:
        with trio.fail_after(WITHIN):
            where = b""
            while not where.endswith(b"\n"):
                where += await process.stdout.receive_some()
        async with httpx.AsyncClient(base_url=where.decode().strip(), timeout=WITHIN) as client:
            yield Served(process, client)
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal_and_ends_well(tmp_path: Path, number: signal.Signals):
    async with served(tmp_path) as oq:
        assert oq.client.base_url.port != 0
        task_id = await oq.submit({**GENERATE, "payload": {"prompt": SECRET}})
        task = (await oq.client.get(f"/api/tasks/{task_id}?wait=10s")).json()
        assert task["status"] == "completed"
        oq.process.send_signal(number)
        assert await oq.ended() == (0, "ended\n")
    log = (tmp_path / "oq.log").read_text()
    assert SECRET not in log
    assert [json.loads(line)["event"] for line in log.splitlines()][-1] == "stopped"
    assert '"level": "error"' not in log


async def test_a_drain_waits_for_what_runs_and_refuses_what_is_new(tmp_path: Path):
    slow = {**GENERATE, "options": {"simulate": {"delay": 3.0}}}
    async with served(tmp_path) as oq:
        running = await oq.submit(slow)
        async with oq.client.stream("GET", "/api/events?after=0") as events:
            lines = events.aiter_lines()
            while "task_started" not in await anext(lines):
                pass
            oq.process.terminate()
            while (ready := await oq.client.get("/readyz")).status_code == 200:
                pass
            assert ready.status_code == 503
            assert "shutting down" in ready.json()["error"]
            refused = await oq.client.post("/api/tasks", json=GENERATE)
            assert refused.status_code == 503
            assert (await oq.client.get("/healthz")).status_code == 200
            task = (await oq.client.get(f"/api/tasks/{running}?wait=10s")).json()
            assert task["status"] == "completed", "a long poll is answered during the drain"
            assert any(["task_completed" in line async for line in lines]), "the feed ends"
        assert (await oq.ended())[0] == 0


async def test_what_does_not_end_in_time_runs_again_after_a_restart(tmp_path: Path):
    async with served(tmp_path, queue={"drain_timeout": "100ms"}) as oq:
        task_id = await oq.running()
        oq.process.terminate()
        assert (await oq.ended())[0] == 0
    async with served(tmp_path) as oq:
        task = (await oq.client.get(f"/api/tasks/{task_id}")).json()
        assert task["status"] in ("pending", "running")
        assert task["retry_count"] == 0
        oq.process.terminate()
        oq.process.terminate()


async def test_a_second_signal_ends_it_at_once_with_the_store_closed(tmp_path: Path):
    async with served(tmp_path, queue={"drain_timeout": "5m"}) as oq:
        task_id = await oq.running()
        waiting = await oq.client.post("/api/tasks", json={**GENERATE, "priority": 1})
        oq.process.terminate()
        while (await oq.client.get("/readyz")).status_code == 200:
            pass
        oq.process.terminate()
        assert (await oq.ended())[0] == 0
    async with served(tmp_path) as oq:
        for one in (task_id, waiting.json()["task_id"]):
            assert (await oq.client.get(f"/api/tasks/{one}")).status_code == 200
        oq.process.terminate()
        oq.process.terminate()


def serve(path: Path, **sections: dict[str, Any]) -> None:
    run(to_config(settings(path, **sections)))


def test_a_port_in_use_is_one_line(tmp_path: Path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port} is in use"):
            serve(tmp_path, server={"port": port})
    assert not (tmp_path / "data").exists(), "nothing else was started"


def test_a_data_directory_that_cannot_be_is_one_line(tmp_path: Path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError):
        serve(tmp_path)


@pytest.mark.parametrize(
    ("host", "warned"), [("0.0.0.0", True), ("", True), ("127.0.0.1", False), ("localhost", False)]
)
async def test_to_listen_beyond_this_machine_is_said_aloud(tmp_path: Path, host: str, warned: bool):
    async with served(tmp_path, server={"host": host, "port": 0}) as oq:
        assert (await oq.client.get("/healthz")).status_code == 200
    log = [json.loads(line) for line in (tmp_path / "oq.log").read_text().splitlines()]
    said = [line for line in log if line["event"].startswith("listening beyond this machine")]
    assert [(line["level"], line["addresses"]) for line in said] == (
        [("warning", ["0.0.0.0"])] if warned else []
    )


def test_a_log_file_that_cannot_be_is_one_line(tmp_path: Path):
    with pytest.raises(InvalidConfig, match=r"logging\.file"):
        serve(tmp_path, logging={"file": str(tmp_path / "no" / "oq.log")})
