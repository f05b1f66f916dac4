"""Guesses that are remembered: of which tasks, and when."""

from __future__ import annotations

from oq.rules.guesses import APART, REMEMBERED, Guess, Guesses
from tests.unit.rules.test_forecast import Queue


def test_so_many_guesses_are_remembered() -> None:
    guesses, remembered = Guesses(), set()
    for n in range(2 * REMEMBERED + 10):
        task_id = guesses.wanted(f"{n}", n * APART)
        if task_id is not None:
            guesses.remember(task_id, Guess(0, 1e9, 1e9), n * APART)
            assert not guesses.due(n * APART)
            remembered.add(task_id)
    assert len(remembered) == REMEMBERED


def test_a_guess_is_renewed_when_half_of_its_time_is_over() -> None:
    guesses = Guesses()
    guesses.remember("a", Guess(0, 100.0, 110.0), 0.0)
    assert guesses.wanted(None, 40.0) is None
    assert guesses.wanted(None, 60.0) == "a"
    guesses.remember("a", Guess(0, 30.0, 40.0), 60.0)
    assert guesses.wanted(None, 61.0) is None
    guesses.started("a", 90.0)
    guesses.ended("a", 95.0, served=True)
    assert sum(seen for *_, seen, _ in guesses.record().starts.kinds) == 2
    assert sum(seen for *_, seen, _ in guesses.record().ends.kinds) == 2


def test_a_task_that_comes_is_guessed_of_then_also_where_little_happens() -> None:
    """A guess is of the time at which it is made. When something happens next it is late."""
    queue = Queue(took=100.0)
    queue.add(20)
    queue.run(5)
    came = {}
    for _ in range(6):
        queue.now += 10.0
        came[queue.add()] = queue.now
        queue.start()
    told = queue.forecast._guesses._waiting
    new = [task_id for task_id in came if task_id in told]
    assert len(new) >= len(came) // 2
    assert [told[task_id][0].at for task_id in new] == [came[task_id] for task_id in new]
