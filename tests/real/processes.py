"""A server as a process of its own, on a free port. It can be killed, and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import trio

from bench.children import ended, new_session

SECONDS_TO_START = 60


class CannotStart(Exception):
    """A server did not start; the text has the end of its log."""


class Server:
    """A command that serves HTTP. `{port}` in the command and the environment is its port."""

    def __init__(
        self, command: list[str], folder: Path, ready: str, env: Mapping[str, str] | None = None
    ) -> None:
        port = str(free_port())
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"{Path(command[0]).name}-{port}.log"
        self._command = [word.replace("{port}", port) for word in command]
        given = {name: value.replace("{port}", port) for name, value in (env or {}).items()}
        self._env = os.environ | given
        self._folder = folder
        self._ready = ready
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        return self._started[-1].pid

    async def start(self) -> None:
        """Return once it answers. CannotStart if it does not."""
        with self.log.open("ab") as log:
            process = new_session(self._command, out=log, err=log, cwd=self._folder, env=self._env)
        self._started.append(process)
        with trio.move_on_after(SECONDS_TO_START):
            async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
                while process.poll() is None:
                    with suppress(httpx.TransportError):
                        if (await http.get(self._ready)).status_code == 200:
                            return
                    await trio.sleep(0.02)  # a server of others tells nobody that it is ready
        raise CannotStart(f"{self._command[0]}: {self.log.read_text(errors='replace')[-800:]}")

    def kill(self) -> None:
        """SIGKILL: to the server alone, not to what it has started."""
        self._started[-1].kill()
        self._started[-1].wait()

    def stop(self) -> None:
        """End it and all that it has started, also what an earlier one has left behind."""
        for process in self._started:
            ended(process)

    def children(self) -> list[int]:
        """The processes that it has started, by their ids."""
        return children_of(self.pid)


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def children_of(pid: int) -> list[int]:
    """The ids of the processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if _fields(stat)[1] == str(pid):
                found.append(int(stat.parent.name))
    return found


def processor_seconds(pid: int) -> float:
    """How long the process has computed; 0 if there is none of this id."""
    try:
        fields = _fields(Path(f"/proc/{pid}/stat"))
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _fields(stat: Path) -> list[str]:
    """The fields behind the name, which may hold spaces: the state is the first."""
    return stat.read_text().rpartition(")")[2].split()


def kill(pid: int) -> None:
    """SIGKILL to a process that a server of ours has started."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
