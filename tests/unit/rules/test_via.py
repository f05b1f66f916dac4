"""The marks of the servers of oq through which a request has come."""

from __future__ import annotations

import pytest

from oq.rules.via import MOST, add_mark, check_loop
from oq.words.errors import LoopDetected

HERE = "0123456789abcdef"
OTHERS = [f"{number:016x}" for number in range(MOST)]


@pytest.mark.parametrize("way", [None, "", "no mark, 0123, XYZ"])
def test_a_request_that_has_come_through_no_oq_has_no_way(way):
    assert check_loop(way, HERE) == ""


def test_each_oq_adds_its_mark_and_keeps_those_before():
    way = ""
    for mark in OTHERS[:3]:
        way = add_mark(check_loop(way, HERE), mark)
    assert way == ", ".join(OTHERS[:3])


def test_what_is_no_mark_is_left_out():
    assert check_loop(f"proxy.example, {OTHERS[1]};q=1,, {OTHERS[2]}", HERE) == ", ".join(
        OTHERS[1:3]
    )


def test_a_request_that_was_here_has_come_in_a_circle():
    with pytest.raises(LoopDetected, match="a backend's address"):
        check_loop(", ".join([OTHERS[1], HERE, OTHERS[2]]), HERE)


def test_a_way_of_too_many_marks_is_refused():
    assert check_loop(", ".join(OTHERS[:-1]), HERE)
    with pytest.raises(LoopDetected, match=f"{MOST} servers of oq: too many"):
        check_loop(", ".join(OTHERS), HERE)
