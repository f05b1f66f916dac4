"""Write the directory `64a4862.tar.xz` and `64a4862.json.xz`, what its tasks are.

Run it with the code of that commit, and with nothing of today's:

    git worktree add ../oq-64a4862 64a4862
    PYTHONPATH=../oq-64a4862 python tests/ledger/directories/write_64a4862.py

A thousand tasks in all states, written by that oq's own store in two lives: the first is closed, so
that it is in table files, and the second is killed, so that it is in the log. Then that oq opens a
copy and reads every task; what it reads is the JSON.
"""

from __future__ import annotations

import json
import lzma
import random
import shutil
import tarfile
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw
from oq.rules.pieces import StreamLog, attempt_id, piece_of

from oq.queue.admission import fingerprint
from oq.rules import lifecycle
from oq.rules.filters import TaskFilter
from oq.rules.retry import RetryPolicy
from oq.rules.validation import Checked, Limits, check
from oq.store import Store, open_store
from oq.words.messages import Change, Removal, SetPaused
from oq.words.outcome import Completed, Failed, Interrupted, Refusal
from oq.words.task import Body, Status, Submission, TaskState, Usage, show

HERE = Path(__file__).parent
NAME = "64a4862"
TASKS, IN_FIRST_LIFE = 1000, 700
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(max_payload=1 << 20, max_metadata=4096, max_batch=100, max_retries=3)
POLICY = RetryPolicy(initial_delay=1, max_delay=30, backoff_factor=2, jitter=False)
BUSY = Failed("ollama: 503: server busy", retryable=True)
GONE = Failed(
    "ollama: 404: model 'nope' not found", retryable=False,
    refusal=Refusal(404, b'{"error":"model \'nope\' not found"}'),
)  # fmt: skip
REMOVED = 17
"""Every so many ended tasks one is removed again."""


