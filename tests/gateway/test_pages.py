"""Which web pages may call oq: those that Ollama lets in may make drop-in calls, and nothing else.

What a browser sends is written out here. The rules of Ollama are in `GenerateRoutes`:
https://github.com/ollama/ollama/blob/main/server/routes.go
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio

from oq.dialects import DIALECTS, ENDPOINTS
from oq.http.guard import LOCAL_PAGES
from tests.support.gateway import CHAT, GENERATE, Site, site

PAGES = [
    "http://localhost:3000",
    "http://localhost",
    "https://localhost:8443",
    "http://127.0.0.1:5173",
    "https://0.0.0.0",
    "app://obsidian.md",
    "file://",
    "tauri://localhost",
    "vscode-webview://0abc",
    "vscode-file://vscode-app",
]
FOREIGN = [
    "null",
    "http://evil.example",
    "https://evil.example:443",
    "http://localhost.evil.example",
    "http://localhost.evil.example:3000",
    "http://localhost:3000.evil.example",
    "http://localhost:3000@evil.example",
    "http://localhost@evil.example",
    "http://me@localhost:3000",
    "http://LOCALHOST.evil.example",
    "http://127.0.0.1.evil.example",
    "http://evil.example/app://obsidian.md",
    "http://app://obsidian.md",
    "xapp://obsidian.md",
    "http://localhost:",
    "http://localhost:port",
    "http://localhost:3000/",
    "http://localhost:3000, http://evil.example",
    "chrome-extension://abcdef",
    "javascript://localhost",
    "ftp://localhost",
]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", CHAT),
    ("/api/generate", GENERATE),
    ("/v1/chat/completions", CHAT),
    ("/api/embed", {"model": "m", "input": "x"}),
]
OLLAMAS_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    "X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,"
    "X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,"
    "X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
TASK = {"type": "generate", "model": "m", "payload": {"prompt": "x"}}


async def preflight(here: Site, path: str, origin: str, method: str = "POST") -> httpx.Response:
    """What a browser asks before it sends the request of a page."""
    asked = {"Access-Control-Request-Method": method, "Origin": origin}
    asked["Access-Control-Request-Headers"] = "content-type,x-stainless-os"
    return await here.oq.options(path, headers=asked)


def asked_of_the_backend(here: Site) -> set[str]:
    """The paths, without what oq asks by itself: whether the backend is up, and what it has."""
    own = {"/api/version", "/api/tags", "/api/ps"}
    return {call.path for call in here.simulator.calls} - own


@pytest.mark.parametrize("origin", PAGES)
async def test_a_page_of_this_machine_or_of_a_desktop_program_can_chat(origin: str):
    async with site() as here:
        for path, body in CALLS:
            asked = await preflight(here, path, origin)
            assert (asked.status_code, asked.content) == (204, b"")
            assert asked.headers["Access-Control-Allow-Origin"] == origin
            answer = await here.oq.post(
                path, json=body, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"}
            )
            assert answer.status_code == 200
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert answer.headers["Vary"] == "Origin"
        for path in ("/api/tags", "/v1/models", "/api/version", "/"):
            answer = await here.oq.get(path, headers={"Origin": origin})
            assert answer.status_code == 200, path
            assert answer.headers["Access-Control-Allow-Origin"] == origin


async def test_the_answer_to_a_preflight_is_that_of_ollama():
    async with site() as here:
        asked = await preflight(here, "/v1/chat/completions", "http://localhost:3000")
        headers = asked.headers
        assert headers["Access-Control-Allow-Headers"] == OLLAMAS_HEADERS
        assert headers["Access-Control-Allow-Methods"] == "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
        assert headers["Access-Control-Max-Age"] == "43200"
        assert sorted(headers.get_list("Vary")) == [
            "Access-Control-Request-Headers",
            "Access-Control-Request-Method",
            "Origin",
        ]


async def test_a_page_may_send_headers_of_its_own():
    """Servers of OpenAI's API let every header in."""
    async with site() as here:
        asked = {"Access-Control-Request-Method": "POST", "Origin": "app://x"}
        asked["Access-Control-Request-Headers"] = "Content-Type, x-api-key,X-OQ-Priority"
        answer = await here.oq.options("/v1/chat/completions", headers=asked)
        told = answer.headers["Access-Control-Allow-Headers"]
        assert told == f"{OLLAMAS_HEADERS},x-api-key,X-OQ-Priority"


