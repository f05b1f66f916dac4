"""What the command line shows while it happens: answers, events, and the queue on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
import time

import pytest

from oq.cli.waiting import why_nothing_starts
from oq.client import Client, generate
from oq.words.views import BackendStatus, QueueStatus
from tests.cli.test_cli import OQ, serving

pytestmark = pytest.mark.slow  # most start servers and commands as processes

THOUGHTFUL = {"thinking": "let me see", "tokens": 4, "rate": 200}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("live")) as url:
        yield url


@pytest.fixture
def environ(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return os.environ | {"OQ_SERVER": server, "HOME": str(tmp_path)}


@pytest.fixture
def call(environ):
    def call(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*OQ, *arguments], env=environ, capture_output=True, text=True, **more
        )

    return call


def submit(*more: str, **script: object) -> list[str]:
    option = f"simulate={json.dumps(script)}"
    return ["submit", "generate", "-m", "m", "--prompt", "a b", "--option", option, *more]


class Terminal:
    """A command on a terminal of 80 columns and 24 rows."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        self.screen, child = pty.openpty()
        termios.tcsetwinsize(child, (24, 80))
        self.settings = termios.tcgetattr(child)
        self._child = child
        environ = {k: v for k, v in environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*OQ, *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env=environ | {"TERM": "xterm-256color"},
        )
        self.written = ""

    def until(self, text: str) -> None:
        """Return once it has written this."""
        deadline = time.monotonic() + 30
        while text not in self.written:
            ready, _, _ = select.select([self.screen], [], [], max(0, deadline - time.monotonic()))
            assert ready, self.written
            self.written += os.read(self.screen, 65536).decode()

    def type(self, keys: bytes) -> None:
        os.write(self.screen, keys)

    def end(self) -> int:
        """Its exit code, and the terminal as it left it."""
        self.process.wait(30)
        assert termios.tcgetattr(self._child) == self.settings
        while select.select([self.screen], [], [], 0)[0]:
            self.written += os.read(self.screen, 65536).decode()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._child)
        os.close(self.screen)


@pytest.fixture
def terminal(environ):
    opened = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(environ, *arguments))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


# -- answers


def test_a_stream_in_a_pipe_is_the_answer_and_nothing_else(call):
    done = call(*submit("--think", "--stream", **THOUGHTFUL))
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b a b\n", "")


def test_thoughts_are_printed_when_asked_for(call):
    done = call(*submit("--think", "--stream", "--thinking", **THOUGHTFUL))
    assert done.stdout == "let me see\na b a b\n"


def test_on_a_terminal_thoughts_are_faint(terminal):
    shown = terminal(*submit("--think", "--stream", **THOUGHTFUL))
    assert shown.end() == 0
    assert "\x1b[2mlet me see\r\n\x1b[22ma b a b\r\n" in shown.written


def test_tokens_come_as_they_are_generated(environ):
    command = submit("--stream", tokens=4, fault="hang", at=2)
    process = subprocess.Popen([*OQ, *command], env=environ, stdout=subprocess.PIPE)
    assert os.read(process.stdout.fileno(), 100) in (b"a", b"a ", b"a b")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.stdout.close()
    with Client(environ["OQ_SERVER"]) as client:
        client.cancel(client.list(status="running")[0].id)


def test_a_new_attempt_is_said(call):
    done = call(*submit("--stream", "--max-retries", "1", delay=1, tokens=4, fault="cut", at=2))
    assert done.returncode == 1
    assert done.stdout == "a b\na b\n"
    told = done.stderr.splitlines()
    assert (
        told[0] == "oq: the attempt failed; the answer of a new attempt follows and replaces this"
    )
    assert re.fullmatch(r"oq: task \S+ failed: .+", told[1])
    assert len(told) == 2


def test_stream_attaches_to_a_task_whenever(call):
    task_id = call(*submit("--wait", "-o", "json", tokens=3)).stdout
    task_id = json.loads(task_id)["id"]
    assert call("stream", task_id).stdout == "a b a\n"
    chunks = [
        json.loads(line) for line in call("stream", task_id, "-o", "json").stdout.splitlines()
    ]
    assert "".join(chunk["data"] for chunk in chunks) == "a b a"
    assert (chunks[-1]["done"], chunks[-1]["status"]) == (True, "completed")
    missing = call("stream", "nobody")
    assert (missing.returncode, missing.stderr) == (1, "oq: there is no task 'nobody'\n")


