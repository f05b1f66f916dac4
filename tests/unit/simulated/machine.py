"""A simulated machine under test: calls by name, and what has come of each."""

from __future__ import annotations

import json

import trio

from oq.backends.base import Request
from oq.backends.simulated import SimulatedBackend, Simulator
from oq.words.errors import BackendFailure
from oq.words.task import TaskType

SECOND = 1_000_000_000


class Machine:
    """A simulated Ollama, and what has come of the calls to it, by name."""

    def __init__(self, **how: object) -> None:
        self.simulator = Simulator(**{"load": 10, "parallel": 1, **how})
        self.backend = SimulatedBackend("s", self.simulator)
        self.ended: dict[str, float] = {}
        self.order: list[str] = []
        self.said: dict[str, dict[str, object]] = {}
        self.failed: dict[str, BackendFailure] = {}
        self.began = trio.current_time()

    @property
    def now(self) -> float:
        return trio.current_time() - self.began

    async def call(self, name, model="m", kind=TaskType.CHAT, options=None, fields=None, **script):
        payload = {"messages": [{"role": "user", "content": "one two"}]}
        if kind is TaskType.EMBED:
            payload = {"input": ["one", "two"]}
        payload |= fields or {}
        options = (options or {}) | ({"simulate": script} if script else {})
        request = Request(kind, model, json.dumps(payload).encode(), json.dumps(options).encode())
        try:
            completed = await self.backend.run(request, lambda _: None)
        except BackendFailure as error:
            self.failed[name] = error
        else:
            self.said[name] = json.loads(completed.result)
        self.ended[name] = self.now
        self.order.append(name)

    def seconds(self, name: str) -> dict[str, float]:
        """The durations that an answer reports; `waited` is what is left of the total."""
        spent = {
            part: self.said[name][f"{part}_duration"] / SECOND
            for part in ("total", "load", "prompt_eval", "eval")
        }
        rest = spent["total"] - spent["load"] - spent["prompt_eval"] - spent["eval"]
        return spent | {"waited": round(rest, 6)}
