"""The processes of the demo: they start with a line that says where they listen, and do not
outlive this process, however it ends.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from oq.cli.lifeline import with_parent
from oq.words.errors import OqError

_URL = re.compile(r"http://\S+:\d+")
_PATIENCE = 60
"""Seconds that a child gets to start, and to end."""


class ChildFailed(OqError):
    """A process of the demo did not start, or did not end as it should."""


class Child:
    """A process that has said where it listens."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log
        self.url = self._wait_for_url()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End it in the way that it offers; ChildFailed unless that gives exit code 0."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {_PATIENCE} s of SIGTERM") from None
        if code != 0:
            raise self._failed(f"ended with exit code {code}")

    def wait(self) -> None:
        """Return when it ends by itself, which is not expected: ChildFailed."""
        code = self._process.wait()
        raise self._failed(f"ended with exit code {code}")

    def _wait_for_url(self) -> str:
        assert self._process.stdout is not None
        too_late = threading.Timer(_PATIENCE, self._process.kill)
        too_late.start()
        line = self._process.stdout.readline().decode(errors="replace")
        too_late.cancel()
        found = _URL.search(line)
        if found is None:
            raise self._failed(f"did not start {line.strip()}".strip())
        return found[0].rstrip(";")

    def _failed(self, what: str) -> ChildFailed:
        with suppress(OSError):
            sys.stderr.write(self._log.read_text(errors="replace")[-4000:])
        return ChildFailed(f"the {self.name} {what}; what it said is above")


@contextmanager
def child(
    name: str, arguments: list[str], folder: Path, environ: Mapping[str, str]
) -> Iterator[Child]:
    """`python ARGUMENTS`, killed when the block is left and it still runs.

    Its standard error goes to a file in `folder`, its standard input ends with this process.
    """
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environ),
            # Ctrl-C is for this process, which then stops the others in order.
            start_new_session=True,
            preexec_fn=with_parent(),
        )
    try:
        yield Child(name, process, log)
    finally:
        process.kill()
        process.communicate()
