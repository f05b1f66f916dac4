"""What a backend has in memory, and when another model may be loaded there."""

from __future__ import annotations

from itertools import count
from math import inf

import pytest

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.learnt import recall, record_of
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.residency import LATE, SILENT
from oq.rules.shown_slots import slots_of
from oq.rules.slots import ASK_AGAIN, BackendSlots
from oq.words.config import PolicyName, SchedulerConfig
from oq.words.messages import Ended, Job, Look
from oq.words.sample import Sample
from oq.words.views import BackendFacts
from tests.support.builders import task_id

DONE = Sample(1.5, 0.1, waited=0.01, load=0.0, tokens=10)


def place(model: str, priority: int = 5, load: str = "") -> Place:
    return Place(priority, model, load=load)


class Story:
    """A board with one backend, in virtual time. It says that it has these `slots`, or they are
    `set_to` a number, or else they are measured.
    """

    def __init__(
        self,
        policy: PolicyName = "fifo",
        *,
        max_models: int | None = None,
        slots: int | None = None,
        set_to: int | None = None,
        max_bypass: float = 30.0,
    ) -> None:
        source = "guessed" if slots else "set" if set_to else "measured"
        self.slots = BackendSlots("box", set_to or 64, source, max_models=max_models)
        if slots or set_to:
            self.slots.note_facts(BackendFacts(slots=slots, loaded=()), 0.0)
        self.now = 0.0
        self.numbers = count(1)
        settings = SchedulerConfig(affinity=policy == "affinity", max_bypass=max_bypass)
        fleet = Fleet([self.slots])
        self.board = Board(64, fleet, POLICIES[policy](fleet, settings), paused=False)
        self.board.load([])

    def add(self, *places: Place) -> list[str]:
        """Tasks come, one after the other; their ids."""
        tasks = [task_id(next(self.numbers)) for _ in places]
        for task, where in zip(tasks, places, strict=True):
            self.board.place(task, where)
        return tasks

    def starts(self) -> list[str]:
        """What starts now."""
        jobs = self.board.starts(self.now)
        return [job.task_id for job in jobs]

    def starts_later(self) -> bool:
        """Whether one more may be tried now."""
        return self.slots.room(place("b"), self.now).starts

    def answers(self, *tasks: str) -> None:
        for task in tasks:
            self.board.answered(task, self.now)

    def ends(self, task: str, after: float = 1.5, sample: Sample | None = DONE) -> None:
        self.now += after
        self.board.free(task, self.now, Ended(served=sample is not None, sample=sample))
        self.board.end(task)

    def lists(self, *models: str, asked_at: float | None = None) -> None:
        """The backend is asked, now or then, and says that these are in memory."""
        self.board.note_facts("box", BackendFacts(loaded=models), self.now, asked_at)


def test_a_swap_waits_until_what_runs_has_ended_and_nothing_overtakes_it():
    story = Story(max_models=1, slots=2)
    b1, b2, c1, b3 = story.add(place("b"), place("b"), place("c"), place("b"))
    assert story.starts() == [b1], "while b is loaded, it goes alone"
    story.answers(b1)
    assert story.starts() == [b2]
    story.answers(b2)
    story.ends(b1)
    assert story.starts() == [], "c waits for b to end, and b's next does not pass"
    assert story.board.waits_for(c1, story.now) == "box: b → c, 1 of b still running"
    assert story.board.waits_for(b3, story.now) == "tasks before it"
    story.ends(b2)
    assert story.starts() == [c1], "alone"
    assert story.board.swap_on(story.slots, story.now) == "loads c"
    story.answers(c1)
    assert story.starts() == [], "b is not in memory any more"
    story.ends(c1)
    assert story.starts() == [b3]


def test_no_swap_is_said_as_long_as_affinity_lets_others_go_first():
    story = Story("affinity", max_models=1, slots=2, max_bypass=30.0)
    b1, b2, c1, b3, _ = story.add(place("b"), place("b"), place("c"), place("b"), place("b"))
    story.starts()
    story.answers(b1)
    assert story.starts() == [b2]
    story.answers(b2)
    said = "box: tasks of models in memory go first for a while (scheduler.affinity)"
    assert story.board.waits_for(c1, story.now) == said
    assert story.board.swap_on(story.slots, story.now) is None
    story.ends(b1)
    assert story.starts() == [b3], "as it said"
    story.now += 30.0
    assert story.board.waits_for(c1, story.now) == "box: b → c, 2 of b still running"
    assert story.board.swap_on(story.slots, story.now) == "b → c, 2 of b still running"
    story.ends(b2)
    assert story.starts() == [], "now c is next"


