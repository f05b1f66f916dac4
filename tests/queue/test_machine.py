"""The whole queue against a dict of tasks: any story of submits, verbs, outcomes, time, restarts,
kills and power cuts that Hypothesis can think of; after each step everything is as it should be.

In memory a crash keeps only what was synced; over RocksDB it goes on with a copy of the open
directory, which is what a killed process leaves.
"""

from __future__ import annotations

import json
import logging
from functools import partial

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    multiple,
    precondition,
    rule,
)
from msgspec import Raw

from oq.words.errors import (
    BackendDown,
    BackendFailure,
    BackendRejected,
    Conflict,
    NotFound,
    QueueFull,
    Unavailable,
)
from oq.words.outcome import Completed
from oq.words.task import Status, Submission
from tests.queue.machine import model as plain
from tests.queue.machine.backend import RESULT
from tests.queue.machine.checks import WatchedQueue, moment
from tests.queue.machine.disk import RocksDisk
from tests.queue.machine.model import ENDED, Known

pytestmark = pytest.mark.slow

TICK = 0.001
PRIORITIES = st.sampled_from([0, 5, 5, 5, 10, 100])
DELAYS = st.sampled_from([None, None, None, -5, 1, 3, 60])
KEYS = st.sampled_from([None, None, "a", "b"])


