"""A server whose every attempt ends as, and when, the test says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import trio

from oq.backends.base import Emit, Request
from oq.words.errors import BackendDown, BackendError
from oq.words.outcome import Completed
from oq.words.views import BackendFacts, Models

RESULT = b'{"response":"done","done":true}'


@dataclass
class _Run:
    told: trio.Event = field(default_factory=trio.Event)
    ending: Completed | BackendError | None = None


class ScriptedBackend:
    """`running` has what runs now, by prompt; `started` the prompts as they were started."""

    name, kind, url = "scripted", "simulated", ""
    measures = False

    def __init__(self) -> None:
        self.up = True
        self.started: list[str] = []
        self.running: dict[str, _Run] = {}

    async def run(self, request: Request, emit: Emit) -> Completed:
        if not self.up:
            raise BackendDown("connection refused")
        prompt = json.loads(request.payload)["prompt"]
        assert prompt not in self.running, "a task runs twice at once"
        self.started.append(prompt)
        run = self.running[prompt] = _Run()
        try:
            await run.told.wait()
        finally:
            del self.running[prompt]
        if isinstance(run.ending, BackendError):
            raise run.ending
        assert run.ending is not None
        return run.ending

    def end(self, prompt: str, ending: Completed | BackendError) -> None:
        """Let the attempt end like this."""
        self.running[prompt].ending = ending
        self.running[prompt].told.set()

    async def probe(self) -> None:
        if not self.up:
            raise BackendDown("connection refused")

    async def models(self) -> Models:
        return Models()

    async def facts(self, *, full: bool = True) -> BackendFacts:
        return BackendFacts(slots=100)

    async def aclose(self) -> None:
        pass
