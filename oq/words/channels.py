"""Sends and receives on the channels between actors."""

from __future__ import annotations

from typing import TypeVar

import trio

T = TypeVar("T")


async def put(channel: trio.MemorySendChannel[T], message: T) -> None:
    """Send the message. While there is room, no other task runs in between: a switch would cost
    more than the work between two messages.
    """
    try:
        channel.send_nowait(message)
    except trio.WouldBlock:
        await channel.send(message)


async def take(channel: trio.MemoryReceiveChannel[T]) -> list[T]:
    """All the messages that wait, once there is one; none when every sender has closed.

    Receiving them one by one would give way to other tasks in between, each time: an actor would
    then do one small thing per turn of the event loop, and so would all who wait for it.
    """
    messages: list[T] = []
    try:
        messages.append(await channel.receive())
        while True:
            messages.append(channel.receive_nowait())
    except (trio.WouldBlock, trio.EndOfChannel):
        return messages
