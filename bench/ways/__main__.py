"""Counts the ways of an oq: see `bench.ways`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import httpx

from bench.ways import __doc__ as _RULE
from bench.ways.backend import Backend
from oq.cli.demo.children import child

HERE = Path(__file__).parents[2]
SOON = 60.0
"""Seconds in which what is waited for must happen."""
MESSAGES = [{"role": "user", "content": "why is the sky blue"}]
TASK = {"type": "chat", "model": "m", "payload": {"messages": MESSAGES}}
CALL = {"model": "m", "messages": MESSAGES}

Pairs = set[tuple[str, str]]


@dataclass
class Recorded:
    """An oq that runs, and the functions of it that do."""

    http: httpx.Client
    backend: Backend
    ask: TextIO
    answer: TextIO

    def record(self, way: Callable[[], None]) -> Pairs:
        """What runs while `way` is gone."""
        self._tell("begin")
        way()
        return {(caller, called) for caller, called in self._tell("end")}

    def _tell(self, word: str) -> list[list[str]]:
        self.ask.write(f"{word}\n")
        self.ask.flush()
        told: list[list[str]] = json.loads(self.answer.readline())
        return told


@contextmanager
def recorded(checkout: Path) -> Iterator[Recorded]:
    """The oq of this checkout, in front of a server made for it."""
    with tempfile.TemporaryDirectory(prefix="oq-ways-") as folder:
        backend, place = Backend(), Path(folder)
        settings = {
            "backends": [{"name": "b", "kind": "ollama", "url": backend.url}],
            "server": {"port": 0},
            "queue": {"storage_path": str(place / "data")},
        }
        config = place / "config.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        for pipe in ("ask", "answer"):
            os.mkfifo(place / pipe)
        recorder = str(Path(__file__).with_name("recorder.py"))
        arguments = [recorder, folder, "serve", "--config", str(config)]
        environ = {**os.environ, "PYTHONPATH": str(checkout)}
        with (
            child("recorded oq", arguments, place, environ) as process,
            httpx.Client(base_url=process.url, timeout=SOON, trust_env=False) as http,
            (place / "ask").open("w") as ask,
            (place / "answer").open() as answer,
        ):
            yield Recorded(http, backend, ask, answer)
            process.stop()


# -- the ways


def task(oq: Recorded) -> Pairs:
    """From the POST of a task to the answer of one who waits for its end."""

    def way() -> None:
        oq.backend.finish()
        made = oq.http.post("/api/tasks", json=TASK).raise_for_status().json()
        ended = oq.http.get(f"/api/tasks/{made['task_id']}", params={"wait": "30s"}).json()
        assert ended["status"] == "completed", ended

    way()
    return oq.record(way)


def call(oq: Recorded) -> Pairs:
    """A call of Ollama's API that streams, from its first byte to the last of its answer."""

    def way() -> None:
        oq.backend.word()
        oq.backend.finish()
        assert oq.http.post("/api/chat", json=CALL).raise_for_status().text.count("\n") == 2

    way()
    return oq.record(way)


def token(oq: Recorded) -> Pairs:
    """One line of such an answer, from the server to the caller."""
    oq.backend.word()
    with oq.http.stream("POST", "/api/chat", json=CALL) as answer:
        lines = answer.iter_lines()
        next(lines)

        def way() -> None:
            oq.backend.word()
            next(lines)

        way()
        found = oq.record(way)
        oq.backend.finish()
        list(lines)
    return found


def cancel(oq: Recorded) -> Pairs:
    """The cancel of a task that waits, while nobody listens."""
    with waiting(oq) as ids:
        _cancel(oq, ids[0])
        return oq.record(lambda: _cancel(oq, ids[1]))


def event(oq: Recorded) -> Pairs:
    """The same, and its event to one who listens."""
    with waiting(oq) as ids, oq.http.stream("GET", "/api/events") as answer:
        lines = answer.iter_lines()

        def way(task_id: str) -> None:
            _cancel(oq, task_id)
            while "task_cancelled" not in (line := next(lines)) or not line.startswith("data"):
                pass

        way(ids[0])
        return oq.record(lambda: way(ids[1]))


@contextmanager
def waiting(oq: Recorded) -> Iterator[list[str]]:
    """Two tasks that wait, as the queue is paused."""
    oq.http.post("/api/queue/pause").raise_for_status()
    yield [oq.http.post("/api/tasks", json=TASK).json()["task_id"] for _ in range(2)]
    oq.http.post("/api/queue/resume").raise_for_status()


def _cancel(oq: Recorded, task_id: str) -> None:
    oq.http.post(f"/api/tasks/{task_id}/cancel").raise_for_status()


WAYS: dict[str, Callable[[Recorded], Pairs]] = {
    "a task over HTTP": task,
    "a call": call,
    "a token of a call": token,
    "a cancel": cancel,
    "an event with its cancel": event,
}
BESIDE = {"a call": "a task over HTTP", "an event with its cancel": "a cancel"}
"""Ways that contain another one, mostly: what they have beside that is told, too."""


def numbers(pairs: Pairs, beside: Collection[str] = ()) -> tuple[int, int, int]:
    """Modules, those that pass on, and crossings; without the modules of a way `beside` it."""
    crossings = {(caller, called) for caller, called in pairs if caller and caller != called}
    return (
        len({called for _, called in pairs}.difference(beside)),
        len({caller for caller, _ in crossings}.difference(beside)),
        sum(caller not in beside or called not in beside for caller, called in crossings),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ways", description=_RULE)
    parser.add_argument("checkout", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--modules", action="store_true", help="name the modules that pass on")
    options = parser.parse_args()
    for checkout in options.checkout:
        print(f"{checkout.resolve()}\n{'':28}modules  passing  crossings", flush=True)
        found: dict[str, Pairs] = {}
        with recorded(checkout.resolve()) as oq:
            for name, way in WAYS.items():
                pairs = found[name] = way(oq)
                _tell(name, numbers(pairs))
                if name in BESIDE:
                    beside = {called for _, called in found[BESIDE[name]]}
                    _tell(f"  beside {BESIDE[name]}", numbers(pairs, beside))
                if options.modules:
                    print("   ", *sorted({a for a, b in pairs if a and a != b}))


def _tell(name: str, found: tuple[int, int, int]) -> None:
    modules, passing, crossings = found
    print(f"{name:28}{modules:7}{passing:9}{crossings:11}")


if __name__ == "__main__":
    main()
