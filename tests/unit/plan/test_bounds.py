"""What each policy promises, on drawn traffic. The policies are those of a queue, so these are
tests of them, too. `make test-histories` draws ten thousand of each kind.
"""

from __future__ import annotations

from itertools import combinations
from os import environ
from random import Random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oq.plan import replay as module
from oq.rules.affinity import Affinity
from oq.rules.fifo import Fifo
from oq.rules.policies import POLICIES
from oq.rules.shares import EXPECTED, Shares
from oq.words.task import Priority
from tests.unit.plan.builders import asked, run

LOADS = st.sampled_from([0.0, 0.3, 2.0, 10.0])
TASKS = st.lists(
    st.builds(
        asked,
        at=st.integers(0, 400).map(lambda n: n / 4),
        model=st.sampled_from("aaabbc"),
        took=st.integers(0, 80).map(lambda n: n / 4),
        priority=st.sampled_from([5, 5, 5, 10, 1]),
    ),
    min_size=1,
    max_size=60,
)
BOX = st.fixed_dictionaries({"slots": st.integers(1, 3), "models": st.integers(1, 2)})
BYPASS = st.sampled_from([0, 1, 5, 30])
POLICY = st.sampled_from(["fifo", "affinity"])
TENANTS = st.sampled_from(["ann", "bob", "bob", "bob", "cy", None])


def histories(usual: int, most: int | None = None) -> settings:
    """So many of them, or as many as the variable says, but not more than `most`."""
    number = int(environ.get("OQ_HISTORIES", usual))
    number = number if most is None else min(number, most)
    return settings(max_examples=number, deadline=None, database=None)


class StrictlyByPriority:
    """No task starts where one of a higher priority could start, and no slot is left free for which
    a task waits that nobody before it keeps.
    """

    def next(self, now):
        choice = super().next(now)
        if choice is None and self._shares is None:
            self.check_all_wait(now)
        elif choice is not None:
            backend = self._fleet.by_name[choice.backend]
            for task_id in self.in_line():
                place = self.place_of(task_id)
                if place.priority <= choice.place.priority:
                    break
                could = backend.room(place, now).starts and not self.holds_back(place, now)
                assert not could, f"{task_id} could start"
        return choice

    def check_all_wait(self, now):
        kept = set()
        for task_id in self.in_line():
            place = self.place_of(task_id)
            able = self._fleet.able(place.model, now)
            held_back = self.holds_back(place, now) or ""
            free = [one for one in able if one.room(place, now).starts and one.name not in kept]
            assert held_back or not free, f"{task_id} could start on {free[0].name}"
            if "idle_after" not in held_back:
                kept.update(one.name for one in able)


class StrictFifo(StrictlyByPriority, Fifo):
    pass


class StrictAffinity(StrictlyByPriority, Affinity):
    pass


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setitem(POLICIES, "fifo", StrictFifo)
    monkeypatch.setitem(POLICIES, "affinity", StrictAffinity)


def check(replayed, load: float) -> None:
    """Each ran once (`Machine.send` asserts it), and none waited inside a server but for a load."""
    for call in replayed.calls:
        assert call.asked.at <= call.sent <= call.began <= call.ended < float("inf")
        assert call.began - call.sent in (pytest.approx(0), pytest.approx(load))


def check_priorities(replayed) -> None:
    """On one server nothing starts while a task of a higher priority waits."""
    for call in replayed.calls:
        for other in replayed.calls:
            if other.asked.priority > call.asked.priority:
                assert not other.asked.at < call.sent < other.sent, (call, other)


@pytest.mark.slow
@seed(14)
@histories(400)
@given(TASKS, BOX, LOADS, st.sampled_from(["fifo", "plain"]))
def test_first_in_first_out_on_one_server(tasks, box, load, policy):
    replayed = run(tasks, policy, load, **box)
    check(replayed, load)
    assert replayed.late == 0
    if policy == "fifo":
        check_priorities(replayed)
    for before, call in combinations(replayed.calls, 2):
        if policy == "plain" or before.asked.priority == call.asked.priority:
            assert before.sent <= call.sent


