"""Write the directory `c3d9675.tar.xz` and `c3d9675.json.xz`, what its tasks are.

That commit was the last one of format 1. It has what 64a4862 had not: answers in slices, results in
parts, results that wait to be read, ids of removed tasks, and stores of a simulation. Run it as
`write_64a4862.py` is run, with the code of its own commit.
"""

from __future__ import annotations

import json
import lzma
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from oq.queue.admission import fingerprint
from oq.rules import lifecycle
from oq.rules.filters import TaskFilter
from oq.rules.retry import RetryPolicy
from oq.rules.slices import OpenLog
from oq.rules.stream_log import StreamLog, attempt_id
from oq.rules.validation import Limits, check
from oq.store import Store, open_store
from oq.words.outcome import Completed, Failed, Refusal
from oq.words.steps import IN_PARTS, Ahead, Change, Removal, ResultsRead
from oq.words.task import Body, Status, Submission, TaskState, Usage, show

HERE = Path(__file__).parent
NAME = "c3d9675"
TASKS = 60
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LIMITS = Limits(max_payload=1 << 20, max_metadata=4096, max_batch=100, max_retries=3)
POLICY = RetryPolicy(initial_delay=60, max_delay=600, backoff_factor=2, jitter=False)
FULL = Failed("ollama: 429: full", retryable=True, refusal=Refusal(429, b'{"error":"full"}'))


def at(number: int, seconds: int = 0) -> datetime:
    return NOW + timedelta(minutes=number, seconds=seconds)


def submitted(number: int) -> Change:
    checked = check(
        Submission(
            type="generate", model="smollm2:135m",
            payload=Raw(json.dumps({"prompt": f"{number}: tell me a story"}).encode()),
            priority=number, max_retries=number // 6 % 3, metadata=Raw(b'{"job": "night"}'),
            run_at=at(number, 3600) if number % 6 == 1 else None,
            idempotency_key=f"key {number}" if number % 2 else None,
        ),
        LIMITS,
    )  # fmt: skip
    if number % 7 == 0:
        checked = replace(checked, body=Body(b'{"model":"m"}', call="/api/chat", way="a1 b2"))
    mark = fingerprint(checked) if checked.idempotency_key else None
    name = f"019de000-0000-7000-8000-{number:012x}"
    return lifecycle.submitted(checked, name, at(number), mark, awaited=number % 4 == 0)


def write(store: Store, *steps: Any) -> None:
    for step in steps:
        store.write([step], store.event_seq + 1)
        store.sync()


def live(store: Store, number: int) -> None:
    change = submitted(number)
    write(store, change)
    if number % 6 < 2:  # waits
        return
    start = lifecycle.started(change.state, "big", at(number, 1))
    write(store, start)
    if number % 6 == 2:  # runs, and what it has generated is on disk as far as it was written
        log = story(start.state, number, 3)
        write(store, Ahead(start.state.id, log.ahead(1)))
    elif number % 6 == 3:  # is tried again, or has failed
        write(store, ended(start.state, number, FULL))
    elif number % 6 == 4:
        finish_in_parts(store, start.state, number)
    else:
        result = json.dumps({"response": f"Once upon a {number}.", "done": True}).encode()
        end = ended(start.state, number, Completed(result, Usage(3, number)))
        write(store, replace(end, stream=story(end.state, number, number % 3).records()))


def ended(state: TaskState, number: int, outcome: Any) -> Change:
    return lifecycle.finished(state, outcome, at(number, 20), POLICY, lambda: 1.0)


def finish_in_parts(store: Store, state: TaskState, number: int) -> None:
    """A result so long that its parts are written before the task's end."""
    log = story(state, number, 2)
    result = json.dumps({"response": f"{number} " * 50, "done": True}).encode()
    for begin in range(0, len(result), 100):
        write(store, Ahead(state.id, log.part(result[begin : begin + 100])))
    end = ended(state, number, Completed(IN_PARTS, Usage(5, 50)))
    write(store, replace(end, stream=log.records()))