def test_vectors_are_printed_at_the_end(call):
    done = call("submit", "embed", "-m", "m", "--input", "a", "--stream")
    assert len(done.stdout.split()) == 8


def test_the_same_key_is_the_same_task(call):
    first = call(*submit("--idempotency-key", "k1", tokens=1)).stdout
    assert call(*submit("--idempotency-key", "k1", tokens=1)).stdout == first
    other = call(*submit("--idempotency-key", "k1", tokens=2))
    assert (other.returncode, other.stdout) == (1, "")
    assert "idempotency key" in other.stderr


def test_the_spinner_says_where_the_task_stands(terminal):
    shown = terminal(*submit("--wait", delay=1.5, tokens=2))
    shown.until("is in the queue")
    shown.until("has run for")
    assert shown.end() == 0
    assert re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown.written).endswith("a b\n")


def test_waiting_on_a_terminal_survives_a_restart(tmp_path, terminal):
    with serving(tmp_path) as url, Client(url) as client:
        client.pause()
        shown = terminal(*submit("--wait", "--server", url, tokens=2))
        shown.until("in line")
        shown.until("waits: the queue is paused")
    shown.until("the server is away")
    with serving(tmp_path, "--port", url.rpartition(":")[2]), Client(url) as client:
        client.resume()
        assert shown.end() == 0


# -- events


