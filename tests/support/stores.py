"""Stores for tests: over each engine, and opened again over what they left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oq.rules.place import place_of
from oq.store import MemoryEngine, Store, keys
from oq.store.engine import Engine
from oq.store.rocks import RocksEngine
from oq.store.salvage_reader import SalvageReader
from oq.store.salvaged_log import SalvagedLog
from oq.words.task import Status
from tests.support.builders import NOW


class Shelf:
    """Where a store is kept. `engine` is the open one."""

    def __init__(self, open_engine: Callable[[], Engine]) -> None:
        self._open_engine = open_engine
        self.engine = open_engine()

    def store(self) -> Store:
        return Store(self.engine)

    def reopen(self, store: Store) -> Store:
        """Close the store, and open it again from what is on disk."""
        store.close()
        self.engine = self._open_engine()
        return Store(self.engine)


def memory_shelf() -> Shelf:
    kept = MemoryEngine()
    return Shelf(lambda: kept)


def rocks_shelf(path: Path) -> Shelf:
    return Shelf(lambda: RocksEngine(path))


def everything(engine: Engine, family: str) -> dict[bytes, bytes]:
    """All pairs of a family."""
    return dict(engine.scan(family, b"", b"\xff" * 300))


def assert_consistent(store: Store, engine: Engine) -> None:
    """Every index and every count says exactly what the tasks' own records say, and what the store
    remembers is what it would read.
    """
    written = Store(engine)
    ids = {key: keys.unpack(key) for key in everything(engine, "state")}
    states = {key: written.state(task_id) for key, task_id in ids.items()}
    assert states == {key: store.state(task_id) for key, task_id in ids.items()}
    assert all(written.body(task_id) == store.body(task_id) for task_id in ids.values())
    for status in Status:
        assert store.facts.counts[status] == sum(
            state.status is status for state in states.values()
        )
    assert set(everything(engine, "status")) == {
        keys.status_key(state.status, key) for key, state in states.items()
    }
    ended = everything(engine, "ended")
    assert set(ended) == {
        keys.ended_key(state, key) for key, state in states.items() if state.status.ended
    }
    assert store.facts.unread == sum(mark == keys.UNREAD for mark in ended.values())
    assert all(states[key[8:]].awaited for key, mark in ended.items() if mark == keys.UNREAD)
    gone = {key[1:] for key in everything(engine, "meta") if keys.is_gone_key(key)}
    assert store.facts.gone == len(gone)
    assert not gone & states.keys()
    assert set(everything(engine, "body")) == set(states)
    in_state = {
        status: {key for key, state in states.items() if state.status is status}
        for status in Status
    }
    results = set(everything(engine, "result"))  # of a failed task there may be a refusal
    assert in_state[Status.COMPLETED] <= results
    assert results <= in_state[Status.COMPLETED] | in_state[Status.FAILED]
    assert {key[:16] for key in everything(engine, "stream")} <= {
        key for key, state in states.items() if state.status.ended or state.status is Status.RUNNING
    }
    assert set(everything(engine, "keys")) == {
        key.encode() for state in states.values() if (key := state.terms.idempotency_key)
    }
    assert [(task.task_id, task.place) for task in store.pending()] == [
        (state.id, place_of(state))
        for _, state in sorted(states.items())
        if state.status is Status.PENDING
    ]
    reader = SalvageReader(engine, SalvagedLog(), NOW)
    tasks = [*reader.tasks()]
    if reader.changed:
        return  # the test has damaged it
    anew = MemoryEngine()
    rebuilt = Store(anew)
    rebuilt.write(tasks, 0)
    assert rebuilt.facts.counts == store.facts.counts
    for family in ("state", "body", "status", "ended", "keys"):
        made = everything(anew, family).keys()
        assert made == everything(engine, family).keys(), f"{family}, made of the tasks alone"
