"""What is no task: a backend answers it, streamed both ways, as far as the settings allow."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from oq.backends.simulated import Script
from oq.rules.headers import down
from tests.support.gateway import CHAT, QUICK, said, site

ADMIN = {"gateway": {"allow_admin": True}}
DATA = b"the file of a model" * 1000
BLOB = f"/api/blobs/sha256:{hashlib.sha256(DATA).hexdigest()}"
CHANGES = [
    ("POST", "/api/pull", {"model": "new"}),
    ("POST", "/api/push", {"model": "m"}),
    ("POST", "/api/create", {"model": "new", "from": "m"}),
    ("POST", "/api/copy", {"source": "m", "destination": "new"}),
    ("DELETE", "/api/delete", {"model": "m"}),
    ("POST", BLOB, {}),
    ("POST", "/api/me", None),
    ("POST", "/api/signout", None),
    ("DELETE", "/api/user/keys/abc", None),
]


@pytest.mark.parametrize("kind", ["ollama", "simulated"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/tags", None),
        ("GET", "/api/ps", None),
        ("GET", "/api/version", None),
        ("HEAD", "/api/version", None),
        ("POST", "/api/show", {"model": "simulated"}),
        ("POST", "/api/show", {"model": ""}),
        ("POST", "/api/show", {"model": "unknown"}),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/simulated", None),
        ("GET", "/v1/models/unknown", None),
        ("GET", "/api/chat", None),
        ("HEAD", BLOB, None),
    ],
)
async def test_the_answer_is_that_of_the_backend(kind, method, path, body):
    async with site(kind=kind) as here:
        direct, through = await here.both(method, path, json=body)
        assert through.status_code == direct.status_code
        assert through.content == direct.content
        assert through.headers.get("Content-Type") == direct.headers.get("Content-Type")
        assert not here.queue.status().total_tasks


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_nobody_changes_the_models_unless_the_settings_allow_it(method, path, body):
    async with site() as here:
        answer = await here.oq.request(method, path, json=body)
        assert answer.status_code == 403
        assert "gateway.allow_admin" in answer.json()["error"]
        assert not here.bodies(path)


@pytest.mark.parametrize(("method", "path", "body"), CHANGES[:5])
async def test_they_are_changed_if_they_do(method, path, body):
    async with site(**ADMIN) as one, site() as other:
        direct = await other.direct.request(method, path, json=body)
        through = await one.oq.request(method, path, json=body)
        assert (through.status_code, through.content) == (direct.status_code, direct.content)
        assert one.simulator.model_files.names == other.simulator.model_files.names


async def test_the_progress_of_a_pull_comes_as_it_is_made():
    async with site(**ADMIN) as here:
        here.simulator.push(Script(fault="hang", at=2))
        lines = []
        with trio.CancelScope() as scope:
            async with here.oq.stream("POST", "/api/pull", json={"model": "new"}) as answer:
                async for part in answer.aiter_bytes():
                    lines += said(part)
                    if len(lines) == 2:
                        scope.cancel()
        assert lines[0] == {"status": "pulling manifest"}
        with trio.fail_after(5):  # the backend is told that its caller has gone
            await here.simulator.asked("/api/pull")[0].hung_up.wait()


async def test_a_pull_that_breaks_off_ends_with_an_error():
    async with site(**ADMIN) as here:
        here.simulator.push(Script(fault="cut", at=2))
        answer = await here.oq.post("/api/pull", json={"model": "new"})
        assert "was lost" in said(answer.content)[-1]["error"]


async def test_a_file_is_uploaded_part_by_part():
    """Also one that is larger than a body may be."""
    async with site(**ADMIN, queue={"max_payload": 1024}) as here:
        arrived = trio.Event()

        async def parts():
            for start in range(0, len(DATA), 1900):
                yield DATA[start : start + 1900]
                call = here.simulator.asked(BLOB)
                while not start and not (call and call[0].received):
                    await trio.lowlevel.checkpoint()
                    call = here.simulator.asked(BLOB)
                arrived.set()

        with trio.fail_after(10):
            answer = await here.oq.post(BLOB, content=parts())
        assert answer.status_code == 201
        assert arrived.is_set()
        assert (await here.oq.head(BLOB)).status_code == 200


async def test_an_answer_of_known_length_that_breaks_off_is_not_passed_off_as_whole():
    async with site() as here, trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]

        async def half(stream: trio.SocketStream) -> None:
            await stream.receive_some(10_000)
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
            await stream.aclose()

        await nursery.start(trio.serve_listeners, half, listeners)
        here.queue._core.by_name["b"]._transport.url = f"http://127.0.0.1:{port}"
        with pytest.raises(httpx.RemoteProtocolError):
            await here.oq.get("/api/tags")
        nursery.cancel_scope.cancel()


async def test_a_backend_that_does_not_answer():
    async with site() as here:
        here.queue._core.by_name["b"]._transport.url = "http://127.0.0.1:1"
        answer = await here.oq.get("/api/tags")
        assert answer.status_code == 502
        assert "127.0.0.1:1" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/modelsandmore"])
async def test_there_is_no_more_of_openais(path):
    async with site() as here:
        answer = await here.oq.get(path)
        assert answer.status_code == 404
        assert "/openapi.json" in answer.json()["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "WHATEVER"])
@pytest.mark.parametrize(
    "path", ["/api/whatever-comes-next", "/api/nothing?really=1", "/api/tags/x"]
)
async def test_what_is_on_no_list_is_not_passed_on(method, path):
    async with site(**ADMIN) as here:
        answer = await here.oq.request(method, path)
        assert answer.status_code == 404
        assert path.partition("?")[0] in answer.json()["error"]
        assert [call.method for call in here.simulator.calls if call.path == path] == []


@pytest.mark.parametrize(
    ("method", "path", "takes"),
    [("POST", "/api/tags", "GET, HEAD"), ("PUT", "/api/show", "POST"), ("GET", "/api/me", "POST")],
)
async def test_what_is_known_takes_its_own_methods_alone(method, path, takes):
    async with site(**ADMIN) as here:
        answer = await here.oq.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, takes)


async def test_what_a_request_would_do_is_said():
    async with site() as here:
        for path, does in (("/api/pull", "the models"), ("/api/me", "account at ollama.com")):
            assert does in (await here.oq.post(path)).json()["error"]


# -- no other server

TARGETS = [
    "%2fapi%2fx@{canary}/internal?q=1",
    "%2fapi%2ftags@{canary}/",
    "%2Fapi/tags@{canary}",
    "api/tags",
    "@{canary}/api/tags",
    ":x@{canary}/api/tags",
    "/@{canary}/api/tags",
    "//{canary}/api/tags",
    "///{canary}/api/tags",
    "/\\{canary}/api/tags",
    "http://{canary}/api/tags",
    "http://localhost@{canary}/api/tags",
    "http:{canary}/api/tags",
    "https://{canary}/v1/models",
    "ftp://{canary}/api/tags",
    "{canary}",
    "*",
    "?/api/tags",
    "#/api/tags",
    "/api/tags@{canary}",
    "/api/tags#@{canary}/",
    "/api/tags?a#@{canary}/",
    "/api%2ftags",
    "/api/%2f%2f{canary}/tags",
    "/api/blobs/@{canary}/x",
    "/api/blobs/..%2f..%2fx",
    "/api/blobs/%252e%252e",
    "/v1/models/..",
    "/v1/models/../../x@{canary}",
    "/v1/models/%2e%2e/x",
    "/v1/models/a%3fb",
    "/v1/models/a%23b",
    "/v1/models/a%5cb",
    "/v1/models/a%00b",
    "/v1%2fmodels",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_no_target_leads_to_another_server_or_another_path(method):
    async with site(**ADMIN) as here, canary(b"HTTP/1.1 200 OK\r\n\r\n") as other:
        for target in TARGETS:
            for version in ("1.1", "1.0"):
                line = f"{method} {target.format(canary=other.where)} HTTP/{version}\r\n"
                head = line + "Host: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
                async with await trio.open_tcp_stream("127.0.0.1", here.oq.base_url.port) as stream:
                    await stream.send_all(head.encode())
                    with trio.fail_after(10):
                        answer = b"".join([part async for part in stream])
                status = int(answer.split(b" ", 2)[1])
                assert status in (400, 404, 405), (line, answer)
        assert other.heads == []
        looks = {"/api/version", "/api/tags", "/api/ps"}
        assert {call.path for call in here.simulator.calls} <= looks


async def test_an_openai_server_is_asked_under_its_own_address_too():
    async with site(kind="openai", **ADMIN) as here, canary(b"HTTP/1.1 200 OK\r\n\r\n") as other:
        for target, status in (
            (f"/v1@{other.where}/models", 404),
            (f"/v1/models@{other.where}", 404),
            ("/v1/models/a/../../x", 307),
        ):
            async with await trio.open_tcp_stream("127.0.0.1", here.oq.base_url.port) as stream:
                rest = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                await stream.send_all(b"GET " + target.encode() + rest)
                with trio.fail_after(10):
                    answer = b"".join([part async for part in stream])
            assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert other.heads == []
        answer = await here.oq.get("/v1/models/org%2Fmodel")
        assert [call.path for call in here.simulator.calls][-1].startswith("/v1/models/org")


def test_a_url_is_made_of_parts():
    from oq.backends.target import within

    for url in ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"):
        for path in ("/x", "//evil.example/x", "/x@evil.example", "/a?b=http://evil.example"):
            joined = within(url, path)
            assert (joined.host, joined.port, joined.userinfo) == ("127.0.0.1", 11434, b"")
            assert joined.raw_path == (httpx.URL(url).raw_path.rstrip(b"/") + path.encode())
        for path in ("@evil.example/x", "x", "", "http://evil.example/", ":1@evil.example", "?x"):
            with pytest.raises(httpx.InvalidURL):
                within(url, path)


# -- headers


class Canary:
    """A server that answers everybody the same, and keeps the heads of what it was asked. It closes
    each connection, and says so.
    """

    def __init__(self, port: int) -> None:
        self.where = f"127.0.0.1:{port}"
        self.heads: list[bytes] = []


@asynccontextmanager
async def canary(answer: bytes) -> AsyncIterator[Canary]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    found = Canary(listeners[0].socket.getsockname()[1])

    async def serve(stream: trio.SocketStream) -> None:
        found.heads.append(bytes(await stream.receive_some(10_000)))
        await stream.send_all(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, listeners)
        yield found
        nursery.cancel_scope.cancel()


PAGE = b"<script>fetch('/api/queue/pause', {method: 'POST'})</script>"
HOSTILE = {
    "Content-Type": "text/html",
    "Content-Security-Policy": "default-src *; script-src 'unsafe-inline' *",
    "X-Content-Type-Options": "sniff",
    "Set-Cookie": "a=b; Path=/",
    "Set-Cookie2": "a=b",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cross-Origin-Opener-Policy": "unsafe-none",
    "Referrer-Policy": "unsafe-url",
    "Refresh": "0; url=http://evil.example/",
    "Clear-Site-Data": '"*"',
    "Service-Worker-Allowed": "/",
    "SourceMap": "http://evil.example/",
    "Strict-Transport-Security": "max-age=1",
    "WWW-Authenticate": "Basic realm=x",
    "Cache-Control": "public, max-age=9",
    "Link": "<http://evil.example>; rel=preload",
    "Location": "http://evil.example/",
    "Alt-Svc": 'h2="evil.example:443"',
    "X-Frame-Options": "ALLOWALL",
}


@pytest.mark.parametrize("spelled", [str, str.lower, str.upper])
@pytest.mark.parametrize("status", [200, 307, 404])
async def test_the_headers_of_a_backend_do_not_become_oqs(spelled, status):
    lines = "".join(f"{spelled(name)}: {value}\r\n" for name, value in HOSTILE.items())
    said = f"HTTP/1.1 {status} Yes\r\nContent-Length: {len(PAGE)}\r\n{lines}\r\n".encode() + PAGE
    async with site() as here, canary(said) as backend:
        here.queue._core.by_name["b"]._transport.url = f"http://{backend.where}"
        answer = await here.oq.get("/api/tags", follow_redirects=False)
        assert (answer.status_code, answer.content) == (status, PAGE)
        own = (await here.oq.get("/healthz")).headers
        for name in HOSTILE.keys() - {"Content-Type"}:
            assert answer.headers.get_list(name) == own.get_list(name), name
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        [policy] = answer.headers.get_list("Content-Security-Policy")
        assert "sandbox" in policy
        assert "script-src" not in policy


@pytest.mark.parametrize(
    "place",
    ["//evil.example/", "/\\evil.example/", "/\t/evil.example/", "/\t\\evil", "evil", "/ x"],
)
def test_no_place_on_another_server_is_passed_on(place):
    assert down([(b"Location", place.encode())]) == []


async def test_what_a_caller_needs_of_a_backends_headers_is_passed_on():
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Retry-After": "7",
        "X-RateLimit-Remaining-Tokens": "3",
        "X-Request-ID": "r1",
        "Location": "/api/tags",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    said = f"HTTP/1.1 429 Slow\r\nContent-Length: 2\r\n{lines}\r\n{{}}".encode()
    async with site() as here, canary(said) as backend:
        here.queue._core.by_name["b"]._transport.url = f"http://{backend.where}"
        answer = await here.oq.get("/api/tags")
        assert {name: answer.headers[name] for name in headers} == headers


async def test_a_callers_secrets_do_not_go_to_a_backend():
    sent = {
        "Authorization": "Bearer caller",
        "Cookie": "session=caller",
        "Proxy-Authorization": "Basic caller",
        "X-Api-Key": "caller",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
        "X-OQ-Priority": "high",
        "traceparent": "00-1-2-01",
        "X-Request-ID": "r1",
        "Accept": "text/x-asked",
    }
    async with site() as here, canary(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as backend:
        here.queue._core.by_name["b"]._transport.url = f"http://{backend.where}"
        await here.oq.post("/api/show", json={}, headers=sent)
        [head] = [head for head in backend.heads if head.startswith(b"POST")]
        assert b"caller" not in head
        assert b"10.0.0.1" not in head
        assert b"x-oq-priority" not in head.lower()
        for said in (b"traceparent: 00-1-2-01", b"x-request-id: r1", b"accept: text/x-asked"):
            assert said in head.lower()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/tags/../pull", 307),
        ("/api//tags", 307),
        ("/api/./tags", 307),
        ("/api/%2e/tags", 404),
        ("/api/%0atags", 404),
    ],
)
async def test_a_path_that_could_be_taken_for_another_is_not_passed_on(path, status):
    async with site(**ADMIN) as here:
        stream = await trio.open_tcp_stream("127.0.0.1", here.oq.base_url.port or 0)
        async with stream:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            await stream.send_all(head.encode() + b"Content-Length: 2\r\n\r\n{}")
            answer = b"".join([part async for part in stream])
        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert not [call for call in here.simulator.calls if call.method == "POST"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/api/chat"), ("DELETE", "/api/embed"), ("GET", "/v1/chat/completions")],
)
async def test_a_call_is_made_by_post_alone(method, path):
    async with site(**ADMIN) as here:
        answer = await here.oq.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "POST"
        assert f"{path} does not take {method}" in answer.text
        assert not here.simulator.asked(path)


async def test_what_is_oqs_own_stays_its_own():
    async with site() as here:
        assert (await here.oq.get("/api/status")).json()["total_tasks"] == 0
        assert (await here.oq.get("/api/tasks/nonsense")).status_code == 404
        assert (
            (await here.oq.get("/api/tasks/a/b/c")).json()["error"].startswith("there is nothing")
        )
        assert (await here.oq.get("/")).text == "Ollama is running"
        assert (await here.oq.head("/")).status_code == 200


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/api/show"])
async def test_the_guard_stands_before_it(path):
    async with site() as here:
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            answer = await here.oq.post(path, json=CHAT, headers=headers)
            assert answer.status_code == 403
        assert not here.bodies(path)


async def test_answers_are_counted():
    async with site(retry_config={**QUICK, "max_retries": 0}) as here:
        await here.oq.post("/api/chat", json=CHAT)
        await here.oq.get("/api/tags")
        await here.oq.get("/v1/files")
        text = (await here.oq.get("/metrics")).text
        assert 'oq_gateway_answers_total{api="ollama",status="200"} 2.0' in text
        assert 'oq_gateway_answers_total{api="openai",status="404"} 1.0' in text


async def test_an_openai_server_tells_of_its_models_as_ollama_does():
    async with site(kind="openai") as here:
        [model] = (await here.oq.get("/api/tags")).json()["models"]
        assert model["name"] == model["model"] == "simulated:latest"
        [running] = (await here.oq.get("/api/ps")).json()["models"]
        assert running["expires_at"] > "2100"
        shown = (await here.oq.post("/api/show", json={"model": "simulated"})).json()
        assert shown["capabilities"] == ["completion"]
        unknown = await here.oq.post("/api/show", json={"model": "unknown"})
        assert (unknown.status_code, unknown.json()) == (
            404,
            {"error": "model 'unknown' not found"},
        )
        assert "version" in (await here.oq.get("/api/version")).json()
        assert (await here.oq.get("/v1/models")).json()["data"][0]["id"] == "simulated:latest"
        answer = await here.oq.head(BLOB)
        assert answer.status_code == 404


async def test_a_backend_that_cannot_be_reached_is_down_for_tasks_as_well():
    async with site(backends=[{"name": "gone", "kind": "ollama", "url": "127.0.0.1:1"}]) as here:
        (before,) = here.queue.status().backends
        assert before.up
        answer = await here.oq.get("/api/tags")
        assert answer.status_code == 502
        with trio.fail_after(10):
            while (now := here.queue.status().backends[0]).up:
                await trio.lowlevel.checkpoint()
        assert "cannot reach http://127.0.0.1:1" in (now.error or "")
