"""The client: what it sends, what it makes of the answers, and what it sends again."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest

from oq.client import Client, chat, embed, generate
from oq.client.address import listening_url, server_url
from oq.client.aio import AsyncClient
from oq.words import errors
from oq.words.config import ServerConfig
from oq.words.task import Status
from tests.support.servers import served

TASK = {
    "id": "0190",
    "type": "chat",
    "priority": 5,
    "status": "running",
    "model": "m",
    "payload": {"messages": []},
    "created_at": "2026-01-31T12:00:00Z",
    "retry_count": 0,
    "max_retries": 3,
}
STATUS = {
    "pending_tasks": 1,
    "running_tasks": 0,
    "completed_tasks": 0,
    "failed_tasks": 0,
    "cancelled_tasks": 0,
    "total_tasks": 1,
    "queues_by_priority": {"5": 1},
    "workers_active": 0,
    "workers_idle": 4,
    "delayed_tasks": 0,
    "retrying_tasks": 0,
    "paused": False,
    "draining": False,
    "uptime": 1.5,
    "event_seq": 9,
    "problem": None,
    "backends": [],
}


class Server:
    """Answers from a list, the last of which repeats, and remembers what it was asked."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def last(self) -> httpx.Request:
        return self.requests[-1]


@pytest.fixture
def serve(monkeypatch):
    """A client of a server that gives these answers; nobody waits for real."""
    monkeypatch.setattr("oq.client.client.time.sleep", lambda seconds: None)

    def serve(*answers):
        server = Server(*answers)
        return Client("box:1", transport=httpx.MockTransport(server)), server

    return serve


def test_submit_sends_what_was_asked_for_and_nothing_else(serve):
    client, server = serve(httpx.Response(201, json={"task_id": "t1", "status": "pending"}))
    task = chat("m", [{"role": "user", "content": "hi"}], system="be brief", priority="high")
    assert client.submit(task) == "t1"
    assert (server.last.method, server.last.url.path) == ("POST", "/api/tasks")
    assert server.last.headers["content-type"] == "application/json"
    assert json.loads(server.last.content) == {
        "type": "chat",
        "model": "m",
        "payload": {"messages": [{"role": "user", "content": "hi"}], "system": "be brief"},
        "priority": "high",
    }


def test_every_kind_of_task_has_its_payload():
    assert generate("m", "p", extra={"raw": True}).payload == {"prompt": "p", "raw": True}
    assert embed("m", ("a", "b")).payload == {"input": ["a", "b"]}
    assert embed("m", "a", max_retries=0, timeout="5m").max_retries == 0


def test_every_submit_has_a_key_of_its_own_unless_one_is_given(serve):
    client, server = serve(httpx.Response(201, json={"task_id": "t1"}))
    client.submit(embed("m", "a"))
    client.submit(embed("m", "a"))
    client.submit(embed("m", "a"), idempotency_key="mine")
    first, second, third = (request.headers["idempotency-key"] for request in server.requests)
    assert first != second
    assert third == "mine"
    with pytest.raises(errors.InvalidTask, match="Idempotency-Key"):
        client.submit(embed("m", "a"), idempotency_key="clé")


def test_a_submit_whose_connection_was_lost_is_sent_again_with_the_same_key(serve):
    lost = httpx.ReadError("connection reset")
    client, server = serve(lost, lost, httpx.Response(200, json={"task_id": "t1"}))
    assert client.submit(embed("m", "a")) == "t1"
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
    assert len(server.requests) == 3


def test_a_batch_whose_connection_was_lost_is_sent_again_with_the_same_keys(serve):
    client, server = serve(httpx.ReadError("gone"), httpx.Response(200, json={"task_ids": ["a"]}))
    assert client.submit_many([embed("m", "a")]) == ["a"]
    first, second = (json.loads(request.content) for request in server.requests)
    assert first == second
    assert first[0]["idempotency_key"]


