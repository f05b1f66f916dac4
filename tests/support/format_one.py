"""A store as an oq that wrote format 1 would have left it."""

from __future__ import annotations

from typing import Any

import msgspec

from oq.rules.place import place_of
from oq.store import keys
from oq.store.engine import Engine
from oq.store.keys import Meta
from oq.words.task import Status, TaskState
from tests.support.stores import everything


def state_one(state: TaskState) -> bytes:
    """The record of format 1: the terms stand among the other fields."""
    fields = {name: getattr(state, name) for name in TaskState.__struct_fields__}
    flat: dict[str, Any] = fields | msgspec.structs.asdict(fields.pop("terms"))
    return msgspec.msgpack.encode({**flat, "run_at": state.run_at})


def place_one(state: TaskState) -> bytes:
    """The line of the index of pending tasks, without the model."""
    place = place_of(state)
    return msgspec.msgpack.encode([place.priority, place.run_at, place.retrying, place.delay])


def wind_back(engine: Engine) -> None:
    """Make a store of today's format one of format 1."""
    pending = keys.status_prefix(Status.PENDING)
    states = {
        key: msgspec.msgpack.decode(value, type=TaskState)
        for key, value in everything(engine, "state").items()
    }
    engine.write([("state", key, state_one(state)) for key, state in states.items()])
    engine.write(
        [
            ("status", name, place_one(states[name[1:]]))
            for name in everything(engine, "status")
            if name[:1] == pending
        ]
    )
    wind_back_meta(engine)


def wind_back_meta(engine: Engine) -> None:
    record = engine.get("meta", keys.META_KEY)
    assert record is not None
    meta = msgspec.msgpack.decode(record, type=Meta)
    one = msgspec.structs.asdict(meta) | {"format": 1, "commit": meta.commit + 1}
    del one["oq"], one["migrating"]
    engine.write([("meta", keys.META_KEY, msgspec.msgpack.encode(one))])