@pytest.mark.slow
@seed(16)
@histories(400)
@given(TASKS, BOX, LOADS, st.integers(2, 3))
def test_first_in_first_out_on_several_servers_passes_nobody_over(tasks, box, load, backends):
    """The first may wait for one of them, and for what runs there; nothing more is sent there."""
    replayed = run(tasks, "fifo", load, **box, backends=backends)
    check(replayed, load)
    assert replayed.late == 0


@pytest.mark.slow
@seed(15)
@histories(800)
@given(TASKS, BOX, LOADS, BYPASS, st.integers(1, 3))
def test_affinity_passes_nobody_over_for_longer_than_it_may(tasks, box, load, bypass, backends):
    replayed = run(tasks, f"affinity,max_bypass={bypass}s", load, **box, backends=backends)
    check(replayed, load)
    assert replayed.late == 0
    if backends == 1:
        check_priorities(replayed)


@pytest.mark.slow
@seed(21)
@histories(30, most=500)  # each of them takes a fifth of a second
@given(st.integers(0, 2**32))
def test_nor_where_one_model_needs_more_than_one_of_several_servers(number):
    random = Random(number)
    backends, slots, took = (
        random.choice([2, 2, 3]),
        random.choice([2, 4, 6]),
        random.choice([1, 3]),
    )
    busy = random.choice([1.0, 1.5]) * backends * slots * 20 / took
    models = random.choice(["aaab", "aab", "ab", "abc"])
    tasks = [
        asked(random.randrange(80) / 4, random.choice(models), took=random.uniform(0, 2 * took))
        for _ in range(int(busy))
    ]
    bypass, load = random.choice([0, 1, 5]), random.choice([0.3, 2.0])
    replayed = run(
        tasks, f"affinity,max_bypass={bypass}s", load, slots=slots, models=1, backends=backends
    )
    assert replayed.late == 0


# -- fairness between tenants

SERVED = st.lists(
    st.builds(
        asked,
        at=st.integers(0, 100).map(lambda n: n / 4),
        model=st.sampled_from("aab"),
        took=st.integers(1, 40).map(lambda n: n / 4),
        tenant=TENANTS,
        tokens=st.integers(1, 2000),
    ),
    min_size=2,
    max_size=60,
)


def largest_difference(calls, one: str | None, other: str | None) -> float:
    """By how much the service of two tenants differed over any time in which both had tasks that
    waited. A task counts when it starts, with all that it costs.
    """
    times = sorted({call.asked.at for call in calls} | {call.sent for call in calls})
    ahead, least, most, worst = 0.0, 0.0, 0.0, 0.0
    for time in times:
        for call in calls:
            if call.sent == time and call.asked.tenant in (one, other):
                cost = call.asked.tokens + call.asked.generated
                ahead += cost if call.asked.tenant == one else -cost
        least, most = min(least, ahead), max(most, ahead)
        worst = max(worst, most - least)
        waiting = {call.asked.tenant for call in calls if call.asked.at <= time < call.sent}
        if not {one, other} <= waiting:
            least = most = ahead
    return worst


@seed(17)
@histories(300)
@given(SERVED, st.integers(1, 3), LOADS, st.sampled_from([0, 500, 3000]), POLICY)
def test_tenants_that_have_work_get_the_same(tasks, slots, load, quantum, policy):
    """Each counter is within the quantum of the least when a task of its tenant starts, but for
    what is not known of the tasks that run: the cost of one for each slot.
    """
    replayed = run(tasks, f"{policy},fairness=true,quantum={quantum}", load, slots=slots)
    check(replayed, load)
    largest = max(EXPECTED, *(call.asked.tokens + call.asked.generated for call in replayed.calls))
    for one, other in combinations(["ann", "bob", "cy", None], 2):
        found = largest_difference(replayed.calls, one, other)
        assert found <= 2 * (quantum + (slots + 1) * largest), (one, other)


def flood_and_trickle():
    flood = [asked(0, took=1, tenant="ann", tokens=1000, generated=0) for _ in range(60)]
    trickle = [asked(5, took=1, tenant="bob", tokens=1000, generated=0) for _ in range(20)]
    return [*flood, *trickle]


