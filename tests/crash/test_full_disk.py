"""A disk that is really full, under a real `oq serve`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.crash.gate import Gate, gate
from tests.crash.serving import CONFIG, Serving
from tests.crash.small_disk import SmallDisk, small_disk

PATIENCE = 60.0
"""Seconds after which a test gives up. RocksDB looks for space again every five."""


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        yield disk


class Api:
    """The server, as a client sees it."""

    def __init__(self, server: Serving) -> None:
        self._http = httpx.Client(base_url=server.url(), timeout=PATIENCE, trust_env=False)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, prompt: str) -> httpx.Response:
        task = {"type": "generate", "model": "m", "payload": {"prompt": prompt}}
        return self._http.post("/api/tasks", json=task)

    def submitted(self, prompt: str) -> str:
        return self.submit(prompt).raise_for_status().json()["task_id"]

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def task(self, task_id: str, wait: str = "0s") -> dict[str, object]:
        return self.get(f"/api/tasks/{task_id}?wait={wait}").raise_for_status().json()

    def status(self) -> dict[str, object]:
        return self.get("/api/status").raise_for_status().json()


def until(true: Callable[[], bool]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came true"


def fill_until_refused(api: Api, disk: SmallDisk) -> list[str]:
    """Fill the disk, and submit until a task does not fit any more; what still did."""
    disk.fill()
    accepted = []
    for number in range(1000):
        answer = api.submit(f"one more {number}")
        if answer.status_code == 503:
            assert "no space left" in answer.json()["error"]
            assert int(answer.headers["Retry-After"]) > 0
            return accepted
        accepted.append(answer.raise_for_status().json()["task_id"])
    pytest.fail("the disk never got full")


def test_a_full_disk_stops_submits_and_nothing_else_and_is_used_again_when_it_is_not(disk):
    with gate() as backend, served(disk, backend) as api:
        running = [api.submitted(f"running {number}") for number in range(3)]
        backend.wait_until_asked(3)
        acknowledged = running + fill_until_refused(api, disk)

        assert api.get("/readyz").status_code == 503
        assert "no space left" in api.status()["problem"]
        assert [api.task(task_id)["id"] for task_id in acknowledged] == acknowledged
        assert len(api.get("/api/tasks").json()) == len(acknowledged)
        backend.open.set()
        until(lambda: api.status()["workers_active"] == 0)
        assert {api.task(task_id)["status"] for task_id in running} == {"running"}  # on disk

        disk.free()
        ended = [api.task(task_id, wait="60s") for task_id in acknowledged]
        assert {task["status"] for task in ended} == {"completed"}
        assert {len(task["attempts"]) for task in ended} == {1}
        assert api.submit("after").status_code == 201
        assert api.get("/readyz").status_code == 200


@contextmanager
def served(disk: SmallDisk, backend: Gate) -> Iterator[Api]:
    gated = f"{{name: gate, kind: ollama, url: {backend.url}, max_concurrency: 3}}"
    config = f"{CONFIG}backends: [{gated}]\n"
    with Serving(disk.path / "data", config, simulate=False) as server, Api(server) as api:
        yield api


def test_a_server_killed_on_a_full_disk_has_lost_nothing(disk):
    data = disk.path / "data"
    with Serving(data) as server, Api(server) as api:
        acknowledged = [api.submitted(f"before {number}") for number in range(20)]
        acknowledged += fill_until_refused(api, disk)
    with Serving(data) as server:
        assert server.ended_within(PATIENCE)
        assert "no space left on the disk" in server.said()
    disk.free()
    with Serving(data) as server, Api(server) as api:
        assert_all_complete(api, acknowledged)


def test_what_is_written_after_a_full_disk_survives_a_kill(disk):
    """The record that did not fit may not stand between those before and those after it."""
    with gate() as backend:
        with served(disk, backend) as api:
            running = api.submitted("before")
            backend.wait_until_asked(1)
            acknowledged = [running, *fill_until_refused(api, disk)]
            backend.open.set()
            disk.free()
            assert api.task(running, wait="60s")["status"] == "completed"
            acknowledged += [api.submitted(f"after {number}") for number in range(20)]
        with served(disk, backend) as api:
            assert_all_complete(api, acknowledged)


def assert_all_complete(api: Api, acknowledged: list[str]) -> None:
    """A new server has all of these tasks, and runs what is left of them."""
    for task_id in acknowledged:
        assert api.task(task_id, wait="60s")["status"] == "completed"
