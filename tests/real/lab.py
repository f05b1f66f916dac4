"""What the scenarios share: a model server, and an oq in front of it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.real.boxes import Box
from tests.real.calls import PROMPT, Call, Caller, caller
from tests.real.processes import Server

SERVICE = 1.5
"""Seconds that a usual call of these runs takes."""


class Oq:
    """`oq serve` with one backend. What it says of itself, and calls through it."""

    def __init__(self, server: Server, calls: Caller) -> None:
        self.server = server
        self.calls = calls

    async def backend(self) -> dict[str, Any]:
        """What it says of its backend."""
        return dict((await self.calls.http.get("/api/backends")).json()[0])

    async def tasks(self, calls: Iterable[Call | str]) -> list[dict[str, Any]]:
        """The tasks of these calls, or with these ids, in the order of submission."""
        ids = [call.task if isinstance(call, Call) else call for call in calls]
        found = [await self.task(each) for each in ids]
        return sorted(found, key=lambda task: str(task["id"]))

    async def task(self, task_id: str, wait: str = "0s") -> dict[str, Any]:
        """One task; `wait` is how long to wait for its end."""
        answer = await self.calls.http.get(f"/api/tasks/{task_id}", params={"wait": wait})
        return dict(answer.raise_for_status().json())

    async def generates(self, task_id: str) -> None:
        """Return when the task has generated something."""
        path = f"/api/tasks/{task_id}/stream"
        async with self.calls.http.stream("GET", path) as answer:
            await anext(answer.raise_for_status().aiter_lines())

    async def ended(self, ids: Iterable[str], within: float) -> list[dict[str, Any]]:
        """These tasks when all have ended, or as they are after so many seconds."""
        with trio.move_on_after(within):
            for each in ids:
                while (await self.task(each, wait="60s"))["status"] in ("pending", "running"):
                    pass
        return await self.tasks(ids)

    async def slots(self) -> int:
        """How many tasks of its only model it lets its backend run at once."""
        backend = await self.backend()
        for known in backend.get("slots", ()):
            return int(known["slots"])
        return int(backend.get("max_concurrency") or 0)

    async def submit(self, model: str, tokens: int, **terms: Any) -> str:
        """Submit a task of oq's own API; its id."""
        payload = {"prompt": PROMPT}
        options = {"num_predict": tokens, "temperature": 0}
        task = {"type": "generate", "model": model, "payload": payload, "options": options} | terms
        answer = await self.calls.http.post("/api/tasks", json=task)
        return str(answer.raise_for_status().json()["task_id"])


class Lab:
    """Starts servers, and stops them. `measure` comes before all else."""

    def __init__(self, box: Box, folder: Path, *, rounds: int) -> None:
        self.box = box
        self.folder = folder
        self.rounds = rounds
        """How often what is compared is measured, in turns. The best of each counts: the machine
        may do other things, too."""
        self.tokens = 0
        """Tokens that take about SERVICE seconds."""
        self.service = SERVICE
        """Seconds that so many tokens took, with the prompt, in a call alone."""
        self.first = 0.0
        """Seconds to its first token."""
        self.load = 0.0
        """Seconds that the first call for a model took longer than the second."""

    async def measure(self) -> str:
        """How fast the server is when it has one call; a line that says so."""
        async with self.serving() as server, self.direct(server) as calls:
            cold, warm = [await calls.call("a", 40) for _ in range(2)]
            assert warm.first is not None, f"the server does not answer: {warm}"
            self.first = warm.first_after
            self.load = cold.first_after - self.first
            speed = (warm.tokens - 1) / (warm.ended - warm.first)
            self.tokens = round((SERVICE - self.first) * speed)
            self.service = (await calls.call("a", self.tokens)).seconds
        return (
            f"alone: {speed:.0f} tokens/s, a load {self.load:.2f} s, the first token after"
            f" {self.first:.2f} s; a call of {self.tokens} tokens takes {self.service:.2f} s"
        )

    @asynccontextmanager
    async def serving(self, **settings: str) -> AsyncIterator[Server]:
        """The model server, with nothing in its memory."""
        server = self.box.serve(**settings)
        try:
            await server.start()
            yield server
        finally:
            server.stop()

    @asynccontextmanager
    async def direct(self, server: Server) -> AsyncIterator[Caller]:
        """Calls without oq."""
        async with caller(server.url, ollama=self.box.kind == "ollama") as calls:
            yield calls

    @asynccontextmanager
    async def through(
        self, server: Server, backend: Mapping[str, Any] | None = None, **sections: Any
    ) -> AsyncIterator[Oq]:
        """An oq with a new directory, and with these settings of its backend and others."""
        folder = Path(tempfile.mkdtemp(prefix="oq-", dir=self.folder))
        box = {"name": "box", "kind": self.box.kind, "url": server.url, **(backend or {})}
        settings = {"backends": [box], "queue": {"storage_path": str(folder / "data")}, **sections}
        config = folder / "config.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        words = ["serve", "--config", str(config), "--port", "{port}"]
        oq = Server([sys.executable, "-m", "oq.cli", *words], folder, "/readyz")
        try:
            await oq.start()
            async with caller(oq.url, ollama=self.box.kind == "ollama") as calls:
                yield Oq(oq, calls)
        finally:
            oq.stop()
