"""Damaged files: refused with what to do, left as they are, and never opened with fewer tasks."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oq.store import high_water, logfile, open_store
from oq.store.directory import DATABASE, MARK_FILE, read_mark
from oq.words.errors import StoreCorrupt, StoreError
from tests.crash.chance import seeded
from tests.crash.damage import (
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
SECTOR = 512


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
        with pytest.raises(StoreCorrupt, match="then run `oq salvage") as refusal:
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


TAILS_OF_A_KIND = 8


def random_bytes(log: Path, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice([3, 100, 4096, 40_000]))


def stale_sectors(log: Path, chance: random.Random) -> bytes:
    """What was written long ago, as it stands on the disk: sectors of the same log."""
    content = log.read_bytes()
    first = chance.randrange(len(content) // SECTOR - 8)
    return content[first * SECTOR :][: SECTOR * chance.randint(1, 8)]


def zeroes_and_more(log: Path, chance: random.Random) -> bytes:
    return bytes(chance.randint(1, 9000)) + stale_sectors(log, chance)


def old_batches(log: Path, chance: random.Random) -> bytes:
    """Batches of the same log from a record's begin on: RocksDB takes them for good ones."""
    places = [entry.start for entry in logfile.entries(log)]
    first = chance.randrange(len(places) - 4)
    return log.read_bytes()[places[first] : places[first + chance.randint(1, 3)]]


@pytest.mark.parametrize("tail", [random_bytes, stale_sectors, zeroes_and_more, old_batches])
def test_what_lies_behind_all_that_is_acknowledged_is_never_needed(healthy, tmp_path, tail):
    """A power cut leaves a longer log, with anything in what was not synced: it is cut off."""
    chance = random.Random(6)
    for number in range(TAILS_OF_A_KIND):
        data = shutil.copytree(healthy, tmp_path / str(number))
        garbage = tail(the_log(data), chance)
        with the_log(data).open("ab") as end:
            end.write(garbage)
        assert len(read_all(data)) == TASKS, f"tail {number}"
        shutil.rmtree(data)


def test_a_log_that_cannot_be_read_at_all_beside_other_damage_keeps_the_store_shut(data):
    """Nobody knows then where the tables end, so nothing is cut off."""
    the_log(data).write_bytes(b"sums\0\1" + bytes([5]) + b"x" * 256)
    (data / DATABASE / "CURRENT").write_text("MANIFEST-999999\n")
    before = snapshot(data)
    with pytest.raises(StoreCorrupt):
        open_store(str(data))
    assert snapshot(data) == before


def test_to_cut_off_a_tail_is_said(data, capsys):
    with the_log(data).open("ab") as end:
        end.write(bytes(range(200)))
    open_store(str(data)).close()
    said = capsys.readouterr()
    assert "cut off a torn end of the write-ahead log" in said.out + said.err
    assert "bytes=200" in said.out + said.err


def test_a_batch_that_follows_on_what_is_torn_was_acknowledged(data):
    """It was written after the sync of the one before: so that one was promised, and is missing."""
    log = the_log(data)
    batches = list(logfile.entries(log))
    (data / MARK_FILE).unlink()  # even if the mark was lost with the power
    flip(log, batches[-2].start + 20)
    flip(log, batches[-2].start + 30)
    before = snapshot(data)
    with pytest.raises(StoreCorrupt, match="oq salvage"):
        open_store(str(data))
    assert snapshot(data) == before


@pytest.mark.parametrize("byte", range(high_water.SIZE))
def test_a_flipped_bit_in_the_mark_is_neither_believed_nor_a_loss(data, byte):
    known = read_mark(data)
    flip(data / MARK_FILE, byte)
    assert read_mark(data) == known > 0


def test_the_mark_of_an_older_oq_is_read(data):
    known = read_mark(data)
    (data / MARK_FILE).write_bytes(known.to_bytes(8, "big"))
    assert read_mark(data) == known


def test_a_mark_of_which_nothing_is_left_is_none(data, capsys):
    (data / MARK_FILE).write_bytes(bytes(range(high_water.SIZE)))
    assert read_mark(data) == 0
    assert "high-water mark cannot be read" in capsys.readouterr().out


def test_an_older_mark_does_no_harm_and_none_neither(data):
    """It is not synced: after a power cut it may be older than the store."""
    for older in (high_water.encode(TASKS // 2), b"", None):
        if older is None:
            (data / MARK_FILE).unlink()
        else:
            (data / MARK_FILE).write_bytes(older)
        assert len(read_all(data)) == TASKS


def test_damage_that_only_reading_meets_is_named_then(data):
    """A flipped bit among the tasks' own records: the store opens, and what it hits is refused."""
    table = largest_table(data)
    flip(table, 10)
    with pytest.raises(StoreCorrupt, match=r"damaged|cannot be read from the disk"):
        read_all(data)
