"""What salvage makes of tasks of which something cannot be read."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from oq.rules import lifecycle
from oq.rules.slices import OpenLog
from oq.rules.stream_log import PORTION
from oq.store import MemoryEngine, Store, keys
from oq.store.salvage_reader import HELD, SalvageReader
from oq.store.salvaged_log import SalvagedLog
from oq.words.errors import StoreCorrupt
from oq.words.steps import Change, Learnt, Removal, Step
from oq.words.task import Status
from tests.support.builders import NOW, finish, new, start, task_id

KEY = keys.pack(task_id(1))


class Torn(MemoryEngine):
    """In each of these families no row can be read in the middle: from neither end past it."""

    def __init__(self) -> None:
        super().__init__()
        self.torn: dict[str, bytes] = {}

    def scan(self, family, low, high, *, reverse=False):
        torn = self.torn.get(family)
        for key, value in super().scan(family, low, high, reverse=reverse):
            if torn is not None and (key <= torn if reverse else key >= torn):
                raise StoreCorrupt(f"a block of {family}")
            yield key, value


def kept(*steps: Step) -> Torn:
    """A store with these steps, each in a commit of its own."""
    engine = Torn()
    store = Store(engine)
    for step in steps:
        store.write([step], 0)
    return engine


def a_life() -> list[Change]:
    submitted = new(1)
    started = start(submitted.state)
    return [submitted, started, finish(started.state)]


def read(engine: MemoryEngine) -> tuple[SalvageReader, list[Change]]:
    reader = SalvageReader(engine, SalvagedLog(), NOW)
    return reader, list(reader.tasks())


def test_a_task_that_has_ended_at_no_time_is_lost():
    engine = kept(*a_life())
    state = replace(Store(engine).known(task_id(1)), completed_at=None)
    engine.write([("state", KEY, msgspec.msgpack.encode(state))])
    reader, tasks = read(engine)
    assert (tasks, [one.what for one in reader.lost]) == ([], ["its record is damaged"])


def test_what_was_found_changed_of_a_task_that_is_lost_is_not_reported():
    """It is in the list of the lost alone."""
    submitted, started, ended = a_life()
    engine = kept(submitted, started)
    body = ("body", KEY, None)
    engine.write([("status", keys.status_key(Status.FAILED, KEY), b""), body])
    reader, tasks = read(engine)
    assert (tasks, reader.changed) == ([], [])
    assert [one.task_id for one in reader.lost] == [ended.state.id]


def test_a_task_that_ran_is_held_back_when_fewer_ran_in_the_end():
    engine = kept(*a_life()[:2])
    meta = msgspec.msgpack.decode(engine.get("meta", keys.META_KEY), type=keys.Meta)
    meta.counts[Status.RUNNING] = 0
    engine.write([("meta", keys.META_KEY, msgspec.msgpack.encode(meta))])
    _, (task,) = read(engine)
    assert (task.state.status, task.state.error) == (Status.FAILED, HELD)


def test_without_the_stores_own_record_a_task_that_ran_is_not_held_back():
    engine = kept(*a_life()[:2])
    engine.write([("meta", keys.META_KEY, None)])
    _, (task,) = read(engine)
    assert task.state.status is Status.RUNNING


@pytest.mark.parametrize("record", [None, b"\xc1"])
def test_of_a_stream_in_slices_nothing_is_kept_if_one_is_gone(record):
    submitted, started, ended = a_life()
    log = OpenLog(7, call="/v1/chat/completions")
    for _ in range(3):
        log.add(b"x" * PORTION)
    engine = kept(submitted, started, replace(ended, stream=log.records()))
    _, (task,) = read(engine)
    assert task.stream is not None
    engine.write([("stream", keys.slice_key(KEY, 1), record)])
    reader, (task,) = read(engine)
    assert (task.stream, task.result) == (None, ended.result)
    assert reader.unreadable == (set() if record is None else {"a record of the family stream"})


def test_ids_of_removed_tasks_are_read_from_both_sides_of_a_damaged_block():
    steps: list[Step] = []
    for number in range(1, 6):
        ended = lifecycle.cancelled(new(number).state, NOW)
        steps += [new(number), ended, Removal(ended.state, NOW)]
    engine = kept(*steps)
    engine.torn["meta"] = keys.gone_key(keys.pack(task_id(3)))
    reader, _ = read(engine)
    assert {key[-1] for key in reader.untied()} == {1, 2, 4, 5}
    assert reader.unreadable == {"a block of meta"}


def test_what_was_learnt_is_kept_as_far_as_it_can_be_read():
    engine = kept(*(Learnt(name, name.encode()) for name in "abcde"))
    assert {key[1:] for key in read(engine)[0].untied()} == {b"a", b"b", b"c", b"d", b"e"}
    engine.torn["meta"] = keys.learnt_key("c")
    reader, _ = read(engine)
    assert {key[1:] for key in reader.untied()} == {b"a", b"b", b"d", b"e"}
    assert reader.unreadable == {"a block of meta"}
    assert Store(engine).learnt() == {"a": b"a", "b": b"b"}, "a start does not stop at it"
