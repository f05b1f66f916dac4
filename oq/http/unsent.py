"""How many bytes of answers wait in memory for clients that read slowly.

An answer that goes out as one piece is held until its client has read it. The time for that is
bounded by itself (`oq.http.client_stream.SEND_TIMEOUT`), and so is an answer, but many clients may
each ask for a long one. When all together take too much, those are cut whose clients have taken
nothing for the longest time. So a client that reads goes on, and one that has just come is served.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MAX_UNSENT = 256 * 1024 * 1024
"""Bytes of all these answers, where the settings say nothing else."""
ALWAYS = 64 * 1024
"""Bytes of an answer that is not counted. Each connection may hold one of these."""


class Unsent:
    """The account of these answers. `limit` is in bytes; one answer by itself may have more."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        """Bytes that are held now. An answer that many clients are sent at once is held once."""
        self._answers: OrderedDict[int, _Answer] = OrderedDict()  # that waits longest in front

    def hold(self, data: bytes, cut: Callable[[], None]) -> Sending:
        """Count an answer, for the block that sends it to one client: ``with unsent.hold(...)``.
        `cut` ends the connection of that client at once.
        """
        return Sending(self, data, cut)

    def _add(self, data: bytes, sending: Sending) -> None:
        answer = self._answers.setdefault(id(data), _Answer(len(data)))
        self.held += 0 if answer.clients else answer.size
        answer.clients.add(sending)
        self._answers.move_to_end(id(data))
        while self.held > self.limit and len(self._answers) > 1:
            _, longest = self._answers.popitem(last=False)
            self.held -= longest.size
            for client in longest.clients:
                client.cut()

    def _note_taken(self, data: bytes, sending: Sending) -> None:
        if self._has(data, sending):
            self._answers.move_to_end(id(data))

    def _remove(self, data: bytes, sending: Sending) -> None:
        if not self._has(data, sending):
            return  # it has been cut
        answer = self._answers[id(data)]
        answer.clients.discard(sending)
        if not answer.clients:
            del self._answers[id(data)]
            self.held -= answer.size

    def _has(self, data: bytes, sending: Sending) -> bool:
        answer = self._answers.get(id(data))
        return answer is not None and sending in answer.clients


class _Answer:
    """An answer, and to whom it is being sent."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.clients: set[Sending] = set()


class Sending:
    """An answer on its way to one client."""

    def __init__(self, unsent: Unsent, data: bytes, cut: Callable[[], None]) -> None:
        self.cut = cut
        self._unsent = unsent
        self._data = data

    def note_taken(self) -> None:
        """The client has taken a part of it."""
        self._unsent._note_taken(self._data, self)

    def __enter__(self) -> Sending:
        if len(self._data) > ALWAYS:
            self._unsent._add(self._data, self)
        return self

    def __exit__(self, *_: object) -> None:
        self._unsent._remove(self._data, self)