def story(state: TaskState, number: int, slices: int) -> OpenLog:
    """An answer of about so many slices."""
    log = OpenLog(attempt_id(state.attempts[-1].started_at), verbatim=number % 7 == 0)
    for word in range(slices * 40 + 1):
        log.add(json.dumps({"response": f"{word} " * 700, "done": False}).encode())
    return log


def slices(store: Store, task_id: str) -> Iterator[StreamLog]:
    log = store.stream(task_id, 0)
    while log is not None:
        yield log
        if not log.more:
            return
        following = store.stream(task_id, log.end)
        log = None if following is None or following.first == log.first else following


def described(store: Store, state: TaskState) -> dict[str, Any]:
    """All that this oq reads of a task."""
    body = store.body(state.id)
    result = store.result(state.id) if state.status is Status.COMPLETED else None
    claim = store.claim(state.idempotency_key) if state.idempotency_key else None
    logs = list(slices(store, state.id))
    refused = store.refusal(state.id) if state.status is Status.FAILED else None
    made: dict[str, Any] = msgspec.to_builtins(
        {
            "task": msgspec.json.decode(msgspec.json.encode(show(state, body, result))),
            "call": body and body.call,
            "way": body and body.way,
            "deaths": state.deaths,
            "awaited": state.awaited,
            "key": state.idempotency_key,
            "claim": claim and [claim.task_id, claim.fingerprint.hex()],
            "refusal": refused and [refused.status, refused.body.decode()],
            "attempt": logs[0].attempt if logs else None,
            "pieces": [piece for log in logs for piece in log.pieces] if logs else None,
            "frames": [one.decode() for log in logs for one in log.frames] if logs else None,
            "slices": [log.first for log in logs],
        }
    )
    return made


def whole(store: Store) -> dict[str, Any]:
    """All that this oq reads of a store."""
    made: dict[str, Any] = msgspec.to_builtins(
        {
            "tasks": [described(store, state) for state in store.oldest(TaskFilter())],
            "counts": {status.value: store.count(status) for status in Status},
            "last_id": store.last_id,
            "event_seq": store.event_seq,
            "paused": store.paused,
            "simulated": True,
            "unread": store.unread,
            "pending": [
                [one.task_id, one.place.priority, one.place.run_at, one.place.retrying]
                for one in store.pending()
            ],
            "delays": [one.place.delay for one in store.pending()],
            "running": [state.id for state in store.running()],
            "ended": [one.task_id for one in store.oldest_ended(TASKS)],
            "kept for a reader": [one.unread for one in store.oldest_ended(TASKS)],
            "gone": [[one.task_id, one.at] for one in store.oldest_gone(TASKS)],
        }
    )
    return made


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        data, left = Path(scratch, "data"), Path(scratch, NAME)
        store = open_store(str(data))
        store.enter(simulated=True)
        for number in range(TASKS // 2):
            live(store, number)
        store.close()
        store = open_store(str(data))
        for number in range(TASKS // 2, TASKS):
            live(store, number)
        waiting = TaskFilter(status=frozenset({Status.PENDING}))
        cancelled = list(store.oldest(waiting))[:3]
        write(store, *(lifecycle.cancelled(state, at(TASKS)) for state in cancelled))
        done = [one.task_id for one in store.oldest_ended(TASKS)]
        for task_id in done[:4]:
            state = store.state(task_id)
            assert state is not None
            write(store, Removal(state, retired=at(TASKS + 1)))
        write(store, ResultsRead(frozenset(done[4:7])))
        shutil.copytree(data, left, ignore=shutil.ignore_patterns("LO*", "holder", "in-hand"))
        store.close()
        with tarfile.open(HERE / f"{NAME}.tar.xz", "w:xz") as archive:
            archive.add(left, NAME)
        copy = open_store(str(left))
        text = json.dumps(whole(copy), ensure_ascii=False, separators=(",", ":"))
        copy.close()
    (HERE / f"{NAME}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main()
