"""Whether a store agrees with itself: its states, its indexes and its counts."""

from __future__ import annotations

from collections import Counter

import msgspec

from oq.rules import keys
from oq.rules.keys import Meta, Place
from oq.store import Claim
from oq.store.engine import Engine
from oq.words.task import Status, TaskState

EVERYTHING = b"\xff" * 300


def states_of(engine: Engine) -> dict[str, TaskState]:
    """All tasks, by id, the oldest first."""
    decode = msgspec.msgpack.Decoder(TaskState).decode
    rows = engine.scan("state", b"", EVERYTHING)
    return {keys.unpack(key): decode(value) for key, value in rows}


def check(engine: Engine) -> None:
    """AssertionError names what does not agree."""
    states = states_of(engine)
    for task_id, state in states.items():
        assert state.id == task_id
        assert engine.get("body", keys.pack(task_id)) is not None, f"{task_id} has no body"
        result = engine.get("result", keys.pack(task_id))
        assert (result is not None) == (state.status is Status.COMPLETED), f"result of {state}"
    _check_status(engine, states)
    _check_ended(engine, states)
    _check_keys(engine, states)
    _check_meta(engine, states)


def _check_status(engine: Engine, states: dict[str, TaskState]) -> None:
    found = dict(engine.scan("status", b"", EVERYTHING))
    wanted = {
        keys.status_key(state.status, keys.pack(task_id)): _place(state)
        for task_id, state in states.items()
    }
    assert found == wanted, "the status index does not fit the states"


def _place(state: TaskState) -> bytes:
    if state.status is not Status.PENDING:
        return b""
    place: Place = keys.place_of(state)
    return msgspec.msgpack.encode(place)


def _check_ended(engine: Engine, states: dict[str, TaskState]) -> None:
    found = [key for key, _ in engine.scan("ended", b"", EVERYTHING)]
    ended = {task_id: state for task_id, state in states.items() if state.status.ended}
    wanted = sorted(keys.ended_key(state, keys.pack(task_id)) for task_id, state in ended.items())
    assert found == wanted, "the index of ended tasks does not fit the states"


def _check_keys(engine: Engine, states: dict[str, TaskState]) -> None:
    found = {
        key.decode(): msgspec.msgpack.decode(value, type=Claim).task_id
        for key, value in engine.scan("keys", b"", EVERYTHING)
    }
    wanted = {s.idempotency_key: task_id for task_id, s in states.items() if s.idempotency_key}
    assert found == wanted, "the idempotency keys do not fit the states"


def _check_meta(engine: Engine, states: dict[str, TaskState]) -> None:
    value = engine.get("meta", keys.META_KEY)
    meta = Meta() if value is None else msgspec.msgpack.decode(value, type=Meta)
    counts = Counter(state.status for state in states.values())
    assert {s: n for s, n in meta.counts.items() if n} == dict(counts), "the counts are wrong"
    assert all(task_id <= meta.last_id for task_id in states), "last_id is not the last"
