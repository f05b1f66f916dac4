"""How many tasks a backend serves at once is found out, and few of them wait inside it for that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from oq.rules.concurrency import RECALLED, TRY_AGAIN, Concurrency
from oq.rules.known_at_first import GUESSED
from oq.words.sample import Sample
from tests.unit.rules.shared_speed import SharedSpeed, scales_to


class Server:
    """A backend in virtual time that serves `slots` at once, each for `service` seconds, and a
    queue that always has more. `says` makes the sample of one that was sent, began and ended then.
    """

    def __init__(
        self,
        slots: int,
        known: Concurrency,
        says: Callable[[float, float, float], Sample],
        *,
        streams: bool = True,
        service: float = 1.5,
    ) -> None:
        self.slots, self.known, self.says, self.streams = slots, known, says, streams
        self.service = service
        self.now = 0.0
        self.inside: list[tuple[str, float]] = []  # sent, in order, with the time
        self.began: dict[str, float] = {}
        self.waited: list[tuple[float, float]] = []  # when each was sent, and how long it waited
        self.count = 0

    def send(self) -> None:
        while self.known.allows(self.now):
            self.count += 1
            task = f"t{self.count}"
            self.known.start(task, self.now)
            self.inside.append((task, self.now))
            self.begin()

    def begin(self) -> None:
        for task, _ in self.inside[: self.slots]:
            if task not in self.began:
                self.began[task] = self.now
                if self.streams:
                    self.known.answered(task)

    def waits_since(self, time: float) -> list[float]:
        """How long those waited inside that were sent later, if they did."""
        return [waited for sent, waited in self.waited if sent > time and waited > 0.1]

    def run(self, tasks: int) -> None:
        """Until so many have ended."""
        ended = 0
        while ended < tasks:
            self.send()
            task = min(self.began, key=lambda one: (self.began[one], int(one[1:])))
            another = self.known.allowed_at()
            if self.now < another < self.began[task] + self.service:
                self.now = another
                continue
            self.now = self.began.pop(task) + self.service
            sent = dict(self.inside).pop(task)
            self.inside = [one for one in self.inside if one[0] != task]
            began = self.now - self.service
            self.waited.append((sent, began - sent))
            self.known.end(task, self.now, self.says(sent, began, self.now))
            self.begin()
            ended += 1


def measured(sent: float, began: float, ended: float) -> Sample:
    """What Ollama's last line says."""
    return Sample(
        ended - sent, began - sent + 0.1, waited=began - sent + 0.01, load=0.0, tokens=100
    )


def streamed(sent: float, began: float, ended: float) -> Sample:
    return Sample(ended - sent, began - sent + 0.1, tokens=100)


def whole(sent: float, began: float, ended: float) -> Sample:
    return Sample(ended - sent, tokens=100)


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("says", [measured, streamed], ids=["measured", "streamed"])
def test_the_number_is_found_within_20_tasks_and_nobody_waits_inside_afterwards(slots, says):
    server = Server(slots, Concurrency(64), says)
    server.run(20)
    assert server.known.served == slots
    seen = server.now
    server.run(80)
    assert (server.known.served, server.waits_since(seen)) == (slots, [])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slots", [1, 3, 4, 5, 8])
def test_a_guess_is_corrected_though_there_was_a_line_from_the_start(slots, seed):
    """No task has run alone. When a first byte comes that waits for no slot, is seen of tasks that
    ran beside others.
    """
    speed = partial(scales_to, slots)
    one = SharedSpeed(speed, Concurrency(16, GUESSED), "first byte", seed=seed, slots=slots)
    one.run(60)
    waited = one.waited_inside
    one.run(100)
    assert (one.known.served, one.waited_inside - waited) == (slots, 0)


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_answers_that_come_whole_and_say_no_times_will_do_for_a_guess(slots):
    server = Server(slots, Concurrency(64), whole, streams=False)
    server.run(20)
    seen = server.now
    server.run(80)
    assert (server.known.served, server.waits_since(seen)) == (slots, [])


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_answers_that_come_whole_and_say_times_will_do(slots):
    server = Server(slots, Concurrency(64), measured, streams=False)
    server.run(30)
    assert server.known.served == slots


