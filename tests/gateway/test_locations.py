"""A backend cannot lead its callers into oq's own API: clients follow a 307 with a POST."""

from __future__ import annotations

import pytest

from oq.dialects import DIALECTS, ENDPOINTS
from oq.http.gateway.locations import leads_to_call
from oq.http.routes import ROUTES
from tests.gateway.test_as_made import CHAT, HERE, before, http

OWN = [route.path.format(task_id="1", name="a.js") for route in ROUTES]
CHANGES = [
    one.path.replace("{digest}", "sha256:0a").replace("{key}", "k")
    for dialect in DIALECTS
    for one in dialect.allowed
    if one.admin_effect is not None
]
ODD = [
    "//v1/models", "/v1//models", "/v1/models/", "/api/chat/", "/\\v1/models", "/v1/models/a\\b",
    "/v1/models/../../api/queue/pause", "/v1/models/./m", "/v1/models/..", "/v1/models/a//b",
    "/v1/models/%2e%2e/%2E./api/queue/pause", "/v1/models/..%2f..%2fapi%2fqueue%2fpause",
    "/v1/models/%252e%252e/m", "/v1/models/%5cm", "/v1/models/%2f%2fm", "/v1/models/%2fm",
    "/%2fv1/models", "/v1/models/%0a", "/v1/models/%ff", "/api/chat/..;/queue/pause",
    "/api/queue%2fpause", "/api/queue/pause?x=/v1/models", "/api/queue/pause#/v1/models",
    "/api/%71ueue/pause", "/API/chat", "/v1/elsewhere", "/api", "/v1", "", "?a", "v1/models",
    "http://evil.example/v1/models", "/v1/chat/completions%3f", "%2fapi/chat",
    "/v1/responses/resp_1/cancel",
]  # fmt: skip
GOOD = [
    *ENDPOINTS, "/api/tags", "/api/version", "/v1/models/m", "/v1/models/org/m:4b",
    "/v1/models/qwen3%3A4b", "/v1/models/org%2Fm", "/api/chat?a=1", "/v1/models#m",
]  # fmt: skip


@pytest.mark.parametrize("place", [*OWN, *CHANGES, *ODD])
def test_no_other_path_than_those_of_calls_is_passed_on(place: str):
    assert not leads_to_call(place.encode())


@pytest.mark.parametrize("place", GOOD)
def test_the_path_of_a_call_is_passed_on(place: str):
    assert leads_to_call(place.encode())


@pytest.mark.parametrize("place", ["/api/queue/pause", "/v1/models/%2e%2e/api/queue/pause"])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temp", "308 Perm"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_is_not_sent_on_to_the_queue(stream: bool, status: str, place: str):
    moved = http(b"go there", status, f"Location: {place}", "Content-Length: 8")
    body = CHAT[:-1] + (b',"stream":true}' if stream else b"}")
    async with before(moved) as (here, requests):
        answer = await here.oq.post("/v1/chat/completions", content=body, follow_redirects=True)
        assert (answer.status_code, len(requests)) == (502, 1)
        assert f"answered {status[:3]}" in answer.json()["error"]["message"]
        assert "Location" not in answer.headers
        assert not here.queue.status().paused


@pytest.mark.parametrize("status", ["200 OK", "201 Made", "404 No", "429 Slow"])
async def test_nor_by_an_answer_that_is_no_redirect(status: str):
    said = http(b"{}", status, "Location: /api/queue/pause", "Content-Length: 2")
    async with before(said) as (here, _):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert f"{answer.status_code} {answer.reason_phrase}" == status
        assert "Location" not in answer.headers


@pytest.mark.parametrize(("place", "passes"), [("/api/queue/pause", False), ("/v1/models", True)])
async def test_a_request_that_is_passed_on_is_not_either(place: str, passes: bool):
    moved = http(b"", "307 Temp", f"Location: {place}", "Content-Length: 0")
    async with before(moved, kind="ollama") as (here, _):
        for method, path in (("GET", "/api/tags"), ("POST", "/api/show")):
            answer = await here.oq.request(method, path)
            assert (answer.status_code, "Location" in answer.headers) == (307, passes)


@pytest.mark.parametrize(
    ("place", "passed"),
    [
        (f"{HERE}/v1/chat/completions?a=1", "/v1/chat/completions?a=1"),
        ("/v1/models", "/v1/models"),
        (f"{HERE}/api/queue/pause", None),
        (f"{HERE}//evil.example/v1/models", None),
        ("http://evil.example/v1/models", None),
    ],
)
async def test_a_redirect_within_the_backend_leads_to_oq(place: str, passed: str | None):
    moved = http(b"go there", "307 Temp", f"Location: {place}", "Content-Length: 8")
    async with before(moved, kind="ollama") as (here, _):
        call = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert call.status_code == (502 if passed is None else 307)
        request = await here.oq.get("/api/tags")
        for answer in (call, request):
            assert answer.headers.get("Location") == passed
