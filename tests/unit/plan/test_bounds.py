"""What each policy promises, on drawn traffic. The policies are those of a queue, so these are
tests of them, too.
"""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from oq.plan import replay as module
from oq.rules.affinity import Affinity
from oq.rules.fifo import Fifo
from oq.rules.policies import POLICIES
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


class StrictlyByPriority:
    """No task starts where one of a higher priority could start."""

    def next(self, now):
        choice = super().next(now)
        if choice is not None:
            backend = self._fleet.by_name[choice.backend]
            for task_id in self.in_line():
                place = self.place_of(task_id)
                if place.priority <= choice.place.priority:
                    break
                assert not backend.room(place, now).starts, f"{task_id} could start"
        return choice


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


@seed(14)
@settings(max_examples=400, deadline=None, database=None)
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


@seed(16)
@settings(max_examples=400, deadline=None, database=None)
@given(TASKS, BOX, LOADS, st.integers(2, 3))
def test_first_in_first_out_on_several_servers_passes_nobody_over(tasks, box, load, backends):
    """The first may wait for one of them, and for what runs there; nothing more is sent there."""
    replayed = run(tasks, "fifo", load, **box, backends=backends)
    check(replayed, load)
    assert replayed.late == 0


@seed(15)
@settings(max_examples=800, deadline=None, database=None)
@given(TASKS, BOX, LOADS, BYPASS, st.integers(1, 3))
def test_affinity_passes_nobody_over_for_longer_than_it_may(tasks, box, load, bypass, backends):
    replayed = run(tasks, f"affinity,max_bypass={bypass}s", load, **box, backends=backends)
    check(replayed, load)
    assert replayed.late == 0
    if backends == 1:
        check_priorities(replayed)


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
