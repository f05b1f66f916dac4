"""Counts the ways of an oq: see `bench.ways`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
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


def event(oq: Recorded) -> Pairs:
    """The cancel of a task that waits, and its event to one who listens."""
    oq.http.post("/api/queue/pause").raise_for_status()
    with oq.http.stream("GET", "/api/events") as answer:
        lines = answer.iter_lines()

        def way(task_id: str) -> None:
            oq.http.post(f"/api/tasks/{task_id}/cancel").raise_for_status()
            while "task_cancelled" not in (line := next(lines)) or not line.startswith("data"):
                pass

        ids = [oq.http.post("/api/tasks", json=TASK).json()["task_id"] for _ in range(2)]
        way(ids[0])
        found = oq.record(lambda: way(ids[1]))
    oq.http.post("/api/queue/resume").raise_for_status()
    return found


WAYS: dict[str, Callable[[Recorded], Pairs]] = {
    "a task over HTTP": task,
    "a call": call,
    "a token of a call": token,
    "an event with its cancel": event,
}


def numbers(pairs: Pairs) -> tuple[int, int, int]:
    """Modules, those that pass on, and crossings."""
    crossings = {(caller, called) for caller, called in pairs if caller and caller != called}
    return (
        len({called for _, called in pairs}),
        len({caller for caller, _ in crossings}),
        len(crossings),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ways", description=_RULE)
    parser.add_argument("checkout", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--modules", action="store_true", help="name the modules that pass on")
    options = parser.parse_args()
    for checkout in options.checkout:
        print(f"{checkout.resolve()}\n{'':28}modules  passing  crossings", flush=True)
        with recorded(checkout.resolve()) as oq:
            for name, way in WAYS.items():
                pairs = way(oq)
                modules, passing, crossings = numbers(pairs)
                print(f"{name:28}{modules:7}{passing:9}{crossings:11}")
                if options.modules:
                    print("   ", *sorted({a for a, b in pairs if a and a != b}))


if __name__ == "__main__":
    main()