OWN = [
    ("GET", "/api/tasks"), ("GET", "/api/tasks/{id}"), ("GET", "/api/tasks/count"),
    ("GET", "/api/tasks/{id}/stream"), ("GET", "/api/status"), ("GET", "/api/stats"),
    ("GET", "/api/backends"), ("GET", "/api/events"), ("GET", "/metrics"), ("GET", "/healthz"),
    ("GET", "/openapi.json"), ("GET", "/assets/x.js"), ("POST", "/api/tasks"),
    ("POST", "/api/tasks/batch"), ("POST", "/api/tasks/bulk"), ("POST", "/api/tasks/{id}/cancel"),
    ("POST", "/api/tasks/{id}/priority"), ("POST", "/api/tasks/{id}/retry"),
    ("POST", "/api/queue/pause"), ("POST", "/api/queue/resume"), ("DELETE", "/api/tasks/{id}"),
    ("POST", "//api/tasks"), ("POST", "/api/tasks/"), ("POST", "/api/chat/../tasks"),
    ("POST", "/v1/../api/queue/pause"), ("POST", "/api//queue/pause"), ("GET", "/api/./status"),
    ("GET", "/%61pi/tasks"), ("POST", "/api/%74asks"),
]  # fmt: skip


@pytest.mark.parametrize("origin", ["http://localhost:3000", "app://obsidian.md", "null"])
async def test_such_a_page_can_neither_read_nor_change_the_queue(origin: str):
    async with site() as here:
        await here.queue.pause()
        task_id = (await here.oq.post("/api/tasks", json=TASK)).json()["task_id"]
        for method, path in OWN:
            path = path.replace("{id}", task_id)
            asked = await preflight(here, path, origin, method)
            answer = await here.oq.request(method, path, json=TASK, headers={"Origin": origin})
            for each in (asked, answer):
                assert each.status_code == 403, (method, path)
                assert "Access-Control-Allow-Origin" not in each.headers
                assert "Access-Control-Allow-Methods" not in each.headers
        status = here.queue.status()
        assert (status.pending_tasks, status.total_tasks, status.paused) == (1, 1, True)


async def test_what_a_page_asks_about_counts_and_not_what_it_asks_by():
    """The preflight of a call must not open what other methods do by the same path."""
    async with site() as here:
        for method in ("DELETE", "GET", "x"):
            asked = await preflight(here, "/api/tasks", "http://localhost:3000", method)
            assert asked.status_code == 403


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_gets_nothing(origin: str):
    async with site() as here:
        for path, body in CALLS:
            asked = await preflight(here, path, origin)
            answer = await here.oq.post(path, json=body, headers={"Origin": origin})
            for each in (asked, answer):
                assert each.status_code == 403
                assert "Access-Control-Allow-Origin" not in each.headers
        for path in ("/api/tags", "/v1/models", "/"):
            assert (await here.oq.get(path, headers={"Origin": origin})).status_code == 403
        assert not here.queue.status().total_tasks
        assert asked_of_the_backend(here) == set()


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example"]
)
async def test_a_name_that_was_made_to_lead_here_gets_nothing(host: str):
    async with site() as here:
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
            for path, body in CALLS:
                answer = await here.oq.post(path, json=body, headers=headers)
                assert answer.status_code == 403
                assert (await here.oq.options(path, headers=headers)).status_code == 403
            assert (await here.oq.get("/api/tags", headers=headers)).status_code == 403
        assert not here.queue.status().total_tasks
        assert asked_of_the_backend(here) == set()