class Writer:
    """A thousand lives, drawn from one seed."""

    def __init__(self) -> None:
        self.chance = random.Random(64)
        self.now = NOW

    def tick(self) -> datetime:
        self.now += timedelta(milliseconds=self.chance.randint(1, 2500))
        return self.now

    def live(self, store: Store, number: int) -> None:
        change = self.submitted(number)
        lives = (
            self.stays, self.runs, self.completes, self.fails, self.is_cancelled, self.retries,
            self.is_requeued, self.dies, self.is_interrupted, self.completes_late,
        )  # fmt: skip
        steps = [change, *lives[number % len(lives)](change.state, number)]
        for step in steps:
            store.write([step], store.event_seq + 1)
        last = steps[-1].state
        if last.status.ended and number % REMOVED == 0:
            store.write([Removal(last)], store.event_seq)

    def submitted(self, number: int) -> Change:
        checked = self.checked(number)
        mark = None if checked.idempotency_key is None else fingerprint(checked)
        milliseconds = int(self.tick().timestamp() * 1000)
        digits = f"{milliseconds:012x}7{number:03x}8{self.chance.getrandbits(60):015x}"
        name = "-".join(
            (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        )  # a UUID of version 7
        return lifecycle.submitted(checked, name, self.now, mark)

    def checked(self, number: int) -> Checked:
        chance = self.chance
        more: dict[str, Any] = {}
        if number % 3 == 0:
            more["metadata"] = Raw(json.dumps({"n": number, "who": "Zoë"}).encode())
        if number % 4 == 0:
            more["idempotency_key"] = f"key {number}"
        if number % 5 == 0:
            more["run_at"] = self.now + timedelta(hours=chance.choice((-1, 1, 24 * 365 * 20)))
        if number % 6 == 0:
            more["timeout"] = chance.choice(("5m", 0.25, 90))
        if number % 7 == 0:
            more["options"] = Raw(b'{"temperature": 0, "seed": 7}')
        kind, payload = asked(number)
        task = check(
            Submission(
                type=kind, model=chance.choice(("llama3.2:1b", "smollm2", "größe/модель:7b")),
                payload=Raw(json.dumps(payload).encode()),
                priority=chance.choice((0, "low", "normal", "high", "critical", 42, 100)),
                max_retries=chance.choice((0, 1, 3, 1000)), **more,
            ),
            LIMITS,
        )  # fmt: skip
        if number % 11:
            return task
        call = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false}'
        return msgspec.structs.replace(task, body=Body(call, call="/v1/chat/completions"))

    def start(self, state: TaskState) -> Change:
        return lifecycle.started(state, self.chance.choice(("big", "small")), self.tick())

    def end(self, state: TaskState, outcome: Any) -> Change:
        return lifecycle.finished(state, outcome, self.tick(), POLICY, lambda: 1.0)

    def stays(self, state: TaskState, number: int) -> list[Change]:
        return []

    def runs(self, state: TaskState, number: int) -> list[Change]:
        return [self.start(state)]

    def completes(self, state: TaskState, number: int) -> list[Change]:
        start = self.start(state)
        result = json.dumps({"response": f"Because of {number}.", "done": True}).encode()
        end = self.end(start.state, Completed(result, Usage(11, number)))
        return [start, msgspec.structs.replace(end, stream=self.log(end.state, number))]

    def fails(self, state: TaskState, number: int) -> list[Change]:
        start = self.start(state)
        end = self.end(start.state, GONE)
        if number % 3 == 0:
            end = msgspec.structs.replace(end, stream=self.log(end.state, number))
        return [start, end]

    def is_cancelled(self, state: TaskState, number: int) -> list[Change]:
        if number % 4:
            return [lifecycle.cancelled(state, self.tick())]
        start = self.start(state)
        return [start, lifecycle.cancelled(start.state, self.tick())]

    def retries(self, state: TaskState, number: int) -> list[Change]:
        start = self.start(state)
        return [start, self.end(start.state, BUSY)]

    def is_requeued(self, state: TaskState, number: int) -> list[Change]:
        failed = self.fails(state, number)
        return [*failed, lifecycle.requeued(failed[-1].state)]

    def dies(self, state: TaskState, number: int) -> list[Change]:
        start = self.start(state)
        return [start, lifecycle.died(start.state, self.tick())]

    def is_interrupted(self, state: TaskState, number: int) -> list[Change]:
        start = self.start(state)
        broken = Interrupted("oq was shut down while this attempt ran")
        return [start, self.end(start.state, broken)]

    def completes_late(self, state: TaskState, number: int) -> list[Change]:
        first = self.retries(state, number)
        last = first[-1].state
        return first if last.status.ended else [*first, *self.completes(last, number)]

    def log(self, state: TaskState, number: int) -> bytes:
        attempt = attempt_id(state.attempts[-1].started_at)
        if number % 11 == 0:
            frames = [b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n', b"data: [DONE]\n\n"]
            return msgspec.msgpack.encode(StreamLog(attempt, [], frames))
        chunks = (
            json.dumps({"response": f" {word}", "done": False}).encode()
            for word in ("Because", "of", str(number), "«blå»")
        )
        return msgspec.msgpack.encode(StreamLog(attempt, [piece_of(chunk) for chunk in chunks]))


def asked(number: int) -> tuple[str, dict[str, Any]]:
    """Each kind of task, and its payload."""
    text = f"{number}: why is the sky blue?"
    if number % 8 == 1:
        return "chat", {"messages": [{"role": "user", "content": text}]}
    if number % 13 == 0:
        return "embed", {"input": [text, "and green?"]}
    return "generate", {"prompt": text}


def described(store: Store, state: TaskState) -> dict[str, Any]:
    """All that this oq reads of a task."""
    body, result = store.body(state.id), None
    if state.status is Status.COMPLETED:
        result = store.result(state.id)
    claim = store.claim(state.idempotency_key) if state.idempotency_key else None
    log = store.stream(state.id)
    refused = store.refusal(state.id) if state.status is Status.FAILED else None
    made: dict[str, Any] = msgspec.to_builtins(
        {
            "task": msgspec.json.decode(msgspec.json.encode(show(state, body, result))),
            "call": body and body.call,
            "deaths": state.deaths,
            "key": state.idempotency_key,
            "claim": claim and [claim.task_id, claim.fingerprint.hex()],
            "refusal": refused and [refused.status, refused.body.decode()],
            "attempt": log and log.attempt,
            "pieces": log and log.pieces,
            "frames": log and [frame.decode() for frame in log.frames],
        }
    )
    return made


def whole(store: Store) -> dict[str, Any]:
    """All that this oq reads of a store."""
    states = list(store.oldest(TaskFilter()))
    return msgspec.to_builtins(
        {
            "tasks": [described(store, state) for state in states],
            "counts": {status.value: store.count(status) for status in Status},
            "last_id": store.last_id,
            "event_seq": store.event_seq,
            "paused": store.paused,
            "pending": [
                [one.task_id, one.place.priority, one.place.run_at, one.place.retrying]
                for one in store.pending()
            ],
            "running": [state.id for state in store.running()],
            "ended": [state.id for _, state in store.oldest_ended(TASKS)],
        }
    )


def main() -> None:
    writer = Writer()
    with tempfile.TemporaryDirectory() as scratch:
        data, left = Path(scratch, "data"), Path(scratch, NAME)
        store = open_store(str(data))
        for number in range(IN_FIRST_LIFE):
            writer.live(store, number)
        store.close()
        store = open_store(str(data))
        for number in range(IN_FIRST_LIFE, TASKS):
            writer.live(store, number)
        store.write([SetPaused(True)], store.event_seq)
        store.sync()
        shutil.copytree(data, left, ignore=shutil.ignore_patterns("LOG*", "LOCK", "holder"))
        store.close()
        with tarfile.open(HERE / f"{NAME}.tar.xz", "w:xz") as archive:
            archive.add(left, NAME)
        copy = open_store(str(left))
        text = json.dumps(whole(copy), ensure_ascii=False, separators=(",", ":"))
        copy.close()
    (HERE / f"{NAME}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main()
