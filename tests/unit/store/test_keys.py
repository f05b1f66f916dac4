"""Keys: their order on disk is the order that is meant, and nothing is lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules import lifecycle
from oq.rules.place import Place, place_of
from oq.store import keys
from oq.store.keys import Meta
from oq.words.outcome import Failed, Interrupted
from oq.words.task import Status
from tests.support.builders import at, finish, new, start, task_id

IDS = st.uuids().map(str)
ENDS = st.datetimes(datetime(1970, 1, 1), datetime(2500, 1, 1)).map(
    lambda time: time.replace(tzinfo=UTC)
)


@given(IDS)
def test_a_key_gives_its_id_back(made):
    assert keys.unpack(keys.pack(made)) == made
    assert len(keys.pack(made)) == 16


@given(IDS, IDS)
def test_keys_are_in_the_order_of_their_ids(one, other):
    assert (keys.pack(one) < keys.pack(other)) is (one < other)


@given(st.tuples(ENDS, IDS), st.tuples(ENDS, IDS))
def test_ended_tasks_are_in_the_order_of_their_ends_and_then_of_their_ids(one, other):
    def key(end_and_id: tuple[datetime, str]) -> bytes:
        end, made = end_and_id
        state = lifecycle.cancelled(msgspec.structs.replace(new().state, id=made), end).state
        return keys.ended_key(state, keys.pack(made))

    assert (key(one) < key(other)) is (one < other)
    assert key(one)[8:] == keys.pack(one[1])


def test_ends_a_microsecond_apart_are_told_apart():
    states = [lifecycle.cancelled(new().state, at(0) + timedelta(microseconds=n)) for n in (0, 1)]
    first, second = (keys.ended_key(change.state, b"") for change in states)
    assert first < second


def test_a_task_that_has_not_ended_has_no_place_among_the_ended():
    with pytest.raises(AssertionError, match="without an end"):
        keys.ended_key(new().state, b"")


def test_no_status_is_found_under_anothers_prefix():
    assert len({keys.status_prefix(status) for status in Status}) == len(Status)
    for status in Status:
        key = keys.status_key(status, keys.pack(task_id(1)))
        assert key.startswith(keys.status_prefix(status))
        assert keys.unpack(key[1:]) == task_id(1)


def test_a_place_says_all_that_recovery_needs():
    ready = new(priority=7).state
    delayed = new(run_at=at(5)).state
    retrying = finish(start(ready).state, Failed("busy", retryable=True)).state
    assert place_of(ready) == Place(7, "smollm2")
    assert place_of(delayed) == Place(5, "smollm2", at(5))
    assert place_of(retrying) == Place(7, "smollm2", at(1), retrying=True, delay=1.0)


def test_a_task_that_was_put_off_is_tried_again_though_it_spent_no_retry():
    put_off = finish(start(new().state).state, Interrupted("busy", delay=60.0)).state
    assert place_of(put_off) == Place(5, "smollm2", at(60), retrying=True, delay=60.0)
    assert place_of(finish(start(new().state).state, Interrupted("busy")).state) == place_of(
        new().state
    )


def test_a_retry_that_is_due_has_no_delay_left():
    """So has one that waits behind others; and one whose attempts an older oq did not write."""
    retrying = finish(start(new().state).state, Failed("busy", retryable=True)).state
    for fields in ({"run_at": None}, {"attempts": ()}):
        assert place_of(msgspec.structs.replace(retrying, **fields)).delay is None


@given(
    st.integers(0, 100), st.none() | ENDS, st.booleans(), st.none() | st.floats(0, allow_nan=False),
    st.sampled_from(["", "num_ctx=4096,shift=false"]),
)  # fmt: skip
def test_a_place_comes_back_from_disk_as_it_was(priority, run_at, retrying, delay, load):
    place = Place(priority, "llama3.2:1b", run_at, retrying, delay, load)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(place), type=Place) == place


def test_the_stores_own_record_comes_back_from_disk_as_it_was():
    meta = Meta(commit=7, event_seq=9, last_id=task_id(3), paused=True)
    meta.counts[Status.FAILED] = 2
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(meta), type=Meta) == meta


def test_a_new_store_counts_nothing_in_every_state():
    assert Meta().counts == dict.fromkeys(Status, 0)
