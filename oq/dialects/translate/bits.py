"""What an answer says bit by bit, between the form of the server and that of the caller.

A reader makes bits of what a server sends (`chat_answer`, `ollama_answer`), `order` puts them one
behind the other, and a writer makes the caller's form of them (`responses_events`,
`messages_events`). Whole answers go the same way, in one step.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol


class Kind(Enum):
    """What a block of an answer is."""

    THOUGHT = "thought"
    TEXT = "text"
    REFUSAL = "refusal"
    CALL = "call"


class Bit(NamedTuple):
    """The next bit of a block. A call has the place that the server gave it, and with its first bit
    its id, which may be empty, and its name; its text is a part of its arguments in JSON.
    """

    kind: Kind
    text: str
    place: int = 0
    call_id: str = ""
    name: str = ""


class Counts(NamedTuple):
    """Tokens. Those from a cache are part of the prompt; thoughts are part of the completion."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    thoughts: int = 0


class Finish(NamedTuple):
    """Why an answer ends: "stop", "length", "tool_calls" or "content_filter", and which of the
    texts that should stop it did, if one did.
    """

    reason: str = "stop"
    stopped_by: str | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the model would have gone on."""
        return self.reason in ("length", "content_filter")


class Reader(Protocol):
    """Reads what a server answers.

    Its errors are BackendFailure and BackendRejected. One that the server states has its document.
    """

    finish: Finish | None
    """Why the answer ends; None until the server says so."""
    counts: Counts | None
    """None until the server says them."""
    done: bool
    """Whether the server has said all."""

    def feed(self, data: bytes) -> list[Bit]:
        """Read the next bytes, of a stream or of a whole answer."""
        ...

    def end(self) -> list[Bit]:
        """There are no more bytes. BackendFailure if the answer is not whole, or says nothing."""
        ...


class Writer(Protocol):
    """Writes an answer for its caller, block after block."""

    def begin(self) -> list[bytes]:
        """The frames before the first block."""
        ...

    def open_block(self, first: Bit) -> list[bytes]:
        """A new block; the text of its first bit comes with `add`."""
        ...

    def add(self, text: str) -> list[bytes]:
        """More of the open block."""
        ...

    def close_block(self, *, cut: bool) -> list[bytes]:
        """The end of the open block, which would have gone on if it is `cut`."""
        ...

    def finish(self, finish: Finish, counts: Counts | None) -> list[bytes]:
        """The frames after the last block."""
        ...

    def fail(self, text: str) -> bytes:
        """The frame that says that the answer broke off, and why."""
        ...

    def whole(self) -> bytes:
        """The answer as one object, once it is finished."""
        ...
