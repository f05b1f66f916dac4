"""The store, over both engines: what each step of a task's life leaves on disk."""

from __future__ import annotations

import msgspec
import pytest

from oq.rules import lifecycle
from oq.rules.filters import TaskFilter
from oq.rules.place import Place
from oq.rules.slices import OpenLog
from oq.rules.stream_log import PORTION, StreamLog
from oq.store import KeyClaim, MemoryEngine, Parts, Store, Want, keys, looks
from oq.store.keys import FAMILIES, META_KEY, Meta
from oq.words.errors import NotFound, StoreCorrupt, StoreError, StoreFull
from oq.words.outcome import Failed, Interrupted, Refusal
from oq.words.steps import Ahead, Change, InParts, Records, Removal, ResultsRead, SetPaused
from oq.words.stream import Piece
from oq.words.task import Status
from tests.support.builders import DONE, NOW, at, finish, new, start, task_id
from tests.support.stores import everything


def counts(store) -> dict[str, int]:
    return {
        status.value: store.facts.counts[status] for status in Status if store.facts.counts[status]
    }


def put(store, *steps, seq=0):
    """Write the steps as one batch; the last one's task."""
    store.write(steps, seq)
    return steps[-1].state


LOG = StreamLog(7, [Piece("Pa"), Piece("ris"), Piece("", "hm")])


def with_stream(change: Change) -> Change:
    return msgspec.structs.replace(change, stream=Records(msgspec.msgpack.encode(LOG)))


# -- a life


def test_a_new_store_is_empty(store):
    assert counts(store) == {}
    assert (store.facts.commit, store.facts.event_seq, store.facts.paused) == (0, 0, False)
    assert store.state(task_id(1)) is store.body(task_id(1)) is store.result(task_id(1)) is None
    assert list(store.pending()) == store.running() == list(store.oldest_ended(9)) == []


def test_a_submitted_task_waits_with_all_that_was_asked(store):
    change = new(1, priority=9)
    put(store, change)
    assert store.state(task_id(1)) == change.state
    assert store.body(task_id(1)) == change.body
    assert [(task.task_id, task.place) for task in store.pending()] == [
        (task_id(1), Place(9, "smollm2"))
    ]
    assert (counts(store), store.facts.ended) == ({"pending": 1}, 0)


def test_a_started_task_waits_no_more(store):
    state = put(store, start(put(store, new(1))))
    assert store.running() == [state] == [store.state(task_id(1))]
    assert list(store.pending()) == []
    assert counts(store) == {"running": 1}


def test_a_completed_task_has_its_result_byte_for_byte(store):
    put(store, finish(put(store, start(put(store, new(1)))), DONE, at(5)))
    assert store.result(task_id(1)) == DONE.result
    assert [task.task_id for task in store.oldest_ended(9)] == [task_id(1)]
    assert (counts(store), store.facts.ended) == ({"completed": 1}, 1)


def test_what_an_attempt_generated_is_kept_with_its_end(store):
    running = put(store, start(put(store, new(1))))
    assert store.stream(task_id(1)) is None
    put(store, with_stream(finish(running, Failed("no", retryable=False))))
    assert store.stream(task_id(1)) == LOG
    assert store.stream(task_id(2)) is None


