"""What signals and lost descriptors do to a process: the table in docs/operations.md, cell by cell.

A full data disk is looked at in tests/crash/test_full_disk.py, and the rest of a drain in
test_serve.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import oq
from oq.actors.janitor import Janitor
from oq.backends.simulated import SimulatedBackend
from oq.cli.signals import threads_without_signals
from oq.http.stopping import LIMIT, Hangup
from oq.logs import lost_lines
from oq.store import open_store
from oq.words.task import TaskState
from tests.support.http import GENERATE, HANG

pytestmark = pytest.mark.slow  # most start servers and commands as processes

OQ = [sys.executable, "-m", "oq.cli"]
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
ONCE = {**HANG, "max_retries": 0}
"""A task that never ends and may not lose a life."""


_NEVER = threading.Event()


def until(happened: Callable[[], object], seconds: float = 30) -> None:
    """Return once it has; there is no other way to hear of what another process does."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        _NEVER.wait(0.01)


class Server:
    """An `oq serve` over the simulated backend."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.folder = folder
        self.url = process.stdout.readline().split()[3].rstrip(";")
        self.http = httpx.Client(base_url=self.url, timeout=20)

    def signal(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            self.process.send_signal(number)

    def get(self, path: str) -> Any:
        return self.http.get(path).json()

    def submit(self, task: dict[str, Any]) -> str:
        return self.http.post("/api/tasks", json=task).json()["task_id"]

    def running(self) -> str:
        task_id = self.submit(ONCE)
        until(lambda: self.get("/api/status")["running_tasks"])
        return task_id

    def completes(self) -> bool:
        """Whether tasks run."""
        task = self.get(f"/api/tasks/{self.submit(GENERATE)}?wait=10s")
        return task["status"] == "completed"

    def drains(self) -> bool:
        return self.http.get("/readyz").status_code == 503

    def ended(self) -> int:
        return self.process.wait(30)

    def log(self, name: str = "oq.log") -> list[str]:
        """What has happened, by the log file."""
        with suppress(FileNotFoundError):
            lines = (self.folder / name).read_text().splitlines()
            return [json.loads(line)["event"] for line in lines]
        return []

    def stored(self, task_id: str) -> TaskState:
        """The task as the next start finds it. The process must have ended."""
        store = open_store(str(self.folder / "data"))
        try:
            state = store.state(task_id)
            assert state is not None
            return state
        finally:
            store.close()


@contextmanager
def serving(folder: Path, *, logs: str = "file", **options: Any) -> Iterator[Server]:
    settings: dict[str, Any] = {"level": "info", "format": "json"}
    if logs == "file":
        settings["file"] = str(folder / "oq.log")
    document = {
        "server": {"port": 0},
        "queue": {"storage_path": str(folder / "data"), "drain_timeout": "5m"},
        "backends": [{"name": "sim", "kind": "simulated"}],
        "logging": settings,
    }
    config = folder / "config.yaml"
    config.write_text(json.dumps(document))
    command = [*options.pop("prefix", OQ), "serve", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            server = Server(process, folder)
            with server.http:
                yield server
        finally:
            process.kill()


# -- oq serve


@pytest.mark.parametrize("number", [TERM, INT])
def test_a_second_signal_spends_nothing(number: signal.Signals, tmp_path: Path):
    with serving(tmp_path) as server:
        task_id = server.running()
        server.signal(number)
        until(server.drains)
        server.signal(number, number)
        assert server.ended() == 0
        state = server.stored(task_id)
    assert (state.status, state.deaths, state.retry_count) == ("pending", 0, 0)
    assert [attempt.error for attempt in state.attempts] == [
        "oq was shut down while this attempt ran"
    ]
    assert server.log()[-1] == "stopped"


SLOW_DISK = """
import os, sys, threading
from oq.cli import main
from oq.store.rocks import RocksEngine
sync = RocksEngine.sync
def slow(self, commit):
    if os.path.exists(sys.argv[-1] + ".slow"):
        threading.Event().wait(600)
    sync(self, commit)
