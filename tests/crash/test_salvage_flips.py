"""One flipped bit anywhere takes nothing; worse damage takes nothing without a word.

`make torture` does the same some hundred times, with other seeds.
"""

from __future__ import annotations

import random
import re
import shutil

import pytest
from rocksdict import AccessType, Options, Rdict

from oq.rules.outbox import Outbox
from oq.store import Store, tables
from oq.store.batches import family_of
from oq.store.directory import DATABASE
from oq.store.keys import FAMILIES
from oq.store.rocks import RocksEngine
from tests.crash.flips import KINDS, flip_one, judge, lived, spoil_one
from tests.support.builders import new
from tests.support.stores import everything


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return lived(tmp_path_factory.mktemp("flips"), random.Random(1))


@pytest.fixture
def data(store, tmp_path):
    return shutil.copytree(store[0], tmp_path / "data")


def tables_of(data, family: str) -> list[str]:
    """The names of the family's table files. To be looked at only: who may write begins to compact
    them, and they are others then.
    """
    options = {name: Options(raw_mode=True) for name in ("default", *FAMILIES)}
    look = Rdict(
        str(data / DATABASE), Options(raw_mode=True), column_families=options,
        access_type=AccessType.read_only(),
    )  # fmt: skip
    listed = look.get_column_family(family).property_value("rocksdb.sstables")
    look.close()
    return [f"{int(number):06}.sst" for number in re.findall(r"^ (\d+):", listed, re.MULTILINE)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_one_flipped_bit_takes_nothing(store, data, kind, seed):
    flipped = flip_one(data, kind, random.Random(seed))
    verdict = judge(data, store[1])
    assert verdict.untold == [], flipped
    assert verdict.report is None or verdict.report.whole, flipped


@pytest.mark.parametrize("family", FAMILIES)
def test_one_flipped_bit_in_a_table_of_any_family_takes_nothing(store, data, family):
    name = next(name for name in tables_of(data, family) if (data / DATABASE / name).exists())
    flipped = flip_one(data, name, random.Random(7))
    verdict = judge(data, store[1])
    assert verdict.untold == [], flipped
    assert verdict.report is None or verdict.report.whole, flipped


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_of_any_family_that_cannot_be_repaired_stops_no_salvage(store, data, family):
    name = next(name for name in tables_of(data, family) if (data / DATABASE / name).exists())
    spoiled = spoil_one(data, name, random.Random(7))
    verdict = judge(data, store[1])
    assert verdict.untold == [], spoiled


@pytest.mark.parametrize("kind", ["*.log", "*.sst", "MANIFEST-*"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_worse_damage_takes_nothing_without_a_word(store, data, kind, seed):
    spoiled = spoil_one(data, kind, random.Random(seed))
    verdict = judge(data, store[1])
    assert verdict.untold == [], spoiled
    assert verdict.report is not None, spoiled
    assert not verdict.report.whole, spoiled


def test_a_record_is_known_for_its_family_by_its_looks(data):
    """So a log can be read when no manifest says which family has which number."""
    store = Store(RocksEngine(data), [Outbox("steps", lambda step: [b"", b"u", b"parts"])])
    for number, length in enumerate((16, 17, 20, 24), start=1000):  # as long as other keys are
        store.write([new(number, key="p" * length)], 0)
    for family in FAMILIES:
        records = everything(store._engine, family)
        assert records
        for key, value in records.items():
            assert family_of(key, value) == family, (key, value)
    store.close()


def problem(table, offset: int = 0, size: int = 0) -> str:
    """What RocksDB says of a table."""
    block = f" offset {offset} size {size}" if size else ""
    return f"Corruption: block checksum mismatch in /somewhere/rocks/{table.name}{block}"


def test_any_bit_of_a_footer_can_be_repaired(data):
    table = max((data / DATABASE).glob("*.sst"), key=lambda file: file.stat().st_size)
    good = table.read_bytes()
    for bit in range(0, 8 * tables.FOOTER, 7):
        bad = bytearray(good)
        bad[len(good) - tables.FOOTER + bit // 8] ^= 1 << bit % 8
        table.write_bytes(bad)
        assert tables.mend(data / DATABASE, problem(table))
        assert table.read_bytes() == good


def properties_of(table) -> tuple[int, int]:
    """Where the block of the table's properties begins, and its size."""
    content = table.read_bytes()
    at = content.rfind(tables._PROPERTIES) + len(tables._PROPERTIES)
    offset, at = tables._number(content, at)
    return offset, tables._number(content, at)[0]


@pytest.mark.parametrize("told", ["offset and size", "unsorted"])
@pytest.mark.parametrize("place", ["first", "last", "checksum"])
def test_a_bit_of_the_properties_can_be_repaired(data, told, place):
    """RocksDB does not always say of which table they are."""
    table = max((data / DATABASE).glob("*.sst"), key=lambda file: file.stat().st_size)
    good = table.read_bytes()
    offset, size = properties_of(table)
    bad = bytearray(good)
    at = {"first": offset, "last": offset + size - 1, "checksum": offset + size + 3}[place]
    bad[at] ^= 16
    table.write_bytes(bad)
    said = problem(table, offset, size) if told == "offset and size" else told
    mended = tables.mend(data / DATABASE, said)
    assert mended is not None
    assert mended.startswith(f"{table.name}, ")
    assert table.read_bytes() == good


def test_a_table_without_the_name_of_its_properties_is_left_as_it_is(data):
    for table in (data / DATABASE).glob("*.sst"):
        table.write_bytes(table.read_bytes().replace(tables._PROPERTIES, b"x" * 18))
    assert tables.mend(data / DATABASE, "unsorted") is None


def test_what_is_no_flipped_bit_is_left_as_it_is(data):
    table = max((data / DATABASE).glob("*.sst"), key=lambda file: file.stat().st_size)
    bad = bytearray(table.read_bytes())
    for at in (10, 20, len(bad) - 3, len(bad) - 40):
        bad[at] ^= 3
    table.write_bytes(bad)
    for said in (problem(table), problem(table, 0, 30), problem(table, 1 << 40, 9), "unsorted"):
        assert tables.mend(data / DATABASE, said) is None
    assert table.read_bytes() == bad


def test_a_table_that_is_repaired_is_a_copy(data, tmp_path):
    """In a salvage it is a link to the one that stays as it is."""
    table = max((data / DATABASE).glob("*.sst"), key=lambda file: file.stat().st_size)
    (tmp_path / "scratch").mkdir()
    bad = bytearray(table.read_bytes())
    bad[-1] ^= 1
    table.write_bytes(bad)
    linked = tmp_path / "scratch" / table.name
    linked.hardlink_to(table)
    assert tables.mend(tmp_path / "scratch", problem(table))
    assert table.read_bytes() == bad != linked.read_bytes()
