"""A directory of an older format becomes one of today's when it is opened, whatever happens."""

from __future__ import annotations

from importlib import metadata

import msgspec
import pytest

from oq.rules import lifecycle
from oq.rules.filters import TaskFilter
from oq.store import MemoryEngine, Store, keys, migration
from oq.store.keys import META_KEY, Meta
from oq.words.errors import StoreCorrupt, StoreError
from oq.words.outcome import Failed
from oq.words.steps import Change, Removal
from oq.words.task import TaskState
from tests.support.builders import NOW, at, checked, finish, new, start, task_id
from tests.support.format_one import place_one, state_one, wind_back, wind_back_meta
from tests.support.stores import assert_consistent, everything

BUSY = Failed("busy", retryable=True)


def put(store: Store, *changes: Change) -> TaskState:
    for change in changes:
        store.write([change], 0)
    return changes[-1].state


def fill(store: Store) -> dict[str, TaskState]:
    """Tasks in each state, with every term; all of them."""
    put(store, new(1, priority=9, timeout="5m", max_retries=7, metadata=msgspec.Raw(b'{"a":1}')))
    put(store, new(2, run_at=at(60), key="delayed", model="llama3.2:1b"))
    running = put(store, new(3, key="running"))
    put(store, start(running))
    retrying = put(store, start(put(store, new(4))))
    put(store, finish(retrying, BUSY))
    done = put(store, start(put(store, new(5, run_at=at(-5)))))
    put(store, finish(done))
    put(store, lifecycle.cancelled(put(store, new(6, run_at=at(9))), NOW))
    failed = put(store, start(put(store, new(7))))
    put(store, finish(failed, Failed("no such model", retryable=False)))
    awaited = put(store, lifecycle.submitted(checked(), task_id(8), NOW, awaited=True))
    put(store, finish(put(store, start(awaited))))
    gone = put(store, lifecycle.cancelled(put(store, new(9)), NOW))
    store.write([Removal(gone, retired=NOW)], 0)
    return {state.id: state for state in store.newest(TaskFilter())}


def meta_of(engine) -> Meta:
    return msgspec.msgpack.decode(engine.get("meta", META_KEY), type=Meta)


def as_format_one_has_it(state: TaskState) -> TaskState:
    """What is left of a task's terms: its `run_at` only until the task started or ended."""
    run_at = state.run_at if state.retry_count == 0 else None
    return msgspec.structs.replace(state, terms=msgspec.structs.replace(state.terms, run_at=run_at))


def test_tasks_in_every_state_are_as_they_were(shelf):
    store = shelf.store()
    before = {task: as_format_one_has_it(state) for task, state in fill(store).items()}
    wind_back(shelf.engine)
    again = shelf.reopen(store)
    assert {state.id: state for state in again.newest(TaskFilter())} == before
    assert_consistent(again, shelf.engine)
    assert (meta_of(shelf.engine).format, meta_of(shelf.engine).migrating) == (2, False)
    assert meta_of(shelf.engine).oq


def test_a_store_of_todays_format_is_opened_without_a_write(shelf):
    store = shelf.store()
    fill(store)
    assert shelf.reopen(store).facts.commit == store.facts.commit


class Cut(Exception):
    """The process ends here."""


class CutEngine(MemoryEngine):
    """Ends the process at a given call that writes or syncs."""

    left = -1

    def write(self, batch):
        self._go_on()
        super().write(batch)

    def sync(self, commit):
        self._go_on()

    def _go_on(self):
        if self.left == 0:
            raise Cut
        self.left -= 1


def test_a_migration_goes_on_wherever_it_was_broken_off(monkeypatch):
    monkeypatch.setattr(migration, "BATCH", 2)
    for call in range(100):
        engine = CutEngine()
        before = {task: as_format_one_has_it(state) for task, state in fill(Store(engine)).items()}
        wind_back(engine)
        engine.left = call
        try:
            Store(engine)
        except Cut:
            engine.left = -1
            formats = meta_of(engine).format, meta_of(engine).migrating
            assert formats == ((1, False) if call == 0 else (2, True)) or call >= 9
            whole = Store(engine)
            assert {state.id: state for state in whole.newest(TaskFilter())} == before
            assert_consistent(whole, engine)
        else:
            break
    assert call == 12  # a batch is written and synced: at the start, of each two tasks, at the end


