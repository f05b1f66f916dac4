"""What was learnt of a backend is kept over a restart of oq, and nothing else is."""

from __future__ import annotations

from functools import partial

import pytest

from oq.rules.concurrency import Concurrency
from oq.rules.known_at_first import GUESSED, MOST_GUESSED
from oq.rules.learnt import recall, record_of
from oq.rules.place import Place
from oq.rules.residency import Group
from oq.rules.slots import BackendSlots
from oq.words.views import BackendFacts, SlotsSource
from tests.unit.rules.shared_speed import SharedSpeed, scales_to, thrashes_beyond

HOW: dict[SlotsSource, str] = {"measured": "measured", "guessed": "first byte"}


class Box:
    """A backend with a model that serves two at once, in front of an oq that is started anew."""

    def __init__(self, source: SlotsSource, said: BackendFacts | None = None) -> None:
        self.source = source
        self.said = said or BackendFacts(loaded=("m",))
        self.slots = self._start()

    def restart(self) -> None:
        record = record_of(self.slots)
        self.slots = self._start(record)

    def _start(self, record: bytes | None = None) -> BackendSlots:
        slots = BackendSlots("box", 64, self.source, max_models=1)
        if record is not None:
            recall(slots, record, 0.0)
        slots.note_facts(self.said, 0.0)
        return slots

    @property
    def group(self) -> Group:
        assert self.slots.residency is not None
        [group] = self.slots.residency.groups.values()
        return group

    def run(self, tasks: int) -> SharedSpeed:
        how = HOW[self.source]
        one = SharedSpeed(partial(scales_to, 2), self.group.concurrency, how, slots=2)
        one.run(tasks)
        return one


@pytest.mark.parametrize("source", HOW)
def test_what_was_found_of_a_model_is_kept(source):
    box = Box(source)
    box.run(60)
    assert box.group.concurrency.found
    box.group.load_time = 7.0
    box.restart()
    assert box.group.load_time == 7.0
    one = box.run(60)
    assert set(one.served) == {2}
    assert one.waited_inside == 0, "nothing is tried for a while"


@pytest.mark.parametrize("source", HOW)
def test_what_was_not_found_is_looked_at_after_a_restart_as_at_first(source):
    box = Box(source)
    box.run(1)
    box.restart()
    assert not box.group.concurrency.found
    one = box.run(80)
    assert set(one.served[-20:]) == {2}


def test_of_a_model_of_which_nothing_was_found_it_is_kept_how_long_a_load_takes():
    box = Box("measured")
    box.group.load_time = 7.0
    box.restart()
    assert box.group.load_time == 7.0


def test_a_record_that_has_what_was_never_found_is_not_believed():
    slots = BackendSlots("box", 64, "measured")
    recall(slots, b'{"groups":[["m:latest","",1,null,7.0]]}', 0.0)
    assert slots.residency is not None
    [group] = slots.residency.groups.values()
    assert group.load_time == 7.0
    one = SharedSpeed(partial(scales_to, 2), group.concurrency, "measured", slots=2)
    one.run(20)
    assert one.served[-1] == 2


@pytest.mark.parametrize(("again", "served"), [(4, 2), (None, 2), (3, 3)])
def test_what_was_found_of_a_model_counts_unless_the_backend_says_another_number(again, served):
    box = Box("guessed", BackendFacts(slots=4, loaded=("m",)))
    one = SharedSpeed(partial(thrashes_beyond, 2), box.group.concurrency, "first byte", slots=4)
    one.run(60)
    assert (box.group.concurrency.served, box.group.concurrency.found) == (2, True)
    box.said = BackendFacts(slots=again, loaded=("m",))
    box.restart()
    assert box.group.concurrency.served == served


def test_two_groups_of_which_nothing_is_known_go_on_to_learn_as_one():
    known = Concurrency(64)
    known.adopt(Concurrency(64), 0.0)
    one = SharedSpeed(partial(scales_to, 4), known, "measured", slots=4)
    one.run(20)
    assert one.served[-1] == 4


def test_a_group_takes_over_what_was_found_of_another_only_if_nothing_was_found_of_it():
    found, other = Concurrency(64), Concurrency(64)
    for known, slots in ((found, 2), (other, 4)):
        SharedSpeed(partial(scales_to, slots), known, "measured", slots=slots).run(60)
    new = Concurrency(MOST_GUESSED, GUESSED)
    new.adopt(found, 0.0)
    assert (new.served, new.refused, new.reason) == (found.served, found.refused, found.reason)
    found.adopt(other, 0.0)
    assert found.served == 2


def test_a_record_that_cannot_be_read_is_of_no_use():
    slots = BackendSlots("box", 64, "measured")
    recall(slots, b"{nonsense", 0.0)
    assert slots.residency is not None
    assert not slots.residency.groups


@pytest.mark.parametrize(("again", "starts"), [(1, 1), (4, 4), (None, 1)])
def test_a_server_of_one_slot_gets_one_task_after_a_restart_until_it_says_its_number(again, starts):
    slots = BackendSlots("box", 64, "guessed")
    assert slots.note_facts(BackendFacts(1), 0.0), "that is to be kept"
    assert not slots.note_facts(BackendFacts(1), 1.0)
    later = BackendSlots("box", 64, "guessed")
    recall(later, record_of(slots), 0.0)
    assert later.concurrency is not None
    assert later.concurrency.served == 1
    later.note_facts(BackendFacts(again), 0.0)
    assert later.serves(Place(5, "m")) == (None if again is None else starts)
    assert later.is_open(0.0)
    if again is None:
        later.take("t1", Place(5, "m"), 0.0)
        assert later.try_at(0.0) == pytest.approx(0.1), "it may be another one, so more are tried"


def test_what_was_found_is_kept_until_a_server_says_what_it_has_in_memory():
    """As a router does, or llama-swap, when it is asked first, which may be late."""
    box = Box("guessed")
    box.run(60)
    box.group.load_time = 7.0
    assert box.slots.residency is not None
    box.slots.residency.learnt = 2
    record = record_of(box.slots)
    for _ in range(2):  # the first one is started anew before it is asked
        slots = BackendSlots("box", 64, "guessed")
        recall(slots, record, 0.0)
        assert slots.residency is None, "it may be another server by now"
        record = record_of(slots)
    slots.note_facts(BackendFacts(loaded=("m",), digests={"m": "x"}), 0.0)
    assert slots.residency is not None
    assert slots.residency.learnt == 2
    [group] = slots.residency.groups.values()
    assert (group.key, group.load_time, group.concurrency.served) == (("x", ""), 7.0, 2)
