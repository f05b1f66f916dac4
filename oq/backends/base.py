"""What the queue asks of a server that runs models."""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from contextvars import ContextVar
from typing import Protocol

from msgspec import Struct

from oq.dialects.base import Dialect, Emit
from oq.words.config import BackendKind
from oq.words.head import Headers
from oq.words.outcome import Completed
from oq.words.task import TaskType
from oq.words.views import BackendFacts, Models


class Request(Struct, frozen=True, gc=False):
    """One task, as a backend gets it. `payload` and `options` are JSON objects.

    With a `call` (its path, see `oq.dialects`) `payload` is that call's whole body. What is emitted
    are the head of the answer and the bytes that its caller is to get; if nothing but a head was
    emitted, the result is those bytes. `headers` and `target` are as in `oq.words.task.Body`.
    """

    type: TaskType
    model: str
    payload: bytes
    options: bytes
    call: str | None = None
    headers: Headers = ()
    target: str | None = None


class Passage(Struct, frozen=True):
    """A request that is passed on to a backend as it came. `target` is its path and its query."""

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | AsyncIterable[bytes]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Reply(Protocol):
    """Takes the answer to a request that was passed on."""

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Its status and its headers; those of the connection are left out."""
        ...

    async def piece(self, data: bytes) -> None:
        """A part of its body, as it comes."""
        ...


class Backend(Protocol):
    """A server that runs models. Cancelling `run` closes its connection, which stops the model."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> BackendKind: ...
    @property
    def url(self) -> str: ...

    @property
    def speaks(self) -> tuple[Dialect, ...]:
        """The dialects whose calls it takes as they are."""
        ...

    @property
    def measures(self) -> bool:
        """Whether its answers say how long a call waited inside it (`Timings.waited`)."""
        ...

    async def run(self, request: Request, emit: Emit) -> Completed:
        """Run the task to its end.

        Raises BackendDown when nobody answers, BackendBusy when it cannot take the task now,
        BackendFailure for what may work another time, BackendRejected for what never will.
        """
        ...

    async def pass_on(self, passage: Passage, reply: Reply) -> None:
        """Let the backend answer what is no task. The errors are those of `run`; after `reply` has
        begun they mean that the answer broke off.
        """
        ...

    async def probe(self) -> None:
        """Return if the server answers; raise BackendDown if it does not."""
        ...

    async def models(self) -> Models:
        """The models that it has. The errors are those of `run`."""
        ...

    async def facts(self, *, full: bool = True) -> BackendFacts:
        """What it says of its slots and its memory: one or two small requests. Without `full` it
        leaves out the names that it would have to be asked for apart. The errors are those of
        `run`.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


way: ContextVar[str] = ContextVar("oq_way", default="")
"""The servers of oq that the request has come through (see `oq.rules.via`). Whoever sends a request
sets it, in the trio task that sends; so the functions in between need not pass it on.
"""