@pytest.fixture(autouse=True, scope="module")
def quiet():
    """A machine goes through hundreds of crashes: nobody wants to read of each."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class QueueMachine(WatchedQueue):
    """Everything that can happen to a queue, in any order."""

    ids = Bundle("ids")

    # -- submitting

    def task(
        self, priority, delay, max_retries, key=None, *, batched=False
    ) -> tuple[Submission, Known]:
        """A new task, as it is sent and as it will be known."""
        self.count += 1
        run_at = None if delay is None else self.model.now + delay
        known = Known("", f"task {self.count}", priority, max_retries, run_at, key, batched)
        return self.as_sent(known), known

    def named(self, known: Known, task_id: str) -> Known:
        """The task with its id, which is greater than all before, whatever the clock did."""
        assert task_id > self.last_id
        known.id = self.last_id = task_id
        return known

    def as_sent(self, known: Known) -> Submission:
        return Submission(
            type="generate",
            model="m",
            payload=Raw(json.dumps({"prompt": known.prompt}).encode()),
            priority=known.priority,
            max_retries=known.max_retries,
            run_at=None if known.run_at is None else moment(known.run_at),
        )

    @rule(target=ids, priority=PRIORITIES, delay=DELAYS, retries=st.integers(0, 2), key=KEYS)
    def submit(self, priority, delay, retries, key):
        sent, known = self.task(priority, delay, retries, key)
        answer = self.host.ask(self.host.queue.raw.submit, sent, idempotency_key=key)
        if key is not None and self.model.claimed(key):
            assert isinstance(answer, Conflict), (
                "the key belongs to a different task; use another key"
            )
            return multiple()
        if not self.model.has_room(1):
            assert isinstance(answer, QueueFull)
            return multiple()
        assert (answer.status, answer.created) == (Status.PENDING, True)
        if key is not None:
            self.sent[key] = sent, known
        self.model.submit(self.named(known, answer.task_id))
        return known.id

    @rule(key=st.sampled_from(["a", "b"]))
    def submit_again(self, key):
        """The same key and the same task: what it gave before."""
        before = self.model.claimed(key)
        if before is None:
            return
        answer = self.host.ask(self.host.queue.raw.submit, self.sent[key][0], idempotency_key=key)
        assert (answer.task_id, answer.created) == (before.id, False)
        assert answer.status == before.status

    @rule(target=ids, tasks=st.lists(st.tuples(PRIORITIES, DELAYS), max_size=5))
    def submit_many(self, tasks):
        made = [self.task(priority, delay, 1, batched=True) for priority, delay in tasks]
        answer = self.host.ask(self.host.queue.raw.submit_many, [sent for sent, _ in made])
        if not self.model.has_room(len(made)):
            assert isinstance(answer, QueueFull) or not made
            return multiple()
        named = [self.named(known, name) for name, (_, known) in zip(answer, made, strict=True)]
        self.model.submit(*named)
        return multiple(*answer)

    # -- verbs

    def ask_about(self, verb: str, task_id: str, allowed: tuple[str, ...], *args) -> Known | None:
        """Ask; the task, if the verb is one that its state allows and it says so."""
        answer = self.host.ask(getattr(self.host.queue, verb), task_id, *args)
        task = self.model.tasks.get(task_id)
        if task is None:
            assert isinstance(answer, NotFound)
        elif task.status not in allowed:
            assert isinstance(answer, Conflict)
        else:
            assert answer is None
            return task
        return None

    @rule(task_id=ids)
    def cancel(self, task_id):
        self.tick()
        if task := self.ask_about("cancel", task_id, ("pending", "running")):
            self.model.end(task, "cancelled")

    @rule(task_id=ids, priority=PRIORITIES)
    def set_priority(self, task_id, priority):
        if task := self.ask_about("set_priority", task_id, ("pending",), priority):
            task.priority = priority

    @rule(task_id=ids)
    def retry(self, task_id):
        if task := self.ask_about("retry", task_id, ("failed", "cancelled")):
            self.model.requeue(task)

    @rule(task_id=ids)
    def delete(self, task_id):
        if self.ask_about("delete", task_id, ENDED):
            del self.model.tasks[task_id]

    @rule()
    def pause(self):
        assert self.host.ask(self.host.queue.pause) is None
        self.model.paused = True

    @rule()
    def resume(self):
        assert self.host.ask(self.host.queue.resume) is None
        self.model.paused = False
        self.model.dispatch()

    # -- outcomes

    def a_running(self, data) -> Known:
        tasks = sorted(self.model.of("running"), key=lambda task: task.id)
        return data.draw(st.sampled_from(tasks), "running")

    def attempt_ends(self, task: Known, ending) -> None:
        self.tick()
        self.host.settle(partial(self.backend.end, task.prompt, ending))

    anything_runs = precondition(lambda self: self.model.of("running"))

    @anything_runs
    @rule(data=st.data())
    def attempt_succeeds(self, data):
        task = self.a_running(data)
        self.attempt_ends(task, Completed(RESULT))
        self.model.end(task, "completed")

    @anything_runs
    @rule(data=st.data(), retry_after=st.sampled_from([None, None, 5.0]))
    def attempt_fails(self, data, retry_after):
        task = self.a_running(data)
        self.attempt_ends(task, BackendFailure("busy", retry_after=retry_after))
        self.model.fail(task, retry_after or 0.0)

    @anything_runs
    @rule(data=st.data())
    def attempt_is_rejected(self, data):
        task = self.a_running(data)
        self.attempt_ends(task, BackendRejected("unknown model"))
        self.model.end(task, "failed", error=True)

    @anything_runs
    @rule(data=st.data())
    def backend_goes_down(self, data):
        task = self.a_running(data)
        self.backend.up = False
        self.attempt_ends(task, BackendDown("connection refused"))
        self.model.refuse(task)

    @precondition(lambda self: not self.backend.up)
    @rule()
    def backend_comes_back(self):
        self.backend.up = True
        self.pass_time(plain.PROBE_INTERVAL)
        self.model.backend_up = True
        self.model.dispatch()

    # -- time

    def tick(self) -> None:
        """So much that no two ends are at the same time, and so little that nothing is due."""
        self.pass_time(TICK)

    @rule(seconds=st.sampled_from([1, 2, 5, 30, plain.CLEANUP_INTERVAL]))
    def pass_time(self, seconds):
        self.host.pass_time(seconds)
        self.model.pass_time(seconds)

    # Only where nobody can dispute which task ended first, or whether one's time has come.
    @precondition(lambda self: not self.model.keep and not self.model.overdue())
    @rule(seconds=st.sampled_from([1, 1000]))
    def wall_clock_is_set_back(self, seconds):
        self.host.set_back += seconds
        self.model.set_clock_back(seconds)

    # -- restarts

    @rule(in_time=st.booleans())
    def restart(self, in_time):
        """A clean one; what runs ends in time, or does not."""
        self.tick()
        self.host.leave()
        self.model.draining = True
        if running := self.model.of("running"):
            sent, _ = self.task(100, None, 0)
            assert isinstance(self.host.ask(self.host.queue.raw.submit, sent), Unavailable)
            for task in running if in_time else []:
                self.host.settle(partial(self.backend.end, task.prompt, Completed(RESULT)))
                self.model.end(task, "completed")
            if not in_time:
                self.pass_time(plain.DRAIN_TIMEOUT)
                self.model.interrupt()
        self.host.await_end()
        self.reopen()

    @rule()
    def process_is_killed(self):
        self.tick()
        self.host.kill()
        self.model.die()
        self.reopen()

    @precondition(lambda self: self.model.has_room(1))
    @rule(target=ids, before=st.booleans(), priority=PRIORITIES)
    def power_goes_during_a_submit(self, before, priority):
        """Nobody was told that it is stored: it may be there or not, but whole."""
        sent, known = self.task(priority, None, 0)
        self.disk.cut_at_next_sync(before=before)
        self.host.ask_and_cut(self.host.queue.raw.submit, sent)
        self.model.die()
        self.host.open()
        new = [task.id for task in self.listed() if task.id not in self.model.tasks]
        assert len(new) == (not before or self.disk.keeps_unsynced)
        if new:
            self.model.submit(self.named(known, new[0]))
        self.model.open(backend_up=self.backend.up)
        return multiple(*new)

    @anything_runs
    @rule(data=st.data(), before=st.booleans())
    def power_goes_as_an_attempt_ends(self, data, before):
        """Nobody was told that it has ended: it has, or it runs again."""
        task = self.a_running(data)
        self.tick()
        self.disk.cut_at_next_sync(before=before)
        self.host.settle(partial(self.backend.end, task.prompt, Completed(RESULT)))
        self.host.await_end()
        self.backend.started.clear()  # a freed slot does not wait for the disk: the next may have
        self.model.draining = True
        if not before or self.disk.keeps_unsynced:
            self.model.end(task, "completed")
        self.model.die()
        self.reopen()


class TestQueueInMemory(QueueMachine.TestCase):
    settings = settings(stateful_step_count=40)


class OnDisk(QueueMachine):
    make_disk = RocksDisk


class TestQueueOnDisk(OnDisk.TestCase):
    settings = settings(max_examples=12, stateful_step_count=25)