TWICE = [
    ["Host: localhost", "Host: evil.example"],
    ["Host: evil.example", "Host: localhost"],
    ["Host: localhost", "Origin: http://localhost:3000", "Origin: http://evil.example"],
    ["Host: localhost", "Origin: http://evil.example", "ORIGIN: http://localhost:3000"],
    ["Host: localhost", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none"],
]


@pytest.mark.parametrize("headers", TWICE, ids=" ".join)
@pytest.mark.parametrize("path", ["/api/chat", "/api/tasks"])
async def test_a_header_that_decides_is_there_once(path: str, headers: list[str]):
    async with site() as here:
        body = json.dumps(CHAT if path == "/api/chat" else TASK).encode()
        head = [f"POST {path} HTTP/1.1", *headers, f"Content-Length: {len(body)}"]
        stream = await trio.open_tcp_stream("127.0.0.1", here.oq.base_url.port or 0)
        async with stream:
            await stream.send_all("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
            with trio.fail_after(10):
                answer = b"".join([part async for part in stream])
        assert int(answer.split()[1]) in (400, 403)
        assert not here.queue.status().total_tasks


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("chrome-extension://*", "chrome-extension://abcdef"),
        ("https://*.example", "https://chat.example"),
        ("https://chat.example", "https://chat.example"),
        ("*", "null"),
    ],
)
async def test_pages_that_the_settings_add_for_calls(pattern: str, origin: str):
    async with site(gateway={"allowed_origins": [pattern]}) as here:
        assert (await preflight(here, "/api/chat", origin)).status_code == 204
        answer = await here.oq.post("/api/chat", json=CHAT, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        for path in ("/api/tasks", "/api/status"):
            refused = await here.oq.get(path, headers={"Origin": origin})
            assert refused.status_code == 403
            assert "server.allowed_origins" in refused.json()["error"]


async def test_pages_that_the_settings_add_for_everything():
    async with site(server={"port": 0, "allowed_origins": ["https://*.example"]}) as here:
        page = {"Origin": "https://chat.example"}
        assert (await here.oq.post("/api/chat", json=CHAT, headers=page)).status_code == 200
        assert (await here.oq.get("/api/tasks", headers=page)).status_code == 200
        evil = {"Origin": "https://chat.example.evil.test"}
        assert (await here.oq.post("/api/chat", json=CHAT, headers=evil)).status_code == 403


async def test_its_own_page_needs_no_permission_and_another_scheme_is_another_page():
    async with site() as here:
        host = f"127.0.0.1:{here.oq.base_url.port}"
        own = {"Origin": f"http://{host}"}
        answer = await here.oq.post("/api/tasks", json=TASK, headers=own)
        assert answer.status_code == 201
        assert "Access-Control-Allow-Origin" not in answer.headers
        other = {"Origin": f"chrome-extension://{host}"}
        assert (await here.oq.post("/api/tasks", json=TASK, headers=other)).status_code == 403


def test_the_pages_that_need_no_permission_are_those_of_ollama():
    """`AllowedOrigins` in https://github.com/ollama/ollama/blob/main/envconfig/config.go"""
    assert set(LOCAL_PAGES) == {
        "http://localhost", "https://localhost", "http://localhost:*", "https://localhost:*",
        "http://127.0.0.1", "https://127.0.0.1", "http://127.0.0.1:*", "https://127.0.0.1:*",
        "http://0.0.0.0", "https://0.0.0.0", "http://0.0.0.0:*", "https://0.0.0.0:*",
        "app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*",
    }  # fmt: skip


REFUSED = [
    ({"Host": "evil.example"}, 403),
    ({"Host": "a/b"}, 400),
    ({"Origin": "http://evil.example"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
]


@pytest.mark.parametrize(("headers", "status"), REFUSED)
async def test_who_is_refused_reads_it_in_the_form_of_the_api_that_was_called(headers, status):
    others = {"/v1/models": "openai", "/v1/responses/resp_x": "responses", "/api/tags": "ollama"}
    named = {dialect.name: dialect for dialect in DIALECTS}
    async with site() as here:
        for path, dialect in [
            *((path, call.dialect) for path, call in ENDPOINTS.items()),
            *((path, named[name]) for path, name in others.items()),
        ]:
            answer = await here.oq.post(path, json=CHAT, headers=headers)
            assert answer.status_code == status, path
            said = answer.json()["error"]
            text = said if isinstance(said, str) else said["message"]
            assert answer.content == dialect.error(status, text), path
            assert answer.headers["Content-Type"] == dialect.json_type.decode()
        for path in ("/api/tasks", "/metrics", "/nothing"):  # oq's own form, and type
            answer = await here.oq.post(path, json=TASK, headers=headers)
            assert (answer.status_code, list(answer.json())) == (status, ["error"])
            assert answer.headers["Content-Type"] == "application/json"
