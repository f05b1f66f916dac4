"""Makes the record that is shown for a task whose own record cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oq.store import keys
from oq.store.engine import Engine
from oq.store.readable_rows import ended_rows
from oq.words.task import Attempt, Priority, Status, TaskState, TaskType
from oq.words.terms import Terms

DAMAGED = (
    "the record of this task cannot be read from the disk; delete the task (cancel it first if it"
    " waits), or stop oq and run `oq salvage` on its data directory"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def damaged_task(engine: Engine, key: bytes) -> TaskState | None:
    """The task as the index knows it, marked as damaged; None if the index does not know it.

    It is in the state that the index says, so it is listed, counted and removed as any other. When
    it ended is not looked for: see `ended_key`.
    """
    for status in Status:
        if engine.get("status", keys.status_key(status, key)) is not None:
            return _made(key, status)
    return None


def ended_key(engine: Engine, state: TaskState, key: bytes) -> bytes:
    """The key by which this ended task is in the index of the ended ones."""
    if state.completed_at is not None:
        return keys.ended_key(state, key)
    begin = keys.pack_time(state.created_at)  # it ended after it was submitted
    names = (name for name, _ in ended_rows(engine, begin))
    return next((name for name in names if name[8:] == key), begin + key)


def _made(key: bytes, status: Status) -> TaskState:
    submitted = _EPOCH + timedelta(milliseconds=int.from_bytes(key[:6], "big"))
    return TaskState(
        id=keys.unpack(key),
        type=TaskType.GENERATE,
        terms=Terms(model="", priority=int(Priority.NORMAL), max_retries=0),
        status=status,
        created_at=submitted,
        error=DAMAGED,
        attempts=(Attempt(submitted),) if status is Status.RUNNING else (),
        damaged=True,
    )
