"""A backend's address that leads back to oq is found, at the start or at the first call, and said;
a chain that does not come back is no loop.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from oq.backends.failures import status_error
from oq.http.app import create_app
from oq.http.listen import bind, check_not_backend
from oq.http.server import Server
from oq.queue import Queue, open_queue
from oq.rules.via import HEADER, MOST, add_mark, check_loop
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import ServerConfig, to_config
from oq.words.errors import BackendRejected, InvalidConfig, LoopDetected
from tests.support.builders import NOW
from tests.support.gateway import CHAT, site

MARKS = [f"{number:016x}" for number in range(40)]
TASK = {"type": "generate", "model": "m", "payload": {"prompt": "hello"}}


def listening() -> socket.socket:
    """A socket on a free port, for a server whose address has to be known before it is made."""
    (one,) = bind(ServerConfig(host="127.0.0.1", port=0))
    return one


def url(one: socket.socket) -> str:
    return f"http://127.0.0.1:{one.getsockname()[1]}"


@asynccontextmanager
async def serving(here: socket.socket, backend: str) -> AsyncIterator[Queue]:
    """An oq on this socket in front of this backend."""
    config = to_config({
        "ollama": {"host": backend},
        "server": {"port": here.getsockname()[1]},
        "queue": {"drain_timeout": 0},
    })  # fmt: skip
    async with (
        open_queue(config, ledger=KeyValueLedger(MemoryEngine())) as queue,
        trio.open_nursery() as nursery,
    ):
        app = create_app(queue)
        server = Server(app, app.fast_path, [here], max_connections=100)
        await nursery.start(server.run)
        yield queue
        app.context.close()
        server.stop()
        nursery.cancel_scope.cancel()


async def submitted(client: httpx.AsyncClient, where: str) -> dict:
    """A task, once it has ended."""
    task_id = (await client.post(f"{where}/api/tasks", json=TASK)).json()["task_id"]
    return (await client.get(f"{where}/api/tasks/{task_id}", params={"wait": "20s"})).json()


async def test_an_oq_that_is_its_own_backend_says_so_at_the_first_task():
    here = listening()
    async with serving(here, url(here)) as queue, httpx.AsyncClient(timeout=30) as client:
        task = await submitted(client, url(here))
        assert (task["status"], task["retry_count"]) == ("failed", 0)
        assert "OLLAMA_HOST" in task["error"]
        assert "leads to oq itself" in task["error"]
        assert queue.status().total_tasks == 1, "and nothing was forwarded as another task"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/chat"), ("POST", "/v1/chat/completions"), ("GET", "/api/version")],
)
async def test_calls_that_come_back_are_answered_508(method, path):
    here = listening()
    async with serving(here, url(here)), httpx.AsyncClient(timeout=30) as client:
        body = CHAT if method == "POST" else None
        answer = await client.request(method, url(here) + path, json=body)
        assert answer.status_code == 508
        assert "leads to oq itself" in answer.text


async def test_a_circle_of_two_is_found_too():
    first, second = listening(), listening()
    async with (
        serving(first, url(second)) as one,
        serving(second, url(first)) as two,
        httpx.AsyncClient(timeout=30) as client,
    ):
        task = await submitted(client, url(first))
        assert task["status"] == "failed"
        assert "leads to oq itself" in task["error"]
        assert (one.status().total_tasks, two.status().total_tasks) == (1, 1)


async def test_a_chain_that_ends_at_a_model_is_no_loop():
    first, second = listening(), listening()
    async with site() as end, serving(second, str(end.direct.base_url)):
        async with serving(first, url(second)), httpx.AsyncClient(timeout=30) as client:
            task = await submitted(client, url(first))
            assert task["status"] == "completed"
            assert (await client.post(f"{url(first)}/api/chat", json=CHAT)).status_code == 200
            assert (await client.get(f"{url(first)}/api/version")).status_code == 200
        (call, *_) = end.simulator.asked("/api/generate")
        sent = {name.lower(): value for name, value in call.headers}
        assert len(sent[HEADER.lower()].split(", ")) == 2


def test_a_mark_is_known_again_wherever_it_stands():
    way = ""
    for mark in MARKS[:3]:
        assert check_loop(way, mark) == way
        way = add_mark(way, mark)
    for mark in MARKS[:3]:
        with pytest.raises(LoopDetected, match="come back"):
            check_loop(way, mark)
    assert check_loop(f"nonsense, {MARKS[0]}; x=1", MARKS[1]) == MARKS[0]
    assert check_loop(None, MARKS[0]) == ""
    with pytest.raises(LoopDetected, match="too many"):
        check_loop(", ".join(MARKS[:MOST]), MARKS[-1])


def test_508_is_final():
    assert isinstance(status_error(508, b"{}", now=NOW), BackendRejected)


@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("host", ["http://127.0.0.1:{}", "localhost:{}", "0.0.0.0:{}"])
def test_at_the_start_the_own_address_is_refused_as_a_backend(listens, host):
    sockets = bind(ServerConfig(host=listens, port=0))
    try:
        host = host.format(sockets[0].getsockname()[1])
        with pytest.raises(InvalidConfig, match=r"ollama.host: .*where this oq listens"):
            check_not_backend(to_config({"ollama": {"host": host}}), sockets)
        other = {"name": "b", "kind": "openai", "url": f"http://{host.removeprefix('http://')}/v1"}
        with pytest.raises(InvalidConfig, match=r"backends\[0\].url: .*where this oq listens"):
            check_not_backend(to_config({"backends": [other]}), sockets)
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:11434", "http://127.0.0.2:{}", "box.invalid:{}"]
)
def test_another_address_is_none_of_its_business(host):
    here = listening()
    with here:
        host = host.format(here.getsockname()[1])
        check_not_backend(to_config({"ollama": {"host": host}}), [here])