def test_it_gives_up_after_three_times(serve):
    client, server = serve(httpx.RemoteProtocolError("gone"))
    with pytest.raises(errors.Unavailable, match=r"connection to http://box:1 was lost"):
        client.status()
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.cancel("t"),
        lambda client: client.retry("t"),
        lambda client: client.delete("t"),
        lambda client: client.set_priority("t", 1),
    ],
)
def test_what_may_have_had_its_effect_is_not_sent_again(call, serve):
    client, server = serve(httpx.ReadError("connection reset"))
    with pytest.raises(errors.Unavailable, match="request may still take effect"):
        call(client)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("call", "method", "target"),
    [
        (lambda client: client.get("t"), "GET", "/api/tasks/t"),
        (lambda client: client.cancel("t"), "POST", "/api/tasks/t/cancel"),
        (lambda client: client.retry("t"), "POST", "/api/tasks/t/retry"),
        (lambda client: client.delete("t"), "DELETE", "/api/tasks/t"),
        (lambda client: client.set_priority("t", "low"), "POST", "/api/tasks/t/priority"),
        (lambda client: client.pause(), "POST", "/api/queue/pause"),
        (lambda client: client.resume(), "POST", "/api/queue/resume"),
        (lambda client: client.get("../status?a"), "GET", "/api/tasks/..%2Fstatus%3Fa"),
    ],
)
def test_the_other_calls(call, method, target, serve):
    client, server = serve(httpx.Response(200, json=TASK))
    call(client)
    assert (server.last.method, server.last.url.raw_path.decode()) == (method, target)


@pytest.mark.parametrize("task_id", ["", ".", ".."])
def test_what_is_no_id_is_refused_before_it_is_sent(task_id, serve):
    client, server = serve(httpx.Response(200, json=TASK))
    with pytest.raises(errors.InvalidTask, match="is not a task's id"):
        client.delete(task_id)
    assert not server.requests


def test_list_repeats_its_filters(serve):
    client, server = serve(httpx.Response(200, json=[TASK, TASK | {"surprise": 1}]))
    tasks = client.list(status=["pending", "running"], model="a,b", priority=5, limit=10)
    assert [task.status for task in tasks] == [Status.RUNNING, Status.RUNNING]
    assert sorted(server.last.url.params.multi_items()) == [
        ("limit", "10"),
        ("model", "a,b"),
        ("priority", "5"),
        ("status", "pending"),
        ("status", "running"),
    ]


def test_a_filter_that_there_is_not_is_named_before_anything_is_sent(serve):
    client, server = serve(httpx.Response(200, json=[]))
    for call in client.list, client.list_summaries, client.count:
        with pytest.raises(TypeError, match=r"no filter 'colour'; there are .*model"):
            call(colour="red")
    with pytest.raises(TypeError, match="no filter 'limit'"):
        client.bulk("cancel", limit=3)
    assert server.requests == []


def test_status_is_typed(serve):
    client, _ = serve(httpx.Response(200, json=STATUS))
    assert client.status().queues_by_priority == {"5": 1}


def test_get_waits_in_pieces_until_the_task_has_ended(serve):
    running, ended = httpx.Response(200, json=TASK), TASK | {"status": "completed"}
    client, server = serve(running, running, httpx.Response(200, json=ended))
    assert client.get("t", wait=300).status is Status.COMPLETED
    assert {request.url.params["wait"] for request in server.requests} == {"50000ms"}
    assert server.last.extensions["timeout"]["read"] == 80


def test_get_gives_the_task_as_it_is_when_the_wait_is_over(serve):
    client, _ = serve(httpx.Response(200, json=TASK))
    assert client.get("t", wait=0).status is Status.RUNNING


def test_result(serve):
    done = TASK | {"status": "completed", "result": {"message": {"content": "Paris"}}}
    client, _ = serve(httpx.Response(200, json=done))
    assert client.result("t") == {"message": {"content": "Paris"}}
    client, _ = serve(httpx.Response(200, json=TASK | {"status": "failed", "error": "no model"}))
    with pytest.raises(errors.TaskFailed, match="no model"):
        client.result("t")
    client, _ = serve(httpx.Response(200, json=TASK | {"status": "cancelled"}))
    with pytest.raises(errors.TaskCancelled):
        client.result("t")
    client, _ = serve(httpx.Response(200, json=TASK))
    with pytest.raises(TimeoutError, match="it goes on"):
        client.result("t", timeout=0)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, "payload.messages: there is none", errors.InvalidTask),
        (409, "it has ended", errors.Conflict),
        (413, "the body is over the limit of 4096 bytes", errors.PayloadTooLarge),
        (503, "draining", errors.Unavailable),
        (500, "oops", errors.OqError),
        (403, "this Host is not allowed", errors.OqError),
    ],
)
def test_errors_are_oqs_own(status, said, kind, serve):
    client, _ = serve(httpx.Response(status, json={"error": said}))
    with pytest.raises(kind) as caught:
        client.submit(embed("m", "a"))
    assert said in str(caught.value)


