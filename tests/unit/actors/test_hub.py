"""The hub: a follower is told everything, or how much it missed, and hears of the end."""

from __future__ import annotations

from contextlib import ExitStack

import msgspec
import pytest
import trio

from oq.actors.hub import ENCODED_KEPT, Hub
from oq.words.clock import Clock
from oq.words.errors import Unavailable
from oq.words.events import Event, EventType, Lagged
from oq.words.messages import Committed
from oq.words.task import Status
from tests.support.builders import NOW, new, task_id


def event(seq: int, number: int = 1) -> Event:
    return Event(seq, task_id(number), EventType.TASK_SUBMITTED, Status.PENDING, NOW)


def committed(*events: Event) -> Committed:
    """The commit of new tasks of which these events tell."""
    return Committed([new(1) for _ in events], list(events), [None] * len(events), [])


class Told:
    """A hub, and the channel by which it hears of commits."""

    def __init__(self, past: list[Event] | None = None, mailbox: int = 3) -> None:
        self.commits, inbox = trio.open_memory_channel[Committed](10)
        past = past or []
        self.hub = Hub(
            inbox, Clock(), seq=len(past), past=committed(*past), ring=2, mailbox=mailbox,
            max_subscribers=2,
        )  # fmt: skip

    async def to_the_end(self, *events: Event) -> None:
        """Publish these, and close."""
        for each in events:
            self.commits.send_nowait(committed(each))
        self.commits.close()
        await self.hub.run()


async def test_a_subscriber_that_falls_behind_finds_how_much_it_missed_and_what_came_after():
    told = Told(mailbox=3)
    with told.hub.subscribe() as events:
        await told.to_the_end(*map(event, range(1, 6)))
        batches = [batch async for batch in events]
    assert batches == [[Lagged(4), event(5)]]


async def test_one_that_resumes_from_what_is_kept_no_longer_is_told_so():
    told = Told(past=[event(1), event(2), event(3)])
    with told.hub.subscribe(after=0) as events:
        await told.to_the_end(event(4))
        assert [batch async for batch in events] == [[Lagged(1), event(2), event(3), event(4)]]


def test_more_subscribers_than_may_be_are_refused_by_the_settings_name():
    told = Told()
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(told.hub.subscribe())
        with pytest.raises(Unavailable, match=r"2 subscribers .*events\.max_subscribers"):
            stack.enter_context(told.hub.subscribe())
    with told.hub.subscribe():
        pass


async def test_whoever_comes_after_the_end_hears_of_it_at_once():
    told = Told()
    await told.to_the_end(event(1))
    with told.hub.watch(task_id(1)) as watch, told.hub.subscribe() as events:
        assert not await watch.changed()
        assert [batch async for batch in events] == []


def test_an_event_is_encoded_once_for_all_readers_and_few_are_kept():
    hub = Told().hub
    first = hub.encode(event(1))
    assert hub.encode(event(1)) is first
    for seq in range(2, ENCODED_KEPT + 2):
        hub.encode(event(seq))
    assert hub.encode(event(ENCODED_KEPT + 1)) is hub.encode(event(ENCODED_KEPT + 1))
    assert hub.encode(event(1)) == first
    assert hub.encode(event(1)) is not first


def test_what_one_reader_alone_is_told_is_encoded_for_it_and_not_kept():
    hub = Told().hub
    assert msgspec.json.decode(hub.encode(Lagged(7))) == {"type": "lagged", "missed": 7}
    assert hub.encode(Lagged(7)) is not hub.encode(Lagged(7))
