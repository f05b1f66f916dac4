"""Status, health, metrics and the first page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from oq.backends.simulated import Simulator
from oq.http.app import create_app
from oq.http.backend_metrics import BackendTimes, backend_gauges
from oq.http.metrics import MAX_MODELS, Metrics
from oq.rules import lifecycle
from oq.words.events import Event, EventType
from oq.words.messages import Committed
from oq.words.outcome import Completed, Failed, Interrupted, Timings
from oq.words.steps import Change
from oq.words.task import Attempt, Status, TaskState, TaskType, Usage
from oq.words.terms import Terms
from oq.words.views import BackendStatus, Slots
from tests.support.builders import at, finish, new, start
from tests.support.http import GENERATE, Api, api, queue_in_memory, settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def samples(oq: Api) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of their names."""
    reply = await oq.get("/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


async def test_status():
    async with api(paused=True) as oq:
        await oq.submit({**GENERATE, "priority": 15})
        await oq.submit({**GENERATE, "run_at": "2099-01-01T00:00:00Z"})
        status = (await oq.get("/api/status")).json
        assert status["pending_tasks"] == status["total_tasks"] == 2
        assert status["queues_by_priority"]["15"] == 1
        assert status["delayed_tasks"] == 1
        assert status["workers_idle"] == 4
        assert status["paused"] is True
        assert status["uptime"] >= 0
        assert status["backends"][0]["name"] == "sim"


async def test_pause_and_resume():
    async with api() as oq:
        assert (await oq.post("/api/queue/pause")).json == {"status": "ok"}
        assert (await oq.get("/api/status")).json["paused"] is True
        task_id = await oq.submit()
        assert (await oq.get(f"/api/tasks/{task_id}")).json["status"] == "pending"
        assert (await oq.post("/api/queue/resume")).json == {"status": "ok"}
        assert (await oq.ended(task_id))["status"] == "completed"


async def test_health_and_readiness(monkeypatch: pytest.MonkeyPatch):
    async with api() as oq:
        assert (await oq.get("/healthz")).json == {"status": "ok"}
        assert (await oq.get("/readyz")).json == {"status": "ok"}
        assert (await oq.get("/readyz?probe=1")).status == 200, "probes send what they like"
        await oq.queue.drain()
        assert (await oq.get("/healthz")).status == 200
        reply = await oq.get("/readyz")
        assert reply.status == 503
        assert "shutting down" in reply.error


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
async def test_the_root_says_what_ollama_says(accept: str):
    async with api() as oq:
        reply = await oq.get("/", Accept=accept)
        assert (reply.status, reply.body) == (200, b"Ollama is running")
        assert reply.headers["Content-Type"].startswith("text/plain")
        assert (await oq.call("HEAD", "/")).status == 200


async def test_metrics():
    async with api(queue={"max_workers": 3}) as oq:
        done = await oq.submit()
        await oq.ended(done)
        await oq.queue.pause()
        waiting = await oq.submit({**GENERATE, "model": "other model", "priority": 15})
        await oq.submit({**GENERATE, "priority": 15})
        await oq.post(f"/api/tasks/{waiting}/cancel")
        shown = await samples(oq)
        for key, value in {
            ("oq_tasks", "pending"): 1,
            ("oq_tasks", "completed"): 1,
            ("oq_tasks", "cancelled"): 1,
            ("oq_queue_depth", "15"): 1,
            ("oq_workers", "idle"): 3,
            ("oq_workers", "active"): 0,
            ("oq_tasks_submitted_total", "m", "generate"): 2,
            ("oq_tasks_submitted_total", "other model", "generate"): 1,
            ("oq_tasks_completed_total", "m", "generate"): 1,
            ("oq_tasks_cancelled_total", "other model", "generate"): 1,
            ("oq_task_wait_seconds_count", "m", "generate"): 1,
            ("oq_task_run_seconds_count", "m", "generate"): 1,
            ("oq_backend_up", "sim"): 1,
            ("oq_paused",): 1,
        }.items():
            assert shown[key] == value, key
        assert shown["oq_tokens_total", "completion", "m"] > 0
        assert shown["oq_tokens_total", "prompt", "m"] > 0
        assert shown["oq_commits_total",] >= 4
        assert shown["process_resident_memory_bytes",] > 0


async def test_metrics_of_failures():
    refused = {**GENERATE, "options": {"simulate": {"status": 400}}}
    broken = {**GENERATE, "options": {"simulate": {"status": 500}}, "max_retries": 1}
    async with api(retry_config={"initial_delay": 0, "max_delay": 0}) as oq:
        await oq.ended(await oq.submit(refused))
        await oq.ended(await oq.submit(broken))
        shown = await samples(oq)
        assert shown["oq_tasks_failed_total", "m", "generate"] == 2
        assert shown["oq_tasks_retried_total", "m", "generate"] == 1
        assert shown["oq_task_run_seconds_count", "m", "generate"] == 3


def test_each_application_has_metrics_of_its_own():
    first, second = Metrics(lambda: pytest.fail("asked")), Metrics(lambda: pytest.fail("asked"))
    assert first.registry is not second.registry


def committed(model: str, **fields: object) -> Committed:
    state = TaskState(
        id="x",
        type=TaskType.CHAT,
        terms=Terms(model=model, priority=5, max_retries=0),
        created_at=NOW,
        **fields,
    )
    before = {
        Status.PENDING: None,
        Status.RUNNING: Status.PENDING,
        Status.COMPLETED: Status.RUNNING,
    }[state.status]
    event = {
        Status.PENDING: EventType.TASK_SUBMITTED,
        Status.RUNNING: EventType.TASK_STARTED,
        Status.COMPLETED: EventType.TASK_COMPLETED,
    }[state.status]
    told = Event(1, state.id, event, state.status, NOW)
    return Committed([Change(state, before, event)], [told], [None], [])


def test_made_up_models_share_a_label():
    metrics = Metrics(lambda: pytest.fail("asked"))
    for index in range(MAX_MODELS + 10):
        metrics.committed(committed(f"m{index}"))
    counts = metrics._counts["submitted"]
    assert len(counts) == MAX_MODELS + 1
    assert counts["chat", "other"] == 10


def test_waiting_is_counted_from_when_it_could_have_run():
    metrics = Metrics(lambda: pytest.fail("asked"))
    due = NOW + timedelta(hours=1)
    metrics.committed(
        committed("m", status=Status.RUNNING, run_at=due, started_at=due + timedelta(seconds=2))
    )
    metrics.committed(committed("m", status=Status.RUNNING, started_at=NOW - timedelta(hours=1)))
    waited = metrics._wait["chat", "m"]
    assert waited.total == 2
    assert dict(waited.cumulated())["1.0"] == 1, "a clock that went back counts as no time"
    assert dict(waited.cumulated())["+Inf"] == 2


def test_running_is_counted_by_attempt_and_tokens_by_kind():
    metrics = Metrics(lambda: pytest.fail("asked"))
    attempts = (
        Attempt(NOW, NOW + timedelta(seconds=50), "failed"),
        Attempt(NOW, NOW + timedelta(seconds=3)),
    )
    begun = (Attempt(NOW, NOW, "failed"), Attempt(NOW))
    metrics.committed(committed("m", status=Status.RUNNING, started_at=NOW, attempts=begun))
    metrics.committed(
        committed("m", status=Status.COMPLETED, attempts=attempts, usage=Usage(7, 11))
    )
    assert metrics._run["chat", "m"].total == 3
    assert metrics._tokens == {("m", "prompt"): 7, ("m", "completion"): 11}


def test_the_steps_of_one_commit_are_added_up():
    metrics = Metrics(lambda: pytest.fail("asked"))
    attempts = (Attempt(NOW, NOW + timedelta(seconds=3)),)
    done = committed("m", status=Status.COMPLETED, attempts=attempts, usage=Usage(7, 11))
    for _ in range(2):
        begun = committed("m", status=Status.RUNNING, started_at=NOW, attempts=(Attempt(NOW),))
        steps, events = [*begun.steps, *done.steps] * 2, [*begun.events, *done.events] * 2
        metrics.committed(Committed(steps, events, [None] * len(events), []))
    assert metrics._counts["completed"] == {("chat", "m"): 4}
    assert metrics._tokens == {("m", "prompt"): 28, ("m", "completion"): 44}
    point = metrics.history.points("15m", NOW)[-1]
    assert (point.completed, point.tokens) == (4, 44)
    assert point.run_p50 == pytest.approx(3, rel=0.05)
    assert point.wait_p50 is not None


class Life:
    """One task's steps, each committed by itself and seen by the metrics."""

    def __init__(self, **fields: object) -> None:
        self.metrics = Metrics(lambda: pytest.fail("asked"))
        self.step(new(**fields), 0)

    def step(self, change: Change, seconds: float) -> None:
        self.state = state = change.state
        assert change.event is not None
        told = Event(1, state.id, change.event, state.status, at(seconds), change.data)
        self.metrics.committed(Committed([change], [told], [None], []))

    def start(self, seconds: float) -> None:
        self.step(start(self.state, at(seconds)), seconds)

    def finish(self, outcome: Completed | Failed | Interrupted, seconds: float) -> None:
        self.step(finish(self.state, outcome, at(seconds)), seconds)

    @property
    def waited(self) -> float:
        return sum(each.total for each in self.metrics._wait.values())

    @property
    def ran(self) -> tuple[int, float]:
        """How many attempts, and for how long in all."""
        found = self.metrics._run.values()
        return sum(sum(each.counts) for each in found), sum(each.total for each in found)

    @property
    def retried(self) -> int:
        return sum(self.metrics._counts["retried"].values())

    def is_forgotten(self) -> bool:
        spans = self.metrics._spans
        return not spans._due and not spans._began


BROKEN = Failed("broken", retryable=True)


def test_a_delay_that_was_asked_for_is_not_waiting():
    life = Life(run_at=at(3600))
    life.step(lifecycle.reprioritised(life.state, 50), 10)
    life.start(3602)
    assert life.waited == 2
    life.finish(Completed(b"{}"), 3610)
    assert life.is_forgotten()


def test_the_pause_before_a_retry_is_not_waiting():
    life = Life()
    life.start(1)
    life.finish(BROKEN, 100)  # due again at 101
    life.start(105)
    assert life.waited == 1 + 4
    assert life.retried == 1
    assert life.ran == (1, 99)


def test_a_retry_by_a_user_is_no_failed_attempt_and_waits_from_then_on():
    life = Life()
    life.start(0)
    life.finish(Failed("no", retryable=False), 50)
    life.step(lifecycle.requeued(life.state), 1000)
    life.start(1003)
    assert life.waited == 3
    assert life.ran == (1, 50)
    assert life.retried == 0


def test_a_backend_that_is_down_ends_no_attempt():
    life = Life()
    life.start(0)
    life.finish(BROKEN, 10)  # due again at 11
    for second in range(20, 25):
        life.start(second)
        life.finish(Interrupted("nobody answers", ran=False), second)
    assert life.ran == (1, 10)
    assert life.retried == 1
    life.start(26)
    assert life.waited == 9 + 4 + 2
    life.finish(Interrupted("a drain"), 30)
    assert life.ran == (2, 14), "this one had begun"
    assert life.retried == 1


def test_what_waited_before_the_restart_counts_from_when_it_was_due():
    life = Life()
    life.start(0)
    life.finish(BROKEN, 100)
    life.metrics = Metrics(lambda: pytest.fail("asked"))
    life.start(103)
    assert life.waited == 2, "the pause before the retry was a second"


def test_a_cancelled_task_is_forgotten():
    life = Life(run_at=at(3600))
    life.step(lifecycle.cancelled(life.state, at(1)), 1)
    assert life.is_forgotten()
    life.step(lifecycle.requeued(life.state), 2)
    life.start(3)
    life.step(lifecycle.cancelled(life.state, at(4)), 4)
    assert life.is_forgotten()
    assert life.ran == (0, 0)


def ended(seconds: float, waited: float | None, load: float | None = None) -> Completed:
    return Completed(b"{}", None, Timings(waited, load, 0.0, seconds))


def test_what_a_task_waited_inside_its_backend_is_no_running():
    life = Life()
    life.start(1)
    life.finish(ended(1.5, 4.5), 7)
    assert life.ran == (1, 1.5)
    assert life.metrics.history.points("15m", at(7))[-1].run_p50 == pytest.approx(1.5, rel=0.05)
    [(labels, waited)] = life.metrics._backends.waited.items()
    assert labels[0] == life.state.attempts[-1].backend
    assert waited.total == 4.5
    assert not life.metrics._backends.loads


def test_a_backend_whose_clock_is_fast_has_run_nothing():
    life = Life()
    life.start(0)
    life.finish(ended(0.0, 4.5), 4)
    assert life.ran == (1, 0)


def test_a_load_counts_once_though_others_waited_beside_it():
    times = BackendTimes()
    for began, load in ((0, 3.0), (1, 2.0), (2.9, 0.02), (3, 0.02), (9, 2.5)):
        times.add(Attempt(at(began), at(20), None, "box", None, None, load), "m")
    [(labels, loads)] = times.loads.items()
    assert labels == ("box", "m")
    assert (sum(loads.counts), loads.total) == (2, 5.5)
    assert not times.waited


async def test_metrics_of_a_backend_that_says_its_times(autojump_clock: trio.testing.MockClock):
    simulator = Simulator(parallel=1, max_models=1, load=2)
    async with queue_in_memory(settings(), simulator) as queue:
        oq = Api(create_app(queue), queue)
        for model in ("b", "c"):
            await oq.ended(await oq.submit({**GENERATE, "model": model}))
        shown = await samples(oq)
    slots = {key[1:] for key in shown if key[0] == "oq_backend_slots"}
    assert ("sim", "c", "measured") in slots
    assert shown["oq_backend_held", "sim"] == 0
    for model in ("b", "c"):
        assert shown["oq_backend_load_seconds_count", "sim", model] == 1
        assert shown["oq_backend_load_seconds_sum", "sim", model] == pytest.approx(2, abs=0.1)
        assert shown["oq_backend_waited_inside_seconds_count", "sim", model] == 1


def test_slots_of_models_without_a_label_are_added_up():
    slots = (
        Slots(2, "measured", "", 0, "a"),
        Slots(1, "measured", "", 0, "b", "num_ctx=4096"),
        Slots(3, "measured", "", 0, "c"),
    )
    box = BackendStatus("box", "ollama", "http://box", up=True, running=0, held="full", slots=slots)
    *_, held, shown = backend_gauges((box,), lambda model: "a" if model == "a" else "other")
    assert held.samples[0].value == 1
    assert {one.labels["model"]: one.value for one in shown.samples} == {"a": 2, "other": 4}