def test_a_swap_is_said_if_nobody_goes_first_though_affinity_would_let_them():
    story = Story("affinity", max_models=1, slots=1)
    b1, c1 = story.add(place("b"), place("c"))
    assert story.starts() == [b1]
    story.answers(b1)
    assert story.starts() == []
    assert story.board.waits_for(c1, story.now) == "box: b → c, 1 of b still running"


@pytest.mark.parametrize("slow", [False, True])
def test_a_list_from_before_a_load_was_done_says_nothing_of_it(slow):
    """The backend was slow to say it: by then the task that the load was for had ended. Two models
    in turns would be loaded for each task.
    """
    story = Story("affinity", max_models=1)
    b1, c1, b2 = story.add(place("b"), place("c"), place("b"))
    assert story.starts() == [b1]
    asked_at = story.now = 1.0
    if not slow:
        story.lists(asked_at=asked_at)
    story.now = 2.0
    story.answers(b1)
    story.ends(b1)
    if slow:
        story.lists(asked_at=asked_at)
    assert story.starts() == [b2], "b is in memory"
    story.ends(b2)
    story.lists("b", asked_at=story.now)
    assert story.starts() == [c1]


def test_a_list_from_before_a_model_was_used_says_nothing_of_it():
    story = Story("affinity", max_models=1)
    b1, c1, b2 = story.add(place("b"), place("c"), place("b"))
    story.starts()
    story.answers(b1)
    story.lists("b")
    story.ends(b1)
    story.lists(asked_at=story.now - 0.1)
    assert story.starts() == [b2]
    story.ends(b2)
    story.lists(asked_at=story.now)
    assert story.starts() == [c1]


def test_where_it_turns_out_that_one_fits_those_that_were_sent_end_first():
    """Two models were sent tasks, as it was not known that one fits. While both had some, the
    backend would load one after the other.
    """
    story = Story(slots=2)
    a1, b1, a2, b2, a3 = story.add(*map(place, "ababa"))
    assert story.starts() == [a1]
    story.answers(a1)
    assert story.starts() == [b1, a2]
    story.ends(a1)
    story.answers(b1)
    story.lists("b", asked_at=story.now)
    assert story.starts() == [], "a2 waits inside, and a is not in memory any more"
    story.ends(b1)
    assert story.starts() == [], "its turn comes now"
    story.answers(a2)
    story.ends(a2)
    assert story.starts() == [b2]
    story.answers(b2)
    story.ends(b2)
    assert story.starts() == [a3]


def test_a_more_urgent_task_for_the_model_in_memory_goes_before_a_swap():
    story = Story(max_models=1, slots=2)
    b1, c1 = story.add(place("b"), place("c"))
    assert story.starts() == [b1]
    story.answers(b1)
    (b2,) = story.add(place("b", priority=15))
    assert story.starts() == [b2]
    story.answers(b2)
    story.ends(b1)
    story.ends(b2)
    assert story.starts() == [c1]


def test_where_there_is_room_models_run_side_by_side():
    story = Story(max_models=2, slots=4)
    b1, c1, b2, c2 = story.add(place("b"), place("c"), place("b"), place("c"))
    assert story.starts() == [b1], "one load at a time"
    story.answers(b1)
    assert story.starts() == [c1, b2]
    story.answers(c1)
    assert story.starts() == [c2]


def test_a_model_in_memory_goes_on_while_another_is_loaded_beside_it():
    story = Story(max_models=2, slots=4)
    (b1,) = story.add(place("b"))
    assert story.starts() == [b1]
    story.answers(b1)
    c1, b2 = story.add(place("c"), place("b"))
    assert story.starts() == [c1, b2]


def full_of(*models: str) -> tuple[Story, list[str]]:
    """A backend with room for these models, and a task of each that it answers."""
    story = Story(max_models=len(models), slots=4)
    tasks = story.add(*map(place, models))
    for task in tasks:
        story.starts()
        story.answers(task)
    return story, tasks


def test_of_several_models_that_are_full_the_idle_one_leaves():
    story, (b1, _) = full_of("b", "c")
    story.ends(b1)
    (b2,) = story.add(place("d"))
    assert story.starts() == [b2], "b has nothing to do"
    story.answers(b2)
    assert {group.name for group in story.slots.residency.loaded} == {"c", "d"}


