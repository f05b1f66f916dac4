"""What a server has refused is remembered for a while, and not without bound."""

from __future__ import annotations

from oq.backends.refusals import MOST, REMEMBERED, Refusals


def test_what_is_remembered_is_forgotten_and_bounded():
    now = 0.0
    refusals = Refusals(lambda: now)
    refusals.note("m")
    now = REMEMBERED - 1
    assert "m" in refusals
    refusals.note("m")
    now = 2 * REMEMBERED - 2
    assert "m" in refusals
    now = 2 * REMEMBERED
    assert "m" not in refusals
    for number in range(MOST + 1):
        refusals.note(str(number))
    assert "0" not in refusals
    assert "1" in refusals
    assert str(MOST) in refusals
