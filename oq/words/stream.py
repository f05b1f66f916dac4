"""The chunks of an answer, which readers of a task's stream receive."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from oq.words.task import Readable, Status


class Chunk(Readable, Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One piece of a task's output.

    `offset` is the number of the backend's chunks up to this one, inclusive. To continue after this
    chunk, ask for the stream from this `offset`. oq may join several of the backend's chunks, so
    offsets can skip numbers. `attempt` identifies the attempt: it is the time when the attempt
    started, in microseconds since 1970. Offsets count within one attempt. A chunk with `restart`
    begins a new attempt: discard the chunks before it. The last chunk has `done`, the task's final
    `status` and, if the task failed, its `error`.
    """

    data: str
    """Text of the answer. It can be empty."""
    offset: int
    done: bool
    attempt: int = 0
    restart: bool = False
    thinking: str | None = None
    tool_calls: list[Any] | None = None
    """As the backend sent them. A task that was submitted to oq has them in Ollama's form: whole
    calls, each an object with `function`, whose `arguments` are an object. A call of OpenAI's API
    has them as that API streams them: parts of calls, to be joined by their `index`, with
    `arguments` that are parts of a text.
    """
    logprobs: list[Any] | None = None
    status: Status | None = None
    error: str | None = None


class Piece(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """The parts of one of the backend's chunks that are kept for later readers."""

    text: str = ""
    thinking: str | None = None
    tool_calls: list[Any] | None = None
    """See `Chunk.tool_calls`."""
    logprobs: list[Any] | None = None

    @property
    def is_text(self) -> bool:
        return self.thinking is None and self.tool_calls is None and self.logprobs is None
