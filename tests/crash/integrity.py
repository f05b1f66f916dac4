"""Whether a store agrees with itself, down to the last index."""

from __future__ import annotations

import msgspec

from oq.rules.place import place_of
from oq.store import KeyClaim, Store, keys
from oq.store.engine import Engine
from oq.store.keys import Meta
from oq.words.task import Status, TaskState
from tests.support.stores import assert_consistent, everything


def states_of(engine: Engine) -> dict[str, TaskState]:
    """All tasks, by id, the oldest first."""
    decode = msgspec.msgpack.Decoder(TaskState).decode
    rows = everything(engine, "state")
    return {keys.unpack(key): decode(value) for key, value in rows.items()}


def check(store: Store) -> dict[str, TaskState]:
    """All tasks. AssertionError names what does not agree."""
    engine = store._engine
    assert_consistent(store, engine)
    states = states_of(engine)
    assert all(state.id == task_id for task_id, state in states.items())
    assert all(task_id <= store.facts.last_id for task_id in states), "last_id is not the last"
    _check_places(engine, states)
    _check_keys(engine, states)
    value = engine.get("meta", keys.META_KEY)
    assert value is None or msgspec.msgpack.decode(value, type=Meta).commit == store.facts.commit
    return states


def _check_places(engine: Engine, states: dict[str, TaskState]) -> None:
    found = everything(engine, "status")
    for task_id, state in states.items():
        pending = state.status is Status.PENDING
        place = msgspec.msgpack.encode(place_of(state)) if pending else b""
        assert found[keys.status_key(state.status, keys.pack(task_id))] == place


def _check_keys(engine: Engine, states: dict[str, TaskState]) -> None:
    found = {
        key.decode(): msgspec.msgpack.decode(value, type=KeyClaim).task_id
        for key, value in everything(engine, "keys").items()
    }
    wanted = {key: id for id, s in states.items() if (key := s.terms.idempotency_key)}
    assert found == wanted, "the idempotency keys do not fit the states"