RocksEngine.sync = slow
sys.argv[0] = "oq"
main()
"""


def test_a_second_signal_ends_it_within_seconds_whatever_the_disk_does(tmp_path: Path):
    with serving(tmp_path, prefix=[sys.executable, "-c", SLOW_DISK]) as server:
        task_id = server.running()
        (tmp_path / "config.yaml.slow").touch()
        with suppress(httpx.ReadTimeout):
            while True:
                httpx.post(f"{server.url}/api/tasks", json=GENERATE, timeout=1)
        server.signal(TERM)
        until(lambda: "draining" in server.log())
        server.signal(TERM)
        assert server.process.wait(LIMIT + 20) == 1
    assert server.log()[-1] == "ended without closing the store, since the disk does not answer"
    with serving(tmp_path) as server:
        task = server.get(f"/api/tasks/{task_id}")
        assert task["status"] in ("pending", "running")
        assert task["attempts"][0]["error"] == "oq was shut down while this attempt ran"


def test_hangup_opens_the_log_anew(tmp_path: Path):
    with serving(tmp_path) as server:
        until(lambda: "ready" in server.log())
        for name in ("oq.log.1", "oq.log.2"):
            (tmp_path / "oq.log").rename(tmp_path / name)
            server.signal(HUP)
            until(lambda: "log file reopened" in server.log())
        assert server.completes()
        server.signal(TERM)
        assert server.ended() == 0
    assert server.log("oq.log.1")[-1] == "signal"
    assert server.log()[-1] == "stopped"


def test_hangup_without_a_log_file_changes_nothing(tmp_path: Path):
    with serving(
        tmp_path, logs="stderr", stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as server:
        server.signal(HUP)
        assert server.process.stderr is not None
        assert any("no log file" in line for line in server.process.stderr)
        assert server.completes()
        server.signal(TERM)
        assert server.ended() == 0


def test_other_signals_do_nothing(tmp_path: Path):
    with serving(tmp_path) as server:
        server.signal(signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)
        assert server.completes()
        server.signal(TERM)
        assert server.ended() == 0
    assert "draining" in server.log()


@contextmanager
def on_a_terminal(folder: Path, **options: Any) -> Iterator[tuple[Server, Callable[[], None]]]:
    """A server whose controlling terminal is of our making, and what makes that go away."""
    parent, child = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(child, termios.TIOCSCTTY, 0)

    with serving(
        folder,
        stdin=child,
        stderr=child,
        start_new_session=True,
        preexec_fn=take_terminal,
        **options,
    ) as server:
        os.close(child)
        gone: list[bool] = []

        def hang_up() -> None:
            gone.append(True)
            os.close(parent)

        try:
            yield server, hang_up
        finally:
            if not gone:
                os.close(parent)


@pytest.mark.parametrize("logs", ["file", "stderr"])
def test_a_lost_terminal_drains(logs: str, tmp_path: Path):
    with on_a_terminal(tmp_path, logs=logs) as (server, hang_up):
        task_id = server.running()
        hang_up()
        until(server.drains)
        server.signal(HUP)  # a shell passes it on, too: that is no second wish
        assert server.get("/api/status")["running_tasks"] == 1
        server.signal(TERM)
        assert server.ended() == 0
        assert server.stored(task_id).deaths == 0
    if logs == "file":
        assert "the terminal is gone" in server.log()


def test_hangup_on_a_terminal_that_is_there_opens_the_log_anew(tmp_path: Path):
    with on_a_terminal(tmp_path) as (server, _):
        until(lambda: "ready" in server.log())
        (tmp_path / "oq.log").rename(tmp_path / "oq.log.1")
        server.signal(HUP)
        until(lambda: "log file reopened" in server.log())
        server.signal(TERM)
        assert server.ended() == 0


@pytest.mark.parametrize(
    ("terminals", "left", "file", "nohup", "lost"),
    [
        ({0, 1, 2}, set(), None, False, True),
        ({0, 1, 2}, set(), "oq.log", False, True),
        ({0, 2}, {0, 2}, "oq.log", False, False),
        ({0, 2}, {0, 2}, None, False, True),  # there is nothing else that it could mean
        (set(), set(), None, False, False),
        (set(), set(), "oq.log", False, False),
        ({2}, set(), "oq.log", True, False),
        ({2}, set(), None, True, False),
    ],
)
def test_how_a_lost_terminal_and_a_rotated_log_are_told_apart(
    terminals: set[int],
    left: set[int],
    file: str | None,
    nohup: bool,
    lost: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    handler = signal.SIG_IGN if nohup else signal.SIG_DFL
    monkeypatch.setattr(signal, "getsignal", lambda _: handler)
    monkeypatch.setattr(os, "isatty", lambda number: number in terminals)
    hangup = Hangup(file)
    monkeypatch.setattr(os, "isatty", lambda number: number in left)
    assert hangup.is_lost_terminal() is lost


# -- without a standard error, or on a full disk


def close_it() -> None:
    os.close(2)


def fill_it() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


def leave_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 2)


@pytest.mark.parametrize("spoil", [close_it, fill_it, leave_it])
def test_a_server_works_without_its_standard_error(spoil: Callable[[], None], tmp_path: Path):
    with serving(tmp_path, logs="stderr", preexec_fn=spoil) as server:
        assert server.completes()
        if spoil is not close_it:  # what was closed is the null device by then, which takes all
            metrics = httpx.get(f"{server.url}/metrics").text
            (lost,) = re.findall(r"^oq_log_lines_lost_total (\S+)$", metrics, re.MULTILINE)
            assert float(lost) >= 1
        task_id = server.running()
        server.signal(TERM)
        until(server.drains)
        server.signal(TERM)
        assert server.ended() == 0
        assert server.stored(task_id).deaths == 0


LIMITED = """
import resource, sys
from oq.cli import main
from oq.logs.sink import Sink
write, before = Sink._write, resource.getrlimit(resource.RLIMIT_FSIZE)
def full(self, line):  # a disk that is full for the log alone
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        write(self, line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
Sink._write = full
main()
"""


def test_a_server_works_on_when_the_disk_of_its_log_is_full(tmp_path: Path):
    with serving(tmp_path, prefix=[sys.executable, "-c", LIMITED]) as server:
        assert server.completes()
        server.signal(TERM)
        assert server.ended() == 0
    assert (tmp_path / "oq.log").stat().st_size == 100


def test_a_server_works_with_a_standard_output_that_takes_nothing(tmp_path: Path):
    """Its one line is lost, and so is all knowledge of the port: it must be chosen."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open("/dev/full", "w") as full:
        command = [*OQ, "serve", "--simulate", "--port", str(port), "--data-dir", str(tmp_path)]
        with subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("ready" in line for line in process.stderr)
            process.terminate()
            assert process.wait(30) == 0


# -- embedded


async def test_an_embedded_queue_works_without_a_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = lost_lines()
    monkeypatch.setattr(sys, "stderr", None)
    broken = SimulatedBackend("sim")
    monkeypatch.setattr(broken, "run", lambda request, emit: 1 / 0)
    async with oq.open_queue(backends=[broken], storage_path=str(tmp_path)) as queue:
        with pytest.raises(oq.TaskFailed, match="ZeroDivisionError"):
            await queue.result(await queue.submit(oq.chat("m", "hello", max_retries=0)))
    assert lost_lines() > before


class LeftError(Exception):
    pass


async def run_one(folder: Path, leave: Callable[[], object]) -> str:
    """Open a queue and leave it, by what `leave` does, while a task runs."""
    backend = SimulatedBackend("sim")
    async with oq.open_queue(backends=[backend], storage_path=str(folder)) as queue:
        with queue.subscribe({"task_started"}) as events:
            task = oq.generate("m", "x", options={"simulate": {"fault": "hang"}}, max_retries=0)
            task_id = await queue.submit(task)
            await anext(events)
        (folder / "id").write_text(task_id)
        leave()
        await trio.sleep_forever()
    raise AssertionError


def found(folder: Path) -> TaskState:
    """The task of `run_one` as the next start finds it."""
    store = open_store(str(folder))
    try:
        state = store.state((folder / "id").read_text())
        assert state is not None
        return state
    finally:
        store.close()


def raiser(error: type[BaseException]) -> Callable[[], object]:
    def leave() -> object:
        raise error

    return leave


@pytest.mark.parametrize("error", [LeftError, KeyboardInterrupt])
async def test_an_embedded_queue_that_an_exception_leaves_spends_nothing(
    error: type[BaseException], tmp_path: Path
):
    with suppress(error):
        await run_one(tmp_path, raiser(error))
    state = found(tmp_path)
    assert (state.status, state.deaths) == ("pending", 0)


async def test_an_embedded_queue_that_is_cancelled_spends_nothing(tmp_path: Path):
    with trio.CancelScope() as scope:
        await run_one(tmp_path, scope.cancel)
    state = found(tmp_path)
    assert (state.status, state.deaths) == ("pending", 0)


async def test_a_task_that_runs_while_an_actor_crashes_has_spent_a_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may be the cause."""
    crash = trio.Event()

    async def run(self: Janitor) -> None:
        await crash.wait()
        raise LeftError

    monkeypatch.setattr(Janitor, "run", run)
    with pytest.raises(LeftError):
        await run_one(tmp_path, crash.set)
    assert found(tmp_path).status == "running"


# -- the other commands


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


COMMANDS = {
    "list": ["list"],
    "result": ["result", "t1", "--wait"],
    "stream": ["stream", "t1"],
    "submit": ["submit", "generate", "--model", "m", "--prompt", "x", "--wait"],
    "watch": ["watch"],
    "batch": ["batch", "run", "in.jsonl", "-o", "out.jsonl"],
}


def handled(pid: int) -> set[int]:
    """The signals for which the process has handlers."""
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                mask = int(line.split()[1], 16)
                return {number for number in range(1, 65) if mask >> (number - 1) & 1}
    return set()


def connected(address: str) -> bool:
    """Whether somebody has a connection to the address."""
    port = f":{int(address.rpartition(':')[2]):04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(f"{port}01 " in " ".join(line.split()[1:4]) + " " for line in lines)


@pytest.mark.parametrize(
    ("name", "number"),
    [*((name, TERM) for name in COMMANDS), ("batch", HUP), ("batch", INT), ("watch", HUP)],
)
def test_a_signal_ends_a_command_without_a_traceback(
    name: str, number: signal.Signals, silent: str, tmp_path: Path
):
    (tmp_path / "in.jsonl").write_text(
        '{"type": "generate", "model": "m", "payload": {"prompt": "x"}}\n'
    )
    command = [*OQ, *COMMANDS[name], "--server", silent]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: connected(silent) or process.poll() is not None)
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGUSR2)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["serve"], ["top"], ["--version"]])
def test_a_command_has_handlers_from_its_first_moment_on(arguments: list[str]):
    """Before it has imported anything: the kernel drops what PID 1 has no handler for."""
    script = (
        "import os, signal, sys; import oq.cli.signals as signals;"
        "take = signals.take_signals;"
        "signals.take_signals = lambda: (take(), os.kill(os.getpid(), signal.SIGTERM));"
        "import oq.cli; oq.cli.take_signals = signals.take_signals;"
        f"sys.argv = ['oq', *{arguments!r}]; oq.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


EXEC = """
import contextlib
import oq.cli.app
class Loading:
    def invoke(self, context):
        exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    def make_context(self, *_):
        return contextlib.nullcontext()
oq.cli.app.oq = Loading()
oq.cli.main()
"""


def test_a_signal_in_the_midst_of_an_exec_gives_its_own_exit_code(tmp_path: Path):
    """As when a dataclass is being made. Python would end a module's process by SIGINT then."""
    (tmp_path / "command.py").write_text(EXEC)
    command = [sys.executable, "-m", "command", "x"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


LOST = EXEC.replace(
    'exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")',
    """
        import os, signal, threading, weakref
        held = type("Held", (), {})()
        watch = weakref.ref(held, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        del held
        threading.Event().wait()
""",
)


def test_a_signal_that_comes_where_python_ignores_errors_is_heard(tmp_path: Path):
    """As in a callback of a weak reference, which each import has."""
    (tmp_path / "command.py").write_text(LOST)
    command = [sys.executable, "-m", "command", "x"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


def test_a_thread_that_a_command_starts_leaves_signals_to_the_first_one():
    """Several at once would else reach it, and the first one sleeps on in its system call."""
    blocked: list[set[int]] = []

    def look() -> None:
        blocked.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))

    with threads_without_signals():
        thread = threading.Thread(target=look)
        thread.start()
    thread.join()
    assert blocked[0] >= {TERM, INT, HUP, signal.SIGUSR1, signal.SIGUSR2}
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {TERM, INT, HUP}


# -- PID 1


def namespaces() -> bool:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    with suppress(OSError):
        return subprocess.run(command, capture_output=True).returncode == 0
    return False


@pytest.mark.skipif(not namespaces(), reason="this user may make no PID namespaces")
@pytest.mark.parametrize("name", ["batch", "watch", "stream", "serve", "simulate"])
def test_the_first_process_of_a_container_heeds_a_signal(name: str, silent: str, tmp_path: Path):
    (tmp_path / "in.jsonl").write_text(
        '{"type": "generate", "model": "m", "payload": {"prompt": "x"}}\n'
    )
    arguments = [*COMMANDS[name], "--server", silent] if name in COMMANDS else [name, "--port", "0"]
    command = ["unshare", "--pid", "--fork", "--mount-proc", *OQ, *arguments]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        until(lambda: children.read_text().split())
        first = int(children.read_text().split()[0])
        until(lambda: TERM in handled(first))  # be it ready or not
        os.kill(first, TERM)
        _, said = outer.communicate(timeout=30)
        assert outer.returncode in ((143,) if name in COMMANDS else (143, 0)), said
