"""What oq adds for clients that know nothing of it, or only a header: order, keys, detached calls,
backpressure, and no more than that.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import ollama
import openai
import pytest

from oq.backends.simulated import Script
from oq.backends.simulated.text import answer
from tests.dropin.callers import ollama_client, openai_client
from tests.dropin.ways import SOON, Way, through_oq

PROMPT = "why is the sky blue"
MESSAGES = [{"role": "user", "content": PROMPT}]
CHAT = {"model": "m", "messages": MESSAGES}
DIALECTS = {
    "ollama": ("/api/chat", lambda error: error["error"], 503),
    "openai": ("/v1/chat/completions", lambda error: error["error"]["message"], 429),
}


@pytest.fixture
def narrow(machine, tmp_path):
    """Through oq with one worker, and two places in its line."""
    queue = {"max_workers": 1, "max_pending": 2}
    with through_oq(machine, tmp_path / "narrow", queue=queue) as way:
        yield way


@contextmanager
def occupied(way: Way) -> Iterator[httpx.Response]:
    """A call that runs until the block ends, and has its first chunk."""
    way.machine.push(fault="hang", at=1)
    with way.http.stream("POST", "/api/chat", json=CHAT) as response:
        assert response.status_code == 200
        lines = response.iter_lines()  # a generator that nobody holds closes the connection
        next(lines)
        # Until its start is on disk, it counts as pending, and takes a place in line.
        way.until_status(running_tasks=1, pending_tasks=0)
        yield response


class Caller(threading.Thread):
    """A caller in the background; `answer` is what it gets in the end."""

    def __init__(self, way: Way, path: str = "/api/chat", body: Any = None, **headers: str) -> None:
        super().__init__(daemon=True)
        self._way, self._path, self._body = way, path, body or {**CHAT, "stream": False}
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answer: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        self._answer = self._way.http.post(self._path, json=self._body, headers=self._headers)

    @property
    def answer(self) -> httpx.Response:
        self.join(SOON)
        assert self._answer is not None, "no answer"
        return self._answer


def asked(way: Way) -> list[str]:
    """What the machine was asked, in order: the last words of each call."""
    bodies = [json.loads(call.body) for call in way.machine.calls]
    return [body.get("prompt") or body["messages"][-1]["content"] for body in bodies]


@contextmanager
def leaving(way: Way, body: Any, **headers: str) -> Iterator[None]:
    """A caller that has asked, and hangs up when the block ends."""
    text = json.dumps(body)
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    url = way.http.base_url
    with socket.create_connection((url.host, url.port or 0), timeout=SOON) as stream:
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n{more}"
        stream.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        yield


# -- order


def test_an_interactive_call_overtakes_1000_queued_tasks(machine, tmp_path):
    with through_oq(machine, tmp_path, queue={"max_workers": 1}) as way:
        with occupied(way):
            batch = [
                {"type": "generate", "model": "m", "priority": "low", "payload": {"prompt": f"{n}"}}
                for n in range(1000)
            ]
            assert len(way.http.post("/api/tasks/batch", json=batch).json()["task_ids"]) == 1000
            way.until_status(running_tasks=1, pending_tasks=1000)
            interactive = Caller(way)
            way.until_next(PROMPT)
        assert interactive.answer.json()["message"]["content"] == answer(PROMPT)
        assert asked(way)[1] == PROMPT, "the next to start"
        assert interactive.answer.headers["x-oq-queue-position"] == "1"


def test_a_caller_may_say_how_urgent_it_is(narrow):
    with occupied(narrow):
        low = Caller(narrow, body=spoken("low"), X_OQ_Priority="low")
        narrow.until_next("low")
        critical = Caller(narrow, "/v1/chat/completions", spoken("critical"), X_OQ_Priority="15")
        narrow.until_next("critical")
        tasks = narrow.tasks(status="pending")
        assert sorted(task["priority"] for task in tasks) == [1, 15]
    assert (low.answer.status_code, critical.answer.status_code) == (200, 200)
    assert asked(narrow)[1:] == ["critical", "low"]
    wrong = narrow.http.post("/api/chat", json=CHAT, headers={"X-OQ-Priority": "urgent"})
    assert (wrong.status_code, "urgent" in wrong.json()["error"]) == (400, True)


def spoken(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "stream": False}


def test_a_call_may_have_a_time_limit(narrow, machine):
    machine.push(fault="hang")
    late = narrow.http.post("/api/chat", json=CHAT, headers={"X-OQ-Timeout": "100ms"})
    assert late.status_code >= 500
    assert "100ms" in late.json()["error"]
    machine.until(lambda: machine.calls[0].hung_up_at, "the model is stopped")


def test_every_answer_says_whose_it_is(through):
    whole = through.http.post("/api/chat", json={**CHAT, "stream": False})
    task = through.ended(whole.headers["x-oq-task-id"])
    assert task["result"] == whole.json()
    with through.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as told:
        told.read()
    assert through.ended(told.headers["x-oq-task-id"])["status"] == "completed"


# -- keys, and callers who leave


def test_five_retries_that_time_out_make_one_backend_call(through, machine):
    """Each of them gives up in 0.2 s, unless this machine is so busy that the answer is there."""
    machine.push(delay=2)
    key, whole = {"Idempotency-Key": "five"}, {**CHAT, "stream": False}
    for _ in range(5):
        with suppress(httpx.ReadTimeout):
            through.http.post("/api/chat", json=whole, headers=key, timeout=0.2)
    last = through.http.post("/api/chat", json=whole, headers=key)
    assert last.json()["message"]["content"] == answer(PROMPT)
    again = through.http.post("/api/chat", json=whole, headers=key)
    assert (again.content, again.headers["x-oq-task-id"]) == (
        last.content,
        last.headers["x-oq-task-id"],
    )
    assert len(machine.calls) == 1
    other = through.http.post("/api/chat", json=spoken("something else"), headers=key)
    assert other.status_code == 409


def test_five_at_once_with_one_key_make_one_backend_call(through, machine):
    machine.push(delay=0.3)
    callers = [Caller(through, Idempotency_Key="at once") for _ in range(5)]
    answers = {caller.answer.content for caller in callers}
    assert [json.loads(one)["message"]["content"] for one in answers] == [answer(PROMPT)]
    assert len(machine.calls) == 1


def test_a_stream_is_taken_up_again_from_its_beginning(through, machine):
    machine.push(rate=40)
    key = {"Idempotency-Key": "a stream"}
    with through.http.stream("POST", "/api/chat", json=CHAT, headers=key) as response:
        lines = response.iter_lines()
        begun = [next(lines) for _ in range(4)]
    again = through.http.post("/api/chat", json=CHAT, headers=key).text.splitlines()
    assert again[:4] == begun
    assert "".join(json.loads(line)["message"]["content"] for line in again) == answer(PROMPT)
    assert json.loads(again[-1])["done"]
    assert len(machine.calls) == 1


def test_one_of_two_callers_may_leave(through, machine):
    machine.push(rate=40)
    key = {"Idempotency-Key": "two"}
    with through.http.stream("POST", "/api/chat", json=CHAT, headers=key) as first:
        lines = first.iter_lines()
        next(lines)
        with through.http.stream("POST", "/api/chat", json=CHAT, headers=key) as second:
            again = second.iter_lines()
            next(again)
        text = "".join(json.loads(line)["message"]["content"] for line in lines)
    assert f"why{text}" == answer(PROMPT)
    assert [call.hung_up_at for call in machine.calls] == [None]


def test_a_detached_call_goes_on_without_its_caller(through, machine):
    machine.push(delay=0.5)
    with leaving(through, CHAT, X_OQ_Detach="true"):
        machine.until(lambda: machine.calls, "the model has it")
    [task] = through.tasks(limit="1")
    ended = through.ended(task["id"])
    assert ended["status"] == "completed"
    assert ended["result"]["message"]["content"] == answer(PROMPT)
    assert machine.calls[0].hung_up_at is None


def test_who_leaves_while_the_call_still_waits_takes_it_out_of_the_line(narrow, machine):
    with occupied(narrow):
        with leaving(narrow, CHAT):
            narrow.until_status(pending_tasks=1)
        narrow.until_status(pending_tasks=0, cancelled_tasks=1)
    assert len(machine.calls) == 1


# -- waiting in line


def test_who_asks_for_it_sees_its_place_in_line(narrow, asynchronous):
    with ExitStack() as busy:
        busy.enter_context(occupied(narrow))
        headers = {"X-OQ-Progress": "true"}
        with ollama_client(narrow.url, asynchronous=asynchronous, headers=headers) as client:
            chunks = client.chat("m", MESSAGES, stream=True)
            first = next(chunks)
            busy.close()
            rest = list(chunks)
    assert (first.message.role, first.message.content, first.done) == ("assistant", "", False)
    assert "".join(chunk.message.content for chunk in rest) == answer(PROMPT)
    assert rest[-1].done


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions"])
def test_the_place_in_line_is_said_in_whole_chunks(narrow, path):
    body = {**CHAT, "prompt": PROMPT, "stream": True}
    with occupied(narrow):
        caller = Caller(narrow, path, body, X_OQ_Progress="true")
        narrow.until_next(PROMPT)
    data = [line.removeprefix("data: ") for line in caller.answer.text.splitlines() if line]
    first = json.loads(data[0])
    assert first["queue_position"] == 1
    assert data[-1] == "[DONE]" or json.loads(data[-1])["done"]


def test_who_does_not_ask_gets_the_models_bytes_and_no_others(narrow):
    with occupied(narrow):
        plain = Caller(narrow, body=CHAT)
        narrow.until_status(pending_tasks=1)
    straight = httpx.post(f"{narrow.machine.url}/api/chat", json=CHAT, trust_env=False)
    assert plain.answer.content == straight.content


# -- backpressure


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_full_queue_says_when_to_come_back(narrow, dialect):
    path, words, status = DIALECTS[dialect]
    with occupied(narrow):
        waiting = []
        for number in range(2):
            # One by one: while its sync is under way, a task may count twice, and take two places.
            waiting.append(Caller(narrow, body=spoken(f"{number}")))
            narrow.until_status(pending_tasks=number + 1)
        refused = narrow.http.post(path, json=CHAT)
        assert refused.status_code == status
        assert int(refused.headers["retry-after"]) >= 1
        assert words(refused.json())
        if dialect == "ollama":
            with (
                ollama_client(narrow.url, asynchronous=False) as client,
                pytest.raises(ollama.ResponseError) as caught,
            ):
                client.chat("m", MESSAGES)
            assert caught.value.status_code == 503
        else:
            with (
                openai_client(narrow.url, asynchronous=False) as client,
                pytest.raises(openai.RateLimitError),
            ):
                client.chat.completions.create(**CHAT)
    assert [caller.answer.status_code for caller in waiting] == [200, 200]


def test_a_failure_before_the_first_byte_is_tried_again(machine, tmp_path):
    retries = {"max_retries": 2, "initial_delay": "10ms", "jitter": False}
    with through_oq(machine, tmp_path, retry_config=retries) as way:
        machine.push(status=503, error="busy")
        machine.push(status=503, error="busy")
        assert way.http.post("/api/chat", json=spoken("x")).status_code == 200
        assert len(machine.calls) == 3
        machine.simulator.calls.clear()
        machine.push(fault="error", at=2, rate=5, error="no memory")
        lines = way.http.post("/api/chat", json=CHAT).text.splitlines()
        assert "no memory" in json.loads(lines[-1])["error"]
        assert len(machine.calls) == 1, "what has been said cannot be said again"


def test_a_client_does_not_repeat_what_oq_has_repeated(machine, tmp_path):
    """OpenAI's does so twice by itself, for each status that oq has tried again already."""
    machine.simulator.default = Script(status=500)
    retries = {"max_retries": 2, "initial_delay": "10ms", "jitter": False}
    with (
        through_oq(machine, tmp_path, retry_config=retries) as way,
        openai_client(way.url, asynchronous=False, max_retries=2) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert len(machine.calls) == 3