@pytest.mark.parametrize("service", [0.2, 1.5])
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_answers_that_come_whole_and_say_nothing_at_all_will_do_by_their_time(slots, service):
    """Such as embeddings."""
    server = Server(
        slots,
        Concurrency(64),
        lambda sent, _, ended: Sample(ended - sent),
        streams=False,
        service=service,
    )
    server.run(20)
    seen = server.now
    server.run(80)
    assert slots - 1 <= server.known.served <= slots
    assert server.waits_since(seen) == []


def test_the_time_of_a_load_is_not_that_of_a_task():
    known = Concurrency(64)
    known.start("loads", 0.0)
    known.answered("loads")
    known.end("loads", 4.0, Sample(4.0, 3.0, tokens=10), loaded=True)
    known.start("alone", 4.0)
    known.answered("alone")
    known.end("alone", 5.0, Sample(1.0, 0.1, tokens=10))
    known.start("a", 5.0)
    known.start("b", 5.1)
    known.answered("a")
    known.end("a", 6.0, Sample(1.0, 0.1, tokens=10))
    known.answered("b")
    known.end("b", 7.0, Sample(1.9, 1.0, tokens=10))
    assert (known.served, known.refused) == (1, 2)


def test_fewer_slots_after_a_restart_are_noticed_at_once_and_more_are_tried():
    server = Server(4, Concurrency(64), measured)
    server.run(20)
    server.slots = 2
    server.run(12)
    assert server.known.served == 2
    server.known.restarted(server.now)
    server.slots = 4
    server.run(12)
    assert server.known.served == 4


def test_one_more_is_tried_again_after_a_while_and_later_each_time():
    server = Server(1, Concurrency(64), measured)
    server.run(20)
    assert len(server.waits_since(-1.0)) == 1
    for times in (1, 2, 4):
        server.run(10)
        before = server.now
        server.now += 2 * times * TRY_AGAIN
        server.run(10)
        assert len(server.waits_since(before)) == 1, "one was tried"
    assert server.known.served == 1


def test_a_number_that_was_set_stays():
    known = Concurrency(3, learns=False)
    server = Server(1, known, measured)
    server.run(20)
    assert (known.served, known.most) == (3, 3)


def test_never_more_than_the_bound():
    server = Server(8, Concurrency(3), measured)
    server.run(20)
    assert server.known.served == 3


def test_what_is_tried_can_be_called_back_until_it_answers():
    known = Concurrency(64)
    known.start("a", 0.0)
    known.end("a", 1.5, measured(0.0, 0.0, 1.5))
    known.start("b", 1.5)
    assert known.recallable() == []
    assert not known.allows(1.5), "together they might change places"
    assert known.allowed_at() == 1.6
    known.start("c", 1.6)
    assert known.recallable() == ["c"]
    assert not known.end("c", 1.7, None), "it was called back: nothing is known"
    assert not known.allows(1.8), "not again at once"
    assert known.allowed_at() == 1.7 + RECALLED, "the scheduler is to wake up then"
    known.answered("b")
    known.end("b", 3.0, measured(1.5, 1.5, 3.0))
    known.start("d", 7.0)
    assert known.allows(7.1)


def test_a_long_prompt_alone_does_not_lower_a_guess():
    known = Concurrency(16, 4)
    for number in range(8):
        known.start(f"t{number}", 0.0)
        known.end(f"t{number}", 1.0, Sample(1.0, 0.1, tokens=10))
    known.start("a", 2.0)
    known.start("long", 2.0)
    known.end("a", 3.0, Sample(1.0, 0.1, tokens=10))
    known.end("long", 9.0, Sample(7.0, 6.0, tokens=10))
    assert known.served == 4


