"""What clients do not read takes so much memory and no more, and who reads goes on."""

from __future__ import annotations

from contextlib import ExitStack

import trio

from oq.http.unsent import ALWAYS, Unsent
from tests.http.test_client_stream import ends

MB = 1 << 20


class Clients:
    """Clients that are sent something, by their names. `cut` has those whose connections ended."""

    def __init__(self, limit: int) -> None:
        self.unsent = Unsent(limit)
        self.cut: list[str] = []
        self._sendings = {}
        self._stacks = {}

    def ask(self, name: str, data: bytes) -> None:
        self._stacks[name] = ExitStack()
        sending = self.unsent.hold(data, lambda: self.cut.append(name))
        self._sendings[name] = self._stacks[name].enter_context(sending)

    def take(self, name: str) -> None:
        self._sendings[name].note_taken()

    def leave(self, name: str) -> None:
        self._stacks[name].close()


def test_those_are_cut_that_have_taken_nothing_for_longest():
    clients = Clients(3 * MB)
    for name in "abc":
        clients.ask(name, bytes(MB))
    clients.take("a")
    assert clients.unsent.held == 3 * MB
    clients.ask("d", bytes(MB))
    assert clients.cut == ["b"]
    clients.ask("e", bytes(2 * MB))
    assert clients.cut == ["b", "c", "a"]
    assert clients.unsent.held == 3 * MB
    for name in "abcde":
        clients.take(name)
        clients.leave(name)
    assert clients.unsent.held == 0


def test_an_answer_by_itself_may_be_longer():
    clients = Clients(MB)
    clients.ask("a", bytes(9 * MB))
    assert clients.cut == []
    clients.ask("b", bytes(9 * MB))
    assert clients.cut == ["a"]


def test_what_many_are_sent_is_there_once():
    clients = Clients(2 * MB)
    shared = bytes(MB)
    for name in "abc":
        clients.ask(name, shared)
    assert (clients.unsent.held, clients.cut) == (MB, [])
    clients.leave("a")
    assert clients.unsent.held == MB
    clients.ask("d", bytes(2 * MB))
    assert sorted(clients.cut) == ["b", "c"]
    clients.ask("e", shared)  # again, while those who were cut are still on their way
    assert sorted(clients.cut) == ["b", "c", "d"]
    for name in "bcd":
        clients.leave(name)
    assert clients.unsent.held == MB
    clients.leave("e")
    assert clients.unsent.held == 0


def test_what_is_short_does_not_count():
    clients = Clients(MB)
    for name in range(100):
        clients.ask(str(name), bytes(ALWAYS))
    assert (clients.unsent.held, clients.cut) == (0, [])
    for name in range(100):
        clients.take(str(name))
        clients.leave(str(name))


async def test_a_connection_that_is_cut_ends():
    unsent = Unsent(20 * MB)
    async with ends(unsent) as (idle, _), ends(unsent) as (reading, reader):
        told = {}

        async def send(name: str, stream: object) -> None:
            told[name] = await stream.send(bytes(15 * MB))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "idle", idle)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(send, "reading", reading)
            taken = 0
            while taken < 15 * MB:
                taken += len(await reader.receive_some())
        assert told == {"idle": False, "reading": True}
        assert unsent.held == 0
