"""A model is wedged when no task of it produces anything any more, though others did before."""

from __future__ import annotations

from oq.rules.wedges import LOOKS, MOST, Run, Wedges

AFTER = 600.0
KEY = ("box", "beta")


def run(number: int = 1, since: float = 0.0, chunks: int = 0, model: str = "beta") -> Run:
    return Run(f"t{number}", ("box", model), since, chunks)


def served() -> Wedges:
    """One of whose models one task was served, before time 0."""
    wedges = Wedges(AFTER)
    wedges.served(*KEY)
    wedges.look([], -1.0)
    return wedges


def test_a_model_that_produces_nothing_any_more_is_wedged_then_and_not_before():
    wedges = served()
    wedges.look([run()], AFTER - 1)
    assert wedges.wedged == frozenset()
    assert wedges.due == AFTER
    wedges.look([run()], AFTER)
    assert wedges.wedged == {KEY}


def test_one_that_never_produced_anything_may_be_slow():
    wedges = Wedges(AFTER)
    for number in range(100):
        wedges.look([run()], number * AFTER)
        assert wedges.wedged == frozenset()


def test_a_silent_task_says_nothing_while_another_is_served():
    wedges = served()
    for number in range(1, 20):
        wedges.served(*KEY)
        wedges.look([run()], number * AFTER / LOOKS)
        assert wedges.wedged == frozenset()
    wedges.look([run()], 19 * AFTER / LOOKS + AFTER)
    assert wedges.wedged == {KEY}


def test_a_silent_task_says_nothing_while_another_generates():
    wedges = served()
    for number in range(1, 20):
        wedges.look([run(1), run(2, chunks=number)], number * AFTER / LOOKS)
        assert wedges.wedged == frozenset()


def test_a_stream_that_stops_in_the_middle_is_silent():
    wedges = Wedges(AFTER)
    wedges.look([run(chunks=5)], 10.0)
    wedges.look([run(chunks=5)], 10.0 + AFTER)
    assert wedges.wedged == {KEY}


def test_tasks_that_end_at_their_timeouts_do_not_begin_the_time_anew():
    wedges = served()
    for number in range(1, 8):
        since = number * AFTER / LOOKS
        wedges.look([run(number, since), run(number + 1, since)], since)
    assert wedges.wedged == {KEY}


def test_the_time_begins_anew_when_nothing_of_the_model_ran():
    wedges = served()
    wedges.look([run(1)], AFTER / 2)
    wedges.look([], AFTER)
    wedges.look([run(2, 1.5 * AFTER)], 2 * AFTER)
    assert wedges.wedged == frozenset()


def test_one_that_goes_on_is_not_wedged_any_more():
    wedges = served()
    wedges.look([run()], AFTER)
    wedges.look([run(chunks=1)], AFTER + 10)
    assert wedges.wedged == frozenset()


def test_another_model_of_the_backend_is_another_matter():
    wedges = served()
    wedges.served("box", "alpha")
    wedges.look([run(1), run(2, chunks=1, model="alpha")], AFTER)
    assert wedges.wedged == {KEY}


def test_what_it_remembers_is_bounded():
    wedges = Wedges(AFTER)
    for number in range(MOST + 1):
        wedges.served("box", f"m{number}")
    wedges.look([run(model="m7")], 0.0)
    assert len(wedges._served) == 1


def test_silence_before_the_backend_was_down_says_nothing_of_it_afterwards():
    wedges = served()
    for look in range(LOOKS):
        wedges.look([run(1)], look * AFTER / LOOKS)
    wedges.away("box", AFTER - 50)
    wedges.look([run(2, since=AFTER - 40)], AFTER)
    assert wedges.wedged == frozenset(), "it runs for 40 s"
    wedges.look([run(2, since=AFTER - 40)], 2 * AFTER - 50)
    assert wedges.wedged == {KEY}
