"""Engines: the same order and the same batches in memory and on disk, and what only a disk has."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from oq.backends.simulated import SimulatedBackend
from oq.queue import open_queue
from oq.store import open_store, rocks
from oq.store.memory import MemoryEngine
from oq.store.rocks import MARK_FILE, RocksEngine
from oq.words.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from oq.words.steps import SetPaused
from tests.support.builders import new, task_id
from tests.support.stores import everything

KEYS = st.binary(min_size=1, max_size=3)
PUTS = st.tuples(st.sampled_from(["state", "ended"]), KEYS, st.none() | st.binary(max_size=3))


@pytest.fixture(scope="module", params=["memory", "rocks"])
def engine(request, tmp_path_factory):
    """One engine for all examples, which each empties first."""
    made = (
        MemoryEngine() if request.param == "memory" else RocksEngine(tmp_path_factory.mktemp("e"))
    )
    yield made
    made.close()


@given(
    batches=st.lists(st.lists(PUTS, max_size=8), max_size=4),
    low=st.binary(max_size=3),
    high=st.binary(max_size=3),
)
def test_an_engine_is_a_sorted_dict_for_each_family(engine, batches, low, high):
    families = ("state", "ended")
    engine.write([(name, key, None) for name in families for key in everything(engine, name)])
    model: dict[str, dict[bytes, bytes]] = {name: {} for name in families}
    for batch in batches:
        engine.write(batch)
        for family, key, value in batch:
            if value is None:
                model[family].pop(key, None)
            else:
                model[family][key] = value
    for name in families:
        expected = sorted((k, v) for k, v in model[name].items() if low <= k < high)
        assert list(engine.scan(name, low, high)) == expected
        assert list(engine.scan(name, low, high, reverse=True)) == expected[::-1]
        for key in (low, high):
            assert engine.get(name, key) == model[name].get(key)


# -- on disk


def test_what_was_synced_is_marked(tmp_path):
    with_store = open_store(str(tmp_path))
    for paused in (True, False, True):
        with_store.write([SetPaused(paused)], 0)
    with_store.sync()
    with_store.close()
    engine = RocksEngine(tmp_path)
    assert engine.mark() == 3
    engine.close()


def test_a_store_that_is_older_than_what_was_acknowledged_is_not_opened(tmp_path):
    store = open_store(str(tmp_path))
    store.write([new(1)], 1)
    store.close()
    (tmp_path / MARK_FILE).write_bytes((2).to_bytes(8, "big"))
    with pytest.raises(StoreCorrupt, match="ends at commit 1, but commit 2 was acknowledged"):
        open_store(str(tmp_path))
    (tmp_path / MARK_FILE).unlink()
    open_store(str(tmp_path)).close()


async def test_what_was_read_takes_no_more_memory_than_the_setting_says(tmp_path):
    size = 1 << 20
    engine = RocksEngine(tmp_path)
    drawn = random.Random(7)  # what does not compress
    for family in ("body", "keys"):
        for n in range(64):
            engine.write([(family, bytes([n]), drawn.randbytes(size // 32))])
    engine.close()
    async with open_queue(
        storage_path=tmp_path, read_cache=size, backends=[SimulatedBackend()]
    ) as queue:
        engine = queue._core.ledger.store._engine
        for family in ("body", "keys"):
            assert len(everything(engine, family)) == 64
        for family in engine._families.values():
            assert family.property_int_value("rocksdb.block-cache-capacity") == size
            assert 0 < family.property_int_value("rocksdb.block-cache-usage") <= size


def test_one_process_at_a_time_and_the_other_is_named(tmp_path):
    store = open_store(str(tmp_path))
    with pytest.raises(StoreLocked, match=f"in use by process {os.getpid()}"):
        open_store(str(tmp_path))
    store.close()
    open_store(str(tmp_path)).close()


@pytest.mark.parametrize("wish", ["file", "file/data"])
def test_a_directory_that_cannot_be_is_a_store_error_with_what_to_do(wish, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be used: not a directory.*--data-dir"):
        open_store(str(tmp_path / wish))


@pytest.mark.parametrize("taken", ["high-water", "rocks/LOCK"])
def test_a_directory_in_the_place_of_a_file_is_an_error_and_nothing_stays_open(taken, tmp_path):
    RocksEngine(tmp_path).close()
    (tmp_path / taken).unlink()
    (tmp_path / taken).mkdir()
    with pytest.raises(StoreError, match="directory"):
        RocksEngine(tmp_path)
    (tmp_path / taken).rmdir()
    RocksEngine(tmp_path).close()


def test_one_whose_files_cannot_be_closed_to_others_is_not_left_open(monkeypatch, tmp_path):
    def refuse(directory):
        raise StoreError("not permitted")

    with monkeypatch.context() as strict:
        strict.setattr(rocks, "close_to_others", refuse)
        with pytest.raises(StoreError):
            RocksEngine(tmp_path)
    RocksEngine(tmp_path).close()


def test_a_ledger_that_cannot_be_opened_leaves_its_directory_to_the_next(monkeypatch, tmp_path):
    def refuse(engine):
        raise StoreFull("no space for the migration")

    with monkeypatch.context() as full:
        full.setattr("oq.store.KeyValueLedger", refuse)
        with pytest.raises(StoreFull):
            open_store(str(tmp_path))
    open_store(str(tmp_path)).close()


def test_a_database_that_a_crash_left_half_made_is_made_anew(tmp_path):
    options = Options(raw_mode=True)
    (tmp_path / "rocks").mkdir()
    Rdict(str(tmp_path / "rocks"), options).close()
    store = open_store(str(tmp_path))
    assert store.facts.commit == 0
    store.close()


def test_a_directory_is_made_with_its_parents(tmp_path):
    open_store(str(tmp_path / "a" / "b")).close()
    assert (tmp_path / "a" / "b").is_dir()


@pytest.fixture
def left(tmp_path):
    """What a killed process leaves of fifty acknowledged batches: a copy of its open directory."""
    store = open_store(str(tmp_path / "live"))
    for n in range(1, 51):
        store.write([new(n, prompt="x" * 1000)], n)
        store.sync()
    shutil.copytree(tmp_path / "live", tmp_path / "left")
    store.close()
    return tmp_path / "left"


def only_log(path: Path) -> Path:
    """The write-ahead log that has something in it."""
    (log,) = [log for log in (path / "rocks").glob("*.log") if log.stat().st_size]
    return log


def test_what_was_written_is_there_even_if_nobody_closed_the_store(left):
    store = open_store(str(left))
    assert [task.task_id for task in store.pending()] == [task_id(n) for n in range(1, 51)]
    assert (store.facts.commit, store.facts.event_seq) == (50, 50)
    store.close()


def test_a_torn_tail_of_what_was_not_synced_is_no_damage(left):
    """The power went while a batch was being written: it was not acknowledged."""
    with only_log(left).open("ab") as log:
        log.write(b"\x17" * 20)
    store = open_store(str(left))
    assert store.facts.commit == 50
    store.close()


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_log_is_never_passed_over_in_silence(left, where):
    log = only_log(left)
    damaged = bytearray(log.read_bytes())
    damaged[int(len(damaged) * where)] ^= 0x10
    log.write_bytes(damaged)
    with pytest.raises(StoreCorrupt):
        open_store(str(left))


def test_a_log_that_is_gone_is_not_passed_over_either(left):
    only_log(left).unlink()
    with pytest.raises(StoreCorrupt):
        open_store(str(left))
