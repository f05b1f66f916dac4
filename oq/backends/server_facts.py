"""What a server without Ollama's API says of itself: how much it takes at once, and what is loaded.

Each kind says it at another path, and lacks the others: llama.cpp's server at /props, its router at
/props and /models (tools/server/README.md), llama-swap at /running (internal/server/api.go). A path
that a server lacks, or answers in another form, says nothing. What kind it is, is remembered until
the server cannot be reached; that it is none of them, for a while.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import trio
from msgspec import Raw, Struct
from msgspec.structs import replace

from oq.backends.refusals import REMEMBERED
from oq.backends.transport import Transport
from oq.words.errors import BackendBusy, BackendFailure, BackendRejected
from oq.words.from_json import NOT_READ
from oq.words.views import BackendFacts

MAX_SLOTS = 10_000
"""More calls at once no server means."""
ASKED = 4
"""Models of a router that are asked for their slots, each time that the facts are asked."""

T = TypeVar("T")
Ask = Callable[[], Awaitable[BackendFacts | None]]


class _Props(Struct):
    role: Any = None
    total_slots: Any = None
    max_instances: Any = None


class _RouterModels(Struct):
    data: list[Raw]


class _Status(Struct):
    value: Any = None


class _RouterModel(Struct):
    id: str
    status: _Status
    aliases: Any = None


class _Running(Struct):
    running: list[Raw]


class _RunningModel(Struct):
    model: str
    state: str


class ServerFacts:
    """The facts of the server behind `transport`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._failed = False  # whether it failed to answer a question, this time
        self._forget()

    async def read(self) -> BackendFacts:
        """The facts; the errors are those of `Backend.models`."""
        self._failed = False
        facts = await self._read()
        return replace(facts, incomplete=True) if self._failed else facts

    async def _read(self) -> BackendFacts:
        if self._generation != self._transport.generation:
            self._forget()
        if self._known is not None:
            facts = await self._known()
            if facts is not None:
                return facts
            self._forget()  # it is another server by now
        return BackendFacts() if trio.current_time() < self._silent_until else await self._find()

    def _forget(self) -> None:
        self._generation = self._transport.generation
        self._known: Ask | None = None
        self._silent_until = -math.inf
        self._max_models: int | None = None
        self._slots: dict[str, int | None] = {}

    async def _find(self) -> BackendFacts:
        """Find out what kind of server it is."""
        # In this order: at llama-swap /props is a path of its models.
        for ask in (self._swap, self._llama):
            facts = await ask()
            if facts is not None:
                return facts
        if not self._failed:
            self._silent_until = trio.current_time() + REMEMBERED
        return BackendFacts()

    async def _llama(self) -> BackendFacts | None:
        """llama.cpp's server, or its router."""
        props = await self._get("/props", _Props)
        if props is None:
            return None
        if props.role == "router":
            self._max_models = _few(props.max_instances)
            self._known = self._router
            return await self._router()
        slots = _few(props.total_slots)
        if slots is None:
            return None
        self._known = self._llama
        return BackendFacts(slots)

    async def _router(self) -> BackendFacts | None:
        """llama.cpp's router. A name and its aliases are one model."""
        listed = await self._get("/models", _RouterModels)
        if listed is None:
            return None
        models = _readable(listed.data, _RouterModel)
        loaded = tuple(model.id for model in models if model.status.value == "loaded")
        digests = {
            name: model.id for model in models for name in (model.id, *_texts(model.aliases))
        }
        slots_of = await self._slots_of(loaded)
        fewest = min(slots_of.values(), default=None)  # as long as a model has not said its own
        return BackendFacts(fewest, loaded, digests, self._max_models, slots_of=slots_of)

    async def _slots_of(self, loaded: tuple[str, ...]) -> dict[str, int]:
        """How many calls each model takes at once, as far as is known. That is asked once of each,
        while it is loaded: the question alone would load it.
        """
        new = [name for name in loaded if name not in self._slots]
        for name in new[:ASKED]:
            path = f"/props?model={quote(name, safe='')}&autoload=false"
            props = await self._get(path, _Props)
            self._slots[name] = None if props is None else _few(props.total_slots)
        return {name: slots for name, slots in self._slots.items() if slots is not None}

    async def _swap(self) -> BackendFacts | None:
        """llama-swap."""
        said = await self._get("/running", _Running)
        if said is None:
            return None
        self._known = self._swap
        models = _readable(said.running, _RunningModel)
        return BackendFacts(loaded=tuple(each.model for each in models if each.state == "ready"))

    async def _get(self, path: str, kind: type[T]) -> T | None:
        """What the path says; None if the server lacks it, or says something else."""
        try:
            return msgspec.json.decode(await self._transport.get(path), type=kind)
        except (BackendRejected, *NOT_READ):
            return None
        except BackendBusy:
            raise
        except BackendFailure as error:
            if error.status is None:
                raise
            self._failed = True
            return None


def _few(value: Any) -> int | None:
    """A number of slots or of models, if it can be one."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 1 <= value <= MAX_SLOTS else None


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _readable(items: list[Raw], kind: type[T]) -> list[T]:
    """The items that are of this form."""
    read = []
    for item in items:
        try:
            read.append(msgspec.json.decode(item, type=kind))
        except NOT_READ:
            continue
    return read
