"""The machine of a backend does other things, too: what was found meanwhile is looked at again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp

import pytest

from oq.rules.comparison import AGAIN
from oq.rules.concurrency import TRY_AGAIN, Concurrency
from oq.rules.throughput import KEPT, Throughput
from tests.unit.rules.shared_speed import How, SharedSpeed, speeds_of

TWO_ARE_BEST = (100, 150, 120, 110)
HOW = pytest.mark.parametrize("how", ["first byte", "whole"])
MANY = 3000
"""Tasks after which something that is waited for will not happen any more."""


class Machine:
    """It has four slots, and says so, or not. Its `pace` changes."""

    def __init__(self, speeds: Sequence[float], how: How, *, says: bool = True) -> None:
        self.speeds, self.pace = speeds, 1.0
        self.known = Concurrency(16)
        if says:
            self.known.tell(4)
        self.backend = SharedSpeed(self.speed, self.known, how, slots=4)
        self.used = self.backend.served

    def speed(self, at_once: int) -> float:
        return self.pace * speeds_of(self.speeds, at_once)

    def misled(self, tasks: int) -> None:
        """It is slow while four are tried, so fewer seem better, and then runs so many tasks."""
        self.pace = 0.7
        self.until(2)
        self.pace = 1.0
        self.backend.run(tasks)

    def until(self, number: int) -> int:
        """Run until so many at once are used; after how many tasks."""
        before = len(self.used)
        while self.known.served != number:
            self.backend.step()
            assert len(self.used) < before + MANY
        return len(self.used) - before


@HOW
def test_a_number_that_was_used_while_the_machine_was_fast_is_doubted(how):
    machine = Machine(TWO_ARE_BEST, how)
    machine.until(1)
    machine.pace = 1.6
    machine.backend.run(12)
    assert machine.known.served == 1
    machine.pace = 1.0
    assert machine.until(2) <= 2 * AGAIN
    machine.backend.run(100)
    assert set(machine.used[-100:]) == {2}


def test_so_it_is_where_the_backend_does_not_say_its_number():
    machine = Machine(TWO_ARE_BEST, "measured", says=False)
    machine.until(4)
    machine.pace = 2.0
    machine.until(2)
    machine.pace = 1.0
    machine.until(4)
    assert machine.until(2) <= 3 * AGAIN
    machine.backend.run(100)
    assert set(machine.used[-60:]) == {2}


@HOW
def test_so_it_is_with_a_higher_number_of_those_that_are_told(how):
    machine = Machine((64, 80, 64, 110), how)
    machine.misled(20)
    assert machine.known.served == 2
    machine.pace = 0.6
    assert machine.until(4) <= 2 * AGAIN
    assert machine.backend.now < TRY_AGAIN
    machine.backend.run(100)
    assert set(machine.used[-60:]) == {4}
    assert machine.known.reason == "the backend says so"
    assert machine.known.found


@HOW
def test_the_number_that_is_told_is_tried_again_after_a_while(how):
    machine = Machine((58, 60, 55, 74), how)
    machine.misled(40)
    assert machine.known.served < 3
    machine.until(4)
    assert TRY_AGAIN < machine.backend.now < 2 * TRY_AGAIN
    machine.backend.run(100)
    assert sum(number < 4 for number in machine.used[-100:]) <= 10
    assert machine.known.served == 4


@HOW
def test_a_look_back_puts_no_try_off(how):
    machine = Machine(TWO_ARE_BEST, how)
    machine.until(1)
    machine.pace = 1.45
    machine.until(2)
    machine.pace = 0.7
    machine.backend.run(10)
    before = len(machine.used)
    machine.until(1)
    machine.until(2)
    assert machine.backend.now < TRY_AGAIN
    assert 4 not in machine.used[before:]
    machine.pace = 1.0
    machine.until(4)
    assert TRY_AGAIN < machine.backend.now < 1.5 * TRY_AGAIN


@HOW
def test_the_first_tasks_of_a_server_say_nothing_of_its_speed(how):
    """Nobody has used its memory yet, and it has read no prompt: of llama.cpp the first four with
    the same prompt were half as fast as others.
    """
    machine = Machine((78, 81, 79, 92), how)
    machine.backend.cold = 1.0
    machine.backend.run(100)
    assert sum(number < 4 for number in machine.used) <= 8
    assert set(machine.used[-60:]) == {4}


def test_a_number_is_known_at_last_where_tasks_do_not_say_their_tokens():
    throughput = Throughput()
    for _ in range(KEPT):
        throughput.note(16, 16.0, None, 1.0)
    assert throughput.known(16)


SEEN = (53, 69, 68, 79)
"""Tokens a second that 1, 2, 3 and 4 at once get on a real Ollama, on two processors."""


def restless(seed: int) -> list[int]:
    """The numbers that are used there, after each of 36 tasks, while the machine's speed wanders by
    a tenth, within some twenty seconds.
    """
    draw = random.Random(seed)
    paces = [draw.gauss(0.0, 0.1)]

    def speed(at_once: int) -> float:
        while len(paces) <= backend.now:
            paces.append(0.95 * paces[-1] + 0.031 * draw.gauss(0.0, 1.0))
        return exp(paces[int(backend.now)]) * speeds_of(SEEN, at_once)

    backend = SharedSpeed(speed, Concurrency(8), "measured", seed, slots=4)
    backend.run(36)
    return backend.served


def test_what_gets_a_seventh_more_done_is_kept_though_the_machine_is_restless():
    right = [restless(seed)[20:].count(4) >= 13 for seed in range(100)]
    assert sum(right) >= 92, [seed for seed, kept in enumerate(right) if not kept]
