"""The two processes of these tests: `oq serve`, and the simulated Ollama that it asks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from tests.support.ports import kept_port

GENERATE = {"type": "generate", "model": "llama3.2", "payload": {"prompt": "Why is the sky blue?"}}


class Oq:
    """An `oq serve` that can be killed and started again at the same address. Calls to it are
    plain HTTP, as any program makes them. `backend` is the address of an Ollama; None if `flags`
    say what its backends are.
    """

    def __init__(self, directory: Path, port: int, backend: str | None, *flags: str) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "oq.log"
        self.http = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        self._command = [
            sys.executable, "-m", "oq.cli", "serve", "--port", str(self.port),
            "--data-dir", str(directory / "data"), *flags,
            *(() if backend is None else ("--ollama-host", backend)),
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return when it takes requests."""
        with self.log.open("a") as log:
            self._process = _start(self._command, "oq listens at", log)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self._process is not None
        self._process.kill()
        _reap(self._process)

    def sweep(self) -> None:
        """Forget every task, and let the queue run."""
        self.resume()
        for action in ("cancel", "delete"):
            body = {"action": action, "filter": {}}
            self.http.post("/api/tasks/bulk", json=body).raise_for_status()
        assert self.status()["total_tasks"] == 0

    def stop(self) -> None:
        self.http.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def submit(self, task: dict[str, Any] | None = None, **fields: Any) -> str:
        reply = self.http.post("/api/tasks", json={**(task or GENERATE), **fields})
        assert reply.status_code == 201, reply.text
        return reply.json()["task_id"]

    def submit_many(self, tasks: list[dict[str, Any]]) -> list[str]:
        body = "\n".join(map(json.dumps, tasks))
        headers = {"Content-Type": "application/x-ndjson"}
        reply = self.http.post("/api/tasks/batch", content=body, headers=headers)
        assert reply.status_code == 201, reply.text
        return reply.json()["task_ids"]

    def task(self, task_id: str) -> dict[str, Any]:
        return self.http.get(f"/api/tasks/{task_id}").json()

    def ended(self, task_id: str) -> dict[str, Any]:
        """The task, once it has ended."""
        task = self.http.get(f"/api/tasks/{task_id}?wait=50s").json()
        assert task["completed_at"], f"it has not ended: {task}"
        return task

    def status(self) -> dict[str, Any]:
        return self.http.get("/api/status").json()

    def pause(self) -> None:
        self.http.post("/api/queue/pause").raise_for_status()

    def resume(self) -> None:
        """The queue, and all its models."""
        self.http.post("/api/queue/resume").raise_for_status()
        for model in self.status()["paused_models"]:
            self.http.post("/api/models/resume", json={"model": model}).raise_for_status()


class Ollama:
    """The simulated Ollama, and its control API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def script(self, *scripts: dict[str, Any]) -> None:
        """What the next requests are answered, one each."""
        reply = httpx.post(f"{self.url}/simulator/script", json=list(scripts), trust_env=False)
        reply.raise_for_status()

    def asked(self) -> list[dict[str, Any]]:
        """Every request for an answer that it got, in order."""
        calls = httpx.get(f"{self.url}/simulator/requests", trust_env=False).json()
        return [call for call in calls if call["method"] == "POST"]


def answer(text: str, **terms: Any) -> dict[str, Any]:
    """A task that is answered so. `terms` are those of a script: `rate`, `delay`, `status` ..."""
    return {**GENERATE, "options": {"simulate": {"text": text, **terms}}}


def slow(words: int = 2000, rate: float = 40) -> dict[str, Any]:
    """A task that generates for the better part of a minute: nobody waits for its end."""
    return answer(" ".join(f"word{number}" for number in range(words)), rate=rate)


@contextmanager
def simulated_ollama(directory: Path, *flags: str) -> Iterator[Ollama]:
    models = [flag for name in ("llama3.2", "qwen3:4b", "nomic-embed-text")
              for flag in ("--model", name)]  # fmt: skip
    command = [
        sys.executable, "-m", "oq.cli", "simulate", "--tokens-per-second", "0", *models, *flags,
    ]  # fmt: skip
    with kept_port() as port:
        with (directory / "simulator.log").open("w") as log:
            process = _start([*command, "--port", str(port)], "simulated Ollama at", log)
        try:
            yield Ollama(f"http://127.0.0.1:{port}")
        finally:
            process.kill()
            _reap(process)


@contextmanager
def served(directory: Path, backend: str | None, *flags: str) -> Iterator[Oq]:
    with kept_port() as port:
        oq = Oq(directory, port, backend, *flags)
        oq.start()
        try:
            yield oq
        finally:
            oq.stop()


def _start(command: list[str], announces: str, log: IO[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if announces not in line:
        process.kill()
        _reap(process)
        raise AssertionError(f"it said {line!r}, and in the log: {Path(log.name).read_text()}")
    return process


def _reap(process: subprocess.Popen[str]) -> None:
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
