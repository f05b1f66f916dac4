"""Filters: which tasks a listing shows, and which listings make no sense."""

from __future__ import annotations

import pytest

from oq.rules import lifecycle
from oq.rules.filters import DEFAULT_LIMIT, MAX_LIMIT, MAX_TEXT, TaskFilter, task_filter
from oq.words.errors import InvalidTask
from oq.words.task import Status, TaskType
from tests.support.builders import NOW, new, task_id

PENDING = new(priority=5, model="smollm2").state
CANCELLED = lifecycle.cancelled(PENDING, NOW).state


def test_without_conditions_everything_is_shown():
    assert TaskFilter().admits(PENDING)
    assert TaskFilter().admits(CANCELLED)
    assert (TaskFilter().limit, TaskFilter().offset) == (DEFAULT_LIMIT, 0)


@pytest.mark.parametrize(
    ("admitting", "refusing"),
    [
        ({"status": frozenset({Status.PENDING})}, {"status": frozenset({Status.RUNNING})}),
        ({"type": frozenset({TaskType.GENERATE})}, {"type": frozenset({TaskType.CHAT})}),
        ({"priority": frozenset({5, 9})}, {"priority": frozenset({0})}),
        ({"model": frozenset({"smollm2", "m"})}, {"model": frozenset({"smollm"})}),
    ],
    ids=["status", "type", "priority", "model"],
)
def test_each_condition_admits_what_it_names_and_nothing_else(admitting, refusing):
    assert TaskFilter(**admitting).admits(PENDING)
    assert not TaskFilter(**refusing).admits(PENDING)


def test_all_conditions_hold_at_once():
    both = TaskFilter(status=frozenset({Status.PENDING}), model=frozenset({"smollm2"}))
    assert both.admits(PENDING)
    assert not both.admits(CANCELLED)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", -1),
        ("limit", MAX_LIMIT + 1),
        ("offset", -1),
        ("after", "yesterday"),
        ("after", ""),
        ("after", task_id(1).upper() + "0"),
    ],
)
def test_a_listing_that_makes_no_sense_is_refused_by_name(field, value):
    with pytest.raises(InvalidTask) as caught:
        TaskFilter(**{field: value})
    assert caught.value.field == field


def test_a_text_that_is_too_long_is_refused():
    with pytest.raises(InvalidTask, match="it has 201 characters; at most 200"):
        TaskFilter(text="x" * (MAX_TEXT + 1))


def test_the_bounds_themselves_are_allowed():
    assert TaskFilter(text="x" * MAX_TEXT).text
    assert TaskFilter(limit=1, offset=0, after=task_id(1)).limit == 1
    assert TaskFilter(limit=MAX_LIMIT).limit == MAX_LIMIT


def test_a_filter_is_made_from_what_people_write():
    assert task_filter() == TaskFilter()
    assert task_filter(status="failed", type=["chat", "embed"], priority="high", model="m") == (
        TaskFilter(
            status=frozenset({Status.FAILED}),
            type=frozenset({TaskType.CHAT, TaskType.EMBED}),
            priority=frozenset({10}),
            model=frozenset({"m"}),
        )
    )
    assert task_filter(priority=[0, "low"]).priority == {0, 1}


@pytest.mark.parametrize(
    ("field", "value"), [("status", "lost"), ("type", "sing"), ("priority", "urgent")]
)
def test_a_filter_for_what_there_is_none_of_is_refused_by_name(field, value):
    with pytest.raises(InvalidTask, match=f"'{value}'") as caught:
        task_filter(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", "x"), ("limit", True), ("offset", "a"), ("after", 9999),
        ("text", 5), ("model", 5), ("model", None), ("status", None), ("priority", object()),
    ],
)  # fmt: skip
def test_what_is_of_another_kind_is_refused_by_name(field, value):
    with pytest.raises(InvalidTask) as caught:
        task_filter(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("value", ["yesterday", "2026-01-31T12:00:00", NOW.replace(tzinfo=None)])
@pytest.mark.parametrize("field", ["since", "until"])
def test_a_time_without_a_zone_is_none(field, value):
    with pytest.raises(InvalidTask, match="is not a time with a zone") as caught:
        task_filter(**{field: value})
    assert caught.value.field == field


def test_a_time_is_taken_as_text_and_as_a_datetime():
    assert task_filter(since=NOW) == task_filter(since=NOW.isoformat())
