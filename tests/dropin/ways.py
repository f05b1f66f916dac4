"""How a client reaches the simulated machine: directly, or through a real `oq serve`.

What holds on the direct way says that a test is right; what holds on the others, that oq is.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import trio

from oq.backends.simulated import Call, Script, Simulator
from oq.backends.simulated.model_files import ModelFiles
from oq.backends.simulated.server import serve_simulator
from oq.cli.demo.children import Child, child

SOON = 30.0
"""Seconds in which what is waited for must happen: far more than it takes."""
MODEL = "m:latest"


class _StandingClock:
    """So that the same request has the same answer, whichever way it takes."""

    def now(self) -> datetime:
        return datetime(2026, 1, 31, 12, tzinfo=UTC)


SLOTS = 4


class Machine:
    """The simulated machine over HTTP, on a thread of its own. The model `m` exists."""

    def __init__(self) -> None:
        self.simulator = Simulator(models={MODEL}, clock=_StandingClock(), timed=False)
        self.url = ""
        self._up = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), daemon=True)

    def __enter__(self) -> Machine:
        self._thread.start()
        assert self._up.wait(SOON), "the simulator does not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(SOON)
        assert not self._thread.is_alive(), "the simulator does not stop"

    @property
    def calls(self) -> list[Call]:
        """What it was asked to run, in order; looks at lists and the like are left out."""
        return [call for call in list(self.simulator.calls) if call.method == "POST"]

    def push(self, **script: Any) -> None:
        """Let the next request follow this script."""
        self.simulator.push(Script(**script))

    def until(self, true: Callable[[], object], what: str) -> None:
        """Return once it is true; AssertionError, with `what` was waited for, if it never is."""

        async def look() -> bool:
            with trio.move_on_after(SOON):
                while not true():  # noqa: ASYNC110 - what it waits for tells nobody
                    await trio.sleep(0.005)
                return True
            return False

        assert trio.from_thread.run(look, trio_token=self._token), f"never: {what}"

    def fresh(self) -> None:
        """As if new; nothing may be running any more."""
        self.until(lambda: not self.simulator.running, "what an earlier test asked ends")
        trio.from_thread.run_sync(self._forget, trio_token=self._token)

    def _forget(self) -> None:
        self.simulator.calls.clear()
        self.simulator.scripts.clear()
        self.simulator.default = Script()
        self.simulator.model_files = ModelFiles({MODEL})
        self.simulator.lacks = frozenset()
        self.simulator.restart()

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as self._scope:
            async with trio.open_nursery() as nursery:
                self.url = await nursery.start(serve_simulator, "127.0.0.1", 0, self.simulator)
                self._up.set()


class Way:
    """A way to the machine. `url` is what a client is told; `oq` says whether oq is on it."""

    def __init__(self, name: str, url: str, machine: Any) -> None:
        self.name = name
        self.url = url
        self.machine = machine
        self.oq = name != "direct"
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=SOON)

    def tasks(self, **query: str) -> list[dict[str, Any]]:
        """The tasks that oq has, the newest first."""
        answer = self.http.get("/api/tasks", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    def status(self) -> dict[str, Any]:
        """How oq's queue is."""
        return dict(self.http.get("/api/status").json())

    def until_status(self, **wanted: int) -> None:
        """Return once oq's queue has these counts. What is being stored counts already."""
        self.until(lambda: wanted.items() <= self.status().items(), str(wanted))

    def until_next(self, text: str) -> None:
        """Return once the newest task, which says this, is the next to start."""

        def first() -> bool:
            [newest] = self.tasks(limit="1")
            return newest.get("queue_position") == 1 and text in json.dumps(newest["payload"])

        self.until(first, f"{text!r} is next")

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Return once it is true; AssertionError if it never is."""
        late = time.monotonic() + SOON
        while not true():
            assert time.monotonic() < late, f"never: {what}; {self.status()}"

    def ended(self, task_id: str) -> dict[str, Any]:
        """A task, once it has ended."""
        task = self.http.get(f"/api/tasks/{task_id}", params={"wait": "20s"}).json()
        assert task["status"] in ("completed", "failed", "cancelled"), task
        return dict(task)


@contextmanager
def direct(machine: Machine | Child) -> Iterator[Way]:
    """No oq on the way."""
    way = Way("direct", machine.url, machine)
    with way.http:
        yield way


@contextmanager
def through_oq(
    machine: Machine | Child, folder: Path, kind: str = "ollama", **sections: Mapping[str, Any]
) -> Iterator[Way]:
    """Through an `oq serve` whose one backend is the machine; it is stopped as by SIGTERM."""
    with serving(machine, folder, kind, **sections) as (way, server):
        yield way
        server.stop()


@contextmanager
def serving(
    machine: Machine | Child, folder: Path, kind: str = "ollama", **sections: Mapping[str, Any]
) -> Iterator[tuple[Way, Child]]:
    """The same, but it is killed by SIGKILL. A second one may be opened over what it has left.

    `sections` are settings, over what suits tests: nothing is tried again, and a drain takes no
    time.
    """
    settings = {
        # What it serves at once is not tried out here: other tests do that.
        "backends": [
            {"name": "machine", "kind": kind, "url": machine.url, "max_concurrency": SLOTS}
        ],
        "server": {"port": 0},
        "retry_config": {"max_retries": 0},
        **sections,
        "queue": {"storage_path": str(folder / "data"), "drain_timeout": "100ms"}
        | dict(sections.get("queue", {})),
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    arguments = ["-W", "error", "-m", "oq.cli", "serve", "--config", str(config)]
    with child(f"oq server ({kind})", arguments, folder, os.environ) as server:
        way = Way(f"oq-{kind}", server.url, machine)
        with way.http:
            yield way, server


def kill(server: Child) -> None:
    """End it as a crash does: SIGKILL."""
    server._process.kill()
    server._process.wait()
