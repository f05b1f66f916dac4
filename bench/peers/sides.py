"""Who takes part: each side, what it needs, and how it is run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers import servers
from bench.peers.servers import Starter

SCRIPTS = Path(__file__).parent / "scripts"
PYTHON = "requirements.txt"
TASKIQ = "requirements-taskiq.txt"
NODE = "package.json"
"""What a side may need beside programs: the packages in such a file. Those of Python have an
environment of their own each.
"""
ENVIRONMENTS = (PYTHON, TASKIQ)
SERVER = "server"
"""The name of a side that is a server of the user's."""


@dataclass(frozen=True)
class Side:
    """One column of the comparison: a queue with one server and one durability."""

    name: str
    """As `--only` takes it."""
    title: str
    needs: tuple[str, ...]
    """Programs, and sets of packages by their file."""
    starter: Starter | None
    """Its server; None when it starts what it needs by itself."""
    command: tuple[str, ...]
    """What measures it; the seconds and the probes come behind."""
    behind: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        return self.name.startswith("oq-")

    @property
    def peer(self) -> bool:
        """Whether it may be missing: oq, and a server that was named, may not."""
        return not self.ours and self.name != SERVER

    @property
    def environment(self) -> str:
        """Whose Python runs it, if that is not oq's."""
        return next((need for need in self.needs if need in ENVIRONMENTS), PYTHON)

    def line(self, python: str, node: str, seconds: float, probes: int) -> list[str]:
        """The command line, with its environment's Python and the machine's Node."""
        programs = {"oq": sys.executable, "python": python, "node": node}
        first, *rest = self.command
        return [programs[first], *rest, f"{seconds:g}", str(probes), *self.behind]


def _python(
    name: str, title: str, module: str, need: str, starter: Starter, packages: str = PYTHON
) -> Side:
    needs = (packages, need) if need else (packages,)
    command = ("python", "-m", "bench.peers.scripts.measure", module)
    return Side(name, title, needs, starter, command)


def _node(name: str, title: str, starter: Starter) -> Side:
    needs = ("node", NODE, "redis-server")
    return Side(name, title, needs, starter, ("node", str(SCRIPTS / "bullmq.mjs")))


def _oq(name: str, title: str, server: str | None = None) -> Side:
    kind = name.partition("-")[2] if server is None else "http"
    command = ("oq", "-m", "bench.peers.ours", kind)
    return Side(name, title, (), None, command, () if server is None else (server,))


_EVERY_SECOND = servers.redis("everysec")
_EACH = servers.redis("always")

OURS = (
    _oq("oq-embedded", "oq, embedded"),
    _oq("oq-client", "oq, its HTTP client"),
    _oq("oq-http", "oq, a POST a task"),
)
PEERS = (
    _node("bullmq", "BullMQ", _EVERY_SECOND),
    _node("bullmq-each", "BullMQ, fsync each", _EACH),
    _python(
        "beanstalkd", "beanstalkd", "beanstalkd", "beanstalkd", servers.beanstalkd(50)
    ),
    _python(
        "beanstalkd-each", "beanstalkd, fsync each", "beanstalkd", "beanstalkd",
        servers.beanstalkd(0),
    ),
    _python("huey", "huey, Redis", "huey", "redis-server", _EVERY_SECOND),
    _python("huey-each", "huey, Redis, fsync each", "huey", "redis-server", _EACH),
    _python("huey-sqlite", "huey, SQLite, fsync each", "huey", "", servers.sqlite),
    _python("dramatiq", "dramatiq", "dramatiq", "redis-server", _EVERY_SECOND),
    _python("taskiq", "taskiq", "taskiq", "redis-server", _EVERY_SECOND, TASKIQ),
    _python("saq", "saq", "saq", "redis-server", _EVERY_SECOND),
    _python("rq", "rq", "rq", "redis-server", _EVERY_SECOND),
    _python("celery", "celery", "celery", "redis-server", _EVERY_SECOND),
    _python("procrastinate", "procrastinate", "procrastinate", "postgres", servers.postgres),
)  # fmt: skip


def chosen(only: Sequence[str], server: str | None) -> list[Side]:
    """oq's sides, the server at that URL, and the peers that were asked for: all, or by name, where
    the name of a family (``huey``) is enough for all of it. ValueError names what there is not.
    """
    peers = [side for side in PEERS if not only or any(_named(side, name) for name in only)]
    unknown = [name for name in only if not any(_named(side, name) for side in PEERS)]
    if unknown:
        names = ", ".join(side.name for side in PEERS)
        raise ValueError(f"no peer {', '.join(unknown)}; there are {names}")
    foreign = [] if server is None else [_oq(SERVER, f"the server at {server}", server)]
    return [*OURS, *foreign, *peers]


def _named(side: Side, name: str) -> bool:
    return side.name == name or side.name.startswith(f"{name}-")


def needs(sides: Iterable[Side]) -> set[str]:
    return {need for side in sides for need in side.needs}
