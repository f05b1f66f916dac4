"""Damaged files: refused with what to do, left as they are, and never opened with fewer tasks."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from oq.store import logfile, open_store
from oq.store.directory import DATABASE, MARK_FILE
from oq.words.errors import StoreCorrupt, StoreError

from .crash.chance import seeded
from .crash.damage import (
    TASKS,
    cut,
    flip,
    harm_anything,
    largest_table,
    live,
    manifest,
    read_all,
    snapshot,
    the_log,
)

HARMS_AT_RANDOM = 100


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return live(tmp_path_factory.mktemp("damage"))


@pytest.fixture
def data(healthy, tmp_path):
    return shutil.copytree(healthy, tmp_path / "data")


DAMAGE = {
    "a log cut in the middle": lambda data: cut(the_log(data), 0.5),
    "a log whose end is cut off": lambda data: cut(the_log(data), 0.999),
    "a flipped bit in the middle of the log": lambda data: flip(
        the_log(data), the_log(data).stat().st_size // 2
    ),
    "a flipped bit in the log's last record": lambda data: flip(
        the_log(data), the_log(data).stat().st_size - 10
    ),
    "a log that is gone": lambda data: the_log(data).unlink(),
    "CURRENT is gone": lambda data: (data / DATABASE / "CURRENT").unlink(),
    "the manifest is gone": lambda data: manifest(data).unlink(),
    "a flipped bit in the manifest": lambda data: flip(manifest(data), 100),
    "half a manifest": lambda data: cut(manifest(data), 0.5),
    "a table that is gone": lambda data: largest_table(data).unlink(),
    "half a table": lambda data: cut(largest_table(data), 0.5),
}


def test_without_damage_all_is_there(data):
    assert len(read_all(data)) == TASKS


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_with_what_to_do_and_left_as_it_is(data, damage):
    damage(data)
    before = snapshot(data)
    for _ in range(2):  # a supervisor starts it again
        with pytest.raises(StoreCorrupt, match="keep a copy, then run `oq salvage") as refusal:
            open_store(str(data))
        assert "\n" not in str(refusal.value)
    assert snapshot(data) == before


def test_no_damage_is_passed_over_in_silence(healthy, tmp_path):
    """Whatever happens to a file: the store says so, or has every task."""
    chance = seeded()
    refused = 0
    for number in range(HARMS_AT_RANDOM):
        data = shutil.copytree(healthy, tmp_path / str(number))
        what = harm_anything(data, chance)
        try:
            tasks = read_all(data)
        except StoreError:
            refused += 1
        else:
            assert len(tasks) == TASKS, f"harm {number}: {what}"
        shutil.rmtree(data)
    assert 0 < refused < HARMS_AT_RANDOM


OPEN = "import sys; from oq.store import open_store; open_store(sys.argv[1])"


@pytest.mark.parametrize("kind", sorted(logfile.ENDLESS))
def test_a_record_type_on_which_rocksdb_would_loop_for_ever_is_refused(data, kind):
    """In a child, which can be ended if it does loop. One flipped bit makes a 1 a 5."""
    log = the_log(data)
    length = int.from_bytes(log.read_bytes()[4:6], "little")
    with log.open("r+b") as content:
        content.seek(logfile.HEADER + length + logfile.HEADER - 1)
        content.write(bytes([kind]))
    child = subprocess.run(
        [sys.executable, "-c", OPEN, str(data)], capture_output=True, text=True, timeout=60
    )
    assert "StoreCorrupt" in child.stderr
    assert f"of {log.name} is wrong" in child.stderr


def test_an_older_mark_does_no_harm_and_none_neither(data):
    """It is not synced: after a power cut it may be older than the store."""
    for mark in ((TASKS // 2).to_bytes(8, "big"), b"", None):
        if mark is None:
            (data / MARK_FILE).unlink()
        else:
            (data / MARK_FILE).write_bytes(mark)
        assert len(read_all(data)) == TASKS


def test_damage_that_only_reading_meets_is_named_then(data):
    """A flipped bit among the tasks' own records: the store opens, and what it hits is refused."""
    table = largest_table(data)
    flip(table, 10)
    with pytest.raises(StoreCorrupt, match="damaged"):
        read_all(data)
