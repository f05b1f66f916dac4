"""One flipped bit in a file of a store, and whether anything was lost that nobody is told of."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from oq.rules import lifecycle
from oq.rules.stream_log import StreamLog
from oq.store import Store, open_store
from oq.store.directory import DATABASE, MARK_FILE
from oq.store.report import SalvageReport
from oq.store.salvage import salvage
from oq.words.errors import StoreError
from oq.words.outcome import Failed
from oq.words.steps import Change, Records, Removal, Step
from oq.words.stream import Piece
from oq.words.task import Body, TaskState
from tests.support.builders import DONE, finish, new, start

from . import integrity
from .damage import flip

TASKS_IN_A_LIFE = 50
TABLE_LIVES = 3
"""With the tables that the log becomes, so many that RocksDB begins to compact them, if it may."""
KINDS = ("*.log", "*.sst", "MANIFEST-*", "CURRENT", "OPTIONS-*", "*.json", "IDENTITY", MARK_FILE)

GONE = Failed("unknown model", retryable=False)
BUSY = Failed("busy", retryable=True)


@dataclass(frozen=True)
class Known:
    """A task as it was before the flip."""

    state: TaskState
    body: Body | None
    result: bytes | None
    stream: StreamLog | None


Truth = dict[str, Known]


def lived(path: Path, chance: random.Random) -> tuple[Path, Truth]:
    """The data directory of a store that was killed in its last life, with every kind of task in
    tables and log; and its tasks.
    """
    truth: Truth = {}
    for life in range(TABLE_LIVES + 1):
        store = open_store(str(path / "live"))
        for number in range(life * TASKS_IN_A_LIFE, (life + 1) * TASKS_IN_A_LIFE):
            _live(store, number, chance)
        if life == TABLE_LIVES:
            shutil.copytree(path / "live", path / "data")
            truth = read_all(store)
        store.close()
    return path / "data", truth


def _live(store: Store, number: int, chance: random.Random) -> None:
    """Some steps of a task's life, each committed by itself."""
    state = _commit(store, new(number, key=f"key {number}", prompt="x" * chance.randint(1, 500)))
    if chance.random() < 0.1:
        state = _commit(store, lifecycle.reprioritised(state, chance.randint(0, 100)))
    way = chance.choice(["wait", "wait", "run", "complete", "complete", "fail", "cancel", "retry"])
    if way == "cancel":
        _commit(store, lifecycle.cancelled(state, state.created_at))
    elif way != "wait":
        state = _commit(store, start(state))
        outcome = {"complete": DONE, "fail": GONE, "retry": BUSY}.get(way)
        if outcome is not None:
            step = finish(state, outcome)
            if step.state.status.ended:
                log = StreamLog(1, [Piece(f"word {number}")])
                step = msgspec.structs.replace(step, stream=Records(msgspec.msgpack.encode(log)))
            state = _commit(store, step)
        if state.status.ended and chance.random() < 0.1:
            _commit(store, Removal(state, state.completed_at))


def _commit(store: Store, step: Step) -> TaskState:
    store.write([step], 0)
    store.sync()
    assert isinstance(step, Change | Removal)
    return step.state


def read_all(store: Store) -> Truth:
    """Every task, by every index. AssertionError when these do not agree, StoreError when
    something cannot be read.
    """
    list(store.pending())
    return {
        task_id: Known(state, store.body(task_id), store.result(task_id), store.stream(task_id))
        for task_id, state in integrity.check(store).items()
    }


def look(data: Path) -> Truth:
    """Open the store and read all of it."""
    store = open_store(str(data))
    try:
        return read_all(store)
    finally:
        store.close()


def files(data: Path, kind: str) -> list[Path]:
    where = data if kind == MARK_FILE else data / DATABASE
    return sorted(file for file in where.glob(kind) if file.stat().st_size)


def flip_one(data: Path, kind: str, chance: random.Random) -> str:
    """Flip one bit of one file of that kind; which."""
    file = chance.choice(files(data, kind))
    at, bit = chance.randrange(file.stat().st_size), chance.randrange(8)
    flip(file, at, bit)
    return f"bit {bit} of byte {at} of {file.name}"


def spoil_one(data: Path, kind: str, chance: random.Random) -> str:
    """Change some bytes of one file of that kind, beyond repair; which."""
    file = chance.choice(files(data, kind))
    length = chance.choice([2, 2, 20, 512])
    at = chance.randrange(max(1, file.stat().st_size - length))
    with file.open("r+b") as content:
        content.seek(at)
        found = content.read(length)
        content.seek(at)
        content.write(bytes(byte ^ chance.choice([3, 5, 0x81, 0xFF]) for byte in found))
    return f"{length} bytes from {at} of {file.name}"


@dataclass(frozen=True)
class Verdict:
    """What a flip has done. `untold` are promises that were broken without a word."""

    untold: list[str]
    report: SalvageReport | None = None
    """None when the store opened, and all of it could be read."""


def judge(data: Path, truth: Truth) -> Verdict:
    """Open the store or, when that is refused, salvage it and open it then."""
    report = None
    try:
        found = look(data)
    except StoreError:
        report = salvage(str(data))
        found = look(data)
    return Verdict(list(_untold(truth, found, report)), report)


def _untold(truth: Truth, found: Truth, report: SalvageReport | None) -> Iterator[str]:
    told = {f.task_id for f in (*report.lost, *report.changed)} if report else set()
    missing = [task_id for task_id in truth if task_id not in found and task_id not in told]
    if len(missing) > (report.untraced if report else 0):
        yield f"lost untold: {missing}"
    again = [
        task_id
        for task_id, known in truth.items()
        if known.state.status.ended and task_id in found and not found[task_id].state.status.ended
    ]
    if len(again) > (report.may_run_again if report else 0):
        yield f"runs again: {again}"
    for task_id, known in found.items():
        if task_id not in truth:
            continue  # it had been removed: it comes back, and that is no loss
        before = truth[task_id]
        if report is not None and not report.whole:
            before = replace(before, stream=known.stream)  # nothing says that there was one
            if report.missing_commits and not before.state.status.ended:
                before = replace(before, state=known.state)  # its steps are told by their numbers
        if task_id not in told and task_id not in again and known != before:
            yield f"changed untold: {truth[task_id]} is {known}"
        if not known.state.status.ended and known.body != truth[task_id].body:
            yield f"runs with another body: {task_id}"
    if report is None and found.keys() - truth.keys():
        yield "a removed task is back, though nothing was refused"
