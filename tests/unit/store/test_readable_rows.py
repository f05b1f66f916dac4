"""What of an index cannot be read is stepped over, and nothing else."""

from __future__ import annotations

import random

import pytest
from msgspec import msgpack
from msgspec.structs import replace

from oq.store import MemoryEngine, Store, keys
from oq.store.readable_rows import ended_rows, gone_rows
from oq.words.errors import StoreCorrupt
from oq.words.steps import Removal
from oq.words.task import Status
from tests.support.builders import at, finish, new, start, task_id
from tests.support.stores import assert_consistent, everything


class Blocks(MemoryEngine):
    """Its rows lie in blocks of five; those of `damaged` cannot be read."""

    damaged: frozenset[int] = frozenset()

    def scan(self, family, low, high, *, reverse=False):
        places = {key: place // 5 for place, key in enumerate(self._families[family])}
        for key, value in super().scan(family, low, high, reverse=reverse):
            if places[key] in self.damaged:
                raise StoreCorrupt("block checksum mismatch")
            yield key, value

    def readable(self, rows: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        return [row for place, row in enumerate(rows.items()) if place // 5 not in self.damaged]


def filled(count: int, draw: random.Random) -> tuple[Blocks, Store]:
    """Ended tasks, many of which have ended at the same time."""
    engine = Blocks()
    store = Store(engine)
    for number in range(1, count + 1):
        store.write([new(number)], number)
        store.write([start(store.state(task_id(number)))], number)
        ended = at(draw.choice([7, 8, 8, draw.random() * 1e6]))
        store.write([finish(store.state(task_id(number)), now=ended)], number)
    return engine, store


@pytest.mark.parametrize("seed", range(20))
def test_of_two_indexes_each_row_is_read_whose_block_can_be(seed):
    draw = random.Random(seed)
    engine, store = filled(60, draw)
    for number in range(1, 41):
        store.write([Removal(store.state(task_id(number)), at(number))], 1)
    ended = everything(engine, "ended")
    gone = {key: row for key, row in everything(engine, "meta").items() if keys.is_gone_key(key)}
    first = draw.randrange(8)
    engine.damaged = frozenset(range(first, draw.randint(first, 8)))
    assert list(ended_rows(engine)) == engine.readable(ended)
    assert list(gone_rows(engine)) == engine.readable(gone)
    begin = draw.choice([*ended])
    left = [row for row in engine.readable(ended) if row[0] >= begin]
    assert list(ended_rows(engine, begin)) == left


@pytest.mark.parametrize("seed", range(20))
def test_of_an_index_that_is_damaged_in_several_places_the_ends_are_read_at_least(seed):
    draw = random.Random(seed)
    engine, _ = filled(60, draw)
    ended = everything(engine, "ended")
    engine.damaged = frozenset(draw.sample(range(12), 4))
    found, readable = list(ended_rows(engine)), engine.readable(ended)
    assert found == [row for row in readable if row in found]
    before, behind = 5 * min(engine.damaged), 5 * (11 - max(engine.damaged))
    assert found[:before] == readable[:before]
    assert not behind or found[-behind:] == readable[-behind:]


def test_what_an_earlier_version_has_counted_wrongly_is_counted_anew():
    engine, store = filled(3, random.Random(1))
    submitted = new(4)
    awaited = replace(submitted, state=replace(submitted.state, awaited=True))
    store.write([awaited, finish(start(awaited.state).state)], 1)
    store.write([Removal(store.state(task_id(1)), at(1))], 1)
    wrong = replace(store.facts, unread=-2, gone=9, recounted=False)
    engine.write([("meta", keys.META_KEY, msgpack.encode(wrong))])
    store = Store(engine)
    assert (store.facts.unread, store.facts.gone) == (1, 1)
    assert store.facts.counts[Status.COMPLETED] == 3
    store.write([new(5)], 2)
    assert Store(engine).facts.recounted
    assert_consistent(Store(engine), engine)