def test_fairness_that_does_not_count_is_caught(monkeypatch):
    calls = run(flood_and_trickle(), "fifo,fairness=true,quantum=0", slots=1).calls
    assert largest_difference(calls, "ann", "bob") <= 2000
    monkeypatch.setattr(Shares, "ended", lambda *_: None)
    monkeypatch.setattr(Shares, "started", lambda *_: None)
    calls = run(flood_and_trickle(), "fifo,fairness=true,quantum=0", slots=1).calls
    assert largest_difference(calls, "ann", "bob") > 4000


# -- the other rules


@seed(18)
@histories(300)
@given(TASKS, BOX, LOADS, POLICY, st.integers(1, 2))
def test_a_reserve_is_not_given_to_lower_tasks(tasks, box, load, policy, kept):
    replayed = run(tasks, f"{policy},reserve=high:{kept}", load, **box)
    check(replayed, load)
    low = [call for call in replayed.calls if call.asked.priority < Priority.HIGH]
    for call in low:
        alike = [
            other
            for other in low
            if other.asked.model == call.asked.model and other.sent <= call.sent < other.ended
        ]
        assert len(alike) <= max(1, box["slots"] - kept)


@seed(19)
@histories(300)
@given(TASKS, BOX, LOADS, POLICY)
def test_idle_tasks_start_only_when_it_was_quiet(tasks, box, load, policy):
    tasks = [replace(task, priority=0 if task.priority == 1 else task.priority) for task in tasks]
    replayed = run(tasks, f"{policy},idle_after=7s", load, **box)
    check(replayed, load)
    for idle in replayed.calls:
        for other in replayed.calls:
            if idle.asked.priority == 0 < other.asked.priority:
                assert not other.sent < idle.sent < other.ended + 7, (idle, other)


@seed(20)
@histories(300)
@given(TASKS, BOX, LOADS, POLICY, st.integers(1, 3))
def test_preempted_tasks_end_all_the_same_and_not_more_often_than_they_may(
    tasks, box, load, policy, most
):
    critical = {10: Priority.CRITICAL}
    tasks = [replace(task, priority=critical.get(task.priority, task.priority)) for task in tasks]
    replayed = run(tasks, f"{policy},preempt=true,max_preemptions={most}", load, **box)
    batch = max(task.reads for task in tasks)
    for call in replayed.calls:
        waited = call.began - call.sent
        assert waited <= 2 * load + batch, "what began for one that was preempted goes on"
        assert call.ended == pytest.approx(call.began + call.asked.reads + call.asked.writes)
        assert call.broken_off <= (most if call.asked.priority <= Priority.LOW else 0)


def test_a_call_that_takes_no_time_is_preempted_while_its_model_is_loaded():
    low = asked(0, took=0, priority=Priority.LOW)
    critical = asked(0, took=1, priority=Priority.CRITICAL)
    first, last = run([low, critical], "fifo,preempt=true", load=0.3).calls
    assert first.broken_off == 1
    assert last.ended <= first.ended


def test_a_policy_without_the_bound_is_caught(monkeypatch):
    class Unbounded(StrictAffinity):
        def __init__(self, fleet, settings, fairness):
            super().__init__(fleet, settings)
            self._max_bypass = float("inf")

    monkeypatch.setitem(POLICIES, "affinity", Unbounded)
    tasks = [asked(n, "a", took=1.5) for n in range(200)] + [asked(30.5, "b")]
    assert run(tasks, "affinity", 1, slots=2).late == 1


def test_a_policy_without_priorities_is_caught(monkeypatch):
    class Flat(StrictFifo):
        def add(self, task_id, place):
            super().add(task_id, place)
            self._ready.first = lambda: (self.oldest(), self.place_of(self.oldest()))

        def _first_on(self, backend, now):
            starts = backend.room(self.place_of(self.oldest()), now).starts
            return self._chosen(self.oldest(), backend) if starts else None

    monkeypatch.setitem(POLICIES, "fifo", Flat)
    with pytest.raises(AssertionError, match="could start"):
        run([asked(0, took=20), asked(1), asked(2, priority=10)], "fifo")


def test_the_policies_of_the_queue_are_replayed():
    assert module.POLICIES is POLICIES