class Watch:
    """`oq watch`, until the block ends with Ctrl-C."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*OQ, "watch", *arguments], env=environ, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> list[str]:
        return self.process.stdout

    def __exit__(self, *problem: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        assert self.process.returncode == 130


@pytest.fixture
def seq(environ):
    with Client(environ["OQ_SERVER"]) as client:
        return client.status().event_seq


def test_watch_prints_each_event_in_a_line(call, environ, seq):
    with Watch(environ, "--after", str(seq), "-o", "json") as lines:
        task_id = json.loads(call(*submit("--wait", "-o", "json")).stdout)["id"]
        events = [json.loads(next(lines)) for _ in range(3)]
    assert [event["type"] for event in events] == [
        "task_submitted",
        "task_started",
        "task_completed",
    ]
    assert {event["task_id"] for event in events} == {task_id}
    assert [event["seq"] for event in events] == [seq + 1, seq + 2, seq + 3]


def test_json_is_no_way_to_a_terminal(call, environ, seq):
    evil = "\x9b2J\x7f\u202e\u2066é"
    done = call(*submit("--stream", "-o", "json", text=evil))
    assert "".join(json.loads(line)["data"] for line in done.stdout.splitlines()) == evil
    call(*submit("--wait", status=400, error=evil))
    with Watch(environ, "--after", str(seq), "--type", "task_failed", "-o", "json") as lines:
        line = next(lines)
    assert evil in json.loads(line)["data"]["error"]
    for char in evil[:-1].replace("2J", ""):
        assert char not in done.stdout + line
    assert "é" in line


def test_watch_takes_what_it_is_asked_for(call, environ, seq):
    call(*submit("--wait"))
    task_id = json.loads(call(*submit("--wait", "-o", "json", status=404)).stdout)["id"]
    types = ["--type", "task_failed", "--type", "task_completed"]
    with Watch(environ, "--after", str(seq), "--task", task_id, *types) as lines:
        number, _, kind, found, status, data = next(lines).rstrip("\n").split("\t")
    assert (int(number), kind, found, status) == (seq + 6, "task_failed", task_id, "failed")
    assert "404" in json.loads(data)["error"]


def test_watch_on_a_terminal(terminal, call, seq):
    task_id = json.loads(call(*submit("--wait", "-o", "json", status=400, error="\x1b[7mx")).stdout)
    shown = terminal("watch", "--after", str(seq), "--task", task_id["id"])
    shown.until("failed")
    shown.until("\n")
    shown.process.send_signal(signal.SIGINT)
    assert shown.end() == 130
    assert "\x1b[7m" not in shown.written
    rows = re.sub(r"\x1b\[[0-9;]*m", "", shown.written).split("\r\n")
    assert max(map(len, rows)) <= 80


# -- the queue, live


def test_top_shows_the_queue_and_gives_the_terminal_back(terminal, environ):
    with Client(environ["OQ_SERVER"]) as client:
        client.pause()
        shown = terminal("top")
        shown.until("\x1b[?1049h")
        shown.until("paused; `oq resume` goes on")
        command = submit("-p", "high", delay=600)
        task_id = subprocess.run(
            [*OQ, *command], env=environ, capture_output=True, text=True, check=True
        ).stdout.strip()
        shown.until("high")
        client.resume()
        shown.until(task_id)
        client.cancel(task_id)
        shown.until("cancelled\x1b")
    shown.type(b"q")
    assert shown.end() == 0
    assert "\x1b[?25h" in shown.written
    assert "\x1b[?1049l" in shown.written


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_top_as_q_does(terminal, stop):
    shown = terminal("top")
    shown.until("q leaves")
    shown.process.send_signal(stop)
    assert shown.end() == 0
    assert "\x1b[?1049l" in shown.written


def test_top_goes_on_when_the_server_comes_back(tmp_path, terminal):
    with serving(tmp_path) as url:
        shown = terminal("top", "--server", url)
        shown.until("q leaves")
    shown.until("no oq server at")
    with serving(tmp_path, "--port", url.rpartition(":")[2]):
        shown.written = ""
        shown.until("up for")
        shown.type(b"q")
        assert shown.end() == 0


def test_top_needs_a_terminal_and_a_server(call, terminal):
    done = call("top")
    assert (done.returncode, done.stdout) == (2, "")
    assert "`oq top` needs a terminal" in done.stderr
    shown = terminal("top", "--server", "127.0.0.1:1")
    assert shown.end() == 3
    assert "\x1b[?1049h" not in shown.written


# -- why nothing happens


def test_waiting_says_that_the_queue_is_paused(call, environ):
    assert call("pause").returncode == 0
    try:
        waiting = subprocess.Popen(
            [*OQ, "submit", "generate", "-m", "m", "--prompt", "abc", "--wait"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "is in the queue" in waiting.stderr.readline()
        assert "the queue is paused: `oq resume` starts tasks again" in waiting.stderr.readline()
    finally:
        assert call("resume").returncode == 0
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, "")
    assert out.startswith("abc")


@pytest.mark.parametrize("command", [["stream"], ["result", "--wait"]])
def test_a_server_that_is_away_is_told_at_once(command, environ):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        waiting = subprocess.Popen(
            [*OQ, *command, "01900000-0000-7000-8000-000000000000"],
            env=environ | {"OQ_SERVER": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        told = waiting.stderr.readline()
        waiting.kill()
        waiting.communicate()
    assert f"no oq server at http://{address}: connection refused" in told
    assert told.endswith("trying again for up to 1m\n")


def test_watch_says_that_the_server_has_left(tmp_path, environ):
    with serving(tmp_path) as url:
        watching = subprocess.Popen(
            [*OQ, "watch", "--server", url],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with Client(url) as client:
            while watching.poll() is None and not select.select([watching.stdout], [], [], 0.2)[0]:
                client.submit(generate("m", "abc"))
    told = watching.stderr.readline()
    watching.kill()
    watching.communicate()
    assert "trying again for up to 1m" in told


def backend(**given: object) -> BackendStatus:
    return BackendStatus(name="a", kind="ollama", url="http://x", running=0, **given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, None),
        ({"paused": True}, "the queue is paused"),
        ({"draining": True}, "shutting down"),
        ({"problem": "the disk is full"}, "the disk is full"),
        ({"backends": (backend(up=False, error="refused"), backend(up=True))}, None),
        ({"backends": (backend(up=False, error="refused"),)}, "a at http://x: refused"),
    ],
)
def test_why_no_task_is_started(given, why):
    counts = dict.fromkeys(QueueStatus.__struct_fields__, 0)
    base = {**counts, "queues_by_priority": {}, "paused": False, "draining": False}
    status = QueueStatus(**{**base, "uptime": 1.0, "problem": None, "backends": ()} | given)
    said = why_nothing_starts(status)
    assert said == why or (why and why in said)