def test_some_that_seem_to_have_waited_do_not_lower_a_guess_and_many_do():
    known = Concurrency(16, 4)
    for number in range(8):
        known.start(f"t{number}", 0.0)
        known.end(f"t{number}", 1.0, Sample(1.0, 0.1, tokens=10))
    guesses = []
    for number in range(8):
        now = 10.0 * (number + 1)
        known.start(f"a{number}", now)
        known.start(f"b{number}", now)
        known.end(f"a{number}", now + 1.0, Sample(1.0, 0.1, tokens=10))
        known.end(f"b{number}", now + 2.1, Sample(2.1, 1.1, tokens=10))
        guesses.append(known.served)
    assert guesses[:3] == [4] * 3
    assert guesses[-1] == 1


def test_what_was_learnt_is_taken_up_again():
    known = Concurrency(64)
    known.restore(4, 5, now=0.0)
    server = Server(4, known, measured)
    server.run(10)
    assert (known.served, server.waits_since(-1.0)) == (4, [])


def test_one_that_overtakes_others_on_the_way_proves_nothing_of_them():
    known = Concurrency(64, served=2)
    for number, task in enumerate("ab"):
        known.start(task, 0.01 * number)
    known.end("a", 1.5, measured(0.0, 0.0, 1.5))
    known.start("c", 1.5)
    known.start("d", 1.6)
    known.answered("d")
    assert known.served == 2, "b and c may wait for it"
    known.answered("b")
    known.answered("c")
    assert known.served == 3


@pytest.mark.parametrize("slots", [1, 2])
def test_short_tasks_wait_for_less_and_are_noticed_all_the_same(slots):
    server = Server(slots, Concurrency(64), measured, streams=False, service=0.12)
    server.run(40)
    assert server.known.served <= slots


def test_prompts_that_take_long_while_nobody_makes_way_do_not_lower_a_guess():
    known = Concurrency(16, 4)
    known.start("alone", 0.0)
    known.end("alone", 1.0, Sample(1.0, 0.1, tokens=10))
    now = 1.0
    for number in range(30):
        for task in "ab":
            known.start(f"{task}{number}", now)
        known.end(f"a{number}", now + 1.0, Sample(1.0, 0.1, tokens=10))
        known.answered(f"b{number}")
        known.end(f"b{number}", now + 9.0, Sample(9.0, 5.0, tokens=10))
        now += 10.0
    assert known.served == 4


def test_many_fewer_slots_are_noticed_within_20_tasks():
    server = Server(16, Concurrency(64), measured)
    server.run(60)
    assert server.known.served == 16
    server.slots = 2
    server.run(20)
    seen = server.now
    server.run(40)
    assert server.known.served == 2
    assert server.waits_since(seen) == []


def test_tasks_of_no_time_at_all_are_no_trouble():
    known = Concurrency(64, served=2)
    for task in "ab":
        known.start(task, 0.0)
    for task in "ab":
        known.end(task, 1.0, Sample(1.0, 1.0, waited=1.0, load=0.0, tokens=1))
    assert known.served == 1


def test_the_end_of_one_that_was_sent_before_tells_nothing():
    """oq was started anew, or the backend has become one that loads models."""
    known = Concurrency(8)
    assert not known.end("t1", 1.0, Sample(1.0, 0.1, waited=5.0, load=0.0, tokens=10))
    assert known.allows(1.0)


@pytest.mark.parametrize("how", ["first byte", "whole"])
@pytest.mark.parametrize("slots", [1, 2])
def test_a_guess_is_looked_at_though_the_backend_was_down_at_first(slots, how):
    known = Concurrency(16, GUESSED)
    known.restarted(0.0)
    one = SharedSpeed(partial(scales_to, slots), known, how, slots=slots)
    one.run(100)
    assert set(one.served[-40:]) == {slots}


def test_a_restart_leaves_what_was_found():
    server = Server(2, Concurrency(64), measured)
    server.run(12)
    server.known.restarted(server.now)
    assert server.known.served == 2
    assert server.known.found
