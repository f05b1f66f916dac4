"""Slices: whoever reads a log, portion by portion, while it grows or afterwards, gets all of it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects import piece_reader
from oq.rules.slices import OpenLog, slice_number
from oq.rules.stream_log import OBJECT_WEIGHT, PORTION, StreamLog, piece_of, portion

LONG = PORTION // 3
"""Three chunks of this length do not fit into a portion."""
TEXTS = st.lists(
    st.sampled_from([1, 10, LONG, PORTION - 100, PORTION + 1, 3 * PORTION]), max_size=9
)


def chunk(number: int, length: int) -> bytes:
    text = str(number) + "x" * (length - len(str(number)))
    return json.dumps({"response": text}).encode() + b"\n"


def opened(lengths: list[int], *, call: str | None) -> OpenLog:
    log = OpenLog(7, call=call)
    for number, length in enumerate(lengths):
        log.add(chunk(number, length))
    return log


def decoded(log: OpenLog) -> list[StreamLog]:
    """The head, and the slices."""
    records = log.records()
    assert records is not None
    every = (records.head, *(record for _, record in records.others))
    return [msgspec.msgpack.decode(one, type=StreamLog) for one in every]


def stored(log: OpenLog, offset: int) -> StreamLog:
    """The slice as the store finds it."""
    head, *slices = decoded(log)
    return slices[slice_number(head.starts, offset)] if slices else head


def read(slice_at, offset: int) -> tuple[str, list[int]]:
    """All from `offset` on, and how long each portion was."""
    text, sizes = "", []
    while due := portion((log := slice_at(offset)), offset, piece_reader(log.call)):
        text += "".join(one.data for one in due)
        sizes.append(sum(len(one.data) for one in due))
        offset = due[-1].offset
    return text, sizes


@pytest.mark.parametrize("call", [None, "/api/generate", "unknown"])
@given(lengths=TEXTS, offset=st.integers(0, 9))
def test_portions_are_all_of_the_log_and_none_is_longer_than_it_must_be(call, lengths, offset):
    log = opened(lengths, call=call)
    whole = "".join(
        json.loads(chunk(*one))["response"] for one in list(enumerate(lengths))[offset:]
    )
    ways = [log.slice] if not lengths else [log.slice, lambda at: stored(log, at)]
    for slice_at in ways:
        text, sizes = read(slice_at, offset)
        assert text == whole
        assert all(size <= PORTION or size in lengths for size in sizes)


def test_one_record_holds_a_short_log_as_it_always_did():
    log = opened([1, 2], call=None)
    records = log.records()
    assert records.others == ()
    attempt, pieces, frames, *_ = msgspec.msgpack.decode(records.head)
    assert (attempt, len(pieces), frames) == (7, 2, [])
    assert OpenLog(7, call=None).records() is None


def test_only_the_last_slice_says_that_no_more_follows():
    log = opened([LONG] * 10, call=None)
    head, *slices = decoded(log)
    assert (len(head), head.starts) == (0, [one.first for one in slices])
    assert len(slices) > 2
    assert [one.more for one in slices] == [True] * (len(slices) - 1) + [False]
    assert [one.first for one in slices] + [10] == [0] + [one.end for one in slices]


def test_a_log_that_was_stored_whole_is_given_in_portions_too():
    record = msgspec.msgpack.encode([7, [["x" * LONG]] * 9])
    whole = msgspec.msgpack.decode(record, type=StreamLog)
    text, sizes = read(lambda _: whole, 0)
    assert (len(text), max(sizes) <= PORTION) == (9 * LONG, True)


def test_what_has_no_length_counts_too():
    log = OpenLog(7, call=None)
    for _ in range(100):
        log.add(b'{"message": {"content": "", "tool_calls": [{"function": {"name": "f"}}]}}')
    assert len(portion(log.slice(0), 0, piece_of)) <= PORTION // OBJECT_WEIGHT


def test_readers_of_a_long_chunk_share_what_was_decoded():
    log = opened([3 * PORTION, 1], call=None)
    first = log.slice(0)
    assert log.slice(0) is first


@pytest.mark.parametrize(("most", "at_once"), [(1, 1), (2 * PORTION, 2), (100 * PORTION, 5)])
def test_full_slices_are_written_ahead_each_once_and_so_many_bytes_at_once(most, at_once):
    log = opened([LONG] * 11, call=None)  # two in each slice, and one in the open one
    written: list[int] = []
    while (records := log.ahead(most)).others:
        assert len(records.others) in (at_once, 5 - len(written))
        assert sum(len(record) for _, record in records.others) <= most or at_once == 1
        written += [number for number, _ in records.others]
        log.note_kept(records)
    assert written == [0, 1, 2, 3, 4]
    assert (log.waiting, log.slice(0)) == (0, None)
    last = log.records()
    assert last is not None
    assert [number for number, _ in last.others] == [5]
