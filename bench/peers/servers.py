"""The peers' servers: each started for one measurement, on a free port of 127.0.0.1 and a directory
of its own, and ended by its pid. What the machine runs as services is not touched.

What a server says of its durability is read back from it, not assumed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.children import ended, new_session

PATIENCE = 20.0
"""Seconds that a server gets to come up, and to answer."""


@dataclass(frozen=True)
class Running:
    """A server that takes connections."""

    url: str
    version: str
    durability: str


Starter = Callable[[Path], AbstractContextManager[Running]]
"""Runs a server whose files are below the directory that it is given."""


def redis(fsync: str) -> Starter:
    """Redis with an append-only file that is synced `fsync`: everysec or always."""

    @contextmanager
    def start(place: Path) -> Iterator[Running]:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(place)]
        settings = ["--appendonly", "yes", "--appendfsync", fsync, "--save", ""]
        with program([*command, *settings, "--loglevel", "warning"], port, place):
            found = {
                key: ask(port, f"CONFIG GET {key}\r\n").split()[-1]
                for key in ("appendonly", "appendfsync")
            }
            version = field_of(ask(port, "INFO server\r\n"), "redis_version")
            durability = ", ".join(f"{key}={value}" for key, value in found.items())
            yield Running(f"redis://127.0.0.1:{port}/0", f"Redis {version}", durability)

    return start


def beanstalkd(milliseconds: int) -> Starter:
    """beanstalkd with a log that is synced at most every so often; 0 is at every write."""

    @contextmanager
    def start(place: Path) -> Iterator[Running]:
        port = free_port()
        command = ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", str(place)]
        with program([*command, f"-f{milliseconds}"], port, place) as pid:
            stats = ask(port, "stats\r\n")
            # It does not tell its -f, so what it was started with is asked of the system.
            flag = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[-2]
            kept = "with" if int(field_of(stats, "binlog-current-index")) else "without"
            durability = f"{kept} binlog, fsync {flag} ({_how_often(flag)})"
            version = f"beanstalkd {field_of(stats, 'version').strip(chr(34))}"
            yield Running(f"127.0.0.1:{port}", version, durability)

    return start


def _how_often(flag: str) -> str:
    return "each write" if flag == "-f0" else f"every {flag.removeprefix('-f')} ms"


@contextmanager
def postgres(place: Path) -> Iterator[Running]:
    """PostgreSQL as `initdb` makes it."""
    port = free_port()
    data = place / "data"
    user = server_user()
    if user is not None:
        shutil.chown(place, user)
    binaries = postgres_binaries()
    assert binaries is not None
    new = [str(binaries / "initdb"), "-D", str(data), "-U", "peers", "-A", "trust", "-N"]
    subprocess.run(
        [*new, "-E", "UTF8", "--locale=C"],
        user=user, cwd=place, check=True, capture_output=True, text=True,
    )  # fmt: skip
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(place)]
    with program([*command, "-h", "127.0.0.1"], port, place, user=user):
        url = f"postgresql://peers@127.0.0.1:{port}/postgres"
        _await_ready(binaries, url)
        names = ("fsync", "synchronous_commit", "wal_sync_method")
        durability = ", ".join(f"{name}={_show(binaries, url, name)}" for name in names)
        version = _show(binaries, url, "server_version").split()[0]
        yield Running(url, f"PostgreSQL {version}", durability)


def sqlite(place: Path) -> AbstractContextManager[Running]:
    """No server: the peer opens the file itself, and says how it does."""
    return nullcontext(Running(str(place / "peer.db"), "", ""))


def postgres_binaries() -> Path | None:
    """The newest PostgreSQL's programs: Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_release)
    if found:
        return found[-1].parent
    elsewhere = shutil.which("postgres")
    return Path(elsewhere).resolve().parent if elsewhere else None


def _release(program: Path) -> int:
    name = program.parent.parent.name
    return int(name) if name.isdigit() else 0


def server_user() -> str | None:
    """Who runs PostgreSQL, which refuses to be run by root; None: whoever runs this."""
    return "postgres" if os.geteuid() == 0 else None


def _await_ready(binaries: Path, url: str) -> None:
    """It takes connections some time before it takes commands."""
    given_up = time.monotonic() + PATIENCE
    while subprocess.run([str(binaries / "pg_isready"), "-q", "-d", url]).returncode != 0:
        if time.monotonic() > given_up:
            raise RuntimeError(f"PostgreSQL was not ready in {PATIENCE:g} s")
        time.sleep(0.01)


def _show(binaries: Path, url: str, name: str) -> str:
    command = [str(binaries / "psql"), url, "-XAtc", f"SHOW {name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def program(
    command: list[str],
    port: int,
    place: Path,
    *,
    user: str | None = None,
    environ: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Iterator[int]:
    """The program runs, as a child of this one, and listens on the port; its pid."""
    with tempfile.TemporaryFile() as said:
        child = new_session(command, cwd=place, out=said, err=said, user=user, env=environ)
        try:
            if not _listens(port, child, patience):
                said.seek(0)
                tail = said.read()[-2000:].decode(errors="replace")
                raise RuntimeError(f"{command[0]} did not come up on port {port}: {tail}")
            yield child.pid
        finally:
            ended(child)


def _listens(port: int, child: subprocess.Popen[bytes], patience: float) -> bool:
    given_up = time.monotonic() + patience
    while time.monotonic() < given_up and child.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.01)  # nothing tells when another program listens
    return False


def ask(port: int, command: str) -> str:
    """What a server of lines answers to one command; its answer comes in one piece, on loopback."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(command.encode())
        return sock.recv(65_536).decode()


def field_of(answer: str, name: str) -> str:
    """The value of a line ``name: value``."""
    for line in answer.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    raise LookupError(f"the server's answer has no field {name!r}")