def test_errors_keep_what_they_know(serve):
    client, _ = serve(httpx.Response(400, json={"error": "payload.messages[0].role: why"}))
    with pytest.raises(errors.InvalidTask) as invalid:
        client.submit(embed("m", "a"))
    assert (invalid.value.field, invalid.value.reason) == ("payload.messages[0].role", "why")

    full = httpx.Response(429, json={"error": "(70 tasks wait)"}, headers={"Retry-After": "12"})
    client, _ = serve(full)
    with pytest.raises(errors.QueueFull) as queue_full:
        client.submit(embed("m", "a"))
    assert (queue_full.value.limit, queue_full.value.retry_after) == (70, 12)

    client, _ = serve(httpx.Response(404, json={"error": "?"}))
    with pytest.raises(errors.NotFound) as missing:
        client.cancel("t9")
    assert missing.value.task_id == "t9"


NESTED = b"[" * 100_000 + b"]" * 100_000
"""JSON that no decoder reads."""


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="Ollama is running"),
        httpx.Response(404, text="404 page not found"),
        httpx.Response(404, json={"error": "404 page not found"}),
        httpx.Response(200, json={"pending_tasks": "many"}),
        httpx.Response(302, headers={"Location": "http://elsewhere"}),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(200, content=b'{"pending_tasks":' + NESTED + b"}"),
        httpx.Response(500, content=b'{"error":' + NESTED + b"}"),
    ],
)
def test_something_that_is_not_oq_is_said_so(answer, serve):
    client, _ = serve(answer)
    with pytest.raises(errors.ServerNotReached, match=r"no oq server at http://box:1"):
        client.status()


LONG = "9" * 5000


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(429, json={"error": f"{LONG} tasks"}),
        httpx.Response(413, json={"error": f"over {LONG} bytes"}),
        httpx.Response(400, json={"error": f"nothing was stored: item {LONG}: no"}),
        httpx.Response(503, json={"error": f"it would start in about {LONG} s, and may wait for"}),
        httpx.Response(
            503, json={"error": "it would start in about 5 s, and may wait for ..e s (X)"}
        ),
        httpx.Response(200, json=[], headers={"Link": '<http://[::1>; rel="next"'}),
    ],
)
def test_whatever_is_answered_is_one_of_oqs_errors(answer, serve):
    client, _ = serve(answer)
    with pytest.raises(errors.OqError):
        client.list()


HALF, ENDLESS = "\ud800", "x" * 70_000


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda client: client.list(text=HALF), "q: .* half of a surrogate pair"),
        (lambda client: client.count(model=HALF), "model: .* half of a surrogate pair"),
        (lambda client: client.get(HALF), "task_id: .* half of a surrogate pair"),
        (lambda client: client.stats(model=HALF), "model: .* half of a surrogate pair"),
        (lambda client: client.list(text=ENDLESS), "too long for a URL"),
        (lambda client: client.get(ENDLESS), "too long for a URL"),
        (lambda client: client.models(window=ENDLESS), "too long for a URL"),
        (lambda client: client.submit(embed("m", "a"), idempotency_key=" a"), "no spaces"),
        (lambda client: client.submit(embed("m", "a"), idempotency_key="a "), "no spaces"),
    ],
)
def test_what_cannot_be_sent_is_named(ask, said, serve):
    client, server = serve(httpx.Response(200))
    with pytest.raises(errors.InvalidTask, match=said):
        ask(client)
    assert not server.requests


def test_a_server_that_is_not_there():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with (
            Client(f"127.0.0.1:{port}") as client,
            pytest.raises(errors.ServerNotReached, match=r"connection refused; start one with"),
        ):
            client.status()


