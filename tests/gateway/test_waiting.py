"""How long a call waits: as long as its caller does, while its backend lives."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from oq.backends import silence
from oq.backends.simulated import Script, Simulator
from oq.words.clock import Clock
from oq.words.task import Status
from tests.support.gateway import CHAT, site
from tests.support.queues import EPOCH, until

PATIENT = {"initial_delay": 1, "max_delay": 30, "jitter": False}
OPENAI = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
EIGHT_MINUTES = 480.0
FULL = "server busy, please try again.  maximum pending requests exceeded"
WALL = Clock(lambda: EPOCH + trio.current_time())


def asked(here, path="/api/chat"):
    return [call for call in here.simulator.calls if call.path == path]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("kind", "path", "body", "probed"),
    [
        ("ollama", "/api/chat", CHAT, "/api/version"),
        ("openai", "/v1/chat/completions", OPENAI, "/v1/models"),
    ],
)
async def test_a_model_that_needs_eight_minutes_answers_once(
    clock, kind, path, body, probed, stream
):
    async with site(kind=kind, clock=WALL, retry_config=PATIENT) as here:
        here.simulator.push(Script(delay=EIGHT_MINUTES))
        began = trio.current_time()
        answer = await here.oq.post(path, json={**body, "stream": stream}, timeout=None)
        assert answer.status_code == 200
        assert EIGHT_MINUTES <= trio.current_time() - began < EIGHT_MINUTES + 10
        task = await here.task(answer)
        assert (task["status"], task["retry_count"], len(task["attempts"])) == ("completed", 0, 1)
        assert len(asked(here, path)) == 1
        # One probe a minute. At the start oq looks, and asks what models there are.
        probes = [call.at for call in asked(here, probed) if call.at > 0]
        assert 1 <= len(probes) <= EIGHT_MINUTES / 60, probes


async def test_a_call_whose_time_is_over_before_it_begins_is_told_so(clock):
    """It begins in the moment in which its caller still waits for word of a running attempt."""
    async with site(clock=WALL, retry_config={**PATIENT, "max_retries": 0}) as here:
        here.simulator.push(Script(delay=EIGHT_MINUTES))
        await here.queue.pause()
        answers = []

        async def ask():
            headers = {"X-OQ-Timeout": "300ms"}
            answers.append(await here.oq.post("/api/chat", json=CHAT, headers=headers))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            # Of the clock that jumps: by then its time is over, and its caller still waits.
            await trio.sleep(0.4)
            await here.queue.resume()
        assert answers[0].status_code == 504
        assert answers[0].json() == {"error": "no answer within 300ms (X-OQ-Timeout)"}
        assert (await here.task(answers[0]))["status"] == "failed", "the attempt had as long again"


@pytest.mark.parametrize("stream", [True, False])
async def test_the_callers_timeout_ends_it_and_stops_the_model(clock, stream):
    async with site(clock=WALL, retry_config=PATIENT) as here:
        here.simulator.push(Script(delay=EIGHT_MINUTES))
        began = trio.current_time()
        answer = await here.oq.post(
            "/api/chat", json={**CHAT, "stream": stream}, headers={"X-OQ-Timeout": "90s"},
            timeout=None,
        )  # fmt: skip
        assert answer.status_code == 504
        assert answer.json() == {"error": "no answer within 1m30s (X-OQ-Timeout)"}
        assert 90 <= trio.current_time() - began < 91
        [call] = asked(here)
        with trio.fail_after(5):
            await call.hung_up.wait()
        assert (await here.task(answer))["status"] == "failed"


@pytest.mark.parametrize(
    ("timeout", "after", "times"),
    [(None, 90.0, 4), ("40s", 30.0, 2), ("10s", 0.0, 1)],
    ids=["no timeout", "two attempts", "one attempt"],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_retry_after_is_the_callers_at_the_end(clock, status, timeout, after, times):
    headers = {} if timeout is None else {"X-OQ-Timeout": timeout}
    async with site(clock=WALL, retry_config=PATIENT) as here:
        here.simulator.default = Script(status=status, error="busy", retry_after="3600")
        began = trio.current_time()
        answer = await here.oq.post("/api/chat", json=CHAT, headers=headers, timeout=None)
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "3600")
        assert answer.json() == {"error": "busy"}
        assert after - 0.1 <= trio.current_time() - began < after + 5
        assert len(asked(here)) == times


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "body"), [("/api/chat", CHAT), ("/v1/chat/completions", OPENAI)], ids=["ollama", "v1"]
)
async def test_a_call_that_finds_the_line_full_waits_and_spends_nothing(clock, path, body, stream):
    async with site(clock=WALL, retry_config={**PATIENT, "max_retries": 1}) as here:
        here.simulator.push(*[Script(status=503, error=FULL)] * 6)
        answer = await here.oq.post(path, json={**body, "stream": stream}, timeout=None)
        assert answer.status_code == 200
        task = await here.task(answer)
        assert (task["status"], task["retry_count"], len(task["attempts"])) == ("completed", 0, 1)
        assert len(asked(here, path)) == 7


@pytest.mark.parametrize(
    ("path", "body"), [("/api/chat", CHAT), ("/v1/chat/completions", OPENAI)], ids=["ollama", "v1"]
)
async def test_nine_calls_for_three_models_before_a_line_of_one_are_all_answered(clock, path, body):
    short = Script(tokens=3, rate=10)
    machine = Simulator(short, parallel=1, max_models=1, max_queue=1, load=1.0)
    async with site(machine, clock=WALL, retry_config=PATIENT) as here:
        answers = []

        async def ask(model: str) -> None:
            request = {**body, "model": model, "stream": False}
            answers.append(await here.oq.post(path, json=request, timeout=None))

        async with trio.open_nursery() as nursery:
            for model in "abcabcabc":
                nursery.start_soon(ask, model)
        assert [answer.status_code for answer in answers] == [200] * 9
        assert [(await here.task(answer))["retry_count"] for answer in answers] == [0] * 9


async def test_501_is_final_at_once(clock):
    async with site(clock=WALL, retry_config=PATIENT) as here:
        here.simulator.default = Script(status=501, error="never")
        assert (await here.oq.post("/api/chat", json=CHAT, timeout=None)).status_code == 501
        assert len(asked(here)) == 1


async def test_the_time_in_line_counts(clock):
    async with site(clock=WALL, queue={"max_workers": 1}) as here:
        here.simulator.push(Script(delay=EIGHT_MINUTES))
        async with trio.open_nursery() as nursery:
            first = {"json": CHAT, "headers": {"X-OQ-Detach": "true"}, "timeout": None}
            with here.queue.subscribe({"task_started"}) as events:
                nursery.start_soon(lambda: here.oq.post("/api/chat", **first))
                await anext(events)
            began = trio.current_time()
            answer = await here.oq.post(
                "/api/chat", json=CHAT, headers={"X-OQ-Timeout": "20s"}, timeout=None
            )
            assert answer.status_code == 504
            assert answer.json() == {"error": "no answer within 20s (X-OQ-Timeout)"}
            assert 20 <= trio.current_time() - began < 23
            nursery.cancel_scope.cancel()
        newest = (await here.oq.get("/api/tasks", params={"limit": 1})).json()[0]
        await until(here.queue, newest["id"], Status.CANCELLED)
        assert len(asked(here)) == 1


async def test_who_was_told_its_place_is_told_that_its_time_is_over(clock):
    async with site(clock=WALL, queue={"max_workers": 1}) as here:
        here.simulator.push(Script(delay=EIGHT_MINUTES))
        async with trio.open_nursery() as nursery:
            with here.queue.subscribe({"task_started"}) as events:
                nursery.start_soon(lambda: here.oq.post("/api/chat", json=CHAT, timeout=None))
                await anext(events)
            headers = {"X-OQ-Timeout": "20s", "X-OQ-Progress": "true"}
            answer = await here.oq.post("/api/chat", json=CHAT, headers=headers, timeout=None)
            *places, last = answer.text.splitlines()
            assert '"queue_position":1' in places[0]
            assert last == '{"error":"no answer within 20s (X-OQ-Timeout)"}'
            nursery.cancel_scope.cancel()


BACKGROUND = {"model": "m", "input": "x", "background": True}


async def test_a_response_in_the_background_has_its_time_for_each_attempt(clock):
    async with site(clock=WALL, kind="openai", retry_config={**PATIENT, "max_retries": 1}) as here:
        here.simulator.default = Script(delay=EIGHT_MINUTES)
        with here.queue.subscribe({"task_failed"}) as events:
            began = trio.current_time()
            headers = {"X-OQ-Timeout": "90s"}
            answer = await here.oq.post("/v1/responses", json=BACKGROUND, headers=headers)
            assert answer.status_code == 200
            await anext(events)
        assert trio.current_time() - began >= 2 * 90


async def test_a_detached_call_has_its_time_for_each_attempt(clock):
    async with site(clock=WALL, retry_config={**PATIENT, "max_retries": 1}) as here:
        here.simulator.default = Script(delay=EIGHT_MINUTES)
        headers = {"X-OQ-Timeout": "90s", "X-OQ-Detach": "true"}
        began = trio.current_time()
        answer = await here.oq.post("/api/chat", json=CHAT, headers=headers, timeout=None)
        assert answer.status_code == 502
        assert trio.current_time() - began >= 2 * 90
        assert len(asked(here)) == 2


# -- a backend that dies silently

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
LINE = b'{"message":{"content":"a"},"done":false}\n'
LAST = b'{"message":{"content":"b"},"done":true}\n'


class Hangs:
    """A server that hangs in its first answer, behind these bytes. When it has been probed in vain
    and left, it works.
    """

    def __init__(self, begins: bytes) -> None:
        self.begins = begins
        self.hangs = False
        self.requests = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            head = await stream.receive_some(10_000)
            while head.startswith(b"POST") and not head.endswith(b"}"):
                head += await stream.receive_some(10_000)
            if head.startswith(b"POST"):
                self.requests += 1
                self.hangs = self.requests == 1
            if not self.hangs:
                await stream.send_all(HEAD + LINE + LAST)
                return
            await stream.send_all(self.begins)
            while await stream.receive_some(10_000):
                pass
            if head.startswith(b"POST"):
                self.hangs = False


@asynccontextmanager
async def before(server: Hangs):
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            trio.serve_listeners, server.serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        async with site(
            retry_config={**PATIENT, "max_retries": 1, "initial_delay": "10ms"},
            ollama={"connect_timeout": 0.2},
            health={"silence": 0.05},
            queue={"probe_interval": 0.01},
            backends=[{"name": "b", "kind": "ollama", "url": f"127.0.0.1:{port}"}],
        ) as here:
            yield here
        nursery.cancel_scope.cancel()


async def test_a_call_of_which_nothing_was_passed_on_begins_anew(monkeypatch):
    monkeypatch.setattr(silence, "PAUSE", 0.0)
    server = Hangs(b"")
    async with before(server) as here:
        answer = await here.oq.post("/api/chat", json=CHAT)
        assert (answer.status_code, answer.content) == (200, LINE + LAST)
        task = await here.task(answer)
        assert (task["retry_count"], server.requests) == (1, 2)
        first, last = task["attempts"]
        assert "did not answer 3 probes" in first["error"]
        assert "error" not in last


async def test_a_call_of_which_a_part_was_passed_on_fails_and_says_so(monkeypatch):
    monkeypatch.setattr(silence, "PAUSE", 0.0)
    server = Hangs(HEAD + LINE)
    async with before(server) as here:
        answer = await here.oq.post("/api/chat", json=CHAT)
        assert answer.status_code == 200
        assert answer.content.startswith(LINE)
        assert b"did not answer 3 probes" in answer.content.removeprefix(LINE)
        task = await here.task(answer)
        assert (task["status"], server.requests) == ("failed", 1)
        assert "did not answer 3 probes" in task["error"]
