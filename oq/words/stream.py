"""What is generated, as it is generated: the pieces that readers of a stream get."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from oq.words.task import Readable, Status


class Chunk(Readable, Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One piece of a task's output.

    `offset` counts the backend's chunks up to and including this one: ask for the stream from
    `offset` on and you get what comes after it. Chunks that are due together may be joined, so
    offsets can skip. Offsets belong to one `attempt`, which is named by when it started (in
    microseconds since 1970); a new one begins with a chunk that says `restart`: what came before is
    void. The last chunk has `done`, the task's final `status` and, if it failed, its `error`.
    """

    data: str
    """Text of the answer, or nothing."""
    offset: int
    done: bool
    attempt: int = 0
    restart: bool = False
    thinking: str | None = None
    tool_calls: list[Any] | None = None
    logprobs: list[Any] | None = None
    status: Status | None = None
    error: str | None = None


class Piece(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What is kept of one of the backend's chunks, to be replayed."""

    text: str = ""
    thinking: str | None = None
    tool_calls: list[Any] | None = None
    logprobs: list[Any] | None = None

    @property
    def is_text(self) -> bool:
        return self.thinking is None and self.tool_calls is None and self.logprobs is None