def test_a_task_of_a_batch_that_is_not_kept_is_not_found(serve):
    ids = [f"01900000-0000-7000-8000-00000000000{n}" for n in range(2)]
    client, _ = serve(
        httpx.Response(201, json={"task_ids": ids}), httpx.Response(404, json={"error": "gone"})
    )
    with pytest.raises(errors.NotFound) as missing:
        client.run_batch([chat("m", "a"), chat("m", "b")])
    assert missing.value.task_id == ids[0]


def test_a_server_that_is_silent_is_unavailable(serve):
    client, server = serve(httpx.ReadTimeout("..."))
    with pytest.raises(errors.Unavailable, match="did not answer in time"):
        client.status()
    assert len(server.requests) == 1


@contextmanager
def flaky_server(answers: int):
    """A real socket that hangs up on its first connections, then answers one request."""
    listener = socket.create_server(("127.0.0.1", 0))
    body = json.dumps(STATUS).encode()

    def run() -> None:
        for number in range(answers):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                if number == answers - 1:
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                    connection.sendall(head % len(body) + body)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(5)


def test_a_connection_that_is_cut_is_made_again():
    with flaky_server(answers=3) as port, Client(f"127.0.0.1:{port}") as client:
        assert client.status().pending_tasks == 1


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with flaky_server(answers=1) as port, Client(f"127.0.0.1:{port}") as client:
        assert client.status().uptime == 1.5


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:7125", "http://localhost:7125"),
        ("box", "http://box:7125"),
        (":80", "http://127.0.0.1:80"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("http://box/oq/", "http://box/oq"),
        ("https://box", "https://box"),
    ],
)
def test_addresses(given, url):
    assert server_url(given) == url


@pytest.mark.parametrize(
    "given", ["", " ", "http://", "ftp://x", "a b", "::1", "a:99999", "u:p@h", "a?b", "☃" * 80]
)
def test_what_is_no_address_is_said_so(given):
    with pytest.raises(errors.InvalidConfig, match="is not a server address"):
        Client(given).status()


@pytest.mark.parametrize(
    "given",
    ["u:hunter2@h", "http://u:hunter2@h", "http://u:hunt@er2@h:99999", "http://u:hunter2@h/a@b"],
)
def test_a_password_in_an_address_is_not_shown(given):
    with pytest.raises(
        errors.InvalidConfig, match=r"'\*\*\*@\w.* is not a server address"
    ) as caught:
        Client(given)
    assert "er2" not in str(caught.value)


def test_the_address_to_reach_a_server_with_these_settings():
    assert listening_url(ServerConfig(host="0.0.0.0", port=9)) == "http://127.0.0.1:9"
    assert listening_url(ServerConfig(host="::")) == "http://[::1]:7125"


def test_a_task_that_is_no_json_is_refused_before_it_is_sent(serve):
    client, server = serve(httpx.Response(201, json={"task_id": "t"}))
    with pytest.raises(errors.InvalidTask, match="cannot be written as JSON"):
        client.submit(chat("m", [{"role": object()}]))
    with pytest.raises(errors.InvalidTask, match="cannot be written as JSON"):
        client.submit(generate("m", "\udcff"))
    assert not server.requests


@pytest.mark.parametrize("timeout", [60, float("inf"), 1e10, 2_200_000, timedelta(days=3650)])
def test_a_timeout_may_be_as_long_as_one_likes(run, timeout):
    """Over a socket: it refuses what is too long for it."""

    async def check(url: str) -> None:
        async with AsyncClient(url, timeout=timeout) as client:
            assert await client.submit(chat("m", "x"))

    with served() as server:
        with Client(server.url, timeout=timeout) as client:
            assert client.status().total_tasks == 0
        run(check, server.url)


@pytest.mark.parametrize("timeout", [0, -1, "0s", timedelta(0), float("-inf")])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_timeout_in_which_nothing_can_come_is_refused(kind, timeout):
    with pytest.raises(errors.InvalidTask, match=r"timeout: .* is not more than 0"):
        kind("localhost:1", timeout=timeout)


def test_what_is_read_of_a_client_that_was_closed_is_told_so():
    with served() as server, Client(server.url) as client:
        task_id = client.submit(chat("m", "a"))
        with client.stream(task_id) as chunks, client.subscribe() as events:
            client.close()
            for iterator in (chunks, events):
                with pytest.raises(errors.Unavailable, match="this client is closed"):
                    list(iterator)
