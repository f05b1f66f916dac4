"""How actors hand each other messages: none is lost, none is reordered, and receipts answer."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.words.channels import put, take
from oq.words.errors import Unavailable
from oq.words.receipts import Receipt


async def test_all_that_waits_is_taken_at_once_and_in_order():
    sender, receiver = trio.open_memory_channel[int](10)
    with sender, receiver:
        for number in range(3):
            await put(sender, number)
        assert await take(receiver) == [0, 1, 2]


async def test_what_was_sent_before_the_sender_left_is_still_taken():
    sender, receiver = trio.open_memory_channel[int](10)
    with receiver:
        with sender:
            await put(sender, 1)
            await put(sender, 2)
        assert await take(receiver) == [1, 2]
        assert await take(receiver) == []


async def test_a_full_mailbox_makes_its_sender_wait(nursery):
    sender, receiver = trio.open_memory_channel[int](1)
    with sender, receiver:
        await put(sender, 1)
        nursery.start_soon(put, sender, 2)
        await wait_all_tasks_blocked()
        assert sender.statistics().tasks_waiting_send == 1
        assert await take(receiver) == [1, 2]


async def test_a_receipt_answers_all_who_wait_also_late():
    receipt, answers = Receipt(), []

    async def ask() -> None:
        await receipt.wait()
        answers.append("on disk")

    async with trio.open_nursery() as asking:
        for _ in range(2):
            asking.start_soon(ask)
        await wait_all_tasks_blocked()
        assert answers == []
        receipt.settle()
    await ask()
    assert answers == ["on disk"] * 3


async def test_a_receipt_raises_what_kept_it_from_the_disk():
    receipt = Receipt()
    receipt.settle(Unavailable("no space left"))
    with pytest.raises(Unavailable, match="no space left"):
        await receipt.wait()
