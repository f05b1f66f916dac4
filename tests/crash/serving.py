"""A real `oq serve` in a child process, which may be killed at any moment."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

READY_WITHIN = 60.0
"""Seconds: far more than it takes, because the machine may be busy with something else."""

CONFIG = """\
queue: {max_workers: 4, max_completed_tasks: 0}
retry_config: {max_retries: 3, initial_delay: 20ms, jitter: false}
simulated: {parallel: 0, load: 0}
"""


class Serving:
    """`oq serve --simulate` on a free port. Its log is read all along, so that it never blocks."""

    def __init__(
        self,
        data: Path,
        config: str = CONFIG,
        *,
        simulate: bool = True,
        program: Sequence[str] = ("-m", "oq.cli"),
    ) -> None:
        settings = data.parent / f"{data.name}.yaml"
        settings.write_text(config)
        command = [
            sys.executable, *program, "serve", "--port", "0", "--data-dir", str(data),
            "--config", str(settings), "--log-format", "json",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [*command, "--simulate"] if simulate else command,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self.log: deque[str] = deque(maxlen=200)
        self._url = ""
        self._told = threading.Event()  # ready, or ended
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def url(self) -> str:
        """Where it listens, once it does."""
        assert self._told.wait(READY_WITHIN), f"not ready after {READY_WITHIN} s: {self.said()}"
        assert self._url, f"oq serve ended: {self.said()}"
        return self._url

    def ended_within(self, seconds: float) -> bool:
        """Wait that long, or until it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL; return when it is gone."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def exit_code(self) -> int:
        """With what it ended, once it has."""
        return self._process.wait(READY_WITHIN)

    def said(self) -> str:
        """The latest lines of its log."""
        return "\n".join(self.log)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.log.append(line.rstrip())
                with suppress(ValueError):
                    entry = json.loads(line)
                    if entry["event"] == "ready":
                        self._url = entry["url"]
                        self._told.set()
        self._told.set()
