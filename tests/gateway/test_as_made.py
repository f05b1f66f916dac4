"""A call reaches the backend as its caller made it, and the answer is the backend's own: its bytes,
its status, its reason phrase, and those of its headers that pass.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import h11
import httpx
import pytest
import trio

from oq.rules.via import HEADER
from tests.support.gateway import QUICK, site

CHAT = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
OWN = "of-oq-itself-0123456789"
JSON = "Content-Type: application/json; charset=utf-8"


HERE = "http://of.this.backend"
"""Stands for the address of the backend in its answer."""


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def before(answer: bytes, kind: str = "openai", **of_backend: object):
    """oq before a backend that answers just this; and the requests that have reached that. `HERE`
    in the answer is the backend's own address.
    """
    requests: list[tuple[h11.Request, bytes]] = []

    async def tell(stream: trio.SocketStream) -> None:
        async with stream:
            reader, body, request = h11.Connection(h11.SERVER), b"", None
            while not isinstance(event := reader.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    reader.receive_data(await stream.receive_some())
                elif isinstance(event, h11.ConnectionClosed):
                    return  # oq has left before it asked for anything
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
            if HEADER.lower().encode() not in dict(request.headers):  # a look of oq's own
                known = request.target == b"/v1/models"
                await stream.send_all(http(b'{"data":[]}', "200 OK" if known else "404 No", JSON))
                return
            requests.append((request, body))
            await stream.send_all(answer.replace(HERE.encode(), b"http://127.0.0.1:%d" % port))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            trio.serve_listeners, tell, await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        backend = {"name": "b", "kind": kind, "url": f"127.0.0.1:{port}", **of_backend}
        retries = {**QUICK, "max_retries": 0}
        async with site(retry_config=retries, backends=[backend]) as here:
            yield here, requests
        nursery.cancel_scope.cancel()


WHOLE = [
    b'{ "choices" : [ {"message":{"content":"a"}} ],\n "usage":{"total_tokens":2}, "own": 1e2 }',
    b'{"choices":[{"message":{"content":null,"tool_calls":[{"id":1}]}}]}\n',
    b'{"choices":null,"usage":{"prompt_tokens":7.0}}',
    b'{"choices":[{"message":{"content":"\\ud83d"}}]}',  # the half of a pair
    b'{"data":[{"embedding":[NaN,1]}]}',  # no JSON, but what some servers send
    b"[1]",
]


@pytest.mark.parametrize("body", WHOLE)
async def test_an_answer_that_came_whole_has_its_own_bytes(body):
    answered = http(
        body, "203 Well Then", JSON, "X-Request-Id: r1", "Set-Cookie: a=b", "Server: s",
        "X-RateLimit-Limit: 9",
    )  # fmt: skip
    async with before(answered) as (here, _):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert (answer.status_code, answer.reason_phrase) == (203, "Well Then")
        assert answer.content == body
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["X-Request-Id"] == "r1"
        assert answer.headers["X-RateLimit-Limit"] == "9"
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Content-Length"] == str(len(body))
        assert (await here.task(answer))["status"] == "completed"


async def test_the_same_answer_is_given_again_to_who_asks_again():
    answered = http(b'{"choices": [ ]}', "200 Fine", JSON, "X-Request-Id: r1")
    async with before(answered) as (here, requests):
        key = {"Idempotency-Key": "k"}
        first, again = [
            await here.oq.post("/v1/chat/completions", content=CHAT, headers=key) for _ in range(2)
        ]
        assert len(requests) == 1
        assert again.content == first.content == b'{"choices": [ ]}'
        assert again.reason_phrase == first.reason_phrase == "Fine"
        assert again.headers["X-Request-Id"] == "r1"


@pytest.mark.parametrize(("passes", "status"), [(True, 409), (False, 200)])
async def test_an_answer_is_given_again_only_to_who_pays_for_it(passes, status):
    answered = http(b'{"choices":[]}', "200 OK", JSON)
    async with before(answered, pass_authorization=passes) as (here, requests):
        statuses = []
        for payer in ("Bearer a", "Bearer b", "Bearer a", None):
            headers = {"Idempotency-Key": "k", **({"Authorization": payer} if payer else {})}
            answer = await here.oq.post("/v1/chat/completions", content=CHAT, headers=headers)
            statuses.append(answer.status_code)
        assert statuses == [200, status, 200, status]
        assert len(requests) == 1


async def test_with_another_query_it_is_another_call():
    async with before(http(b'{"choices":[]}', "200 OK", JSON)) as (here, requests):
        statuses = []
        for query in ("?v=1", "?v=2", "", "?v=1"):
            answer = await here.oq.post(
                f"/v1/chat/completions{query}", content=CHAT, headers={"Idempotency-Key": "k"}
            )
            statuses.append(answer.status_code)
        assert statuses == [200, 409, 409, 200]
        assert len(requests) == 1


@pytest.mark.parametrize("asked", [b"", b',"stream":false', b',"stream":true', b',"stream":null'])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_nothing_is_asked_that_the_caller_did_not_ask(path, asked):
    body = CHAT[:-1] + asked + b' , "n" : 1 }'
    async with before(http(b'{"choices":[]}', "200 OK", JSON)) as (here, requests):
        await here.oq.post(f"{path}?api-version=2", content=body)
        [(request, sent)] = requests
        assert sent == body
        assert request.target == f"{path}?api-version=2".encode()


async def test_which_headers_reach_the_backend():
    given = {
        "Content-Type": "text/json", "Accept": "a/b", "User-Agent": "Client/1.2 (me; here) x",
        "Traceparent": "00-1", "X-Session-Id": "s", "Anthropic-Version": "v", "Cookie": "c=d",
        "Authorization": "Bearer mine", "X-Own": "o", "X-Forwarded-For": "1.2.3.4",
    }  # fmt: skip
    async with before(http(b"{}", "200 OK", JSON)) as (here, requests):
        await here.oq.post("/v1/chat/completions", content=CHAT, headers=given)
        got = dict(requests[0][0].headers)
        assert got[b"content-type"] == b"text/json"
        assert got[b"accept"] == b"a/b"
        assert got[b"user-agent"] == b"Client/1.2"
        assert (got[b"traceparent"], got[b"x-session-id"]) == (b"00-1", b"s")
        assert got[b"anthropic-version"] == b"v"
        for kept in (b"cookie", b"authorization", b"x-own", b"x-forwarded-for"):
            assert kept not in got


@pytest.mark.parametrize("stream", [True, False])
async def test_a_call_without_a_content_type_reaches_the_backend_without_one(stream):
    kind = "Content-Type: text/event-stream" if stream else JSON
    said = b"data: [DONE]\n\n" if stream else b"{}"
    async with before(http(said, "200 OK", kind)) as (here, requests):
        body = CHAT[:-1] + b',"stream":%b}' % (b"true" if stream else b"false")
        await here.oq.post("/v1/chat/completions", content=body)
        assert b"content-type" not in dict(requests[0][0].headers)


@pytest.mark.parametrize("passes", [True, False])
async def test_a_callers_key_reaches_a_backend_that_may_have_it(passes):
    refused = http(b'{"error":"no such key: sk-1234567890123456789"}', "401 No", JSON)
    own = {"api_key": OWN, "pass_authorization": passes}
    async with before(refused, **own) as (here, requests):
        given = {"Authorization": "Bearer sk-1234567890123456789"}
        answer = await here.oq.post("/v1/chat/completions", content=CHAT, headers=given)
        got = dict(requests[0][0].headers)[b"authorization"]
        assert got == (given["Authorization"].encode() if passes else b"Bearer " + OWN.encode())
        assert (answer.status_code, answer.reason_phrase) == (401, "No")
        assert ("sk-1234567890123456789" in answer.text) is not passes
        task = await here.task(answer)
        assert "Bearer" not in json.dumps(task)


MINE = "sk-1234567890123456789"


@pytest.mark.parametrize(
    "given", [[f"Bearer {MINE}"], [f"Bearer {MINE} x"], [f"Bearer {MINE}", "Bearer other"]]
)
@pytest.mark.parametrize("status", ["401", "429", "200"])
async def test_a_callers_key_is_shown_nowhere(given, status):
    body = f'{{"error":"no such key: {MINE}"}}'.encode()
    told = http(body, f"{status} Not {MINE}", JSON, f"X-Request-Id: {MINE}", f"ETag: {OWN}")
    async with before(told, api_key=OWN, pass_authorization=True) as (here, requests):
        headers = [("Authorization", each) for each in given]
        answer = await here.oq.post("/v1/chat/completions", content=CHAT, headers=headers)
        sent = [value for name, value in requests[0][0].headers if name == b"authorization"]
        assert sent == [given[0].encode()]  # a caller has one key
        task = await here.task(answer)
        assert "***" in task["error"]
        shown = str([answer.reason_phrase, *answer.headers.items(), answer.text, task])
        assert MINE not in shown
        assert OWN not in shown


async def test_an_error_is_not_cut_in_the_middle_of_a_callers_key():
    cut = 64 * 1024
    for before_it in (cut - 10, cut - len(MINE)):
        told = http(b"x" * before_it + f"{MINE} and more".encode(), "401 No")
        async with before(told, api_key=OWN, pass_authorization=True) as (here, _):
            answer = await here.oq.post(
                "/v1/chat/completions", content=CHAT, headers={"Authorization": f"Bearer {MINE}"}
            )
            assert "sk-" not in answer.text


EVENTS = (
    f": {MINE} {OWN}\n\nevent: {MINE}\n"
    'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    f"data: {{{MINE}\n\ndata: [DONE]\n\n"
)


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/v1/chat/completions", "text/event-stream", EVENTS),
        ("/v1/chat/completions", "application/json", f'{{"choices":[{{"a":NaN "{MINE}{OWN}"'),
        ("/v1/chat/completions", "text/html", f"<html>{MINE} {OWN}"),
        ("/v1/audio/speech", "text/html", f"<html>{MINE} {OWN}"),
        ("/v1/audio/speech", "text/plain", f"{MINE} {OWN}"),
    ],
)
async def test_a_callers_key_is_shown_in_no_body_that_nobody_generated(path, kind, body):
    told = http(body.encode(), f"200 {MINE}", f"Content-Type: {kind}", f"X-Request-Id: {MINE}")
    async with before(told, api_key=OWN, pass_authorization=True) as (here, _):
        call = CHAT[:-1] + b',"input":"x","stream":%b}' % (
            b"true" if kind == "text/event-stream" else b"false"
        )
        given = {"Authorization": f"Bearer {MINE}"}
        answer = await here.oq.post(path, content=call, headers=given)
        assert answer.text == body.replace(MINE, "***").replace(OWN, "***")
        assert (answer.reason_phrase, answer.headers["X-Request-Id"]) == ("***", "***")
        task = await here.task(answer)
        content = await here.oq.get(f"/api/tasks/{task['id']}/content")
        shown = str([task, content.text, *content.headers.items()])
        assert MINE not in shown
        assert OWN not in shown


@pytest.mark.parametrize("status", ["400 Bad Idea", "404 Nope", "429 Slow", "422 No"])
async def test_an_error_is_the_backends_own(status):
    body = b'{ "error" : {"code":1, "n_ctx":4096} }'
    limits = ["Retry-After: 0", "X-RateLimit-Remaining: 0", "X-Request-Id: r"]
    async with before(http(body, status, JSON, *limits)) as (here, _):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert f"{answer.status_code} {answer.reason_phrase}" == status
        assert answer.content == body
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert (answer.headers["Retry-After"], answer.headers["X-Request-Id"]) == ("0", "r")
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_redirect_to_another_call_is_the_callers():
    moved = http(b"", "307 Temporary Redirect", "Location: /v1/completions", "Content-Length: 0")
    async with before(moved) as (here, _):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert (answer.status_code, answer.headers["Location"]) == (307, "/v1/completions")


async def test_a_page_in_place_of_an_answer_reaches_the_caller_but_the_task_has_failed():
    page = b"<html>log in first</html>"
    async with before(http(page, "200 OK", "Content-Type: text/html")) as (here, _):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert (answer.status_code, answer.content) == (200, page)
        assert answer.headers["Content-Type"] == "text/html"
        assert (await here.task(answer))["status"] == "failed"


async def test_a_stream_has_the_head_of_the_backend():
    event = (
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    kind = "Content-Type: text/event-stream; charset=utf-8"
    async with before(http(event, "200 Go", kind, "X-Request-Id: r")) as (here, _):
        body = CHAT[:-1] + b',"stream":true}'
        async with here.oq.stream("POST", "/v1/chat/completions", content=body) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert (answer.reason_phrase, answer.headers["X-Request-Id"]) == ("Go", "r")
            assert await answer.aread() == event


async def test_every_answer_has_a_reason_phrase():
    async with before(http(b"{}")) as (here, _):
        answer: httpx.Response = await here.oq.get("/api/tasks/nope")
        assert (answer.status_code, answer.reason_phrase) == (404, "Not Found")


@pytest.mark.parametrize("stream", ["true", "false"])
async def test_readers_of_the_task_get_its_text_however_it_came(stream):
    async with site() as here:
        body = CHAT[:-1] + b',"stream":%b}' % stream.encode()
        answer = await here.oq.post("/v1/chat/completions", content=body)
        task_id = answer.headers["X-OQ-Task-ID"]
        read = (await here.oq.get(f"/api/tasks/{task_id}/stream")).text.splitlines()
        chunks = [json.loads(line) for line in read]
        result = (await here.task(answer))["result"]
        assert (
            "".join(each["data"] for each in chunks) == result["choices"][0]["message"]["content"]
        )
        again = await here.oq.get(f"/api/tasks/{task_id}/stream?offset={chunks[-1]['offset']}")
        assert [json.loads(line)["done"] for line in again.text.splitlines()] == [True]


@pytest.mark.parametrize("name", ["X-Request-Id", "Content-Type", "Session-Id"])
async def test_a_header_of_any_bytes_reaches_the_backend_and_brings_it_not_down(name):
    async with before(http(b"{}", "200 OK", JSON)) as (here, requests):
        given = [(name.encode(), b"a\xe9b")]
        answer = await here.oq.post("/v1/chat/completions", content=CHAT, headers=given)
        assert answer.status_code == 200
        assert dict(requests[0][0].headers)[name.lower().encode()] == b"a\xe9b"
        passed_on = await here.oq.get("/v1/models", headers=[(b"X-Request-Id", b"\xe9")])
        assert passed_on.status_code == 200


async def test_cookies_of_a_backend_go_to_nobody():
    async with before(http(b"{}", "200 OK", JSON, "Set-Cookie: session=mine")) as (here, requests):
        for _ in range(2):
            await here.oq.post("/v1/chat/completions", content=CHAT)
        assert [dict(request.headers).get(b"cookie") for request, _ in requests] == [None, None]


async def test_an_answer_is_whole_though_the_end_of_its_response_is_missing():
    event = (
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    cut = http(b"%x\r\n%b\r\n" % (len(event), event), "200 OK", "Transfer-Encoding: chunked",
               "Content-Type: text/event-stream")  # fmt: skip
    async with before(cut) as (here, _):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT[:-1] + b',"stream":true}')
        assert answer.content == event
        assert (await here.task(answer))["status"] == "completed"


async def test_a_long_error_is_passed_on_whole():
    body = json.dumps({"detail": [{"input": "x" * 300_000}]}).encode()
    async with before(http(body, "422 No", JSON)) as (here, _):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert (answer.status_code, answer.content) == (422, body)


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}',
        b'{"choices":[{"message":{},"finish_reason":"content_filter"}],"error":{"message":"bad"}}',
    ],
)
async def test_an_odd_answer_is_one(body):
    async with before(http(body, "200 OK", JSON)) as (here, requests):
        answer = await here.oq.post("/v1/chat/completions", content=CHAT)
        assert (answer.status_code, answer.content) == (200, body)
        assert (await here.task(answer))["status"] == "completed"
        assert len(requests) == 1


FAILED = {
    "server_error": b'{"object":"response", "status":"failed","error":{"code":"server_error"}}',
    "no_reason": b'{"status":"failed","object":"response","output":[],"error":null}',
    "cancelled": b'{"object":"response","status":"cancelled"}',
}


@pytest.mark.parametrize("body", FAILED.values(), ids=FAILED)
async def test_a_response_that_failed_passes_as_it_came_and_its_task_has_failed(body):
    said = http(body, "200 Fine", JSON, "X-Request-Id: r1")
    async with before(said) as (here, requests):
        answer = await here.oq.post("/v1/responses", content=b'{"model":"m","input":"x"}')
        assert (answer.status_code, answer.reason_phrase) == (200, "Fine")
        assert answer.content == body
        assert answer.headers["Content-Type"] == JSON.partition(": ")[2]
        assert answer.headers["X-Request-Id"] == "r1"
        task = await here.task(answer)
        assert (task["status"], len(requests)) == ("failed", 1)
        assert task["error"].startswith("the answer failed: ")