def long_stream(number: int) -> Change:
    """The end of an attempt that has generated several slices."""
    log = OpenLog(7, call=None)
    for _ in range(10):
        log.add(b'{"response": "%b"}' % (b"x" * (PORTION // 3)))
    running = start(new(number).state)
    change = finish(running.state, Failed("no", retryable=False))
    return msgspec.structs.replace(change, stream=log.records())


def test_a_long_stream_is_kept_in_slices_and_read_from_any_offset(store, shelf):
    put(store, new(1))
    put(store, start(new(1).state))
    put(store, long_stream(1))
    assert len(everything(shelf.engine, "stream")) == 1 + 5
    for offset in range(10):
        found = store.stream(task_id(1), offset)
        assert found.first <= offset < found.end
        assert len(found) < 5
    assert not store.stream(task_id(1), 2**53).more


def write_long(store, parts: list[bytes]) -> OpenLog:
    """Start the first task, and write its result ahead, and half of what it generates."""
    put(store, new(1))
    put(store, start(new(1).state))
    log = OpenLog(7, call=None)
    for number in range(10):
        log.add(b'{"response": "%d%b"}' % (number, b"x" * (PORTION // 2)))
        if number == 5:
            records = log.ahead(PORTION * 10)
            store.write([Ahead(task_id(1), records)], 0)
            log.note_kept(records)
    for part in parts:
        store.write([Ahead(task_id(1), log.part(part))], 0)
    return log


def test_what_was_written_ahead_is_whole_with_the_end(store, shelf):
    log = write_long(store, [b'{"response":"', b"a" * PORTION, b'"}'])
    running = store.state(task_id(1))
    change = finish(running, DONE)
    put(store, msgspec.structs.replace(change, stream=log.records(), result=InParts()))
    assert store.result(task_id(1)) == b'{"response":"' + b"a" * PORTION + b'"}'
    slices = {store.stream(task_id(1), offset).first for offset in range(10)}
    assert len(slices) > 4
    found = [(number, store.stream(task_id(1), number)) for number in range(10)]
    said = "".join(log.pieces[number - log.first].text[0] for number, log in found)
    assert said == "0123456789"
    store.write([Removal(store.state(task_id(1)))], 0)
    assert everything(shelf.engine, "stream") == everything(shelf.engine, "result") == {}


def test_a_part_of_a_result_that_is_gone_is_told(store, shelf):
    log = write_long(store, [b'{"response":"', b'"}'])
    change = finish(store.state(task_id(1)), DONE)
    put(store, msgspec.structs.replace(change, stream=log.records(), result=InParts()))
    name = next(key for key in everything(shelf.engine, "stream") if key[16:].startswith(b"\x80"))
    shelf.engine.write([("stream", name, None)])
    with pytest.raises(StoreCorrupt, match="a part of the result"):
        store.result(task_id(1))


@pytest.mark.parametrize("how", ["tried again", "interrupted", "died", "failed without a word"])
def test_what_was_written_ahead_goes_with_an_attempt_that_came_to_nothing(store, shelf, how):
    write_long(store, [b"part"])
    running = store.state(task_id(1))
    step = {
        "tried again": lambda: finish(running, Failed("busy", retryable=True)),
        "interrupted": lambda: lifecycle.interrupted(running, Interrupted("a stop"), NOW),
        "died": lambda: lifecycle.died(running, NOW),
        "failed without a word": lambda: finish(running, Failed("no", retryable=False)),
    }[how]()
    assert len(everything(shelf.engine, "stream")) > 3
    put(store, step)
    assert everything(shelf.engine, "stream") == {}


@pytest.mark.parametrize("step", [Removal, lifecycle.requeued])
def test_nothing_of_a_long_stream_stays_behind(store, shelf, step):
    put(store, new(1))
    put(store, start(new(1).state))
    ended = put(store, long_stream(1))
    store.write([step(ended)], 0)
    assert everything(shelf.engine, "stream") == {}


def test_a_retry_waits_with_its_time(store):
    put(store, finish(put(store, start(put(store, new(1)))), Failed("busy", retryable=True)))
    assert [task.place for task in store.pending()] == [
        Place(5, "smollm2", at(1), retrying=True, delay=1.0)
    ]


def test_another_priority_is_in_the_index_too(store):
    put(store, lifecycle.reprioritised(put(store, new(1)), 42))
    assert [task.place.priority for task in store.pending()] == [42]
    assert counts(store) == {"pending": 1}


def test_a_task_that_is_queued_again_is_not_among_the_ended(store):
    ended = put(store, lifecycle.cancelled(put(store, new(1)), at(1)))
    put(store, lifecycle.requeued(ended))
    assert list(store.oldest_ended(9)) == []
    assert counts(store) == {"pending": 1}
    put(store, lifecycle.cancelled(store.state(task_id(1)), at(2)))
    assert [task.ended_at for task in store.oldest_ended(9)] == [at(2)]


def test_a_removed_task_leaves_nothing_behind(store, shelf):
    put(store, with_stream(finish(put(store, start(put(store, new(1, key="order 17")))))))
    store.write([Removal(store.state(task_id(1)))], 0)
    for family in set(FAMILIES) - {"meta"}:
        assert everything(shelf.engine, family) == {}
    assert (counts(store), store.claim("order 17")) == ({}, None)


def test_an_idempotency_key_is_claimed_by_its_task(store):
    put(store, new(1, key="order 17"))
    assert store.claim("order 17") == KeyClaim(task_id(1), b"mark of order 17")
    assert store.claim("order 18") is None


def test_a_death_is_counted_on_disk(store):
    put(store, lifecycle.died(put(store, start(put(store, new(1)))), NOW))
    assert store.state(task_id(1)).deaths == 1
    assert counts(store) == {"pending": 1}


# -- one batch


def test_steps_of_one_task_in_one_batch_are_one(store):
    submitted = new(1, key="k")
    started = start(submitted.state)
    put(store, submitted, started, finish(started.state))
    assert counts(store) == {"completed": 1}
    assert store.body(task_id(1)) == submitted.body
    assert store.result(task_id(1)) == DONE.result
    assert store.claim("k") is not None
    assert store.facts.commit == 1


def test_a_task_that_goes_out_and_comes_back_in_one_batch_is_where_it_was(store):
    waiting = put(store, new(1))
    started = start(waiting)
    put(store, started, finish(started.state, Failed("busy", retryable=True)))
    assert counts(store) == {"pending": 1}
    assert store.running() == []


def test_steps_of_many_tasks_in_one_batch_do_not_mix(store):
    store.write([new(1), new(2), new(3)], 3)
    second = start(store.state(task_id(2)))
    store.write(
        [second, lifecycle.cancelled(store.state(task_id(3)), NOW), finish(second.state)], 6
    )
    assert [store.state(task_id(n)).status for n in (1, 2, 3)] == [
        Status.PENDING,
        Status.COMPLETED,
        Status.CANCELLED,
    ]


def test_the_last_of_several_pauses_counts(store):
    store.write([SetPaused(True), new(1), SetPaused(False), SetPaused(True)], 1)
    assert store.facts.paused is True
    store.write([SetPaused(False)], 1)
    assert store.facts.paused is False


def test_every_batch_has_the_next_number(store):
    numbers = []
    for step in (new(1), SetPaused(True), new(2)):
        store.write([step], 0)
        numbers.append(store.facts.commit)
    assert numbers == [1, 2, 3]


def test_a_key_that_is_freed_and_taken_in_one_commit_is_the_new_tasks(store):
    old = new(1, key="k")
    ended = lifecycle.cancelled(old.state, at(1))
    store.write([old], 0)
    store.write([ended], 0)
    store.write([Removal(ended.state), new(2, key="k")], 0)
    assert store.claim("k").task_id == task_id(2)


def test_a_full_disk_changes_nothing_and_later_nothing_is_missing(store, shelf, monkeypatch):
    waiting = put(store, new(1), seq=1)

    def refuse(batch):
        raise StoreFull("no space left")

    with monkeypatch.context() as full:
        full.setattr(shelf.engine, "write", refuse)
        with pytest.raises(StoreFull):
            store.write([new(2), start(waiting), SetPaused(True)], 9)
    assert counts(store) == {"pending": 1}
    assert (store.facts.commit, store.facts.event_seq, store.facts.paused) == (1, 1, False)
    assert (store.facts.last_id, store.state(task_id(2))) == (task_id(1), None)
    store.write([new(2), start(waiting), SetPaused(True)], 9)
    assert counts(store) == {"pending": 1, "running": 1}
    assert (store.facts.commit, store.facts.event_seq, store.facts.paused) == (2, 9, True)


# -- opening again


def test_all_is_there_after_a_restart(store, shelf):
    put(store, finish(put(store, start(put(store, new(1, key="k"))))))
    put(store, new(2, priority=9, run_at=at(60)))
    put(store, start(put(store, new(3))))
    put(store, SetPaused(True), new(4), seq=17)
    before = {n: store.state(task_id(n)) for n in range(1, 5)}
    again = shelf.reopen(store)
    assert {n: again.state(task_id(n)) for n in range(1, 5)} == before
    assert (again.facts.commit, again.facts.event_seq, again.facts.paused) == (
        store.facts.commit,
        17,
        True,
    )
    assert counts(again) == counts(store)
    assert [task.place for task in again.pending()] == [
        Place(9, "smollm2", at(60)),
        Place(5, "smollm2"),
    ]
    assert again.running() == [before[3]]
    assert (again.result(task_id(1)), again.body(task_id(1))) == (DONE.result, new(1).body)
    assert again.claim("k") == KeyClaim(task_id(1), b"mark of k")
    again.write([new(5)], 18)
    assert (again.facts.commit, again.facts.event_seq) == (store.facts.commit + 1, 18)


def test_the_greatest_id_is_known_even_when_its_task_is_gone(store, shelf):
    put(store, new(9))
    put(store, new(3))
    ended = put(store, lifecycle.cancelled(store.state(task_id(9)), NOW))
    store.write([Removal(ended)], 0)
    assert shelf.reopen(store).facts.last_id == store.facts.last_id == task_id(9)


def test_a_store_of_another_format_is_not_opened(shelf):
    meta = msgspec.msgpack.encode(Meta(format=99))
    shelf.engine.write([("meta", META_KEY, meta)])
    with pytest.raises(StoreError, match="format 99"):
        shelf.store()


def test_a_task_that_only_the_index_names_is_there_and_damaged(shelf):
    store = shelf.store()
    put(store, start(put(store, new(1))))
    ((key, _),) = everything(shelf.engine, "state").items()
    shelf.engine.write([("state", key, None)])
    (found,) = store.running()
    assert (found.id, found.status, found.damaged) == (task_id(1), Status.RUNNING, True)
    assert store.state(task_id(2)) is None


def test_a_damaged_record_that_no_index_has_hides_no_other(shelf):
    store = shelf.store()
    put(store, new(1), new(2), new(3))
    key = keys.pack(task_id(2))
    shelf.engine.write(
        [("state", key, b"\xc1"), ("status", keys.status_key(Status.PENDING, key), None)]
    )
    store = shelf.store()  # one that remembers no task
    for listed in (store.newest, store.oldest):
        others = {state.id for state in listed(TaskFilter())}
        assert others == {task_id(1), task_id(3)}


def test_a_pending_task_that_the_index_lacks_is_missed(shelf):
    store = shelf.store()
    put(store, new(1), new(2))
    key = next(iter(everything(shelf.engine, "status")))
    shelf.engine.write([("status", key, None)])
    with pytest.raises(StoreCorrupt, match="lists 1 pending tasks, but 2 were counted"):
        list(store.pending())


def test_a_store_that_ends_before_its_mark_is_not_opened(monkeypatch):
    engine = MemoryEngine()
    Store(engine).write([new(1)], 0)
    monkeypatch.setattr(engine, "mark", lambda: 5)
    with pytest.raises(StoreCorrupt, match="ends at commit 1, but commit 5 was"):
        Store(engine)


def test_what_is_no_id_is_the_id_of_no_task(store):
    with pytest.raises(NotFound, match="'order 17'"):
        raise store.missing("order 17")


def test_a_refusal_that_cannot_be_read_is_none(shelf):
    store = shelf.store()
    refused = Failed("no", retryable=False, refusal=Refusal(404, b"no"))
    put(store, finish(put(store, start(put(store, new(1)))), refused))
    assert store.refusal(task_id(1)) == refused.refusal
    ((key, _),) = everything(shelf.engine, "result").items()
    shelf.engine.write([("result", key, b"\xc1")])
    assert store.refusal(task_id(1)) is None


def test_a_task_whose_stream_cannot_be_read_can_be_queued_again(shelf):
    store = shelf.store()
    end = finish(put(store, start(put(store, new(1)))), Failed("no", retryable=False))
    ended = put(store, with_stream(end))
    ((key, _),) = everything(shelf.engine, "stream").items()
    shelf.engine.write([("stream", key, b"\xc1")])
    put(store, lifecycle.requeued(ended))
    assert everything(shelf.engine, "stream") == {}


def test_that_a_result_was_read_is_passed_over_where_its_task_cannot_be_read(shelf):
    store = shelf.store()
    put(store, finish(put(store, start(put(store, new(1)))), DONE))
    ((key, _),) = everything(shelf.engine, "state").items()
    shelf.engine.write([("state", key, b"\xc1")])
    store.write([ResultsRead(frozenset({task_id(1)}))], 0)
    assert store.facts.unread == 0


def test_a_text_is_not_looked_for_in_a_body_that_is_gone(shelf):
    store = shelf.store()
    put(store, new(1, prompt="sky"), new(2, prompt="sky"))
    key = next(iter(everything(shelf.engine, "body")))
    shelf.engine.write([("body", key, None)])
    want = Want(Parts.STATE, 9, 9, 9, 99999)
    found = looks.look(shelf.store(), TaskFilter(text="sky"), None, want)
    assert [record.state.id for record in found.records] == [task_id(2)]
