"""Callers of calls: those who leave, come back, wait in line, and must not be let in."""

from __future__ import annotations

import contextlib

import httpx
import pytest
import structlog
import trio

from oq.backends.simulated import Script, Simulator
from oq.http.gateway import calls
from oq.queue.callers import Callers
from oq.store import MemoryEngine
from oq.words.errors import Conflict
from oq.words.events import EventType
from tests.support.gateway import CHAT, GENERATE, QUICK, Site, said, site

HANGING = {**CHAT, "options": {"simulate": {"fault": "hang", "at": 2, "text": "one two three"}}}
BODIES = [
    pytest.param("/api/chat", HANGING, id="stream"),
    pytest.param("/api/chat", {**HANGING, "stream": False}, id="whole"),
    pytest.param(
        "/v1/chat/completions",
        {**CHAT, "stream": True, "simulate": HANGING["options"]["simulate"]},
        id="events",
    ),
    pytest.param(
        "/v1/completions", {**GENERATE, "simulate": HANGING["options"]["simulate"]}, id="completion"
    ),
]


@contextlib.asynccontextmanager
async def calling(here: Site, path: str, body, **headers: str):
    """A call under way, in the background; leaving the block hangs up."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    async def call() -> None:
        with contextlib.suppress(httpx.TransportError):
            async with here.oq.stream("POST", path, json=body, headers=names) as answer:
                async for _ in answer.aiter_bytes():
                    pass

    async with trio.open_nursery() as nursery:
        with here.queue.subscribe(types={EventType.TASK_STARTED}) as events:
            nursery.start_soon(call)
            started = await anext(events)
        yield started[0].task_id
        nursery.cancel_scope.cancel()


async def first_part(answer: httpx.Response) -> bytes:
    """What comes first of a stream, which then is left."""
    with trio.CancelScope() as scope:
        async for part in answer.aiter_bytes():
            first = part
            scope.cancel()
    return first


async def asked(here: Site):
    """The last call that the backend got, once its caller has left. oq itself only looks (GET)."""
    last = [call for call in here.simulator.calls if call.method == "POST"][-1]
    with trio.fail_after(5):
        await last.hung_up.wait()
    return last


@pytest.mark.parametrize(("path", "body"), BODIES)
async def test_hanging_up_stops_the_model(path, body):
    async with site() as here:
        async with calling(here, path, body) as task_id:
            pass
        assert (await asked(here)).path == path
        assert (await here.queue.raw.get(task_id, wait=5)).status == "cancelled"


async def test_hanging_up_while_it_waits_takes_it_out_of_the_queue():
    async with site() as here:
        await here.queue.pause()
        with here.queue.subscribe(types={EventType.TASK_CANCELLED}) as events:
            with pytest.raises(httpx.ReadTimeout):
                await here.oq.post("/api/chat", json=CHAT, timeout=0.2)
            with trio.fail_after(5):
                [cancelled] = await anext(events)
        assert (await here.queue.raw.get(cancelled.task_id)).status == "cancelled"
        assert not here.bodies("/api/chat")


async def test_a_detached_call_goes_on_without_its_caller():
    async with site() as here:
        body = {**CHAT, "options": {"simulate": {"text": "one two three", "rate": 20}}}
        async with calling(here, "/api/chat", body, X_OQ_Detach="true") as task_id:
            pass
        task = await here.queue.raw.get(task_id, wait=5)
        assert task.status == "completed"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_who_comes_with_the_same_key_joins_in(path, stream):
    body = {**CHAT, "stream": stream}
    async with site() as here:
        here.simulator.push(Script(text="one two three four", rate=20))
        answers: list[httpx.Response] = []

        async def call() -> None:
            answers.append(await here.oq.post(path, json=body, headers={"Idempotency-Key": "k"}))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(call)
        await call()  # of a task that has ended
        assert len({answer.content for answer in answers}) == 1
        assert len({answer.headers["X-OQ-Task-ID"] for answer in answers}) == 1
        assert len(here.bodies(path)) == 1


async def test_five_callers_that_lose_patience_make_one_call(clock):
    path = "/api/chat"
    async with site() as here:
        here.simulator.push(Script(text="one two three", delay=9))  # longer than all five wait
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                await here.oq.post(
                    "/api/chat", json=CHAT, headers={"Idempotency-Key": "k"}, timeout=1
                )
        answer = await here.oq.post("/api/chat", json=CHAT, headers={"Idempotency-Key": "k"})
        assert said(answer.content)[-1]["done"] is True
        assert len(here.bodies(path)) == 1
        assert (await here.task(answer))["status"] == "completed"


async def test_a_call_with_a_key_waits_for_its_caller_only_for_a_while():
    async with site(gateway={"reconnect_grace": "50ms"}) as here:
        body = {**HANGING, "stream": False}
        async with calling(here, "/api/chat", body, Idempotency_Key="k") as task_id:
            pass
        await asked(here)
        assert (await here.queue.raw.get(task_id, wait=5)).status == "cancelled"
        answer = await here.oq.post("/api/chat", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 409
        assert answer.json() == {"error": f"task {task_id} was cancelled"}


async def test_it_is_not_stopped_while_another_caller_listens():
    async with site() as here:
        body = {**CHAT, "options": {"simulate": {"text": "one two three four", "rate": 20}}}
        async with trio.open_nursery() as nursery:
            answers: list[httpx.Response] = []

            async def join() -> None:
                headers = {"Idempotency-Key": "k"}
                answers.append(await here.oq.post("/api/chat", json=body, headers=headers))

            async with calling(here, "/api/chat", body, Idempotency_Key="k") as task_id:
                nursery.start_soon(join)
        assert answers[0].headers["X-OQ-Task-ID"] == task_id
        assert said(answers[0].content)[-1]["done"] is True


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/api/chat", lambda error: error),
        ("/v1/chat/completions", lambda error: error["message"]),
    ],
)
async def test_a_key_stands_for_one_body(path, shape):
    async with site() as here:
        headers = {"Idempotency-Key": "k"}
        await here.oq.post(path, json=CHAT, headers=headers)
        answer = await here.oq.post(path, json={**CHAT, "x": 1}, headers=headers)
        assert answer.status_code == 409
        assert "'k'" in shape(answer.json()["error"])
        if path.startswith("/v1"):
            assert answer.headers["x-should-retry"] == "false"


async def test_the_same_error_for_who_comes_back():
    path = "/api/chat"
    async with site(Simulator(models={"m"})) as here:
        body = {**CHAT, "model": "unknown"}
        answers = [
            await here.oq.post("/api/chat", json=body, headers={"Idempotency-Key": "k"})
            for _ in range(2)
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content
        assert len(here.bodies(path)) == 1


async def test_who_comes_back_after_a_restart_gets_the_answer():
    engine = MemoryEngine()
    headers = {"Idempotency-Key": "k"}
    async with site(engine=engine) as here:
        before = await here.oq.post("/api/chat", json=CHAT, headers=headers)
    async with site(engine=engine) as here:
        after = await here.oq.post("/api/chat", json=CHAT, headers=headers)
        assert after.content == before.content
        assert not here.bodies("/api/chat")


async def test_a_waiting_caller_that_asks_is_told_its_place():
    async with site() as here:
        await here.queue.pause()
        await here.oq.post(
            "/api/tasks",
            json={"type": "generate", "model": "m", "priority": 15, "payload": {"prompt": "x"}},
        )
        for path, body in (
            ("/api/chat", CHAT),
            ("/api/generate", GENERATE),
            ("/v1/chat/completions", {**CHAT, "stream": True}),
            ("/v1/completions", {**GENERATE, "stream": True}),
        ):
            headers = {"X-OQ-Progress": "true"}
            async with here.oq.stream("POST", path, json=body, headers=headers) as answer:
                assert answer.headers["X-OQ-Queue-Position"] == "2"
                first = said(await first_part(answer))
                assert [chunk["queue_position"] for chunk in first] == [2]
                assert first[0]["model"] == "m"
                if path == "/api/chat":
                    assert first[0]["message"] == {"role": "assistant", "content": ""}
                    assert first[0]["done"] is False


async def test_a_waiting_caller_is_told_when_it_starts_and_may_limit_that():
    async with site(queue={"max_workers": 1, "drain_timeout": "10ms"}) as here:
        for _ in range(20):
            assert (await here.oq.post("/api/chat", json=CHAT)).status_code == 200
        task = {
            "type": "generate", "model": "m", "priority": "critical", "payload": {"prompt": "x"}
        }  # fmt: skip
        hangs = {**task, "options": {"simulate": {"fault": "hang"}}}
        with here.queue.subscribe(types={EventType.TASK_STARTED}) as events:
            await here.oq.post("/api/tasks", json=hangs)
            await anext(events)
        await here.oq.post("/api/tasks/batch", json=[task] * 200)
        headers = {"X-OQ-Progress": "true", "X-OQ-Max-Wait": "1h"}
        async with here.oq.stream("POST", "/api/chat", json=CHAT, headers=headers) as answer:
            assert float(answer.headers["X-OQ-ETA"].split(";")[0]) > 0
            (first,) = said(await first_part(answer))
            assert first["queue_position"] == 201
            assert first["eta"]["starts"]["p10"] <= first["eta"]["ends"]["p90"]
        for path in ("/api/chat", "/v1/chat/completions"):
            refused = await here.oq.post(path, json=CHAT, headers={"X-OQ-Max-Wait": "1ms"})
            assert refused.status_code == 503
            assert "X-OQ-Max-Wait" in refused.text
            assert int(refused.headers["Retry-After"]) >= 1


async def test_who_was_told_its_place_gets_its_answer_too():
    async with site() as here:
        await here.queue.pause()
        headers = {"X-OQ-Progress": "true"}
        async with here.oq.stream("POST", "/api/chat", json=CHAT, headers=headers) as answer:
            parts = answer.aiter_bytes()
            chunks = said(await anext(parts))
            await here.queue.resume()
            async for part in parts:
                chunks += said(part)
        direct = await here.direct.post("/api/chat", json=CHAT)
        told = [chunk for chunk in chunks if "queue_position" in chunk]
        assert told
        rest = [chunk for chunk in chunks if "queue_position" not in chunk]
        assert [c["message"] for c in rest] == [c["message"] for c in said(direct.content)]


async def test_nobody_else_is_told_anything_before_the_answer():
    async with site() as here:
        await here.queue.pause()
        with pytest.raises(httpx.ReadTimeout):
            await here.oq.post("/api/chat", json=CHAT, timeout=0.2)


async def test_a_full_queue():
    async with site(queue={"max_pending": 1}) as here:
        await here.queue.pause()
        async with trio.open_nursery() as nursery:
            with here.queue.subscribe(types={EventType.TASK_SUBMITTED}) as events:
                nursery.start_soon(_ignored, here)
                await anext(events)
            ollama = await here.oq.post("/api/chat", json=CHAT)
            assert ollama.status_code == 503
            assert ollama.json() == {
                "error": "server busy, please try again.  maximum pending requests exceeded"
            }
            openai = await here.oq.post("/v1/chat/completions", json=CHAT)
            assert openai.status_code == 429
            assert openai.json()["error"]["type"] == "rate_limit_error"
            for answer in (ollama, openai):
                assert 1 <= int(answer.headers["Retry-After"]) <= 60
            nursery.cancel_scope.cancel()


async def _ignored(here: Site) -> None:
    await here.oq.post("/api/chat", json=CHAT)


async def test_priorities():
    async with site(
        gateway={
            "listen": [{"port": 0, "priority": "low"}],
            "priorities": [{"path": "/api/embed", "priority": 3}],
        }
    ) as here:
        embed = {"model": "m", "input": "a"}
        [port] = here.app.gateway.listening
        low = f"http://127.0.0.1:{port}"
        for path, body, headers, priority in (
            ("/api/chat", CHAT, {}, 10),
            ("/api/chat", CHAT, {"X-OQ-Priority": "critical"}, 15),
            ("/api/chat", CHAT, {"X-OQ-Priority": "42"}, 42),
            ("/api/embed", embed, {}, 3),
            (f"{low}/api/chat", CHAT, {}, 1),
            (f"{low}/api/embed", embed, {}, 1),
            (f"{low}/api/embed", embed, {"X-OQ-Priority": "5"}, 5),
        ):
            answer = await here.oq.post(path, json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            assert (await here.task(answer))["priority"] == priority


@pytest.mark.parametrize(
    ("header", "value"),
    [("X-OQ-Priority", "urgent"), ("X-OQ-Timeout", "soon"), ("X-OQ-Timeout", "0"),
     ("X-OQ-Detach", "perhaps"), ("X-OQ-Progress", "2"), ("Idempotency-Key", "")],
)  # fmt: skip
async def test_a_wrong_header_is_named(header, value):
    async with site() as here:
        answer = await here.oq.post("/api/chat", json=CHAT, headers={header: value})
        assert answer.status_code == 400
        assert header.removeprefix("X-OQ-").lower() in answer.json()["error"].lower()


async def test_a_call_has_the_timeout_that_it_asks_for():
    async with site(retry_config={**QUICK, "max_retries": 0}) as here:
        here.simulator.push(Script(fault="hang"))
        headers = {"X-OQ-Timeout": "100ms"}
        answer = await here.oq.post("/api/chat", json=CHAT, headers=headers)
        assert answer.status_code == 504
        assert "no answer within 100ms (X-OQ-Timeout)" in answer.json()["error"]
        assert (await here.task(answer))["timeout"] == 0.1


async def test_a_body_over_the_limit():
    async with site(queue={"max_payload": 2000}) as here:
        for path in ("/api/chat", "/v1/chat/completions", "/api/show"):
            answer = await here.oq.post(path, content=b" " * 3000)
            assert answer.status_code == 413
            assert "queue.max_payload" in answer.text


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_is_told_when_the_server_closes_and_the_task_is_kept(stream):
    engine = MemoryEngine()
    async with site(engine=engine, queue={"drain_timeout": 0}) as here:
        await here.queue.pause()
        async with trio.open_nursery() as nursery:
            answers: list[httpx.Response] = []

            async def call() -> None:
                body = {**CHAT, "stream": stream}
                answers.append(await here.oq.post("/api/chat", json=body))

            with here.queue.subscribe(types={EventType.TASK_SUBMITTED}) as events:
                nursery.start_soon(call)
                [submitted] = await anext(events)
            await here.queue.drain()
            here.app.context.close()
        assert answers[0].status_code == 503
        assert submitted.task_id in answers[0].json()["error"]
        assert (await here.queue.raw.get(submitted.task_id)).status == "pending"


async def test_a_caller_is_told_when_its_call_does_not_get_to_the_disk(monkeypatch):
    async def never(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(calls, "STORE_TIMEOUT", 0.05)
    async with site() as here:
        with monkeypatch.context() as slow:
            slow.setattr(here.queue.calls, "accept", never)
            answer = await here.oq.post("/api/chat", json=CHAT)
        assert answer.status_code == 503
        assert answer.json()["error"] == "not on disk after 0.05 s; try again later"
        here.simulator.push(Script(text="one two", rate=5))  # takes longer than that
        answer = await here.oq.post("/api/chat", json={**CHAT, "stream": False})
        assert answer.status_code == 200


async def test_an_interactive_call_overtakes_what_has_a_lower_priority():
    async with site(queue={"max_workers": 1}) as here:
        task = {"type": "generate", "model": "slow", "priority": 1, "payload": {"prompt": "x"}}
        here.simulator.push(Script(text="one two three four", rate=20))
        await here.oq.post("/api/tasks/batch", json=[task] * 1000)
        with trio.fail_after(5):
            await here.oq.post("/api/chat", json={**CHAT, "model": "mine"})
        models = [call.model for call in here.simulator.calls if call.method == "POST"]
        assert models.index("mine") <= 2
        await here.queue.pause()


async def test_nothing_is_said_to_be_cancelled_that_has_ended():
    async def cancel(task_id: str) -> None:
        raise Conflict(f"task {task_id} is completed already")

    with structlog.testing.capture_logs() as lines:
        async with trio.open_nursery() as hands:
            with Callers(hands, cancel).attend("t", detach=False, grace=0):
                pass
    assert not lines


@pytest.mark.parametrize("others", [["served"], ["left"], ["served", "left"], ["left", "served"]])
async def test_a_caller_who_comes_back_and_goes_again_at_once_ends_nothing(others, autojump_clock):
    """The one that waits for him has not had its turn by then."""
    cancelled: list[str] = []

    async def cancel(task_id: str) -> None:
        cancelled.append(task_id)

    async with trio.open_nursery() as hands:
        callers = Callers(hands, cancel)
        with callers.attend("t", detach=False, grace=5):
            pass
        await trio.sleep(1)
        for other in others:
            with callers.attend("t", detach=False, grace=5) as caller:
                caller.served = other == "served"
        await trio.sleep(1)
        with callers.attend("t", detach=False, grace=5) as caller:
            await trio.sleep(100)
            assert not cancelled, "somebody waits for it"
            caller.served = True
    assert not cancelled
    assert not callers._calls
