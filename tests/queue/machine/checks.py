"""What must be so of the queue after each step of the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from msgspec import UNSET

from oq.rules.filters import TaskFilter
from oq.words.config import Config, to_config
from oq.words.task import RawTask, Status, Submission
from tests.queue.machine import model as plain
from tests.queue.machine.disk import Disk, MemoryDisk
from tests.queue.machine.host import EPOCH, Host
from tests.queue.machine.model import Known, Model


def config(slots: int, keep: int) -> Config:
    return to_config(
        {
            "ollama": {"timeout": "1000h"},
            "queue": {
                "max_workers": slots,
                "max_completed_tasks": keep,
                "max_pending": plain.MAX_PENDING,
                "cleanup_interval": plain.CLEANUP_INTERVAL,
                "drain_timeout": plain.DRAIN_TIMEOUT,
                "probe_interval": plain.PROBE_INTERVAL,
            },
            "retry_config": {
                "initial_delay": plain.FIRST_DELAY,
                "max_delay": plain.LONGEST_DELAY,
                "backoff_factor": plain.FACTOR,
                "jitter": False,
            },
        }
    )


def moment(seconds: float) -> datetime:
    """The wall clock's time, so many seconds after the machine began."""
    return datetime.fromtimestamp(round(EPOCH + seconds, 3), UTC)


def as_expected(model: Model, task: Known, line: list[str]) -> dict[str, object]:
    return {
        "id": task.id,
        "prompt": task.prompt,
        "priority": task.priority,
        "status": task.status,
        "retries": task.retries,
        "attempts": task.attempts,
        "has an error": task.error,
        "has a result": task.status == "completed",
        "due": moment(task.run_at) if task.waits else None,
        "position": line.index(task.id) + 1 if task.id in line else None,
    }


def as_seen(model: Model, task: RawTask) -> dict[str, object]:
    """What a user sees of it; a time that has come is as good as none."""
    known = model.tasks.get(task.id)
    return {
        "id": task.id,
        "prompt": json.loads(bytes(task.payload))["prompt"],
        "priority": task.priority,
        "status": task.status,
        "retries": task.retry_count,
        "attempts": len(task.attempts),
        "has an error": task.error is not None,
        "has a result": task.result is not UNSET,
        "due": task.run_at if known is None or known.waits else None,
        "position": task.queue_position,
    }


class WatchedQueue(RuleBasedStateMachine):
    """`host` has the real queue, `model` what it ought to be."""

    make_disk: Callable[[], Disk] = MemoryDisk

    @initialize(slots=st.integers(1, 3), keep=st.sampled_from([0, 3]))
    def start(self, slots, keep):
        self.disk = self.make_disk()
        self.host = Host(config(slots, keep), self.disk)
        self.backend = self.host.backend
        self.model = Model(slots, keep)
        self.count = 0
        self.sent: dict[str, tuple[Submission, Known]] = {}  # what each key was last used for
        self.last_id, self.last_seq = "", 0
        self.reopen()

    def teardown(self):
        if hasattr(self, "host"):
            self.host.close()
            self.disk.remove()

    def reopen(self) -> None:
        self.host.open()
        self.model.open(backend_up=self.backend.up)

    # -- what must be so after each step

    def listed(self, **conditions) -> list[RawTask]:
        return self.host.ask(self.host.queue.raw.list, TaskFilter(**conditions)).tasks

    @invariant()
    def every_task_is_as_it_should_be(self):
        line = [task.id for task in self.model.in_line()]
        expected = [
            as_expected(self.model, self.model.tasks[task_id], line)
            for task_id in sorted(self.model.tasks, reverse=True)
        ]
        assert [as_seen(self.model, task) for task in self.listed()] == expected

    @invariant()
    def each_state_is_listed_newest_first(self):
        for status in Status:
            found = [task.id for task in self.listed(status=frozenset({status}))]
            assert found == sorted((t.id for t in self.model.of(status.value)), reverse=True)

    @invariant()
    def those_that_ought_to_run_do_and_no_others(self):
        """Strict priority, first come first served, and no slot idle: all in one comparison."""
        assert sorted(self.backend.started) == sorted(self.model.started)
        self.backend.started.clear()
        self.model.started.clear()
        running = self.model.of("running")
        assert sorted(self.backend.running) == sorted(task.prompt for task in running)
        assert len(running) <= self.model.slots

    @invariant()
    def the_status_counts_right(self):
        status = self.host.look(self.host.queue.status)
        model, pending = self.model, self.model.of("pending")
        waiting = [task for task in pending if task.waits]
        assert {
            "pending": status.pending_tasks,
            "running": status.running_tasks,
            "completed": status.completed_tasks,
            "failed": status.failed_tasks,
            "cancelled": status.cancelled_tasks,
        } == {name.value: len(model.of(name.value)) for name in Status}
        assert status.total_tasks == len(model.tasks)
        assert status.workers_active == len(model.of("running"))
        assert status.workers_active + status.workers_idle == model.slots
        assert status.delayed_tasks == len(waiting)
        assert status.retrying_tasks == sum(task.retries > 0 for task in waiting)
        assert status.paused is model.paused
        assert [end.up for end in status.backends] == [model.backend_up]
        priorities = [str(task.priority) for task in pending]
        assert status.queues_by_priority == {p: priorities.count(p) for p in priorities}

    @invariant()
    def event_numbers_never_go_back(self):
        seq = self.host.look(self.host.queue.status).event_seq
        assert seq >= self.last_seq
        self.last_seq = seq
