"""The fast path on real sockets: its answers are those of the ordinary way, and so are its ends."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog
import trio
from hypercorn.config import Config as HyperConfig
from trio.testing import wait_all_tasks_blocked

from oq.http import client_stream, connection, request_body, server
from oq.http.app import App
from oq.queue import RawQueue
from tests.support.http import GENERATE, UNKNOWN, Live, api, live

BODY = json.dumps(GENERATE).encode()
PATH, BATCH = "/api/tasks", "/api/tasks/batch"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def head(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def plain(body: bytes = BODY, path: str = PATH, *fields: str) -> bytes:
    return head(path, *fields, f"Content-Length: {len(body)}") + body


def chunked(body: bytes = BODY, path: str = PATH, *fields: str) -> bytes:
    coded = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head(path, *fields, "Transfer-Encoding: chunked") + coded


class Answer:
    """One answer."""

    def __init__(self, first: bytes, body: bytes) -> None:
        self.line, *self.headers = first.decode().split("\r\n")
        self.status = int(self.line.split()[1])
        self.text = body.decode()

    @property
    def last(self) -> bool:
        return "connection: close" in map(str.lower, self.headers)

    @property
    def lasting(self) -> list[str]:
        """All of it, without what differs from one time to the next."""
        text = "\n".join([self.line, *sorted(self.headers), self.text])
        for found, instead in (
            ("[0-9a-f]{8}-[-0-9a-f]{27}", "ID"),
            ("under [0-9a-f]{8}", "under REFERENCE"),
            ("date: .*GMT", "date: NOW"),
        ):
            text = re.sub(found, instead, text)
        return text.split("\n")

    @property
    def task_id(self) -> str:
        return json.loads(self.text)["task_id"]


class Line:
    """A connection to a server, and the answers on it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._data = b""

    async def ask(self, *requests: bytes) -> Answer:
        await self.stream.send_all(b"".join(requests))
        return await self.answer()

    async def answer(self) -> Answer:
        first, _, self._data = (await self._until(lambda: b"\r\n\r\n" in self._data)).partition(
            b"\r\n\r\n"
        )
        found = re.search(rb"content-length: (\d+)", first)
        assert found is not None
        length = int(found[1])
        await self._until(lambda: len(self._data) >= length)
        body, self._data = self._data[:length], self._data[length:]
        return Answer(first, body)

    async def ended(self) -> bool:
        with trio.fail_after(10):
            return self._data == b"" and await self.stream.receive_some() == b""

    async def _until(self, true: Callable[[], bool]) -> bytes:
        with trio.fail_after(10):
            while not true():
                more = await self.stream.receive_some()
                assert more, "the connection has ended"
                self._data += more
        return self._data