def test_nothing_overtakes_a_swap_where_several_models_fit_either():
    story, (_, b1) = full_of("a", "b")
    story.ends(b1)
    c1, a2 = story.add(place("c"), place("a"))
    assert story.starts() == [c1], "b leaves for it, and it goes alone, though a is in memory"
    story.answers(c1)
    assert story.starts() == [a2]


def test_another_load_of_the_same_model_waits_for_its_tasks_only():
    story = Story()
    b1, c1 = story.add(place("b"), place("c"))
    story.starts()
    story.answers(b1)
    story.starts()
    story.answers(c1)
    (b2,) = story.add(place("b", load="num_ctx=4096"))
    assert story.starts() == []
    story.ends(b1)
    assert story.starts() == [b2]
    assert story.board.swap_on(story.slots, story.now) == "loads b (num_ctx=4096)"


def test_two_names_of_one_model_are_one():
    story = Story(max_models=1, slots=4)
    story.slots.note_facts(
        BackendFacts(loaded=(), digests={"b:latest": "x", "copy:latest": "x", "c:latest": "y"}), 0.0
    )
    b1, b2, _ = story.add(place("b"), place("copy"), place("c"))
    assert story.starts() == [b1]
    story.answers(b1)
    assert story.starts() == [b2]


def test_a_load_that_is_silent_while_others_run_shows_that_there_is_no_room():
    story = Story(slots=4)
    (b1,) = story.add(place("b"))
    assert story.starts() == [b1]
    story.answers(b1)
    (c1,) = story.add(place("c"))
    assert story.starts() == [c1], "nobody knows yet that only one fits"
    (b2,) = story.add(place("b"))
    assert story.starts() == [b2]
    story.now = SILENT - 1.0
    story.lists("b")
    assert story.slots.residency.most is None, "it may be a slow load"
    assert story.board.due(story.now) == SILENT
    story.now = SILENT
    assert story.board.looks(story.now) == [Look("box")], "though nothing waits"
    story.lists("b")
    (b3,) = story.add(place("b"))
    assert story.starts() == [], "from now on c is let through"
    assert story.slots.residency.most == 1
    story.ends(b1)
    story.ends(b2)
    story.answers(c1)
    assert story.starts() == []
    story.ends(c1)
    assert story.starts() == [b3]
    story.answers(b3)
    story.add(place("c"))
    assert story.starts() == [], "the second time it is known"


def test_a_load_that_is_silent_because_it_reads_a_long_prompt_shows_nothing():
    story = Story(slots=4)
    (b1, c1) = story.add(place("b"), place("c"))
    assert story.starts() == [b1]
    story.answers(b1)
    assert story.starts() == [c1]
    story.now = 2 * SILENT
    (b2,) = story.add(place("b"))
    assert story.starts() == [b2], "nobody has looked"
    story.lists("b", "c")
    assert story.slots.residency.load is None
    assert story.slots.residency.most is None
    assert story.board.due(story.now) > story.now
    assert story.board.looks(story.now) == []


def test_a_load_that_drove_another_out_shows_how_many_there_is_room_for():
    story = Story(slots=4)
    (b1,) = story.add(place("b"))
    story.starts()
    story.answers(b1)
    story.ends(b1)
    story.lists("b")
    (c1,) = story.add(place("c"))
    story.starts()
    story.answers(c1)
    story.ends(c1)
    assert story.slots.look_at(waits=True) <= story.now
    story.lists("c")
    assert story.slots.residency.most == 1
    story.lists("b", "c")
    assert story.slots.residency.most == 2, "it has seen better"


def test_a_model_that_left_because_nobody_used_it_shows_nothing():
    story = Story(slots=4)
    (b1,) = story.add(place("b"))
    story.starts()
    story.answers(b1)
    story.ends(b1)
    story.now += 600
    (c1,) = story.add(place("c"))
    story.starts()
    story.answers(c1)
    story.lists("c")
    assert story.slots.residency.most is None


@pytest.mark.parametrize(("late", "most"), [(LATE, 1), (2 * LATE, None)])
def test_a_model_that_left_by_itself_after_a_load_shows_nothing(late, most):
    """Nothing waited just after the load, so nobody looked then."""
    story = Story(slots=4)
    for model in "bc":
        (task,) = story.add(place(model))
        assert story.starts() == [task]
        story.answers(task)
        story.lists("b") if model == "b" else None
        story.ends(task, after=0.0)
    story.now += late
    story.lists("c")
    assert story.slots.residency.most == most
    assert story.slots.look_at(waits=True) == inf, "it was asked"


