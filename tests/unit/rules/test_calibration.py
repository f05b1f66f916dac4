"""Intervals: they hold as often as they say, whatever is wrong with the estimates."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest

from oq.rules.calibration import ENOUGH, KEPT, RECORDED, UNKNOWN, Calibration, Interval


def held(calibration: Calibration, errors: list[float], estimate: float = 100.0) -> float:
    """The share of times within the intervals that are told, each scored before the next one."""
    right = 0
    for error in errors:
        told, actual = calibration.interval(0, estimate), estimate * exp(error)
        right += told.p10 <= actual <= told.p90
        calibration.score(0, estimate, told, actual)
    return right / len(errors)


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0])
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_four_of_five_times_are_within_whatever_is_wrong(bias: float, spread: float) -> None:
    random = Random(7)
    errors = [random.gauss(bias, spread) for _ in range(4000)]
    assert 0.77 <= held(Calibration(), errors) <= 0.83


def test_it_follows_when_what_is_wrong_changes() -> None:
    random, calibration = Random(8), Calibration()
    held(calibration, [random.gauss(0.0, 0.3) for _ in range(2000)])
    errors = [random.gauss(1.0, 0.3) for _ in range(4000)]
    assert held(calibration, errors) > 0.7
    told = calibration.interval(0, 100.0)
    assert told.p50 == pytest.approx(100 * exp(1.0), rel=0.15)


def test_intervals_that_do_not_hold_become_wider_beyond_all_that_was_seen() -> None:
    calibration = Calibration()
    held(calibration, [n / 50 for n in range(50)])
    before = calibration.interval(0, 100.0)
    missed = Interval(0.0, 0.0, 0.0)
    for _ in range(300):
        calibration.score(0, 100.0, missed, 150.0)
    assert calibration.interval(0, 100.0).p90 >= before.p90


def test_while_nothing_is_known_the_interval_is_wide() -> None:
    p10, p50, p90 = Calibration().interval(0, 100.0)
    assert p10 < 30
    assert p50 == pytest.approx(100)
    assert p90 > 300


def test_what_is_known_of_one_octave_serves_for_the_next_one() -> None:
    calibration = Calibration()
    held(calibration, [1.0] * ENOUGH, 100.0)
    assert calibration.interval(0, 200.0).p50 == pytest.approx(200 * exp(1.0), rel=0.01)


def test_the_further_an_octave_is_from_all_that_is_known_the_wider_is_its_interval() -> None:
    calibration, random = Calibration(), Random(9)
    held(calibration, [random.gauss(1.0, 0.2) for _ in range(400)], 100.0)
    widths = []
    for estimate in (100.0, 200.0, 400.0, 800.0, 1600.0, 1e6):
        told = calibration.interval(0, estimate)
        widths.append(log(told.p90 / told.p10))
        if estimate > 200:
            assert told.p50 == pytest.approx(estimate, rel=0.01)
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[1:] == sorted(widths[1:])
    # Beside what was seen, half of what it is where nothing is known; then nearly all of that.
    assert widths[2] - widths[0] == pytest.approx(UNKNOWN, rel=0.1)
    assert widths[-1] - widths[0] == pytest.approx(2 * UNKNOWN, rel=0.1)


def test_situations_do_not_mix() -> None:
    calibration = Calibration()
    held(calibration, [1.0] * ENOUGH)
    assert calibration.interval(1, 100.0) == Calibration().interval(1, 100.0)


def test_short_times_are_not_below_zero() -> None:
    calibration = Calibration()
    for _ in range(ENOUGH):
        calibration.score(0, 1.0, calibration.interval(0, 1.0), 0.0)
    assert calibration.interval(0, 1.0) == pytest.approx((0.0, 0.0, 0.003), abs=0.01)


def test_what_was_learnt_is_kept() -> None:
    random, calibration = Random(10), Calibration()
    held(calibration, [random.gauss(0.5, 0.4) for _ in range(1000)])
    again = Calibration()
    again.restore(calibration.record())
    assert again.interval(0, 100.0) == pytest.approx(calibration.interval(0, 100.0), rel=0.1)
    assert held(again, [random.gauss(0.5, 0.4) for _ in range(1000)]) == pytest.approx(
        0.8, abs=0.05
    )


def test_it_stays_small() -> None:
    calibration = Calibration()
    held(calibration, [n / 1000 for n in range(1000)])
    ((*_, kept),) = calibration.record().kinds
    assert len(kept) == RECORDED < KEPT
