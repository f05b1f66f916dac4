"""Which backends can run a model, and which of the waiting tasks start on several backends."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oq.rules import model_list
from oq.rules.board import Board
from oq.rules.fifo import Fifo
from oq.rules.fleet import Fleet
from oq.rules.model_list import AGAIN, LACKS, LATE, NEW, ModelList
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.rules.waiting import why_waits
from oq.words.config import SchedulerConfig
from oq.words.messages import Ended
from oq.words.views import BackendFacts
from tests.support.builders import at, task_id

MODELS = ("a", "b", "c")


def passed(backend: BackendSlots, place: Place, now: float) -> bool:
    """No task is passed over."""
    return False


def box(name: str, *models: str, limit: int = 9, says: bool = True) -> BackendSlots:
    slots = BackendSlots(name, limit)
    if says:
        slots.note_facts(BackendFacts(models=models), 0.0)
    return slots


def names(backends: tuple[BackendSlots, ...]) -> list[str]:
    return [one.name for one in backends]


def go_down(fleet: Fleet, name: str) -> None:
    fleet.by_name[name].down, fleet.by_name[name].down_since = "gone", at(0)
    fleet.changed()


def test_those_that_have_a_model_run_it_up_or_down():
    fleet = Fleet([box("one", "a", "b:7b"), box("two", "a:latest"), box("three", says=False)])
    assert names(fleet.able("a", 0.0)) == ["one", "two"]
    assert names(fleet.able("b:7b", 0.0)) == ["one"]
    go_down(fleet, "one")
    assert names(fleet.able("b:7b", 0.0)) == ["one"]
    assert fleet.elsewhere("a", fleet.by_name["two"], 0.0)
    silent_is_up = fleet.by_name["three"].down is None
    assert not fleet.elsewhere("b:7b", fleet.by_name["one"], 0.0) or silent_is_up


def test_who_does_not_say_what_it_has_gets_what_nobody_else_has():
    fleet = Fleet([box("one", "a"), box("two", says=False), box("three", says=False)])
    assert names(fleet.able("x", 0.0)) == ["two", "three"]
    assert fleet.elsewhere("x", fleet.by_name["two"], 0.0)
    go_down(fleet, "two")
    assert names(fleet.able("x", 0.0)) == ["three"]
    go_down(fleet, "three")
    assert names(fleet.able("x", 0.0)) == ["one", "two", "three"], "the answer of one is the answer"
    assert not fleet.elsewhere("x", fleet.by_name["one"], 0.0), "so it is not tried for ever"


def test_a_single_backend_gets_everything():
    fleet = Fleet([box("one", "a")])
    assert names(fleet.able("x", 1e9)) == ["one"]


def test_who_has_a_model_as_far_as_is_known_is_said_without_asking_anybody():
    fleet = Fleet([box("one", "a"), box("two", "b"), box("three", "b", says=False)])
    assert names(fleet.likely("b")) == ["two"]
    assert names(fleet.likely("x")) == ["three"]
    go_down(fleet, "three")
    assert names(fleet.likely("x")) == ["one", "two", "three"]
    go_down(fleet, "two")
    assert names(fleet.likely("b")) == ["two"], "it has it, down or not"
    assert not fleet.lists_wanted


def test_a_list_may_name_what_the_settings_leave_to_a_backend():
    said = ModelList(["gpt-*"])
    assert [said.offers(name) for name in ("gpt-5", "dall-e")] == [True, False]
    said.note_lack("gpt-5", 0.0)
    assert not said.offers("gpt-5")
    assert ModelList().offers("anything")


def test_a_model_that_nobody_has_is_looked_for_in_new_lists_first():
    fleet = Fleet([box("one", "a"), box("two", "b")])
    assert names(fleet.able("x", NEW)) == ["one", "two"]
    later = 2 * NEW
    assert names(fleet.able("x", later)) == []
    assert fleet.lists_wanted
    for backend in fleet:
        assert backend.models.due(often=False) <= later
        backend.models.note_asked(later)
    assert names(fleet.able("x", later + LATE / 2)) == [], "they may say so soon"
    fleet.by_name["two"].note_facts(BackendFacts(models=("b", "x")), later + 0.1)
    fleet.changed()
    assert names(fleet.able("x", later + 0.1)) == ["two"]
    assert names(fleet.able("y", later + LATE + 0.1)) == ["one", "two"], "one does not answer"


def test_a_lack_holds_until_the_list_is_another_one_or_the_backend_was_away():
    models = ModelList()
    models.note(("a", "b"), 0.0)
    assert models.due(often=False) == inf
    models.note_lack("b", 0.0)
    assert models.has("b") is False
    assert models.due(often=False) <= 0.0 + AGAIN
    assert not models.note(("a", "b"), 1.0), "it still says so"
    assert models.has("b") is False
    assert models.note(("a", "b", "c"), 2.0)
    assert models.has("b") is True
    models.note_lack("b", 2.0)
    models.forget_lacks()
    assert models.has("b") is True
    models.note_lack("b", 2.0)
    assert models.note_change()
    assert models.has("b") is True


def test_a_lack_is_believed_for_a_while_only():
    silent, settled, lists = ModelList(), ModelList(["a"]), ModelList()
    lists.note(("a",), 0.0)
    for models, has in ((silent, None), (settled, True), (lists, True)):
        models.note_lack("a", 1.0)
        assert models.next_at(1.0) == 1.0 + LACKS
        models.forget_lacks(LACKS)
        assert models.has("a") is False
        models.forget_lacks(1.0 + LACKS)
        assert models.has("a") is has
        assert models.next_at(1.0 + LACKS) == inf


def test_a_server_may_lack_another_spelling_of_a_model_that_it_has():
    fleet = Fleet([box("one", "x"), box("two", says=False)])
    one = fleet.by_name["one"]
    fleet.note_lack(one, "x:latest", 1.0)
    assert names(fleet.able("x:latest", 1.0)) == ["two"]
    assert names(fleet.able("x", 1.0)) == ["one"], "to vLLM they are two names"


def test_a_backend_that_does_not_say_what_it_has_may_lack_a_model():
    models = ModelList()
    models.note_lack("x", 0.0)
    assert models.has("x") is False
    assert models.has("y") is None
    assert models.due(often=True) == inf, "it has nothing to say"


def test_who_lists_a_model_is_asked_again_before_all_others():
    fleet = Fleet([box("one", "a"), box("two", "b")])
    two = fleet.by_name["two"]
    assert fleet.elsewhere("b", two, 1.0), "the other may have got it since"
    fleet.note_lack(two, "b", 1.0)
    assert names(fleet.able("b", 1.0)) == [], "the other is asked first"
    assert fleet.by_name["one"].models.due(often=False) <= 1.0
    fleet.by_name["one"].note_facts(BackendFacts(models=("a",)), 1.1)
    assert names(fleet.able("b", 1.1)) == ["two"]
    assert not fleet.elsewhere("b", two, 1.1), "its answer is the answer"
    fleet = Fleet([box("one", "a"), box("two", "b"), box("three", says=False)])
    fleet.note_lack(fleet.by_name["two"], "b", 1.0)
    fleet.by_name["one"].note_facts(BackendFacts(models=("a",)), 1.0)
    assert names(fleet.able("b", 1.0)) == ["three"], "it may have it"
    fleet.note_lack(fleet.by_name["three"], "b", 1.0)
    assert names(fleet.able("b", 1.0)) == ["two"]
    go_down(fleet, "two")
    assert names(fleet.able("b", 1.0)) == ["one", "two", "three"]


def board_of(*backends: BackendSlots) -> Board:
    fleet = Fleet(backends)
    return Board(64, fleet, Fifo(fleet, SchedulerConfig()), paused=False)


def starts(board: Board, now: float) -> list[str]:
    return [job.backend for job in board.starts(now)]


def test_a_task_that_waits_because_of_a_lack_starts_when_that_is_over():
    board = board_of(box("one", "a", limit=1), box("two", "a", limit=1))
    for number in range(3):
        board.place(task_id(number), Place(5, "a"))
    assert starts(board, 1.0) == ["one", "two"]
    board.end(task_id(1))
    board.free(task_id(1), 1.0, Ended(lacks=True))
    assert starts(board, 1.0) == []
    for look in board.looks(1.0 + AGAIN):
        board.note_facts(look.backend, BackendFacts(models=("a",)), 2.0, 2.0, full=True)
    assert starts(board, 2.0) == [], "nothing is new, so it is not asked with every task"
    assert board.due(2.0) == 1.0 + LACKS
    assert starts(board, 1.0 + LACKS) == ["two"]
    assert board.due(1.0 + LACKS) == inf


@pytest.mark.parametrize("answers", [False, True])
def test_a_list_that_does_not_come_is_waited_for_once_and_not_for_ever(*, answers: bool):
    """`answers`: that it will not say it."""
    board = board_of(box("one", "a"), box("two", "b"))
    now = 10 * NEW
    board.place(task_id(1), Place(5, "x"))
    assert starts(board, now) == []
    asked = [look.backend for look in board.looks(now)]
    assert asked == ["one", "two"]
    board.note_facts("one", BackendFacts(models=("a",)), now, now, full=True)
    if answers:
        board.note_facts("two", BackendFacts(), now, now, full=True)
    else:
        assert starts(board, now) == []
        assert board.due(now) == now + LATE, "nothing else may happen"
        now += LATE
    assert starts(board, now) == ["one"]
    asks = 0
    for number in range(2, 60):  # a task each second, and that list still does not come
        now += 1.0
        board.place(task_id(number), Place(5, "x"))
        started = starts(board, now)
        for look in board.looks(now):
            asks += look.backend == "two"
            if look.backend == "one":
                board.note_facts("one", BackendFacts(models=("a",)), now, now, full=True)
        started += starts(board, now)
        assert len(started) == 1
        board.end(task_id(number))
        board.free(task_id(number), now)
    assert asks <= 58 / NEW + 1


def test_patterns_are_of_names_with_and_without_their_tag():
    models = ModelList(("gpt-?", "qwen3", "llama*:8b"))
    for name in ("gpt-5", "qwen3", "qwen3:latest", "llama3:8b"):
        assert models.has(name) is True
    for name in ("gpt-55", "qwen3:4b", "llama3", "GPT-5"):
        assert models.has(name) is False


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(model_list, "MOST", 3)
    models = ModelList()
    models.note("abcd", 0.0)
    assert models.record() is None
    models.note("abc", 0.0)
    again = ModelList()
    again.restore(models.record())
    assert again.has("a") is True
    for name in "abcdefg":
        again.note_lack(name, 0.0)
    assert sum(again.has(name) is False for name in "defg") == 4


class Plain:
    """What `fifo` promises for several backends, by looking at every task."""

    def __init__(self, fleet: Fleet, tasks: dict[str, Place]) -> None:
        self.fleet = fleet
        self.tasks = tasks

    def next(self) -> tuple[str, str] | None:
        kept: set[str] = set()
        for task, place in sorted(self.tasks.items(), key=lambda one: (-one[1].priority, one[0])):
            rooms = [
                (one.room(place, 0.0), one)
                for one in self.fleet.able(place.model, 0.0)
                if one.name not in kept and one.down is None
            ]
            if not rooms:
                continue
            best, backend = max(rooms, key=lambda one: (one[0], -one[1].running / one[1].limit))
            if best.starts:
                del self.tasks[task]
                return task, backend.name
            kept.add(backend.name)
        return None


PLACES = st.builds(Place, st.integers(1, 3), st.sampled_from([*MODELS, "x"]))


@settings(deadline=None, max_examples=300)
@given(
    places=st.lists(PLACES, max_size=12),
    has=st.lists(st.sets(st.sampled_from(MODELS)), min_size=2, max_size=3),
    limits=st.lists(st.integers(1, 2), min_size=3, max_size=3),
    down=st.sets(st.integers(0, 2)),
)
def test_fifo_is_as_if_it_looked_at_every_task(places, has, limits, down):
    fleet = Fleet([box(f"b{n}", *models, limit=limits[n]) for n, models in enumerate(has)])
    for number in down:
        if number < len(has):
            go_down(fleet, f"b{number}")
    tasks = {task_id(n): place for n, place in enumerate(places)}
    policy, plain = Fifo(fleet, SchedulerConfig()), Plain(fleet, dict(tasks))
    policy.load(tasks.items())
    while (choice := policy.next(0.0)) is not None:
        assert (choice.task_id, choice.backend) == plain.next()
        fleet.by_name[choice.backend].take(choice.task_id, choice.place, 0.0)
        assert len(policy) == len(plain.tasks)
    assert plain.next() is None


@pytest.mark.parametrize("blocked", [10_000])
def test_the_cost_of_a_choice_does_not_grow_with_the_tasks_that_cannot_run(blocked):
    fleet = Fleet([box("one", "a"), box("two", "b")])
    go_down(fleet, "two")
    policy = Fifo(fleet, SchedulerConfig())
    policy.load((task_id(n), Place(5, "b")) for n in range(blocked))
    policy.add(task_id(blocked), Place(1, "a"))
    looked = 0
    place_of = policy._ready.place_of

    def counted(task: str) -> Place | None:
        nonlocal looked
        looked += 1
        return place_of(task)

    policy._ready.place_of = counted  # type: ignore[method-assign]
    choice = policy.next(0.0)
    assert choice is not None
    assert choice.task_id == task_id(blocked)
    assert looked < 10


def test_of_many_backends_the_first_few_say_why_a_task_waits():
    fleet = Fleet([box(f"box{number}", "a") for number in range(50)])
    for backend in fleet:
        backend.down = "gone"
    said = why_waits(fleet, Place(5, "a"), 0.0, passed, ahead=False)
    assert said == "box0 is down; box1 is down; box2 is down; and 47 more"
    fleet.by_name["box49"].down = None
    assert why_waits(fleet, Place(5, "a"), 0.0, passed, ahead=True) == "tasks before it"


def test_a_backend_of_a_higher_tier_has_the_model_too():
    cloud = BackendSlots("cloud", 9, tier=1, models=["m"])
    fleet = Fleet([box("box", "m"), cloud])
    fleet.by_name["box"].down = "gone"
    cloud.down = "gone"
    fleet.changed()
    assert why_waits(fleet, Place(5, "m"), 0.0, passed, ahead=False) == "box is down; cloud is down"
    one = box("box", "m", limit=1)
    one.take(task_id(1), Place(5, "m"), 0.0)
    said = "all slots of box for m are taken; cloud is of a higher tier"
    cloud = BackendSlots("cloud", 9, tier=1, models=["m"])
    assert why_waits(Fleet([one, cloud]), Place(5, "m"), 0.0, passed, ahead=False) == said
    fleet = Fleet([one, box("other", "x"), cloud])
    said = f"only box and cloud have m: {said}"
    assert why_waits(fleet, Place(5, "m"), 0.0, passed, ahead=False) == said


def test_no_swap_is_said_for_a_task_that_a_rule_holds_back():
    backend = BackendSlots("box", 64, "measured", max_models=1)
    fleet = Fleet([backend])
    policy = Fifo(fleet, SchedulerConfig(idle_after=30.0))
    board = Board(64, fleet, policy, paused=False)
    board.note_facts("box", BackendFacts(loaded=("a",)), 0.0)
    board.place(task_id(1), Place(5, "a"))
    assert starts(board, 0.0) == ["box"]
    board.answered(task_id(1), 0.0)
    board.place(task_id(2), Place(0, "c"))
    assert starts(board, 0.0) == []
    assert board.swap_on(backend, 0.0) is None
    board.place(task_id(3), Place(5, "c"))
    assert starts(board, 0.0) == []
    assert board.swap_on(backend, 0.0) == "a → c, 1 of a still running"


def test_lists_are_asked_for_again_of_those_that_are_up_and_say_them():
    settled = BackendSlots("settled", 9, models=["a"])
    fleet = Fleet([box("one", "a"), box("away", "b"), box("silent", says=False), settled])
    go_down(fleet, "away")
    assert fleet.ask_again(NEW, None) == {"one"}
    assert fleet.lists_wanted
    assert fleet.by_name["one"].models.due(often=False) <= NEW


def test_a_list_that_is_being_asked_for_is_waited_for_and_a_new_one_is_not_asked_for():
    fleet = Fleet([box("one", "a"), box("two", "b")])
    one = fleet.by_name["one"].models
    one.note_asked(NEW)
    fleet.by_name["two"].models.note_asked(NEW)
    fleet.by_name["two"].models.note(["b"], NEW)
    assert fleet.ask_again(NEW + AGAIN / 2, None) == {"one"}
    assert not one.wanted
    one.note(["a"], NEW + AGAIN / 2)
    assert fleet.ask_again(NEW + AGAIN / 2, None) == set()
    assert fleet.ask_again(NEW + AGAIN, None) == {"one", "two"}


def test_a_list_of_which_it_is_known_that_it_changed_is_asked_for_at_once():
    settled = BackendSlots("settled", 9, models=["a"])
    fleet = Fleet([box("one", "a"), settled])
    one = fleet.by_name["one"].models
    one.asked_at = NEW
    assert fleet.ask_again(NEW, "one") == {"one"}
    assert one.due(often=False) <= NEW
    assert fleet.ask_again(NEW, "settled") == set()