def test_models_that_get_other_names_after_a_load_have_not_left():
    story = Story()
    for model in "bc":
        (task,) = story.add(place(model))
        assert story.starts() == [task]
        story.answers(task)
        story.lists("b") if model == "b" else None
    digests = {"b": "x", "c": "y"}
    story.slots.note_facts(BackendFacts(loaded=("b", "c"), digests=digests), story.now)
    assert story.slots.residency.learnt is None


def test_while_a_model_is_loaded_and_something_waits_the_backend_is_asked():
    story = Story(max_models=1, slots=4)
    b1, b2 = story.add(place("b"), place("b"))
    assert story.starts() == [b1]
    assert story.board.looks(0.0) == [Look("box")]
    assert story.board.due(0.0) == ASK_AGAIN
    assert story.board.looks(0.1) == []
    story.lists("b")
    assert story.starts() == [b2], "it is in memory, though no byte has come"


@pytest.mark.parametrize("sample", [DONE, None], ids=["answered whole", "failed"])
def test_a_load_is_over_when_its_task_is(sample):
    story = Story(max_models=1, slots=4)
    b1, c1 = story.add(place("b"), place("c"))
    story.starts()
    story.ends(b1, sample=sample)
    assert story.starts() == [c1]


def test_with_affinity_the_model_in_memory_goes_first_for_a_bounded_time():
    story = Story("affinity", max_models=1, slots=1, max_bypass=10.0)
    b1, c1, c2 = story.add(place("b"), place("c"), place("c"))
    bs = story.add(*[place("b")] * 10)
    ran = []
    while started := story.starts():
        ran += started
        story.answers(*started)
        story.ends(started[0], after=1.5)
    passed = ran.index(c1)
    assert ran[:passed] == [b1, *bs[:6]], "the first was passed over for 10 s, and one service"
    assert ran[passed : passed + 2] == [c1, c2], "now c is in memory"
    assert ran[passed + 2 :] == bs[6:]


def test_a_lower_priority_does_not_start_where_a_higher_one_waits():
    story = Story("affinity", max_models=1, slots=2)
    (b1,) = story.add(place("b", priority=1))
    story.starts()
    story.answers(b1)
    story.add(place("c", priority=9), place("b", priority=1))
    assert story.starts() == []


def test_on_several_backends_those_behind_start_where_the_first_does_not_wait():
    fleet = Fleet([BackendSlots("one", 1, max_models=1), BackendSlots("two", 2, max_models=1)])
    board = Board(64, fleet, POLICIES["fifo"](fleet, SchedulerConfig()), paused=False)
    board.load([])
    b1, c1, b2, c2 = (task_id(n) for n in range(4))
    for task, model in ((b1, "b"), (c1, "c")):
        board.place(task, place(model))
        next(board.starts(0.0), None)
        board.answered(task, 0.0)
    board.place(b2, place("b"))
    board.place(c2, place("c"))
    assert next(board.starts(0.0), None) == Job(c2, "two", True, True)
    assert next(board.starts(0.0), None) is None


def test_facts_that_name_a_part_of_the_models_leave_each_group_one():
    story = Story(slots=2)
    story.slots.note_facts(BackendFacts(loaded=(), digests={"b": "x", "c": "y"}), 0.0)
    (b1,) = story.add(place("b"))
    story.starts()
    story.answers(b1)
    for digests in ({"b": "x"}, {"c": "y"}, {"b:latest": "x"}):
        story.slots.note_facts(BackendFacts(loaded=("b",), digests=digests), 0.0)
    assert [group.key for group in story.slots.residency.groups.values()] == [("x", "")]
    assert story.slots.residency.groups["x", ""].loaded


def test_one_that_lists_nothing_while_it_runs_a_model_is_not_believed():
    story = Story()
    b1, c1 = story.add(place("b"), place("c"))
    assert story.starts() == [b1]
    story.answers(b1)
    story.lists()
    assert not story.slots.residency.blind, "the list may be from before b was loaded"
    story.lists()
    assert story.slots.residency.blind
    assert story.starts() == [c1], "nobody knows what it has in memory"
    (c2,) = story.add(place("c"))
    story.answers(c1)
    story.ends(c1)
    assert story.starts() == [c2]
    assert story.slots.residency.load is None
    story.lists()
    assert story.slots.residency.blind
    story.lists("c")
    assert not story.slots.residency.blind, "it names what it runs"


