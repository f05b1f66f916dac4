"""Ids only ever grow: over a clock that stands still or goes back, and over a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules import ids
from oq.rules.ids import NIL, IdSource, is_id
from tests.support.builders import NOW, at

TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(
    lambda time: time.replace(tzinfo=UTC)
)


@given(st.lists(TIMES, min_size=2, max_size=30))
def test_ids_grow_whatever_the_clock_does(times):
    source = IdSource()
    made = [source.next(time) for time in times]
    assert made == sorted(set(made))


@given(TIMES, TIMES)
def test_ids_go_on_growing_after_a_restart_on_a_clock_that_was_set_back(before, after):
    last = IdSource().next(before)
    assert IdSource(last).next(after) > last


def test_ten_thousand_ids_of_one_moment_are_in_order():
    source = IdSource()
    made = [source.next(NOW) for _ in range(10_000)]
    assert made == sorted(set(made))


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front():
    made = UUID(IdSource().next(NOW))
    assert made.version == 7
    assert made.int >> 80 == int(NOW.timestamp() * 1000)


def test_a_clock_that_was_set_back_leaves_the_version_as_it_is():
    source = IdSource(IdSource().next(at(3600)))
    assert {UUID(source.next(NOW)).version for _ in range(100)} == {7}


def test_two_sources_do_not_make_the_same_ids():
    assert IdSource().next(NOW) != IdSource().next(NOW)


def test_what_is_made_is_an_id():
    assert is_id(IdSource().next(NOW))
    assert is_id(NIL)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "../../etc/passwd",
        "0" * 32,
        NIL[:-1],
        NIL + "0",
        NIL.replace("0", "A"),
        "{" + NIL + "}",
        "urn:uuid:" + NIL,
        NIL.replace("-", "_"),
        NIL[:-1] + "_",
        NIL[:-1] + "\N{ARABIC-INDIC DIGIT ZERO}",
        " " + NIL[1:],
        "x" * 1_000_000,
    ],
)
def test_what_is_no_id_is_refused_without_a_fuss(text):
    assert not is_id(text)


def test_any_version_of_uuid_utils_will_do(monkeypatch):
    """What uuid7 takes differs between them: `timestamp` and `nanos`, or `nanoseconds`."""
    made = UUID("ffffffff-ffff-7abc-8def-0123456789ab")
    monkeypatch.setattr(ids, "uuid7", lambda: made)
    assert IdSource().next(NOW)[13:] == "-7abc-8def-0123456789ab"