def test_a_record_that_cannot_be_read_stays_as_damaged_as_it_was(shelf):
    store = shelf.store()
    fill(store)
    wind_back(shelf.engine)
    key = keys.pack(task_id(2))
    shelf.engine.write([("state", key, b"\xc1 damaged")])
    again = shelf.reopen(store)
    assert again.state(task_id(2)).damaged
    assert not again.state(task_id(1)).damaged
    assert shelf.engine.get("state", key) == b"\xc1 damaged"
    assert [task.task_id for task in again.pending()] == [task_id(1), task_id(2), task_id(4)]


class TornEngine(MemoryEngine):
    """A block of the states cannot be read: neither by scanning nor one by one."""

    torn = b""

    def get(self, family, key):
        if self.torn and (family, key) == ("state", self.torn):
            raise StoreCorrupt("a block is damaged")
        return super().get(family, key)

    def scan(self, family, low, high, *, reverse=False):
        for key, value in super().scan(family, low, high, reverse=reverse):
            if self.torn and (family, key) == ("state", self.torn):
                raise StoreCorrupt("a block is damaged")
            yield key, value


@pytest.mark.parametrize("number", [1, 4, 7])
def test_the_tasks_behind_a_damaged_block_are_migrated_too(number, monkeypatch):
    monkeypatch.setattr(migration, "BATCH", 2)
    engine = TornEngine()
    before = fill(Store(engine))
    wind_back(engine)
    engine.torn = keys.pack(task_id(number))
    store = Store(engine)
    for task, state in before.items():
        found = store.state(task)
        assert found.damaged is (task == task_id(number))
        assert found.damaged or found == as_format_one_has_it(state)


def test_a_store_of_a_newer_format_says_which_oq_is_needed(shelf):
    store = shelf.store()
    fill(store)
    newer = {"format": 99, "oq": "7.1.0", "commit": {"another": "shape"}}
    shelf.engine.write([("meta", META_KEY, msgspec.msgpack.encode(newer))])
    with pytest.raises(StoreError, match=r"has format 99.* up to 2: use oq 7\.1\.0 or a later one"):
        shelf.store()
    shelf.engine.write([("meta", META_KEY, msgspec.msgpack.encode(Meta(format=3)))])
    with pytest.raises(StoreError, match="the version of oq that wrote it"):
        shelf.store()


def test_an_oq_that_was_not_installed_names_no_version(monkeypatch):
    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    assert migration._version.__wrapped__() == ""


def test_format_one_stays_what_it_was():
    """What these tests wind back to has no terms and no model in the index."""
    state = finish(start(new(1, key="k", timeout=5).state).state, BUSY).state
    record = msgspec.msgpack.decode(state_one(state))
    assert (record["model"], record["priority"], record["idempotency_key"]) == ("smollm2", 5, "k")
    assert "terms" not in record
    assert msgspec.msgpack.decode(place_one(state), type=list)[0] == 5


def test_only_what_has_another_shape_is_written_anew(shelf):
    store = shelf.store()
    fill(store)
    wind_back(shelf.engine)
    families = ("body", "result", "stream", "ended", "keys")
    before = {family: everything(shelf.engine, family) for family in families}
    shelf.reopen(store)
    assert {family: everything(shelf.engine, family) for family in families} == before


def test_a_migrated_store_of_no_tasks_is_one_of_todays_format(shelf):
    store = shelf.store()
    task = put(store, lifecycle.cancelled(put(store, new(1)), NOW))
    wind_back_meta(shelf.engine)
    again = shelf.reopen(store)
    assert again.state(task.id) == task
    assert meta_of(shelf.engine).format == 2
