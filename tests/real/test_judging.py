"""What the real runs judge by."""

from __future__ import annotations

from tests.real.calls import Call
from tests.real.models import _with_metadata
from tests.real.order import best_pace, shortest
from tests.real.rows import at_most
from tests.real.slots import Rate, right_numbers, tasks_until
from tests.real.swaps import late_calls, started_early


def task(created: int, started: int, priority: int = 5) -> dict[str, object]:
    return {"created_at": f"{created:02}", "started_at": f"{started:02}", "priority": priority}


def test_a_task_that_began_before_an_earlier_one_is_seen():
    assert started_early([task(0, 1), task(2, 3)]) == 0
    assert started_early([task(0, 5), task(2, 3)]) == 1


def test_a_task_that_began_while_a_more_urgent_one_waited_is_seen():
    assert started_early([task(0, 3, priority=1), task(2, 4, priority=15)]) == 1
    assert started_early([task(0, 3), task(4, 5, priority=15)]) == 0


def critical(sent: float, first: float) -> Call:
    return Call("c", priority="critical", sent=sent, first=first, ended=first + 1)


def test_a_critical_call_waits_for_what_runs_and_for_critical_ones_before_it():
    low = Call("b", priority="low", sent=0.0, first=9.0, ended=10.0)
    first, second = critical(1.0, 4.0), critical(2.0, 6.0)
    assert late_calls([low, first, second], 1.0, 1.0) == []
    late = critical(2.0, 9.5)
    assert late_calls([low, first, late], 1.0, 1.0) == [late]


def test_models_differ_and_their_tensors_stay_where_they_were():
    original = b"GGUF" + bytes(20) + b"tensors"
    one, two = (_with_metadata(original, name, [("n", 1)]) for name in "ab")
    assert one != two
    assert one.endswith(b"tensors")
    assert (len(one) - len(original)) % 32 == 0
    assert one[16] == 2


def test_what_takes_longer_than_it_may_does_not_hold():
    assert at_most("x", "", 1.0, "", 1.0).holds
    assert not at_most("x", "", 1.1, "", 1.0).holds


def test_right_is_each_number_that_gets_nearly_as_much_done_as_the_best():
    assert right_numbers({1: Rate(138), 2: Rate(110), 3: Rate(125), 4: Rate(149)}) == [4]
    assert right_numbers({1: Rate(143), 2: Rate(140)}) == [1, 2]


def test_right_is_a_number_too_that_is_not_known_to_get_less_done():
    assert right_numbers({1: Rate(60, 62, 61, 61), 2: Rate(70, 72, 71, 71)}) == [2]
    assert right_numbers({1: Rate(50, 72, 61, 61), 2: Rate(60, 82, 71, 71)}) == [1, 2]


def test_a_mean_is_known_better_after_more_rounds():
    assert not Rate(60, 80).exact
    assert Rate(*[60, 80] * 10).exact
    assert str(Rate(70, 72, 71, 71)) == "71 ± 1"


def test_a_number_is_known_when_a_right_one_is_used_and_mostly_kept():
    assert tasks_until([4], [1, 2, 4, 4, 4, 4, 4, 4]) == 3
    assert tasks_until([1, 4], [1, 2, 1, 4, 4, 4, 4, 4]) == 1
    assert tasks_until([4], [4, 1, 1, 1, 4, 4, 4, 4, 3]) == 5
    assert tasks_until([4], [1, 2, 1, 1, 1, 1, 1, 1]) is None


def call(first: float, ended: float, tokens: int) -> Call:
    return Call("a", sent=0.0, first=first, ended=ended, tokens=tokens)


def test_a_line_takes_its_tokens_and_the_best_waits_before_each_call():
    slow = [call(0.5, 2.5, 11), call(2.75, 4.75, 11)]
    quick = [call(0.25, 1.25, 11), call(2.25, 3.25, 11)]
    assert best_pace([*slow, *quick]) == 0.1
    assert shortest([slow], 0.1) == 0.5 + 0.25 + 20 * 0.1
    assert shortest([slow, quick], 0.1) == 0.25 + 0.25 + 20 * 0.1
