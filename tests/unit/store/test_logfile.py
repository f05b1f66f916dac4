"""RocksDB's log files as they are written and read, byte by byte."""

from __future__ import annotations

import pytest

from oq.store.logfile import BLOCK, HEADER, entries, write


def contents(file) -> list[bytes | None]:
    return [entry.content for entry in entries(file)]


@pytest.mark.parametrize("room", range(HEADER + 2))
def test_an_entry_behind_a_block_that_is_nearly_full_is_read_back(tmp_path, room):
    """What is left of a block is filled with zeroes if it is too short for a header."""
    log = tmp_path / "1.log"
    entered = [b"a" * (BLOCK - HEADER - room), b"b" * 3 * BLOCK, b"c"]
    write(log, entered)
    assert contents(log) == entered


def test_an_entry_whose_end_is_missing_cannot_be_read(tmp_path):
    log = tmp_path / "1.log"
    write(log, [b"a", b"b" * 3 * BLOCK])
    log.write_bytes(log.read_bytes()[:BLOCK])
    assert contents(log) == [b"a", None]


@pytest.mark.parametrize("end", [b"\1", b"\1" * (HEADER - 1)])
def test_an_end_that_is_shorter_than_a_header_cannot_be_read_either(tmp_path, end):
    log = tmp_path / "1.log"
    write(log, [b"a"])
    log.write_bytes(log.read_bytes() + end)
    assert contents(log) == [b"a", None]


def test_an_entry_that_another_interrupts_cannot_be_read_and_the_other_can(tmp_path):
    log = tmp_path / "1.log"
    write(log, [b"a" * 2 * BLOCK])
    first = log.read_bytes()[:BLOCK]
    write(log, [b"b"])
    log.write_bytes(first + log.read_bytes())
    assert contents(log) == [None, b"b"]


@pytest.mark.parametrize("zeroes", [HEADER, 1000, 2 * BLOCK])
def test_what_was_laid_out_and_never_written_is_nothing(tmp_path, zeroes):
    log = tmp_path / "1.log"
    write(log, [b"a"])
    log.write_bytes(log.read_bytes() + bytes(zeroes))
    assert contents(log) == [b"a"]
