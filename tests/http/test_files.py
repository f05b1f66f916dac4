"""Few open files: the store never lacks one, and whoever connects is told or waits."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import structlog
import trio

from oq.http import server
from oq.http.files import MANY_FILES, within_files
from oq.rules import open_files
from oq.words.config import to_config
from oq.words.errors import InvalidConfig
from tests.support.http import GENERATE, live

NONE = resource.RLIM_INFINITY
SERVE = """
import json, resource, sys
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
from oq.http.serve import run
from oq.words.config import to_config
from oq.words.errors import OqError
try:
    run(to_config(json.loads(sys.argv[1])), announce=lambda url: print(url, flush=True))
except OqError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "connections"),
    [
        (1024, 1_000_000, MANY_FILES, 1000),
        (1024, NONE, MANY_FILES, 1000),
        (1024, 4096, 4096, 1000),
        (100_000, 1_000_000, None, 1000),
        (NONE, NONE, None, 1000),
        (256, 1024, 1024, 267),
        (1024, 1024, None, 267),
        (256, 256, None, 36),
    ],
)
def test_as_many_files_may_be_open_as_the_system_allows(
    soft: int, hard: int, raised: int | None, connections: int, monkeypatch: pytest.MonkeyPatch
):
    done = limits(soft, hard, monkeypatch)
    with structlog.testing.capture_logs() as lines:
        config = within_files(to_config({}))
    assert done == ([] if raised is None else [(raised, hard)])
    assert config.server.max_connections == connections
    few = raised not in (None, MANY_FILES) or (raised is None and 0 < soft <= 1024)
    assert (config.queue.max_workers is not None) is few, "what nobody has set stays so"
    assert bool(lines) is (connections < 1000)


@pytest.mark.parametrize(
    ("limit", "workers", "named"),
    [(64, 4, "64 files"), (191, 4, "191 files"), (1024, 1000, "1000 tasks")],
)
def test_too_few_to_run_at_all_is_said_at_the_start(
    limit: int, workers: int, named: str, monkeypatch: pytest.MonkeyPatch
):
    limits(limit, limit, monkeypatch)
    with pytest.raises(InvalidConfig, match=named) as problem:
        within_files(to_config({"queue": {"max_workers": workers}}))
    assert "ulimit -n" in str(problem.value)


def limits(soft: int, hard: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """These are the limits; the list gets those that are set."""
    done: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: done.append(given))
    return done


def test_the_parts_never_exceed_the_whole():
    for limit in range(open_files.LEAST, 20_000, 7):
        count = open_files.connections(limit, 4)
        assert count > 0
        assert 2 * count + max(0, open_files.tables(limit)) + 4 < limit


async def test_a_connection_for_which_there_is_no_file_waits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "ACCEPT_PAUSE", 0.001)
    accept = trio.SocketListener.accept
    failures = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS] * 3

    async def fails_at_first(self: trio.SocketListener) -> trio.SocketStream:
        if failures:
            number = failures.pop()
            raise OSError(number, os.strerror(number))
        return await accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", fails_at_first)
    with structlog.testing.capture_logs() as lines:
        async with live() as oq, httpx.AsyncClient(base_url=oq.url) as client:
            assert (await client.get("/healthz")).status_code == 200
    told = [line for line in lines if line["event"].startswith("no connection can be taken")]
    assert len(told) == 1
    assert "exc_info" not in told[0]
    assert failures == []


def start(path: Path, limit: int) -> subprocess.Popen[str]:
    settings = {
        "server": {"port": 0},
        "queue": {"storage_path": str(path / "data")},
        "backends": [{"name": "sim", "kind": "simulated"}],
        "logging": {"file": str(path / "oq.log")},
    }
    command = [sys.executable, "-c", SERVE, json.dumps(settings), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_process_with_too_few_files_says_so_in_one_line(tmp_path: Path):
    process = start(tmp_path, 64)
    said, wrong = process.communicate(timeout=30)
    assert said == ""
    assert process.returncode == 1
    assert wrong.startswith("InvalidConfig: only 64 files may be open")
    assert wrong.count("\n") == 1


@pytest.mark.slow
async def test_with_few_files_the_store_works_on_under_a_crowd(tmp_path: Path):
    """Idle connections take all that there are; then tasks come that make the store write files."""
    process = await trio.to_thread.run_sync(start, tmp_path, 256)
    assert process.stdout is not None
    try:
        where = httpx.URL((await trio.to_thread.run_sync(process.stdout.readline)).strip())
        big = {**GENERATE, "payload": {"prompt": "x" * 12_000_000}}
        async with httpx.AsyncClient(base_url=where, timeout=30) as client:
            assert (await client.post("/api/queue/pause")).status_code == 200
            crowd = [await trio.open_tcp_stream("127.0.0.1", where.port or 0) for _ in range(400)]
            done = [(await client.post("/api/tasks", json=big)).status_code for _ in range(4)]
            assert done == [201] * 4
            for stream in crowd:
                await trio.aclose_forcefully(stream)
            assert (await client.get("/api/status")).json()["total_tasks"] == 4
        assert process.poll() is None
    finally:
        process.terminate()
        _, wrong = await trio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0
    log = (tmp_path / "oq.log").read_text()
    assert "Too many open files" not in log + wrong
    assert "Traceback" not in log + wrong
