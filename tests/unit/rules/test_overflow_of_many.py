"""Overflow with very many tenants and kinds: a search for the next task takes few looks."""

from __future__ import annotations

from random import Random

import pytest

from oq.rules import overflow, stays, waits
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from tests.support.builders import task_id
from tests.unit.rules.test_overflow import AFTER, HIGH, IDLE, NORMAL, Story, fail_at


@pytest.mark.parametrize("policy", POLICIES)
def test_only_tenants_that_something_happened_to_are_looked_at_again(policy, monkeypatch):
    looks: list[str] = []
    for module, name in ((waits, "_sum"), (stays.Stays, "_find")):
        inner = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, inner=inner: looks.append("") or inner(*a))
    story = Story(policy, fair=True)
    for number in range(200):
        story.add("both", 3, tenant=f"t{number}")
    assert len(story.starts(0.0)) == 10
    assert len(looks) >= 400
    looks.clear()
    story.ends(1, 0.5)
    assert len(story.starts(0.5)) == 1
    assert len(looks) < 20


@pytest.mark.parametrize("number", range(15))
def test_what_is_remembered_of_tenants_changes_nothing(number, monkeypatch):
    def history() -> list[list[tuple[int, str]]]:
        random = Random(number)
        story = Story(random.choice([*POLICIES]), fair=True)
        came, now, running = [], 0.0, []
        for _ in range(60):
            now += random.choice([0.0, 0.1, 2.0])
            for _ in range(random.choice([0, 1, 6])):
                model = random.choice(["both", "local", "cloud"])
                story.add(model, priority=random.choice([5, 10]), tenant=random.choice("abcd"))
            if running and random.random() < 0.5:
                story.ends(running.pop(random.randrange(len(running)))[0], now, 1000)
            came.append(story.starts(now))
            running += came[-1]
        return came

    monkeypatch.setattr(waits, "FRESH", 0.0)
    known = history()
    prepare = stays.Stays.prepare

    def forget(self, *asked):
        self._known.clear()
        prepare(self, *asked)

    monkeypatch.setattr(stays.Stays, "prepare", forget)
    assert history() == known
    assert any(on == "cloud" for some in known for _, on in some)


def made_up(story: Story, number: int, model: str = "local", priority: int = NORMAL) -> None:
    """So many kinds of tasks, all for one model."""
    for _ in range(number):
        story.number += 1
        load = f"num_ctx={story.number}"
        story.board.place(task_id(story.number), Place(priority, model, load=load))


@pytest.mark.parametrize("policy", POLICIES)
def test_with_very_many_kinds_those_go_up_that_would_wait_too_long(policy):
    story = Story(policy)
    story.add("both", 12)
    made_up(story, 300)
    assert story.starts() == [(1, "local"), *((number, "cloud") for number in range(6, 13))]


@pytest.mark.parametrize("policy", POLICIES)
def test_with_very_many_kinds_the_tenant_that_has_got_least_goes_up_first(policy):
    story = Story(policy, fair=True)
    story.add("local")
    assert story.starts() == [(1, "local")]
    made_up(story, 100)
    story.add("cloud", tenant="ann")
    assert story.starts() == [(102, "cloud")]
    story.ends(102, 0.0, cost=100_000)
    story.cloud.limit = 1
    story.add("both", tenant="ann")
    story.add("both", tenant="bob")
    assert story.starts() == [(104, "cloud")], "ann has got more"
    story.ends(104, 0.0)
    assert story.starts() == [(103, "cloud")]


@pytest.mark.parametrize("policy", POLICIES)
def test_very_many_kinds_of_a_lower_priority_wait_behind_the_others(policy):
    story = Story(policy, idle_after="30s")
    story.add("local")
    story.starts()
    made_up(story, 300, "both", IDLE)
    story.add("both", 5, HIGH)
    assert story.starts() == [(306, "cloud")], "4 wait for their turns, and no idle one goes up"


@pytest.mark.parametrize("policy", POLICIES)
def test_very_many_kinds_go_up_when_lower_tiers_are_out_of_order_for_too_long(policy):
    story = Story(policy)
    fail_at(story.local, "both")
    story.board._note_plain()
    made_up(story, 300, "both")
    assert [on for _, on in story.starts(1.25)] == ["local"]
    assert [on for _, on in story.starts(1.0 + AFTER)] == ["cloud"] * 9


@pytest.mark.parametrize("policy", POLICIES)
def test_no_more_tasks_are_looked_at_however_many_kinds_wait(policy, monkeypatch):
    may, looks = overflow.Overflow._may, []

    def counted(self, *asked):
        looks.append(asked)
        return may(self, *asked)

    monkeypatch.setattr(overflow.Overflow, "_may", counted)
    story = Story(policy)
    made_up(story, 2000)
    assert [on for _, on in story.starts()] == ["local"]
    assert 0 < len(looks) <= 2 * overflow.LOOKS