@asynccontextmanager
async def line(oq: Live) -> AsyncIterator[Line]:
    async with await oq.connect() as stream:
        yield Line(stream)


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths of the requests that go the ordinary way."""
    seen: list[str] = []
    serve = App.asgi_app

    async def watched(app: App, scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await serve(app, scope, receive, send)

    monkeypatch.setattr(App, "asgi_app", watched)
    return seen


# -- both ways

KEY = "Idempotency-Key: k"
ASKED: dict[str, list[tuple[Any, ...]]] = {
    "a task": [(BODY,)],
    "a batch": [(b"[%b, %b]" % (BODY, BODY), BATCH)],
    "a batch in lines": [(BODY + b"\n" + BODY, BATCH, "Content-Type: application/x-ndjson; a=b")],
    "a key": [(BODY, PATH, KEY), (BODY, PATH, KEY)],
    "a key of another task": [(BODY, PATH, KEY), (BODY.replace(b"hello", b"bye"), PATH, KEY)],
    "a key that is none": [(BODY, PATH, "Idempotency-Key:")],
    "no body": [(b"",)],
    "no JSON": [(b"nonsense",)],
    "no UTF-8": [(b'"\xff"',)],
    "no task": [(BODY.replace(b"generate", b"sing"),)],
    "no batch": [(b"[]", BATCH), (b"[1, 2]", BATCH)],
    "a full queue": [(b"[" + b",".join([BODY] * 4) + b"]", BATCH), (BODY,), (BODY,)],
    "a page of its own": [(BODY, PATH, "Origin: http://localhost", "Sec-Fetch-Site: same-origin")],
    "a page that may": [(BODY, PATH, "Origin: https://app.example")],
    "a page that may, and an error": [(b"x", PATH, "Origin: https://app.example")],
    "a page that may not": [(BODY, PATH, "Origin: https://evil.example")],
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_both_ways_give_the_same_answer(asked: list[tuple[Any, ...]], ordinary: list[str]):
    sections = {
        "server": {"allowed_origins": ["https://app.example"]},
        "queue": {"max_pending": 5},
    }
    found = []
    for way in (plain, chunked):
        async with live(paused=True, **sections) as oq, line(oq) as one:
            answers = [await one.ask(way(*each)) for each in asked]
            found.append([each.lasting for each in answers])
    assert found[0] == found[1]
    refused = sum(lines[0] == "HTTP/1.1 403 Forbidden" for lines in found[0])
    assert len(ordinary) == len(asked) + refused, (
        "what the guard refuses does not take the fast path"
    )


@pytest.mark.parametrize("drained", [True, False])
async def test_both_ways_give_the_same_answer_when_nothing_can_be_stored(
    drained: bool, monkeypatch: pytest.MonkeyPatch
):
    found = []
    for way in (plain, chunked):
        async with live() as oq, line(oq) as one:

            async def fail(*_: object, **__: object) -> None:
                raise ZeroDivisionError("secret")

            if drained:
                await oq.queue.drain()
            else:
                monkeypatch.setattr(RawQueue, "submit", fail)
            with structlog.testing.capture_logs() as lines:
                answer = await one.ask(way())
            (said,) = [each for each in lines if each["event"] == "internal error"] or [None]
            assert (said is None) is drained
            assert said is None or said["request"] == "POST /api/tasks"
            found.append(answer.lasting)
    assert found[0] == found[1]
    assert found[0][0] == "HTTP/1.1 " + (
        "503 Service Unavailable" if drained else "500 Internal Server Error"
    )


@pytest.mark.parametrize("way", [plain, chunked])
async def test_after_so_many_requests_the_connection_ends(
    way: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(HyperConfig, "keep_alive_max_requests", 3)
    async with live() as oq, line(oq) as one:
        assert [(await one.ask(each())).last for each in (plain, chunked, way)] == [
            False,
            False,
            True,
        ]
        assert await one.ended()


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/batch", "/api/tasks/bulk"])
async def test_a_body_over_the_limit_is_the_last(path: str):
    async with live(queue={"max_payload": 2000}) as oq:
        for asked in (
            head(path, "Content-Length: 2001"),
            head(path, "Transfer-Encoding: chunked") + b"7d1\r\n" + bytes(2001),
        ):
            async with line(oq) as one:
                answer = await one.ask(asked)
                assert (answer.status, answer.last) == (413, True)
                assert await one.ended()


# -- one after the other


async def test_requests_of_both_kinds_share_a_connection(ordinary: list[str]):
    async with live(paused=True) as oq, line(oq) as one:
        for ask in (plain, chunked, plain, plain, chunked):
            assert (await one.ask(ask())).status == 201
        assert len(ordinary) == 2
        assert oq.queue.status().pending_tasks == 5


async def test_requests_in_one_piece_are_answered_in_their_order(ordinary: list[str]):
    keys = [f"Idempotency-Key: {number}" for number in range(4)]
    first, second, third, fourth = (plain(BODY, PATH, key) for key in keys)
    async with live(paused=True) as oq, line(oq) as one:
        await one.stream.send_all(first + second + HEALTH + third + fourth[:-5])
        await wait_all_tasks_blocked(0.02)
        await one.stream.send_all(fourth[-5:] + plain(b"nonsense") + first)
        answers = [await one.answer() for _ in range(7)]
        assert [each.status for each in answers] == [201, 201, 200, 201, 201, 400, 200]
        ids = [answers[place].task_id for place in (0, 1, 3, 4)]
        assert ids == sorted(ids)
        assert answers[6].task_id == ids[0]


@pytest.mark.parametrize("together", [True, False])
async def test_none_overtakes_a_request_that_waits(together: bool):
    async with live(paused=True) as oq, line(oq) as one:
        task_id = (await one.ask(plain())).task_id
        asked = f"GET /api/tasks/{task_id}?wait=5m HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        await one.stream.send_all(asked + plain() if together else asked)
        await wait_all_tasks_blocked(0.02)
        if not together:
            await one.stream.send_all(plain())
            await wait_all_tasks_blocked(0.02)
        assert oq.queue.status().pending_tasks == 1
        oq.app.context.close()
        assert (await one.answer()).status == 200
        assert (await one.answer()).status == 201
        assert (await one.ask(plain())).status == 201


@pytest.mark.parametrize("at", [1, 40, len(plain()) - len(BODY), len(plain()) - len(BODY) + 1])
async def test_a_request_in_pieces(at: int, ordinary: list[str]):
    async with live() as oq, line(oq) as one:
        for _ in range(2):
            await one.stream.send_all(plain()[:at])
            await wait_all_tasks_blocked(0.02)
            assert (await one.ask(plain()[at:])).status == 201
        in_lane = at >= len(plain()) - len(BODY)
        assert len(ordinary) == (0 if in_lane else 2)


@pytest.mark.parametrize(
    "begun",
    [b"P", b"\r", b"\r\n", HEALTH[:-2], HEALTH[:-2] + b"X: ", HEALTH[:-1], head(PATH)[:-2]],
)
async def test_none_overtakes_a_head_that_is_half_there(begun: bytes):
    async with live() as oq, line(oq) as one:
        await one.stream.send_all(begun)
        await wait_all_tasks_blocked(0.02)
        assert (await one.ask(plain())).status != 201
        assert oq.queue.status().total_tasks == 0


async def test_a_big_body():
    big = json.dumps({**GENERATE, "payload": {"prompt": "x" * 3_000_000}}).encode()
    async with live(paused=True) as oq, line(oq) as one:
        answer = await one.ask(plain(big), HEALTH)
        assert (await one.answer()).status == 200
        asked = f"GET /api/tasks/{answer.task_id} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert (await one.ask(asked.encode())).text.count("x") >= 3_000_000


# -- ends


async def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(request_body, "BODY_TIMEOUT", 0.05)
    async with live() as oq, line(oq) as one:
        answer = await one.ask(plain()[:-1])
        assert (answer.status, answer.last) == (408, True)
        assert "send the request again" in answer.text
        assert await one.ended()
        assert oq.queue.status().total_tasks == 0


async def test_what_comes_of_a_body_gives_the_rest_more_time(monkeypatch: pytest.MonkeyPatch):
    came: list[int] = []
    monkeypatch.setattr(request_body.BodyPace, "came", lambda pace, size: came.append(size))
    big = json.dumps({**GENERATE, "payload": {"prompt": "x" * 3_000_000}}).encode()
    async with live() as oq, line(oq) as one:
        assert (await one.ask(plain(big))).status == 201
        assert sum(came) > 2_000_000  # all but what came with the head


async def test_a_client_that_stops_in_the_middle_of_a_body():
    async with live() as oq, line(oq) as one:
        await one.stream.send_all(plain()[:-1])
        await one.stream.send_eof()
        answer = await one.answer()
        assert (answer.status, answer.last) == (400, True)
        assert "before the body did" in answer.text
        assert await one.ended()


async def test_a_client_that_hangs_up_in_the_middle_of_a_body():
    async with live() as oq:
        with structlog.testing.capture_logs() as lines:
            async with line(oq) as one:
                await one.stream.send_all(plain()[:-1])
                await wait_all_tasks_blocked(0.02)
            await wait_all_tasks_blocked(0.02)
        assert [each for each in lines if each["log_level"] != "debug"] == []
        assert oq.server._connections == set()
        assert oq.queue.status().total_tasks == 0


class Slow:
    """Lets no task in before it is told to."""

    def __init__(self, oq: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = trio.Event()
        accept = RawQueue.submit

        async def later(*given: Any, **named: Any) -> Any:
            await self.go.wait()
            return await accept(*given, **named)

        monkeypatch.setattr(RawQueue, "submit", later)


async def test_stopping_lets_an_answer_go_out(monkeypatch: pytest.MonkeyPatch):
    async with live() as oq, line(oq) as one:
        slow = Slow(oq, monkeypatch)
        await one.stream.send_all(plain() + plain())
        await wait_all_tasks_blocked(0.02)
        oq.server.stop()
        await wait_all_tasks_blocked(0.02)
        slow.go.set()
        answer = await one.answer()
        assert (answer.status, answer.last) == (201, True)
        assert await one.ended(), "the second request is not taken any more"


async def test_stopping_does_not_wait_for_a_body(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "GRACE", 0.05)
    async with live() as oq, line(oq) as one:
        await one.stream.send_all(plain()[:-1])
        await wait_all_tasks_blocked(0.02)
        oq.server.stop()
        with trio.fail_after(10):
            try:
                while await one.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass


async def test_an_idle_connection_is_closed_and_one_under_way_is_not(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.05)
    async with live() as oq, line(oq) as one:
        slow = Slow(oq, monkeypatch)
        await one.stream.send_all(plain())
        with trio.move_on_after(0.15):
            await one.stream.receive_some()
        slow.go.set()
        assert (await one.answer()).status == 201
        assert await one.ended()


async def test_a_request_that_comes_as_the_idle_time_ends_is_not_begun(
    monkeypatch: pytest.MonkeyPatch,
):
    """Its handler would be cancelled halfway."""
    receive = connection.Connection._receive

    async def at_the_end(self: connection.Connection, most: int) -> bytes:
        data = await receive(self, most)
        self._reading.cancel()
        return data

    monkeypatch.setattr(connection.Connection, "_receive", at_the_end)
    async with live() as oq, line(oq) as one:
        await one.stream.send_all(plain())
        assert await one.ended()
        assert oq.queue.status().total_tasks == 0


async def test_a_client_that_takes_no_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_stream, "SEND_TIMEOUT", 0.05)
    wordy = plain(b"[" + b",".join([b"1"] * 1000) + b"]", BATCH)  # each item is named
    async with live() as oq, line(oq) as one, line(oq) as other:
        deaf = suppress(trio.BrokenResourceError)
        with structlog.testing.capture_logs() as lines, trio.fail_after(20), deaf:
            while True:
                await one.stream.send_all(wordy)
        assert any("stopped reading" in each["event"] for each in lines)
        assert (await other.ask(plain())).status == 201


WAITING = [
    "GET /api/tasks/ID?wait=5m",
    "GET /api/tasks/ID/stream",
    "GET /api/events",
    "POST /api/chat",
]


@pytest.mark.parametrize("asked", WAITING)
@pytest.mark.parametrize("behind", [b"", HEALTH], ids=["", "with a request behind"])
@pytest.mark.parametrize("again", [False, True], ids=["at first", "later"])
async def test_a_client_that_leaves_while_it_waits(
    asked: str, behind: bytes, again: bool, ordinary: list[str]
):
    """One that has asked for more meanwhile has left all the same."""
    chat = b'{"model":"m","messages":[]}' if "chat" in asked else b""
    async with live(paused=True) as oq:
        async with line(oq) as one:
            task_id = (await one.ask(plain())).task_id
            if again:  # somebody reads ahead on this connection already
                await one.ask(get(f"/api/tasks/{task_id}"))
            first = f"{asked.replace('ID', task_id)} HTTP/1.1\r\nHost: localhost\r\n"
            sent = f"{first}Content-Length: {len(chat)}\r\n\r\n".encode() + chat
            await one.stream.send_all(sent)
            await wait_all_tasks_blocked(0.02)
            await one.stream.send_all(behind)
            await wait_all_tasks_blocked(0.02)
            assert oq.server._connections
        with trio.fail_after(5):
            while oq.server._connections:
                await wait_all_tasks_blocked()
        assert oq.queue.status().pending_tasks == 1
        assert ordinary == []


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


TAKEN = [
    *("POST /api/tasks", "POST /api/tasks/batch", "POST /api/tasks?a=b", "GET /api/events?after=7"),
    *("POST /api/chat", "POST /api/chat?a", "POST /v1/messages?beta=true", "GET /api/tasks/ID"),
    *("GET /api/tasks/ID?wait=5s", "GET /api/tasks/ID/stream", "GET /api/tasks/ID/content"),
]
LEFT = [
    *("POST /api/tasks/", "POST /api/task%73", "POST /api/tasks/bulk", "GET /api/tasks", "GET /"),
    *("GET /api/tasks/7", "GET /api/tasks/{task_id}", "GET /api/tasks/ID/", "GET /api/tasks/ID/ID"),
    *("POST /api/tasks/ID", "POST /api/tasks/ID/cancel", "GET /api/tasks/%49D", "POST //api/chat"),
    *("POST /api/chat/", "GET /api/chat", "POST /api/./chat", "POST /api/chat%20", "GET /api/tags"),
    *("GET /v1/responses/resp_1", "GET /ws", "POST /api/CHAT", "POST /api/chat;a", "GET /healthz"),
]


@pytest.mark.parametrize("asked", [*TAKEN, *LEFT])
async def test_what_takes_the_fast_path(asked: str):
    async with api() as oq:
        first = asked.replace("ID", UNKNOWN).encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
        data = first + (b"Content-Length: 0\r\n\r\n" if asked[0] == "P" else b"\r\n")
        taken = oq.app.fast_path.take(data, ("127.0.0.1", 1), ("127.0.0.1", 2))
        assert (taken is not None) == (asked in TAKEN)
        if taken is not None:
            assert taken.request.where == asked.replace("ID", UNKNOWN).partition("?")[0]