def test_a_list_is_believed_that_is_empty_because_the_model_left_at_once():
    """As with `keep_alive` 0: the next task has it loaded again."""
    story = Story()
    b1, b2 = story.add(place("b"), place("b"))
    assert story.starts() == [b1]
    story.answers(b1)
    story.ends(b1)
    assert story.starts() == [b2]
    story.lists()
    story.lists()
    assert not story.slots.residency.blind


def test_a_model_that_is_listed_under_a_name_nobody_knows_changes_nothing_for_the_others():
    story = Story(slots=2)
    (alias,) = story.add(place("alias"))
    assert story.starts() == [alias]
    story.answers(alias)
    for _ in range(2):
        story.lists("real")
    story.ends(alias)
    story.lists("real")
    again, c1 = story.add(place("alias"), place("c"))
    assert story.starts() == [again, c1], "it is in memory, and there is room for c"
    story.answers(c1)
    story.lists("real", "c")
    assert story.slots.residency.learnt is None, "that it is not listed does not mean that it left"


def test_room_for_more_is_learnt_when_more_is_seen_in_memory_after_a_load():
    story = Story()
    for model, seen in (("b", "b"), ("c", "c"), ("b", "bc"), ("d", "bcd")):
        (task,) = story.add(place(model))
        assert story.starts() == [task]
        story.answers(task)
        story.lists(*seen)
        story.ends(task)
        if model == "c":
            assert story.slots.residency.learnt == 1
    assert story.slots.residency.learnt == 3


@pytest.mark.parametrize("ends_first", [0, 1])
def test_a_copy_made_meanwhile_is_found_to_be_the_same_and_what_runs_of_both_counts(ends_first):
    story = Story()
    story.slots.note_facts(BackendFacts(loaded=(), digests={"b": "x"}), 0.0)
    (b1,) = story.add(place("b"))
    assert story.starts() == [b1]
    story.answers(b1)
    story.lists("b")
    (copy,) = story.add(place("copy"))
    assert story.starts() == [copy], "nobody knows yet that it is the same"
    assert story.board.looks(story.now) == [Look("box", full=True)]
    digests = {"b": "x", "copy": "x"}
    story.slots.note_facts(BackendFacts(loaded=("b",), digests=digests), story.now)
    assert story.board.looks(story.now) == [], "once"
    [group] = story.slots.residency.groups.values()
    assert (group.loaded, group.concurrency.running) == (True, 2)
    running = [b1, copy]
    story.answers(copy)
    story.ends(running.pop(ends_first))
    assert group.concurrency.running == 1
    story.ends(running.pop())
    assert group.concurrency.running == 0


def test_a_load_that_turns_out_to_be_of_a_model_in_use_goes_on_as_its_load():
    story = Story()
    story.slots.note_facts(BackendFacts(loaded=(), digests={"b": "x"}), 0.0)
    (b1,) = story.add(place("b"))
    assert story.starts() == [b1]
    story.answers(b1)
    story.lists("b")
    (copy,) = story.add(place("copy"))
    assert story.starts() == [copy]
    story.now += 1.0
    story.ends(b1)
    (b2,) = story.add(place("b"))
    assert story.starts() == [b2], "b was used last"
    digests = {"b": "x", "copy": "x"}
    story.slots.note_facts(BackendFacts(loaded=("b",), digests=digests), story.now, 0.0)
    [group] = story.slots.residency.groups.values()
    assert (group.loaded, group.concurrency.running) == (True, 2)
    assert story.slots.residency.load.group is group
    story.answers(copy)
    assert story.slots.residency.load is None


def test_a_number_in_the_settings_holds_while_a_model_is_loaded_too():
    story = Story(set_to=3)
    tasks = story.add(*[place("b")] * 4)
    assert story.starts() == tasks[:3]
    story.ends(tasks[0])
    assert story.starts() == tasks[3:]


def test_a_model_that_others_have_loaded_has_its_name_and_keeps_it():
    slots = Story().slots
    slots.note_facts(BackendFacts(loaded=("b",), digests={"b": "x"}), 0.0)
    assert [one.model for one in slots_of(slots)] == ["b"]
    slots.note_facts(BackendFacts(loaded=("b",), digests={"b": "x", "c": "y"}), 1.0)
    assert [one.model for one in slots_of(slots)] == ["b"]
    again = Story().slots
    recall(again, record_of(slots), 0.0)
    again.note_facts(BackendFacts(loaded=("b",), digests={"b": "x", "c": "y"}), 0.0)
    assert [one.model for one in slots_of(again)] == ["b:latest"]
    assert slots.residency is not None
    assert list(slots.residency.groups) == [("x", "")], "one group, though the names were learnt"
