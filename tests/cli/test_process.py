"""The `oq` command as a process: how fast it starts, how it ends, what reaches the terminal."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from oq.cli import VERSION
from oq.cli.terminal import clean, clean_text

pytestmark = pytest.mark.slow  # most start servers and commands as processes

OQ = [sys.executable, "-m", "oq.cli"]
EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b2J \r\u202e[bold]"
TASK = {
    "id": "t1",
    "type": "chat",
    "priority": 5,
    "status": "completed",
    "model": EVIL,
    "payload": {"messages": []},
    "created_at": "2026-01-31T12:00:00Z",
    "retry_count": 0,
    "max_retries": 3,
    "error": EVIL,
    "result": {"message": {"role": "assistant", "content": f"one\ntwo\t{EVIL}"}},
}


def best_of(count: int, command: list[str]) -> float:
    """Seconds of processor time that it takes: what else runs on the machine is not in them."""

    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    def once() -> float:
        began = used()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return used() - began

    return min(once() for _ in range(count))


def test_the_version_is_the_packages():
    done = subprocess.run([*OQ, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"oq {VERSION}\n"
    assert importlib.metadata.version("oq") == VERSION


def test_the_version_comes_at_once():
    assert best_of(5, [*OQ, "--version"]) <= best_of(5, [sys.executable, "-c", "pass"]) + 0.06


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["serve", "--help"],
        ["submit", "chat", "-h"],
        ["batch", "run", "-h"],
        ["stream", "-h"],
        ["watch", "-h"],
        ["top", "-h"],
    ],
)
def test_help_waits_for_no_heavy_module(arguments):
    script = (
        "import sys; from oq.cli.app import oq; from oq.cli.exits import run;"
        f"run(oq, {arguments!r}); heavy = {{'httpx', 'trio', 'rich', 'rocksdict'}};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_whoever_reads_may_leave():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*OQ, "config", "show", "--config", os.devnull], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_locale_without_the_characters_is_no_traceback(tmp_path):
    environ = os.environ | {"PYTHONIOENCODING": "ascii", "LOG_FILE": "é", "HOME": str(tmp_path)}
    done = subprocess.run(
        [*OQ, "config", "show"], capture_output=True, env=environ, cwd=tmp_path, check=True
    )
    assert rb"\xe9" in done.stdout


class Evil(BaseHTTPRequestHandler):
    """A server that wants to write on the terminal of whoever asks it."""

    protocol_version = "HTTP/1.1"
    asked = threading.Event()
    release = threading.Event()

    def do_GET(self):
        if "wait" in self.path:
            self.asked.set()
            self.release.wait(60)
        listing = self.path.startswith("/api/tasks?")
        self._say(200, [TASK] if listing else TASK)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say(400, {"error": EVIL})

    def _say(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # whoever asked may have been interrupted
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def evil():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Evil.asked.clear()
    Evil.release.clear()
    yield f"127.0.0.1:{server.server_port}"
    Evil.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def terminal():
    parent, child = pty.openpty()
    try:
        yield parent, child
    finally:
        os.close(parent)


def on_a_terminal(*arguments: str) -> str:
    """What a command writes to a terminal, its own colours taken out."""
    with terminal() as (parent, child):
        environ = os.environ | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
        process = subprocess.Popen([*OQ, *arguments], stdout=child, stderr=child, env=environ)
        os.close(child)
        written = b""
        while chunk := _read(parent):
            written += chunk
        process.wait()
    return written.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other side has closed
        return b""


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "-o", "json"],
        ["list", "-o", "plain"],
        ["status", "t1"],
        ["result", "t1"],
        ["result", "t1", "-o", "json"],
        ["submit", "chat", "-m", "m", "--messages", "user:a"],
        ["status", "--server", EVIL],
    ],
)
def test_nothing_moves_the_terminal(arguments, evil):
    server = [] if "--server" in arguments else ["--server", evil]
    written = on_a_terminal(*arguments, *server)
    assert "red" in written
    assert not [char for char in written if not char.isprintable() and char not in "\n\t"]
    assert "[bold]" in written


def test_a_piped_result_is_what_the_model_wrote(evil):
    done = subprocess.run([*OQ, "result", "t1", "--server", evil], capture_output=True, check=True)
    assert done.stdout.decode() == f"one\ntwo\t{EVIL}\n"


def test_ctrl_c_is_130_and_silent(evil):
    process = subprocess.Popen(
        [*OQ, "result", "t1", "--wait", "--server", evil],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert Evil.asked.wait(30)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_simulate_serves_until_it_is_told_to_stop(stop):
    command = [*OQ, "simulate", "--port", "0", "--tokens-per-second", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("simulated Ollama at http://127.0.0.1:")
    port = line.split()[3].rstrip(";").rpartition(":")[2]
    taken = subprocess.run([*OQ, "simulate", "--port", port], capture_output=True, text=True)
    assert taken.returncode == 1
    assert taken.stderr == (
        f"oq: cannot listen on 127.0.0.1:{port}: another program listens there;"
        " stop it, or choose another --port\n"
    )
    process.send_signal(stop)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_config_check_and_show(tmp_path, monkeypatch):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OQ_")}

    def call(*arguments):
        return subprocess.run(
            [*OQ, "config", *arguments], capture_output=True, text=True, env=environ, cwd=tmp_path
        )

    (tmp_path / "config.yaml").write_text("queue:\n  max_workers: 3\n")
    assert call("check").stdout.startswith("config.yaml: good, ")
    assert "queue.max_workers\t3\tconfig.yaml:2\n" in call("show").stdout
    shown = json.loads(call("show", "-o", "json").stdout)
    assert shown["queue.max_workers"] == {"value": "3", "from": "config.yaml:2"}
    assert "config.yaml:2" in call("show", "-o", "table").stdout
    (tmp_path / "config.yaml").write_text("ollama:\n  idle_timeout: 1m\n")
    lines = call("show").stdout.splitlines()
    assert "ollama.idle_timeout\t1m\tconfig.yaml:2, no effect" in lines
    assert "ollama.first_token_timeout\t5m\tdefault, no effect" in lines
    shown = json.loads(call("show", "-o", "json").stdout)
    without = {key for key, said in shown.items() if said.get("effect") is False}
    assert without == {
        "ollama.idle_timeout", "ollama.first_token_timeout",
        "scheduler.batch_size", "scheduler.scheduling_interval",
    }  # fmt: skip
    assert call("show", "-o", "table").stdout.count("no effect") == 4
    (tmp_path / "config.yaml").write_text("queue:\n  max_worker: 3\n")
    refused = call("check")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "oq: config.yaml:2: queue.max_worker: unknown key; did you mean max_workers?\n"
    )


@pytest.mark.parametrize("command", [["config", "check"], ["serve", "--port", "0"]])
@pytest.mark.parametrize(
    ("text", "environ", "message"),
    [
        (
            "backends:\n - name: a\n   kind: ollama\n   url: ftp://x\n",
            {},
            "config.yaml:4: backends[0].url: 'ftp://x' is not the address of a backend",
        ),
        (
            "backends:\n - {name: s, kind: simulated}\n - {name: a, kind: openai, url: x,\n"
            '    api_key: "hünter2"}\n',
            {},
            "config.yaml:4: backends[1].api_key: an api_key must be printable ASCII",
        ),
        ("", {"OLLAMA_HOST": "a..b"}, "OLLAMA_HOST: ollama.host: 'a..b' is not the address"),
        (
            "",
            {"OLLAMA_HOST": "u:hünter2@b"},
            "OLLAMA_HOST: ollama.host: it must not contain a user",
        ),
        ("ollama:\n  timeout: 0\n", {}, "config.yaml:2: ollama.timeout: must be more than 0"),
    ],
)
def test_what_cannot_serve_is_no_good_config(command, text, environ, message, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    environ = os.environ | {"HOME": str(tmp_path)} | environ
    done = subprocess.run(
        [*OQ, *command], capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=30
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"oq: {message}")
    assert done.stderr.count("\n") == 1
    assert "nter2" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("found", [True, False])
def test_serve_says_which_settings_file_it_uses(found, tmp_path):
    if found:
        (tmp_path / "config.yaml").write_text("")
    environ = os.environ | {"HOME": str(tmp_path)}
    with subprocess.Popen(
        [*OQ, "serve", "--simulate", "--port", "0", "--log-level", "error"],
        stdout=subprocess.PIPE, env=environ, cwd=tmp_path, text=True,
    ) as process:  # fmt: skip
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.terminate()
    assert lines[0].startswith("oq listens at http://127.0.0.1:")
    assert lines[1] == f"settings file: {tmp_path / 'config.yaml' if found else 'none'}\n"


def test_a_host_that_is_not_used_is_not_looked_at(tmp_path):
    (tmp_path / "config.yaml").write_text("backends: [{name: s, kind: simulated}]\n")
    environ = os.environ | {"HOME": str(tmp_path), "OLLAMA_HOST": "a..b"}
    subprocess.run([*OQ, "config", "check"], env=environ, cwd=tmp_path, check=True)


def test_control_characters_are_shown_and_text_is_not_touched():
    assert clean("a\x1b[1m\n\tb\x85\u2028") == r"a\x1b[1m\n\tb\x85\u2028"
    assert clean_text("a\r\nb\tc\x1b é 漢字 🙂") == "a\nb\tc\\x1b é 漢字 🙂"
