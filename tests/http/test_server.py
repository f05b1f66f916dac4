"""The server under Hypercorn's protocols: limits, ends, and clients that misbehave."""

from __future__ import annotations

import socket

import httpx
import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from oq.http import client_stream, server
from oq.http.listen import AddressInUse, bind, url
from oq.words.config import ServerConfig
from oq.words.errors import InvalidConfig
from tests.support.http import GENERATE, live
from tests.support.servers import served

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_beyond_the_limit_a_connection_is_told_so():
    async with live(server={"max_connections": 2}) as oq:
        async with await oq.connect() as one, await oq.connect() as two:
            for stream in (one, two):
                await stream.send_all(ASK)
                await stream.receive_some()
            answer = await oq.talk(b"")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"server.max_connections" in answer
        await wait_all_tasks_blocked(0.02)
        assert (
            await oq.talk(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        ).startswith(b"HTTP/1.1 200 ")


async def test_far_beyond_the_limit_a_connection_is_closed_at_once(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(server, "MAX_REFUSED", 2)
    monkeypatch.setattr(server, "LINGER", 60)
    async with live(server={"max_connections": 1}) as oq, await oq.connect() as one:
        await one.send_all(ASK)
        await one.receive_some()
        async with await oq.connect() as two, await oq.connect() as three:
            for refused in (two, three):
                assert (await refused.receive_some()).startswith(b"HTTP/1.1 503 ")
            assert await oq.talk(b"") == b""
        await wait_all_tasks_blocked(0.02)
        async with await oq.connect() as four:  # those have gone
            assert (await four.receive_some()).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("said", [b"", ASK, b"GET / HTTP/1.1\r\nHost: loc"])
async def test_an_idle_connection_is_closed(said: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.05)
    async with live() as oq:
        await oq.talk(said)
        await oq.talk(said)  # one that comes when there is none is looked after too


async def test_heads_that_come_in_drips_keep_nobody_out(monkeypatch: pytest.MonkeyPatch):
    """What comes of a head gives it no more time, and one address leaves room for others."""
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.3)
    limits = {"max_connections": 8, "max_client_connections": 4}

    async def drip(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nX: ")
            for _ in range(1000):
                try:
                    await stream.send_all(b"x")
                except trio.BrokenResourceError:
                    return
                await trio.sleep(0.005)  # how it drips: five seconds in all
        raise AssertionError("a head may take as long as it likes")

    async with live(server=limits) as oq, trio.open_nursery() as nursery:
        for _ in range(4):
            other = {"local_address": "127.0.0.2"}
            stream = await trio.open_tcp_stream("127.0.0.1", oq.port, **other)
            nursery.start_soon(drip, stream)
        await wait_all_tasks_blocked()
        assert (await oq.talk(ASK)).startswith(b"HTTP/1.1 200 ")


async def test_a_request_under_way_is_not_idle(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.3)
    async with live(paused=True) as oq, httpx.AsyncClient(base_url=oq.url, timeout=60) as client:
        task_id = (await client.post("/api/tasks", json=GENERATE)).json()["task_id"]
        reply = await client.get(f"/api/tasks/{task_id}?wait=1s")
        assert reply.status_code == 200


async def test_stopping_lets_answers_go_out_and_closes_the_idle():
    async with live(paused=True) as oq, httpx.AsyncClient(base_url=oq.url, timeout=60) as client:
        task_id = (await client.post("/api/tasks", json=GENERATE)).json()["task_id"]
        idle = await oq.connect()
        replies: list[httpx.Response] = []

        async def wait() -> None:
            replies.append(await client.get(f"/api/tasks/{task_id}?wait=5m"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked(0.02)
            oq.server.stop()
            with trio.fail_after(5):
                assert await idle.receive_some() == b""
            await idle.aclose()
            oq.app.context.close()
        assert replies[0].json()["status"] == "pending"
        with pytest.raises(OSError, match="all attempts to connect"):
            await oq.connect()


async def test_stopping_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "GRACE", 0.05)
    async with live(paused=True) as oq, await oq.connect() as stream:
        await stream.send_all(b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        await wait_all_tasks_blocked(0.02)
        oq.server.stop()
        with trio.fail_after(5):
            while await stream.receive_some():
                pass


async def test_a_client_that_does_not_take_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_stream, "SEND_TIMEOUT", 0.1)
    big = {**GENERATE, "payload": {"prompt": "x" * 12_000_000}}
    async with live(paused=True) as oq, httpx.AsyncClient(base_url=oq.url, timeout=60) as client:
        task_id = (await client.post("/api/tasks", json=big)).json()["task_id"]
        with structlog.testing.capture_logs() as lines:
            async with await oq.connect() as deaf:
                await deaf.send_all(
                    f"GET /api/tasks/{task_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                )
                with trio.fail_after(10):
                    while not any("stopped reading" in line["event"] for line in lines):
                        await wait_all_tasks_blocked(0.05)
        assert (await client.get("/healthz")).status_code == 200
        whole = await client.get(f"/api/tasks/{task_id}")
        assert len(whole.json()["payload"]["prompt"]) == 12_000_000


async def test_requests_are_logged_for_those_who_debug():
    async with live() as oq, httpx.AsyncClient(base_url=oq.url, timeout=60) as client:
        with structlog.testing.capture_logs() as lines:
            await client.post("/api/tasks", json=GENERATE)
            await client.get("/nope")
        shown = [(line["method"], line["path"], line["status"]) for line in lines if "path" in line]
        assert ("POST", "/api/tasks", 201) in shown
        assert ("GET", "/nope", 404) in shown
        assert "hello" not in str(lines), "no prompt in the log"


# Binding


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def test_port_0_is_any_free_one():
    config = ServerConfig(port=0)
    sockets = bind(config)
    port = sockets[0].getsockname()[1]
    assert port > 0
    assert url(config, sockets) == f"http://127.0.0.1:{port}"
    close(sockets)


def test_all_addresses_of_a_name_share_a_port():
    sockets = bind(ServerConfig(host="localhost", port=0))
    assert len({one.getsockname()[1] for one in sockets}) == 1
    close(sockets)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")],
)
def test_the_url_that_is_shown_can_be_called(host: str, shown: str):
    config = ServerConfig(host=host, port=0)
    try:
        sockets = bind(config)
    except InvalidConfig:
        pytest.skip(f"no {host} on this machine")
    where = url(config, sockets)
    assert where.startswith(f"http://{shown}:")
    with socket.create_connection((httpx.URL(where).host, httpx.URL(where).port or 0), timeout=5):
        pass
    close(sockets)


def test_a_port_in_use_is_named_with_what_to_do():
    sockets = bind(ServerConfig(port=0))
    port = sockets[0].getsockname()[1]
    with pytest.raises(AddressInUse) as problem:
        bind(ServerConfig(port=port))
    assert f"127.0.0.1:{port}" in str(problem.value)
    assert "--port" in str(problem.value)
    close(sockets)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such name", "nonexistent.invalid", "x" * 300])
def test_an_address_that_is_not_this_machine_s(host: str):
    with pytest.raises(InvalidConfig, match=r"server\.host") as problem:
        bind(ServerConfig(host=host, port=0))
    assert host in str(problem.value)


def test_who_connects_is_asked_whether_it_is_there():
    sockets = bind(ServerConfig(port=0))
    try:
        with socket.create_connection(sockets[0].getsockname()):
            accepted, _ = sockets[0].accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    finally:
        close(sockets)


def test_a_connection_is_kept_however_the_body_came():
    with served() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        for size in [1, 100_000] * 50:
            assert client.post("/api/tasks", content=b"[" * size).status_code == 400
