"""The events of a response that oq makes in the background, numbered so that a reader can go on
from any of them.

https://platform.openai.com/docs/api-reference/responses-streaming. The first two are oq's own, and
so is the last one, which has the response as it is stored. Those between are the server's, with
oq's id of the response and oq's numbers. A request that did not ask for a stream has none.

    0, 1          response.created and response.queued
    2, 3, ...     the events of the first attempt
    from a larger number on         those of a later attempt: the microseconds from the submission
                  to its start. No server says an event a microsecond, so the numbers grow over all
                  attempts and none is used twice. It begins with another response.created
    the last + 1  response.completed, response.incomplete, or response.failed: that of one that was
                  cancelled too. If a stream was asked for and the last attempt said nothing, its
                  number is made of the time of the end in the same way

The numbers follow from what is on disk, so they are the same for every reader, also after a crash.
Behind a number of an earlier attempt, all of the present one is to come.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from oq.dialects.kept_response import KeptResponse, members
from oq.dialects.reading import read
from oq.dialects.responses import RESPONSES, event
from oq.rules.stream_log import attempt_id
from oq.words.task import Status

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_SILENT = frozenset({"keepalive", "response.queued"})
_CREATED = "response.created"
_OPENING = 2
"""Events that oq says before those of the first attempt."""


class KeptEvents:
    """The events behind the number `after`, for one reader."""

    def __init__(self, response: KeptResponse, after: int = -1) -> None:
        self._response = response
        self._after = after
        self._next = 0
        self._first = True
        self.told = after
        """The number of the last event that the reader has."""

    def opening(self) -> bytes:
        """What oq says first."""
        queued = Raw(self._response.as_of("queued"))
        return b"".join(
            self._event(name, {"response": queued}) for name in (_CREATED, "response.queued")
        )

    def begin(self, attempt: int, *, first: bool) -> None:
        """The frames of this attempt follow."""
        self._first = first
        self._next = _OPENING if first else self._since(attempt)

    def frame(self, frame: bytes) -> bytes:
        """One frame of the server's as the reader gets it; nothing if it is no event for it."""
        said = members(RESPONSES.document(frame))
        name = read(said.get("type", Raw(b"null")))
        if not isinstance(name, str) or name in _ENDS or name in _SILENT:
            return b""
        if name == _CREATED and self._first:
            return b""
        if "response" in said:
            inner = self._response.restated(members(said["response"]))
            said["response"] = Raw(msgspec.json.encode(inner))
        return self._event(name, said)

    def end(self, response: KeptResponse, *, generated: bool) -> bytes:
        """The last event. `generated`: frames came before it, so its number is the next."""
        state = response.state
        if not generated:
            self._next = _OPENING
            # An attempt that is gone may have said something.
            if response.streams and state.attempts and state.completed_at is not None:
                self._next = self._since(attempt_id(state.completed_at))
        document = response.document()
        name = "response.failed"
        if state.status is Status.COMPLETED:
            name = f"response.{read(members(document)['status'])}"
        return self._event(name, {"response": Raw(document)})

    def broken(self, why: str) -> bytes:
        """That the stream ends here, though the response does not: an event without a number of its
        own, so that the reader can go on behind the last one that it has.
        """
        said = {"type": "error", "code": "server_error", "message": why, "param": None}
        return event("error", {**said, "sequence_number": max(self.told, 0)})

    def _event(self, name: str, said: dict[str, Raw]) -> bytes:
        number = self._next
        self._next += 1
        if number <= self._after:
            return b""
        self.told = number
        return event(name, {**said, "type": name, "sequence_number": number})

    def _since(self, attempt: int) -> int:
        return max(attempt - attempt_id(self._response.state.created_at), _OPENING)
