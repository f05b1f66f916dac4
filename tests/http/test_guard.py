"""Who may talk to the server: pages of other sites and rebound names may not."""

from __future__ import annotations

import socket

import httpx
import pytest
import trio
from msgspec.structs import replace
from trio_websocket import open_websocket_url

from oq.client.address import listening_url
from oq.http.guard import Guard
from oq.http.host_names import host_name
from oq.words.config import ServerConfig, to_config
from tests.support.http import GENERATE, api, live


def guard(**server: object) -> Guard:
    return Guard(to_config({"server": server}), lambda method, path: False)


def allowed(name: str, **server: object) -> bool:
    return guard(**server).judge(scope(), {b"host": name.encode()}).refusal is None


def scope(method: str = "GET", **headers: str) -> dict[str, object]:
    return {
        "type": "http",
        "method": method,
        "path": "/api/tasks",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost.:7125", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:7125", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[::1", ""),
        ("[::1]evil.example", ""),
        ("localhost:x", ""),
        ("localhost@evil.example", ""),
        ("evil.example@box.local", ""),
        ("a b.local", ""),
        ("evil.example/.local", ""),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str):
    assert host_name(header) == name


ADDRESSES = ["127.0.0.1", "localhost", "::1", "127.0.0.5", "0.0.0.0", "::", "", "192.168.1.5"]


@pytest.mark.parametrize("host", ADDRESSES)
def test_names_that_nobody_else_can_own_are_let_in_whatever_it_is_bound_to(host: str):
    """They are those that Ollama lets in."""
    for name in (
        "localhost", "localhost:7125", "LOCALHOST", "127.0.0.1:7125", "127.8.8.8", "[::1]:9",
        "0.0.0.0", "10.0.0.1", "172.31.255.255:1", "192.168.9.9", "[fd00::1]:7125",
        "[::ffff:127.0.0.1]:1", "[::ffff:10.0.0.1]", "app.localhost:3000", "Box.LOCAL", "a.b.local",
        "vm.internal", "host.docker.internal:7125", socket.gethostname().upper(),
    ):  # fmt: skip
        assert allowed(name, host=host), name


@pytest.mark.parametrize("host", ADDRESSES)
def test_names_that_somebody_else_can_own_are_not(host: str):
    for name in (
        "evil.example", "evil.example:7125", "localhost.evil.example", "127.0.0.1.evil.example",
        "local", "internal", "evil-local", "evil.local.example", "box.local.evil.example:80",
        "evil.example.", "x y", "127.1", "0x7f.1", "2130706433", "127.0.0.1@evil.example",
        "evil.example@127.0.0.1", "evil.example:80@localhost", "[::1", "[::1]evil.example",
    ):  # fmt: skip
        assert not allowed(name, host=host), name


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.5"])
def test_addresses_that_are_not_of_this_machine(host: str):
    for name in ("8.8.8.8", "8.8.8.8:7125", "172.32.0.1", "[::ffff:8.8.8.8]", "[2001:db8::1]"):
        assert not allowed(name, host=host), name


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_bound_to_every_address(host: str):
    bound = {"host": host}
    for name in ("203.0.113.6:7125", "[fe80::1]", "[2001:db8::1]:7125"):
        assert allowed(name, **bound), name


def test_bound_to_every_address_with_names_given():
    """They are added to what is allowed, and take nothing away."""
    for host in ("0.0.0.0", "::", ""):
        bound = {"host": host, "allowed_hosts": ("gpu.lan",)}
        for name in ("gpu.lan:7125", "10.1.2.3", "127.0.0.1:7125", "localhost", "[::1]:7125"):
            assert allowed(name, **bound), (host, name)
        assert allowed(socket.gethostname(), **bound)
        assert not allowed("other.lan", **bound)
    one = {"host": "192.168.1.5", "allowed_hosts": ("gpu.lan",)}
    assert allowed("192.168.1.5:7125", **one)
    assert allowed(socket.gethostname(), **one)
    assert allowed("gpu.lan", **one)
    assert not allowed("203.0.113.6", **one)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1", "localhost"])
@pytest.mark.parametrize("names", [[], ["gpu.lan"]])
async def test_the_url_that_is_announced_is_answered(host: str, names: list[str]):
    async with live(server={"host": host, "allowed_hosts": names}) as oq:
        config = replace(ServerConfig(host=host), port=oq.port)
        for url in (oq.url, listening_url(config)):
            async with httpx.AsyncClient(base_url=url) as client:
                assert (await client.get("/api/status")).status_code == 200


def test_bound_to_one_address():
    bound = {"host": "203.0.113.5"}
    assert allowed("203.0.113.5:7125", **bound)
    assert not allowed("203.0.113.6", **bound)


def test_names_that_are_added():
    for names in (("GPU.lan:80",), ("*",)):
        assert allowed("gpu.lan", allowed_hosts=names)
        assert allowed("localhost", allowed_hosts=names)
    assert allowed("anything.example", allowed_hosts=("*",))


def test_http_1_0_may_leave_the_name_out():
    assert guard().judge(scope(), {}).refusal is None


async def test_a_foreign_host_is_refused_with_what_to_do():
    async with api() as oq:
        for method, path in (("GET", "/api/tasks"), ("POST", "/api/tasks"), ("GET", "/")):
            reply = await oq.call(method, path, None, {"Host": "evil.example"})
            assert reply.status == 403
            assert "'evil.example'" in reply.error
            assert "server.allowed_hosts" in reply.error


SITES = [
    "http://evil.example",
    "null",
    "http://localhost:3000",
    "http://localhost.evil.example",
    "app://obsidian.md",
    "file://",
]


@pytest.mark.parametrize("origin", SITES)
async def test_a_page_of_another_site_can_do_nothing(origin: str):
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        calls = [
            ("POST", "/api/tasks", GENERATE),
            ("POST", f"/api/tasks/{task_id}/cancel", None),
            ("DELETE", f"/api/tasks/{task_id}", None),
            ("GET", "/api/tasks", None),
            ("GET", "/api/events", None),
            ("OPTIONS", "/api/tasks", None),
        ]
        for method, path, body in calls:
            reply = await oq.call(method, path, body, {"Origin": origin, "Host": "localhost"})
            assert reply.status == 403, (method, path)
            assert origin in reply.error
            assert "server.allowed_origins" in reply.error
            assert "Access-Control-Allow-Origin" not in reply.headers
        assert len((await oq.get("/api/tasks")).json) == 1


async def test_its_own_page_can_do_everything():
    async with api(paused=True) as oq:
        own = {"Host": "localhost:7125", "Origin": "http://localhost:7125"}
        assert (await oq.call("POST", "/api/tasks", GENERATE, own)).status == 201
        own = {"Sec-Fetch-Site": "same-origin"}
        assert (await oq.call("POST", "/api/tasks", GENERATE, own)).status == 201


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_page_without_origin_is_refused_unless_a_link_was_followed(site: str):
    async with api() as oq:
        cross = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert (await oq.call("GET", "/api/status", None, cross)).status == 403
        assert (await oq.call("GET", "/api/status", None, link)).status == 200
        assert (await oq.call("POST", "/api/tasks", GENERATE, link)).status == 403


async def test_an_allowed_page_may_call_and_read():
    origin = "https://app.example"
    async with api(server={"allowed_origins": ["https://App.example/"]}) as oq:
        reply = await oq.call(
            "POST",
            "/api/tasks",
            GENERATE,
            {"Origin": origin, "Sec-Fetch-Site": "cross-site"},
        )
        assert reply.status == 201
        assert reply.headers["Access-Control-Allow-Origin"] == origin
        assert reply.headers["Vary"] == "Origin"
        assert "Location" in reply.headers["Access-Control-Expose-Headers"]
        asked = await oq.call(
            "OPTIONS",
            "/api/tasks",
            None,
            {"Origin": origin, "Access-Control-Request-Method": "POST"},
        )
        assert (asked.status, asked.body) == (204, b"")
        assert "POST" in asked.headers["Access-Control-Allow-Methods"]
        assert "Content-Type" in asked.headers["Access-Control-Allow-Headers"]
        assert asked.headers["Access-Control-Allow-Origin"] == origin
        other = await oq.call("POST", "/api/tasks", GENERATE, {"Origin": "https://b.example"})
        assert other.status == 403


@pytest.mark.parametrize("path", ["/", "/api/tasks", "/nope", "/api/status", "/openapi.json"])
async def test_every_answer_keeps_browsers_in_bounds(path: str):
    async with api() as oq:
        for headers in ({}, {"Host": "evil.example"}):
            reply = await oq.call("GET", path, None, headers)
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Cache-Control"] == "no-store"
            assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert reply.headers.get_list("Content-Security-Policy") == [
                "default-src 'none'; frame-ancestors 'none'; sandbox"
            ]


async def test_a_page_of_another_site_cannot_open_the_websocket():
    async with live() as oq:
        for headers in ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
            reply = await oq.upgrade("/ws", **headers)
            assert reply.status == 403
            assert reply.error


async def test_a_rebound_name_cannot_open_the_websocket():
    async with live() as oq:
        reply = await oq.upgrade("/ws", Host="evil.example", Origin="http://evil.example")
        assert reply.status == 403
        assert "server.allowed_hosts" in reply.error


async def test_its_own_page_can_open_the_websocket():
    async with live() as oq:
        url = oq.url.replace("http", "ws") + "/ws"
        async with open_websocket_url(url, extra_headers=[("Origin", oq.url)]) as socket:
            assert "hello" in await socket.get_message()


async def test_a_refusal_does_not_wait_for_the_body():
    async with live() as oq, await oq.connect() as stream:
        await stream.send_all(
            b"POST /api/tasks HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100000000\r\n\r\n"
        )
        with trio.fail_after(10):
            answer = b""
            while b"}" not in answer:
                answer += await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 403 ")


async def test_a_refusal_with_a_body_to_come_says_that_the_connection_ends():
    """A client that is not told sends its next request into the void."""
    async with live() as oq:
        head = b"POST /api/tasks HTTP/1.1\r\nHost: evil.example\r\n"
        answer = await oq.talk(head + b"Content-Length: 2\r\n\r\n")
        assert b"connection: close" in answer.lower()
        async with await oq.connect() as stream:  # without a body it goes on
            for _ in range(2):
                await stream.send_all(head + b"Content-Length: 0\r\n\r\n")
                answer = b""
                while b"}" not in answer:
                    answer += await stream.receive_some()
                assert answer.startswith(b"HTTP/1.1 403 ")
                assert b"connection: close" not in answer.lower()
