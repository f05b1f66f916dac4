"""A server in a process of its own, and what it takes."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

from tests.crash.serving import Serving

from .readers import WITHIN

MB = 1 << 20
PAST_THE_END = 2**53


class Measured:
    """`oq serve` in front of one Ollama."""

    def __init__(self, data: Path, ollama: str, extra: str = "") -> None:
        backends = f"backends: [{{name: talker, kind: ollama, url: '{ollama}'}}]\n"
        self._serving = Serving(data, f"{backends}{extra}", simulate=False)
        self.url = ""

    def __enter__(self) -> Measured:
        self.url = self._serving.url()
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.kill()

    def call(self, method: str, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=WITHIN) as answer:
            return bytes(answer.read())

    def submit(self) -> str:
        task = {"type": "generate", "model": "m", "payload": {"prompt": "hello"}}
        return str(json.loads(self.call("POST", "/api/tasks", task))["task_id"])

    def submit_many(self, tasks: list[dict[str, Any]]) -> list[str]:
        """Their ids."""
        return list(json.loads(self.call("POST", "/api/tasks/batch", tasks))["task_ids"])

    def task(self, task_id: str) -> dict[str, Any]:
        """How it stands."""
        return dict(json.loads(self.call("GET", f"/api/tasks/{task_id}")))

    def end(self, task_id: str) -> str:
        """Its state, once it has ended. Nothing of its answer is read."""
        last = self.call("GET", f"/api/tasks/{task_id}/stream?offset={PAST_THE_END}")
        return str(json.loads(last.splitlines()[-1])["status"])

    def takes(self) -> int:
        """Bytes of memory that the process takes now."""
        return self._read("VmRSS")

    def took(self) -> int:
        """The most that it ever took."""
        return self._read("VmHWM")

    def _read(self, name: str) -> int:
        status = Path(f"/proc/{self._serving.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024
