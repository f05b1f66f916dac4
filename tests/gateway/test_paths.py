"""Paths that are nearly those of Ollama, methods that a path does not have, and /api/status."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from oq.http import cloud
from oq.http.app import openapi_document
from oq.http.gateway.redirects import redirect
from tests.support.gateway import CHAT, Site, site
from tests.support.http import UNKNOWN, api

# -- what is nearly a path


@pytest.mark.parametrize(
    ("method", "path", "leads"),
    [
        ("POST", "/api/chat/", (307, "/api/chat")),
        ("POST", "//api/chat", (307, "/api/chat")),
        ("POST", "/api//chat", (307, "/api/chat")),
        ("POST", "/./api/chat", (307, "/api/chat")),
        ("POST", "/x/../api/chat", (307, "/api/chat")),
        ("POST", "//api/chat/", (307, "/api/chat/")),
        ("POST", "//v1//chat/completions", (307, "/v1/chat/completions")),
        ("POST", "/v1/chat/completions/", (307, "/v1/chat/completions")),
        ("GET", "/api/tags/", (301, "/api/tags")),
        ("HEAD", "/api/tags/", (307, "/api/tags")),
        ("GET", "//api/tags", (307, "/api/tags")),
        ("GET", "//v1/models/org%2Fm", (307, "/v1/models/org%2Fm")),
        ("DELETE", "/api/delete/", (307, "/api/delete")),
        ("POST", "//api/nothing", (307, "/api/nothing")),
        # nothing is there
        ("POST", "/api/chat", None),
        ("GET", "/api/chat/", None),
        ("POST", "/api/tags/", None),
        ("POST", "/api/nothing/", None),
        ("POST", "/api/chat//x/..", (307, "/api/chat")),
        # no path of a dialect, however it is read
        ("GET", "/", None),
        ("GET", "//", None),
        ("GET", "//evil.example/api/tags", None),
        ("GET", "/\\evil.example/api/../../x", None),
        ("GET", "//evil.example/..", None),
        ("GET", "/api/../..//evil.example", None),
        ("GET", "/%2fapi/tags/", None),
        ("GET", "/api/%2e%2e/tags", None),
        ("GET", "http://evil.example//api/tags", None),
        ("OPTIONS", "*", None),
        ("GET", "", None),
    ],
)
def test_where_a_path_leads(method: str, path: str, leads: tuple[int, str] | None):
    assert redirect(method, path) == leads


def test_a_location_is_always_a_path_of_this_server():
    for path in ("//api//evil.example", "///api/x", "/api/..//api/\\evil", "//api/@evil.example/"):
        there = redirect("GET", path)
        assert there is not None
        assert there.path.startswith("/api/")


async def test_a_redirect_leads_to_the_call_and_runs_nothing_itself():
    async with site() as here:
        for path in ("/api/chat/", "//api/chat", "/v1/chat/completions/?a=1"):
            answer = await here.oq.post(f"{here.oq.base_url}{path}", json=CHAT)
            assert (answer.status_code, answer.content) == (307, b"")
            assert not here.queue.status().total_tasks
        assert answer.headers["Location"] == "/v1/chat/completions?a=1"
        url = f"{here.oq.base_url}//api/chat/"
        followed = await here.oq.post(url, json=CHAT, follow_redirects=True)
        assert followed.status_code == 200
        assert [json.loads(body) for body in here.bodies("/api/chat")] == [CHAT]


@pytest.mark.parametrize("path", ["/api/nothing", "/api/pulls", "/api/chat/more", "/v1/nothing"])
async def test_an_unknown_path_is_404_whatever_the_method(path: str):
    async with site() as here:
        for method in ("POST", "GET", "PUT", "DELETE"):
            answer = await here.oq.request(method, path, json={})
            assert answer.status_code == 404
            assert path in answer.text


# -- methods


PATHS = [
    "/api/tasks", "/api/tasks/count", "/api/tasks/batch", "/api/tasks/bulk",
    f"/api/tasks/{UNKNOWN}", f"/api/tasks/{UNKNOWN}/cancel", f"/api/tasks/{UNKNOWN}/stream",
    "/api/status", "/api/queue/pause", "/api/events", "/ws", "/healthz", "/openapi.json", "/",
    "/api/chat", "/api/embed", "/api/tags", "/api/show", "/api/me", "/api/delete", "/v1/models",
    "/v1/models/m", "/v1/chat/completions", "/api/blobs/sha256:00",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_options_and_the_allow_of_a_405_say_the_same(path: str):
    async with site(gateway={"allow_admin": True}) as here:
        asked = await here.oq.options(path)
        assert (asked.status_code, asked.content) == (204, b"")
        allowed = asked.headers["Allow"].split(", ")
        assert allowed == sorted(allowed)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "NONSENSE"):
            if method in allowed:
                continue
            answer = await here.oq.request(method, path)
            assert answer.status_code == 405, method
            assert answer.headers["Allow"].split(", ") == allowed


async def test_the_methods_are_those_of_the_document():
    async with api() as oq:
        for path, operations in openapi_document()["paths"].items():
            asked = await oq.call("OPTIONS", path.replace("{task_id}", UNKNOWN))
            if "{" in path and asked.status == 404:
                continue  # a digest or a key must look like one
            told = {method.lower() for method in asked.headers["Allow"].split(", ")}
            assert set(operations) <= told, path
            assert told <= {*operations, "head", "options"}, path


async def test_no_task_has_the_name_of_a_route():
    async with api() as oq:
        for path, allow in (
            ("/api/tasks/count", "GET, HEAD, OPTIONS"),
            ("/api/tasks/batch", "OPTIONS, POST"),
            ("/api/tasks/bulk", "OPTIONS, POST"),
        ):
            reply = await oq.call("DELETE", path)
            assert (reply.status, reply.headers["Allow"]) == (405, allow)


# -- /api/status


@asynccontextmanager
async def behind(answer: bytes, delay: trio.Event | None = None) -> AsyncIterator[Site]:
    """oq over a server that answers like this, when it is let."""
    async with site() as here, trio.open_nursery() as nursery:

        async def serve(stream: trio.SocketStream) -> None:
            async with stream:
                await stream.receive_some(10_000)
                if delay is not None:
                    await delay.wait()
                await stream.send_all(answer)

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        where = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        here.queue._core.by_name["b"]._transport.url = where
        yield here
        nursery.cancel_scope.cancel()


def said(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


async def test_the_status_has_the_backends_cloud_beside_its_own_fields():
    async with site() as here:
        direct, through = await here.both("GET", "/api/status")
        status = through.json()
        assert status["cloud"] == direct.json()["cloud"] == {"disabled": True, "source": "none"}
        assert status["total_tasks"] == 0
        assert [each["up"] for each in status["backends"]] == [True]


async def test_a_backend_is_asked_once_in_some_seconds():
    async with site() as here:
        for _ in range(3):
            assert "cloud" in (await here.oq.get("/api/status")).json()
        assert len(here.simulator.asked("/api/status")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        said(b"404 page not found", b"404 Not Found"),
        said(b'{"cloud":{"disabled":true}}', b"500 Oops"),
        said(b'{"status":"ok"}'),
        said(b'{"cloud":null}'),
        said(b'{"cloud":"no"}'),
        said(b'{"cloud":[1]}'),
        said(b"{"),
        said(b""),
        said(b'{"cloud":{"a":"%b"}}' % (b"x" * cloud.MOST)),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"",
    ],
)
async def test_a_backend_that_has_none(answer: bytes):
    async with behind(answer) as here:
        reply = await here.oq.get("/api/status")
        assert reply.status_code == 200
        assert "cloud" not in reply.json()
        assert reply.json()["total_tasks"] == 0


async def test_a_backend_that_does_not_answer_delays_the_status_for_a_moment_and_once():
    never = trio.Event()
    async with behind(b"", never) as here:
        begun = trio.current_time()
        for _ in range(5):
            assert "cloud" not in (await here.oq.get("/api/status")).json()
        assert trio.current_time() - begun < 20 * cloud.WAIT  # not 5 seconds, nor 5 minutes


async def test_a_server_of_another_api_is_not_asked():
    async with site(kind="openai") as here:
        assert "cloud" not in (await here.oq.get("/api/status")).json()
        assert not here.simulator.asked("/api/status")


async def test_what_is_known_is_asked_for_again_after_a_while(autojump_clock: MockClock):
    async with api() as oq:
        look = oq.app.context.cloud
        assert "cloud" in (await oq.get("/api/status")).json
        asked = look._until
        await oq.get("/api/status")
        assert look._until == asked
        autojump_clock.jump(cloud.KEPT)
        await oq.get("/api/status")
        assert look._until == asked + cloud.KEPT
